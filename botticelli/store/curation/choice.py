"""The choice among judged candidates: the best are copied by SQL, the others rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.learning.effects import Feedback
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, repeatable
from botticelli.store.curation import reviews
from botticelli.store.curation.evidence import KINDS
from botticelli.store.curation.judging import FORGET_STALE


@record
class JudgedCandidate:
    """A candidate with scores that waits for the choice.

    Args:
        is_reserved: It was kept by an earlier choice.
        repeats: What it says again: `candidate` or `post`, with the `quote` that proves it, or a
            `share`.
        is_known: That one is out, approved, or held for a person.
        kinds: What readers' reactions know it by: angle, theme, length.
        feedback: What their reactions multiply its total with.
    """

    id: int
    text_content: str
    content_type: str | None
    source_narrative: str | None
    curation_score: Decimal
    score_engagement: int
    score_value: int
    judged_at: datetime
    is_reserved: bool = False
    repeats: Mapping[str, Any] | None = None
    is_known: bool = False
    kinds: Mapping[str, str] = field(default_factory=dict)
    feedback: Feedback = field(default_factory=Feedback)

    @property
    def angle(self) -> str:
        """What kind of post it is; empty if unknown."""
        return self.source_narrative or self.content_type or ""

    @property
    def rank(self) -> tuple[float, int, int]:
        """Total with its factor, engagement + value, -id: the greatest is the best."""
        total = round(float(self.curation_score) * self.feedback.factor, 4)
        return (total, self.score_engagement + self.score_value, -self.id)


LIST_JUDGED: Final = f"""
    SELECT id, text_content, content_type, source_narrative, curation_score,
           coalesce(score_engagement, 0) AS score_engagement,
           coalesce(score_value, 0) AS score_value, judged_at,
           judging ? 'reserved' AS is_reserved, judging -> 'repeats' AS repeats,
           EXISTS (SELECT
                     FROM approved_discord_posts AS p
                    WHERE p.id = botticelli_id(c.judging #> '{{repeats,post}}')
                      AND p.review_status <> 'withdrawn')
           OR EXISTS (SELECT
                        FROM potential_discord_posts AS first
                       WHERE first.id = botticelli_id(c.judging #> '{{repeats,candidate}}')
                         AND first.review_status IN ('approved', 'posted', 'held')) AS is_known,
           {KINDS} AS kinds
      FROM potential_discord_posts AS c
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
       AND curation_score BETWEEN %(min_score)s AND 50
       AND text_content IS NOT NULL
       AND (%(with_fails)s OR NOT jsonb_path_exists(judging, '$.fails[*]'))
       AND NOT coalesce(judging @> '{{"fails": ["grounded"]}}', false)
       AND coalesce(expires_at, 'infinity') > botticelli_now()
     ORDER BY curation_score DESC, coalesce(score_engagement, 0) + coalesce(score_value, 0) DESC, id
     LIMIT %(limit)s
"""  # noqa: S608 - all parts are constants


def list_judged(
    conn: Connection, *, min_score: float, limit: int, with_fails: bool = True
) -> tuple[JudgedCandidate, ...]:
    """Return the best judged candidates at or above `min_score`, best first.

    `with_fails` includes those about which the judge answered a question with no. What claims more
    than its source says is never among them.
    """
    values = {"min_score": min_score, "limit": limit, "with_fails": with_fails}
    return tuple(fetch_all(conn, JudgedCandidate, LIST_JUDGED, values))


RECENT_TEXTS: Final = """
    SELECT p.id, p.text_content, c.judging #> '{repeats,candidate}'
      FROM approved_discord_posts AS p
      LEFT JOIN potential_discord_posts AS c
        ON c.id = p.candidate_id
     WHERE p.text_content IS NOT NULL
     ORDER BY p.id DESC
     LIMIT %(limit)s
"""


@repeatable()
def list_recent_texts(conn: Connection, *, limit: int) -> list[tuple[int, str, Any]]:
    """Return (id, text, candidate that it repeats) of the posts approved last, newest first."""
    return conn.execute(RECENT_TEXTS, {"limit": limit}).fetchall()


# Held until the choice is stored, so that no text changes between the look at it and its copy.
HOLD: Final = """
    SELECT id
      FROM potential_discord_posts
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
     ORDER BY id
       FOR UPDATE
"""
# Only what is still undecided and judged; the unique candidate_id lets no post in twice.
APPROVE: Final = """
    UPDATE potential_discord_posts
       SET review_status = 'approved',
           decided_at = botticelli_now(),
           decided_by = %(by)s
     WHERE id = ANY (%(ids)s::bigint[])
       AND review_status = 'pending'
       AND judged_at IS NOT NULL
    RETURNING id
"""
# 'held' is for a person to look at; nobody has decided yet.
PROPOSE: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = 'held',
           judging = c.judging || jsonb_build_object('proposed', wanted.place)
      FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS wanted (id, place)
     WHERE c.id = wanted.id
       AND c.review_status = 'pending'
       AND c.judged_at IS NOT NULL
    RETURNING c.id, wanted.place
"""
NOTE_PLACES: Final = """
    UPDATE potential_discord_posts AS c
       SET judging = c.judging || jsonb_build_object('place', ranked.place)
      FROM unnest(%(ranked)s::bigint[], %(places)s::integer[]) AS ranked (id, place)
     WHERE c.id = ranked.id
"""
HOLD_BACK: Final = """
    UPDATE potential_discord_posts
       SET review_status = 'held'
     WHERE id = ANY (%(held)s::bigint[])
       AND review_status = 'pending'
       AND judged_at IS NOT NULL
    RETURNING id
"""
RESERVE: Final = """
    UPDATE potential_discord_posts
       SET judging = judging || '{"reserved": true}'
     WHERE id = ANY (%(reserved)s::bigint[])
       AND review_status = 'pending'
"""
FEED_BACK: Final = """
    UPDATE potential_discord_posts AS c
       SET feedback = given.value
      FROM jsonb_each(%(feedback)s) AS given (id, value)
     WHERE c.id = given.id::bigint
       AND c.review_status = 'pending'
"""
EXPLAIN: Final = """
    UPDATE potential_discord_posts AS c
       SET decision_reason = given.why
      FROM unnest(%(explained)s::bigint[], %(whys)s::text[]) AS given (id, why)
     WHERE c.id = given.id
       AND c.review_status = 'pending'
       AND c.judged_at IS NOT NULL
"""
REJECT_OTHERS: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = 'rejected',
           decided_at = botticelli_now(),
           decided_by = %(by)s,
           decision_reason = CASE
               WHEN c.id = ANY (%(explained)s) THEN c.decision_reason
               WHEN NOT coalesce(curation_score >= %(min_score)s, false)
               THEN concat('below the threshold of ', %(min_score)s::float8, ' of 50')
               WHEN expires_at <= botticelli_now()
               THEN concat('its theme is over: ', theme)
               WHEN jsonb_path_exists(judging, '$.fails[*]')
               THEN 'the judge answered no: ' || (judging -> 'fails')::text
               ELSE 'not among the best' END
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
       AND id <> ALL (%(reserved)s::bigint[])
    RETURNING id, curation_score, decision_reason
"""


@record
class Choice:
    """What is to become of the judged candidates; those it does not name are rejected.

    Args:
        best: In rank order.
        reserved: Stay as they are, for a run in which nothing passes.
        held: Are for a person to decide about: they may repeat something.
        places: Id -> place, from 1, for those that were ranked.
        why: Id -> why it is chosen or not; who is not named is below `min_score`, or has failed.
        is_proposal: The best are not approved but held for a person.
        feedback: Id -> factor and why, of those whose total readers' reactions change.
    """

    best: Sequence[int] = ()
    reserved: Sequence[int] = ()
    held: Sequence[int] = ()
    places: Mapping[int, int] = field(default_factory=dict)
    why: Mapping[int, str] = field(default_factory=dict)
    min_score: float = 0
    is_proposal: bool = False
    feedback: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


@record
class Chosen:
    """What became of the judged candidates: ids in rank order.

    Args:
        held: Id -> why it is held for a person.
        reasons: Id -> score and why, of the rejected ones; best first.
    """

    approved: tuple[int, ...] = ()
    proposed: tuple[int, ...] = ()
    held: Mapping[int, str] = field(default_factory=dict)
    rejected: int = 0
    reasons: Mapping[int, str] = field(default_factory=dict, compare=False)


def settle_choice(
    conn: Connection, choice: Choice, *, by: str, run_id: int | None = None
) -> Chosen:
    """Approve or propose the best, keep the reserved and reject every other judged one.

    The text is copied by the database, byte for byte. One transaction: a choice is made whole or
    not at all, and never twice for the same candidate. One whose text is no longer what was judged
    is not chosen: it waits for the judge again.
    """
    values = {
        "ids": list(choice.best),
        "reserved": list(choice.reserved),
        "held": list(choice.held),
        "ranked": list(choice.places),
        "places": list(choice.places.values()),
        "explained": list(choice.why),
        "whys": list(choice.why.values()),
        "min_score": choice.min_score,
        "by": by,
        "run_id": run_id,
    }
    with conn.transaction():
        conn.execute(HOLD)
        conn.execute(FORGET_STALE)
        conn.execute(NOTE_PLACES, values)
        conn.execute(EXPLAIN, values)
        if choice.feedback:
            conn.execute(FEED_BACK, {"feedback": Jsonb(dict(choice.feedback))})
        rows = conn.execute(PROPOSE if choice.is_proposal else APPROVE, values).fetchall()
        ids = [id_ for id_ in choice.best if id_ in {row[0] for row in rows}]
        if not choice.is_proposal:
            copied = conn.execute(reviews.COPY, values | {"ids": ids}).fetchall()
            conn.execute(reviews.ATTACH, values)
            ids = [id_ for id_ in ids if id_ in {row[0] for row in copied}]
        held = conn.execute(HOLD_BACK, values).fetchall()
        conn.execute(RESERVE, values)
        others = conn.execute(REJECT_OTHERS, values).fetchall()
    others.sort(key=lambda row: (-(row[1] or 0), row[0]))
    return Chosen(
        approved=() if choice.is_proposal else tuple(ids),
        proposed=tuple(ids) if choice.is_proposal else (),
        held={id_: choice.why.get(id_, "") for (id_,) in held},
        rejected=len(others),
        reasons={id_: f"{float(score or 0):g} of 50, {why}" for id_, score, why in others},
    )
