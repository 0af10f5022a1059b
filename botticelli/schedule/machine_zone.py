"""A crontab line of one time zone, in the words of a machine's own zone. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
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
    found = cron.parse(line)
    shifts = _shifts(found, zone=zone, machine=machine, on=on)
    if not any(shifts):
        return (line,)
    translated = {tuple(_moved(line, found, shift, machine)) for shift in shifts}
    if len(translated) > 1:
        ours, theirs = zone_of(zone), zone_of(machine)
        one, other, *_ = (
            f"{at.astimezone(ours):%H:%M} of {at.astimezone(ours):%Y-%m-%d} is"
            f" {at.astimezone(theirs):%H:%M}"
            for at in shifts.values()
        )
        raise ValueError(f"{zone} and {machine} set their clocks differently: {one} there, {other}")
    return translated.pop()


def _shifts(found: Cron, *, zone: str, machine: str, on: date) -> Mapping[timedelta, datetime]:
    """Return by how much the machine's clock is ahead of the zone's, and when for the first time.

    Once an hour ahead of what cron needs where it would take the first of two equal times.
    """
    ours, theirs = zone_of(zone), zone_of(machine)
    shifts: dict[timedelta, datetime] = {}
    for day in _telling_days(zone, machine, on):
        for at in cron.times(found):
            instant = datetime.combine(day, at, tzinfo=ours).astimezone(UTC)
            here, there = instant.astimezone(ours), instant.astimezone(theirs)
            shift = (there.utcoffset() or timedelta()) - (here.utcoffset() or timedelta())
            if there.fold > here.fold:
                shift -= HOUR
            shifts.setdefault(shift, instant)
    return shifts


def _moved(line: str, found: Cron, shift: timedelta, machine: str) -> Iterator[str]:
    """Yield lines for the same times on a clock that is ahead by `shift`."""
    clocks: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    is_daily = found.days is None and found.months is None and found.weekdays is None
    for at in cron.times(found):
        days, minutes = divmod(at.hour * 60 + at.minute + shift // MINUTE, 24 * 60)
        clocks[0 if is_daily else days][minutes // 60].add(minutes % 60)
    if any(clocks) and (found.days is not None or found.months is not None):
        raise ValueError(
            f"in {machine} some of its times fall on another date, which days of the month and"
            " months cannot follow"
        )
    for days, by_hour in sorted(clocks.items()):
        for of_hour, hours in _grouped(by_hour):
            yield " ".join((_listed(of_hour, 60), _listed(hours, 24), *_days(line, found, days)))


def _telling_days(zone: str, machine: str, on: date) -> Iterator[date]:
    """Yield `on`, and the days around each change of the clocks in one of the two zones."""
    yield on
    zones = (zone_of(zone), zone_of(machine))
    before = None
    for number in range(LOOKED_AHEAD):
        day = on + number * DAY
        offsets = [datetime.combine(day, time(12), tzinfo=each).utcoffset() for each in zones]
        if before is not None and offsets != before:
            yield from (day - DAY, day, day + DAY)
        before = offsets


def _grouped(by_hour: Mapping[int, set[int]]) -> Iterator[tuple[set[int], set[int]]]:
    """Yield (minutes, hours) for all hours that have the same minutes."""
    hours: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for hour, minutes in sorted(by_hour.items()):
        hours[tuple(sorted(minutes))].add(hour)
    for minutes_of, hours_of in hours.items():
        yield set(minutes_of), hours_of


def _listed(values: set[int], count: int) -> str:
    return "*" if len(values) == count else ",".join(map(str, sorted(values)))


def _days(line: str, found: Cron, days: int) -> tuple[str, str, str]:
    """Return the last three fields; `days` later."""
    weekdays = (
        ["*"] if found.weekdays is None else sorted((day + days) % 7 for day in found.weekdays)
    )
    words = cron.SHORTHANDS.get(line.strip().lower(), line).split()
    return words[2], words[3], ",".join(map(str, weekdays))
