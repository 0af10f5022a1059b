"""When the next post to a destination, or the next round of a stage, is due. Pure.

The database knows what was posted when (Pace); the rules are the destination's. A timer only
wakes us: after a reboot, on each of several hosts, by hand. A burst of them finds nothing due.
"""

from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Final, Literal

from botticelli import cron
from botticelli.cron import Cron
from botticelli.records import record
from botticelli.schedule.hours import (
    Hours,
    day_start,
    first_instant,
    is_quiet,
    next_allowed,
    next_day,
    zone_of,
)
from botticelli.text import counted

Missed = Literal["skip", "one", "spread"]
Pins = Literal["polite", "exact"]
MOST_DAYS: Final = 366
DAY: Final = timedelta(days=1)
SLOT_OPEN: Final = timedelta(hours=1)  # how long a missed slot is made up for, where it is not owed
MOST_SLACK: Final = timedelta(minutes=2)
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
        retry_why: Why, if it is for another reason.
        busy_until: A delivery to it is under way, or uncertain, until then.
        downtime: The last one; None if there was none lately.
        pins: To which instants people have pinned posts that are not out yet, the earliest first.
        is_anyway: Whether the first of them may go out at any hour, and on a quiet date.
    """

    now: datetime
    waiting: int = 0
    recent: Sequence[datetime] = ()
    retry_at: datetime | None = None
    retry_why: str = ""
    busy_until: datetime | None = None
    downtime: Downtime | None = None
    pins: Sequence[datetime] = ()
    is_anyway: bool = False

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
    pins: Pins = "polite"
    slots: tuple[Cron, ...] = ()


@record
class Due:
    """When the next post may go out.

    Args:
        at: The instant; None if never, as the rules stand.
        why: What it waits for, in words; empty if it is due now.
        is_pin: Whether that is a post that is pinned to that instant.
    """

    at: datetime | None
    why: str = ""
    is_pin: bool = False

    @property
    def is_now(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.why


def next_due(pace: Pace, rules: Rhythm, *, ignoring_rhythm: bool = False) -> Due:
    """Return when the next post is due, and the rule that decides it.

    `ignoring_rhythm` leaves out minimum interval, hours, quiet dates and posts per day; what the
    platform asked for and a delivery under way always count.
    """
    bounds = [(pace.now, "")]
    if pace.retry_at:
        bounds.append((pace.retry_at, pace.retry_why or "the platform asked us to wait"))
    if pace.busy_until:
        # Somebody else decides it: it may be over before its time, so it is looked at again then.
        at = max(pace.busy_until, pace.now + timedelta(seconds=1))
        bounds.append((at, "a delivery is under way"))
    is_pin = bool(pace.pins) and pace.pins[0] <= pace.now
    if not ignoring_rhythm and not (is_pin and rules.pins == "exact"):
        bounds += _interval(pace, rules)
    if not ignoring_rhythm and not is_pin and rules.slots:
        bounds += _slots(pace, rules)
    at, why = max(bounds, key=lambda bound: bound[0])  # of equal ones the first
    due = Due(at=at, why=why, is_pin=is_pin)
    if ignoring_rhythm or (is_pin and pace.is_anyway):
        return due
    due = _within_hours(due, pace, rules)
    return due if is_pin else _before_pins(due, pace, rules)


def _before_pins(due: Due, pace: Pace, rules: Rhythm) -> Due:
    """Keep the time before a pin free: nothing else is sent so late that the pin would wait."""
    for pin in pace.pins if due.at is not None else ():
        assert due.at is not None
        if pin <= due.at:
            return Due(at=pin, why=f"a post is pinned to {_clock(pin, rules)}", is_pin=True)
        if rules.pins == "polite" and due.at + rules.min_interval - slack(rules.min_interval) > pin:
            why = f"kept free for the post that is pinned to {_clock(pin, rules)}"
            return Due(at=pin, why=why, is_pin=True)
    return due


def _clock(instant: datetime, rules: Rhythm) -> str:
    return f"{instant.astimezone(zone_of(rules.hours.zone)):%Y-%m-%d %H:%M}"


def _slots(pace: Pace, rules: Rhythm) -> Iterator[tuple[datetime, str]]:
    """Yield the next slot, unless the last one is still open: nothing was posted since.

    Where missed rounds are skipped, it is open for an hour.
    """
    zone = zone_of(rules.hours.zone)
    today = pace.now.astimezone(zone).date()
    days = [today + number * DAY for number in range(-8, 32)]
    found = sorted(
        first_instant(day, at, zone)
        for slot in rules.slots
        for day in days
        if cron.falls_on(slot, day)
        for at in cron.times(slot)
    )
    past = [slot for slot in found if slot <= pace.now]
    last = pace.last_posted
    is_open = bool(past) and (last is None or last < past[-1])
    if is_open and (last is None or rules.missed == "skip"):
        is_open = pace.now - past[-1] <= SLOT_OPEN
    if not is_open and len(past) < len(found):
        yield found[len(past)], "the next slot"


def _interval(pace: Pace, rules: Rhythm) -> Iterator[tuple[datetime, str]]:
    """Yield the end of the minimum interval, as the rule for missed rounds bends it.

    Nothing if it is over, but for its `slack`.
    """
    last, down, interval = pace.last_posted, pace.downtime, rules.min_interval
    if last is None:
        return
    at = last + interval
    if interval and not interval % DAY:
        # Whole days end at the same local time, if that is sooner: a timer at nine comes after 23
        # hours on the day when the clocks are set forward.
        zone = zone_of(rules.hours.zone)
        wall = last.astimezone(zone).replace(tzinfo=None) + interval
        at = min(at, wall.replace(tzinfo=zone).astimezone(UTC))
    why = f"minimum interval {_minutes(interval)}"
    if down and rules.missed == "skip" and at < down.until:
        at, why = down.until + interval, f"{why}, counted from the end of a downtime"
    elif down and rules.missed == "spread":
        if _owes(pace, down, rules):
            at, why = last + interval / 2, f"half of the {why}, to catch up"
        interval /= 2
    if at - slack(interval) > pace.now:
        yield at, why


def _owes(pace: Pace, downtime: Downtime, rules: Rhythm) -> bool:
    """Return whether missed rounds are left: after k half intervals k/2 more are owed, k done."""
    if not rules.min_interval:
        return False
    missed = (downtime.until - downtime.since) // rules.min_interval
    made_up = sum(1 for posted in pace.recent if posted >= downtime.until)
    return made_up < min(2 * missed, downtime.backlog)


def _within_hours(due: Due, pace: Pace, rules: Rhythm) -> Due:
    """Move on until hours, quiet dates and the day's share all agree."""
    for _ in range(MOST_DAYS):
        if due.at is None:
            return due
        allowed = next_allowed(due.at, rules.hours)
        if allowed is None:
            return Due(at=None, why="no hour of the next two years is allowed")
        if allowed != due.at:
            hours, why = rules.hours, "a quiet date"
            if not is_quiet(due.at, hours):
                why = f"active hours {hours.start:%H:%M}-{hours.end:%H:%M} {hours.zone}"
            due = Due(at=allowed, why=why, is_pin=due.is_pin)
        if due.is_pin and rules.pins == "exact":
            return due
        if not _is_day_full(due, pace, rules):
            return due
        due = Due(
            at=next_day(allowed, rules.hours.zone),
            why=counted(rules.posts_per_day or 0, "post a day is", "posts a day are") + " allowed",
            is_pin=due.is_pin,
        )
    return Due(at=None, why="no post a day is allowed")


