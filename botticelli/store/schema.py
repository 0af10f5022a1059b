"""The database's own shape: schema.sql, its version, and putting it in place."""

from importlib import resources
from typing import Final

from psycopg import errors

from botticelli.errors import ConfigError, Unavailable
from botticelli.store.connection import Connection
from botticelli.store.session import DatabaseSession

EXPECTED_VERSION: Final = 5

# Two processes may meet an empty database; any number that nobody else uses as a lock.
SCHEMA_LOCK: Final = 7_264_101_519

VERSION: Final = "SELECT max(version) FROM schema_version"

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


def schema_version(conn: Connection) -> int | None:
    """Return the version of the schema in this database; None if there is none. One query."""
    try:
        row = conn.execute(VERSION).fetchone()
    except errors.UndefinedTable:
        return schema_version(conn) if _goes_home(conn) else None
    return row[0] if row else None


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


def apply_schema(conn: Connection) -> None:
    """Put schema.sql in place, in one transaction. Harmless on a database that has it.

    Two processes that do it at once come one after the other.

    Raises:
        ConfigError: A table or view of yours has a name that we need.
        Unavailable: The user may not create tables here.
    """
    try:
        with conn.transaction():
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            conn.execute("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
            conn.execute(schema_text().encode())
    except errors.InsufficientPrivilege as error:
        raise Unavailable(
            f"the schema cannot be created: {error.diag.message_primary}",
            where="database",
            hint="GRANT CREATE ON SCHEMA public TO this user, or apply schema.sql as the owner",
        ) from error
    except (errors.InvalidTableDefinition, errors.WrongObjectType) as error:
        raise ConfigError(
            f"the schema cannot be put in place: {error.diag.message_primary}",
            where="database",
            hint="rename your own table or view of that name, then run botticelli db migrate",
        ) from error


def ensure_schema(conn: Connection) -> None:
    """Make sure that the schema is there and not newer than we are. One query if it is.

    Raises:
        ConfigError: The database belongs to a newer botticelli.
        Unavailable: The user may not create tables here.
    """
    version = schema_version(conn)
    if version is None or version < EXPECTED_VERSION:
        apply_schema(conn)
    elif version > EXPECTED_VERSION:
        raise ConfigError(
            f"the schema has version {version}, this program knows {EXPECTED_VERSION}",
            where="database",
            hint="upgrade botticelli",
        )
