"""An instant as a person writes it: on the clocks of a time zone. Pure."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from botticelli.errors import UsageError
from botticelli.schedule.hours import Hours, first_instant, next_allowed, zone_of

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORMS: Final = 'write "2026-12-24 09:00", "12-24 09:00", "fri 09:00", "tomorrow 09:00" or "09:00"'
WHEN: Final = re.compile(
    r"(?:(?P<full>\d{4}-\d\d-\d\d)[ T]|(?P<day>\d\d-\d\d) |(?P<word>[a-z]+) )?"
    r"(?P<clock>\d\d?:\d\d)",
    re.IGNORECASE,
)


class TwiceError(UsageError):
    """The clocks show that time twice: somebody has to say which one is meant.

    Args:
        instants: The earlier and the later one, UTC.
    """

    def __init__(self, what: str, instants: tuple[datetime, datetime]) -> None:
        super().__init__(what, hint="say which one is meant")
        self.instants = instants


def allowed_instant(
    text: str, hours: Hours, *, now: datetime, name: str, anyway: bool, asks: bool = False
) -> datetime:
    """Return an instant to come at which a destination takes posts; see read_instant.

    Raises:
        UsageError: It is no such instant, and nobody said that it goes out anyway.
    """
    at = read_instant(text, hours.zone, now=now, asks=asks)
    if at <= now:
        raise UsageError(f"{shown(at, hours.zone)} is over", where="AT", hint=FORMS)
    if not anyway and next_allowed(at, hours) != at:
        raise UsageError(
            f"{shown(at, hours.zone)} is on a quiet date of '{name}', or outside its hours",
            where="AT",
            hint="choose another time, or say --anyway",
        )
    return at


def read_instant(text: str, zone: str, *, now: datetime, asks: bool = False) -> datetime:
    """Return the instant that a person means, on the clocks of a time zone.

    Args:
        text: In one of FORMS, or ISO 8601 with an offset.
        zone: IANA name.
        now: What the words are relative to.
        asks: Whether a time that the clocks show twice is an error; else the earlier one is meant.

    Raises:
        UsageError: It is none, or the clocks leave it out.
        TwiceError: See `asks`.
    """
    tz = zone_of(zone)
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        given = None
    if given is not None and given.tzinfo is not None:
        return given
    found = WHEN.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"'{text}' is no time", hint=FORMS)
    today = now.astimezone(tz).date()
    try:
        clock = time.fromisoformat(found["clock"].zfill(5))
        day = _day(found, today)
        if day == today and not any((found["full"], found["day"], found["word"])):
            day += timedelta(days=int(first_instant(day, clock, tz) <= now))
        at = first_instant(day, clock, tz)
    except (ValueError, OverflowError):
        raise UsageError(f"'{text}' is no time", hint=FORMS) from None
    wall = datetime.combine(day, clock)
    if at.astimezone(tz).replace(tzinfo=None) != wall:
        what = f"the clocks of {zone} leave out {clock:%H:%M} on {day}"
        raise UsageError(what, hint="choose another time")
    later = wall.replace(tzinfo=tz, fold=1).astimezone(UTC)
    if asks and later != at:
        raise TwiceError(f"the clocks of {zone} show {clock:%H:%M} twice on {day}", (at, later))
    return at


def _day(found: re.Match[str], today: date) -> date:
    """Return the day that is meant; ValueError: none."""
    if found["full"]:
        return date.fromisoformat(found["full"])
    if found["day"]:
        day = date.fromisoformat(f"{today.year}-{found['day']}")
        return day if day >= today else date.fromisoformat(f"{today.year + 1}-{found['day']}")
    word = (found["word"] or "today").lower()
    if word in ("today", "tomorrow"):
        return today + timedelta(days=int(word == "tomorrow"))
    ahead = (WEEKDAYS.index(word[:3]) - today.weekday()) % 7
    return today + timedelta(days=ahead or 7)


def shown(at: datetime, zone: str) -> str:
    """Return an instant for a person, on the clocks of a time zone."""
    return f"{at.astimezone(zone_of(zone)):%a %Y-%m-%d %H:%M} {zone}"
