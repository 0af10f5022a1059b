"""The five fields of a crontab line, understood well enough to hand them to systemd as well."""

from collections.abc import Mapping
from datetime import date, time, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from botticelli.records import record


class Field(NamedTuple):
    """What one field may hold."""

    name: str
    first: int
    last: int
    words: tuple[str, ...] = ()


MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: Final = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 7, WEEKDAYS),
)
SHORTHANDS: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}


@record
class Cron:
    """Minutes at which something happens; None in place of a set means: any."""

    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None  # 0 is Sunday


def parse(text: str) -> Cron:
    """Return what a crontab's five fields (or @daily ...) mean.

    Raises:
        ValueError: They are invalid; the message says which field and why.
    """
    words = SHORTHANDS.get(text.strip().lower(), text).lower().split()
    if len(words) != len(FIELDS):
        raise ValueError(f"'{text}' has {len(words)} fields; minute hour day month weekday are 5")
    minutes, hours, days, months, weekdays = (
        _values(word, field) for word, field in zip(words, FIELDS, strict=True)
    )
    if weekdays is not None:
        weekdays = tuple(sorted({day % 7 for day in weekdays}))
    return Cron(minutes=minutes, hours=hours, days=days, months=months, weekdays=weekdays)


def parse_slot(text: str) -> Cron:
    """Return what "mon-fri 09:00", "sat 11:00" or "09:00" (each day) means.

    Raises:
        ValueError: It means nothing.
    """
    days, _, clock = text.strip().rpartition(" ")
    try:
        at = time.fromisoformat(clock) if len(clock) == 5 else None
    except ValueError:
        at = None
    if at is None:
        raise ValueError(f"'{text}' is not a slot", 'write "mon-fri 09:00" or "09:00"')
    return parse(f"{at.minute} {at.hour} * * {days.replace(' ', '') or '*'}")


def on_calendar(cron: Cron, *, time_zone: str) -> tuple[str, ...]:
    """Return the same times as values of systemd's OnCalendar=.

    A day of the month and a day of the week that are both bound mean "either" to cron, and "both"
    to systemd: they become two values. Source: crontab(5), systemd.time(7).
    """
    clock = f"{_listed(cron.hours)}:{_listed(cron.minutes)}:00 {time_zone}"
    date = f"*-{_listed(cron.months)}-"
    names = ",".join(WEEKDAYS[day].capitalize() for day in cron.weekdays or ())
    by_weekday = f"{names} {date}* {clock}"
    by_day = f"{date}{_listed(cron.days)} {clock}"
    if cron.weekdays is None:
        return (by_day,)
    return (by_weekday,) if cron.days is None else (by_day, by_weekday)


def longest_gap(cron: Cron) -> timedelta:
    """Return the longest time between two rounds, seen over two years."""
    clocks = [timedelta(hours=at.hour, minutes=at.minute) for at in times(cron)]
    longest = max((later - one for one, later in pairwise(clocks)), default=timedelta(0))
    two_years = (date(2027, 1, 1) + timedelta(days=number) for number in range(2 * 366))
    days = [day for day in two_years if falls_on(cron, day)]
    overnight = [later - one - (clocks[-1] - clocks[0]) for one, later in pairwise(days)]
    return max([longest, *overnight], default=timedelta(days=366)) or timedelta(days=366)


def falls_on(cron: Cron, day: date) -> bool:
    """Tell whether there is a round on that day; a bound day and a bound weekday mean "either"."""
    if cron.months is not None and day.month not in cron.months:
        return False
    by_day = cron.days is not None and day.day in cron.days
    by_weekday = cron.weekdays is not None and day.isoweekday() % 7 in cron.weekdays
    return by_day or by_weekday or (cron.days is None and cron.weekdays is None)


def times(cron: Cron) -> list[time]:
    """Return the times of a day on which there are rounds, in their order."""
    hours = range(24) if cron.hours is None else cron.hours
    minutes = range(60) if cron.minutes is None else cron.minutes
    return [time(hour, minute) for hour in hours for minute in minutes]


def _listed(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else ",".join(f"{value:02}" for value in values)


def _values(word: str, field: Field) -> tuple[int, ...] | None:
    if word == "*":
        return None
    found: set[int] = set()
    for part in word.split(","):
        found |= set(_range(part, field))
    return tuple(sorted(found))


def _range(part: str, field: Field) -> range:
    span, slash, step_text = part.partition("/")
    step = int(step_text) if step_text.isdigit() else 0
    if slash and step < 1:
        raise ValueError(f"'{part}' is not a valid step of a {field.name}")
    if span == "*":
        last = 6 if field.words is WEEKDAYS else field.last
        return range(field.first, last + 1, step or 1)
    start_text, dash, end_text = span.partition("-")
    start = _number(start_text, field)
    end = _number(end_text, field) if dash else (field.last if slash else start)
    if end < start:
        raise ValueError(f"'{part}' ends before it starts ({field.name})")
    return range(start, end + 1, step or 1)


def _number(text: str, field: Field) -> int:
    if text in field.words:
        return field.words.index(text) + field.first
    if not text.isdigit() or not field.first <= int(text) <= field.last:
        raise ValueError(f"'{text}' is not a valid {field.name} ({field.first}-{field.last})")
    return int(text)
