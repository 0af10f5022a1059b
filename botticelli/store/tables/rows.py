"""Rows of any table: read for a prompt, inserted from an answer, updated by a command.

Table and column names come out of files and answers; they are looked up in the catalogue and
quoted, and values are always parameters.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from botticelli.config.keys import NOTHING
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.tables import inference, row_leases
from botticelli.store.tables.columns import (
    FILLED_BY_MODELS,
    Column,
    TableError,
    as_post,
    as_text,
    clean,
    columns_of,
    fit,
    identifier,
    match,
)
from botticelli.store.tables.predicates import order_columns, parse_order_by, parse_where
from botticelli.store.tables.row_leases import LeaseTerms, RowLease, key_names, row_key
from botticelli.text import nearest

# What a program decides, never the JSON of an answer; such keys are kept in `extra`.
RESERVED: Final = inference.OURS | {
    "candidate_id", "posted_at", "approved_by", "selected_at", "lease_owner", "lease_expires_at",
    "fence", "attempts", "last_error", "content_hash", "duplicate_of", "decided_at", "decided_by",
    "judged_at", "judge_model", "decision_reason", "approved_hash", "attached",
    "rules_version",
}  # fmt: skip


class NoSuchTable(TableError):
    """There is no table of that name."""


class NoSuchColumn(TableError):
    """The table has no such column."""


@record
class Query:
    """What to read.

    Args:
        columns: Empty: all; with `content` those that carry content.
        where, order_by: As predicates.parse_where and parse_order_by accept them.
        limit: Most rows; None for all.
        sample: Take this many at random, by `seed`.
        keys: Only rows with these keys (row_leases.row_key), whatever else is asked; None for any.
    """

    table: str
    columns: tuple[str, ...] = ()
    content: bool = False
    where: str = ""
    order_by: str = ""
    limit: int | None = None
    offset: int = 0
    sample: int | None = None
    seed: str = ""
    keys: Sequence[str] | None = None


@record
class Rows:
    """Rows that were read.

    Args:
        columns: Names in the table's order, also when there is no row.
        keys: For each row what row_leases.row_key says.
        leases: One for each row if leases were asked for.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    keys: tuple[str, ...] = ()
    leases: tuple[RowLease, ...] = ()


READ: Final = sql.SQL("""
    SELECT {key}, {columns}
      FROM {table} AS t
     WHERE ({where}) AND ({free}) AND ({sampled})
     ORDER BY {order}
     LIMIT %(limit)s OFFSET %(offset)s {locking}
""")
FREE: Final = sql.SQL("""
    NOT EXISTS (SELECT FROM row_leases AS l
                 WHERE l.table_name = %(table)s
                   AND l.row_key = {key}
                   AND l.lease_owner IS DISTINCT FROM %(resuming)s
                   AND l.lease_expires_at > botticelli_now())
""")
KEYED: Final = sql.SQL("{key} = ANY (%(keys)s::text[])")
SAMPLED: Final = sql.SQL("""
    {key} IN (SELECT {key} FROM {table} AS t WHERE {where}
               ORDER BY md5({key} || %(seed)s) LIMIT %(sample)s)
""")
ALWAYS: Final = sql.SQL("true")


def read_rows(conn: Connection, query: Query, *, lease: LeaseTerms | None = None) -> Rows:
    """Return rows, leasing them if `lease` is given. One transaction.

    Rows that another run holds are passed over when leases are asked for; so are those that the
    same owner holds, unless they are asked for by their keys.

    Raises:
        NoSuchTable, NoSuchColumn: Nothing of that name is there.
        TableError: The filter cannot be applied to this table.
        BadPredicate: Filter or order cannot be accepted.
    """
    columns = _existing(conn, query.table)
    where = parse_where(query.where)
    _check_columns(query, columns, filtered=where.columns)
    key = row_key(columns.values())
    chosen = query.columns or tuple(columns)
    if query.content:
        chosen = content_columns(conn, query.table, columns)
    order = parse_order_by(query.order_by) if query.order_by.strip() else key_order(columns)
    table = identifier(query.table)
    sampled = SAMPLED.format(key=key, table=table, where=where.clause)
    statement = READ.format(
        key=key,
        columns=sql.SQL(", ").join([sql.SQL("t.{}").format(identifier(name)) for name in chosen]),
        table=table,
        where=where.clause if query.keys is None else KEYED.format(key=key),
        free=FREE.format(key=key) if lease else ALWAYS,
        sampled=sampled if query.sample is not None and query.keys is None else ALWAYS,
        order=order,
        locking=sql.SQL("FOR UPDATE OF t SKIP LOCKED" if lease else ""),
    )
    parameters: dict[str, Any] = {**vars(query), **where.parameters, "resuming": None}
    if query.keys is not None:
        again = {"keys": list(query.keys), "limit": None, "offset": 0}
        parameters |= again | {"resuming": lease.owner if lease else None}
    with _explained(query.table), conn.transaction():
        found = conn.execute(statement, parameters).fetchall()
        keys = [row[0] for row in found]
        leases = row_leases.take(conn, query.table, keys=keys, terms=lease) if lease else ()
    ours = {held.key for held in leases} if lease else set(keys)
    kept = [row for row in found if row[0] in ours]
    return Rows(
        columns=chosen,
        rows=tuple(dict(zip(chosen, row[1:], strict=True)) for row in kept),
        keys=tuple(row[0] for row in kept),
        leases=leases,
    )


