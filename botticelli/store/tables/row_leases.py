"""Leases on rows that a run consumes: taken first, removed with the rows when its result is stored.

A run that fails or is killed leaves the rows where they are; when its leases have run out, anybody
may take them again. A late owner finds a foreign fence and removes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Final

from psycopg import sql

from botticelli.records import record
from botticelli.store import leases
from botticelli.store.connection import Connection
from botticelli.store.leases import LeaseTable, LostLease
from botticelli.store.tables.columns import Column, columns_of, identifier


@record
class RowLease:
    """One leased row; `key` is its primary key as text, or its place and fingerprint."""

    table: str
    key: str
    owner: str
    fence: int


@record
class LeaseTerms:
    """Who takes leases, and for how long they outlive the last sign of life."""

    owner: str
    duration: timedelta


def key_names(columns: Iterable[Column]) -> list[sql.Composable]:
    """Return the columns of the primary key in its order, over a table aliased t."""
    parts = sorted((c for c in columns if c.key_position), key=lambda c: c.key_position)
    return [sql.SQL("t.{}").format(identifier(column.name)) for column in parts]


def row_key(columns: Iterable[Column]) -> sql.Composable:
    """Return the expression over a table aliased t that names each of its rows as text.

    A table without a primary key is addressed by place *and* content: a place alone may hold
    another row by the time we come back.
    """
    names = key_names(columns)
    if not names:
        return sql.SQL("(t.ctid::text || ' ' || md5(t::text))")
    if len(names) == 1:
        return sql.SQL("({}::text)").format(names[0])
    return sql.SQL("(ROW({})::text)").format(sql.SQL(", ").join(names))


TAKE: Final = """
    INSERT INTO row_leases AS l (table_name, row_key, lease_owner, lease_expires_at)
         SELECT %(table)s, key, %(owner)s,
                botticelli_now() + %(duration)s
           FROM unnest(%(keys)s::text[]) AS key
    ON CONFLICT (table_name, row_key) DO UPDATE
            SET lease_owner = EXCLUDED.lease_owner,
                lease_expires_at = EXCLUDED.lease_expires_at,
                fence = l.fence + 1
          WHERE l.lease_expires_at <= botticelli_clock()
             OR l.lease_owner = EXCLUDED.lease_owner
      RETURNING row_key, fence
"""


def take(
    conn: Connection, table: str, *, keys: Sequence[str], terms: LeaseTerms
) -> tuple[RowLease, ...]:
    """Lease those of the rows that nobody else holds, within the caller's transaction.

    What the same owner holds already is leased anew: an earlier lease of it is lost.
    """
    parameters = {
        "table": table,
        "keys": list(keys),
        "owner": terms.owner,
        "duration": terms.duration,
    }
    fences = dict(conn.execute(TAKE, parameters).fetchall())
    return tuple(
        RowLease(table=table, key=key, owner=terms.owner, fence=fences[key])
        for key in keys
        if key in fences
    )


ROW_LEASES: Final = LeaseTable(name="row_leases", key={"table_name": "text", "row_key": "text"})


def renew(conn: Connection, held: Sequence[RowLease], *, terms: LeaseTerms) -> None:
    """Extend leases that are still ours. One transaction.

    Raises:
        LostLease: Another run has taken one of the rows over.
    """
    if held:
        rows = [(lease.table, lease.key, lease.fence) for lease in held]
        ours = leases.renew(conn, ROW_LEASES, rows, owner=terms.owner, lease=terms.duration)
        if len(ours) != len(held):
            raise _lost(held)


RELEASE: Final = """
    DELETE FROM row_leases AS l
     USING unnest(%(tables)s::text[], %(keys)s::text[], %(owners)s::text[], %(fences)s::bigint[])
           AS held (table_name, row_key, lease_owner, fence)
     WHERE l.table_name = held.table_name
       AND l.row_key = held.row_key
       AND l.lease_owner = held.lease_owner
       AND l.fence = held.fence
"""


def release(conn: Connection, held: Sequence[RowLease]) -> int:
    """Give rows back untouched; return how many leases were still ours. One transaction."""
    if not held:
        return 0
    owners = [lease.owner for lease in held]
    return conn.execute(RELEASE, {**_columns(held), "owners": owners}).rowcount


REMOVE: Final = sql.SQL("DELETE FROM {table} AS t WHERE {key} = ANY (%(keys)s::text[])")
# Items of sources stay: they are known for ever, and some may be written about again.
USE: Final = sql.SQL("""
    UPDATE {table} AS t
       SET used_at = botticelli_now(),
           available_at = coalesce(botticelli_now() + t.reuse_after, 'infinity')
     WHERE {key} = ANY (%(keys)s::text[])
""")
KEPT: Final = "source_items"


def consume(conn: Connection, held: Sequence[RowLease]) -> int:
    """Remove leased rows from their tables; return how many. Part of the caller's transaction.

    Raises:
        LostLease: A lease is no longer ours, or a row changed under it: the caller's transaction
            has to be rolled back, so that nothing that was made of the rows is kept.
    """
    with conn.transaction():
        if release(conn, held) != len(held):
            raise _lost(held)
        for table, group in groupby(sorted(held, key=_table), key=_table):
            keys = [lease.key for lease in group]
            statement = (USE if table == KEPT else REMOVE).format(
                table=identifier(table), key=row_key(columns_of(conn, table).values())
            )
            if conn.execute(statement, {"keys": keys}).rowcount != len(keys):
                raise _lost(held)
    return len(held)


def _table(lease: RowLease) -> str:
    return lease.table


def _columns(held: Sequence[RowLease]) -> dict[str, list[str] | list[int]]:
    return {
        "tables": [lease.table for lease in held],
        "keys": [lease.key for lease in held],
        "fences": [lease.fence for lease in held],
    }


def _lost(held: Sequence[RowLease]) -> LostLease:
    return LostLease(
        "another run has taken over rows that this one was consuming",
        where=", ".join(sorted({lease.table for lease in held})),
        hint="nothing was stored and nothing removed; run it again",
    )
