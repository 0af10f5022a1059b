"""Starting our own PostgreSQL from other processes, and doing it violence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import botticelli
from botticelli.store.embedded import files
from botticelli.store.embedded.server import Embedded

ROOT = Path(botticelli.__file__).parents[1]
IS_ROOT = os.geteuid() == 0
HASTY = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")

# What a child does: become somebody, start the server, say its pid, act.
CHILD = """
import contextlib, ctypes, os, pwd, signal, sys, time
import encodings.ascii, encodings.idna, encodings.latin_1
from pathlib import Path
import psycopg
from botticelli.store.embedded.server import Embedded
with contextlib.suppress(psycopg.OperationalError):
    psycopg.connect("host=/nonexistent")  # everything is loaded before we are somebody else
folder, binaries, uid, act = sys.argv[1:]
if uid:
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: as if we had begun as that user
server = Embedded(
    Path(folder), binaries=Path(binaries) if binaries else None,
    settings=("fsync=off", "full_page_writes=off"), stop_when_last="release" in act,
)
with psycopg.connect(server.ensure()) as conn:
    user, name = conn.execute("SELECT current_user, current_database()").fetchone()
    assert (user, name) == ("botticelli", "botticelli"), (user, name)
    pid = server.status().pid
    print(pid, os.stat(f"/proc/{pid}").st_uid, flush=True)
exec(act)
"""


def command(folder, *, binaries="", uid="", act=""):
    """Return the command line of a process that starts the server in `folder`."""
    return [sys.executable, "-c", CHILD, str(folder), str(binaries), str(uid), act]


def start_elsewhere(folder, *, prefix=(), environ=None, **options):
    """Start the server from another process, which has ended when this returns.

    Returns the server's pid, and its user as that process saw it: it may be gone by now.
    """
    ended = subprocess.run(
        [*prefix, *command(folder, **options)],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,  # a server that kept our pipes would hang us here
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    pid, owner, *_ = ended.stdout.split()
    return int(pid), int(owner)


def begin_elsewhere(folder, **options):
    """Begin the same and return the process, in a group of its own as a shell makes it."""
    return subprocess.Popen(
        command(folder, **options),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, *, seconds=30):
    """Return as soon as `condition()` is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def kill_postmaster(server: Embedded, *, and_wait=False):
    """Kill the server's first process with no chance to tidy up."""
    os.kill(server.status().pid, signal.SIGKILL)
    if and_wait:
        wait_until(lambda: not files.is_alive(server.folder))
