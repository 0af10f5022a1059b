"""The door to the database: whatever is set there, what we read and how long we live is ours."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from botticelli.errors import ConfigError, TryLater, Unavailable
from botticelli.store.connection import SETTINGS, connect, lasting, mapped_errors, once
from botticelli.store.generation import executions
from botticelli.store.generation.executions import Attempt
from botticelli.store.schema import schema_version
from tests.database import ensure_schema, url_of

WRONG = {
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-10",
    "bytea_output": "escape",
    "xmlbinary": "hex",
    "xmloption": "document",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "gin_fuzzy_search_limit": "1",
    "client_min_messages": "debug5",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "lock_timeout": "1",
    "statement_timeout": "1",
    "idle_session_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "transaction_timeout": "150",  # less would end the one statement that lifts it
    "client_encoding": "LATIN1",
}
READ = """
    SELECT '2026-03-04 05:06:07Z'::timestamptz, '1 day 02:03:04'::interval, 0.1::float8 + 0.2,
           '\\x00ff'::bytea, 'дом'::text, ARRAY[1, NULL], 'a\\b'
"""
EXPECTED = (
    datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    timedelta(days=1, hours=2, minutes=3, seconds=4),
    0.1 + 0.2,
    b"\x00\xff",
    "дом",
    [1, None],
    "a\\b",
)


def read_and_write(url, *, seconds=0.005):
    """Do what every command does."""
    with connect(url) as conn:
        assert conn.execute(READ).fetchone() == EXPECTED
        with conn.transaction():
            conn.execute("SELECT pg_sleep(%s)", (seconds,))  # longer than the limits
            conn.execute("INSERT INTO batches (narrative) VALUES ('дом')")
        conn.execute("SELECT pg_sleep(0.005)")
        return conn.execute("SELECT narrative FROM batches").fetchall()


def test_every_setting_of_ours_has_its_wrong_value():
    assert SETTINGS.keys() - WRONG.keys() == {"row_security"}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_of_the_database_changes_nothing(db_url, db, name):
    db.execute(f"ALTER DATABASE {db.info.dbname} SET {name} = '{WRONG[name]}'")

    seconds = 0.2 if name == "transaction_timeout" else 0.005
    assert read_and_write(db_url, seconds=seconds) == [("дом",)]


def test_all_settings_of_a_role_change_nothing(db_url, admin):
    admin.execute("CREATE ROLE odd LOGIN SUPERUSER")
    try:
        for name, value in WRONG.items():
            admin.execute(f"ALTER ROLE odd SET {name} = '{value}'")
        assert read_and_write(db_url.replace("//botticelli@", "//odd@")) == [("дом",)]
    finally:
        admin.execute("DROP ROLE odd")


def test_options_of_environment_and_url_change_nothing(db_url, monkeypatch):
    options = [f"-c {name}={value.replace(' ', '')}" for name, value in WRONG.items()]
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGOPTIONS", " ".join(options))
    assert read_and_write(db_url) == [("дом",)]

    monkeypatch.delenv("PGOPTIONS")
    quoted = " ".join(options).replace(" ", "%20").replace("=", "%3D")
    assert read_and_write(f"{db_url}&options={quoted}&client_encoding=LATIN1") == [("дом",)] * 2


def test_a_role_that_is_set_to_read_only_writes_all_the_same(db_url, admin):
    admin.execute("CREATE ROLE odd LOGIN SUPERUSER")
    admin.execute("ALTER ROLE odd SET default_transaction_read_only = on")
    try:
        assert read_and_write(db_url.replace("//botticelli@", "//odd@")) == [("дом",)]
        assert read_and_write(f"{db_url}&options=-cdefault_transaction_read_only%3Don")
    finally:
        admin.execute("DROP ROLE odd")


def test_other_options_of_the_environment_stay(db_url, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")

    with connect(db_url) as conn:
        assert conn.execute("SHOW work_mem").fetchone() == ("1MB",)


def test_a_policy_that_hides_rows_is_an_error(db_url, db, admin):
    admin.execute("CREATE ROLE reader LOGIN")
    db.execute("GRANT SELECT ON runs TO reader")
    db.execute("ALTER TABLE runs ENABLE ROW LEVEL SECURITY")
    try:
        with (
            connect(db_url.replace("//botticelli@", "//reader@")) as conn,
            pytest.raises(ConfigError, match="row-level security"),
            mapped_errors(),
        ):
            conn.execute("SELECT * FROM runs")
    finally:
        admin.execute("DROP OWNED BY reader")
        admin.execute("DROP ROLE reader")


@pytest.mark.parametrize("path", ["elsewhere", "", "elsewhere, pg_catalog", "nowhere"])
def test_our_tables_are_found_whatever_the_search_path(db_url, db, path):
    db.execute("CREATE SCHEMA elsewhere")
    db.execute(f"ALTER DATABASE {db.info.dbname} SET search_path = {path or repr('')}")

    with connect(db_url) as conn:
        ensure_schema(conn)
        conn.execute("INSERT INTO batches (narrative) VALUES ('here')")

    assert db.execute("SELECT count(*) FROM public.batches").fetchone() == (1,)
    assert db.execute("SELECT to_regclass('elsewhere.batches')").fetchone() == (None,)


def test_a_search_path_in_the_url_is_meant(db_url, db):
    db.execute("CREATE SCHEMA second")

    with connect(f"{db_url}&options=-csearch_path%3Dsecond") as conn:
        assert schema_version(conn) is None
        ensure_schema(conn)

    assert db.execute("SELECT to_regclass('second.batches') IS NOT NULL").fetchone() == (True,)


def test_two_homes_are_asked_about(db_url, db):
    db.execute("CREATE SCHEMA second")
    with connect(f"{db_url}&options=-csearch_path%3Dsecond") as conn:
        ensure_schema(conn)
    db.execute(f"ALTER DATABASE {db.info.dbname} SET search_path = nowhere")

    with connect(db_url) as conn, pytest.raises(ConfigError, match="search_path%3DNAME"):
        ensure_schema(conn)


def test_a_database_without_a_schema_to_create_in_gets_public(empty_url, postgres):
    name = psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"]
    with connect(postgres.ensure()) as admin:
        admin.execute(f"ALTER DATABASE {name} SET search_path = ''")

    with connect(empty_url) as conn:
        ensure_schema(conn)
        assert conn.execute("SELECT to_regclass('public.runs') IS NOT NULL").fetchone() == (True,)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgres, encoding):
    url = postgres.ensure()
    with connect(url) as admin:
        admin.execute(
            f"CREATE DATABASE odd ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
            " TEMPLATE template0"
        )
    try:
        with pytest.raises(ConfigError, match=rf"has the encoding {encoding}.*--encoding=UTF8"):
            connect(url_of(url, "odd"))
    finally:
        with connect(url) as admin:
            admin.execute("DROP DATABASE odd WITH (FORCE)")


# -- waits


@contextmanager
def holding(url, statement):
    """Hold what a statement locks, as somebody's open psql does."""
    with connect(url, application_name="psql") as other, other.transaction(force_rollback=True):
        other.execute(statement)
        yield other.info.backend_pid


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("LOCK TABLE batches", "SELECT * FROM batches"),
        ("INSERT INTO locks VALUES ('x', 'h', 'h', 1, NULL, 1, now(), now(), now())",) * 2,
        ("SELECT pg_advisory_xact_lock(7)", "SELECT pg_advisory_xact_lock(7)"),
        (
            "UPDATE actor_server_state SET is_paused = true",
            "UPDATE actor_server_state SET is_paused = false",
        ),
    ],
)
def test_who_is_in_the_way_is_named(db_url, theirs, ours):
    with holding(db_url, theirs) as pid, connect(db_url) as conn:
        conn.lock_timeout = 0.5

        with pytest.raises(TryLater) as raised, mapped_errors():
            conn.execute(ours)

    line = str(raised.value)
    assert f"blocked by process {pid} (psql, user botticelli, since " in line
    assert f"pg_terminate_backend({pid})" in line
    assert "\n" not in line


