"""The one idiom of every queue: claim, work, settle behind a fence.

A claim puts `lease_owner`, `lease_expires_at` and a grown `fence` on a row and commits; work goes
on outside any transaction while a LeaseKeeper extends the lease; `settling` is the one transaction
that writes the result, and it writes nothing if somebody else holds the row by now. An expired
lease may be claimed by anybody.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg import sql

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, Unavailable
from botticelli.records import record
from botticelli.store.connection import Connection

RENEW: Final = sql.SQL("""
    UPDATE {table} AS q
       SET lease_expires_at = botticelli_now() + %(lease)s
      FROM unnest(%(ids)s::bigint[], %(fences)s::bigint[]) AS claim (id, fence)
     WHERE q.id = claim.id
       AND q.fence = claim.fence
       AND q.{state} = %(at_work)s
    RETURNING q.id, q.fence
""")
HOLD: Final = sql.SQL("""
    SELECT q.id, q.fence
      FROM {table} AS q,
           unnest(%(ids)s::bigint[], %(fences)s::bigint[]) AS claim (id, fence)
     WHERE q.id = claim.id
       AND q.fence = claim.fence
       AND q.{state} = %(at_work)s
     ORDER BY q.id
       FOR UPDATE OF q
""")
RELEASE: Final = sql.SQL("""
    UPDATE {table}
       SET {state} = %(waiting)s,
           lease_owner = NULL,
           lease_expires_at = NULL
     WHERE lease_owner = %(owner)s
       AND {state} = %(at_work)s
""")


class LostLease(BotticelliError):
    """Somebody else holds the work by now; nothing was changed."""


@record
class Queue:
    """A table whose rows are claimed: the words it uses for its states.

    Args:
        table: Its name; it has id, fence, lease_owner and lease_expires_at.
        state: The column that holds the state.
        at_work: The state of a claimed row.
        waiting: The state of a row that may be claimed.
    """

    table: str
    state: str
    at_work: str
    waiting: str = "pending"

    def bind(self, statement: sql.SQL) -> sql.Composed:
        """Return `statement` with this queue's names in it."""
        return statement.format(table=sql.Identifier(self.table), state=sql.Identifier(self.state))


ITEMS: Final = Queue(table="generation_items", state="state", at_work="running")
CANDIDATES: Final = Queue(table="potential_discord_posts", state="review_status", at_work="judging")
DELIVERIES: Final = Queue(table="deliveries", state="state", at_work="sending")


@dataclass(frozen=True, kw_only=True, order=True)
class Claim:
    """The proof that a row is ours: no later claim has raised its fence."""

    id: int
    fence: int


def renew(
    conn: Connection, queue: Queue, *, claims: Iterable[Claim], lease: timedelta
) -> frozenset[Claim]:
    """Extend the leases by `lease` from now; return those that are still ours. One transaction."""
    wanted = sorted(claims)
    with conn.transaction():
        rows = conn.execute(queue.bind(RENEW), {**_keys(queue, wanted), "lease": lease}).fetchall()
    return frozenset(Claim(id=row[0], fence=row[1]) for row in rows)


@contextmanager
def settling(conn: Connection, queue: Queue, *, claims: Iterable[Claim]) -> Iterator[None]:
    """Hold the claimed rows in one transaction that commits when the block ends.

    Raises:
        LostLease: One of the rows is somebody else's by now; nothing was changed.
    """
    wanted = frozenset(claims)
    with settling_ours(conn, queue, claims=wanted) as held:
        if lost := sorted(wanted - held):
            raise LostLease(
                "the lease ran out and somebody else took over; nothing was changed",
                where=f"{queue.table} {', '.join(str(claim.id) for claim in lost[:5])}",
            )
        yield


@contextmanager
def settling_ours(
    conn: Connection, queue: Queue, *, claims: Iterable[Claim]
) -> Iterator[frozenset[Claim]]:
    """Hold those of the rows that are still ours, in one transaction; yield their claims.

    For rows that are settled each for itself: what became of one must not cost the others.
    """
    with conn.transaction():
        rows = conn.execute(queue.bind(HOLD), _keys(queue, sorted(claims))).fetchall()
        yield frozenset(Claim(id=row[0], fence=row[1]) for row in rows)


def release(conn: Connection, queue: Queue, *, owner: str) -> int:
    """Give back everything that `owner` holds in `queue`; return how many. One transaction.

    Not for deliveries: whether a request has arrived is not known by who gives up.
    """
    with conn.transaction():
        return conn.execute(
            queue.bind(RELEASE),
            {"owner": owner, "at_work": queue.at_work, "waiting": queue.waiting},
        ).rowcount


def _keys(queue: Queue, claims: list[Claim]) -> dict[str, object]:
    return {
        "ids": [claim.id for claim in claims],
        "fences": [claim.fence for claim in claims],
        "at_work": queue.at_work,
    }


class LeaseKeeper:
    """A thread that keeps leases alive while work goes on; its own connection, opened late.

    Use it as a context manager. Work that is over before the first beat costs no connection.

    Args:
        connect: Opens the connection that beats go over.
        renew: Extends the leases; False: they are somebody else's by now.
        lease: How long they last; a beat every quarter of it.
        lost: Called once, from the thread, when the leases are gone: renewed by nobody for as
            long as they last, or taken over.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Connection],
        renew: Callable[[Connection], bool],
        lease: timedelta,
        lost: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._connect = connect
        self._renew = renew
        self._lease = lease.total_seconds()
        self._lost = lost
        self._clock = clock
        self._over = threading.Event()
        self._conn: Connection | None = None
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
        try:
            while not self._over.wait(self._lease / 4):
                if not self._is_ours():
                    self._lost()
                    return
        finally:
            self._disconnect()

    def _is_ours(self) -> bool:
        """Beat once; a database that cannot be reached is forgiven until the lease is over."""
        started = self._clock.monotonic()
        try:
            if self._conn is None:
                self._conn = self._connect()
            if not self._renew(self._conn):
                return False
        except (psycopg.Error, Unavailable):
            self._disconnect()
            return self._clock.monotonic() - self._renewed_at < self._lease
        self._renewed_at = started
        return True

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
