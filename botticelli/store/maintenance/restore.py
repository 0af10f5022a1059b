"""A backup read as SQL, judged statement by statement, and put in place of a database.

pg_restore only turns the file into text, without a database. What that text would do is told by its
own words, not by the labels in the file, and each statement is sent alone. Functions and views of
ours come from schema.sql, never from a backup. Whatever else could run later in the name of who
uses the database (functions, triggers, rules, expressions that call what we do not know ...) is
code, which needs a yes of its own, and a role that can do nothing outside of its databases.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final, Literal

import psycopg

from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.maintenance.statements import NAME, ROWS, Statement, split
from botticelli.store.schema import EXPECTED_VERSION, apply_schema, schema_text

VERSION: Final = "SELECT coalesce(max(version), 0) FROM schema_version"
HOME: Final = "SELECT current_schema()"
IS_POWERFUL: Final = """
    SELECT bool_or(pg_has_role(oid, 'MEMBER'))
      FROM pg_roles
     WHERE rolsuper
        OR rolcreaterole
        OR rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
"""
# Until version 5 the calls were a table of this name; what stands for it now makes room. The
# database that is restored into may be as old.
_OLD_CALLS: Final = re.compile(r"DROP TABLE IF EXISTS (?P<home>\w+)\.act_executions")
NEWER: Final = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_catalog.pg_views
                    WHERE schemaname = '{home}' AND viewname = 'act_executions') THEN
            DROP VIEW {home}.act_executions;
        END IF;
    END $$;
    DROP TABLE IF EXISTS {home}.act_executions;
    DROP TABLE IF EXISTS {home}.model_calls, {home}.prompt_parts, {home}.row_counts,
                         {home}.row_changes CASCADE
"""
PATH: Final = "SELECT set_config('search_path', %s, true)"
PRELUDE: Final = """
    SET LOCAL search_path = '';
    SET LOCAL check_function_bodies = false;
    SET LOCAL standard_conforming_strings = on;
    SET LOCAL row_security = off;
    SET LOCAL client_min_messages = warning;
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '60s'
"""

# Our own prelude and schema.sql stand for these. Strings are '' here, comments are gone.
_OURS: Final = re.compile(
    r"SET (?P<setting>\w+) = .*|(?P<path>SELECT pg_catalog\.set_config\('', '', false\))"
    r"|(?:(?:CREATE|CREATE OR REPLACE|ALTER|COMMENT ON) (?:FUNCTION|VIEW)|DROP FUNCTION IF EXISTS)"
    r" (?P<name>\w+\.\w+)\b.*|CREATE TRIGGER \w+ .* EXECUTE FUNCTION (?P<runs>\w+\.\w+)\(\)"
)
_SETTINGS: Final = frozenset(re.findall(r"\w+", """
    statement_timeout lock_timeout idle_in_transaction_session_timeout transaction_timeout
    client_encoding standard_conforming_strings check_function_bodies xmloption
    client_min_messages row_security default_tablespace default_table_access_method
"""))  # fmt: skip
_TABLE: Final = re.compile(rf"CREATE (?:UNLOGGED )?TABLE (?P<name>{NAME}) ?(?=\()")
# What holds rows, or prepares for that, and nothing else.
_HARMLESS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_TABLE.pattern}.*\)(?: WITH \([^()]*\))?",
        ROWS.pattern,
        rf"ALTER TABLE (?:ONLY )?{NAME} (?:ADD CONSTRAINT|ALTER COLUMN|REPLICA) .*",
        rf"CREATE (?:UNIQUE )?INDEX {NAME} ON (?:ONLY )?{NAME} USING .*",
        rf"(?:CREATE|ALTER) SEQUENCE {NAME}(?: .*)?",
        rf"CREATE TYPE {NAME} AS ENUM \(.*\)",
        rf"CREATE STATISTICS {NAME} .*",
        r"SELECT pg_catalog\.setval\('', \d+, (?:true|false)\)",
        r"COMMENT ON .* IS (?:''|NULL)",
        rf"DROP \w+(?: \w+)? IF EXISTS {NAME}(?:\(.*\))?",
        rf"DROP TRIGGER IF EXISTS {NAME} ON {NAME}",
        rf"ALTER TABLE IF EXISTS (?:ONLY )?{NAME} (?:DROP CONSTRAINT|ALTER COLUMN \S+ DROP) .*",
    )
)
_CALL: Final = re.compile(r'(?:"((?:[^"]|"")+)"|([A-Za-z_][\w$]*))\s*\(')
# What may stand before a parenthesis in the definition of a table or an index.
_KNOWN: Final = frozenset(re.findall(r"\w+", """
    check default using btree hash gin gist brin key unique in and or not any all array include with
    where as identity when then else exists values row on
    numeric decimal varying varchar character char bit time timestamp timestamptz interval vector
    coalesce lower upper length char_length btrim trim md5 nullif greatest least now nextval
    gen_random_uuid uuidv7 uuidv4 date_trunc to_tsvector jsonb_typeof jsonb_array_length
    array_length cardinality octet_length abs position left right substr substring replace
    starts_with num_nonnulls sha256 convert_to encode extract timezone jsonb_path_query_first
    hashtextextended
"""))  # fmt: skip


