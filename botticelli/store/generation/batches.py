"""Batches of generation items: planned whole, found again, given up, finished."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.adapters import shaped
from botticelli.store.connection import Connection, fetch_all, fetch_one, repeatable
from botticelli.store.generation.items import forget


@record
class Batch:
    """One `generate` run's work.

    Args:
        narrative: FILE.NAME, as given to `plan`.
        options: What a resuming process must know to ask for the same answers.
    """

    id: int
    narrative: str
    options: Mapping[str, Any]
    created_at: datetime


@record
class Progress:
    """How far a batch is.

    Args:
        next_at: When the first of the waiting items may be claimed; None if nothing waits.
    """

    pending: int
    running: int
    done: int
    failed: int
    next_at: datetime | None
    now: datetime

    @property
    def left(self) -> int:
        """Items that are not finished."""
        return self.pending + self.running


PLAN_BATCH: Final = """
    INSERT INTO batches (narrative, options, run_id, created_at)
    VALUES (%(narrative)s, %(options)s, %(run_id)s, botticelli_now())
    RETURNING id, narrative, options, created_at
"""
PLAN_SLOTS: Final = """
    INSERT INTO experiment_slots
           (experiment, slot, block, arm, batch_id, narrative, iteration, drawn_at)
    SELECT s.experiment, s.slot, s.block, s.arm, %(batch_id)s, s.narrative, s.iteration,
           botticelli_now()
      FROM jsonb_to_recordset(%(slots)s)
           AS s (experiment text, slot integer, block text, arm text, narrative text,
                 iteration integer)
"""
PLAN_ITEMS: Final = """
    INSERT INTO generation_items (batch_id, narrative, iteration)
    SELECT %(batch_id)s, item.narrative, item.iteration
      FROM unnest(%(narratives)s::text[], %(iterations)s::integer[])
           WITH ORDINALITY AS item (narrative, iteration, place)
     ORDER BY item.place
"""


def plan(
    conn: Connection,
    narrative: str,
    *,
    items: Sequence[tuple[str, int]],
    options: Mapping[str, Any],
    run_id: int | None = None,
    slots: Sequence[Mapping[str, Any]] = (),
) -> Batch:
    """Store a batch with all its (narrative, iteration) items, to be run in this order.

    `slots`: which arms of experiments its items have; rows of experiment_slots.
    One transaction: a batch is planned whole or not at all.
    """
    with conn.transaction(), conn.cursor(row_factory=shaped(Batch)) as cursor:
        batch = cursor.execute(
            PLAN_BATCH,
            {"narrative": narrative, "options": Jsonb(options), "run_id": run_id},
        ).fetchone()
        assert batch is not None
        cursor.execute(
            PLAN_ITEMS,
            {
                "batch_id": batch.id,
                "narratives": [name for name, _ in items],
                "iterations": [iteration for _, iteration in items],
            },
        )
        if slots:
            cursor.execute(PLAN_SLOTS, {"batch_id": batch.id, "slots": Jsonb(list(slots))})
    return batch


FIND_OPEN: Final = """
    SELECT id, narrative, options, created_at
      FROM batches
     WHERE narrative = %(narrative)s
       AND state = 'open'
     ORDER BY id
     LIMIT 1
"""


def peek_open(conn: Connection, narrative: str) -> Batch | None:
    """Return the oldest unfinished batch of that narrative, and change nothing."""
    return fetch_one(conn, Batch, FIND_OPEN, {"narrative": narrative})


@record
class LastBatch:
    """When the newest batch of the schedule's own was begun, and what time it is."""

    began_at: datetime
    now: datetime


LEFT_BEHIND: Final = """
    SELECT b.id, b.narrative,
           greatest(b.created_at, (SELECT max(i.ended_at)
                                     FROM generation_items AS i
                                    WHERE i.batch_id = b.id))
           < botticelli_now() - %(longest)s AS is_old
      FROM batches AS b
     WHERE b.state = 'open'
       AND b.narrative <> %(narrative)s
     ORDER BY b.id
"""


def list_left_behind(
    conn: Connection, narrative: str, *, longest: timedelta, is_dry_run: bool = False
) -> list[str]:
    """Return the other narratives that have unfinished batches, the oldest first.

    Batches at which nobody worked for `longest` are given up: they speak of old things.
    """
    values = {"narrative": narrative, "longest": longest}
    rows = conn.execute(LEFT_BEHIND, values).fetchall()
    old = [id_ for id_, _, is_old in rows if is_old]
    if old and not is_dry_run:
        abandon(conn, ids=old)
    return list(dict.fromkeys(name for id_, name, _ in rows if id_ not in old))


# What a person asked for does not count for the schedule (batches of version 1 do not say). An
# abandoned batch may be started again: a round that a missing key stopped is not over.
FIND_LAST: Final = """
    SELECT max(created_at) AS began_at, botticelli_now() AS now
      FROM batches
     WHERE narrative = %(narrative)s
       AND state <> 'abandoned'
       AND created_at <= botticelli_now() + interval '1 minute'
       AND coalesce(options -> 'asked', 'false') <> 'true'
    HAVING max(created_at) IS NOT NULL
"""


def find_last(conn: Connection, narrative: str) -> LastBatch | None:
    """Return the newest batch of that narrative which nobody asked for; None if there is none."""
    return fetch_one(conn, LastBatch, FIND_LAST, {"narrative": narrative})


# A killed worker may not have stored how far each item is; its answers show it.
COUNT_ACTS: Final = """
    UPDATE generation_items AS i
       SET acts_done = (SELECT count(DISTINCT (e.place, e.sequence_number))
                          FROM act_executions AS e
                         WHERE e.item_id = i.id
                           AND e.state = 'done')
     WHERE i.batch_id = %(batch_id)s
       AND i.state IN ('pending', 'running')
"""


