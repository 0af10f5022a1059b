"""When the next post to a destination, or the next round of a stage, is due. Pure.

The database knows what was posted when (Pace); the rules are the destination's. A timer only
wakes us: after a reboot, on each of several hosts, by hand. A burst of them finds nothing due.
"""

from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal

from botticelli import cron
from botticelli.cron import Cron
from botticelli.records import record
from botticelli.schedule.hours import Hours, day_start, is_quiet, next_allowed, next_day, zone_of

Missed = Literal["skip", "one", "spread"]
MOST_DAYS: Final = 366
DAY: Final = timedelta(days=1)
LOOKED_AHEAD: Final = 2 * 366  # days; a 29th of February is no farther, most of the time


@record
class Downtime:
    """A stretch in which the stage was not woken: from its last run before to its first one after.

    Args:
        backlog: Posts that waited when it ended.
    """

    since: datetime
    until: datetime
    backlog: int = 0


@record
class Pace:
    """What the database knows of a destination at `now`, by its own clock.

    Args:
        waiting: Posts that could be sent to it.
        recent: When something was posted there lately, newest first.
        retry_at: The platform asked us to wait until then.
        busy_until: A delivery to it is under way, or uncertain, until then.
        downtime: The last one; None if there was none lately.
    """

    now: datetime
    waiting: int = 0
    recent: Sequence[datetime] = ()
    retry_at: datetime | None = None
    busy_until: datetime | None = None
    downtime: Downtime | None = None

    @property
    def last_posted(self) -> datetime | None:
        """When something was posted there last."""
        return self.recent[0] if self.recent else None


@record
class Rhythm:
    """A destination's rhythm; see config.model.Destination."""

    hours: Hours = field(default_factory=Hours)
    min_interval: timedelta = timedelta()
    posts_per_day: int | None = None
    missed: Missed = "one"


