"""Does this database have the shape that schema.sql describes?"""

from collections.abc import Iterator, Mapping
from typing import Final

import psycopg
from psycopg import sql

from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.schema import schema_text

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
    """Something that is not as schema.sql has it.

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
    """Compare the database with schema.sql; what people have added besides is no difference.

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
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(
            "the schema cannot be compared: this user may not create a schema",
            where="database",
            hint="GRANT CREATE ON DATABASE to it, or run this as the owner",
        ) from error
    return tuple(_compared(expected, found))


def _shape(conn: Connection) -> Iterator[tuple[tuple[str, str], str]]:
    for statement in (COLUMNS, CONSTRAINTS, INDEXES, FUNCTIONS, VIEWS):
        for kind, name, what in conn.execute(statement):
            yield (kind, name), what


def _compared(
    expected: Mapping[tuple[str, str], str], found: Mapping[tuple[str, str], str]
) -> Iterator[Difference]:
    for (kind, name), what in expected.items():
        there = found.get((kind, name))
        if there != what:
            yield Difference(
                kind=kind,
                name=name,
                problem="missing" if there is None else "different",
                expected=what,
                found=there or "",
            )
