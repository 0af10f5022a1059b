"""Themes: stretches of the year with something to write about. Pure but for a calendar file.

holidays and icalendar are the extra `botticelli[themes]`, imported where a theme needs them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.config.operations import ThemeConfig
from botticelli.errors import ConfigError, Problem
from botticelli.records import record
from botticelli.schedule.hours import first_instant, zone_of

LARGEST_CALENDAR: Final = 5 * 1024 * 1024  # bytes
GOLDEN: Final = 0.6180339887498949  # its multiples fill the unit evenly (Weyl)
AHEAD: Final = 14  # days in which a theme counts as upcoming


@record
class Theme:
    """One stretch of a theme.

    Args:
        last: The last day; included.
        brief: What to write about.
    """

    name: str
    first: date
    last: date
    brief: str
    tags: tuple[str, ...] = ()
    weight: float = 0.3

    def ends_at(self, zone: str) -> datetime:
        """Return the instant at which it is over."""
        return first_instant(self.last + timedelta(days=1), time(0), zone_of(zone))


def themes_between(known: Mapping[str, ThemeConfig], first: date, last: date) -> list[Theme]:
    """Return all stretches that touch these days, in order.

    Raises:
        ConfigError: A theme means nothing, or a library or a file for it is missing.
    """
    problems: list[Problem] = []
    found: list[Theme] = []
    for name, config in known.items():
        try:
            found += [
                Theme(
                    name=name,
                    first=begins,
                    last=ends,
                    brief=" ".join(filter(None, (config.brief, label))),
                    tags=config.tags,
                    weight=config.weight,
                )
                for begins, ends, label in _stretches(name, config, first, last)
                if begins <= last and ends >= first
            ]
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError.of(problems)
    return sorted(found, key=lambda one: (one.first, one.last, one.name))


Stretch = tuple[date, date, str]


def _stretches(name: str, config: ThemeConfig, first: date, last: date) -> Iterator[Stretch]:
    before, after = timedelta(days=config.days_before), timedelta(days=config.days_after)
    days: Iterator[Stretch] | None = None
    if config.holiday:
        years = range(first.year, last.year + 2)
        days = ((day, day, "") for day in _holidays(f"themes.{name}", config.holiday, years))
    elif config.calendar is not None:
        days = _events(f"themes.{name}", config.calendar)
    if days is not None:
        yield from ((begins - before, ends + after, label) for begins, ends, label in days)
    elif config.begins and config.ends:
        yield from _seasons(config, first, last)
    else:
        hint = 'write from = "12-01" and to = "12-26", or holiday = "US: Thanksgiving Day"'
        raise ConfigError("says not when it is", where=f"themes.{name}", hint=hint)


def _seasons(config: ThemeConfig, first: date, last: date) -> Iterator[Stretch]:
    """Yield from `begins` to `ends` of each year; over New Year if it ends before it begins."""
    for year in range(first.year - 1, last.year + 1):
        begins, ends = _day(config.begins, year), _day(config.ends, year)
        if begins and ends and ends < begins:
            ends = _day(config.ends, year + 1)
        if begins and ends:
            yield begins, ends, ""
        if len(config.begins) > 5:  # one certain year
            return


def _day(text: str, year: int) -> date | None:
    try:
        return date.fromisoformat(text if len(text) > 5 else f"{year}-{text}")
    except ValueError:  # the 29th of February
        return None


def _holidays(where: str, wanted: str, years: Sequence[int]) -> Iterator[date]:
    """Yield the days of "COUNTRY: NAME" or "COUNTRY-REGION: NAME"."""
    _require("holidays", where)
    import holidays

    place, _, name = (part.strip() for part in wanted.partition(":"))
    country, _, region = place.partition("-")
    try:
        known: Any = holidays.country_holidays(
            country, subdiv=region or None, years=list(years), language="en_US"
        )
    except NotImplementedError:
        hint = 'write "US: Thanksgiving Day" or "DE-BY: Epiphany"'
        raise ConfigError(f"there is no country '{place}'", where=where, hint=hint) from None
    days = sorted(day for day, label in known.items() if name.lower() in label.lower())
    if not days or not name:
        named = ", ".join(sorted({label.partition(" (")[0] for label in known.values()})[:20])
        raise ConfigError(f"{place} has no holiday '{name}'", where=where, hint=f"it has {named}")
    yield from days


def _events(where: str, path: Path) -> Iterator[Stretch]:
    _require("icalendar", where)
    import icalendar

    try:
        content = files.read(path, limit=LARGEST_CALENDAR)
        parsed = icalendar.Calendar.from_ical(content)
    except (OSError, ValueError) as error:
        what = f"{path} cannot be read: {error}"
        raise ConfigError(what, where=where, hint="name an .ics file") from error
    for event in parsed.walk("VEVENT"):
        if "DTSTART" not in event:
            continue
        begins, whole = event.decoded("DTSTART"), timedelta(0)
        ends = event.decoded("DTEND", begins)
        if not isinstance(begins, datetime) and ends > begins:
            whole = timedelta(
                days=1
            )  # an end of a whole day is the day behind it (RFC 5545, 3.6.1)
        first, last = (at.date() if isinstance(at, datetime) else at for at in (begins, ends))
        yield first, max(first, last - whole), str(event.get("SUMMARY", ""))


def _require(library: str, where: str) -> None:
    if find_spec(library) is None:
        hint = "pip install 'botticelli[themes]'"
        raise ConfigError(f"needs the library {library}", where=where, hint=hint)


def theme_of(active: Sequence[Theme], number: int) -> Theme | None:
    """Return the theme of the post with that number in a batch; None: it has none.

    Each theme gets the share of the batch that its weight says, spread evenly over it; weights that
    come to more than all of it are shares of it all the same.
    """
    total = max(1.0, sum(one.weight for one in active))
    place = (number * GOLDEN) % 1 * total
    for one in active:
        if place < one.weight:
            return one
        place -= one.weight
    return None


def upcoming_words(themes: Sequence[Theme], today: date) -> str:
    """Return the themes that begin soon, a line each, for `{{upcoming}}`."""
    soon = (one for one in themes if today < one.first <= today + timedelta(days=AHEAD))
    return (
        "\n".join(f"- {one.first:%A, %d %B}: {one.name}: {one.brief}" for one in soon) or "(none)"
    )
