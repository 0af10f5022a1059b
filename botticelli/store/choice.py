"""The choice among judged candidates: the best are copied by SQL, the others rejected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from psycopg.rows import class_row

from botticelli.store.connection import Connection


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A candidate with scores that waits for the choice."""

    id: int
    text_content: str
    content_type: str | None
    source_narrative: str | None
    curation_score: Decimal
    score_engagement: int
    score_value: int
    judged_at: datetime

    @property
    def angle(self) -> str:
        """What kind of post it is; empty: unknown."""
        return self.content_type or self.source_narrative or ""

    @property
    def rank(self) -> tuple[float, int, int]:
        """Total, engagement + value, -id: the greatest is the best."""
        return (float(self.curation_score), self.score_engagement + self.score_value, -self.id)


LIST_JUDGED: Final = """
    SELECT id, text_content, content_type, source_narrative, curation_score,
           coalesce(score_engagement, 0) AS score_engagement,
           coalesce(score_value, 0) AS score_value, judged_at
      FROM potential_discord_posts
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
       AND curation_score >= %(min_score)s
       AND text_content IS NOT NULL
     ORDER BY curation_score DESC, coalesce(score_engagement, 0) + coalesce(score_value, 0) DESC, id
     LIMIT %(limit)s
"""


def list_judged(conn: Connection, *, min_score: float, limit: int) -> tuple[Judged, ...]:
    """Return the best judged candidates at or above `min_score`, best first."""
    with conn.cursor(row_factory=class_row(Judged)) as cursor:
        return tuple(
            cursor.execute(LIST_JUDGED, {"min_score": min_score, "limit": limit}).fetchall()
        )


RECENT_TEXTS: Final = """
    SELECT text_content
      FROM approved_discord_posts
     WHERE text_content IS NOT NULL
     ORDER BY id DESC
     LIMIT %(limit)s
"""


def list_recent_texts(conn: Connection, *, limit: int) -> tuple[str, ...]:
    """Return the texts of the posts approved last, newest first."""
    return tuple(row[0] for row in conn.execute(RECENT_TEXTS, {"limit": limit}).fetchall())


COUNT_JUDGED: Final = """
    SELECT count(*)
      FROM potential_discord_posts
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
"""


def count_judged(conn: Connection) -> int:
    """Return how many judged candidates wait for the choice."""
    row = conn.execute(COUNT_JUDGED).fetchone()
    return int(row[0]) if row else 0


# Only what nobody has decided on meanwhile; the unique candidate_id lets no post in twice.
APPROVE: Final = """
    WITH chosen AS (
        UPDATE potential_discord_posts AS c
           SET review_status = 'approved',
               decided_at = coalesce(%(now)s::timestamptz, now()),
               decided_by = %(by)s
          FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS wanted (id, place)
         WHERE c.id = wanted.id
           AND c.review_status = 'pending'
        RETURNING c.*, wanted.place
    )
    INSERT INTO approved_discord_posts
           (candidate_id, text_content, content_type, source, tags, curation_score, curation_notes,
            selected_at, generated_at, source_narrative, source_act, generation_model, rating,
            approved_by, run_id)
    SELECT id, text_content, content_type, source, tags, curation_score, curation_notes,
           coalesce(%(now)s::timestamptz, now()), generated_at, source_narrative, source_act,
           generation_model, rating, %(by)s, %(run_id)s
      FROM chosen
     ORDER BY place
        ON CONFLICT (candidate_id) DO NOTHING
    RETURNING candidate_id
"""
REJECT_OTHERS: Final = """
    UPDATE potential_discord_posts
       SET review_status = 'rejected',
           decided_at = coalesce(%(now)s::timestamptz, now()),
           decided_by = %(by)s
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
"""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What became of the judged candidates: ids approved in rank order, and how many rejected."""

    approved: tuple[int, ...]
    rejected: int


def settle_choice(
    conn: Connection,
    approved: Sequence[int],
    *,
    by: str,
    run_id: int | None = None,
    now: datetime | None = None,
) -> Chosen:
    """Approve these candidates in this order and reject every other judged one.

    The text is copied by the database, byte for byte. One transaction: a choice is made whole or
    not at all, and never twice for the same candidate.
    """
    values = {"ids": list(approved), "by": by, "run_id": run_id, "now": now}
    with conn.transaction():
        rows = conn.execute(APPROVE, values).fetchall()
        rejected = conn.execute(REJECT_OTHERS, values).rowcount
    return Chosen(approved=tuple(row[0] for row in rows), rejected=rejected)
