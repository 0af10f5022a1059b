"""The views for whoever watches: what they say, and that looking is all they allow."""

import re
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from botticelli.errors import ConfigError
from botticelli.store.connection import connect
from botticelli.store.schema import apply_schema, schema_text
from tests.clock import at
from tests.database import approved
from tests.store.test_schema import PLAN_QUERIES

ALL = re.findall(r"^CREATE OR REPLACE VIEW (\w+)", schema_text(), re.MULTILINE)
VIEWS = [name for name in ALL if name != "candidate_lessons"]  # whole texts: for `learn` alone
DOCUMENT = Path(__file__).parents[2] / "docs/monitoring.md"

# The plan's query that each of these views answers, by its place in the list.
ANSWERS = {
    "generation_completeness": 4,
    "posting_success": 6,
    "pipeline_health": 7,
    "curation_effectiveness": 8,
    "posting_frequency": 9,
}


@pytest.fixture
def line(db):
    """Seven candidates over three days; three approved posts, one of them out, one stuck."""
    db.execute(
        "INSERT INTO potential_discord_posts (text_content, source_narrative, review_status,"
        " generated_at) SELECT 'candidate ' || n, 'feature',"
        " CASE n WHEN 1 THEN 'posted' WHEN 2 THEN 'rejected' ELSE 'pending' END,"
        " now() - n % 3 * interval '30 hours' FROM generate_series(1, 7) AS n"
    )
    for number, score in enumerate((48, 42, 37), start=1):
        approved(db, text=f"post {number}", curation_score=score)
    db.execute("UPDATE approved_discord_posts SET selected_at = now()")
    db.execute(
        "UPDATE approved_discord_posts SET review_status = 'posted', posted_at = now()"
        " WHERE text_content = 'post 1'"
    )
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, posted_at, sent_at, lease_expires_at)"
        " SELECT id, 'main', CASE text_content WHEN 'post 1' THEN 'posted' ELSE 'sending' END,"
        " CASE text_content WHEN 'post 1' THEN now() END, now() - interval '1 hour',"
        " CASE text_content WHEN 'post 1' THEN NULL WHEN 'post 2' THEN now() - interval '50 min'"
        " ELSE now() + interval '1 min' END FROM approved_discord_posts"
    )
    return db


def rows(db, query):
    return db.execute(query).fetchall()


@pytest.mark.parametrize("view", ANSWERS)
def test_a_view_says_what_the_plans_query_says(line, view):
    assert rows(line, f"SELECT * FROM {view}") == rows(line, PLAN_QUERIES[ANSWERS[view]])


def test_the_three_figures_that_the_plan_counts_one_by_one(line):
    counted = [rows(line, query)[0][0] for query in PLAN_QUERIES[:3]]

    assert rows(line, "SELECT * FROM pipeline_stages") == list(
        zip(("potential", "approved", "posted"), counted, strict=True)
    )
    assert counted == [5, 2, 1]


def test_curation_quality_has_the_plans_columns_and_order(line):
    found = rows(line, "SELECT curation_score, preview FROM curation_quality")

    assert found == rows(line, PLAN_QUERIES[5])
    assert [score for score, _ in found] == [48, 42, 37]


def test_queue_depths_agree_with_the_tables(line):
    found = {(queue, state): n for queue, state, n in rows(line, "SELECT * FROM queue_depths")}

    assert found["candidates", "pending"] == 5
    assert found["approved", "pending"] == 2
    assert found["deliveries", "sending"] == 2


def test_only_a_delivery_whose_lease_is_over_is_stuck(line):
    ((text, age),) = rows(
        line,
        "SELECT p.text_content, now() - s.stuck_since FROM stuck_deliveries AS s"
        " JOIN approved_discord_posts AS p ON p.id = s.post_id",
    )

    assert text == "post 2"
    assert abs(age - timedelta(hours=1)) < timedelta(minutes=1)


def test_daily_totals_are_the_plans_goals(line):
    [(moment,)] = line.execute(  # the day may end at any time
        "UPDATE approved_discord_posts SET posted_at = selected_at WHERE posted_at IS NOT NULL"
        " RETURNING selected_at"
    ).fetchall()
    at(line, moment)
    line.execute(
        "INSERT INTO act_executions (narrative, act_name, sequence_number, inputs_digest, state,"
        " response, input_tokens, output_tokens, cost_usd)"
        " VALUES ('n', 'a', 0, 'd', 'done', 'r', 10, 5, 0.5)"
    )

    found = rows(
        line,
        "SELECT approved, posted, longest_post, calls, tokens, cost_usd FROM daily_totals LIMIT 1",
    )

    assert found == [(3, 1, 6, 1, 15, 0.5)]
    assert rows(line, "SELECT count(*), sum(candidates) FROM daily_totals") == [(30, 7)]


def test_repeated_posts_are_told(line):
    assert rows(line, "SELECT * FROM repeated_posts") == []

    line.execute("UPDATE approved_discord_posts SET text_content = 'the same'")
    line.execute(
        "UPDATE deliveries SET state = 'posted', posted_at = now(), lease_expires_at = NULL"
    )

    assert rows(line, "SELECT destination, times, preview FROM repeated_posts") == [
        ("main", 3, "the same")
    ]


def test_stage_health_tells_switches_and_the_last_good_run(line):
    line.execute("UPDATE actor_server_state SET is_paused = true WHERE task_id = 'post'")
    line.execute(
        "INSERT INTO runs (stage, state, exit_code, host, pid, started_at, ended_at) VALUES"
        " ('post', 'done', 0, 'h', 1, now() - interval '90 s', now() - interval '60 s'),"
        " ('post', 'failed', 1, 'h', 1, now() - interval '30 s', now())"
    )

    found = rows(
        line,
        "SELECT stage, is_paused, breaker_open, last_success_duration FROM stage_health"
        " ORDER BY stage",
    )

    assert found == [
        ("collect", False, False, None),
        ("curate", False, False, None),
        ("generate", False, False, None),
        ("observe", False, False, None),
        ("post", True, False, timedelta(seconds=30)),
    ]


def test_a_role_that_may_only_look_at_the_views_sees_all_of_them_and_nothing_else(admin):
    grant = re.search(r"GRANT SELECT ON\s(.*?)TO (\w+);", DOCUMENT.read_text(), re.DOTALL)
    assert grant is not None
    assert sorted(re.findall(r"\w+", grant[1])) == sorted(VIEWS), "the document names every view"
    role = "watcher_of_views"
    admin.execute(f"CREATE ROLE {role}")
    try:
        admin.execute(f"GRANT SELECT ON {grant[1]} TO {role}")
        admin.execute(f"SET ROLE {role}")
        for view in VIEWS:
            admin.execute(f"SELECT * FROM {view}")
        for forbidden in ("SELECT prompt FROM act_executions", "DELETE FROM runs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                admin.execute(forbidden)
    finally:
        admin.execute("RESET ROLE")
        admin.execute(f"DROP OWNED BY {role}")
        admin.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "own", ["CREATE TABLE pipeline_health (x int)", "CREATE VIEW pipeline_health AS SELECT 1 AS x"]
)
def test_a_table_of_yours_that_has_our_name_is_told_and_kept(empty_url, own):
    with connect(empty_url) as conn:
        conn.execute(own)

        with pytest.raises(ConfigError, match=r"pipeline_health|column"):
            apply_schema(conn)

        assert rows(conn, "SELECT to_regclass('runs')") == [(None,)], "nothing was half done"
