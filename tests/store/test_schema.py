"""schema.sql: safe to apply twice, by two at once, and what the user's own SQL expects of it."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from botticelli.errors import ConfigError
from botticelli.store import schema
from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from tests.clock import NOON, at
from tests.database import ensure_schema
from tests.store.servers import HASTY


def tables(conn):
    rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [name for (name,) in rows]


def test_the_schema_can_be_applied_twice(db):
    db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('kept')")
    before = tables(db)

    schema.apply_schema(db)

    assert tables(db) == before
    assert db.execute("SELECT text_content FROM approved_discord_posts").fetchall() == [("kept",)]


def test_processes_that_meet_an_empty_database_make_one_schema(empty_url):
    def ensure(_):
        with connect(empty_url) as conn:
            ensure_schema(conn)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ensure, range(6)))

    with connect(empty_url) as conn:
        assert schema.schema_version(conn) == schema.EXPECTED_VERSION


@pytest.mark.slow
def test_many_projects_make_their_schemas_on_a_server_with_few_locks(postgres_home):
    few = ("max_locks_per_transaction=32", "max_connections=40", "shared_buffers=16MB")
    server = Embedded(postgres_home / "postgres", settings=(*HASTY, *few))
    names = [f"many_{number}" for number in range(16)]
    with connect(server.ensure()) as conn:
        for name in names:
            conn.execute(f"CREATE DATABASE {name}")

    def ensure(name):
        with connect(server.url_of(name)) as conn:
            schema.apply_schema(conn)
            return schema.schema_version(conn)

    try:
        with ThreadPoolExecutor(len(names)) as pool:
            assert set(pool.map(ensure, names)) == {schema.EXPECTED_VERSION}
    finally:
        server.stop()


def test_a_database_of_a_newer_program_is_left_alone(db):
    db.execute("INSERT INTO schema_version (version) VALUES (%s)", (schema.EXPECTED_VERSION + 1,))

    with pytest.raises(ConfigError, match="upgrade botticelli"):
        ensure_schema(db)


def test_an_unpaused_row_waits_for_every_stage(db):
    rows = db.execute("SELECT actor_name FROM actor_server_state WHERE NOT is_paused").fetchall()

    assert sorted(rows) == [
        ("Content Curation Actor",),
        ("Content Generation Actor",),
        ("Discord Posting Actor",),
        ("Engagement Observation Actor",),
        ("Source Collection Actor",),
    ]


# ruff: noqa: E501 - the queries stand as they do in the plan
PLAN_QUERIES = [
    "SELECT COUNT(*) FROM potential_discord_posts WHERE review_status = 'pending';",
    "SELECT COUNT(*) FROM approved_discord_posts WHERE review_status = 'pending';",
    "SELECT COUNT(*) FROM approved_discord_posts WHERE review_status = 'posted';",
    """SELECT CASE WHEN review_status = 'pending' THEN 'potential' WHEN review_status = 'posted' THEN 'posted'
       ELSE 'approved' END as stage, COUNT(*) as count FROM potential_discord_posts GROUP BY review_status
       UNION ALL SELECT 'approved' as stage, COUNT(*) FROM approved_discord_posts WHERE review_status = 'pending';""",
    """SELECT source_narrative, COUNT(*) as count FROM potential_discord_posts
       WHERE generated_at > NOW() - INTERVAL '1 day' GROUP BY source_narrative;""",
    """SELECT curation_score, LEFT(text_content, 100) as preview FROM approved_discord_posts
       WHERE selected_at > NOW() - INTERVAL '1 day' ORDER BY curation_score DESC;""",
    """SELECT posted_at, LENGTH(text_content) as char_count, LEFT(text_content, 100) as preview
       FROM approved_discord_posts WHERE review_status = 'posted' ORDER BY posted_at DESC LIMIT 5;""",
    """SELECT DATE_TRUNC('day', generated_at) as day, COUNT(*) as potential_posts,
       COUNT(*) FILTER (WHERE review_status = 'pending') as pending,
       COUNT(*) FILTER (WHERE review_status = 'posted') as posted FROM potential_discord_posts
       WHERE generated_at > NOW() - INTERVAL '7 days' GROUP BY day ORDER BY day DESC;""",
    """SELECT AVG(curation_score) as avg_score, MIN(curation_score) as min_score, MAX(curation_score) as max_score,
       COUNT(*) as total_approved FROM approved_discord_posts WHERE selected_at > NOW() - INTERVAL '7 days';""",
    """SELECT DATE_TRUNC('hour', posted_at) as hour, COUNT(*) as posts_per_hour FROM approved_discord_posts
       WHERE review_status = 'posted' AND posted_at > NOW() - INTERVAL '7 days' GROUP BY hour ORDER BY hour DESC;""",
]


@pytest.mark.parametrize("query", PLAN_QUERIES, ids=lambda q: re.sub(r"\W+", "-", q)[:40])
def test_the_plans_queries_run_as_written(db, query):
    db.execute("INSERT INTO potential_discord_posts (text_content) VALUES ('x')")
    db.execute(
        "INSERT INTO approved_discord_posts (text_content, review_status, posted_at)"
        " VALUES ('x', 'posted', now())"
    )

    rows = db.execute(query).fetchall()

    assert rows


def test_a_post_can_be_marked_by_hand_as_the_plan_does(db):
    db.execute(
        "INSERT INTO approved_discord_posts (text_content, review_status) VALUES ('x', 'pending')"
    )

    changed = db.execute("UPDATE approved_discord_posts SET review_status = 'posted' WHERE id = 1")

    assert changed.rowcount == 1


def test_the_plans_pause_finds_its_row(db):
    changed = db.execute(
        "UPDATE actor_server_state SET is_paused = true WHERE actor_name = 'Discord Posting Actor'"
    )

    assert changed.rowcount == 1


def test_now_is_the_time_of_the_statement_unless_a_session_pins_it(db):
    both = "SELECT botticelli_now(), botticelli_clock() FROM pg_sleep(0.01)"
    with db.transaction():
        began, first, later = db.execute(f"SELECT now(), * FROM ({both}) AS t").fetchone()
        second, _ = db.execute(both).fetchone()
    assert began <= first < later < second, "not of the transaction's start"

    assert at(db, NOON).execute(both).fetchone() == (NOON, NOON)


def test_now_is_inlined_so_that_indexes_serve_it(db):
    query = "EXPLAIN SELECT FROM runs WHERE stage = 'post' AND started_at > botticelli_now()"
    db.execute("SET enable_seqscan = off")

    plan = "\n".join(line for (line,) in db.execute(query))

    assert "statement_timestamp()" in plan
    assert re.search(r"Index Cond: .*started_at > COALESCE", plan), plan


def test_the_packaged_schema_is_the_one_at_the_top():
    top = Path(__file__).parents[2] / "schema.sql"

    assert schema.schema_text() == top.read_text(encoding="utf-8")
