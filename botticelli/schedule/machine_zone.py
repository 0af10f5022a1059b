"""A crontab line of one time zone, in the words of a machine's own zone. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from botticelli import cron
from botticelli.cron import Cron
from botticelli.schedule.hours import DAY, zone_of

LOOKED_AHEAD: Final = 3 * 366  # days; rules of zones change, but not those already announced
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


def translate(line: str, *, zone: str, machine: str, on: date) -> tuple[str, ...]:
    """Return lines that a cron in zone `machine` runs when `line` is meant in `zone`.

    Args:
        line: Five fields of a crontab.
        zone: IANA name.
        machine: IANA name.
        on: The first day that counts.

    Raises:
        ValueError: No line means the same on every day; the message says why.
    """
    found, ours, theirs = cron.parse(line), zone_of(zone), zone_of(machine)
    shifts: dict[timedelta, str] = {}  # by how much the machine's clock is ahead -> an example
    for day in _telling_days(zone, machine, on):
        for at in cron.times(found):
            here = datetime.combine(day, at, tzinfo=ours).astimezone(UTC).astimezone(ours)
            there = here.astimezone(theirs)
            shift = there.replace(tzinfo=None) - here.replace(tzinfo=None)
            if there.fold > here.fold:  # cron would take the first of two equal times
                shift -= HOUR
            shifts.setdefault(shift, f"{here:%H:%M} of {here:%Y-%m-%d} is {there:%H:%M}")
    if not any(shifts):
        return (line,)
    translated = {tuple(_moved(line, found, shift, machine)) for shift in shifts}
    if len(translated) > 1:
        one, other, *_ = shifts.values()
        raise ValueError(f"{zone} and {machine} set their clocks differently: {one} there, {other}")
    return translated.pop()


def _telling_days(zone: str, machine: str, on: date) -> list[date]:
    """Return `on`, and the days around each change of the clocks in one of the two zones."""
    noons = [datetime.combine(on + number * DAY, time(12)) for number in range(LOOKED_AHEAD)]
    offsets = [
        [noon.replace(tzinfo=zone_of(name)).utcoffset() for name in (zone, machine)]
        for noon in noons
    ]
    pairs = zip(noons[1:], pairwise(offsets), strict=True)
    changes = [noon.date() for noon, (before, after) in pairs if before != after]
    return [on, *(day + number * DAY for day in changes for number in (-1, 0, 1))]


def _moved(line: str, found: Cron, shift: timedelta, machine: str) -> Iterator[str]:
    """Yield lines for the same times on a clock that is ahead by `shift`."""
    is_dated = found.days is not None or found.months is not None
    is_daily = not is_dated and found.weekdays is None
    minutes_of: dict[tuple[int, int], set[int]] = defaultdict(set)  # by days later, and hour
    for at in cron.times(found):
        days, minutes = divmod(at.hour * 60 + at.minute + shift // MINUTE, 24 * 60)
        minutes_of[0 if is_daily else days, minutes // 60].add(minutes % 60)
    hours_of: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for (days, hour), found_minutes in sorted(minutes_of.items()):
        hours_of[days, tuple(sorted(found_minutes))].append(hour)
    if is_dated and any(days for days, _ in hours_of):
        raise ValueError(
            f"in {machine} some of its times fall on another date, which days of the month and"
            " months cannot follow"
        )
    _, _, day, month, _ = cron.SHORTHANDS.get(line.strip().lower(), line).split()
    for (days, minutes_at), hours in hours_of.items():
        weekdays = _listed({(each + days) % 7 for each in found.weekdays or range(7)}, 7)
        yield f"{_listed(minutes_at, 60)} {_listed(hours, 24)} {day} {month} {weekdays}"


def _listed(values: Collection[int], count: int) -> str:
    return "*" if len(values) == count else ",".join(map(str, sorted(values)))