def test_a_statement_that_takes_too_long_ends(db_url):
    with connect(db_url) as conn:
        conn.change(statement_timeout="200")
        with pytest.raises(Unavailable, match="statement timeout"), mapped_errors():
            conn.execute("SELECT pg_sleep(5)")


# -- connections that are lost


@pytest.fixture
def session(db_url):
    """A session that outlives its connection."""
    with connect(db_url) as conn:
        conn.heals = True
        yield conn


def end(db, conn):
    """End a connection from outside."""
    pid = conn.info.backend_pid
    db.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    return pid


def test_a_connection_lost_between_two_statements_is_replaced(db, session):
    before = end(db, session)

    assert session.execute("SELECT pg_backend_pid()").fetchone() != (before,)
    assert session.execute("SHOW TimeZone").fetchone() == ("UTC",)


def test_a_connection_lost_before_a_transaction_is_replaced(db, session):
    end(db, session)

    with session.transaction():
        session.execute("INSERT INTO batches (narrative) VALUES ('x')")

    assert db.execute("SELECT count(*) FROM batches").fetchone() == (1,)


def test_what_was_set_holds_over_another_connection(db, session):
    session.change(statement_timeout="2s")
    end(db, session)

    assert session.execute("SHOW statement_timeout").fetchone() == ("2s",)


