"""What a person decides about deliveries: seen, held, tried again, marked, dropped, changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from botticelli.errors import BotticelliError, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one
from botticelli.store.delivery import posts, renditions
from botticelli.text import parts_of

Decision = Literal["hold", "retry", "mark-posted", "drop", "withdraw"]


@record
class DeliveryView:
    """A delivery as a person looks at it.

    Args:
        state: As in the table, but "uncertain" for one whose outcome nobody knows.
        text: What was sent, else what would be.
        parts: Receipts of the messages of a split text.
        steps: What follows the message, each with its state: open, done or refused.
        steps_at: When the open ones are tried next.
        history: Attempts, decisions and edits, oldest first.
    """

    id: int
    post_id: int
    destination: str
    state: str
    nonce: str
    attempts: int
    text: str
    retry_at: datetime | None
    sent_at: datetime | None
    posted_at: datetime | None
    remote_id: str | None
    remote_url: str | None
    last_error: str | None
    decided_by: str | None
    parts: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]
    steps_at: datetime | None
    history: Sequence[Mapping[str, Any]]
    planned_at: datetime
    scheduled_for: datetime | None
    expires_at: datetime | None
    fence: int


LIST: Final = f"""
    SELECT d.id, d.post_id, d.destination,
           CASE WHEN d.state = 'sending'
                 AND d.lease_expires_at <= botticelli_now() THEN 'uncertain'
                ELSE d.state END AS state,
           d.nonce, d.attempts, coalesce(d.text_sent, r.text_content, p.text_content, '') AS text,
           d.retry_at,
           d.sent_at, d.posted_at, d.remote_id, d.remote_url, d.decided_by, d.parts, d.steps,
           d.steps_at, d.history, d.created_at AS planned_at, d.scheduled_for, d.expires_at,
           d.fence,
           CASE WHEN d.state = 'pending'
                 AND NOT {posts.IS_AS_APPROVED}
                THEN 'it was changed after it was approved'
                WHEN d.state = 'pending'
                 AND {posts.IS_BEING_ADAPTED}
                THEN 'it is too long there and to be adapted: `botticelli adapt`'
                WHEN d.state = 'posted'
                THEN (SELECT string_agg(concat_ws(': ', s ->> 'step', s ->> 'note'), '; ')
                        FROM jsonb_path_query(d.steps, '$[*] ? (@.state != "done")') AS s)
                ELSE d.last_error END AS last_error
      FROM deliveries AS d
      JOIN approved_discord_posts AS p
        ON p.id = d.post_id
      LEFT JOIN renditions AS r
        ON r.post_id = d.post_id
       AND r.destination = d.destination
       AND r.state = 'ready'
       AND r.source_hash = {posts.POST_HASH}
     WHERE (%(id)s::bigint IS NULL OR d.id = %(id)s)
       AND (%(post_id)s::bigint IS NULL OR d.post_id = %(post_id)s)
       AND (%(states)s::text[] IS NULL
            OR d.id = ANY (ARRAY (SELECT o.id
                                    FROM unnest(%(states)s) AS s (wanted)
                                   CROSS JOIN LATERAL (SELECT id
                                                         FROM deliveries
                                                        WHERE state = s.wanted
                                                        ORDER BY id DESC
                                                        LIMIT %(limit)s) AS o)))
     ORDER BY d.id DESC
     LIMIT %(limit)s
"""  # noqa: S608 - all parts are constants


def list_deliveries(
    conn: Connection,
    *,
    states: Sequence[str] | None = None,
    post_id: int | None = None,
    limit: int = 50,
) -> list[DeliveryView]:
    """Return deliveries, newest first: of these states, of this post, or all. Reads only."""
    names = list(states) if states is not None else None
    values = {"id": None, "post_id": post_id, "states": names, "limit": limit}
    return fetch_all(conn, DeliveryView, LIST, values)


def find_delivery(conn: Connection, delivery_id: int) -> DeliveryView:
    """Return one delivery. Reads only.

    Raises:
        UsageError: There is none of that id.
    """
    values = {"id": delivery_id, "post_id": None, "states": None, "limit": 1}
    seen = fetch_one(conn, DeliveryView, LIST, values)
    if seen is None:
        raise UsageError(
            f"there is no delivery {delivery_id}", hint="see `botticelli deliveries` for their ids"
        )
    return seen


# Which states a decision may be made in. A claim under way is nobody's to change but its holder's.
_OPEN_TO: Final[Mapping[Decision, frozenset[str]]] = {
    "hold": frozenset({"pending", "failed", "uncertain"}),
    "retry": frozenset({"pending", "held", "failed", "dropped"}),
    "mark-posted": frozenset({"pending", "held", "failed", "uncertain", "dropped", "posted"}),
    "drop": frozenset({"pending", "held", "failed", "uncertain"}),
    "withdraw": frozenset({"posted"}),
}
_INTO: Final[Mapping[Decision, str]] = {
    "hold": "held",
    "retry": "pending",
    "mark-posted": "posted",
    "drop": "dropped",
    "withdraw": "withdrawn",
}
# A split text of which something is out goes on where it stopped: as an uncertain one does.
DECIDE: Final = """
    UPDATE deliveries AS d
       SET state = CASE WHEN %(into)s = 'pending' AND jsonb_path_exists(d.parts, '$[*]')
                        THEN 'sending' ELSE %(into)s END,
           lease_owner = NULL,
           lease_expires_at = CASE WHEN %(into)s = 'pending' AND jsonb_path_exists(d.parts, '$[*]')
                                   THEN t.now END,
           fence = d.fence + 1,
           retry_at = NULL,
           refused_at = CASE WHEN %(into)s <> 'pending' THEN d.refused_at END,
           sent_at = CASE WHEN %(into)s = 'pending' THEN NULL ELSE d.sent_at END,
           text_sent = CASE WHEN %(into)s = 'pending' AND NOT jsonb_path_exists(d.parts, '$[*]')
                            THEN NULL
                            WHEN %(into)s = 'posted'
                            THEN coalesce(d.text_sent, p.text_content)
                            ELSE d.text_sent END,
           posted_at = CASE WHEN %(into)s = 'posted' THEN coalesce(d.posted_at, d.sent_at, t.now)
                            WHEN %(into)s = 'withdrawn' THEN d.posted_at END,
           steps_at = CASE WHEN %(into)s = 'posted' THEN d.steps_at END,
           remote_id = coalesce(%(remote_id)s, d.remote_id),
           last_error = CASE WHEN %(into)s IN ('held', 'failed') THEN %(note)s END,
           decided_by = %(by)s,
           history = d.history || jsonb_build_object(
               'at', t.now, 'event', %(decision)s::text, 'by', %(by)s::text, 'note', %(note)s::text)
      FROM (SELECT botticelli_now() AS now) AS t,
           approved_discord_posts AS p
     WHERE d.id = %(id)s
       AND p.id = d.post_id
       AND CASE WHEN d.state = 'sending' AND d.lease_expires_at <= t.now THEN 'uncertain'
                ELSE d.state END = ANY (%(open_to)s)
