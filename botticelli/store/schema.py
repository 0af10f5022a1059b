"""The database's own shape: schema.sql, its version, and putting it in place."""

from importlib import resources
from typing import Final

from psycopg import errors

from botticelli.errors import ConfigError, Unavailable
from botticelli.store.connection import Connection

EXPECTED_VERSION: Final = 5

# Two processes may meet an empty database; any number that nobody else uses as a lock.
SCHEMA_LOCK: Final = 7_264_101_519

VERSION: Final = "SELECT max(version) FROM schema_version"


def schema_text() -> str:
    """Return schema.sql as it is shipped with this program."""
    return resources.files("botticelli").joinpath("schema.sql").read_text(encoding="utf-8")


def schema_version(conn: Connection) -> int | None:
    """Return the version of the schema in this database; None if there is none. One query."""
    try:
        row = conn.execute(VERSION).fetchone()
    except errors.UndefinedTable:
        return None
    return row[0] if row else None


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
            conn.execute("SET LOCAL client_min_messages = warning")  # IF NOT EXISTS is chatty
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
