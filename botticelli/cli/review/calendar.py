"""`botticelli schedule`, `unschedule`, `calendar` and `themes`."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from botticelli.cli.shared.ids import Id, argument, parser_of
from botticelli.cli.shell.command import Done, command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Lines, Listing, Styled, render
from botticelli.config.model import Destination
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.platforms.open import wanted_by
from botticelli.records import record
from botticelli.reports.calendar import Calendar, CalendarEntry, to_ics
from botticelli.reports.calendar import calendar as look
from botticelli.schedule.hours import zone_of
from botticelli.schedule.instants import FORMS, WEEKDAYS, allowed_instant, read_instant, shown
from botticelli.store import runs
from botticelli.store.connection import Connection
from botticelli.store.delivery import pins
from botticelli.store.delivery import schedule as rules
from botticelli.store.delivery.pins import Pin
from botticelli.store.generation import themes as stored_themes
from botticelli.text import shorten, span

Post = Annotated[
    Id, argument(parser_of("post", "candidate", "delivery"), "The post (5, p5, c12 or d7).")
]
YEAR: Final = timedelta(days=364)
SIGNS: Final = {"posted": "", "pinned": "!", "forecast": "~", "held": "?", "failed": "x"}
STYLES: Final = {
    "posted": "green", "pinned": "bold cyan", "forecast": "dim", "held": "yellow", "failed": "red",
}  # fmt: skip


@command(decides=True)
def schedule(
    env: Environment,
    conn: Connection,
    post: Post,
    at: str,
    *,
    to: str = "",
    expires: str = "",
    anyway: bool = False,
) -> Lines:
    """Pin an approved post to an instant: it goes first, and not before.

    Takes:
        at WHEN: "2026-12-24 09:00", "fri 09:00", "09:00" ..., in the destination's time zone.
        to NAME: Only at this destination.
        expires WHEN: Hold it if it is not out by then.
        anyway: Also outside of the active hours, or on a quiet date.

    Examples:
        botticelli schedule p5 "2026-12-24 09:00" --expires "2026-12-24 20:00"
        botticelli schedule p5 "fri 17:30" --to news
    """
    places = _places(env, to)
    now = runs.now(conn)
    wanted = [
        Pin(
            destination=one.name,
            at=allowed_instant(at, rules.rhythm(one).hours, now=now, name=one.name, anyway=anyway),
            is_anyway=anyway,
            expires_at=read_instant(expires, one.time_zone, now=now) if expires else None,
        )
        for one in places
    ]
    if any(one.expires_at and one.at and one.expires_at <= one.at for one in wanted):
        raise UsageError("it would expire before it goes out", where="--expires", hint=FORMS)
    number, done = _pin(env, conn, post, wanted)
    facts = [one for one in wanted if one.destination in done]
    zones = {one.name: one.time_zone for one in places}
    lines = [
        f"post {number} goes to '{one.destination}' at {shown(one.at, zones[one.destination])}"
        for one in facts
        if one.at
    ]
    every = env.config.post.schedule
    if every.kind == "Interval" and every.interval > timedelta(minutes=5):
        lines.append(
            f"  post is started every {span(every.interval)}: for the minute, set [post.schedule]"
            " seconds = 60 (an idle start costs next to nothing)"
        )
    return Lines(text=lines, facts={"post": number, "pins": facts})


def _places(env: Environment, name: str) -> list[Destination]:
    """Return the destination of that name, or all; UsageError: there is none."""
    known = env.config.destinations
    if name and name not in known:
        what = f"there is no destination '{name}'"
        raise UsageError(what, hint=f"name one of {', '.join(known)}")
    return [known[name]] if name else list(known.values())


@command(decides=True)
def unschedule(env: Environment, conn: Connection, post: Post, *, to: str = "") -> Done:
    """Let a pinned post go out in its rhythm again.

    Takes:
        to NAME: Only at this destination.

    Examples:
        botticelli unschedule p5
    """
    places = _places(env, to)
    number, done = _pin(env, conn, post, [Pin(destination=one.name, at=None) for one in places])
    line = f"post {number} goes out in its rhythm again ({', '.join(done)})"
    return Done(line=line, facts={"post": number, "destinations": done})


def _pin(
    env: Environment, conn: Connection, post: Id, wanted: list[Pin]
) -> tuple[int, tuple[str, ...]]:
    known = [wanted_by(one) for one in env.config.destinations.values()]
    return pins.pin(conn, post.kind, post.number, wanted, known=known, by=env.user)


@command()
def calendar(
    env: Environment, conn: Connection, *, weeks: int = 5, ics: Path | None = None
) -> Calendar | Done:
    """Show what was posted, what is pinned and what the rhythm will do.

    Takes:
        weeks N: How many weeks, from this one on.
        ics FILE: Write it as a file for calendar programs instead.

    Examples:
        botticelli calendar
        botticelli calendar --weeks 2 --json
        botticelli calendar --ics posts.ics
    """
    found = look(conn, env.config, weeks=weeks)
    if ics is None:
        return found
    path = env.write(ics, to_ics(found, project=env.config.project.name))
    facts = {"file": str(path), "entries": len(found.entries)}
    return Done(line=f"{len(found.entries)} entries are in {path}", facts=facts)


@record
class ThemeOfYear:
    """A stretch of a theme, and whether it is now."""

    name: str
    first: date
    last: date
    weight: float
    brief: str
    is_now: bool


THEMES: Final[Columns] = {
    "THEME": lambda one: Styled(one.name, "bold cyan") if one.is_now else one.name,
    "FROM": "first",
    "TO": "last",
    "SHARE>": lambda one: f"{one.weight:.0%}",
    "NOW": lambda one: "now" if one.is_now else "",
    "ABOUT": lambda one: shorten(one.brief, 40),
}


@command()
def themes(env: Environment, *, year: int | None = None) -> Listing:
    """Show the themes of the year: what is written about when.

    Takes:
        year YEAR: Which year; left out: the next twelve months.

    Examples:
        botticelli themes
    """
    from botticelli.stages.generate.themes import themes_between

    known = env.config.themes
    with suppress(ConfigError, Unavailable), env.database() as conn:
        known = stored_themes.known(conn, known)
    today = env.clock.now().astimezone(zone_of(env.config.time_zone)).date()
    first, last = (date(year, 1, 1), date(year, 12, 31)) if year else (today, today + YEAR)
    rows = [
        ThemeOfYear(
            name=one.name,
            first=one.first,
            last=one.last,
            weight=one.weight,
            brief=one.brief,
            is_now=one.first <= today <= one.last,
        )
        for one in themes_between(known, first, last)
    ]
    empty = "there are no themes; add a [themes.NAME] table (docs/calendar.md)"
    return Listing(name="themes", rows=rows, columns=THEMES, empty=empty)


@render.register
def _(report: Calendar, console: Console) -> None:
    count = (report.until - report.since).days
    days = [report.since + timedelta(days=number) for number in range(count)]
    zone = zone_of(report.zone)
    by_day: dict[date, list[CalendarEntry]] = {day: [] for day in days}
    for one in report.entries:
        by_day.setdefault(one.at.astimezone(zone).date(), []).append(one)
    today = report.now.astimezone(zone).date()
    quiet = {day for day, _ in report.quiet}
    console.line(" " * 7 + "".join(day.title().ljust(10) for day in WEEKDAYS), style="bold")
    for start in range(0, len(days), 7):
        for line in _week(days[start : start + 7], by_day, today=today, quiet=quiet, zone=zone):
            console.line(line.rstrip())
    console.line()
    for one in report.entries:
        console.line(_entry(one, zone), style=STYLES[one.kind])
    for name, count in report.waiting:
        console.line(f"{count} more wait for '{name}' without a place in these weeks")
    if any(one.kind == "forecast" for one in report.entries):
        words = "~ not before then, as the rules stand; ! pinned; ? held; x failed"
        console.line(words, style="dim")


def _week(
    days: list[date],
    by_day: dict[date, list[CalendarEntry]],
    *,
    today: date,
    quiet: set[date],
    zone: ZoneInfo,
) -> Iterator[str]:
    """Yield a week in lines of 78 columns: the days, then the first three posts of each."""
    heads = (
        f"{'>' if day == today else ' '}{day.day:>2}{' quiet' if day in quiet else ''}"
        for day in days
    )
    yield f"{days[0]:%b}".ljust(6) + "".join(head.ljust(10) for head in heads)
    most = max(len(by_day[day]) for day in days)
    for number in range(min(most, 3)):
        cells = []
        for day in days:
            found = by_day[day]
            if number == 2 and len(found) > 3:
                cells.append(f" +{len(found) - 2}")
            elif number < len(found):
                one = found[number]
                cells.append(f" {SIGNS[one.kind]}{one.at.astimezone(zone):%H:%M}")
            else:
                cells.append("")
        yield " " * 6 + "".join(cell.ljust(10) for cell in cells)


def _entry(one: CalendarEntry, zone: ZoneInfo) -> str:
    note = f" ({one.note})" if one.note else ""
    at = f"{SIGNS[one.kind] or ' '}{one.at.astimezone(zone):%a %m-%d %H:%M}"
    return f"{at}  {one.destination}  p{one.post}  {shorten(one.text, 36)}{note}"
