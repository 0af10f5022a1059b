"""Remove history that is no longer needed, in small transactions that block nothing for long.

What is removed stays counted (pruned_rows, pruned_calls): a monitor would take a total that fell
for a counter that was reset.
"""

from collections.abc import Mapping
from typing import Final

from psycopg.rows import dict_row

from botticelli.store.connection import Connection

BATCH: Final = 2000

# Answers in a batch that is still open are kept: a resumed item need not pay for them again.
EXECUTIONS: Final = """
    WITH old AS (
        SELECT e.id
          FROM act_executions AS e
          LEFT JOIN generation_items AS i
            ON i.id = e.item_id
           AND i.state IN ('pending', 'running')
         WHERE e.created_at < botticelli_now()
                               - make_interval(days => %(days)s)
           AND i.id IS NULL
         ORDER BY e.created_at
         LIMIT %(batch)s
    ), gone AS (
        DELETE FROM act_executions WHERE id IN (SELECT id FROM old) RETURNING *
    ), counted AS (
        INSERT INTO pruned_calls AS t
             SELECT coalesce(provider, ''), coalesce(model, ''), state, count(*),
                    coalesce(sum(input_tokens), 0), coalesce(sum(cached_tokens), 0),
                    coalesce(sum(output_tokens), 0), coalesce(sum(thought_tokens), 0),
                    coalesce(sum(cost_usd), 0)
               FROM gone
              GROUP BY 1, 2, 3
        ON CONFLICT (provider, model, state) DO UPDATE
                SET calls = t.calls + excluded.calls,
                    input_tokens = t.input_tokens + excluded.input_tokens,
                    cached_tokens = t.cached_tokens + excluded.cached_tokens,
                    output_tokens = t.output_tokens + excluded.output_tokens,
                    thought_tokens = t.thought_tokens + excluded.thought_tokens,
                    cost_usd = t.cost_usd + excluded.cost_usd
    )
    SELECT FROM gone
"""
RUNS: Final = """
    WITH gone AS (
        DELETE FROM runs
         WHERE id IN (SELECT id
                        FROM runs
                       WHERE ended_at < botticelli_now()
                                        - make_interval(days => %(days)s)
                       LIMIT %(batch)s)
        RETURNING stage, state, exit_code
    ), counted AS (
        INSERT INTO pruned_rows AS t (what, stage, outcome, total)
             SELECT 'runs', stage,
                    CASE WHEN state = 'done' AND exit_code = 75 THEN 'deferred' ELSE state END,
                    count(*)
               FROM gone
              GROUP BY 2, 3
        ON CONFLICT (what, stage, outcome) DO UPDATE SET total = t.total + excluded.total
    )
    SELECT FROM gone
"""
# One that an approved post was made of is never removed.
CANDIDATES: Final = """
    WITH gone AS (
        DELETE FROM potential_discord_posts
         WHERE id IN (SELECT c.id
                        FROM potential_discord_posts AS c
                        LEFT JOIN approved_discord_posts AS a
                          ON a.candidate_id = c.id
                       WHERE c.review_status = 'rejected'
                         AND a.id IS NULL
                         AND coalesce(c.decided_at, c.generated_at)
                             < botticelli_now()
                               - make_interval(days => %(days)s)
                       ORDER BY coalesce(c.decided_at, c.generated_at)
                       LIMIT %(batch)s)
        RETURNING review_status
    ), counted AS (
        INSERT INTO pruned_rows AS t (what, outcome, total)
             SELECT 'candidates', review_status, count(*)
               FROM gone
              GROUP BY review_status
        ON CONFLICT (what, stage, outcome) DO UPDATE SET total = t.total + excluded.total
    )
    SELECT FROM gone
"""
AUDIT: Final = """
    DELETE FROM command_audit
     WHERE id IN (SELECT id
                    FROM command_audit
                   WHERE at < botticelli_now()
                              - make_interval(days => %(days)s)
                   LIMIT %(batch)s)
"""
STATEMENTS: Final[Mapping[str, str]] = {
    "act_executions": EXECUTIONS,
    "runs": RUNS,
    "rejected_candidates": CANDIDATES,
    "command_audit": AUDIT,
}


def prune(conn: Connection, what: str, *, days: int, batch: int = BATCH) -> int:
    """Remove rows of one kind that are older than `days`; return how many. 0 days: none.

    Every `batch` rows are a transaction of their own.
    """
    if not days:
        return 0
    values = {"days": days, "batch": batch}
    removed = 0
    while True:
        with conn.transaction():
            count = conn.execute(STATEMENTS[what], values).rowcount
        removed += count
        if count < batch:
            return removed


COUNTS: Final = """
    SELECT coalesce(sum(total) FILTER (WHERE what = 'calls'), 0)::bigint AS act_executions,
           coalesce(sum(total) FILTER (WHERE what = 'runs'), 0)::bigint AS runs,
           coalesce(sum(total) FILTER (WHERE what = 'candidates' AND state = 'rejected'), 0)::bigint
               AS rejected_candidates,
           coalesce(sum(total) FILTER (WHERE what = 'audit'), 0)::bigint AS command_audit
      FROM counted_rows
"""


def counts(conn: Connection) -> Mapping[str, int]:
    """Return how many rows there are of each kind of STATEMENTS."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(COUNTS).fetchone() or {}
