"""Candidates before a person: looked at, approved, rejected, held, edited; who and when is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store import media
from botticelli.store.connection import Connection, fetch_all
from botticelli.store.curation.judging import CRITERIA
from botticelli.text import fingerprint, parts_of, shorten

Decision = Literal["approve", "reject", "hold", "reopen"]

INTO: Final[Mapping[Decision, str]] = {
    "approve": "approved",
    "reject": "rejected",
    "hold": "held",
    "reopen": "pending",
}


# What a person has seen when deciding.
SHOWN: Final = ("text_content", "status", "title", "link", "language", "parts", "attached")


@record
class Reviewed:
    """A candidate with all that a person wants to know before deciding: see candidate_reviews.

    Args:
        status: review_status, or "proposed": held because a run would have approved it; or
            "changed": approved, but its post has another text now.
        text_content: Of an approved one its post's, which is what will be sent; else its own.
        post_id: Its approved post, if it ever was approved.
        why: Why it is where it is; empty if nobody said.
        judging: What the scores are made of.
        history: What people decided and edited, oldest first.
        repeats_text: What it repeats, or may repeat.
        made_of: What it was made of: source, title, url and the beginning of its text.
        pictures: What is attached: position, mime, width, height, size, alt, origin.
        renditions: What is sent of its post to some destinations in its place: destination, state
            (open, ready, held, or stale: the post was changed since), text, note, ...
        feedback: What readers' reactions multiplied its total with, and why.
    """

    id: int
    review_status: str
    status: str
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
    post_id: int | None
    why: str
    repeats_text: str | None = None
    title: str | None = None
    link: str | None = None
    language: str | None = None
    parts: Sequence[str] | None = None
    attached: str | None = None
    renditions: Sequence[Mapping[str, Any]] = ()
    made_of: Mapping[str, str] | None = None
    pictures: Sequence[Mapping[str, Any]] = ()
    feedback: Mapping[str, Any] | None = None

    @property
    def source_words(self) -> str:
        """What it was made of, in a line; empty: of nothing from outside."""
        if not self.made_of:
            return ""
        named = self.made_of["title"] or shorten(self.made_of["text"], 80)
        return " ".join(filter(None, (f"{self.made_of['source']}: {named}", self.made_of["url"])))

    @property
    def repeats(self) -> str:
        """The id of what it repeats, or may repeat (c7, p12); empty if nothing."""
        said = self.judging.get("repeats")
        found = said if isinstance(said, Mapping) else {"candidate": self.duplicate_of}
        named = (f"{key[0]}{found[key]}" for key in ("post", "candidate") if found.get(key))
        return next(named, "")

    @property
    def total(self) -> float | None:
        """Points of 50; None if not judged."""
        return None if self.curation_score is None else float(self.curation_score)

    @property
    def scores(self) -> dict[str, int | None]:
        """Criterion -> points; None if not judged."""
        return {name: getattr(self, f"score_{name}") for name in CRITERIA}


FIND: Final = """
    SELECT *
      FROM candidate_reviews
     WHERE id = ANY (%(ids)s::bigint[])
       AND (%(statuses)s::text[] IS NULL
            OR status = ANY (%(statuses)s)
            OR review_status = ANY (%(statuses)s))
     ORDER BY CASE review_status WHEN 'approved' THEN 0 WHEN 'held' THEN 1 ELSE 2 END,
              jsonb_path_query_first(judging, '$.proposed ? (@.type() == "number")'),
              curation_score DESC NULLS LAST, id
     LIMIT %(limit)s
"""
# Of each status no more than are shown, in the order of its index and not sorted anew.
IN_ORDER: Final = "SET LOCAL enable_sort = off"
FIRST_OF: Final = """
    SELECT c.id
      FROM unnest(%(statuses)s::text[]) AS s (wanted)
     CROSS JOIN LATERAL (
           SELECT id
             FROM potential_discord_posts
            WHERE review_status = s.wanted
            ORDER BY jsonb_path_query_first(judging, '$.proposed ? (@.type() == "number")'),
                     curation_score DESC NULLS LAST, id
            LIMIT %(limit)s) AS c
     UNION ALL
    SELECT candidate_id
      FROM approved_discord_posts
     WHERE 'changed' = ANY (%(statuses)s)
       AND review_status IN ('pending', 'posting', 'held', 'failed')
       AND approved_hash
           <> botticelli_post_hash(text_content, title, link, language, parts, attached)
