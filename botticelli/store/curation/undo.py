"""The way back: a person's last decision or edit of a candidate is taken back, with its post's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from botticelli.errors import UsageError
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Reviewed
from botticelli.text import fingerprint

# Whatever the event before noted comes back; what it did not change stays as it is.
UNDO: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = %(status)s,
           text_content = coalesce(%(text)s, c.text_content),
           content_hash = coalesce(%(content_hash)s, c.content_hash),
           decided_at = %(at)s::timestamptz,
           decided_by = %(by)s,
           decision_reason = %(reason)s,
           fence = c.fence + 1,
           lease_owner = NULL,
           lease_expires_at = NULL,
           history = c.history || jsonb_build_object(
               'at', botticelli_now(), 'event', 'undo', 'by', %(who)s::text,
               'was', c.review_status, 'undoes', %(undoes)s::text)
     WHERE c.id = %(id)s
"""
UNDO_POST: Final = """
    UPDATE approved_discord_posts
       SET review_status = coalesce(%(post)s, review_status),
           text_content = coalesce(%(post_text)s, text_content),
           approved_hash = %(hash)s,
           approved_by = coalesce(%(approved_by)s, approved_by)
     WHERE candidate_id = %(id)s
"""
AUTO: Final = "auto"  # who signs what a run of curate decides


def undo(
    conn: Connection, ids: Sequence[int], *, by: str, seen: Sequence[Reviewed] = ()
) -> tuple[Reviewed, ...]:
    """Take back the last decision or edit of each candidate; return them as they are then.

    Repeated, it takes back the one before. What a run of curate decided becomes pending again.
    One transaction: all or none.

    Raises:
        UsageError: There is no such candidate, nothing was decided about it, its post is out
            already or being sent, or it is not as it was seen.
    """
    wanted = list(dict.fromkeys(ids))
    with conn.transaction():
        for one in reviews.hold(conn, wanted, seen=seen):
            undoes, before = _last_change(one)
            text = before.get("text")
            values = {
                **dict.fromkeys(
                    ("by", "at", "reason", "hash", "approved_by", "post", "post_text", "text")
                ),
                **before,
                "status": "pending" if before["status"] == "judging" else before["status"],
                "content_hash": fingerprint(text) if text else None,
                "id": one.id,
                "who": by,
                "undoes": undoes,
            }
            conn.execute(UNDO, values)
            conn.execute(UNDO_POST, values)
        return reviews.find_candidates(conn, wanted)


def _last_change(one: Reviewed) -> tuple[str, Mapping[str, Any]]:
    """Return the last event that is not undone, and how the candidate was before it.

    Raises:
        UsageError: There is none.
    """
    last = _last_event(one.history)
    decided = one.decided_at if one.decided_by == AUTO else None
    if decided and (last is None or datetime.fromisoformat(last["at"]) < decided):
        return AUTO, {"status": "pending", "post": "withdrawn"}
    if last is None:
        raise UsageError(
            "nobody has decided about it or edited it",
            where=f"candidate {one.id}",
            hint=f"it is {one.status}",
        )
    if "before" in last:
        return last["event"], last["before"]
    # Written before schema version 5.
    if last["event"] == "edit":
        kept = {"status": one.review_status, "by": one.decided_by, "at": one.decided_at}
        return "edit", {**kept, "text": last["was"], "post_text": last["was"]}
    return last["event"], {"status": last["was"], "post": "withdrawn"}


def _last_event(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    left: list[Mapping[str, Any]] = []
    for event in history:
        if event["event"] != "undo":
            left.append(event)
        elif event.get("undoes") != AUTO and left:
            left.pop()
    return left[-1] if left else None
