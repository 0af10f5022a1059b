"""Connections to PostgreSQL, and what its failures mean to a user."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar

import psycopg
from psycopg import conninfo, errors, pq

from botticelli.errors import BotticelliError, ConfigError, Exit, TryLater, Unavailable, UsageError
from botticelli.store import adapters
from botticelli.store.adapters import shaped
from botticelli.store.session import (
    BLOCKED,
    LOCK_TIMEOUT,
    PASSING,
    STATEMENT_TIMEOUT,
    DatabaseSession,
    PooledCursor,
    pauses,
)

Connection: TypeAlias = psycopg.Connection[Any]
Row = TypeVar("Row")
Result = TypeVar("Result")
Given = ParamSpec("Given")

CONNECT_TIMEOUT: Final = 10  # seconds; a host that is down answers nothing at all
ROOM: Final = 20.0  # seconds; how long a server without a free connection is waited for

# A host that vanishes is noticed within about a minute: seconds, seconds, times, milliseconds.
KEEPALIVE: Final[Mapping[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

OLDEST_SERVER: Final = 140000  # as libpq counts: what schema.sql needs

# Whatever changes what we read, or how long we live, wherever else it was set: by ALTER ROLE or
# DATABASE, postgresql.conf, PGOPTIONS or the URL. The search path is the user's, and so is what
# only a superuser may set.
SETTINGS: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO,YMD",  # nobody else's order: it shows that our settings hold
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "xmloption": "content",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "gin_fuzzy_search_limit": "0",
    "row_security": "off",  # a policy that hides rows is an error, not a smaller table
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "lock_timeout": f"{LOCK_TIMEOUT * 1000:.0f}",
    "statement_timeout": f"{STATEMENT_TIMEOUT * 1000:.0f}",
    "idle_session_timeout": "0",  # models think for longer
    "idle_in_transaction_session_timeout": "0",
}
# What is read is found by a key: statistics that are stale, or missing as after a restore, must not
# tempt the planner to read a table of a million rows. Behind a pooler it plans as it likes.
PLANNER: Final[Mapping[str, str]] = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",  # it takes longer than any statement of ours
}
PREPARED: Final = 5  # a statement of a session is planned anew until then; a pooler keeps none
SIGN: Final = "botticelli.session"
SINCE_17: Final = {"transaction_timeout": "0"}

READ_ONLY_BY: Final = """
    SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'
