"""Our own PostgreSQL: made on demand, shared, and there again after any violence."""

import fcntl
import os
import signal
import stat
import threading
import time
from pathlib import Path

import psycopg
import pytest

from botticelli.errors import Unavailable
from botticelli.store.embedded import files, roles
from botticelli.store.embedded.server import Embedded
from botticelli.store.reads.doctor import differences
from botticelli.store.schema import apply_schema
from tests.store.servers import (
    HASTY,
    begin_elsewhere,
    kill_postmaster,
    start_elsewhere,
    wait_until,
)

pytestmark = pytest.mark.slow  # whole commands and servers, seconds each


@pytest.fixture
def server(postgres_home):
    """A server that was never started, in a folder of its own."""
    return Embedded(postgres_home / "postgres", settings=HASTY)


def one(url, query):
    with psycopg.connect(url, autocommit=True) as conn:
        return conn.execute(query).fetchone()[0]


def test_the_first_command_makes_a_private_server(postgres_home):
    server = Embedded(postgres_home / "state" / "postgres")

    url = server.ensure()

    assert one(url, "SELECT current_user || '@' || current_database()") == "botticelli@botticelli"
    assert one(url, "SHOW server_encoding") == "UTF8"
    assert one(url, "SHOW fsync") == "on"
    assert one(url, "SHOW listen_addresses") == ""
    assert one(url, "SELECT lower('ÉCOLE')") == "école"
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert (server.socket_folder / ".s.PGSQL.5432").is_socket()
    assert server.socket_folder == server.folder


def test_a_running_server_is_reached_without_lock_or_process(server):
    url = server.ensure()

    with (server.folder / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        again = Embedded(server.folder, binaries=Path("/nowhere")).ensure()

    assert again == url


def test_many_commands_on_an_empty_machine_make_one_server(server):
    starters = [begin_elsewhere(server.folder) for _ in range(8)]

    said = [process.communicate(timeout=60)[0] for process in starters]

    assert [process.returncode for process in starters] == [0] * 8
    assert len({pid.strip() for pid in said}) == 1


def test_the_server_outlives_its_starter_and_its_pipes(server):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)

    pid, _ = start_elsewhere(server.folder)

    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == ""  # would wait for ever if the server held the other end
    assert server.status().pid == pid
    assert server.status().running


def test_ctrl_c_ends_the_command_and_not_the_server(server):
    starter = begin_elsewhere(server.folder, act="time.sleep(60)")
    pid = int(starter.stdout.readline().split()[0])

    os.killpg(starter.pid, signal.SIGINT)
    starter.communicate(timeout=30)

    assert starter.returncode != 0
    assert server.status().pid == pid
    assert one(server.ensure(), "SELECT 1") == 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_the_server_gets_none_of_our_variables(server):
    pid, _ = start_elsewhere(server.folder, environ={"DISCORD_TOKEN": "hush", "PGPORT": "1"})

    assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_killed_server_is_there_again_with_all_that_was_committed(postgres_home):
    server = Embedded(postgres_home / "postgres")  # fsync on, as in earnest
    with psycopg.connect(server.ensure(), autocommit=True) as guest:
        guest.execute("CREATE TABLE kept (id int)")
        guest.execute("INSERT INTO kept VALUES (1)")
        kill_postmaster(server)

        url = server.ensure()

    assert one(url, "SELECT count(*) FROM kept") == 1


