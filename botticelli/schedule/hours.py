"""When a destination may be written to: active hours and quiet dates in a named time zone. Pure.

A window is one stretch of time per local date, from the first instant at which the clocks on the
wall have reached its start. So an hour that the clocks go through twice makes no second window,
and a window that falls into an hour that the clocks leave out comes right behind it, at its full
length: no date has two windows and none goes without.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from botticelli.records import record

DAY: Final = timedelta(days=1)
LONGEST_QUIET: Final = 800  # days looked ahead before "never": every date of two years is quiet


@record
class Hours:
    """The hours of a destination.

    Args:
        zone: IANA name; everything here is meant in it.
        start: Local time from which on it may be written to; with `end` None, at any hour.
        end: Local time before which it may; not after `start`: on the next date (night, all day).
        quiet: "MM-DD" (every year) or "YYYY-MM-DD".
    """

    zone: str = "UTC"
    start: time | None = None
    end: time | None = None
    quiet: tuple[str, ...] = ()


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of that IANA name.

    Raises:
        ZoneInfoNotFoundError: There is none.
    """
    return ZoneInfo(name)


def first_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local date at which its clocks show `at` or later, in UTC.

    Where clocks are set forward over `at`, that is the moment they are set.
    """
    wall = datetime.combine(day, at)
    earlier, later = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if earlier.astimezone(zone).replace(tzinfo=None) == wall:
        return earlier
    while later - earlier > timedelta(seconds=1):  # in the gap: close in on its end
        middle = earlier + (later - earlier) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            earlier = middle
        else:
            later = middle
    return later.replace(microsecond=0)


def left_out(at: time, zone: str, *, on: date) -> date | None:
    """Return the first date, in the year from `on`, whose clocks never show `at`; None if none."""
    tz = zone_of(zone)
    for number in range(366):
        wall = datetime.combine(on + number * DAY, at)
        if first_instant(wall.date(), at, tz).astimezone(tz).replace(tzinfo=None) != wall:
            return wall.date()
    return None


def day_start(instant: datetime, zone: str) -> datetime:
    """Return the first instant of the local date that `instant` lies on, in UTC."""
    tz = zone_of(zone)
    return first_instant(instant.astimezone(tz).date(), time(0), tz)


def next_day(instant: datetime, zone: str) -> datetime:
    """Return the first instant of the local date after the one that `instant` lies on, in UTC."""
    tz = zone_of(zone)
    return first_instant(instant.astimezone(tz).date() + DAY, time(0), tz)


def window(day: date, hours: Hours) -> tuple[datetime, datetime]:
    """Return when the window of a local date opens and closes (excluded), in UTC."""
    assert hours.start is not None
    assert hours.end is not None
    tz = zone_of(hours.zone)
    nights = DAY if hours.end <= hours.start else timedelta()
    opens = first_instant(day, hours.start, tz)
    closes = first_instant(day + nights, hours.end, tz)
    if closes <= opens:  # all of it was left out by the clocks: it keeps its length
        closes = opens + (datetime.combine(day, hours.end) - datetime.combine(day, hours.start))
    return opens, closes


def next_allowed(instant: datetime, hours: Hours) -> datetime | None:
    """Return the first instant from `instant` on that is neither quiet nor outside the hours.

    None if there is none within two years. `instant` itself is returned if it is allowed.
    """
    at = instant
    for _ in range(LONGEST_QUIET):
        if is_quiet(at, hours):
            at = next_day(at, hours.zone)
            continue
        opens = _open_from(at, hours)
        if opens == at:
            return at
        at = opens
    return None


def is_quiet(instant: datetime, hours: Hours) -> bool:
    """Return whether the local date of an instant is one of the quiet ones."""
    day = f"{instant.astimezone(zone_of(hours.zone)).date():%Y-%m-%d}"
    return any(day == quiet or day[5:] == quiet for quiet in hours.quiet)


def _open_from(at: datetime, hours: Hours) -> datetime:
    """Return `at` if a window is open then, else when the next one opens."""
    if hours.start is None or hours.end is None:
        return at
    today = at.astimezone(zone_of(hours.zone)).date()
    # A night's window began on the date before; one may also lie behind a left-out hour.
    windows = [window(today + DAY * ahead, hours) for ahead in (-1, 0, 1, 2)]
    if any(opens <= at < closes for opens, closes in windows):
        return at
    return min(opens for opens, _ in windows if opens > at)
