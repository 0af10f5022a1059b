"""Leases on rows that a run consumes: taken first, removed with the rows when its result is stored.

A run that fails or is killed leaves the rows where they are; when its leases have run out, anybody
may take them again. A late owner finds a foreign fence and removes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Final

from psycopg import sql

from botticelli.errors import TryLater
from botticelli.records import record
from botticelli.store.connection import Connection
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


class LostLease(TryLater):
    """Another run took the rows over, because our lease ran out."""


def row_key(columns: Iterable[Column]) -> sql.Composable:
    """Return the expression over a table aliased t that names each of its rows as text.

    A table without a primary key is addressed by place *and* content: a place alone may hold
    another row by the time we come back.
    """
    parts = sorted(
        (column for column in columns if column.key_position),
        key=lambda column: column.key_position,
    )
    names = [sql.SQL("t.{}").format(identifier(column.name)) for column in parts]
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


RENEW: Final = """
    UPDATE row_leases AS l
       SET lease_expires_at = botticelli_now() + %(duration)s
      FROM unnest(%(tables)s::text[], %(keys)s::text[], %(fences)s::bigint[])
           AS held (table_name, row_key, fence)
     WHERE l.table_name = held.table_name
       AND l.row_key = held.row_key
       AND l.fence = held.fence
       AND l.lease_owner = %(owner)s
"""


def renew(conn: Connection, leases: Sequence[RowLease], *, terms: LeaseTerms) -> None:
    """Extend leases that are still ours. One transaction.

    Raises:
        LostLease: Another run has taken one of the rows over.
    """
    if not leases:
        return
    cursor = conn.execute(
        RENEW, {**_held(leases), "owner": terms.owner, "duration": terms.duration}
    )
    if cursor.rowcount != len(leases):
        raise _lost(leases)


RELEASE: Final = """
    DELETE FROM row_leases AS l
     USING unnest(%(tables)s::text[], %(keys)s::text[], %(owners)s::text[], %(fences)s::bigint[])
           AS held (table_name, row_key, lease_owner, fence)
     WHERE l.table_name = held.table_name
       AND l.row_key = held.row_key
       AND l.lease_owner = held.lease_owner
       AND l.fence = held.fence
"""


def release(conn: Connection, leases: Sequence[RowLease]) -> int:
    """Give rows back untouched; return how many leases were still ours. One transaction."""
    if not leases:
        return 0
    owners = [lease.owner for lease in leases]
    return conn.execute(RELEASE, {**_held(leases), "owners": owners}).rowcount


REMOVE: Final = sql.SQL("DELETE FROM {table} AS t WHERE {key} = ANY (%(keys)s::text[])")


def consume(conn: Connection, leases: Sequence[RowLease]) -> int:
    """Remove leased rows from their tables; return how many. Part of the caller's transaction.

    Raises:
        LostLease: A lease is no longer ours, or a row changed under it: the caller's transaction
            has to be rolled back, so that nothing that was made of the rows is kept.
    """
    with conn.transaction():
        if release(conn, leases) != len(leases):
            raise _lost(leases)
        for table, held in groupby(sorted(leases, key=_table), key=_table):
            keys = [lease.key for lease in held]
            statement = REMOVE.format(
                table=identifier(table), key=row_key(columns_of(conn, table).values())
            )
            if conn.execute(statement, {"keys": keys}).rowcount != len(keys):
                raise _lost(leases)
    return len(leases)


def _table(lease: RowLease) -> str:
    return lease.table


def _held(leases: Sequence[RowLease]) -> dict[str, list[str] | list[int]]:
    return {
        "tables": [lease.table for lease in leases],
        "keys": [lease.key for lease in leases],
        "fences": [lease.fence for lease in leases],
    }


def _lost(leases: Sequence[RowLease]) -> LostLease:
    return LostLease(
        "another run has taken over rows that this one was consuming",
        where=", ".join(sorted({lease.table for lease in leases})),
        hint="nothing was stored and nothing removed; run it again",
    )
