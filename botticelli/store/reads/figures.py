"""What analytics and `report` show: what became of what was written, when, and at what price.

Each figure is one statement over the days asked for, grouped by the database: what is older is not
read. Days and hours are those of a named time zone. Nothing is changed.
"""

from datetime import date, datetime, time, timedelta
from typing import Final

from botticelli.records import record
from botticelli.schedule.hours import first_instant, zone_of
from botticelli.store.connection import Connection, fetch_all, repeatable

MOST_DAYS: Final = 366


@record
class Funnel:
    """What became of what was written.

    Args:
        by: What it is counted by: all, narrative, model, score.
        name: The narrative, model or score (of 50, without its fraction); empty of all, or if it is
            not known.
        is_enough: Of a score: whether it reaches the threshold.
        edited: Those whose text a person changed.
        taken, refused: Those that the judge has scored and a person approved, or rejected.
    """

    by: str
    name: str
    written: int
    judged: int
    approved: int
    posted: int
    edited: int
    is_enough: bool | None = None
    taken: int = 0
    refused: int = 0


@record
class DayFigures:
    """What happened on a day; a post may be written on one, and posted on another."""

    day: date
    written: int
    approved: int
    posted: int
    cost_usd: float


@record
class HourCount:
    """Posts of an hour of a weekday: Monday is 1."""

    weekday: int
    hour: int
    posts: int


@record
class Figures:
    """Everything of some days.

    Args:
        threshold: The score that is enough, of 50.
        scores: By score.
        first: The first of the days; the last one is today.
    """

    now: datetime
    zone: str
    threshold: float
    first: date
    days: tuple[DayFigures, ...]
    funnels: tuple[Funnel, ...]
    scores: tuple[Funnel, ...]
    hours: tuple[HourCount, ...]


FUNNELS: Final = """
    SELECT CASE grouping(c.narrative, c.model, c.score) WHEN 7 THEN 'all' WHEN 3 THEN 'narrative'
                WHEN 5 THEN 'model' ELSE 'score' END AS by,
           coalesce(c.narrative, c.model, c.score::text, '') AS name, c.is_enough,
           count(*) AS written, count(c.points) AS judged,
           count(*) FILTER (WHERE c.is_approved) AS approved,
           count(*) FILTER (WHERE c.status = 'posted') AS posted,
           count(*) FILTER (WHERE c.is_edited) AS edited,
           count(c.points) FILTER (WHERE c.by_person AND c.is_approved) AS taken,
           count(c.points) FILTER (WHERE c.by_person AND c.status = 'rejected') AS refused
      FROM (SELECT coalesce(source_narrative, '') AS narrative,
                   coalesce(generation_model, '') AS model,
                   review_status AS status, review_status IN ('approved', 'posted') AS is_approved,
                   curation_score AS points, floor(curation_score)::integer AS score,
                   curation_score >= %(threshold)s AS is_enough,
                   decided_by IS NOT NULL AND decided_by <> 'auto' AS by_person,
                   history <> '[]' AND history @> '[{"event": "edit"}]' AS is_edited
              FROM potential_discord_posts
             WHERE generated_at >= %(since)s) AS c
     GROUP BY GROUPING SETS ((), (c.narrative), (c.model), (c.score, c.is_enough))
     ORDER BY grouping(c.score) = 0 DESC, 1, count(*) DESC, 2
     LIMIT 500
"""
# Each day by its two instants, which the indexes find: no row is asked for its day.
DAYS: Final = """
    SELECT b.day,
           (SELECT count(*) FROM potential_discord_posts
             WHERE generated_at >= b.since AND generated_at < b.until) AS written,
           (SELECT count(*) FROM approved_discord_posts
             WHERE selected_at >= b.since AND selected_at < b.until) AS approved,
           (SELECT count(*) FROM approved_discord_posts
             WHERE posted_at >= b.since AND posted_at < b.until) AS posted,
           (coalesce((SELECT sum(cost_usd) FROM model_calls
                       WHERE created_at >= b.since AND created_at < b.until), 0)
            + coalesce(s.dollars, 0))::float AS cost_usd
      FROM (SELECT d::date AS day, d AT TIME ZONE %(zone)s AS since,
                   (d + interval '1 day') AT TIME ZONE %(zone)s AS until
              FROM generate_series(%(first)s::timestamp, %(last)s::timestamp, '1 day') AS d) AS b
      LEFT JOIN (SELECT day, sum(dollars) AS dollars
                   FROM spending
                  WHERE day >= %(first)s
                  GROUP BY day) AS s
        ON s.day = b.day
     ORDER BY b.day
"""
HOURS: Final = """
    SELECT extract(isodow FROM d.at)::integer AS weekday, extract(hour FROM d.at)::integer AS hour,
           count(*) AS posts
      FROM (SELECT posted_at AT TIME ZONE %(zone)s AS at
              FROM deliveries
             WHERE posted_at >= %(since)s) AS d
     GROUP BY 1, 2
"""
DAYS_ASKED: Final = """
    SELECT botticelli_now() AS now, (botticelli_now() AT TIME ZONE %(zone)s)::date AS today
"""


@repeatable()
def read_figures(conn: Connection, *, days: int, zone: str, threshold: float) -> Figures:
    """Return the figures of that many days, today included. Reads only.

    Args:
        conn: Where from.
        days: At least 1.
        zone: IANA name of the time zone of days and hours.
        threshold: The score that is enough, of 50.
    """
    row = conn.execute(DAYS_ASKED, {"zone": zone}).fetchone()
    assert row is not None
    now, last = row
    first = last - timedelta(days=days - 1)
    since = first_instant(first, time(0), zone_of(zone))
    values = {"since": since, "first": first, "last": last, "zone": zone, "threshold": threshold}
    found = fetch_all(conn, Funnel, FUNNELS, values)
    return Figures(
        now=now,
        zone=zone,
        threshold=threshold,
        first=first,
        days=tuple(fetch_all(conn, DayFigures, DAYS, values)),
        funnels=tuple(one for one in found if one.by != "score"),
        scores=tuple(one for one in found if one.by == "score" and one.name),
        hours=tuple(fetch_all(conn, HourCount, HOURS, values)),
    )