def test_a_server_whose_socket_was_removed_is_started_again_at_once(server):
    with psycopg.connect(server.ensure(), autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS one")
    (server.socket_folder / ".s.PGSQL.5432").unlink()
    assert (server.status().running, server.status().pid is None) == (False, False)

    began = time.monotonic()
    url = server.ensure()

    assert time.monotonic() - began < 30
    assert one(url, "SELECT one FROM kept") == 1


def test_a_reused_pid_does_not_keep_the_server_from_starting(server):
    server.ensure()
    kill_postmaster(server, and_wait=True)
    left = server.data / "postmaster.pid"
    left.write_text(left.read_text().replace(left.read_text().split("\n")[0], str(os.getpid()), 1))

    assert one(server.ensure(), "SELECT 1") == 1
    assert server.status().pid != os.getpid()


def test_a_kill_while_the_cluster_is_made_leaves_no_half_one(server):
    starter = begin_elsewhere(server.folder)
    wait_until((server.folder / "data.new" / "PG_VERSION").exists)

    starter.kill()
    starter.communicate(timeout=30)

    assert not server.data.exists()
    assert one(server.ensure(), "SELECT 1") == 1


def test_a_kill_before_the_database_is_made_is_made_good(server):
    server.ensure()
    with psycopg.connect(server.ensure().replace("/botticelli?", "/postgres?")) as conn:
        conn.autocommit = True
        conn.execute("DROP DATABASE botticelli")

    assert one(server.ensure(), "SELECT current_database()") == "botticelli"


def test_stop_ends_the_server_whoever_is_connected(server):
    with psycopg.connect(server.ensure()):
        assert server.stop()

    assert not server.stop()
    assert not server.status().running
    assert one(server.ensure(), "SELECT 1") == 1


def test_stopping_what_never_was_makes_nothing(server):
    assert not server.stop()
    assert not server.folder.exists()


def test_status_tells_what_is_there_and_starts_nothing(server):
    before = server.status()
    server.ensure()
    running = server.status()
    server.stop()
    after = server.status()

    assert (before.running, before.pid, before.size, before.version) == (False, None, 0, "")
    assert running.running
    assert running.pid
    assert running.size > 20_000_000
    assert (after.running, after.pid, after.version) == (False, None, running.version)


def test_psql_comes_with_the_server(server):
    assert os.access(server.psql(), os.X_OK)


@pytest.mark.parametrize("name", ["x" * 120, "a $HOME `b` \"c\" 'd', e%20 \\f é"])
def test_any_folder_name_will_do(postgres_home, name):
    server = Embedded(postgres_home / name / "postgres", settings=HASTY)

    assert one(server.ensure(), "SELECT 1") == 1
    assert server.status().pid
    assert server.stop()


def test_two_spellings_of_a_folder_are_one_server(postgres_home):
    server = Embedded(postgres_home / "postgres", settings=HASTY)
    server.ensure()
    (postgres_home / "link").symlink_to(postgres_home / "postgres")

    again = Embedded(postgres_home / "link", binaries=Path("/nowhere"))

    assert again.ensure() == server.ensure()


def test_the_port_of_another_server_in_the_variables_does_not_mislead(server, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")

    assert one(server.ensure(), "SELECT 1") == 1


def test_a_long_path_never_leads_to_a_folder_of_somebody_else(postgres_home):
    server = Embedded(postgres_home / ("x" * 120), settings=HASTY)
    server.socket_folder.mkdir(mode=0o777)
    server.socket_folder.chmod(0o777)

    with pytest.raises(Unavailable, match="alone"):
        server.ensure()

    server.socket_folder.rmdir()


def test_an_open_folder_with_things_in_it_is_refused(server):
    server.folder.mkdir()
    server.folder.chmod(0o755)
    (server.folder / "mine").touch()

    with pytest.raises(Unavailable, match="chmod 700"):
        server.ensure()


def test_data_of_another_major_version_is_left_alone(server):
    server.ensure()
    server.stop()
    (server.data / "PG_VERSION").write_text("12\n")

    with pytest.raises(Unavailable, match=r"the data is of PostgreSQL 12.*; install PostgreSQL 12"):
        server.ensure()


def test_missing_programs_are_named(postgres_home, tmp_path):
    with pytest.raises(Unavailable, match=r"no PostgreSQL programs.*; pip install"):
        Embedded(postgres_home / "postgres", binaries=tmp_path).ensure()


def test_a_folder_that_cannot_be_is_one_line(postgres_home):
    (postgres_home / "file").touch()

    with pytest.raises(Unavailable, match="Not a directory") as raised:
        Embedded(postgres_home / "file" / "postgres").ensure()

    assert str(raised.value).count("\n") == 0


def test_a_setting_that_postgres_refuses_is_told_in_its_words(postgres_home):
    server = Embedded(postgres_home / "postgres", settings=(*HASTY, "shared_buffers=banana"))

    with pytest.raises(Unavailable, match=r"invalid value for parameter .shared_buffers"):
        server.ensure()


def test_in_a_unit_the_starter_ends_the_server(server):
    start_elsewhere(server.folder, act="server.release()")

    assert not files.is_alive(server.folder)


def test_in_a_unit_the_server_waits_for_other_processes(server):
    ours = Embedded(server.folder, settings=HASTY, stop_when_last=True)
    guest = psycopg.connect(ours.ensure(), autocommit=True)
    leaver = threading.Timer(0.3, guest.close)
    guest.execute("SELECT 1")

    leaver.start()
    ours.release()

    assert guest.closed
    assert not guest.broken  # it left, it was not thrown out
    assert not files.is_alive(server.folder)


def test_who_did_not_start_the_server_does_not_end_it(server):
    server.ensure()
    other = Embedded(server.folder, stop_when_last=True)
    other.ensure()

    other.release()

    assert server.status().running


# -- the role that works there


def test_our_role_is_no_superuser(server):
    url = server.ensure()

    assert not one(url, "SELECT rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls FROM"
                        " pg_roles WHERE rolname = current_user")  # fmt: skip
    assert (
        one(url, "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole") == 0
    )


@pytest.fixture
def old(server, monkeypatch):
    """A server as versions before 5 made it: one role, the first superuser; it has been stopped."""
    with monkeypatch.context() as patched:
        patched.setattr(roles, "SUPERUSER", roles.NAME)
        patched.setattr(roles, "CREATE", "SELECT 1")
        patched.setattr(roles, "demote", lambda url_of: None)
        with psycopg.connect(server.ensure(), autocommit=True) as conn:
            apply_schema(conn)
            conn.execute(
                "CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN short AS text;"
                ' CREATE TABLE "my ""own" (id serial, m mood, s short[], g int GENERATED ALWAYS'
                " AS IDENTITY); CREATE SEQUENCE alone; CREATE MATERIALIZED VIEW m AS SELECT 1 AS x;"
                " CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA room;"
                " CREATE TABLE room.t (a int); CREATE EXTENSION hstore; SELECT lo_create(4711);"
                " CREATE EXTENSION pg_stat_statements; INSERT INTO room.t VALUES (42)"
            )
            conn.execute('CREATE DATABASE "an other"')
        server.stop()
    return server


def check_plain(server):
    """Our role is no superuser, and may do with the old database what it could."""
    url = server.ensure()
    assert not one(url, roles.IS_SUPERUSER)
    with psycopg.connect(url, autocommit=True) as conn:
        assert differences(conn) == ()
        apply_schema(conn)
        assert conn.execute("SELECT a FROM room.t").fetchall() == [(42,)]
        conn.execute('INSERT INTO "my ""own" DEFAULT VALUES; DROP TABLE "my ""own"')
        conn.execute("DROP SCHEMA room CASCADE; DROP TYPE mood; DROP DOMAIN short")
        conn.execute("DROP PROCEDURE p; DROP MATERIALIZED VIEW m; DROP SEQUENCE alone")
        conn.execute("SELECT lo_unlink(4711)")
        conn.execute('ALTER DATABASE "an other" RENAME TO "another"')
        conn.execute("DROP DATABASE another")


def test_an_old_cluster_gets_such_a_role_with_all_that_was_there(old):
    check_plain(old)


def test_a_running_old_server_gets_one_before_a_restore(old, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(roles, "demote", lambda url_of: None)
        old.ensure()
    assert one(old.ensure(), roles.IS_SUPERUSER)

    old.harden()

    check_plain(old)


def test_a_kill_while_the_roles_are_exchanged_is_made_good(old, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(roles, "EXCHANGE", "SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(psycopg.OperationalError):
            old.ensure()

    old.stop()

    check_plain(old)