"""


def list_candidates(
    conn: Connection, *, statuses: Sequence[str], limit: int
) -> tuple[Reviewed, ...]:
    """Return candidates of these statuses: changed and held ones first, then by score.

    "changed" is a status of its own; see Reviewed. Reads only.
    """
    values = {"statuses": list(statuses), "limit": limit}
    with conn.transaction():
        conn.execute(IN_ORDER)
        ids = [row[0] for row in conn.execute(FIRST_OF, values)]
    return tuple(fetch_all(conn, Reviewed, FIND, {**values, "ids": ids}))


def find_candidates(conn: Connection, ids: Sequence[int]) -> tuple[Reviewed, ...]:
    """Return these candidates, in the order of `ids`. Reads only.

    Raises:
        UsageError: There is no such candidate.
    """
    values = {"ids": list(ids), "statuses": None, "limit": None}
    found = {one.id: one for one in fetch_all(conn, Reviewed, FIND, values)}
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
# What is kept as `before` is what an undo brings back.
CHANGE: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = new.status,
           text_content = coalesce(%(text)s::text, r.text_content),
           parts = CASE WHEN new.decides THEN r.parts ELSE %(parts)s::jsonb END,
           title = r.title,
           link = r.link,
           language = r.language,
           content_hash = %(hashes)s::jsonb ->> c.id::text,
           decided_at = CASE WHEN new.decides THEN botticelli_now() ELSE c.decided_at END,
           decided_by = CASE WHEN new.decides THEN %(by)s ELSE c.decided_by END,
           decision_reason = CASE WHEN new.decides THEN nullif(%(note)s, '')
                                  ELSE c.decision_reason END,
           fence = c.fence + 1,
           lease_owner = NULL,
           lease_expires_at = NULL,
           history = c.history || jsonb_build_object(
               'at', botticelli_now(), 'event', %(event)s::text, 'by', %(by)s::text,
               'note', %(note)s::text,
               'was', CASE WHEN new.decides THEN c.review_status ELSE r.text_content END,
               'before', jsonb_build_object(
                   'candidate', to_jsonb(c) - '{history,judging,extra}'::text[],
                   'post', to_jsonb(p) - 'extra'))
      FROM candidate_reviews AS r
      LEFT JOIN approved_discord_posts AS p
        ON p.id = r.post_id
     CROSS JOIN LATERAL (
           SELECT %(text)s::text IS NULL AS decides,
                  coalesce(%(into)s, replace(r.review_status, 'judging', 'pending')) AS status
           ) AS new
     WHERE c.id = ANY (%(ids)s::bigint[])
       AND r.id = c.id
"""
# The text is copied by the database, byte for byte; what was taken back before comes in anew.
COPY: Final = """
    INSERT INTO approved_discord_posts AS p
           (candidate_id, text_content, content_type, source, tags, curation_score, curation_notes,
            selected_at, generated_at, source_narrative, source_act, generation_model, rating,
            title, link, language, parts, attached, theme, expires_at, recycled_from, only_to,
            approved_by, approved_hash, run_id)
    SELECT id, text_content, content_type, source, tags, curation_score, curation_notes,
           botticelli_now(), generated_at, source_narrative, source_act,
           generation_model, rating, title, link, language, parts, attached, theme, expires_at,
           recycled_from, only_to, %(by)s,
           botticelli_post_hash(text_content, title, link, language, parts, attached), %(run_id)s
      FROM potential_discord_posts
     WHERE id = ANY (%(ids)s::bigint[])
     ORDER BY array_position(%(ids)s::bigint[], id)
        ON CONFLICT (candidate_id) DO UPDATE
       SET review_status = 'pending',
           text_content = excluded.text_content,
           title = excluded.title,
           link = excluded.link,
           language = excluded.language,
           parts = excluded.parts,
           selected_at = CASE p.review_status WHEN 'pending' THEN p.selected_at
                                              ELSE excluded.selected_at END,
           approved_by = excluded.approved_by,
           approved_hash = excluded.approved_hash
     WHERE p.review_status NOT IN ('posting', 'posted')
       AND (p.review_status <> 'pending'
            OR p.approved_hash IS DISTINCT FROM excluded.approved_hash)
    RETURNING candidate_id
"""
# Of both from now on, whoever it was added to: a change of its words is one for both.
ATTACH: Final = """
    UPDATE post_media AS m
       SET candidate_id = p.candidate_id,
           post_id = p.id
      FROM approved_discord_posts AS p
     WHERE p.candidate_id = ANY (%(ids)s::bigint[])
       AND (m.candidate_id = p.candidate_id AND m.post_id IS NULL
            OR m.post_id = p.id AND m.candidate_id IS NULL)
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
APPROVE: Final = (ATTACH, COPY, ATTACH, RELEASE)
TAKE_BACK: Final = """
    UPDATE approved_discord_posts
       SET review_status = CASE %(into)s WHEN 'held' THEN 'held' ELSE 'withdrawn' END
     WHERE candidate_id = ANY (%(ids)s::bigint[])
