"""The way back: a person's last decision or edit of a candidate is taken back, with its post's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Reviewed
from botticelli.text import fingerprint

AUTO: Final = "auto"  # who signs what a run of curate decides
UNDECIDED: Final = {"decided_by": None, "decided_at": None, "decision_reason": None}
# What `before` does not name stays as it is.
UNDO: Final = """
    UPDATE potential_discord_posts AS c
       SET (review_status, text_content, title, link, language, parts, content_hash, decided_at,
            decided_by, decision_reason) =
           (SELECT replace(b.review_status, 'judging', 'pending'), b.text_content, b.title, b.link,
                   b.language, b.parts, b.content_hash, b.decided_at, b.decided_by,
                   b.decision_reason
              FROM jsonb_populate_record(c, %(candidate)s) AS b),
           fence = c.fence + 1,
           lease_owner = NULL,
           lease_expires_at = NULL,
           history = c.history || jsonb_build_object(
               'at', botticelli_now(), 'event', 'undo', 'by', %(by)s::text,
               'was', c.review_status, 'undoes', %(undoes)s::text)
     WHERE c.id = %(id)s
"""
UNDO_POST: Final = """
    UPDATE approved_discord_posts AS p
       SET (review_status, text_content, title, link, language, parts, approved_by,
            approved_hash) =
           (SELECT CASE %(undoes)s WHEN 'edit' THEN p.review_status ELSE b.review_status END,
                   b.text_content, b.title, b.link, b.language, b.parts, b.approved_by,
                   b.approved_hash
              FROM jsonb_populate_record(p, %(post)s) AS b)
     WHERE p.candidate_id = %(id)s
"""


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
            undoes, candidate, post = _last_change(one)
            values = {"id": one.id, "by": by, "undoes": undoes, "candidate": Jsonb(candidate)}
            conn.execute(UNDO, values)
            conn.execute(
                UNDO_POST, values | {"post": Jsonb(post or {"review_status": "withdrawn"})}
            )
        return reviews.find_candidates(conn, wanted)


def _last_change(one: Reviewed) -> tuple[str, Mapping[str, Any], Mapping[str, Any] | None]:
    """Return the last event that is not undone, and how candidate and post were before it.

    Raises:
        UsageError: There is none.
    """
    left: list[Mapping[str, Any]] = []
    for event in one.history:
        if event["event"] != "undo":
            left.append(event)
        elif event["undoes"] != AUTO:
            left.pop()
    last = left[-1] if left else None
    decided = one.decided_at if one.decided_by == AUTO else None
    if decided and (last is None or datetime.fromisoformat(last["at"]) < decided):
        return AUTO, {"review_status": "pending", **UNDECIDED}, None
    if last is None:
        hint = f"it is {one.status}"
        what = "nobody has decided about it or edited it"
        raise UsageError(what, where=f"candidate {one.id}", hint=hint)
    if "before" in last:
        return last["event"], last["before"]["candidate"], last["before"]["post"]
    if last["event"] == "edit":  # as this and the next are kept by schema versions before 5
        text = {"text_content": last["was"]}
        return "edit", text | {"content_hash": fingerprint(last["was"])}, text
    return last["event"], {"review_status": last["was"], **UNDECIDED}, None
