"""Candidates before a person: looked at, approved, rejected, held, edited; who and when is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all
from botticelli.text import fingerprint

Decision = Literal["approve", "reject", "hold"]

INTO: Final[Mapping[Decision, str]] = {
    "approve": "approved",
    "reject": "rejected",
    "hold": "held",
}


@record
class Reviewed:
    """A candidate with all that a person wants to know before deciding.

    Args:
        judging: What the scores are made of.
        history: What people decided and edited, oldest first.
    """

    id: int
    review_status: str
    text_content: str
    content_type: str | None
    source_narrative: str | None
    generation_model: str | None
    generated_at: datetime
    curation_score: Decimal | None
    score_engagement: int | None
    score_clarity: int | None
    score_value: int | None
    score_tone: int | None
    score_polish: int | None
    curation_notes: str | None
    judge_model: str | None
    judging: Mapping[str, Any]
    duplicate_of: int | None
    decided_by: str | None
    decided_at: datetime | None
    history: Sequence[Mapping[str, Any]]
    last_error: str | None

    @property
    def status(self) -> str:
        """Its status in a word; "proposed": held because a run would have approved it."""
        if self.review_status == "held" and "proposed" in self.judging and not self.decided_by:
            return "proposed"
        return self.review_status

    @property
    def total(self) -> float | None:
        """Points of 50; None if not judged."""
        return None if self.curation_score is None else float(self.curation_score)

    @property
    def scores(self) -> dict[str, int | None]:
        """Criterion -> points; None if not judged."""
        return {
            "engagement": self.score_engagement,
            "clarity": self.score_clarity,
            "value": self.score_value,
            "tone": self.score_tone,
            "polish": self.score_polish,
        }


LIST: Final = """
    SELECT id, review_status, coalesce(text_content, '') AS text_content, content_type,
           source_narrative, generation_model, generated_at, curation_score, score_engagement,
           score_clarity, score_value, score_tone, score_polish, curation_notes, judge_model,
           judging, duplicate_of, decided_by, decided_at, history, last_error
      FROM potential_discord_posts
     WHERE CASE WHEN %(ids)s::bigint[] IS NULL
                THEN review_status = ANY (%(statuses)s::text[])
                ELSE id = ANY (%(ids)s::bigint[]) END
     ORDER BY review_status <> 'held', (judging ->> 'proposed')::integer NULLS LAST,
              curation_score DESC NULLS LAST, id
     LIMIT %(limit)s
"""


def list_candidates(
    conn: Connection, *, statuses: Sequence[str], limit: int
) -> tuple[Reviewed, ...]:
    """Return candidates of these statuses: held ones first, then by score. Reads only."""
    values = {"ids": None, "statuses": list(statuses), "limit": limit}
    return tuple(fetch_all(conn, Reviewed, LIST, values))


def find_candidates(conn: Connection, ids: Sequence[int]) -> tuple[Reviewed, ...]:
    """Return these candidates, in the order of `ids`. Reads only.

    Raises:
        UsageError: There is no such candidate.
    """
    values = {"ids": list(ids), "statuses": [], "limit": None}
    found = {one.id: one for one in fetch_all(conn, Reviewed, LIST, values)}
    missing = [str(id_) for id_ in ids if id_ not in found]
    if missing:
        raise UsageError(
            f"there is no candidate {', '.join(missing)}",
            hint="see `botticelli content list potential_discord_posts`",
        )
    return tuple(found[id_] for id_ in ids)


# Posts before candidates, each in the order of their ids: nobody waits in a circle. A post that is
# locked cannot be claimed for sending; one that is being claimed is seen as such afterwards.
HOLD_POSTS: Final = """
    SELECT id
      FROM approved_discord_posts
     WHERE candidate_id = ANY (%(ids)s::bigint[])
     ORDER BY id
       FOR UPDATE
"""
HOLD_ROWS: Final = """
    SELECT id
      FROM potential_discord_posts
     WHERE id = ANY (%(ids)s::bigint[])
     ORDER BY id
       FOR UPDATE
"""
LOOK: Final = """
    SELECT c.id,
           (SELECT min(d.state) FILTER (WHERE d.state = 'sending')
              FROM deliveries AS d WHERE d.post_id = p.id) AS sending,
           (SELECT min(d.id) FILTER (WHERE d.posted_at IS NOT NULL)
              FROM deliveries AS d WHERE d.post_id = p.id) AS published,
           coalesce(p.review_status, '') IN ('posted', 'posting')
           OR c.review_status = 'posted' AS is_out
      FROM potential_discord_posts AS c
      LEFT JOIN approved_discord_posts AS p
        ON p.candidate_id = c.id
     WHERE c.id = ANY (%(ids)s::bigint[])
     ORDER BY c.id
"""
# A judge that is still at work on one of them loses its claim.
DECIDE: Final = """
    UPDATE potential_discord_posts
       SET review_status = %(into)s,
           decided_at = botticelli_now(),
           decided_by = %(by)s,
           fence = fence + 1,
           lease_owner = NULL,
           lease_expires_at = NULL,
           history = history || jsonb_build_object(
               'at', botticelli_now(), 'event', %(decision)s::text,
               'by', %(by)s::text, 'was', review_status, 'note', %(note)s::text)
     WHERE id = ANY (%(ids)s::bigint[])