@record
class Due:
    """When the next post may go out.

    Args:
        at: The instant; None if never, as the rules stand.
        why: What it waits for, in words; empty if it is due now.
    """

    at: datetime | None
    why: str = ""

    @property
    def is_now(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.why


def next_due(pace: Pace, rules: Rhythm, *, ignoring_rhythm: bool = False) -> Due:
    """Return when the next post is due, and the rule that decides it.

    `ignoring_rhythm` leaves out minimum interval, hours, quiet dates and posts per day; what the
    platform asked for and a delivery under way always count.
    """
    due = Due(at=pace.now)
    for bound in (_asked, _busy):
        due = _later(due, bound(pace))
    if ignoring_rhythm:
        return due
    due = _later(due, _interval(pace, rules))
    return _within_hours(due, pace, rules)


def _later(due: Due, other: Due | None) -> Due:
    if other is None or other.at is None or due.at is None or other.at <= due.at:
        return due
    return other


def _asked(pace: Pace) -> Due | None:
    return Due(at=pace.retry_at, why="the platform asked us to wait") if pace.retry_at else None


def _busy(pace: Pace) -> Due | None:
    if pace.busy_until is None:
        return None
    # Somebody else decides it: it may be over before its time, so it is looked at again then.
    at = max(pace.busy_until, pace.now + timedelta(seconds=1))
    return Due(at=at, why="a delivery is under way")


def _interval(pace: Pace, rules: Rhythm) -> Due | None:
    """Return the end of the minimum interval, as the rule for missed rounds bends it."""
    if pace.last_posted is None:
        return None
    words = f"minimum interval {_minutes(rules.min_interval)}"
    due = Due(at=pace.last_posted + rules.min_interval, why=words)
    if pace.downtime is None or rules.missed == "one":
        return due
    if rules.missed == "skip":
        return _skipped(due, pace.downtime, rules)
    return _spread(due, pace, pace.downtime, rules)


def _skipped(due: Due, downtime: Downtime, rules: Rhythm) -> Due:
    assert due.at is not None
    if due.at >= downtime.until:
        return due
    at = downtime.until + rules.min_interval
    return Due(at=at, why=f"{due.why}, counted from the end of a downtime")


def _spread(due: Due, pace: Pace, downtime: Downtime, rules: Rhythm) -> Due:
    """At half the interval: after k posts of it, missed + k/2 rounds are owed and k are done."""
    assert pace.last_posted is not None
    if not rules.min_interval:
        return due
    missed = (downtime.until - downtime.since) // rules.min_interval
    made_up = sum(1 for posted in pace.recent if posted >= downtime.until)
    if made_up >= min(2 * missed, downtime.backlog):
        return due
    at = pace.last_posted + rules.min_interval / 2
    return Due(at=at, why=f"half of the {due.why}, to catch up")


def _within_hours(due: Due, pace: Pace, rules: Rhythm) -> Due:
    """Move on until hours, quiet dates and the day's share all agree."""
    for _ in range(MOST_DAYS):
        if due.at is None:
            return due
        allowed = next_allowed(due.at, rules.hours)
        if allowed is None:
            return Due(at=None, why="no hour of the next two years is allowed")
        if allowed != due.at:
            due = Due(at=allowed, why=_closed(due.at, rules.hours))
        if not _is_day_full(due, pace, rules):
            return due
        due = Due(
            at=next_day(allowed, rules.hours.zone),
            why=f"{rules.posts_per_day} posts a day are allowed",
        )
    return Due(at=None, why="no post a day is allowed")


def _closed(at: datetime, hours: Hours) -> str:
    if is_quiet(at, hours):
        return "a quiet date"
    return f"active hours {hours.start:%H:%M}-{hours.end:%H:%M} {hours.zone}"


def _is_day_full(due: Due, pace: Pace, rules: Rhythm) -> bool:
    if rules.posts_per_day is None:
        return False
    assert due.at is not None
    start = day_start(due.at, rules.hours.zone)
    end = next_day(due.at, rules.hours.zone)
    return sum(1 for posted in pace.recent if start <= posted < end) >= rules.posts_per_day


def _minutes(interval: timedelta) -> str:
    seconds = interval.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def earliest_round(
    last: datetime,
    *,
    interval: timedelta,
    jitter_percent: float = 0.0,
    at: tuple[str, ...] = (),
    line: str = "",
    time_zone: str = "UTC",
) -> datetime:
    """Return the earliest instant at which a round may begin, `last` being when one began.

    Of an interval +-j % it is interval (1 - 2 j) later: two rounds of cron, which sleeps for up to
    2 j of the interval behind fixed times, may come as close as that. Else it is the first of the
    schedule's times behind `last`.

    Args:
        last: When a round began.
        interval: Counts where there are neither times nor a cron line.
        jitter_percent: Of the interval.
        at: Local times of every day, HH:MM.
        line: The five fields of a crontab line.
        time_zone: IANA name; `at` and `line` are meant in it.
    """
    if not at and not line:
        return last + interval * max(0.0, 1 - 2 * jitter_percent / 100)
    days = cron.parse(line) if line else None
    times = _times(days) if days else [time.fromisoformat(each) for each in sorted(at)]
    zone = zone_of(time_zone)
    for day in _days(last.astimezone(zone).date(), days):
        for each in times:
            instant = datetime.combine(day, each, tzinfo=zone).astimezone(UTC)
            if instant > last:
                return instant
    return last + LOOKED_AHEAD * DAY


def _days(first: date, days: Cron | None) -> Iterator[date]:
    for number in range(LOOKED_AHEAD):
        day = first + number * DAY
        if days is None or cron.falls_on(days, day):
            yield day


def _times(found: Cron) -> list[time]:
    hours = range(24) if found.hours is None else found.hours
    minutes = range(60) if found.minutes is None else found.minutes
    return [time(hour, minute) for hour in hours for minute in minutes]
