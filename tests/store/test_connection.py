"""Connections: what they are like, and what a user is told if there is none."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import pq, sql

from botticelli.errors import ConfigError, Exit, Unavailable
from botticelli.store.connection import connect, mapped_errors, place_of
from botticelli.store.session import joined
from tests.database import url_of


@pytest.fixture
def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def person(db_url, admin):
    """A URL of a user who owns nothing."""
    admin.execute("CREATE ROLE person LOGIN")
    yield db_url.replace("//botticelli@", "//person@")
    admin.execute("DROP OWNED BY person")
    admin.execute("DROP ROLE person")


def test_a_session_is_in_utc_and_commits_by_itself(db_url):
    with connect(db_url, application_name="botticelli post") as conn:
        shown = conn.execute(
            "SELECT current_setting('TimeZone'), current_setting('application_name')"
        ).fetchone()

        assert shown == ("UTC", "botticelli post")
        assert conn.autocommit


def test_a_session_is_in_utc_on_a_server_that_is_elsewhere(db_url, db):
    name = db.info.dbname
    db.execute(f"ALTER DATABASE {name} SET TimeZone = 'Asia/Kathmandu'")

    with connect(db_url) as conn:
        assert conn.execute("SHOW TimeZone").fetchone() == ("UTC",)


def test_what_the_url_says_is_stronger(db_url):
    with connect(f"{db_url}&application_name=mine&options=-c%20work_mem%3D1MB") as conn:
        assert conn.execute("SHOW application_name").fetchone() == ("mine",)
        assert conn.execute("SHOW work_mem").fetchone() == ("1MB",)


def test_a_server_that_is_not_there_is_named_without_the_password(closed_port):
    with pytest.raises(Unavailable) as raised:
        connect(f"postgresql://me:geheim@127.0.0.1:{closed_port}/posts")

    line = str(raised.value)
    assert line.startswith(f"postgresql://127.0.0.1:{closed_port}/posts: ")
    assert "Connection refused" in line
    assert "check DATABASE_URL" in line
    assert "geheim" not in line
    assert "\n" not in line


def test_a_database_that_is_not_there_is_named(postgres):
    with pytest.raises(ConfigError, match=r'database "absent" does not exist; create it'):
        connect(url_of(postgres.ensure(), "absent"))


def test_a_user_that_is_not_there_is_named(db_url):
    with pytest.raises(ConfigError, match=r'role "stranger" does not exist; create it'):
        connect(db_url.replace("//botticelli@", "//stranger@"))


def test_a_full_server_is_waited_for_and_then_says_so(person, admin, monkeypatch):
    admin.execute("ALTER ROLE person CONNECTION LIMIT 0")
    asked = []

    def leave(_seconds):
        asked.append(1)
        admin.execute("ALTER ROLE person CONNECTION LIMIT 1")

    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", leave)
        connect(person).close()
    assert asked == [1], "it came in when somebody had left"
    admin.execute("ALTER ROLE person CONNECTION LIMIT 0")
    monkeypatch.setattr("botticelli.store.connection.ROOM", 0.0)
    with pytest.raises(Unavailable, match=r"takes no more connections.*; try again") as error:
        connect(person)
    assert error.value.exit_code == Exit.TRY_LATER


@pytest.mark.parametrize(
    "url",
    [
        "geheim",
        "mysql://me:geheim@host/posts",
        "postgresql://me:gehe im@host/posts",
        "postgresql://me:geheim%zz@host/posts",
        "postgresql://me:x@geheim@host/posts",
        "postgresql://me:geheim/x@host/posts",
        "postgresql://me:geheim@host:99999/posts",
        "postgresql://me@host/posts?geheim=1",
    ],
)
def test_a_url_that_cannot_be_meant_is_not_repeated(url):
    with pytest.raises(ConfigError) as raised:
        connect(url)

    assert str(raised.value).startswith("DATABASE_URL")
    assert "geheim" not in str(raised.value)
    assert "geheim" not in place_of(url)


def test_a_connection_that_is_lost_at_work_is_one_line(db_url, db):
    with connect(db_url) as conn:
        db.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))

        with pytest.raises(Unavailable, match="the database failed: ") as raised, mapped_errors():
            conn.execute("SELECT 1")

    assert "\n" not in str(raised.value)


def test_plans_are_kept_and_go_with_the_connection(db_url, db):
    with connect(db_url) as conn:
        conn.heals = True
        for _ in range(2):
            assert [conn.execute("SELECT %s::int", (n,)).fetchone() for n in range(8)] == [
                (n,) for n in range(8)
            ]
            kept = conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
            assert kept == (1,)
            db.execute("SELECT pg_terminate_backend(%s, 5000)", (conn.info.backend_pid,))


def test_a_table_of_the_users_may_change_meanwhile(db_url, db):
    db.execute("CREATE TABLE theirs (a int)")
    every = sql.SQL("SELECT * FROM {}").format(sql.Identifier("theirs"))
    with connect(db_url) as conn:
        for _ in range(8):
            conn.execute(every)
        db.execute("ALTER TABLE theirs ADD COLUMN b int")
        assert conn.execute(every).description[1].name == "b"
    db.execute("DROP TABLE theirs")


def test_a_lone_statement_that_was_in_somebodys_way_is_made_again(db_url, db, admin):
    admin.execute("GRANT SET ON PARAMETER deadlock_timeout TO PUBLIC")
    db.execute("CREATE TABLE pairs AS SELECT id, 0 AS n FROM generate_series(1, 2) AS id")
    both = """DO $$ BEGIN
        UPDATE pairs SET n = n + 1 WHERE id = 2;
        PERFORM pg_sleep(0.2);
        UPDATE pairs SET n = n + 1 WHERE id = 1;
    END $$"""
    ours = connect(db_url)
    with ours, connect(db_url) as other, ThreadPoolExecutor(1) as pool:
        ours.execute("SET deadlock_timeout = '20ms'")
        other.execute("SET deadlock_timeout = '60s'")
        with other.transaction():
            other.execute("UPDATE pairs SET n = 10 WHERE id = 1")
            done = pool.submit(ours.execute, both)
            while not db.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            ).fetchone()[0]:
                time.sleep(0.01)
            other.execute("UPDATE pairs SET n = 20 WHERE id = 2")  # comes through: ours gives way
        done.result(30)

    assert db.execute("SELECT n FROM pairs ORDER BY id").fetchall() == [(11,), (21,)]


def test_what_the_user_may_not_do_is_one_line(person):
    with (
        connect(person) as conn,
        pytest.raises(ConfigError, match=r"permission denied for table runs; GRANT"),
        mapped_errors(),
    ):
        conn.execute("SELECT * FROM runs")


def test_a_mistake_of_ours_stays_one(db):
    with pytest.raises(psycopg.errors.SyntaxError), mapped_errors():
        db.execute("SELEKT 1")


def test_what_joins_a_transaction_opens_one_over_a_connection_that_was_lost(db_url, db):
    with connect(db_url) as conn:
        conn.heals = True
        db.execute("SELECT pg_terminate_backend(%s, 5000)", (conn.info.backend_pid,))
        conn.pgconn.finish()
        with joined(conn), joined(conn):
            row = conn.execute("SELECT pg_current_xact_id() = pg_current_xact_id()").fetchone()
            assert row == (True,)
            assert conn.info.transaction_status == pq.TransactionStatus.INTRANS