"""


# What follows a published message is tried again; nothing else of it is.
REOPEN: Final = """
    UPDATE deliveries AS d
       SET steps = (SELECT jsonb_agg(CASE s ->> 'state' WHEN 'refused'
                                          THEN s || '{"state": "open"}' ELSE s END)
                      FROM jsonb_array_elements(d.steps) AS s),
           steps_at = t.now,
           fence = d.fence + 1,
           history = d.history || jsonb_build_object(
               'at', t.now, 'event', %(decision)s::text, 'by', %(by)s::text)
      FROM (SELECT botticelli_now() AS now) AS t
     WHERE d.id = %(id)s
       AND d.state = 'posted'
       AND jsonb_path_exists(d.steps, '$[*] ? (@.state != "done")')
"""


def decide(
    conn: Connection,
    delivery_id: int,
    decision: Decision,
    *,
    by: str,
    note: str = "",
    remote_id: str | None = None,
) -> DeliveryView:
    """Carry out a person's decision and return the delivery as it is then. One transaction.

    A process that still works on the delivery loses its claim: its settle changes nothing.

    Raises:
        UsageError: There is no such delivery, or its state is not open to that decision.
    """
    seen = find_delivery(conn, delivery_id)
    values = {
        "id": delivery_id,
        "decision": decision,
        "into": _INTO[decision],
        "open_to": sorted(_OPEN_TO[decision]),
        "by": by,
        "note": note or None,
        "remote_id": remote_id,
    }
    with posts.following(conn, seen.post_id, by_hand=True):
        reopens = decision == "retry" and conn.execute(REOPEN, values).rowcount == 1
        if not reopens and conn.execute(DECIDE, values).rowcount != 1:
            raise _not_open(seen, decision)
        if decision == "retry":
            renditions.ask_anew(conn, seen.post_id, seen.destination)
    return find_delivery(conn, delivery_id)


def _not_open(seen: DeliveryView, decision: Decision) -> BotticelliError:
    if seen.state == "sending":
        return UsageError(
            "it is being sent right now", where=f"delivery {seen.id}", hint="wait a minute"
        )
    states = ", ".join(sorted(_OPEN_TO[decision]))
    return UsageError(
        f"it is {seen.state}; {decision} is for {states} ones", where=f"delivery {seen.id}"
    )


# What was sent of a rendition is the rendition's: the post stays as it is for everywhere else.
EDITED: Final = """
    WITH adapted AS (
        UPDATE renditions AS r
           SET text_content = %(text)s,
               parts = %(parts)s,
               decided_by = %(by)s
          FROM deliveries AS d
         WHERE d.id = %(id)s
           AND r.post_id = d.post_id
           AND r.destination = d.destination
           AND r.text_content = d.text_sent
        RETURNING r.post_id
    ), edited AS (
        UPDATE deliveries
           SET text_sent = %(text)s,
               history = history || (%(event)s::jsonb || jsonb_build_object('was', text_sent))
         WHERE id = %(id)s
        RETURNING post_id
    )
    UPDATE approved_discord_posts AS p
       SET text_content = %(text)s,
           parts = %(parts)s,
           approved_hash = botticelli_post_hash(%(text)s, title, link, language, %(parts)s::jsonb,
                                                attached)
      FROM edited
     WHERE p.id = edited.post_id
       AND NOT EXISTS (SELECT FROM adapted)
"""


def record_edit(conn: Connection, seen: DeliveryView, *, text: str, by: str) -> None:
    """Write down that a published text was changed, with what it was before. One transaction."""
    with conn.transaction():
        at = conn.execute("SELECT botticelli_now()").fetchone()
        assert at is not None
        event = {"at": at[0].isoformat(), "event": "edit", "by": by}
        parts = parts_of(text)
        values = {"id": seen.id, "text": text, "by": by, "event": Jsonb(event)}
        conn.execute(EDITED, values | {"parts": parts and Jsonb(parts)})
