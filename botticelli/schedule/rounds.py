"""When a stage's next round may begin: a timer that fires too often must cost nothing. Pure.

Timers fire after a reboot, on each of several hosts, and when a person starts a unit by hand.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from botticelli import cron
from botticelli.cron import Cron
from botticelli.schedule.hours import zone_of

DAY: Final = timedelta(days=1)
LOOKED_AHEAD: Final = 2 * 366  # days; a 29th of February is no farther, most of the time


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
