"""Where a post comes from and where it went: found by any of its names. Reads only."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection

Kind = Literal["candidate", "post", "delivery", "message"]


@record
class Named:
    """A candidate and the post that was made of it; at least one of them is there."""

    candidate_id: int | None
    post_id: int | None


# A post that came in by plain SQL has no candidate, a candidate that was not approved no post.
FIND: Final = """
    SELECT c.id AS candidate_id, p.id AS post_id
      FROM potential_discord_posts AS c
      FULL JOIN approved_discord_posts AS p
        ON p.candidate_id = c.id
     WHERE CASE %(kind)s
           WHEN 'candidate' THEN c.id = %(id)s
           WHEN 'post' THEN p.id = %(id)s
           WHEN 'delivery' THEN p.id = (SELECT d.post_id FROM deliveries AS d WHERE d.id = %(id)s)
           ELSE p.id = (SELECT d.post_id
                          FROM deliveries AS d
                         WHERE d.remote_id = %(message)s
                            OR d.parts @> jsonb_build_array(
                                   jsonb_build_object('remote_id', %(message)s::text))
                         ORDER BY d.id DESC
                         LIMIT 1) END
     LIMIT 1
"""


def find(conn: Connection, kind: Kind, name: str) -> Named | None:
    """Return what a candidate's, post's or delivery's id, or a message's, belongs to."""
    values = {"kind": kind, "id": None if kind == "message" else int(name), "message": name}
    with conn.cursor(row_factory=class_row(Named)) as cursor:
        return cursor.execute(FIND, values).fetchone()


@record
class Call:
    """One attempt at one act. Token counts are the provider's; None: not told.

    Args:
        model: As it was served.
        seconds: Until the answer was there.
    """

    id: int
    run_id: int | None
    narrative: str
    iteration: int
    act: str
    attempt: int
    state: str
    model: str
    at: datetime
    seconds: float | None
    input_tokens: int | None
    output_tokens: int | None
    thought_tokens: int | None
    cost_usd: Decimal | None
    finish_reason: str | None
    prompt: str | None
    response: str | None
    error: str | None


# What `run` made has no item: there the run and the narrative tell which calls belong to it.
WRITING: Final = """
    SELECT array_agg(e.id)
      FROM act_executions AS e
      JOIN potential_discord_posts AS c
        ON e.item_id = c.item_id
        OR c.item_id IS NULL AND (e.id = c.execution_id
                                  OR e.run_id = c.run_id AND e.narrative = c.source_narrative)
     WHERE c.id = %(id)s
"""
JUDGING: Final = """
    SELECT array_agg(sample.execution::bigint)
      FROM potential_discord_posts AS c
     CROSS JOIN LATERAL jsonb_path_query(c.judging, '$.samples[*].execution') AS sample (execution)
     WHERE c.id = %(id)s
       AND jsonb_typeof(sample.execution) = 'number'
"""
CALLS: Final = """
    SELECT id, run_id, narrative, iteration, act_name AS act, attempt, state,
           coalesce(nullif(model_version, ''), model, '') AS model, created_at AS at,
           latency_ms / 1000.0::double precision AS seconds, input_tokens, output_tokens,
           thought_tokens, cost_usd, finish_reason, prompt, response, error
      FROM act_executions
     WHERE id = ANY (%(ids)s::bigint[])
     ORDER BY id
"""


def calls_of(
    conn: Connection, candidate_id: int, purpose: Literal["writing", "judging"]
) -> Sequence[Call]:
    """Return the calls that a candidate was written, or judged, with; oldest first."""
    which = WRITING if purpose == "writing" else JUDGING
    row = conn.execute(which, {"id": candidate_id}).fetchone()
    with conn.cursor(row_factory=class_row(Call)) as cursor:
        return tuple(cursor.execute(CALLS, {"ids": row[0] if row else []}).fetchall())


@record
class Post:
    """An approved post. `approved_by`: "auto" or a person; empty: it came in by SQL."""

    id: int
    text: str
    review_status: str
    selected_at: datetime
    posted_at: datetime | None
    approved_by: str
    run_id: int | None


POST: Final = """
    SELECT id, coalesce(text_content, '') AS text, review_status, selected_at, posted_at,
           coalesce(approved_by, '') AS approved_by, run_id
      FROM approved_discord_posts
     WHERE id = %(id)s
"""


def find_post(conn: Connection, post_id: int) -> Post | None:
    """Return an approved post."""
    with conn.cursor(row_factory=class_row(Post)) as cursor:
        return cursor.execute(POST, {"id": post_id}).fetchone()
