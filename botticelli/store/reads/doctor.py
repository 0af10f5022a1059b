"""What `doctor` and `db doctor` ask: the server, its clock, its schema, what killed runs have left.

Nothing is changed, and nothing waits for long: `read_only` sets limits and rolls everything back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from psycopg import errors, sql

from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, mapped_errors
from botticelli.store.schema import schema_text

OLDEST_SERVER: Final = 140000  # as libpq counts: what schema.sql needs

LIMITS: Final = "SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '3s'"


@contextmanager
def read_only(conn: Connection) -> Iterator[None]:
    """Run the block in one transaction that is rolled back, with time limits."""
    with conn.transaction(force_rollback=True):
        conn.execute(LIMITS)
        yield


@contextmanager
def part(conn: Connection) -> Iterator[None]:
    """Read something inside `read_only` whose failure must not stop the rest.

    Raises:
        ConfigError: The schema is not what this program reads, or the user may not read it.
        Unavailable: The server gave up, or took too long.
    """
    with mapped_errors(), conn.transaction():
        yield


@record
class Server:
    """The server behind a connection.

    Args:
        version: As libpq counts: 180006 is 18.6.
        is_writable: False: a standby, or a database that is set to read only.
    """

    version: int
    now: datetime
    is_writable: bool


# The server's own clock is looked at; there may be no schema yet, and no botticelli_now().
SERVER: Final = """
    SELECT now(),
           NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'
               AS is_writable
"""


def server(conn: Connection) -> Server:
    """Return what the server is and what time it is there. One query."""
    row = conn.execute(SERVER).fetchone()
    assert row is not None
    return Server(version=conn.info.server_version, now=row[0], is_writable=row[1])


@record
class CleanupFinding:
    """Rows of one kind that should have been settled.

    Args:
        kind: items, candidates, uncertain, retrying, adapting, runs, held or failed.
        oldest: Seconds since the oldest of them should have been settled.
        reason: Why, for one of them; empty if not recorded.
    """

    kind: str
    count: int
    oldest: float
    reason: str

    @property
    def age(self) -> timedelta:
        """The same as a timedelta."""
        return timedelta(seconds=self.oldest)


# A run without a lock (stage "run") may take as long as it likes: it is never taken for killed.
CLEANUP: Final = """
    WITH t AS (SELECT botticelli_now() AS now),
         unsettled (kind, since, reason) AS (
        SELECT 'items', i.lease_expires_at, i.last_error
          FROM generation_items AS i, t
         WHERE i.state = 'running' AND i.lease_expires_at <= t.now
        UNION ALL
        SELECT 'candidates', c.lease_expires_at, c.last_error
          FROM potential_discord_posts AS c, t
         WHERE c.review_status = 'judging' AND c.lease_expires_at <= t.now
        UNION ALL
        SELECT 'uncertain', coalesce(d.sent_at, d.lease_expires_at), d.last_error
          FROM deliveries AS d, t
         WHERE d.state = 'sending' AND d.lease_expires_at <= t.now
        UNION ALL
        SELECT 'retrying', d.created_at, d.last_error
          FROM deliveries AS d, t
         WHERE d.state = 'pending' AND d.attempts > 0 AND coalesce(d.retry_at, t.now) <= t.now
        UNION ALL
        SELECT d.state, d.created_at, d.last_error
          FROM deliveries AS d
         WHERE d.state IN ('held', 'failed')
        UNION ALL
        SELECT 'adapting', r.made_at, r.destination
          FROM renditions AS r
          JOIN approved_discord_posts AS p
            ON p.id = r.post_id
         WHERE r.state = 'open' AND p.review_status IN ('pending', 'posting')
        UNION ALL
        SELECT 'runs', r.started_at, r.stage
          FROM runs AS r, t
         WHERE r.state = 'running'
           AND r.stage <> 'run'
           AND NOT EXISTS (SELECT FROM locks AS l WHERE l.run_id = r.id AND l.expires_at > t.now)
    )
    SELECT l.kind,
           count(*) AS count,
           extract(epoch FROM max(t.now) - min(l.since))::double precision AS oldest,
           coalesce((array_agg(l.reason ORDER BY l.since))[1], '') AS reason
      FROM unsettled AS l, t
     GROUP BY l.kind
     ORDER BY l.kind
