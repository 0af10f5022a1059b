"""Removing history that nobody needs any more, in small transactions that hold nobody up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from botticelli.store.connection import Connection

BATCH: Final = 2000

# What a model said in a batch that is still open is what a resumed item need not pay for again.
EXECUTIONS: Final = """
    WITH old AS (
        SELECT e.id
          FROM act_executions AS e
          LEFT JOIN generation_items AS i
            ON i.id = e.item_id
           AND i.state IN ('pending', 'running')
         WHERE e.created_at < coalesce(%(now)s::timestamptz, now())
                               - make_interval(days => %(days)s)
           AND i.id IS NULL
         ORDER BY e.created_at
         LIMIT %(batch)s
    )
    DELETE FROM act_executions WHERE id IN (SELECT id FROM old)
"""
RUNS: Final = """
    DELETE FROM runs
     WHERE id IN (SELECT id
                    FROM runs
                   WHERE ended_at < coalesce(%(now)s::timestamptz, now())
                                    - make_interval(days => %(days)s)
                   LIMIT %(batch)s)
"""
# One that an approved post was made of is never removed.
CANDIDATES: Final = """
    DELETE FROM potential_discord_posts
     WHERE id IN (SELECT c.id
                    FROM potential_discord_posts AS c
                    LEFT JOIN approved_discord_posts AS a
                      ON a.candidate_id = c.id
                   WHERE c.review_status = 'rejected'
                     AND a.id IS NULL
                     AND coalesce(c.decided_at, c.generated_at)
                         < coalesce(%(now)s::timestamptz, now()) - make_interval(days => %(days)s)
                   LIMIT %(batch)s)
"""
AUDIT: Final = """
    DELETE FROM command_audit
     WHERE id IN (SELECT id
                    FROM command_audit
                   WHERE at < coalesce(%(now)s::timestamptz, now())
                              - make_interval(days => %(days)s)
                   LIMIT %(batch)s)
"""
STATEMENTS: Final[Mapping[str, str]] = {
    "act_executions": EXECUTIONS,
    "runs": RUNS,
    "rejected_candidates": CANDIDATES,
    "command_audit": AUDIT,
}


def prune(
    conn: Connection, what: str, *, days: int, now: datetime | None = None, batch: int = BATCH
) -> int:
    """Remove rows of one kind that are older than `days`; return how many. 0 days: none.

    Every `batch` rows are a transaction of their own.
    """
    if not days:
        return 0
    values = {"days": days, "now": now, "batch": batch}
    removed = 0
    while True:
        with conn.transaction():
            count = conn.execute(STATEMENTS[what], values).rowcount
        removed += count
        if count < batch:
            return removed


COUNT: Final[Mapping[str, str]] = {
    "act_executions": "SELECT count(*) FROM act_executions",
    "runs": "SELECT count(*) FROM runs",
    "rejected_candidates": (
        "SELECT count(*) FROM potential_discord_posts WHERE review_status = 'rejected'"
    ),
    "command_audit": "SELECT count(*) FROM command_audit",
}


def count(conn: Connection, what: str) -> int:
    """Return how many rows of one kind there are."""
    row = conn.execute(COUNT[what]).fetchone()
    assert row is not None
    return int(row[0])