"""

# Poolers keep no settings of a session; most refuse to be asked for any at the start.
POOLER: Final = ("startup parameter", "command-line options", "startup option")
# What the server says at the door has no SQLSTATE in libpq: its English words have to do.
NOT_LET_IN: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
)
FULL: Final = ("too many clients", "remaining connection slots", "too many connections")


def connect(url: str, *, application_name: str = "botticelli") -> Connection:
    """Return an open connection in autocommit mode, whose session has our settings.

    Transactions are opened with `conn.transaction()`, so that each one can be seen in the code.
    What the URL itself says of connecting is stronger than ours.

    Raises:
        ConfigError: The URL cannot be read, the server knows no such user or database, it is too
            old, or the database is not UTF-8.
        DatabaseFull: It has taken no more connections for 20 s.
        Unavailable: The server cannot be reached, or takes no changes.
    """
    given = _parts_of(url)
    asked = {**SETTINGS, **PLANNER, SIGN: "on"}
    spoken = {name: value.replace(" ", "\\ ") for name, value in asked.items()}
    ours = " ".join(f"-c {name}={value}" for name, value in spoken.items())
    theirs = str(given.get("options") or _default("options"))
    parts = {
        **KEEPALIVE,
        "application_name": application_name,
        **({"target_session_attrs": "primary"} if "," in str(given.get("host", "")) else {}),
        **given,
        "client_encoding": "UTF8",
        "options": f"{theirs} {ours}".strip(),
    }
    try:
        try:
            conn = _when_there_is_room(parts)
        except psycopg.OperationalError as error:
            if not any(sign in str(error) for sign in POOLER):
                raise
            conn = _when_there_is_room({**parts, "options": ""})
        adapters.prepare(conn)
        _prepare(conn)
    except psycopg.Error as error:
        raise _refusal(error, url) from error
    conn.reopen = lambda: connect(url, application_name=application_name)
    conn.is_at_home = "search_path" in str(given.get("options"))
    try:
        _examine(conn, place_of(url))
    except BotticelliError:
        conn.close()
        raise
    return conn


def _default(name: str) -> str:
    """Return what libpq takes where the URL does not say it: from PGOPTIONS, a service file."""
    word = name.encode()
    return next(
        (one.val.decode() for one in pq.Conninfo.get_defaults() if one.keyword == word and one.val),
        "",
    )


def _when_there_is_room(parts: Mapping[str, Any]) -> DatabaseSession:
    """Open a session; a server that is full is waited for: most of ours leave it in a moment."""
    until = time.monotonic() + ROOM
    for pause in pauses():
        try:
            # A pooler in between keeps no prepared statements.
            return DatabaseSession.connect(**parts, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError as error:
            is_full = any(sign in str(error) for sign in FULL)
            if not is_full or time.monotonic() + pause > until:
                raise
        time.sleep(pause)
    raise AssertionError("pauses have no end")


def _prepare(conn: DatabaseSession) -> None:
    """See to it that our settings hold, now or in each transaction."""
    conn.settings = SETTINGS
    if conn.info.server_version >= 170000:
        conn.settings = {**SETTINGS, **SINCE_17}
        conn.quietly(b"SET transaction_timeout = 0")
    if conn.info.parameter_status("DateStyle") == "ISO, YMD":
        conn.prepare_threshold = PREPARED
        return
    if conn.execute(f"SELECT current_setting('{SIGN}', true)").fetchone() == ("on",):
        conn.change(**conn.settings)  # PGDATESTYLE and PGTZ come after what we ask for
    else:
        conn.is_pooled = True
        conn.cursor_factory = PooledCursor


def _examine(conn: DatabaseSession, where: str) -> None:
    """Refuse a server with which nothing would go well. All is said already when we come in.

    Raises:
        ConfigError: It is too old, or its database cannot hold every text.
        Unavailable: It is a standby, or somebody closed the database for changes.
    """
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(
            f"the database has the encoding {encoding}, which cannot hold every text",
            where=where,
            hint="make another one (createdb --encoding=UTF8 --template=template0 NAME)"
            " and name it in DATABASE_URL",
        )
    version = conn.info.server_version
    if version < OLDEST_SERVER:
        raise ConfigError(
            f"PostgreSQL {version // 10000} is too old",
            where=where,
            hint="14 or newer is needed: upgrade the server, or unset DATABASE_URL",
        )
    if conn.info.parameter_status("in_hot_standby") == "on":
        raise DatabaseAway(
            "the server is a standby, which takes no changes",
            where=where,
            hint="name the primary in DATABASE_URL, or all of them: host=a,b",
        )
    if conn.info.parameter_status("default_transaction_read_only") == "on":
        _leave_read_only(conn, where)


def _leave_read_only(conn: DatabaseSession, where: str) -> None:
    """Write all the same, unless it is the server or the database that is set to read only.

    Raises:
        Unavailable: It is.
    """
    row = conn.execute(READ_ONLY_BY).fetchone()
    if row is not None and row[0] in {"database", "configuration file", "command line"}:
        raise Unavailable(
            f"the database takes no changes: it is set to read only ({row[0]})",
            where=where,
            hint="when that is over: ALTER DATABASE NAME RESET default_transaction_read_only",
        )
    conn.change(default_transaction_read_only="off")


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
    """Return the rows of a statement, each as a `kind` with a field for every column.

    What only reads is read again when the connection is lost.
    """

    def fetch() -> list[Row]:
        with conn.cursor(row_factory=shaped(kind)) as cursor:
            return cursor.execute(statement, values).fetchall()

    return lasting(conn, fetch) if statement.lstrip().startswith("SELECT") else fetch()


def fetch_one(
    conn: Connection, kind: type[Row], statement: str, values: Mapping[str, Any] | None = None
) -> Row | None:
    """Return the first row of a statement as a `kind`; None if there is none. See fetch_all."""
    return next(iter(fetch_all(conn, kind, statement, values)), None)


class DatabaseAway(Unavailable):
    """The database cannot be reached, or does not work."""


class DatabaseFull(Unavailable):
    """The database has no connection or lock left; nothing was done, the next run may have room."""

    exit_code = Exit.TRY_LATER


class DatabaseBlocked(TryLater):
    """Somebody else's session holds what we need."""


def lasting(
    conn: Connection,
    work: Callable[[], Result],
    *,
    found: Callable[[], Result | None] | None = None,
    pressing: bool = False,
) -> Result:
    """Return what `work` returns; it is done again while the database is away or full.

    `work` may be done twice. An attempt whose answer was lost may have succeeded: `found` is asked
    before another one, and returns what came of it, None if nothing did. `pressing`: what would be
    lost is paid for or sent, so that locks are waited for, too.

    Raises:
        DatabaseAway: The database has not come back while the session's patience lasted.
        DatabaseBlocked: Somebody else's session is in the way.
    """
    for attempt in attempts(conn, pressing=pressing):
        with attempt:
            if attempt.is_again and found is not None and (known := found()) is not None:
                return known
            return work()
    raise AssertionError("attempts end by themselves")


def attempts(conn: Connection, *, pressing: bool = False) -> Iterator["DatabaseAttempt"]:
    """Yield attempts at a work, each a block that swallows a failure after which another comes."""
    attempt = DatabaseAttempt(conn, pressing=pressing)
    for pause in pauses():
        yield attempt
        time.sleep(pause)


