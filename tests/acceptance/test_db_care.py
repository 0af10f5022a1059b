"""The database over the years: pruned, copied, migrated, compared with what it should be."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.store.connection import connect
from botticelli.store.maintenance.retention import prune
from botticelli.store.reads.doctor import differences
from botticelli.store.schema import EXPECTED_VERSION, apply_schema, schema_version
from tests.database import approved

SCHEMAS = Path(__file__).parents[1] / "store/schemas"


def count(db, table):
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def history(db):
    """A run, a call, a rejected candidate and a command, each of today and of 500 days ago."""
    for age in (0, 500):
        ago = timedelta(days=age)
        db.execute(
            "INSERT INTO runs (stage, state, host, pid, started_at, ended_at)"
            " VALUES ('post', 'done', 'h', 1, now() - %(ago)s, now() - %(ago)s)",
            {"ago": ago},
        )
        db.execute(
            "INSERT INTO act_executions (narrative, act_name, sequence_number, inputs_digest,"
            " state, response, created_at) VALUES ('n', 'a', 0, 'd', 'done', 'r', now() - %s)",
            (ago,),
        )
        db.execute(
            "INSERT INTO potential_discord_posts (text_content, review_status, generated_at)"
            " VALUES ('t', 'rejected', now() - %s), ('t', 'pending', now() - %s)",
            (ago, ago),
        )
        db.execute(
            "INSERT INTO command_audit (platform, command, args, decision, at)"
            " VALUES ('discord', 'x', '{}', 'allowed', now() - %s)",
            (ago,),
        )
    return db


def test_prune_removes_old_history_and_nothing_else(botticelli, history):
    ended = botticelli("db prune --json")

    assert ended.code == 0
    facts = json.loads(ended.out)
    assert set(facts["removed"].values()) == {1}
    assert set(facts["kept"].values()) == {1}
    assert count(history, "potential_discord_posts") == 3, "what waits is never removed"


def test_prune_keeps_what_an_approved_post_was_made_of(botticelli, history):
    old = "SELECT min(id) FROM potential_discord_posts WHERE review_status = 'rejected'"
    history.execute("UPDATE potential_discord_posts SET generated_at = now() - interval '500 days'")
    approved(history, candidate_id=history.execute(old).fetchone()[0])

    botticelli("db prune")

    left = "SELECT count(*) FROM potential_discord_posts WHERE review_status = 'rejected'"
    assert history.execute(left).fetchone()[0] == 1


def test_prune_keeps_what_an_unfinished_batch_has_paid_for(history):
    history.execute("INSERT INTO batches (narrative) VALUES ('n')")
    history.execute(
        "INSERT INTO generation_items (batch_id, narrative, iteration)"
        " SELECT id, 'n', 1 FROM batches"
    )
    history.execute("UPDATE act_executions SET item_id = (SELECT id FROM generation_items)")

    assert prune(history, "act_executions", days=180) == 0


def test_the_configuration_says_how_long(botticelli, history):
    (botticelli.cwd / "botticelli.toml").write_text("[retention]\nruns = 0\ncommand_audit = 600\n")

    facts = json.loads(botticelli("db prune --json").out)

    assert facts["removed"] == {
        "act_executions": 1,
        "runs": 0,
        "rejected_candidates": 1,
        "command_audit": 0,
    }


def test_prune_frees_the_text_of_items_that_are_over_and_knows_them_all_the_same(db, botticelli):
    db.execute(
        "INSERT INTO source_items (source, key, text_key, title, text, found_at, available_at)"
        " VALUES ('blog', 'old', 'a', 'T', 'long', now() - interval '200 days', 'infinity'),"
        " ('blog', 'free', 'b', 'T', 'long', now() - interval '200 days', now()),"
        " ('blog', 'new', 'c', 'T', 'long', now(), 'infinity')"
    )

    botticelli("db prune")

    found = db.execute("SELECT key, text_key, text FROM source_items ORDER BY id").fetchall()
    assert found == [("old", "a", ""), ("free", "b", "long"), ("new", "c", "long")]


def test_prune_goes_in_batches(history):
    history.execute(
        "INSERT INTO runs (stage, state, host, pid, started_at, ended_at)"
        " SELECT 'post', 'done', 'h', 1, now() - interval '500 days', now() - interval '500 days'"
        " FROM generate_series(1, 25)"
    )

    assert prune(history, "runs", days=400, batch=10) == 26


def test_what_is_pruned_stays_counted(history):
    """A counter that fell would be taken for one that began anew."""
    history.execute("UPDATE act_executions SET provider = 'p', model = 'm', input_tokens = 7")
    totals = [
        "SELECT * FROM run_totals ORDER BY 1, 2",
        "SELECT * FROM call_totals",
        "SELECT * FROM post_totals",
    ]
    before = [history.execute(query).fetchall() for query in totals]

    for days in (100, 1):  # into an empty account, then on top of it
        for what in ("act_executions", "runs", "rejected_candidates"):
            assert prune(history, what, days=days, batch=1) == 1
        for table, column in (("runs", "ended_at"), ("act_executions", "created_at")):
            history.execute(f"UPDATE {table} SET {column} = now() - interval '5 days'")
        history.execute("UPDATE potential_discord_posts SET generated_at = now() - interval '5 d'")

    assert count(history, "runs") == count(history, "act_executions") == 0
    assert [history.execute(query).fetchall() for query in totals] == before


def test_a_backup_restores_everything_and_pauses_posting(botticelli, db):
    approved(db, text="before the backup")
    assert botticelli("db backup copy.dump").code == 0
    assert (botticelli.cwd / "copy.dump").stat().st_mode & 0o077 == 0
    approved(db, text="after the backup")
    db.close()

    asked = botticelli("db restore copy.dump")
    assert asked.code == 2, "it says what it would do first"
    assert "public.approved_discord_posts" in asked.err
    ended = botticelli("db restore copy.dump --yes")

    assert ended.code == 0, ended.err
    assert "posting is paused" in ended.err
    with connect(botticelli.environ["DATABASE_URL"]) as conn:
        texts = conn.execute("SELECT text_content FROM approved_discord_posts").fetchall()
        assert texts == [("before the backup",)]
        assert differences(conn) == ()
    assert "paused" in botticelli("post").out


def test_a_backup_restores_where_a_role_of_its_grants_is_not_known(botticelli, db, admin):
    """As on the new machine after the old one burnt down."""
    admin.execute("CREATE ROLE monitor_of_old; GRANT SELECT ON queue_depths TO monitor_of_old")
    try:
        approved(db)
        assert botticelli("db backup copy.dump").code == 0
    finally:
        admin.execute("DROP OWNED BY monitor_of_old; DROP ROLE monitor_of_old")
        admin.close()
        db.close()

    ended = botticelli("db restore copy.dump --yes")

    assert ended.code == 0, ended.err


@pytest.mark.slow
def test_yes_is_not_enough_for_code_in_a_backup(botticelli, db):
    db.execute("CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert botticelli("db backup copy.dump").code == 0
    db.execute("DROP FUNCTION evil()")
    db.close()

    refused = botticelli("db restore copy.dump --yes")
    assert refused.code == 2
    assert "code that is not ours: 1: CREATE FUNCTION public.evil()" in refused.err

    assert botticelli("db restore copy.dump --allow-code").code == 2, "which still is no yes"
    assert botticelli("db restore copy.dump --yes --allow-code").code == 0


@pytest.mark.parametrize(("content", "code"), [("no dump", 2), (None, 2), ("PGDMP broken", 69)])
def test_a_file_that_is_no_backup_changes_nothing(botticelli, db, content, code):
    approved(db)
    if content is not None:
        (botticelli.cwd / "x").write_text(content)

    assert botticelli("db restore x --yes").code == code

    assert count(db, "approved_discord_posts") == 1


def test_a_fresh_database_is_as_it_should_be(botticelli, db):
    ended = botticelli("db doctor")

    assert ended.code == 0
    assert "as it should be" in ended.out


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("ALTER TABLE runs DROP COLUMN error", "column runs.error: missing"),
        ("ALTER TABLE runs ALTER host DROP NOT NULL", "column runs.host: different"),
        ("DROP INDEX runs_by_stage", "index runs_by_stage: missing"),
        (
            "ALTER TABLE deliveries DROP CONSTRAINT deliveries_post_id_destination_key",
            "constraint deliveries: UNIQUE (post_id, destination): missing",
        ),
        ("DROP FUNCTION ledger_release", "function ledger_release("),
        ("DROP VIEW pipeline_health", "view pipeline_health: missing"),
        (
            "CREATE OR REPLACE VIEW run_totals AS SELECT stage, state outcome, id runs FROM runs",
            "view run_totals: different",
        ),
    ],
)
def test_drift_is_told(botticelli, db, damage, told):
    db.execute(damage)

    ended = botticelli("db doctor")

    assert ended.code == 1
    assert told in ended.out
    assert db.execute("SELECT to_regnamespace('botticelli_as_it_should_be')").fetchone() == (None,)


def test_what_people_add_is_no_drift(botticelli, db):
    db.execute("CREATE TABLE mine (id int); ALTER TABLE runs ADD COLUMN note text")

    assert botticelli("db doctor").code == 0


def test_migrate_puts_back_what_is_missing(botticelli, db):
    db.execute("DROP INDEX runs_by_stage; DROP TABLE engagement")

    assert botticelli("db migrate").code == 0

    assert differences(db) == ()


@pytest.mark.parametrize("version", range(1, EXPECTED_VERSION))
def test_every_earlier_version_migrates_with_its_rows(empty_url, version):
    with connect(empty_url) as conn:
        conn.execute((SCHEMAS / f"version_{version}.sql").read_bytes())
        approved(conn, text="from long ago")

        apply_schema(conn)

        assert schema_version(conn) == EXPECTED_VERSION
        assert differences(conn) == ()
        rows = conn.execute("SELECT text_content FROM approved_discord_posts").fetchall()
        assert rows == [("from long ago",)]


def test_a_newer_database_is_refused(botticelli, db):
    db.execute("INSERT INTO schema_version (version) VALUES (99)")

    ended = botticelli("db migrate")

    assert ended.code == 78
    assert "upgrade botticelli" in ended.err
