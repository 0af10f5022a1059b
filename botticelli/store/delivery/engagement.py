"""What readers did with posts: one snapshot for each fixed age, counts only."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, repeatable

# A score is made at one age, so that older posts have no advantage; later ones show how it went on.
AGES: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "72h": timedelta(hours=72),
    "7d": timedelta(days=7),
}
LATE: Final = 0.25  # of an age: what is looked at later than that is no fair comparison any more
LONGEST: Final = timedelta(days=14)  # nobody looks at what is older


@record
class DueLook:
    """A message whose reactions are to be counted now.

    Args:
        messages: How many the text is in; this is the first.
        ages: For these ages, due and not there yet.
    """

    delivery: int
    destination: str
    remote_id: str
    url: str
    posted_at: datetime
    messages: int
    ages: Sequence[str]


DUE: Final = """
    SELECT d.id AS delivery, d.destination, coalesce(d.parts -> 0 ->> 'remote_id', d.remote_id)
           AS remote_id, coalesce(d.parts -> 0 ->> 'url', d.remote_url, '') AS url, d.posted_at,
           greatest(jsonb_array_length(d.parts), 1) AS messages,
           array_agg(a.age ORDER BY a.span) AS ages
      FROM deliveries AS d
     CROSS JOIN unnest(%(ages)s::text[], %(spans)s::interval[]) AS a (age, span)
     WHERE d.state = 'posted'
       AND d.destination = ANY (%(names)s)
       AND d.remote_id IS NOT NULL
       AND d.posted_at > botticelli_now() - %(longest)s::interval
       AND d.posted_at + a.span <= botticelli_now()
       AND NOT EXISTS (SELECT
                         FROM engagement AS e
                        WHERE e.delivery_id = d.id
                          AND (e.age = a.age OR e.gone))
     GROUP BY d.id
     ORDER BY d.destination, d.posted_at
     LIMIT %(limit)s
"""
KEEP: Final = """
    INSERT INTO engagement (delivery_id, age, observed_at, due_at, late, gone, counts, reactions,
                            replies)
    SELECT d.id, a.age, botticelli_now(), d.posted_at + a.span,
           botticelli_now() > d.posted_at + a.span * (1 + %(late)s), %(gone)s, %(counts)s,
           %(likes)s, %(replies)s
      FROM deliveries AS d
     CROSS JOIN unnest(%(ages)s::text[], %(spans)s::interval[]) AS a (age, span)
     WHERE d.id = %(delivery)s
        ON CONFLICT (delivery_id, age) WHERE age IS NOT NULL DO NOTHING
"""


@repeatable()
def list_due(conn: Connection, names: Sequence[str], *, limit: int) -> list[DueLook]:
    """Return messages of these destinations whose reactions are due to be counted. Reads only."""
    values = {
        "ages": list(AGES),
        "spans": list(AGES.values()),
        "longest": LONGEST,
        "names": list(names),
        "limit": limit,
    }
    return fetch_all(conn, DueLook, DUE, values)


@repeatable()
def keep(conn: Connection, look: DueLook, counts: Mapping[str, int] | None) -> None:
    """Store a snapshot for each age that was due; None: the message is gone. One statement.

    What is there already stays: of two who looked, the first one counts.
    """
    found = counts or {}
    values = {
        "delivery": look.delivery,
        "ages": list(look.ages),
        "spans": [AGES[age] for age in look.ages],
        "late": LATE,
        "gone": counts is None,
        "counts": Jsonb(dict(found)),
        "likes": found.get("likes", 0),
        "replies": found.get("replies", 0),
    }
    conn.execute(KEEP, values)