def test_a_transaction_that_is_lost_is_done_again_as_a_whole(db, session):
    tries = []

    def work():
        with session.transaction():
            session.execute("INSERT INTO batches (narrative) VALUES ('x')")
            tries.append(1)
            if len(tries) == 1:
                end(db, session)
            return session.execute("SELECT count(*) FROM batches").fetchone()[0]

    assert lasting(session, work) == 1
    assert len(tries) == 2


def test_what_came_through_is_not_done_again(db, session):
    def work():
        session.execute("INSERT INTO batches (narrative) VALUES ('x')")
        end(db, session)
        session.pgconn.consume_input()
        raise psycopg.OperationalError("the answer was lost")

    known = lasting(
        session, work, found=lambda: session.execute("SELECT count(*) FROM batches").fetchone()
    )

    assert known == (1,)


def test_patience_has_an_end(db, session):
    session.patience = 0.3

    def work():
        raise psycopg.errors.DiskFull("no space left")

    with pytest.raises(Unavailable, match="make room on the server's disk"):
        lasting(session, work)


def test_a_closed_session_stays_closed(session):
    session.close()

    with pytest.raises(psycopg.OperationalError, match="closed"):
        session.execute("SELECT 1")


# -- what is paid for and sent


def test_an_answer_whose_storing_was_not_confirmed_is_stored_once(db, session):
    attempt = Attempt(
        run_id=None,
        item_id=None,
        narrative="n",
        iteration=1,
        act_name="a",
        sequence_number=0,
        attempt=1,
        inputs_digest="d",
        prompt="p",
        state="done",
        provider="x",
        model="m",
        response="paid for",
    )
    session.cursor_factory = losing_its_answer(db, "INSERT INTO act_executions")

    id_ = executions.insert(session, attempt)

    assert db.execute("SELECT id, response FROM act_executions").fetchall() == [(id_, "paid for")]


@pytest.mark.parametrize("place", ["INSERT", "COMMIT"])
def test_what_is_done_once_comes_through_once(db, session, place, monkeypatch):
    if place == "INSERT":
        session.cursor_factory = losing_its_answer(db, "INSERT INTO batches")
    else:
        lose_commits(db, session, monkeypatch)

    def work():
        session.execute("INSERT INTO batches (narrative) VALUES ('x')")
        return "done"

    assert once(session, work) == "done"
    assert db.execute("SELECT count(*) FROM batches").fetchone() == (1,)


def losing_its_answer(db, beginning):
    """Return a cursor that does a statement, once, and then loses connection and answer."""
    lost = []

    class Losing(psycopg.Cursor):
        def execute(self, query, *args, **options):
            done = super().execute(query, *args, **options)
            if str(query).strip().startswith(beginning) and not lost:
                lost.append(query)
                end(db, self.connection)
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return done

    return Losing


def lose_commits(db, session, monkeypatch):
    """Let the first commit come through, and its answer be lost with the connection."""
    lost = []
    commit = psycopg.Transaction._commit_gen

    def losing(self):
        yield from commit(self)
        if self.connection is session and not lost:
            lost.append(1)
            end(db, session)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.Transaction, "_commit_gen", losing)
