"""The history of a post: written, judged, decided about, sent, changed. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Reviewed
from botticelli.store.delivery import decisions
from botticelli.store.delivery.decisions import DeliveryView
from botticelli.store.delivery.posts import IS_AS_APPROVED

IdKind = Literal["candidate", "post", "delivery", "message"]
MOST_DELIVERIES: Final = 1000  # of one post: one for each destination

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
                            OR d.parts <> '[]' AND d.parts @> jsonb_build_array(
                                   jsonb_build_object('remote_id', %(message)s::text))
                         ORDER BY d.id DESC
                         LIMIT 1) END
     LIMIT 1
"""


@record
class ModelCall:
    """One attempt at one act. Token counts are the provider's; None if it gave none.

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
      FROM potential_discord_posts AS c
     CROSS JOIN LATERAL (
           SELECT id FROM act_executions WHERE item_id = c.item_id
            UNION
           SELECT c.execution_id WHERE c.item_id IS NULL AND c.execution_id IS NOT NULL
            UNION
           SELECT id
             FROM act_executions
            WHERE c.item_id IS NULL
              AND run_id = c.run_id
              AND narrative = c.source_narrative) AS e
     WHERE c.id = %(id)s
"""
JUDGING: Final = """
    SELECT array_agg(sample.execution)
      FROM potential_discord_posts AS c
     CROSS JOIN LATERAL jsonb_path_query(c.judging, '$.samples[*].execution') AS said
     CROSS JOIN LATERAL (SELECT CASE WHEN said::text ~ '^[0-9]{1,18}$' THEN said::bigint END)
           AS sample (execution)
     WHERE c.id = %(id)s
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


def _calls_of(conn: Connection, candidate_id: int | None, which: str) -> tuple[ModelCall, ...]:
    """Return the model calls of WRITING or JUDGING for a candidate; oldest first."""
    row = conn.execute(which, {"id": candidate_id}).fetchone()
    return tuple(fetch_all(conn, ModelCall, CALLS, {"ids": row[0] if row else []}))


@record
class TracedPost:
    """An approved post.

    Args:
        approved_by: "auto" or a person; empty if it came in by SQL.
        renditions, pictures: As of Reviewed.
        is_as_approved: It is what was approved; if not, `post` does not send it.
    """

    id: int
    text: str
    review_status: str
    selected_at: datetime
    posted_at: datetime | None
    approved_by: str
    run_id: int | None
    is_as_approved: bool
    renditions: Sequence[Mapping[str, Any]] = ()
    pictures: Sequence[Mapping[str, Any]] = ()


POST: Final = f"""
    SELECT id, coalesce(text_content, '') AS text, review_status, selected_at, posted_at,
           coalesce(approved_by, '') AS approved_by, run_id,
           {IS_AS_APPROVED} AS is_as_approved, botticelli_renditions(p.id) AS renditions,
           botticelli_pictures(NULL, p.id) AS pictures
      FROM approved_discord_posts AS p
     WHERE id = %(id)s
"""  # noqa: S608 - all parts are constants


@record
class PostTrace:
    """All that is known of a post.

    Args:
        candidate: None if the post came in by SQL.
        writing: The calls that wrote it, failed ones too.
        judging: The calls it was judged with; each was about a whole batch.
        post: None if it was not approved.
        tokens: Of the writing, in and out.
        cost_usd: Of the writing, in US dollars.
    """

    candidate: Reviewed | None
    writing: tuple[ModelCall, ...]
    judging: tuple[ModelCall, ...]
    post: TracedPost | None
    deliveries: tuple[DeliveryView, ...]
    tokens: int
    cost_usd: Decimal


def trace_post(conn: Connection, kind: IdKind, name: str) -> PostTrace | None:
    """Return the history of the post that an id belongs to; None if there is no such post."""
    values = {"kind": kind, "id": None if kind == "message" else int(name), "message": name}
    found = conn.execute(FIND, values).fetchone()
    if found is None:
        return None
    candidate_id, post_id = found
    writing = _calls_of(conn, candidate_id, WRITING)
    newest_first = (
        decisions.list_deliveries(conn, post_id=post_id, limit=MOST_DELIVERIES) if post_id else ()
    )
    return PostTrace(
        candidate=reviews.find_candidates(conn, [candidate_id])[0] if candidate_id else None,
        writing=writing,
        judging=_calls_of(conn, candidate_id, JUDGING),
        post=fetch_one(conn, TracedPost, POST, {"id": post_id}),
        deliveries=tuple(reversed(newest_first)),
        tokens=sum(
            (call.input_tokens or 0) + (call.output_tokens or 0) + (call.thought_tokens or 0)
            for call in writing
        ),
        cost_usd=sum((call.cost_usd or Decimal(0) for call in writing), Decimal(0)),
    )