"""


def cleanup_findings(conn: Connection) -> Sequence[CleanupFinding]:
    """Return what was left unsettled, by kind. One query."""
    return tuple(fetch_all(conn, CleanupFinding, CLEANUP))


IMPOSSIBLE: Final = "SELECT place, latest FROM botticelli_impossible(false)"


def impossible_instants(conn: Connection) -> Sequence[tuple[str, datetime]]:
    """Return where instants stand that no right clock can have written, with the latest."""
    return conn.execute(IMPOSSIBLE).fetchall()


SCRATCH: Final = "botticelli_as_it_should_be"

COLUMNS: Final = """
    SELECT 'column', c.relname || '.' || a.attname,
           format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE c.relnamespace = current_schema()::regnamespace
       AND c.relkind = 'r'
       AND a.attnum > 0
       AND NOT a.attisdropped
"""
# By what it says, not by its name: names differ with the way in which a table came to be.
CONSTRAINTS: Final = """
    SELECT 'constraint', c.relname || ': ' || pg_get_constraintdef(k.oid), ''
      FROM pg_constraint AS k
      JOIN pg_class AS c ON c.oid = k.conrelid
     WHERE k.connamespace = current_schema()::regnamespace
       AND k.contype <> 'n'
"""
INDEXES: Final = """
    SELECT 'index', c.relname,
           CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
           || split_part(pg_get_indexdef(i.indexrelid), ' USING ', 2)
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE c.relnamespace = current_schema()::regnamespace
"""
FUNCTIONS: Final = """
    SELECT 'function', proname || '(' || pg_get_function_identity_arguments(oid) || ')', md5(prosrc)
      FROM pg_proc
     WHERE pronamespace = current_schema()::regnamespace
"""
VIEWS: Final = """
    SELECT 'view', relname, md5(pg_get_viewdef(oid))
      FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace
       AND relkind = 'v'
"""


@record
class Difference:
    """A difference between the database and schema.sql.

    Args:
        kind: column, constraint, index, function or view.
        problem: missing or different.
    """

    kind: str
    name: str
    problem: str
    expected: str
    found: str


def differences(conn: Connection) -> tuple[Difference, ...]:
    """Compare the database with schema.sql; what people have added does not count.

    schema.sql is put into a schema of its own, in a transaction that is rolled back.

    Raises:
        ConfigError: The user may not create a schema, so that nothing can be compared.
    """
    found = dict(_shape(conn))
    try:
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL client_min_messages = warning")
            scratch = sql.Identifier(SCRATCH)
            conn.execute(sql.SQL("CREATE SCHEMA {}").format(scratch))
            conn.execute(sql.SQL("SET LOCAL search_path = {}").format(scratch))
            conn.execute(schema_text().encode())
            expected = dict(_shape(conn))
    except errors.InsufficientPrivilege as error:
        raise ConfigError(
            "the schema cannot be compared: this user may not create a schema",
            where="database",
            hint="GRANT CREATE ON DATABASE to it, or run this as the owner",
        ) from error
    return tuple(
        Difference(
            kind=kind,
            name=name,
            problem="different" if (kind, name) in found else "missing",
            expected=what,
            found=found.get((kind, name), ""),
        )
        for (kind, name), what in expected.items()
        if found.get((kind, name)) != what
    )


def _shape(conn: Connection) -> Iterator[tuple[tuple[str, str], str]]:
    for statement in (COLUMNS, CONSTRAINTS, INDEXES, FUNCTIONS, VIEWS):
        for kind, name, what in conn.execute(statement):
            yield (kind, name), what
