"""Which deliveries approved posts still lack, as the destinations of all hosts together want them.

Each host knows the destinations of its own configuration. When a post is done, or a delivery of
no use, is therefore no matter of one host's list: who knew which destination when is kept.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.config.model import Destination
from botticelli.cron import parse_slot
from botticelli.schedule.due import Due, Rhythm, next_due
from botticelli.schedule.hours import Hours
from botticelli.store.connection import Connection, repeatable
from botticelli.store.delivery import channels, posts
from botticelli.store.delivery.posts import PostFilter, Queued

RECENT_FOR_SPREAD: Final = 500  # posting times looked at to see whether a backlog is made up
UNUSED: Final = timedelta(days=7)  # without any host that knows it, a destination counts as gone

# The row lock also lets one host plan at a time.
REMEMBER: Final = """
    WITH old AS MATERIALIZED (
        SELECT (SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}')
                  FROM jsonb_each(CASE jsonb_typeof(metadata -> 'destinations') WHEN 'object'
                                       THEN metadata -> 'destinations' END) AS k
                 WHERE botticelli_time(k.value #>> '{}') IS NOT NULL) AS known
          FROM actor_server_state
         WHERE task_id = 'post'
           FOR UPDATE
    )
    UPDATE actor_server_state AS s
       SET metadata = CASE jsonb_typeof(s.metadata) WHEN 'object' THEN s.metadata ELSE '{}' END
                      || jsonb_build_object('destinations', old.known || (
               SELECT coalesce(jsonb_object_agg(name, botticelli_now()), '{}')
                 FROM unnest(%(names)s::text[]) AS name))
      FROM old
     WHERE s.task_id = 'post'
    RETURNING old.known
"""
# Whether anything waits, or was selected since a destination was last planned for. A statement of
# its own, which sees what was committed while REMEMBER waited for the row.
IS_OPEN: Final = """
    SELECT EXISTS (SELECT FROM deliveries WHERE state = 'pending')
        OR EXISTS (SELECT FROM approved_discord_posts WHERE review_status = 'pending')
        OR EXISTS (SELECT
                     FROM approved_discord_posts
                    WHERE selected_at > greatest((
                              SELECT min(k.value::timestamptz)
                                FROM jsonb_each_text(%(known)s) AS k
                               WHERE k.key = ANY (%(names)s)),
                              botticelli_now() - %(unused)s))
"""
# Such a delivery, never begun, would keep its post waiting for ever.
UNPLAN: Final = """
    DELETE FROM deliveries AS d
     WHERE d.state = 'pending'
       AND d.attempts = 0
       AND d.decided_by IS NULL
       AND d.destination <> ALL (%(names)s)
       AND greatest(d.created_at, (%(known)s::jsonb ->> d.destination)::timestamptz)
           <= botticelli_now() - %(unused)s
    RETURNING d.post_id
"""
# "The day is over": what was for one is not sent behind it.
HOLD_EXPIRED: Final = """
    UPDATE deliveries AS d
       SET state = 'held',
           last_error = 'it expired at ' || to_char(
               coalesce(d.expires_at, p.expires_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI" UTC"'),
           history = d.history || jsonb_build_object(
               'at', botticelli_now(), 'event', 'held', 'note', 'expired')
      FROM approved_discord_posts AS p
     WHERE p.id = d.post_id
       AND d.state = 'pending'
       AND coalesce(d.expires_at, p.expires_at) <= botticelli_now()
       AND d.id = ANY (ARRAY (
               SELECT id FROM deliveries WHERE state = 'pending' AND expires_at IS NOT NULL
                UNION ALL
               SELECT e.id
                 FROM approved_discord_posts AS x
                 JOIN deliveries AS e
                   ON e.post_id = x.id
                WHERE x.expires_at IS NOT NULL
                  AND x.review_status IN ('pending', 'posting')))
    RETURNING d.post_id
"""
# Rows put in by plain SQL are planned, too: a delivery needs nothing but a pending post.
# A post that others have begun or finished since the destination was last planned for is planned
# as well, if that is what its state says; what somebody has set by hand stays as it is.
PLAN: Final = """
    WITH lacking AS MATERIALIZED (
        SELECT p.id, p.review_status, w.name, w.place, w.is_practice
          FROM approved_discord_posts AS p
         CROSS JOIN (SELECT name, botticelli_place(name, place) AS place, tags, content_types,
                            is_practice
                       FROM jsonb_to_recordset(%(wanted)s)
                            AS w (name text, place text, tags text[], content_types text[],
                                  is_practice boolean)) AS w
         WHERE p.id = ANY (ARRAY (
                   SELECT id FROM approved_discord_posts WHERE review_status = 'pending'
                    UNION
                   SELECT id
                     FROM approved_discord_posts
                    WHERE selected_at > greatest((
                              SELECT min(k.value::timestamptz)
                                FROM jsonb_each_text(%(known)s) AS k
                               WHERE k.key = ANY (%(names)s)),
                              botticelli_now() - %(unused)s)))
           AND (p.review_status = 'pending'
                OR p.review_status <> 'withdrawn'
                   AND p.selected_at > (%(known)s::jsonb ->> w.name)::timestamptz
                   AND (%(known)s::jsonb ->> w.name)::timestamptz
                       > botticelli_now() - %(unused)s
                   AND (SELECT CASE p.review_status
                               WHEN 'posting' THEN bool_or(d.state = 'sending')
                               ELSE bool_or(d.state = p.review_status)
                                    AND NOT bool_or(d.state IN ('pending', 'sending')) END
                          FROM deliveries AS d
                         WHERE d.post_id = p.id))
           AND coalesce(p.only_to, w.name) = w.name
           AND (w.tags = '{}' OR p.tags ?| w.tags)
           AND (w.content_types = '{}' OR p.content_type = ANY (w.content_types))
           AND NOT EXISTS (SELECT
                             FROM deliveries AS d
                            WHERE d.post_id = p.id
                              AND (d.destination = w.name
                                   OR d.place = w.place AND (NOT w.is_practice
                                       OR d.destination <> ALL (%(names)s))))
         ORDER BY p.selected_at, p.id
           FOR UPDATE OF p
    ), planned AS (
        INSERT INTO deliveries (post_id, destination, place, created_at)
        SELECT DISTINCT ON (id, CASE WHEN is_practice THEN name
                                     ELSE coalesce(nullif(place, ''), name) END)
               id, name, nullif(place, ''), botticelli_now()
          FROM lacking
            ON CONFLICT (post_id, destination) DO NOTHING
        RETURNING post_id, destination
    )
    SELECT planned.post_id, lacking.review_status IN ('pending', 'posting') AS is_open
      FROM planned
      JOIN lacking
        ON lacking.id = planned.post_id
       AND lacking.name = planned.destination
"""


@repeatable()
def plan(conn: Connection, wanted: Sequence[PostFilter]) -> int:
    """Make the deliveries that approved posts still lack; return how many. One transaction.

    Pass all destinations of the configuration at once, not only the one to be served: a post is
    done when all its deliveries are. What was planned for a destination that no host has known
    for a week, and never begun, is given up.
    """
    names = [one.name for one in wanted]
    with conn.transaction():
        row = conn.execute(REMEMBER, {"names": names}).fetchone()
        values: dict[str, Any] = {
            "names": names,
            "known": Jsonb(row[0] if row else {}),
            "wanted": Jsonb([asdict(one) for one in wanted]),
            "unused": UNUSED,
        }
        channels.note(conn, wanted)
        if conn.execute(IS_OPEN, values).fetchone() == (False,):
            return 0
        for (post_id,) in conn.execute(UNPLAN, values).fetchall():
            with posts.following(conn, post_id):
                pass
        channels.drop_shared(conn)
        planned = conn.execute(PLAN, values).fetchall()
        expired = {post_id for (post_id,) in conn.execute(HOLD_EXPIRED).fetchall()}
        for post_id in expired | {post_id for post_id, is_open in planned if not is_open}:
            with posts.following(conn, post_id, by_hand=True):
                pass
    return len(planned)


def post_filter(
    destination: Destination, *, place: str = "", is_practice: bool = False
) -> PostFilter:
    """Return which posts a destination takes, and how much of its past its rules look at.

    `place` and `is_practice`: see PostFilter.
    """
    recent = max(destination.posts_per_day or 1, 1)
    if destination.missed == "spread":
        recent = max(recent, RECENT_FOR_SPREAD)
    return PostFilter(
        name=destination.name,
        place=place,
        is_practice=is_practice,
        tags=destination.tags,
        content_types=destination.content_types,
        recent=recent,
    )


def due_for(
    conn: Connection,
    queued: Queued,
    destination: Destination,
    *,
    interval: timedelta,
    ignoring_rhythm: bool = False,
) -> Due:
    """Return when a destination may be posted to next. Reads only.

    Args:
        conn: The database.
        queued: The destination's queue, read with its `post_filter`.
        destination: Whose rules hold.
        interval: How often the stage is woken; a tick may be late by as much before it was missed.
        ignoring_rhythm: See next_due.
    """
    if destination.missed != "one":
        downtime = posts.last_downtime(conn, destination.name, longer_than=2 * interval)
        queued = replace(queued, downtime=downtime)
    return next_due(queued, rhythm(destination), ignoring_rhythm=ignoring_rhythm)


def rhythm(destination: Destination) -> Rhythm:
    """Return when a destination may be posted to: hours, intervals and limits."""
    hours = destination.active_hours
    return Rhythm(
        hours=Hours(
            zone=destination.time_zone,
            start=hours.start if hours else None,
            end=hours.end if hours else None,
            quiet=destination.quiet_dates,
        ),
        min_interval=destination.min_interval,
        posts_per_day=destination.posts_per_day,
        missed=destination.missed,
        pins=destination.pins,
        slots=tuple(map(parse_slot, destination.slots)),
    )
