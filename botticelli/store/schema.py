"""The database's own shape: schema.sql, its version, and putting it in place."""

import time
from importlib import resources
from typing import Final, TypeAlias

from psycopg import errors

from botticelli.errors import ConfigError, Unavailable
from botticelli.records import record
from botticelli.store.connection import ROOM, Connection
from botticelli.store.session import UNDONE, DatabaseSession, pauses

EXPECTED_VERSION: Final = 8

# Two processes may meet an empty database; any number that nobody else uses as a lock.
SCHEMA_LOCK: Final = 7_264_101_519
SHOWN: Final = 3  # tables of another application that a message names


# Hash, salt and length.
KnownSecret: TypeAlias = tuple[bytes, bytes, int]


class NothingYet(ConfigError):
    """There is no database of ours here yet; a command that writes creates it."""


@record
class Owner:
    """The project that a database belongs to.

    Args:
        root: Folder of the project when it took the database.
    """

    name: str
    root: str


@record
class Contents:
    """What a database holds.

    Args:
        version: Of our schema; None: it has none.
        owner: None: no project has taken it.
        foreign: Tables, views and sequences of somebody else in a database without our schema.
        secrets: What was in use before; None: not read.
    """

    version: int | None
    owner: Owner | None = None
    foreign: tuple[str, ...] = ()
    secrets: tuple[KnownSecret, ...] | None = None


# Of the lengths that a key may have: rows may be anybody's, and each length costs time.
KNOWN: Final = """
    SELECT digest, salt, length
      FROM known_secrets
     WHERE length BETWEEN 20 AND 200
     ORDER BY seen_at, digest
     LIMIT 1000
"""
# What a command asks at the door: one query if all is as it should be.
DOOR: Final = f"""
    SELECT (SELECT max(version) FROM schema_version), p.name, p.root,
           ARRAY (SELECT digest FROM ({KNOWN}) AS k),
           ARRAY (SELECT salt FROM ({KNOWN}) AS k),
           ARRAY (SELECT length FROM ({KNOWN}) AS k)
      FROM (VALUES (1)) AS one
      LEFT JOIN botticelli_project AS p ON true
"""  # noqa: S608 - all parts are constants
# A table schema_version alone proves nothing: other tools (Flyway) have one, too.
IS_OURS: Final = """
    SELECT count(*) = 2 AND (to_regclass('actor_server_state') IS NOT NULL
                             OR to_regclass('approved_discord_posts') IS NOT NULL)
      FROM pg_attribute
     WHERE attrelid = to_regclass('schema_version')
       AND (attname, atttypid) IN (('version', 'int'::regtype),
                                   ('applied_at', 'timestamptz'::regtype))
"""
RELATIONS: Final = """
    SELECT c.relname
      FROM pg_class AS c
     WHERE c.relnamespace = current_schema()::regnamespace
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
       AND NOT EXISTS (SELECT
                         FROM pg_depend AS d
                        WHERE d.classid = 'pg_class'::regclass
                          AND d.objid = c.oid
                          AND d.deptype IN ('e', 'a', 'i'))
     ORDER BY c.relname
"""
VERSION: Final = """
    SELECT max(version), to_regclass('botticelli_project') IS NOT NULL
      FROM schema_version
"""

READ_ONLY_TABLES: Final = """
    SELECT c.relname
      FROM pg_class AS c
     WHERE c.relnamespace = current_schema()::regnamespace
       AND c.relkind = 'r'
       AND c.relname = ANY (ARRAY['runs', 'locks', 'actor_server_state', 'act_executions',
                                  'ledger', 'generation_items', 'generation_batches',
                                  'potential_discord_posts', 'approved_discord_posts',
                                  'deliveries', 'known_secrets', 'media', 'post_media',
                                  'fitted_media', 'renditions', 'spending'])
       AND NOT (has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
                AND has_table_privilege(c.oid, 'SELECT'))
     ORDER BY c.relname
"""

# Where our tables are although the search path does not lead there; what could be made where.
HOMES: Final = """
    WITH homes AS (
        SELECT n.nspname
          FROM pg_namespace AS n
          JOIN pg_class AS v ON v.relnamespace = n.oid AND v.relname = 'schema_version'
          JOIN pg_class AS s ON s.relnamespace = n.oid AND s.relname = 'actor_server_state'
         WHERE has_schema_privilege(n.oid, 'USAGE')
    )
    SELECT nspname FROM homes
     UNION
    SELECT 'public'
     WHERE current_schema() IS NULL
       AND NOT EXISTS (SELECT FROM homes)
     ORDER BY 1
"""


def schema_text() -> str:
    """Return schema.sql as it is shipped with this program."""
    return resources.files("botticelli").joinpath("schema.sql").read_text(encoding="utf-8")


def inspect(conn: Connection) -> Contents:
    """Return what a database holds. Reads only; one query if it has our present schema."""
    try:
        (version, name, root, *known), *_ = conn.execute(DOOR)
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege):
        return _inspect_closely(conn)
    if not isinstance(version, int):
        return _inspect_closely(conn)
    owner = Owner(name=name, root=root) if name else None
    return Contents(version=version, owner=owner, secrets=tuple(zip(*known, strict=True)))


