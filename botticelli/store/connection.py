"""Connections to PostgreSQL, and what its failures mean to a user."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import conninfo, errors

from botticelli.errors import BotticelliError, ConfigError, Unavailable

Connection: TypeAlias = psycopg.Connection[Any]

CONNECT_TIMEOUT: Final = 10  # seconds; a host that is down answers nothing at all

# A host that vanishes is noticed within about a minute: seconds, seconds, times, milliseconds.
KEEPALIVE: Final[Mapping[str, Any]] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def connect(url: str, *, application_name: str = "botticelli") -> Connection:
    """Return an open connection in autocommit mode, with its session in UTC.

    Transactions are opened with `conn.transaction()`, so that each one can be seen in the code.

    Raises:
        ConfigError: The URL cannot be read, or the server knows no such user or database.
        Unavailable: The server cannot be reached, or takes no more connections.
    """
    try:
        conn = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=None,  # a pooler in between (pgbouncer) keeps no prepared statements
            connect_timeout=CONNECT_TIMEOUT,
            application_name=application_name,
            options=_session_options(url),
            **KEEPALIVE,
        )
    except psycopg.Error as error:
        raise _refusal(error, url) from error
    return conn


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn a database that goes away, or refuses to work, into our own errors.

    Raises:
        Unavailable: The connection was lost, or the server is full, read-only or shutting down.
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
            mend="look at the server's log and run the command again; nothing was lost",
        ) from error


def _session_options(url: str) -> str:
    """Return the URL's own session options with ours behind them."""
    try:
        given = conninfo.conninfo_to_dict(url).get("options") or ""
    except psycopg.ProgrammingError:
        given = ""  # connect() says what is wrong with the URL
    return f"{given} -c TimeZone=UTC".strip()


def _refusal(error: psycopg.Error, url: str) -> BotticelliError:
    where = place_of(url)
    reason = _first_line(error)
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigError(
            "DATABASE_URL is not a PostgreSQL URL",
            where=where,
            mend="write postgresql://USER:PASSWORD@HOST:5432/NAME",
        )
    if "password authentication failed" in reason or "no password supplied" in reason:
        return ConfigError(
            "the database does not accept this user and password",
            where=where,
            mend="check DATABASE_URL",
        )
    if "does not exist" in reason and ("database" in reason or "role" in reason):
        return ConfigError(
            reason.rpartition("FATAL:")[2].strip(),
            where=where,
            mend="create it (createdb, createuser) or check DATABASE_URL",
        )
    return Unavailable(
        f"the database cannot be reached: {reason}",
        where=where,
        mend="start the server, or check DATABASE_URL (unset: the embedded PostgreSQL is used)",
    )


def place_of(url: str) -> str:
    """Return host, port and database of a URL, for messages; never the password."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
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
