"""Leases: what is ours until a time, proven by a fence that grows with every new holder.

One idea for three kinds of rows: claimed work (`queue`), locks of stages (`locks`) and rows of any
table that a run consumes (`tables.row_leases`). An expired lease may be taken by anybody. A late
holder finds a foreign fence: it extends nothing, and stores nothing.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from botticelli.clock import Clock
from botticelli.errors import TryLater, Unavailable
from botticelli.records import record
from botticelli.store.connection import Connection


class LostLease(TryLater):
    """Our lease expired and somebody else holds it; nothing was changed."""


@record
class Identity:
    """One started process: the name on locks, leases and runs.

    Args:
        host: Name of the machine.
        pid: Process id on it.
        owner: host:pid:random, unique to this start, so that a reused pid is somebody else.
    """

    host: str
    pid: int
    owner: str


@record
class LeaseTable:
    """A table whose rows are leased. It has a column `fence`.

    Args:
        name: Its name.
        key: Column -> SQL type of what identifies a row.
        owner: The column that says who holds the row; null if nobody does.
        expires: The column that says when the lease runs out.
        renewed: The column that says when it was last extended; empty if there is none.
    """

    name: str
    key: Mapping[str, str]
    owner: str = "lease_owner"
    expires: str = "lease_expires_at"
    renewed: str = ""


RENEW: Final = sql.SQL("""
    UPDATE {table} AS q
       SET {expires} = botticelli_now() + %(lease)s{renewed}
      FROM unnest({arrays}) AS held ({columns})
     WHERE {same}
       AND q.{owner} = %(owner)s
    RETURNING {found}
""")


def renew(
    conn: Connection,
    table: LeaseTable,
    held: Sequence[tuple[Any, ...]],
    *,
    owner: str,
    lease: timedelta,
) -> frozenset[tuple[Any, ...]]:
    """Extend leases by `lease` from now; return those that are still ours. One transaction.

    Each of `held` is the row's key and its fence.
    """
    columns = {**table.key, "fence": "bigint"}
    names = [sql.Identifier(name) for name in columns]
    comma = sql.SQL(", ")
    statement = RENEW.format(
        table=sql.SQL(table.name),
        expires=sql.Identifier(table.expires),
        renewed=sql.SQL(f", {table.renewed} = botticelli_now()" if table.renewed else ""),
        arrays=comma.join(sql.SQL(f"%({name})s::{kind}[]") for name, kind in columns.items()),
        columns=comma.join(names),
        same=sql.SQL(" AND ").join(sql.SQL("q.{0} = held.{0}").format(name) for name in names),
        owner=sql.Identifier(table.owner),
        found=comma.join(sql.SQL("q.{}").format(name) for name in names),
    )
    values = {name: [one[place] for one in held] for place, name in enumerate(columns)}
    with conn.transaction():
        rows = conn.execute(statement, {**values, "owner": owner, "lease": lease}).fetchall()
    return frozenset(rows)


_BEATING: Final = threading.Lock()


class LeaseKeeper:
    """A thread that keeps leases alive while work goes on; each beat opens a connection.

    Use it as a context manager. Work that is over before the first beat costs none; of several in
    a process one beats at a time.

    Args:
        connect: Opens the connection that beats go over.
        renew: Extends the leases; returns False if somebody else holds them.
        lease: How long they last; a beat every quarter of it.
        lost: Called once, from the thread, when the leases are gone: renewed by nobody for as
            long as they last, or taken over.
        patience: Seconds that an unreachable database is waited for, if that is longer.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Connection],
        renew: Callable[[Connection], bool],
        lease: timedelta,
        lost: Callable[[], None],
        clock: Clock,
        patience: float = 0.0,
    ) -> None:
        self._connect = connect
        self._renew = renew
        self._lease = lease.total_seconds()
        self._lost = lost
        self._clock = clock
        self._patience = patience
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease-keeper", daemon=True)

    def __enter__(self) -> Self:
        """Start the beats; the leases were taken just now."""
        self._renewed_at = self._clock.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the beats; what is held is settled or released by its owner."""
        self._over.set()
        self._thread.join(timeout=1)  # a beat that hangs on the network must not hold up the end

    def _beat(self) -> None:
        while not self._over.wait(self._lease / 4):
            if not self._is_ours():
                self._lost()
                return

    def _is_ours(self) -> bool:
        """Beat once; a database that cannot be reached is forgiven while patience lasts.

        Nobody else can take over meanwhile who is as far from it; who is nearer raises the fence.
        """
        started = self._clock.monotonic()
        try:
            with _BEATING, closing(self._connect()) as conn:
                if not self._renew(conn):
                    return False
        except (psycopg.Error, Unavailable):
            return self._clock.monotonic() - self._renewed_at < max(self._lease, self._patience)
        self._renewed_at = started
        return True