class DatabaseAttempt:
    """One attempt after the other at a work that may be done twice. See lasting."""

    is_again = False

    def __init__(self, conn: Connection, *, pressing: bool) -> None:
        self._patience: float | None = None
        if isinstance(conn, DatabaseSession) and conn.heals and conn.is_free:
            self._patience = conn.patience
        self._pressing = pressing
        self._until = 0.0

    def __enter__(self) -> None:
        """Begin an attempt."""
        self._began = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Swallow the failure if another attempt is due."""
        if not isinstance(error, PASSING) or self._patience is None:
            return False
        now = time.monotonic()
        # Who has worked for longer than that had the database meanwhile.
        if not self.is_again or now - self._began > self._patience:
            self._until = now + self._patience
        if now > self._until or (isinstance(error, BLOCKED) and not self._pressing):
            with mapped_errors():
                raise error
        self.is_again = True
        return True


def repeatable(
    *, pressing: bool = False
) -> Callable[
    [Callable[Concatenate[Connection, Given], Result]],
    Callable[Concatenate[Connection, Given], Result],
]:
    """Let a function of a connection be `lasting`: done twice it does no more than once."""

    def made_so(
        work: Callable[Concatenate[Connection, Given], Result],
    ) -> Callable[Concatenate[Connection, Given], Result]:
        @wraps(work)
        def until_done(conn: Connection, /, *args: Given.args, **options: Given.kwargs) -> Result:
            return lasting(conn, lambda: work(conn, *args, **options), pressing=pressing)

        return until_done

    return made_so


def once(conn: Connection, work: Callable[[], Result]) -> Result:
    """Return what `work` returns: one transaction, which comes through once, or not at all.

    Whether one came through whose answer was lost, the server is asked by the transaction's id.

    Raises:
        DatabaseAway: The database has not come back while the session's patience lasted.
    """
    made: list[tuple[str, Result]] = []
    is_outermost = isinstance(conn, DatabaseSession) and conn.heals and conn.is_free

    def attempt() -> Result:
        made.clear()
        with conn.transaction():
            result = work()
            if is_outermost:
                row = conn.execute("SELECT pg_current_xact_id()::text").fetchone()
                made.append((row[0] if row else "", result))
        return result

    def find() -> Result | None:
        for id_, result in made:
            row = conn.execute("SELECT pg_xact_status(%s::text::xid8)", (id_,)).fetchone()
            if row == ("in progress",):  # its server process has not noticed yet that we are gone
                raise psycopg.OperationalError("a transaction has not ended yet")
            if row == ("committed",):
                return result
        return None

    return lasting(conn, attempt, found=find, pressing=True)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn a database that goes away, or refuses to work, into our own errors.

    Raises:
        TryLater: Somebody else's session holds what we need.
        Unavailable: The connection was lost, or the server is full, read-only or shutting down.
        ConfigError: The database's user may not do what we do, or something of ours is not there.
        UsageError: A value is none that the database can hold: NUL in a text, an id of 30 digits.
    """
    try:
        yield
    except psycopg.DataError as error:
        raise UsageError(f"a value is out of bounds: {_first_line(error)}") from error
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction) as error:
        raise ConfigError(
            f"the schema is not what it should be: {error.diag.message_primary}",
            where="database",
            hint="botticelli db migrate",
        ) from error
    except errors.LockNotAvailable as error:
        raise _blocked(error) from error
    except PASSING as error:
        raise _failure(error) from error
    except errors.InsufficientPrivilege as error:
        hint = "GRANT it to the user in DATABASE_URL, or connect as the owner"
        raise ConfigError(_first_line(error), where="database", hint=hint) from error


def _blocked(error: psycopg.Error) -> DatabaseBlocked:
    """Return who is in the way, as the session has seen while it waited."""
    seen = getattr(error, "__notes__", ())
    who = "; ".join(seen) or "another session"
    end = "let it COMMIT, or end it: botticelli db psql -c 'SELECT pg_terminate_backend({})'"
    pid = seen[0].split()[1] if seen else "PID"
    return DatabaseBlocked(f"blocked by {who}", where="database", hint=end.format(pid))


def _failure(error: psycopg.Error) -> DatabaseAway | DatabaseFull:
    if isinstance(error, errors.OutOfMemory):
        what, hint = "the server has no lock left", "try again, or raise max_locks_per_transaction"
        return DatabaseFull(what, where="database", hint=hint)
    hint = "look at the server's log, then run the command again"
    if isinstance(error, errors.DiskFull):
        hint = "make room on the server's disk, then run the command again"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        hint = "name the primary in DATABASE_URL, or end what keeps the database read-only"
    if isinstance(error, BLOCKED) and (seen := getattr(error, "__notes__", ())):
        hint = f"it waited for {'; '.join(seen)}"
    return DatabaseAway(f"the database failed: {_first_line(error)}", where="database", hint=hint)


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
        return DatabaseFull(
            f"the database takes no more connections: {words}",
            where=where,
            hint="try again, or raise max_connections",
        )
    return DatabaseAway(
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
    picked = next((line for line in lines if "failed:" in line), [*lines, "no reason given"][0])
    return picked.rpartition("failed: ")[2]
