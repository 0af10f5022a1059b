"""Copies of the database by PostgreSQL's own pg_dump and pg_restore."""

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from psycopg import conninfo, pq

from botticelli import files
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.store.connection import Connection
from botticelli.store.embedded.files import major_version
from botticelli.store.maintenance.statements import LONGEST

MAGIC: Final = b"PGDMP"  # how a file of pg_dump --format=custom begins
# Sessions: secrets, which are soon replaced; what was revoked since is not to come back.
NOT_KEPT: Final = tuple(f"--exclude-table-data=*.{name}" for name in ("kept_sessions", "desk_keys"))


def find(conn: Connection, name: str, *, folders: Iterable[Path]) -> Path:
    """Return the oldest program of that name that is not older than the server.

    An older one refuses the server; a much newer pg_restore sends what the server does not know.

    Raises:
        ConfigError: No such program is installed.
    """
    server = conn.info.server_version // 10000
    found = {major_version(folder / name): folder / name for folder in folders}
    fitting = sorted(major for major in found if major >= server)
    if not fitting:
        raise ConfigError(
            f"there is no {name} of PostgreSQL {server} or newer",
            where="db",
            hint=f"install postgresql-client-{server}",
        )
    return found[fitting[0]]


def backup(url: str, file: Path, *, program: Path, environ: Mapping[str, str]) -> int:
    """Write the whole database into `file` and return its size in bytes.

    The file is readable by its owner only, and complete or not there.

    Raises:
        Unavailable: pg_dump failed.
        UsageError: The file cannot be written.
    """
    target, secret = without_password(url)
    try:
        with files.written(file, mode=0o600) as output:
            ended = subprocess.run(  # noqa: S603 - PostgreSQL's own program
                [program, "--format=custom", "--no-owner", *NOT_KEPT, f"--dbname={target}"],
                env={**environ, **secret},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if ended.returncode:
                raise _failure(program, ended.stderr)
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(file)) from error
    return file.stat().st_size


@contextmanager
def opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a backup.

    Raises:
        UsageError: The file is not a backup of ours.
    """
    try:
        stream = os.fdopen(os.open(file, files.READ), "rb")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from error
    with stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) or stream.read(len(MAGIC)) != MAGIC:
            raise UsageError(
                "is not a backup of ours", where=str(file), hint="name one of `db backup`"
            )
        yield stream


def lines(stream: IO[bytes], *, program: Path) -> Iterator[bytes]:
    """Yield the lines of SQL that pg_restore makes of a backup; it gets no database and no secret.

    A line of more than LONGEST bytes comes in parts, so that no file takes all of the memory.

    Raises:
        Unavailable: pg_restore cannot read it.
    """
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    words = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--file=-"]
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
            [program, *words],
            env={"LC_ALL": "C"},
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdout is not None
        yield from iter(partial(process.stdout.readline, LONGEST), b"")
        if process.wait():
            errors.seek(0)
            raise _failure(program, errors.read())


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL as a connection string without its secrets, and variables that hold them.

    The command line of a process can be read by everybody on the machine.

    Raises:
        ConfigError: PostgreSQL's programs take one of them on their command line alone.
    """
    parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    secret: dict[str, str] = {}
    for option in pq.Conninfo.get_defaults():
        name = option.keyword.decode()
        if name in parts and option.dispchar == b"*":
            if not option.envvar:
                raise ConfigError(
                    f"{name} would stand in the command line of PostgreSQL's programs",
                    where="DATABASE_URL",
                    hint="name it in ~/.pg_service.conf and write service=NAME",
                )
            secret[option.envvar.decode()] = parts.pop(name)
    return conninfo.make_conninfo("", **parts), secret


def _failure(program: Path, told: str) -> Unavailable:
    said = told.strip().splitlines() or ["no reason given"]
    reason = next((line for line in said if "error:" in line), said[-1])
    return Unavailable(
        reason.rpartition("error: ")[2],
        where=program.name,
        hint="use PostgreSQL programs of the server's version or newer",
    )
