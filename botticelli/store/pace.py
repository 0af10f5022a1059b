"""When a destination may be posted to next: its rules, over what the database knows of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from botticelli.config.model import Destination
from botticelli.schedule.due import Due, Rhythm, next_due
from botticelli.schedule.hours import Hours
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts
from botticelli.store.delivery.posts import PostFilter, Queued

RECENT_FOR_SPREAD: Final = 500  # posting times looked at to tell whether a backlog is made up


def wanted(destination: Destination) -> PostFilter:
    """Return which posts a destination takes, and how much of its past its rules look at."""
    recent = max(destination.posts_per_day or 1, 1)
    if destination.missed == "spread":
        recent = max(recent, RECENT_FOR_SPREAD)
    return PostFilter(
        name=destination.name,
        tags=destination.tags,
        content_types=destination.content_types,
        recent=recent,
    )


def judge(
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
        queued: The destination's queue, read with what `wanted` asks for.
        destination: Whose rules hold.
        interval: How often the stage is woken; a tick may be late by as much before it was missed.
        ignoring_rhythm: See next_due.
        now: The instant that replaces the database's clock.
    """
    pace = queued.pace
    if destination.missed != "one":
        downtime = posts.last_downtime(conn, destination.name, longer_than=2 * interval)
        pace = replace(pace, downtime=downtime)
    return next_due(pace, rhythm(destination), ignoring_rhythm=ignoring_rhythm)


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
    )