"""
# The text is copied by the database, byte for byte; what was taken back before comes in anew.
COPY: Final = """
    INSERT INTO approved_discord_posts
           (candidate_id, text_content, content_type, source, tags, curation_score, curation_notes,
            selected_at, generated_at, source_narrative, source_act, generation_model, rating,
            approved_by)
    SELECT id, text_content, content_type, source, tags, curation_score, curation_notes,
           botticelli_now(), generated_at, source_narrative, source_act,
           generation_model, rating, %(by)s
      FROM potential_discord_posts
     WHERE id = ANY (%(ids)s::bigint[])
     ORDER BY array_position(%(ids)s::bigint[], id)
        ON CONFLICT (candidate_id) DO UPDATE
       SET review_status = 'pending',
           text_content = excluded.text_content,
           selected_at = excluded.selected_at,
           approved_by = excluded.approved_by
     WHERE approved_discord_posts.review_status NOT IN ('pending', 'posting', 'posted')
"""
TAKE_BACK: Final = """
    UPDATE approved_discord_posts
       SET review_status = CASE %(into)s WHEN 'held' THEN 'held' ELSE 'withdrawn' END
     WHERE candidate_id = ANY (%(ids)s::bigint[])
"""


def decide(
    conn: Connection,
    ids: Sequence[int],
    decision: Decision,
    *,
    by: str,
    note: str = "",
    seen: Sequence[Reviewed] = (),
) -> tuple[Reviewed, ...]:
    """Carry out a person's decision about candidates; return them as they are then.

    Approved ones are copied to the approved posts, in the order of `ids`; an approved post that is
    not out yet is taken back by rejecting or holding its candidate. One transaction: all or none.
    `seen` is what the person decided by: nobody may have changed it meanwhile.

    Raises:
        UsageError: There is no such candidate, its post is out already, or being sent; it has no
            text that could be approved; or it is not as it was seen.
    """
    wanted = list(dict.fromkeys(ids))
    values = {"ids": wanted, "into": INTO[decision], "decision": decision, "by": by, "note": note}
    with conn.transaction():
        found = _hold(conn, wanted, seen=seen)
        if decision == "approve":
            _check_text(found)
        conn.execute(DECIDE, values)
        conn.execute(COPY if decision == "approve" else TAKE_BACK, values)
        return find_candidates(conn, wanted)


def _hold(
    conn: Connection, ids: Sequence[int], *, seen: Sequence[Reviewed] = ()
) -> tuple[Reviewed, ...]:
    """Lock candidates and their posts, and return the candidates.

    Raises:
        UsageError: There is no such candidate, a person's decision is no longer possible, or one
            is not as it was `seen`.
    """
    conn.execute(HOLD_POSTS, {"ids": list(ids)})
    conn.execute(HOLD_ROWS, {"ids": list(ids)})
    found = find_candidates(conn, ids)
    _check_open(conn, ids)
    known = {one.id: one for one in seen}
    for one in found:
        before = known.get(one.id, one)
        if (one.text_content, one.review_status) != (before.text_content, before.review_status):
            raise UsageError(
                f"it was changed meanwhile and is {one.review_status} now",
                where=f"candidate {one.id}",
                hint="look at it again",
            )
    return found


def _check_text(found: Sequence[Reviewed]) -> None:
    for one in found:
        if not one.text_content.strip():
            raise UsageError("it has no text to publish", where=f"candidate {one.id}")


def _check_open(conn: Connection, ids: Sequence[int]) -> None:
    for id_, sending, published, is_out in conn.execute(LOOK, {"ids": list(ids)}).fetchall():
        where = f"candidate {id_}"
        if sending:
            raise UsageError("its post is being sent right now", where=where, hint="wait a minute")
        if published is not None:
            hint = f"take it back with `botticelli withdraw {published}`"
            raise UsageError("its post was published", where=where, hint=hint)
        if is_out:
            raise UsageError("its post counts as published", where=where)


# A judge that is at work on the old text loses its claim: its scores would be another text's.
EDIT: Final = """
    WITH edited AS (
        UPDATE potential_discord_posts
           SET text_content = %(text)s,
               content_hash = %(hash)s,
               review_status = CASE review_status WHEN 'judging' THEN 'pending'
                                                  ELSE review_status END,
               fence = fence + 1,
               lease_owner = NULL,
               lease_expires_at = NULL,
               history = history || jsonb_build_object(
                   'at', botticelli_now(), 'event', 'edit',
                   'by', %(by)s::text, 'was', text_content)
         WHERE id = %(id)s
        RETURNING id
    )
    UPDATE approved_discord_posts AS p
       SET text_content = %(text)s
      FROM edited
     WHERE p.candidate_id = edited.id
"""


def edit(
    conn: Connection, id_: int, *, text: str, by: str, seen: Reviewed | None = None
) -> Reviewed:
    """Replace a candidate's text, and that of its post if it is not out yet; what it was is kept.

    `seen` is what the person started from: nobody may have changed it meanwhile. One transaction.

    Raises:
        UsageError: There is no such candidate, its post is out already, the text is empty, or it
            is not as it was seen.
    """
    if not text.strip():
        raise UsageError("the new text is empty", where=f"candidate {id_}")
    text = text.replace("\0", "")
    values = {"id": id_, "text": text, "hash": fingerprint(text), "by": by}
    with conn.transaction():
        _hold(conn, [id_], seen=[seen] if seen else [])
        conn.execute(EDIT, values)
        return find_candidates(conn, [id_])[0]
