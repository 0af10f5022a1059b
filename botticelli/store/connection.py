"""Connections to PostgreSQL, and what its failures mean to a user."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import conninfo, errors
from psycopg.rows import class_row

from botticelli.errors import BotticelliError, ConfigError, Unavailable

Connection: TypeAlias = psycopg.Connection[Any]
Row = TypeVar("Row")

CONNECT_TIMEOUT: Final = 10  # seconds; a host that is down answers nothing at all

# A host that vanishes is noticed within about a minute: seconds, seconds, times, milliseconds.
KEEPALIVE: Final[Mapping[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

SET_UTC: Final = "SET TimeZone = 'UTC'"

# What the server says at the door has no SQLSTATE in libpq: its English words have to do.
NOT_LET_IN: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
)
FULL: Final = ("too many clients", "remaining connection slots", "too many connections")


def connect(url: str, *, application_name: str = "botticelli") -> Connection:
    """Return an open connection in autocommit mode, with its session in UTC.

    Transactions are opened with `conn.transaction()`, so that each one can be seen in the code.
    What the URL itself says of timeouts is stronger than ours.

    Raises:
        ConfigError: The URL cannot be read, or the server knows no such user or database.
        Unavailable: The server cannot be reached, or takes no more connections.
    """
    given = _parts_of(url)
    try:
        conn = psycopg.connect(
            **{**KEEPALIVE, "application_name": application_name, **given},
            autocommit=True,
            prepare_threshold=None,  # a pooler in between (pgbouncer) keeps no prepared statements
        )
        # Not by `options`, which pgbouncer refuses. Our own server speaks UTC from the start.
        if conn.info.parameter_status("TimeZone") not in {"UTC", "Etc/UTC"}:
            conn.execute(SET_UTC)
    except psycopg.Error as error:
        raise _refusal(error, url) from error
    return conn


def _parts_of(url: str) -> dict[str, Any]:
    """Return the URL's parts.

    The messages name none of them: in a URL that is read wrongly, any may be the password.

    Raises:
        ConfigError: It is none, or a character of its password reads as a part of the rest.
    """
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigError(
            "DATABASE_URL is not a PostgreSQL URL",
            hint="write postgresql://USER:PASSWORD@HOST:5432/NAME",
        ) from None  # libpq's words repeat the whole URL
    port = str(parts.get("port") or 5432)
    astray = "@" in f"{parts.get('host')}{parts.get('dbname')}"
    if astray or not all(number.isdigit() and int(number) < 65536 for number in port.split(",")):
        raise ConfigError(
            "host, port and database cannot be told apart",
            where="DATABASE_URL",
            hint="write special characters of the password as %40 for @, %2F for /, %3A for :",
        )
    return parts


def fetch_all(
    conn: Connection, kind: type[Row], statement: str, values: Mapping[str, Any] | None = None
) -> list[Row]:
    """Return the rows of a statement, each as a `kind` with a field for every column."""
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement, values).fetchall()


def fetch_one(
    conn: Connection, kind: type[Row], statement: str, values: Mapping[str, Any] | None = None
) -> Row | None:
    """Return the first row of a statement as a `kind`; None if there is none."""
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement, values).fetchone()


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn a database that goes away, or refuses to work, into our own errors.

    Raises:
        Unavailable: The connection was lost, or the server is full, read-only or shutting down.
        ConfigError: The database's user may not do what we do.
    """
    try:
        yield
    except (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        errors.ReadOnlySqlTransaction,
    ) as error:
        raise Unavailable(
            f"the database failed: {_first_line(error)}",
            where="database",
            hint="look at the server's log and run the command again; nothing was lost",
        ) from error
    except errors.InsufficientPrivilege as error:
        raise ConfigError(
            _first_line(error),
            where="database",
            hint="GRANT it to the user in DATABASE_URL, or connect as the owner",
        ) from error


def _refusal(error: psycopg.Error, url: str) -> BotticelliError:
    where = place_of(url)
    reason = _first_line(error)
    words = reason.rpartition("FATAL:")[2].strip()
    if any(sign in reason for sign in NOT_LET_IN):
        return ConfigError(
            f"the database does not let us in: {words}", where=where, hint="check DATABASE_URL"
        )
    if "does not exist" in reason and ("database" in reason or "role" in reason):
        return ConfigError(
            words, where=where, hint="create it (createdb, createuser) or check DATABASE_URL"
        )
    if any(sign in reason for sign in FULL):
        return Unavailable(
            f"the database takes no more connections: {words}",
            where=where,
            hint="try again, or raise max_connections",
        )
    return Unavailable(
        f"the database cannot be reached: {reason}",
        where=where,
        hint="start the server, or check DATABASE_URL (unset: the embedded PostgreSQL is used)",
    )


def place_of(url: str) -> str:
    """Return host, port and database of a URL, for messages; never the password."""
    try:
        parts = _parts_of(url)
    except ConfigError:
        return "DATABASE_URL"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"postgresql://{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"


def _first_line(error: BaseException) -> str:
    """Return the last of libpq's attempts in one line, without its preamble."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    picked = next(
        (line for line in lines if "failed:" in line), lines[0] if lines else "no reason given"
    )
    return picked.rpartition("failed: ")[2]
