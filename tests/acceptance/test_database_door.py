"""What commands say of a database that is not as it should be, and how long they take to say it."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from botticelli.store.connection import connect
from tests.database import approved, url_of

pytestmark = pytest.mark.slow  # whole commands and servers, seconds each

COMMANDS = ("check", "doctor --offline", "health", "db migrate", "db init", "status", "post")


@pytest.fixture
def server(postgres):
    """Run a statement on the test's server, outside any transaction."""

    def run(statement):
        with connect(postgres.ensure()) as admin:
            admin.execute(statement)

    return run


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_every_command_says_that_the_encoding_will_not_do(botticelli, postgres, server, encoding):
    server(
        f"CREATE DATABASE odd ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
        " TEMPLATE template0"
    )
    botticelli.environ["DATABASE_URL"] = url_of(postgres.ensure(), "odd")
    try:
        for line in COMMANDS:
            ended = botticelli(line)
            assert ended.code in {1, 78}, line
            assert f"has the encoding {encoding}" in ended.out + ended.err, line
            assert "Traceback" not in ended.err
    finally:
        server("DROP DATABASE odd WITH (FORCE)")


def test_every_command_says_that_the_database_is_read_only(botticelli, db):
    db.execute(f"ALTER DATABASE {db.info.dbname} SET default_transaction_read_only = on")

    for line in COMMANDS:
        ended = botticelli(line)
        assert ended.code in {1, 69, 78}, line
        assert "set to read only" in ended.out + ended.err, line
        assert "Traceback" not in ended.err


@contextmanager
def locked(url, statement):
    """Hold a lock in a session of somebody else."""
    with connect(url, application_name="psql") as other, other.transaction(force_rollback=True):
        other.execute(statement)
        yield other.info.backend_pid


@pytest.mark.parametrize(
    "table", ["schema_version", "deliveries", "actor_server_state", "potential_discord_posts"]
)
def test_health_answers_at_once_whatever_is_locked(botticelli, db_url, table):
    with locked(db_url, f"LOCK TABLE {table}") as pid:
        began = time.monotonic()
        ended = botticelli("health")

    assert time.monotonic() - began < 5
    assert ended.code == 1
    assert f"blocked by process {pid} (psql" in ended.out


def test_health_answers_at_once_if_the_server_is_frozen(botticelli, db_url, db):
    pid = int(db.execute("SELECT pg_backend_pid()").fetchone()[0])
    postmaster = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(postmaster, signal.SIGSTOP)
    try:
        began = time.monotonic()
        ended = botticelli("health")
    finally:
        os.kill(postmaster, signal.SIGCONT)

    assert time.monotonic() - began < 5
    assert ended.code == 1
    assert "no answer within 3.5 s" in ended.out


def test_post_says_who_holds_the_post(botticelli, db, db_url, tmp_path):
    (tmp_path / "botticelli.toml").write_text(
        '[destinations.box]\nplatform = "outbox"\nfolder = "out"\n'
    )
    post = approved(db)
    botticelli("post --dry-run")
    with locked(
        db_url, f"SELECT * FROM approved_discord_posts WHERE id = {post} FOR UPDATE"
    ) as pid:
        ended = botticelli("post --now")

    assert ended.code == 75, ended
    assert f"process {pid} (psql" in ended.err


@pytest.mark.parametrize(
    "breaking",
    ["DROP TABLE known_secrets", "DROP TABLE locks CASCADE", "ALTER TABLE runs DROP stage CASCADE"],
)
def test_a_schema_with_something_missing_is_one_line(botticelli, db, breaking):
    db.execute(breaking)

    ended = botticelli("status")

    assert ended.code == 78
    assert ended.err.startswith("botticelli: database: the schema is not what it should be: ")
    assert ended.err.count("\n") == 1
