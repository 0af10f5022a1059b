"""Copies of the database by PostgreSQL's own pg_dump and pg_restore."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from psycopg import conninfo

from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.store.connection import Connection

MAGIC: Final = b"PGDMP"  # how a file of pg_dump --format=custom begins


def find(conn: Connection, name: str, *, folders: Iterable[Path]) -> Path:
    """Return the oldest program of that name that is not older than the server.

    An older one refuses the server; a much newer pg_restore sends what the server does not know.

    Raises:
        ConfigError: No such program is installed.
    """
    server = conn.info.server_version // 10000
    found = {_major(folder / name): folder / name for folder in folders}
    fitting = sorted(major for major in found if major >= server)
    if not fitting:
        raise ConfigError(
            f"there is no {name} of PostgreSQL {server} or newer",
            where="db",
            hint=f"install postgresql-client-{server}",
        )
    return found[fitting[0]]


def _major(program: Path) -> int:
    try:
        said = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [program, "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    number = re.search(r"(\d+)\.", said)
    return int(number[1]) if number else 0


def backup(url: str, file: Path, *, program: Path, environ: Mapping[str, str]) -> int:
    """Write the whole database into `file` and return its size in bytes.

    The file is readable by its owner only, and complete or not there.

    Raises:
        Unavailable: pg_dump failed.
        UsageError: The file cannot be written.
    """
    target, secret = _without_password(url)
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.touch(mode=0o600)
        words = ["--format=custom", "--no-owner", f"--file={partial}", f"--dbname={target}"]
        _run(program, *words, environ={**environ, **secret})
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(file)) from error
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def restore(url: str, file: Path, *, program: Path, environ: Mapping[str, str]) -> None:
    """Put the database of `file` in place of the one that is there, as one transaction.

    Raises:
        Unavailable: pg_restore failed; nothing has changed.
        UsageError: The file is not a backup of ours.
    """
    try:
        with file.open("rb") as opened:
            is_backup = opened.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from error
    if not is_backup:
        raise UsageError("is not a backup of ours", where=str(file), hint="name one of `db backup`")
    target, secret = _without_password(url)
    words = ["--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error"]
    words.append("--no-privileges")  # a role that a new server does not have would refuse it all
    _run(program, *words, f"--dbname={target}", str(file), environ={**environ, **secret})


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL as a connection string without its password, which goes by a variable.

    The command line of a process can be read by everybody on the machine.
    """
    parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    password = parts.pop("password", "")
    return conninfo.make_conninfo("", **parts), {"PGPASSWORD": password} if password else {}


def _run(program: Path, *words: str, environ: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [program, *words],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        reason = next((line for line in said if "error:" in line), said[-1])
        raise Unavailable(
            reason.rpartition("error: ")[2],
            where=program.name,
            hint="use PostgreSQL programs of the server's version or newer",
        )
