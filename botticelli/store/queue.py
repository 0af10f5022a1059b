"""The one idiom of every queue: claim, work, settle behind a fence.

A claim puts `lease_owner`, `lease_expires_at` and a grown `fence` on a row and commits; work goes
on outside any transaction while a LeaseKeeper extends the lease; `settling` is the one transaction
that writes the result, and it writes nothing if somebody else holds the row. An expired
lease may be claimed by anybody.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple

from psycopg import sql

from botticelli.records import record
from botticelli.store import leases
from botticelli.store.connection import Connection, repeatable
from botticelli.store.leases import LeaseTable, LostLease

# A claim waits for no disk: one that a crash takes back has cost nothing yet. But where a standby
# takes over, its holder may live on and be at work: there it is confirmed like anything else.
HASTY: Final = """
    set_config('synchronous_commit', CASE current_setting('synchronous_standby_names')
               WHEN '' THEN 'off' ELSE current_setting('synchronous_commit') END, true)
"""
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


class Claim(NamedTuple):
    """The proof that a row is ours: no later claim has raised its fence."""

    id: int
    fence: int


def renew(
    conn: Connection, queue: Queue, *, claims: Iterable[Claim], owner: str, lease: timedelta
) -> frozenset[Claim]:
    """Extend the claims of `owner` by `lease` from now; return those that are still ours."""
    table = LeaseTable(name=queue.table, key={"id": "bigint"})
    held = [(claim.id, claim.fence) for claim in sorted(claims)]
    ours = leases.renew(conn, table, held, owner=owner, lease=lease)
    return frozenset(Claim(id=id_, fence=fence) for id_, fence in ours)


@contextmanager
def settling(conn: Connection, queue: Queue, *, claims: Iterable[Claim]) -> Iterator[None]:
    """Hold the claimed rows in one transaction that commits when the block ends.

    Raises:
        LostLease: Somebody else holds one of the rows; nothing was changed.
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


@repeatable()
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