@record
class BackupContents:
    """What a backup would create.

    Args:
        tables: Their names.
        code: What could run later, each in its own words, shortened.
    """

    tables: tuple[str, ...]
    code: tuple[str, ...]


def home_of(conn: Connection) -> str:
    """Return the schema that our tables are in."""
    return str(conn.execute(HOME).fetchone()[0])  # type: ignore[index]


def contents(lines: Iterable[bytes], *, home: str = "public") -> BackupContents:
    """Return what a backup, given as the lines of its SQL, would create. No database.

    Args:
        lines: Its SQL.
        home: The schema that our tables are in.

    Raises:
        UsageError: It is not text of pg_restore.
    """
    own = own_names(home)
    tables, code = [], []
    for statement, _ in split(iter(lines)):
        if found := _TABLE.match(statement.bare):
            tables.append(found["name"])
        if kind(statement, own) == "code":
            code.append(statement.short)
    return BackupContents(tables=tuple(tables), code=tuple(code))


def replay(conn: Connection, lines: Iterable[bytes], *, allowed: Collection[str]) -> None:
    """Put a backup in place of what is there, as one transaction, and bring it to our schema.

    Args:
        conn: Without an open transaction.
        lines: Its SQL.
        allowed: The code that may run: what `contents` told of it and a person has agreed to.

    Raises:
        UsageError: It holds code that is not allowed, or that could do more than is ours to allow.
        ConfigError: It is of a newer program.
        Unavailable: The server refuses a statement; nothing has changed.
    """
    try:
        with conn.transaction():
            home = home_of(conn)
            if allowed and conn.execute(IS_POWERFUL).fetchone() == (True,):
                raise UsageError(
                    "the backup's code could run programs or make roles on the server, since your"
                    " role may",
                    where="db restore",
                    hint="name one that may not in DATABASE_URL",
                )
            conn.execute(PRELUDE)
            _replay(conn, lines, allowed=allowed, own=own_names(home))
            conn.execute(PATH, (home,))
            (version,) = conn.execute(VERSION).fetchone() or (0,)
            if version > EXPECTED_VERSION:
                raise ConfigError(
                    f"the backup's schema has version {version}, this program knows"
                    f" {EXPECTED_VERSION}",
                    where="db restore",
                    hint="upgrade botticelli",
                )
            apply_schema(conn)
        conn.execute("ANALYZE")  # a fresh table has no statistics
    except psycopg.Error as error:
        raise Unavailable(
            f"the backup cannot be restored: {str(error).splitlines()[0]}",
            where="db restore",
            hint="nothing has changed",
        ) from error


def _replay(
    conn: Connection, lines: Iterable[bytes], *, allowed: Collection[str], own: frozenset[str]
) -> None:
    for statement, rows in split(iter(lines)):
        what = kind(statement, own)
        if what == "code" and statement.short not in allowed:
            raise UsageError(f"the file has changed: {statement.short}", where="db restore")
        if what == "ours":
            continue
        if old := _OLD_CALLS.fullmatch(statement.bare):
            conn.execute(NEWER.format(**old.groupdict()))
            continue
        with conn.cursor(
            binary=True
        ) as cursor:  # as with parameters: no second statement behind it
            if statement.takes_rows:
                with cursor.copy(statement.text.encode()) as copy:
                    for row in rows:
                        copy.write(row)
            else:
                cursor.execute(statement.text.encode())


def own_names(home: str) -> frozenset[str]:
    """Return the names of the functions and views that schema.sql makes, with their schema."""
    found = re.findall(r"(?<=VIEW )\w+|\b(?:botticelli|ledger)_\w+", schema_text())
    return frozenset(f"{home}.{name}" for name in found)


def kind(statement: Statement, own: frozenset[str]) -> Literal["ours", "rows", "code"]:
    """Return whether our own setting or schema stands for it, it only holds rows, or it is code.

    Args:
        statement: Of a backup.
        own: Names of functions and views that schema.sql makes.
    """
    found = _OURS.fullmatch(statement.bare)
    if found and (
        found["setting"] in _SETTINGS or found["path"] or own & {found["name"], found["runs"]}
    ):
        return "ours"
    is_plain = any(each.fullmatch(statement.bare) for each in _HARMLESS)
    known = _KNOWN | {name.partition(".")[2] for name in own}
    return "rows" if is_plain and _calls(statement.bare) <= known else "code"


def _calls(bare: str) -> frozenset[str]:
    """Return the words before parentheses in what defines something."""
    if not bare.startswith(("CREATE ", "ALTER ")):
        return frozenset()
    table = _TABLE.match(bare)
    body = bare[table.end() + 1 :] if table else bare
    body = re.sub(rf"REFERENCES {NAME} ?\(", "(", body)
    return frozenset((quoted or word).lower() for quoted, word in _CALL.findall(body))
