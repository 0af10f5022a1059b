"""Values of botticelli.toml that are texts with a form of their own.

Each function raises ValueError with what is wrong and, as a second argument, how to fix it.
"""

import re
from datetime import date, time

from botticelli.records import record


@record
class ActiveHours:
    """When a destination may be written to, in local time; `end` may be before `start` (night)."""

    start: time
    end: time


def active_hours(text: str) -> ActiveHours:
    """Return "09:00-21:00" as two local times; "24:00" is midnight."""
    start, end = (part.strip() for part in text.split("-"))
    if start == end:
        raise ValueError(f"'{text}' begins where it ends", "leave it out for any hour")
    return ActiveHours(start=_time_of_day(start), end=_time_of_day(end))


def _time_of_day(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    try:
        return time(0) if (hour, minute) == (24, 0) else time(hour, minute)
    except ValueError:
        raise ValueError(f"'{text}' is not a valid time") from None


def quiet_date(text: str) -> str:
    """Return "12-25" or "2026-12-25" if the calendar has it, in a leap year if no year is given."""
    full = text if len(text) > 5 else f"2000-{text}"
    try:
        if date.fromisoformat(full).isoformat() == full:  # not 20261225, which is compared to none
            return text
    except ValueError:
        pass
    raise ValueError(f"'{text}' is not a valid date")


def time_zone(name: str) -> str:
    """Return the name of a time zone if this machine knows it."""
    if name != "UTC":
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = "use a name such as 'Europe/Berlin'"
            raise ValueError(f"there is no time zone '{name}'", hint) from None
    return name


def pattern(text: str) -> str:
    """Return a regular expression if it is a valid one."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(str(error), "fix the regular expression") from None
    return text
