"""Candidates before a person: looked at, approved, rejected, held, edited; who and when is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all
from botticelli.text import fingerprint

Decision = Literal["approve", "reject", "hold", "reopen"]

INTO: Final[Mapping[Decision, str]] = {
    "approve": "approved",
    "reject": "rejected",
    "hold": "held",
    "reopen": "pending",
}
CHANGED: Final = "changed"  # a status that is no column's: see Reviewed.status


@record
class Reviewed:
    """A candidate with all that a person wants to know before deciding.

    Args:
        text_content: Of an approved one its post's, which is what will be sent; else its own.
        post_id: Its approved post, if it ever was approved.
        is_changed: Its post's text is not the one that was approved: `post` does not send it.
        decision_reason: Why it was decided so; None if nobody gave a reason.
        post_notes: Why deliveries of its post are held or failed, and what is odd about it.
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
    decision_reason: str | None
    history: Sequence[Mapping[str, Any]]
    last_error: str | None
    post_id: int | None
    is_changed: bool
    post_notes: str | None

    @property
    def status(self) -> str:
        """Its status in a word.

        "proposed": held because a run would have approved it; "changed": approved, but its post
        has another text now.
        """
        if self.is_changed:
            return CHANGED
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

    @property
    def why(self) -> str:
        """Why it is where it is: what holds its post, else why it was decided so, or an error."""
        changed = "the text was changed after it was approved" if self.is_changed else ""
        return changed or self.post_notes or self.decision_reason or self.last_error or ""


# What a person sees and decides about: of an approved candidate its post's text.
SHOWN: Final = """
    CASE WHEN c.review_status IN ('approved', 'posted') AND p.id IS NOT NULL
         THEN p.text_content ELSE c.text_content END
"""
LIST: Final = f"""
    WITH wanted AS MATERIALIZED (
        SELECT id, row_number() OVER () AS place
          FROM (SELECT id
                  FROM potential_discord_posts AS c
                 WHERE CASE WHEN %(ids)s::bigint[] IS NOT NULL THEN id = ANY (%(ids)s)
                            ELSE review_status = ANY (%(statuses)s::text[])
                                 OR %(with_changed)s
                                    AND review_status = 'approved'
                                    AND EXISTS (SELECT
                                                  FROM approved_discord_posts AS p
                                                 WHERE p.candidate_id = c.id
                                                   AND NOT botticelli_is_as_approved(
                                                           p.text_content, p.approved_hash)) END
                 ORDER BY CASE review_status WHEN 'approved' THEN 0 WHEN 'held' THEN 1 ELSE 2 END,
                          jsonb_path_query_first(
                              judging, '$.proposed ? (@.type() == "number")') NULLS LAST,
                          curation_score DESC NULLS LAST, id
                 LIMIT %(limit)s) AS sorted
    )
    SELECT c.id, c.review_status, coalesce({SHOWN}, '') AS text_content, c.content_type,
           c.source_narrative, c.generation_model, c.generated_at, c.curation_score,
           c.score_engagement, c.score_clarity, c.score_value, c.score_tone, c.score_polish,
           c.curation_notes, c.judge_model, c.judging, c.duplicate_of, c.decided_by, c.decided_at,
           c.decision_reason, c.history, c.last_error, p.id AS post_id,
           c.review_status = 'approved' AND NOT coalesce(
               botticelli_is_as_approved(p.text_content, p.approved_hash), true) AS is_changed,
           CASE WHEN c.review_status = 'approved' THEN concat_ws('; ',
               CASE WHEN c.text_content IS DISTINCT FROM p.text_content
                    THEN 'its own row has another text; the post''s is sent' END,
               (SELECT string_agg(format('%%s for %%s: %%s', d.state, d.destination, d.last_error),
                                  '; ' ORDER BY d.id)
                  FROM deliveries AS d
                 WHERE d.post_id = p.id
                   AND d.state IN ('held', 'failed'))) END AS post_notes
      FROM wanted
      JOIN potential_discord_posts AS c
        ON c.id = wanted.id
      LEFT JOIN approved_discord_posts AS p
        ON p.candidate_id = c.id
     ORDER BY wanted.place
"""  # noqa: S608 - made of constants