"""
# What nothing is out of is planned again when its post is approved again.
UNPLAN: Final = """
    DELETE FROM deliveries AS d
     USING approved_discord_posts AS p
     WHERE p.candidate_id = ANY (%(ids)s::bigint[])
       AND d.post_id = p.id
       AND d.state = 'pending'
"""
EDIT_POST: Final = """
    UPDATE approved_discord_posts
       SET text_content = %(text)s,
           parts = %(parts)s,
           approved_hash = botticelli_post_hash(%(text)s, title, link, language, %(parts)s::jsonb,
                                                attached)
     WHERE candidate_id = ANY (%(ids)s::bigint[])
"""

DESCRIBE: Final = """
    WITH described AS (
        UPDATE post_media
           SET alt = %(alt)s,
               origin = origin || jsonb_build_object('alt_by', %(by)s::text)
         WHERE id = (SELECT id
                       FROM post_media
                      WHERE candidate_id = ANY (%(ids)s::bigint[])
                      ORDER BY position
                     OFFSET %(picture)s - 1
                      LIMIT 1)
        RETURNING id
    )
    SELECT FROM described
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
        for one in found if decision == "approve" else ():
            if not one.text_content.strip():
                raise UsageError("it has no text to publish", where=f"candidate {one.id}")
        values = _values(found, event=decision, by=by, note=note)
        values["into"] = INTO[decision]
        conn.execute(CHANGE, values)
        for change in APPROVE if decision == "approve" else (TAKE_BACK, UNPLAN):
            conn.execute(change, values)
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


def describe(
    conn: Connection, id_: int, *, picture: int, alt: str, by: str, seen: Sequence[Reviewed] = ()
) -> Reviewed:
    """Say in words what a candidate's picture shows, the first one being 1. One transaction.

    Its post stays approved if it was, and what a rule held for want of words is judged anew.

    Raises:
        UsageError: There is no such candidate or picture, its post is out already, or it is not
            as it was seen.
    """
    values = {"ids": [id_], "picture": picture, "alt": alt.strip(), "by": by}
    with conn.transaction():
        [found] = hold(conn, [id_], seen=seen)
        if conn.execute(DESCRIBE, values).rowcount != 1:
            raise UsageError(f"it has no picture {picture}", where=f"candidate {id_}")
        if found.status == "approved":
            conn.execute(media.APPROVE_WITH_WORDS, {"post_id": found.post_id})
            conn.execute(media.RELEASE, {"post_id": found.post_id})
        return find_candidates(conn, [id_])[0]


def _values(
    found: Sequence[Reviewed], *, event: str, by: str, note: str = "", text: str | None = None
) -> dict[str, Any]:
    texts = {one.id: one.text_content if text is None else text for one in found}
    hashes = {str(id_): fingerprint(each) for id_, each in texts.items()}
    return {
        "ids": list(texts),
        "event": event,
        "by": by,
        "note": note,
        "text": text,
        "parts": (parts := parts_of(text or "")) and Jsonb(parts),
        "into": None,
        "run_id": None,
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
        if any(getattr(one, name) != getattr(before, name) for name in SHOWN):
            raise UsageError(
                f"it was changed meanwhile and is {one.review_status} now",
                where=f"candidate {one.id}",
                hint="look at it again",
            )
    return found


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
