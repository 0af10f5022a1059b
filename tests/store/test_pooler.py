"""Behind PgBouncer in transaction mode: a moment later our server session is another's."""

import getpass
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest

from botticelli.store import locks, runs
from botticelli.store.connection import connect
from tests.database import approved, ensure_schema
from tests.store.test_door import EXPECTED, READ, WRONG

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="pgbouncer is not installed")


def carry(source, target):
    """Hand on what comes in, until one side ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()


@pytest.fixture
def on_tcp(db):
    """A port that leads to the socket of the test's server, which only its owner can reach."""
    path = f"{db.info.host}/.s.PGSQL.5432"
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve():
            while True:
                try:
                    near, _ = door.accept()
                except OSError:
                    return
                far = socket.socket(socket.AF_UNIX)
                far.connect(path)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=["", "ignore_startup_parameters = options,extra_float_digits\n"])
def pooled(request, db, on_tcp):
    """The URL of the test's database through a pooler with two server sessions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = db.info.dbname
    user = ["-u", "nobody"] if getpass.getuser() == "root" else []
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
        Path(config.name).chmod(0o644)
        config.write(
            f"[databases]\n{name} = host=127.0.0.1 port={on_tcp} dbname={name} user=botticelli\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n{request.param}"
        )
        config.flush()
        with subprocess.Popen([PGBOUNCER, "-q", *user, config.name]) as process:
            url = f"postgresql://botticelli@127.0.0.1:{port}/{name}"
            try:
                wait_for(url)
                yield url
            finally:
                process.terminate()


def wait_for(url):
    for _ in range(100):
        try:
            psycopg.connect(url, options="", connect_timeout=3).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("pgbouncer does not let us in")


def test_our_settings_hold_in_every_statement(pooled, db):
    for name, value in WRONG.items():
        if not name.endswith("timeout"):
            db.execute(f"ALTER DATABASE {db.info.dbname} SET {name} = '{value}'")

    with connect(pooled) as one, connect(pooled) as two:
        assert one.is_pooled
        assert one.prepare_threshold is None
        for conn in (one, two, one, two):
            assert conn.execute(READ).fetchone() == EXPECTED
            with conn.transaction():
                assert conn.execute(READ).fetchone() == EXPECTED
                assert conn.execute("SHOW statement_timeout").fetchone() == ("2min",)


def test_nothing_of_ours_stays_in_a_session_of_others(pooled):
    with connect(pooled) as conn:
        conn.execute("SELECT 1")
    with psycopg.connect(pooled, options="", autocommit=True) as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_locks_runs_and_posts_work(pooled, db, botticelli, tmp_path):
    (tmp_path / "botticelli.toml").write_text(
        '[destinations.box]\nplatform = "outbox"\nfolder = "out"\n'
    )
    botticelli.environ["DATABASE_URL"] = pooled
    approved(db, "Hello through a pooler")

    ended = [botticelli(line).code for line in ("db migrate", "post --now", "status", "health")]

    assert ended[:3] == [0, 0, 0]
    assert db.execute("SELECT state FROM deliveries").fetchall() == [("posted",)]


def test_a_pooler_that_restarts_its_sessions_is_outlived(pooled, db):
    with connect(pooled) as conn:
        conn.heals = True
        ensure_schema(conn)
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        time.sleep(0.2)
        assert isinstance(runs.read_state(conn, "post").is_paused, bool)
        assert locks.find(conn, "post") is None
