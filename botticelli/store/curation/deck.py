"""The pages of candidates that the desk shows, by key: none is counted or sorted through."""

from collections.abc import Mapping, Sequence
from typing import Final

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation.reviews import IN_ORDER, Reviewed, find_candidates

# By score, best first, unjudged ones last; of the same score in the order of their making.
PAGE: Final = """
    SELECT c.id, c.score
      FROM unnest(%(statuses)s::text[]) AS s (wanted)
     CROSS JOIN LATERAL (
           SELECT id, coalesce(curation_score, -1) AS score
             FROM potential_discord_posts
            WHERE review_status = s.wanted
              AND coalesce(curation_score, -1) <= %(score)s
              AND (coalesce(curation_score, -1) < %(score)s OR id > %(id)s)
              AND (%(search)s = ''
                   OR generated_at > botticelli_now() - interval '90 days'
                      AND strpos(lower(text_content), lower(%(search)s)) > 0)
            ORDER BY coalesce(curation_score, -1) DESC, id
            LIMIT %(limit)s) AS c
"""
COUNT: Final = """
    SELECT count(*)
      FROM (SELECT FROM potential_discord_posts
             WHERE review_status = ANY (%(statuses)s)
             LIMIT %(most)s + 1) AS first
"""
FIRST: Final = ("1000", "0")  # no score is as high


@record
class DeckPage:
    """Some candidates, and the key that the next ones come after; empty: there are none."""

    candidates: tuple[Reviewed, ...]
    after: str


def read_deck(
    conn: Connection, statuses: Sequence[str], *, search: str, after: str, limit: int
) -> DeckPage:
    """Return a page of candidates of these statuses. Reads only.

    Args:
        conn: Where from.
        statuses: As in review_status.
        search: What stands in their texts, in any case, within 90 days; empty: anything.
        after: The key that the page before ended with; empty: from the first one on.
        limit: How many.

    Raises:
        UsageError: There is no such key.
    """
    score, _, id_ = after.partition(",") if after else (FIRST[0], "", FIRST[1])
    if not (score.lstrip("-").replace(".", "", 1).isdecimal() and id_.isdecimal()):
        raise UsageError(f"'{after}' is no place in the list")
    values = {"statuses": list(statuses), "search": search, "limit": limit + 1}
    with conn.transaction():
        conn.execute(IN_ORDER)
        rows = conn.execute(PAGE, {**values, "score": score, "id": id_}).fetchall()
    rows.sort(key=lambda row: (-row[1], row[0]))
    shown = rows[:limit]
    more = f"{shown[-1][1]},{shown[-1][0]}" if len(rows) > limit else ""
    return DeckPage(candidates=find_candidates(conn, [row[0] for row in shown]), after=more)


def count_up_to(
    conn: Connection, views: Mapping[str, Sequence[str]], *, most: int
) -> dict[str, int]:
    """Return how many candidates each view has; `most` + 1: more than that. Reads only."""
    return {
        name: conn.execute(COUNT, {"statuses": list(statuses), "most": most}).fetchall()[0][0]
        for name, statuses in views.items()
    }
