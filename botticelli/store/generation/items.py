"""Generation items: claimed by any number of workers, settled behind their fence, resumed.

What an item has seen and done beside asking models is kept: a resumed one goes on where it was.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, repeatable
from botticelli.store.queue import HASTY, Claim


@record
class Item:
    """A claimed item: one iteration of one narrative.

    Args:
        attempts: Transient failures so far.
        acts_done: Acts whose answers are stored already.
    """

    id: int
    batch_id: int
    narrative: str
    iteration: int
    attempts: int
    acts_done: int
    fence: int

    @property
    def claim(self) -> Claim:
        """The proof that the item is ours."""
        return Claim(id=self.id, fence=self.fence)


_CLAIM: Final = """
    WITH hasty AS MATERIALIZED (
        SELECT {hasty}
    ), abandoned AS MATERIALIZED (
        SELECT id
          FROM generation_items
         WHERE batch_id = %(batch_id)s
           AND state = 'running'
           AND lease_expires_at <= botticelli_now()
         ORDER BY lease_expires_at, id
         LIMIT 1
           FOR UPDATE SKIP LOCKED
    ), waiting AS MATERIALIZED (
        SELECT id
          FROM generation_items
         WHERE NOT EXISTS (SELECT FROM abandoned)
           AND batch_id = %(batch_id)s
           AND state = 'pending'
           AND (retry_at IS NULL
                OR retry_at <= botticelli_now())
         ORDER BY acts_done {order}, id
         LIMIT 1
           FOR UPDATE SKIP LOCKED
    ), next AS (
        SELECT id FROM abandoned
         UNION ALL
        SELECT id FROM waiting
    )
    UPDATE generation_items AS i
       SET state = 'running',
           fence = i.fence + 1,
           lease_owner = %(owner)s,
           lease_expires_at = botticelli_now() + %(lease)s
      FROM next, hasty
     WHERE i.id = next.id
    RETURNING i.id, i.batch_id, i.narrative, i.iteration, i.attempts, i.acts_done, i.fence
"""
CLAIM: Final = _CLAIM.format(hasty=HASTY, order="ASC")
CLAIM_DEEPEST: Final = _CLAIM.format(hasty=HASTY, order="DESC")


@repeatable()
def claim(
    conn: Connection, batch_id: int, *, owner: str, lease: timedelta, deepest_first: bool = False
) -> Item | None:
    """Lease the next item to `owner`; None if none may be claimed now.

    Level-first: the item with the most acts left comes first, so that the longest chains do not
    end up last; `deepest_first` is for days on which not all can be finished. Items of dead holders
    come before both. One statement; two callers never get the same item.

    The claim does not wait for the disk. If PostgreSQL crashes right after it, the item waits again
    and somebody else may take it, too: answers are kept, and only who settles first is heard.
    """
    values = {"batch_id": batch_id, "owner": owner, "lease": lease}
    with conn.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(CLAIM_DEEPEST if deepest_first else CLAIM, values).fetchone()


SETTLE: Final = """
    UPDATE generation_items AS i
       SET state = %(state)s,
           attempts = attempts + %(failed_attempts)s,
           retry_at = botticelli_now() + %(wait)s::interval,
           last_error = %(error)s,
           lease_owner = NULL,
           lease_expires_at = NULL,
           acts_done = (SELECT count(DISTINCT (e.place, e.sequence_number))
                          FROM act_executions AS e
                         WHERE e.item_id = i.id
                           AND e.state = 'done'),
           ended_at = CASE WHEN %(state)s IN ('done', 'failed')
                           THEN botticelli_now() END
     WHERE i.id = %(id)s
       AND i.fence = %(fence)s
       AND i.state = 'running'
"""


def settle_done(conn: Connection, item: Item) -> bool:
    """Mark the item done; for use inside `queue.settling`, with what it made.

    Returns False if somebody else holds it.
    """
    return _settle(conn, item, state="done")


@repeatable(pressing=True)
def settle_failed(conn: Connection, item: Item, *, error: str) -> bool:
    """Mark the item failed for good. One transaction; False if somebody else holds it."""
    return _settle(conn, item, state="failed", error=error, failed_attempts=1)


@repeatable(pressing=True)
def requeue(
    conn: Connection, item: Item, *, error: str = "", wait: timedelta | None = None
) -> bool:
    """Give the item back, to be claimed again after `wait`.

    With an `error` it counts as a failed attempt. One transaction; False if somebody else
    holds it.
    """
    return _settle(
        conn, item, state="pending", error=error, failed_attempts=1 if error else 0, wait=wait
    )


def _settle(
    conn: Connection,
    item: Item,
    *,
    state: str,
    error: str = "",
    failed_attempts: int = 0,
    wait: timedelta | None = None,
) -> bool:
    with conn.transaction():
        updated = conn.execute(
            SETTLE,
            {
                "id": item.id,
                "fence": item.fence,
                "state": state,
                "error": error or None,
                "failed_attempts": failed_attempts,
                "wait": wait,
            },
        ).rowcount
        if updated and state != "pending":
            forget(conn, [item.id])
    return updated == 1


RECALL: Final = """
    SELECT value
      FROM item_memory
     WHERE item_id = %(item_id)s
       AND place = %(place)s
"""


def recall(conn: Connection, item_id: int, place: str) -> str | None:
    """Return the JSON that was kept for a place of the item; None if there is none."""
    row = conn.execute(RECALL, {"item_id": item_id, "place": place}).fetchone()
    return None if row is None else str(row[0])


KEEP: Final = """
    INSERT INTO item_memory (item_id, place, value)
         VALUES (%(item_id)s, %(place)s, %(value)s)
    ON CONFLICT (item_id, place) DO UPDATE SET value = EXCLUDED.value
"""


def keep(conn: Connection, item_id: int, place: str, value: str) -> None:
    """Keep JSON for a place of the item, in place of what was kept before. One transaction."""
    conn.execute(KEEP, {"item_id": item_id, "place": place, "value": value})


FORGET: Final = "DELETE FROM item_memory WHERE item_id = ANY (%(items)s::bigint[])"
FREE_ROWS: Final = """
    DELETE FROM row_leases
     WHERE lease_owner = ANY (SELECT 'item ' || id FROM unnest(%(items)s::bigint[]) AS id)
"""


def owner(item_id: int) -> str:
    """Return in whose name the rows are leased that an item consumes."""
    return f"item {item_id}"


def forget(conn: Connection, item_ids: Sequence[int]) -> None:
    """Remove what finished items no longer need, and release the rows that they still hold.

    Part of the caller's transaction.
    """
    conn.execute(FORGET, {"items": list(item_ids)})
    conn.execute(FREE_ROWS, {"items": list(item_ids)})


UNDER_WAY: Final = """
    SELECT i.narrative,
           (SELECT count(DISTINCT (e.place, e.sequence_number))
              FROM act_executions AS e
             WHERE e.item_id = i.id
               AND e.state = 'done')::integer AS acts_done
      FROM generation_items AS i
     WHERE i.batch_id = %(batch_id)s
       AND i.state = 'running'
       AND i.id <> %(id)s
"""


@record
class UnderWay:
    """An item that another worker is at, and how many of its acts have their answers."""

    narrative: str
    acts_done: int


@repeatable()
def list_under_way(conn: Connection, item: Item) -> tuple[UnderWay, ...]:
    """Return what other workers are at in the batch of `item`."""
    return tuple(fetch_all(conn, UnderWay, UNDER_WAY, {"batch_id": item.batch_id, "id": item.id}))