def _inspect_closely(conn: Connection) -> Contents:
    """Look at a database that is empty, older, somebody else's, or not all ours to read."""
    row = conn.execute(IS_OURS).fetchone()
    if row and row[0]:
        (version, has_stamp), *_ = conn.execute(VERSION)
        version = version or 0
        # What lacks the stamp's table is not whole, whatever version it says.
        is_old = not has_stamp and version == EXPECTED_VERSION
        return Contents(version=version - 1 if is_old else version)
    if _goes_home(conn):
        return inspect(conn)
    return Contents(version=None, foreign=tuple(name for (name,) in conn.execute(RELATIONS)))


def schema_version(conn: Connection) -> int | None:
    """Return the version of the schema in this database; None if there is none."""
    return inspect(conn).version


def _goes_home(conn: Connection) -> bool:
    """Go where our tables are if the search path was changed since; False if they are not there.

    A path in the URL is meant as it is.

    Raises:
        ConfigError: Several schemas have such tables.
    """
    if not isinstance(conn, DatabaseSession) or conn.is_at_home or not conn.is_free:
        return False
    conn.is_at_home = True
    homes = [row[0] for row in conn.execute(HOMES)]
    if len(homes) > 1:
        raise ConfigError(
            f"the search path leads to none of the schemas with our tables: {', '.join(homes)}",
            where="database",
            hint="name one at the end of DATABASE_URL: ?options=-csearch_path%3DNAME",
        )
    if homes:
        conn.change(search_path=homes[0])
    return bool(homes)


def apply_schema(conn: Connection, *, only_if_older: bool = False) -> None:
    """Put schema.sql in place, in one transaction. Harmless on a database that has it.

    Two processes that do it at once come one after the other.

    Args:
        conn: The database.
        only_if_older: Leave it to another process that was quicker: it may be at work by now, and
            changing tables under it could end in a deadlock.

    Raises:
        ConfigError: A table or view of yours has a name that we need.
        Unavailable: The user may not create tables here.
    """
    try:
        until = time.monotonic() + ROOM
        for pause in pauses():
            try:
                _apply(conn, only_if_older=only_if_older)
                break
            except UNDONE:  # by who looks at our tables, or by other projects that do the same now
                if time.monotonic() > until:
                    raise
            time.sleep(pause)
    except errors.InsufficientPrivilege as error:
        raise Unavailable(
            f"the schema cannot be created: {error.diag.message_primary}",
            where="database",
            hint="GRANT CREATE ON SCHEMA public TO this user, or apply schema.sql as the owner",
        ) from error
    except (
        errors.InvalidTableDefinition,
        errors.WrongObjectType,
        errors.UndefinedColumn,
    ) as error:
        raise ConfigError(
            f"the schema cannot be put in place: {error.diag.message_primary}",
            where="database",
            hint="rename your own table or view of that name, then run botticelli db migrate",
        ) from error


def _apply(conn: Connection, *, only_if_older: bool) -> None:
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        if only_if_older and _is_present(conn):
            return
        conn.execute("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
        conn.execute(schema_text().encode())


def _is_present(conn: Connection) -> bool:
    """Return whether the present schema is in place; asks within a transaction."""
    lacking = (
        "SELECT to_regclass('schema_version') IS NULL OR to_regclass('botticelli_project') IS NULL"
    )
    if conn.execute(lacking).fetchone() == (True,):
        return False
    (version,) = conn.execute("SELECT max(version) FROM schema_version").fetchone() or (None,)
    return bool(version == EXPECTED_VERSION)


def check_contents(found: Contents) -> None:
    """Refuse a database that is not for this program.

    Raises:
        ConfigError: It belongs to another application, or to a newer botticelli.
    """
    if found.foreign:
        more = ", ..." if len(found.foreign) > SHOWN else ""
        raise ConfigError(
            f"it belongs to another application (it has {', '.join(found.foreign[:SHOWN])}{more})",
            where="database",
            hint="name an empty one in DATABASE_URL, or a schema of its own in this one:"
            " ?options=-csearch_path%3DSCHEMA",
        )
    if found.version is not None and found.version > EXPECTED_VERSION:
        raise ConfigError(
            f"the schema has version {found.version}, this program knows {EXPECTED_VERSION}",
            where="database",
            hint="upgrade botticelli; a schema cannot be downgraded",
        )


def check_readable(found: Contents) -> None:
    """Refuse to read what only a command that writes can put in place.

    Raises:
        NothingYet: The database is empty.
        ConfigError: Its schema is older than this program.
    """
    if found.version is None:
        raise NothingYet(
            "there are no tables of botticelli yet",
            where="database",
            hint="botticelli db init creates them, as the first generate does",
        )
    if found.version < EXPECTED_VERSION:
        raise ConfigError(
            f"the schema has version {found.version}, this program needs {EXPECTED_VERSION}",
            where="database",
            hint="botticelli db migrate",
        )


def check_rights(conn: Connection) -> None:
    """Refuse tables that the user may only read.

    Raises:
        ConfigError: There are some.
    """
    if found := conn.execute(READ_ONLY_TABLES).fetchall():
        raise ConfigError(
            f"permission denied for table {', '.join(name for (name,) in found[:SHOWN])}",
            where="database",
            hint="GRANT it to the user in DATABASE_URL, or connect as the owner",
        )
