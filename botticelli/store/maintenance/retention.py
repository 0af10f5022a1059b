"""Remove history that is no longer needed, in small transactions that block nothing for long.

What is removed stays counted (pruned_rows, pruned_calls): a monitor would take a total that fell
for a counter that was reset.
"""

from collections.abc import Mapping
from typing import Final

from psycopg.rows import dict_row

from botticelli.config.operations import RetentionConfig
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all

BATCH: Final = 2000

# Answers in a batch that is still open are kept: a resumed item need not pay for them again.
EXECUTIONS: Final = """
    WITH old AS (
        SELECT e.id
          FROM model_calls AS e
          LEFT JOIN generation_items AS i
            ON i.id = e.item_id
           AND i.state IN ('pending', 'running')
         WHERE e.created_at < botticelli_now()
                               - make_interval(days => %(days)s)
           AND i.id IS NULL
         ORDER BY e.created_at
         LIMIT %(batch)s
    ), gone AS (
        DELETE FROM model_calls WHERE id IN (SELECT id FROM old) RETURNING *
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
# One that an approved post was made of is never removed. What people said of the others is kept.
CANDIDATES: Final = """
    WITH old AS MATERIALIZED (
        SELECT c.id
          FROM potential_discord_posts AS c
          LEFT JOIN approved_discord_posts AS a
            ON a.candidate_id = c.id
         WHERE c.review_status = 'rejected'
           AND a.id IS NULL
           AND coalesce(c.decided_at, c.generated_at)
               < botticelli_now() - make_interval(days => %(days)s)
         ORDER BY coalesce(c.decided_at, c.generated_at)
         LIMIT %(batch)s
    ), taught AS (
        INSERT INTO lessons (candidate_id, entry, at, kind, was, now, note)
        SELECT candidate_id, entry, at, kind, was, now, note
          FROM candidate_lessons
         WHERE candidate_id = ANY (ARRAY (SELECT id FROM old))
            ON CONFLICT (candidate_id, entry) DO NOTHING
    ), gone AS (
        DELETE FROM potential_discord_posts
         WHERE id IN (SELECT id FROM old)
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


# Calls that were kept are few: those of batches that are still open.
PARTS: Final = """
    DELETE FROM prompt_parts
     WHERE id IN (SELECT id
                    FROM prompt_parts
                   WHERE used_at < botticelli_now() - make_interval(days => %(days)s + 2)
                     AND id <> ALL (ARRAY (SELECT unnest(parts)
                                             FROM model_calls
                                            WHERE created_at < botticelli_now()
                                                               - make_interval(days => %(days)s)))
                   ORDER BY used_at
                   LIMIT %(batch)s)
"""
INLINE: Final = """
    UPDATE model_calls
       SET parts = botticelli_store_prompt(prompt, created_at), prompt = NULL
     WHERE id IN (SELECT id FROM model_calls WHERE prompt IS NOT NULL ORDER BY id LIMIT %(batch)s)
"""
# A picture is kept as long as the answer that it came with: an item that is resumed finds it there.
ORPHANS: Final = """
    DELETE FROM post_media
     WHERE id IN (SELECT id
                    FROM post_media
                   WHERE candidate_id IS NULL
                     AND post_id IS NULL
                   LIMIT %(batch)s)
"""
PICTURES: Final = """
    DELETE FROM media
     WHERE sha256 IN (SELECT sha256
                        FROM media AS m
                       WHERE created_at < botticelli_now() - make_interval(days => %(days)s)
                         AND NOT EXISTS (SELECT FROM post_media AS p WHERE p.sha256 = m.sha256)
                       ORDER BY created_at
                       LIMIT %(batch)s)
"""


# An item stays known by guid, address and text, so that it never comes in again as a new one.
ITEMS: Final = """
    UPDATE source_items
       SET text = '', title = ''
     WHERE id IN (SELECT id
                    FROM source_items
                   WHERE text <> ''
                     AND available_at = 'infinity'
                     AND found_at < botticelli_now() - make_interval(days => %(days)s)
                   LIMIT %(batch)s)
"""


def tidy(conn: Connection, *, days: int, batch: int = BATCH) -> None:
    """Store old prompts in parts; free parts, pictures and texts of sources that nothing needs.

    Every `batch` rows are a transaction of their own; broken off, it goes on next time.
    """
    for statement in (INLINE, ORPHANS, *((PARTS, PICTURES, ITEMS) if days else ())):
        while conn.execute(statement, {"days": days, "batch": batch}).rowcount == batch:
            pass


@record
class TableSize:
    """A table with its indexes and long texts, and what prune would free of it; bytes, about."""

    name: str
    size_bytes: int
    prunable_bytes: int


# Table -> its setting, and since when there are rows that prune may remove: one look at an index.
OLDEST: Final[Mapping[str, tuple[str, str]]] = {
    "model_calls": ("act_executions", "SELECT min(created_at) FROM model_calls"),
    "prompt_parts": ("act_executions", "SELECT min(used_at) FROM prompt_parts"),
    "media": ("act_executions", "SELECT min(created_at) FROM media"),
    "runs": ("runs", "SELECT min(ended_at) FROM runs"),
    "potential_discord_posts": (
        "rejected_candidates",
        (
            "SELECT min(coalesce(decided_at, generated_at)) FROM potential_discord_posts"
            " WHERE review_status = 'rejected'"
        ),
    ),
    "command_audit": ("command_audit", "SELECT min(at) FROM command_audit"),
}
KEPT: Final = " UNION ALL ".join(
    f"SELECT '{table}', %({setting})s, ({oldest})" for table, (setting, oldest) in OLDEST.items()
)
# As if rows had come in evenly.
SIZES: Final = f"""
    SELECT c.relname AS name, pg_total_relation_size(c.oid) AS size_bytes,
           coalesce(pg_total_relation_size(c.oid)
                    * greatest(0, 1 - k.days * 86400 / nullif(greatest(0, k.age), 0)), 0)::bigint
               AS prunable_bytes
      FROM pg_class AS c
      LEFT JOIN (SELECT name, days, extract(epoch FROM botticelli_now() - oldest) AS age
                   FROM ({KEPT}) AS k (name, days, oldest)) AS k
        ON k.name = c.relname
       AND k.days > 0
     WHERE c.relnamespace = current_schema()::regnamespace
       AND c.relkind = 'r'
     ORDER BY size_bytes DESC, name
"""  # noqa: S608 - all parts are constants


def sizes(conn: Connection, keep: RetentionConfig) -> list[TableSize]:
    """Return the size of each table, the largest first. Reads no table through."""
    return fetch_all(conn, TableSize, SIZES, vars(keep))


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