def content_columns(conn: Connection, table: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the columns that carry content: of a table of somebody else's, all."""
    if table in FILLED_BY_MODELS:
        filled = FILLED_BY_MODELS[table] | {"id", "curation_score", "curation_notes"}
        return tuple(name for name in columns if name in filled)
    ours = RESERVED - {"id", "rating"} if inference.source_of(conn, table) else frozenset()
    return tuple(name for name in columns if name not in ours)


def key_order(columns: Mapping[str, Column]) -> sql.Composable:
    """Return an order that does not change from one read to the next."""
    names = key_names(columns.values())
    return sql.SQL(", ").join(names) if names else sql.SQL("t.ctid")


def _existing(conn: Connection, table: str) -> dict[str, Column]:
    columns = columns_of(conn, table)
    if columns:
        return columns
    raise NoSuchTable(f"there is no table '{table}'", hint="see `botticelli content list`")


def _check_columns(
    query: Query, columns: Mapping[str, Column], *, filtered: frozenset[str]
) -> None:
    asked = [*query.columns, *sorted(filtered | order_columns(query.order_by))]
    missing = next((name for name in asked if name not in columns), None)
    if missing is not None:
        hint = nearest(missing, columns) or "it has " + ", ".join(columns)
        raise NoSuchColumn(f"there is no column '{missing}'", where=query.table, hint=hint)


@contextmanager
def _explained(table: str) -> Iterator[None]:
    """Say in one line what the database holds against a statement made from a file."""
    try:
        yield
    except (
        psycopg.DataError,
        psycopg.ProgrammingError,
        psycopg.IntegrityError,
        psycopg.NotSupportedError,
    ) as error:
        reason = error.diag.message_primary or str(error)
        raise TableError(f"the database refuses: {reason}", where=table) from error


INSERT: Final = sql.SQL("INSERT INTO {table} ({columns}) VALUES ({values}) RETURNING {id}")
INSERT_DEFAULTS: Final = sql.SQL("INSERT INTO {table} DEFAULT VALUES RETURNING {id}")


def insert_rows(
    conn: Connection,
    table: str,
    *,
    rows: Sequence[Mapping[str, Any]],
    metadata: Mapping[str, Any] = NOTHING,
    template: str = "",
    file: str = "",
    description: str = "",
) -> tuple[int, ...]:
    """Insert JSON objects and return the ids of the new rows. One transaction, all or nothing.

    A table that is not there is made (from `template`, else from the rows). Keys that a declared
    table has no column for, and values that do not fit, go to its `extra`; an inferred table gets
    wider columns and new ones. What is `metadata` (source_narrative ...) beats what the JSON says.

    Raises:
        TableError: The table cannot take the rows; nothing was inserted.
    """
    cleaned = [clean(row) for row in rows]
    with _explained(table), conn.transaction():
        inference.make_table(
            conn, table, rows=cleaned, template=template, file=file, description=description
        )
        target = _target(conn, table, rows=cleaned)
        ids = [_insert(conn, target, row=row, metadata=metadata) for row in cleaned]
    return tuple(id_ for id_ in ids if id_ is not None)


@record
class _Target:
    """The table as it takes rows; `filled`: the columns that an answer fills."""

    table: str
    columns: Mapping[str, Column]
    filled: Set[str]
    keeps_extra: bool


def _target(conn: Connection, table: str, *, rows: Sequence[Mapping[str, Any]]) -> _Target:
    source = inference.source_of(conn, table)
    if source == "inferred":
        inference.widen(conn, table, rows=rows)
    columns = columns_of(conn, table)
    if "extra" not in columns:
        inference.add_missing(conn, table, rows=rows)
        columns = columns_of(conn, table)
    keeps_extra = "extra" in columns
    filled: Set[str] = columns.keys() - (RESERVED if keeps_extra else set())
    if source not in ("", "inferred"):
        filled |= columns.keys() & {"id"}  # a template's own id, such as a guild's
    filled = FILLED_BY_MODELS.get(table, FILLED_BY_MODELS.get(source, filled))
    return _Target(table=table, columns=columns, filled=filled, keeps_extra=keeps_extra)


def _insert(
    conn: Connection, target: _Target, *, row: Mapping[str, Any], metadata: Mapping[str, Any]
) -> int | None:
    columns = target.columns
    ours = {name: value for name, value in metadata.items() if name in columns}
    try:
        with conn.transaction():
            return _insert_values(conn, target, values={**_placed(row, target), **ours})
    except (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError):
        # A CHECK, a key or a type that the answer breaks: the row is kept, its values in extra.
        if not target.keeps_extra:
            raise
        free = {
            name: value
            for name, value in _placed(row, target).items()
            if columns[name].base in ("text", "jsonb") and not columns[name].key_position
        }
        return _insert_values(conn, target, values={**free, "extra": Jsonb(dict(row)), **ours})


def _placed(row: Mapping[str, Any], target: _Target) -> dict[str, Any]:
    """Column -> value for one object; whatever is not shown exactly is kept in `extra`."""
    placed: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    if "parts" in target.filled:
        row, extra = as_post(row)
    # A key that is the column's very name goes before others that only come to the same.
    for key, value in sorted(row.items(), key=lambda each: each[0] not in target.columns):
        name = match(key, target.columns)
        if name is None or name in placed or name not in target.filled:
            extra[key] = value
            continue
        fitting = fit(value, target.columns[name])
        if fitting is not None:
            placed[name] = fitting.value
        if fitting is None or not fitting.is_exact:
            extra[key] = value
    if target.keeps_extra and extra:
        placed["extra"] = Jsonb(extra)
    return placed


def _insert_values(conn: Connection, target: _Target, *, values: Mapping[str, Any]) -> int | None:
    table = identifier(target.table)
    id_ = identifier("id") if "id" in target.columns else sql.SQL("NULL")
    statement = INSERT_DEFAULTS.format(table=table, id=id_)
    if values:
        statement = INSERT.format(
            table=table,
            columns=sql.SQL(", ").join(map(identifier, values)),
            values=sql.SQL(", ").join([sql.Placeholder(f"v{i}") for i in range(len(values))]),
            id=id_,
        )
    parameters = {f"v{index}": value for index, value in enumerate(values.values())}
    row = conn.execute(statement, parameters).fetchone()
    return row[0] if row and isinstance(row[0], int) else None


UPDATE: Final = sql.SQL("""
    UPDATE {table} AS t
       SET {changes}
     WHERE ({order}) IN (SELECT {order} FROM {table} AS t
                          WHERE ({where}) AND ({within})
                          ORDER BY {order}
                          LIMIT %(limit)s
                            FOR UPDATE)
    RETURNING {key}
""")


@record
class Change:
    """What an update_table command asks for.

    Args:
        updates: Column -> value; the text "NOW()" is the present moment in a column of time.
        limit: Most rows, in the order of the key; None for all.
        within: Only rows with these keys; None for any.
    """

    table: str
    updates: Mapping[str, Any]
    where: str = ""
    limit: int | None = None
    within: Sequence[str] | None = None


def update_rows(conn: Connection, change: Change, *, dry_run: bool = False) -> tuple[str, ...]:
    """Change rows and return their keys. One transaction.

    A dry run makes the change and takes it back, so that the database has its word on it, too.

    Raises:
        TableError: Table, column, value or filter do not go together; nothing was changed.
        BadPredicate: The filter cannot be accepted.
    """
    columns = _existing(conn, change.table)
    where = parse_where(change.where)
    query = Query(table=change.table, columns=tuple(change.updates))
    _check_columns(query, columns, filtered=where.columns)
    changes = []
    parameters: dict[str, Any] = {**where.parameters, "limit": change.limit}
    for index, (name, value) in enumerate(change.updates.items()):
        shown, parameter = _new_value(value, columns[name], name=f"u{index}")
        changes.append(sql.SQL("{} = {}").format(identifier(name), shown))
        parameters[f"u{index}"] = parameter
    key = row_key(columns.values())
    within = sql.SQL("{} = ANY (%(within)s::text[])").format(key)
    parameters["within"] = list(change.within or ())
    statement = UPDATE.format(
        table=identifier(change.table),
        changes=sql.SQL(", ").join(changes),
        key=key,
        where=where.clause,
        within=within if change.within is not None else ALWAYS,
        order=key_order(columns),
    )
    with _explained(change.table), conn.transaction(force_rollback=dry_run):
        return tuple(row[0] for row in conn.execute(statement, parameters).fetchall())


def _new_value(value: Any, column: Column, *, name: str) -> tuple[sql.Composable, Any]:
    is_time = column.base.startswith(("timestamp", "date"))
    if isinstance(value, str) and value.strip().lower() in ("now()", "now") and is_time:
        return sql.SQL("botticelli_now()"), None
    fitting = fit(clean(value), column)
    if fitting is None:
        raise TableError(
            f"column '{column.name}' ({column.type}) cannot hold {as_text(value)[:60]!r}",
            where=column.name,
        )
    return sql.Placeholder(name), fitting.value