@repeatable()
def find_open(conn: Connection, narrative: str) -> Batch | None:
    """Return the oldest unfinished batch of that narrative, its items' depth brought up to date.

    One transaction.
    """
    with conn.transaction(), conn.cursor(row_factory=shaped(Batch)) as cursor:
        batch = cursor.execute(FIND_OPEN, {"narrative": narrative}).fetchone()
        if batch is not None:
            cursor.execute(COUNT_ACTS, {"batch_id": batch.id})
    return batch


ABANDON_BATCHES: Final = """
    UPDATE batches
       SET state = 'abandoned',
           ended_at = botticelli_now()
     WHERE (narrative = %(narrative)s OR id = ANY (%(ids)s::bigint[]))
       AND state = 'open'
    RETURNING id
"""
ABANDON_ITEMS: Final = """
    UPDATE generation_items
       SET state = 'abandoned',
           lease_owner = NULL,
           lease_expires_at = NULL,
           fence = fence + 1,
           ended_at = botticelli_now()
     WHERE batch_id = ANY (%(batches)s::bigint[])
       AND state IN ('pending', 'running')
    RETURNING id
"""


def abandon(conn: Connection, narrative: str | None = None, *, ids: Sequence[int] = ()) -> int:
    """Give up unfinished batches, of a narrative or of ids; return how many items that were.

    What a worker is still at is fenced off, so that it cannot be stored. One transaction.
    """
    with conn.transaction():
        batches = conn.execute(
            ABANDON_BATCHES, {"narrative": narrative, "ids": list(ids)}
        ).fetchall()
        return _abandon_items(conn, [row[0] for row in batches])


def _abandon_items(conn: Connection, batches: Sequence[int]) -> int:
    values = {"batches": list(batches)}
    items = [row[0] for row in conn.execute(ABANDON_ITEMS, values).fetchall()]
    forget(conn, items)
    return len(items)


ABANDON_UNUSED: Final = """
    UPDATE batches AS b
       SET state = 'abandoned',
           ended_at = botticelli_now()
     WHERE b.id = %(batch_id)s
       AND b.state = 'open'
       AND NOT EXISTS (SELECT
                         FROM generation_items AS i
                         JOIN act_executions AS e
                           ON e.item_id = i.id
                        WHERE i.batch_id = b.id)
    RETURNING b.id
"""


@repeatable()
def abandon_unused(conn: Connection, batch_id: int) -> bool:
    """Abandon a batch of which no model was asked; return whether it was one. One transaction."""
    with conn.transaction():
        taken = conn.execute(ABANDON_UNUSED, {"batch_id": batch_id}).fetchall()
        _abandon_items(conn, [row[0] for row in taken])
        return bool(taken)


PROGRESS: Final = """
    SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
           count(*) FILTER (WHERE state = 'running') AS running,
           count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           min(CASE state WHEN 'pending' THEN coalesce(retry_at, created_at)
                          WHEN 'running' THEN lease_expires_at END) AS next_at,
           botticelli_now() AS now
      FROM generation_items
     WHERE batch_id = %(batch_id)s
"""


@repeatable()
def progress(conn: Connection, batch_id: int) -> Progress:
    """Return how far the batch is."""
    row = fetch_one(conn, Progress, PROGRESS, {"batch_id": batch_id})
    assert row is not None
    return row


FINISH: Final = """
    UPDATE batches AS b
       SET state = 'done',
           ended_at = botticelli_now()
     WHERE b.id = %(batch_id)s
       AND b.state = 'open'
       AND NOT EXISTS (SELECT
                         FROM generation_items AS i
                        WHERE i.batch_id = b.id
                          AND i.state IN ('pending', 'running'))
"""


@repeatable()
def finish(conn: Connection, batch_id: int) -> bool:
    """Close the batch if nothing is left of it. One transaction."""
    with conn.transaction():
        return conn.execute(FINISH, {"batch_id": batch_id}).rowcount == 1


FAILURES: Final = """
    SELECT narrative, iteration, last_error
      FROM generation_items
     WHERE batch_id = %(batch_id)s
       AND state = 'failed'
     ORDER BY id
     LIMIT 20
"""


@repeatable()
def list_failures(conn: Connection, batch_id: int) -> tuple[tuple[str, int, str], ...]:
    """Return (narrative, iteration, why) of the first twenty items that failed for good."""
    rows = conn.execute(FAILURES, {"batch_id": batch_id}).fetchall()
    return tuple((row[0], row[1], row[2] or "") for row in rows)


WAITING: Final = """
    SELECT i.narrative, count(*) AS items, coalesce(sum(d.acts), 0)::integer AS acts_done
      FROM generation_items AS i
      LEFT JOIN LATERAL (SELECT count(DISTINCT (e.place, e.sequence_number)) AS acts
                           FROM act_executions AS e
                          WHERE e.item_id = i.id
                            AND e.state = 'done') AS d ON true
     WHERE i.batch_id = %(batch_id)s
       AND i.state IN ('pending', 'running')
     GROUP BY i.narrative
"""


@record
class RemainingItems:
    """The unfinished items of one narrative, and how many of their acts have their answers."""

    narrative: str
    items: int
    acts_done: int


@repeatable()
def list_waiting(conn: Connection, batch_id: int) -> list[RemainingItems]:
    """Return what is left of a batch, by narrative."""
    return fetch_all(conn, RemainingItems, WAITING, {"batch_id": batch_id})