def list_candidates(
    conn: Connection, *, statuses: Sequence[str], limit: int
) -> tuple[Reviewed, ...]:
    """Return candidates of these statuses: held ones first, then by score. Reads only.

    The status "changed" stands for approved ones whose post has another text now: they come first.
    """
    values = {"ids": None, "statuses": list(statuses), "limit": limit}
    return tuple(fetch_all(conn, Reviewed, LIST, values | {"with_changed": CHANGED in statuses}))


def find_candidates(conn: Connection, ids: Sequence[int]) -> tuple[Reviewed, ...]:
    """Return these candidates, in the order of `ids`. Reads only.

    Raises:
        UsageError: There is no such candidate.
    """
    values = {"ids": list(ids), "statuses": [], "limit": None, "with_changed": False}
    found = {one.id: one for one in fetch_all(conn, Reviewed, LIST, values)}
    missing = [str(id_) for id_ in ids if id_ not in found]
    if missing:
        raise UsageError(
            f"there is no candidate {', '.join(missing)}",
            hint="see `botticelli content list potential_discord_posts`",
        )
    return tuple(found[id_] for id_ in ids)


CANDIDATE_OF: Final = "SELECT candidate_id FROM approved_discord_posts WHERE id = %(id)s"


def candidate_of(conn: Connection, post_id: int) -> int:
    """Return the candidate that an approved post was copied from. Reads only.

    Raises:
        UsageError: There is no such post, or it came in by SQL.
    """
    row = conn.execute(CANDIDATE_OF, {"id": post_id}).fetchone()
    if row is None:
        raise UsageError(f"there is no post {post_id}", hint="see `botticelli deliveries`")
    if row[0] is None:
        raise UsageError(
            "it came in by SQL and has no candidate",
            where=f"post {post_id}",
            hint=f"see `botticelli content show approved_discord_posts {post_id}`",
        )
    return int(row[0])


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
# A decision is about the text that was shown; an edit (text is not null) brings its own. A judge
# that is still at work on one of them loses its claim: its scores would be another text's.
CHANGE: Final = f"""
    WITH old AS (
        SELECT c.id, {SHOWN} AS shown, p.review_status AS post_status, p.text_content AS post_text,
               p.approved_hash, p.approved_by
          FROM potential_discord_posts AS c
          LEFT JOIN approved_discord_posts AS p
            ON p.candidate_id = c.id
         WHERE c.id = ANY (%(ids)s::bigint[])
    )
    UPDATE potential_discord_posts AS c
       SET review_status = coalesce(%(into)s::text, CASE c.review_status WHEN 'judging'
                                    THEN 'pending' ELSE c.review_status END),
           text_content = coalesce(%(text)s::text, old.shown),
           content_hash = coalesce(%(hashes)s::jsonb ->> c.id::text, c.content_hash),
           decided_at = CASE WHEN %(into)s::text IS NULL THEN c.decided_at
                             ELSE botticelli_now() END,
           decided_by = CASE WHEN %(into)s::text IS NULL THEN c.decided_by ELSE %(by)s END,
           decision_reason = CASE WHEN %(into)s::text IS NULL THEN c.decision_reason
                                  ELSE nullif(%(note)s::text, '') END,
           fence = c.fence + 1,
           lease_owner = NULL,
           lease_expires_at = NULL,
           history = c.history || jsonb_strip_nulls(jsonb_build_object(
               'at', botticelli_now(), 'event', %(event)s::text, 'by', %(by)s::text,
               'note', nullif(%(note)s::text, ''),
               'was', CASE WHEN %(text)s::text IS NULL THEN c.review_status ELSE old.shown END,
               'before', jsonb_build_object(
                   'status', c.review_status, 'by', c.decided_by, 'at', c.decided_at,
                   'reason', c.decision_reason, 'hash', old.approved_hash,
                   'approved_by', old.approved_by,
                   'post', CASE WHEN %(into)s::text IS NOT NULL
                                THEN coalesce(old.post_status, 'withdrawn') END,
                   'text', CASE WHEN c.text_content IS DISTINCT FROM
                                     coalesce(%(text)s::text, old.shown) THEN c.text_content END,
                   'post_text', CASE WHEN %(text)s::text IS NOT NULL THEN old.post_text END)))
      FROM old
     WHERE c.id = old.id
"""  # noqa: S608 - made of constants
# The text is copied by the database, byte for byte; what was taken back before comes in anew.
COPY: Final = """
    INSERT INTO approved_discord_posts AS p
           (candidate_id, text_content, content_type, source, tags, curation_score, curation_notes,
            selected_at, generated_at, source_narrative, source_act, generation_model, rating,
            approved_by, approved_hash)
    SELECT id, text_content, content_type, source, tags, curation_score, curation_notes,
           botticelli_now(), generated_at, source_narrative, source_act,
           generation_model, rating, %(by)s, botticelli_text_hash(text_content)
      FROM potential_discord_posts
     WHERE id = ANY (%(ids)s::bigint[])
     ORDER BY array_position(%(ids)s::bigint[], id)
        ON CONFLICT (candidate_id) DO UPDATE
       SET review_status = 'pending',
           text_content = excluded.text_content,
           selected_at = CASE p.review_status WHEN 'pending' THEN p.selected_at
                                              ELSE excluded.selected_at END,
           approved_by = excluded.approved_by,
           approved_hash = excluded.approved_hash
     WHERE p.review_status NOT IN ('posting', 'posted')
       AND (p.review_status <> 'pending'
            OR p.approved_hash IS DISTINCT FROM excluded.approved_hash)
"""
# What the rules have held and nobody has sent yet is judged by them again.
RELEASE: Final = """
    UPDATE deliveries AS d
       SET state = 'pending',
           last_error = NULL,
           history = d.history || jsonb_build_object(
               'at', botticelli_now(), 'event', 'approved again', 'by', %(by)s::text)
      FROM approved_discord_posts AS p
     WHERE p.candidate_id = ANY (%(ids)s::bigint[])
       AND d.post_id = p.id
       AND d.state = 'held'
       AND d.attempts = 0
       AND d.decided_by IS NULL
"""
TAKE_BACK: Final = """
    UPDATE approved_discord_posts
       SET review_status = CASE %(into)s WHEN 'held' THEN 'held' ELSE 'withdrawn' END
     WHERE candidate_id = ANY (%(ids)s::bigint[])
"""
EDIT_POST: Final = """
    UPDATE approved_discord_posts
       SET text_content = %(text)s,
           approved_hash = botticelli_text_hash(%(text)s)
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
    with conn.transaction():
        found = hold(conn, wanted, seen=seen)
        if decision == "approve":
            _check_text(found)
        values = _values(found, event=decision, by=by, note=note)
        values["into"] = INTO[decision]
        conn.execute(CHANGE, values)
        conn.execute(COPY if decision == "approve" else TAKE_BACK, values)
        if decision == "approve":
            conn.execute(RELEASE, values)
        return find_candidates(conn, wanted)


def edit(
    conn: Connection,
    id_: int,
    *,
    text: str,
    by: str,
    seen: Reviewed | None = None,
    approve: bool = False,
) -> Reviewed:
    """Replace a candidate's text, and that of its post if it is not out yet; what it was is kept.

    `seen` is what the person started from: nobody may have changed it meanwhile. `approve` also
    approves the new text. One transaction.

    Raises:
        UsageError: There is no such candidate, its post is out already, the text is empty, or it
            is not as it was seen.
    """
    if not text.strip():
        raise UsageError("the new text is empty", where=f"candidate {id_}")
    text = text.replace("\0", "")
    with conn.transaction():
        found = hold(conn, [id_], seen=[seen] if seen else [])
        values = _values(found, event="edit", by=by, text=text)
        conn.execute(CHANGE, values)
        conn.execute(EDIT_POST, values)
        if approve:
            decide(conn, [id_], "approve", by=by)
        return find_candidates(conn, [id_])[0]


def _values(
    found: Sequence[Reviewed], *, event: str, by: str, note: str = "", text: str | None = None
) -> dict[str, Any]:
    texts = {one.id: one.text_content if text is None else text for one in found}
    hashes = {str(id_): fingerprint(each) for id_, each in texts.items() if each.strip()}
    return {
        "ids": list(texts),
        "event": event,
        "by": by,
        "note": note,
        "text": text,
        "into": None,
        "hashes": Jsonb(hashes),
    }


def hold(
    conn: Connection, ids: Sequence[int], *, seen: Sequence[Reviewed] = ()
) -> tuple[Reviewed, ...]:
    """Lock candidates and their posts until the transaction ends, and return the candidates.

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
        if (one.text_content, one.status) != (before.text_content, before.status):
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