def _is_day_full(due: Due, pace: Pace, rules: Rhythm) -> bool:
    if rules.posts_per_day is None:
        return False
    assert due.at is not None
    start = day_start(due.at, rules.hours.zone)
    end = next_day(due.at, rules.hours.zone)
    taken = [*pace.recent, *(() if due.is_pin or rules.pins == "exact" else pace.pins)]
    return sum(1 for instant in taken if start <= instant < end) >= rules.posts_per_day


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
    schedule's times behind `last`, less `round_slack`.

    Args:
        last: When a round began.
        interval: Counts where there are neither times nor a cron line.
        jitter_percent: Of the interval.
        at: Local times of every day, HH:MM.
        line: The five fields of a crontab line.
        time_zone: IANA name; `at` and `line` are meant in it. A time that the clocks leave out is
            the moment they are set.
    """
    if not at and not line:
        return last + _least(interval, jitter_percent)
    days = cron.parse(line) if line else None
    times = _times(at, days)
    begun = last + round_slack(interval=interval, at=at, line=line)  # early to its own slot
    zone = zone_of(time_zone)
    first = last.astimezone(zone).date()
    for day in (first + number * DAY for number in range(LOOKED_AHEAD)):
        for each in times if days is None or cron.falls_on(days, day) else ():
            instant = first_instant(day, each, zone)
            if instant > begun:
                return instant
    return last + LOOKED_AHEAD * DAY


def slack(interval: timedelta) -> timedelta:
    """Return how much sooner than after `interval` something may be done again.

    A timer of the same beat wakes us after exactly one interval, but what it started the last time
    was noted some seconds later: after the start of the process, of the embedded server, a request
    with its repeats. Without slack every second slot would pass unused. A tenth keeps two wakings
    in one slot apart, and what is done never more than a ninth too often.
    """
    return min(interval / 10, MOST_SLACK)


def round_slack(
    *, interval: timedelta, jitter_percent: float = 0.0, at: tuple[str, ...] = (), line: str = ""
) -> timedelta:
    """Return how long before `earliest_round` a round may begin; arguments as there."""
    if not at and not line:
        return slack(_least(interval, jitter_percent))
    times = _times(at, cron.parse(line) if line else None)
    clocks = [timedelta(hours=each.hour, minutes=each.minute) for each in times]
    return slack(min(later - one for one, later in pairwise([*clocks, clocks[0] + DAY])))


def _least(interval: timedelta, jitter_percent: float) -> timedelta:
    return interval * max(0.0, 1 - 2 * jitter_percent / 100)


def _times(at: tuple[str, ...], days: Cron | None) -> list[time]:
    return cron.times(days) if days else [time.fromisoformat(each) for each in sorted(at)]
