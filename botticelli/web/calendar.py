"""The calendar: weeks that begin with this one, in a destination's time zone, and its pins.

The server makes the grid; the browser never computes a date.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from botticelli.config.model import Destination
from botticelli.errors import ConfigError, StaleError, UsageError
from botticelli.platforms.open import wanted_by
from botticelli.reports.calendar import Calendar
from botticelli.reports.calendar import calendar as look
from botticelli.schedule.hours import zone_of
from botticelli.schedule.instants import TwiceError, allowed_instant, read_instant
from botticelli.stages.generate.themes import Theme, themes_between
from botticelli.store import runs
from botticelli.store.delivery import pins, schedule
from botticelli.store.delivery.pins import Pin
from botticelli.store.generation import themes
from botticelli.web.app import Call, PageError

WEEKS: Final = 5
SIGNS: Final = {"posted": "", "pinned": "!", "forecast": "~", "held": "?", "failed": "x"}
DAY: Final = timedelta(days=1)


def show_calendar(call: Call) -> Response:
    """Show five weeks; `from` is a day of the first one, `to` the only destination."""
    return _show(call, call.request.query_params)


def _show(call: Call, asked: Mapping[str, str], *, status: int = 200, **problem: Any) -> Response:
    config, to = call.desk.config, asked.get("to", "")
    try:
        since = date.fromisoformat(asked["from"]) if asked.get("from") else None
        found = look(call.conn, config, weeks=WEEKS, since=since, to=to)
    except (ValueError, OverflowError):
        raise PageError(400, f"{asked['from']} is no day; write it as 2026-12-24") from None
    names = [*config.destinations, *pins.list_destinations(call.conn)]
    if to and to not in names:
        raise PageError(404, f"there is no destination '{to}'")
    shown = [one for one in config.destinations.values() if to in ("", one.name)]
    return call.show(
        "calendar.html",
        status=status,
        found=found,
        weeks=_weeks(call, found),
        signs=SIGNS,
        to=to,
        names=list(dict.fromkeys(names)),
        places={one.name: one for one in shown},
        before=_link(call, found.since - WEEKS * 7 * DAY, to),
        after=_link(call, found.until, to),
        can_pin=call.visitor and call.visitor.may("editor") and not call.desk.is_read_only,
        **{"problem": "", "twice": None, "mine": {}, **problem},
    )


def _link(call: Call, since: date, to: str) -> str:
    return f"{call.root}/calendar?{urlencode({'from': since, 'to': to})}"


def _weeks(call: Call, found: Calendar) -> list[list[dict[str, Any]]]:
    """Return the days of each week with what is on them."""
    zone = zone_of(found.zone)
    days: dict[date, dict[str, Any]] = {
        day: {"date": day, "entries": [], "quiet": [], "themes": []}
        for day in (found.since + n * DAY for n in range((found.until - found.since).days))
    }
    for one in found.entries:
        if (day := one.at.astimezone(zone).date()) in days:
            days[day]["entries"].append(one)
    for day, name in found.quiet:
        days[day]["quiet"].append(name)
    for theme in _themes(call, found):
        for day in days:
            if theme.first <= day <= theme.last:
                days[day]["themes"].append(theme.name)
    cells = list(days.values())
    return [cells[at : at + 7] for at in range(0, len(cells), 7)]


def _themes(call: Call, found: Calendar) -> list[Theme]:
    """Return the themes of these weeks; what is wrong with one is said on the page of themes."""
    known = themes.known(call.conn, call.desk.config.themes)
    with suppress(ConfigError):
        return themes_between(known, found.since, found.until - DAY)
    return []


def change_delivery(call: Call) -> Response:
    """Pin a post at a destination, free it, or let it go next: as it was seen, or not at all."""
    form = call.form
    back = {"from": form.get("from", ""), "to": form.get("view", "")}
    try:
        _pin(call)
    except UsageError as error:
        status = 409 if isinstance(error, StaleError) else 400
        twice = error if isinstance(error, TwiceError) else None
        return _show(call, back, status=status, problem=str(error), twice=twice, mine=form)
    return call.go(f"/calendar?{urlencode(back)}#p{form.get('post')}")


def _pin(call: Call) -> None:
    form, do = call.form, call.form.get("do", "")
    place = call.desk.config.destinations.get(form.get("to", ""))
    if place is None:
        raise UsageError(f"'{form.get('to')}' is no longer in the settings", hint="add it")
    if do not in ("pin", "unpin", "next"):
        raise UsageError(f"'{do}' is no decision", hint="pin, unpin or next")
    numbers = [form.get(name, "") for name in ("post", "fence")]
    if not all(one.isdecimal() and len(one) < 19 for one in numbers):
        raise UsageError("it is not said which post, and as what it was seen")
    if form.get("zone", place.time_zone) != place.time_zone:
        raise StaleError(f"the time zone is {place.time_zone} now", hint="look at the time again")
    post, fence = map(int, numbers)
    wanted = Pin(destination=place.name, at=None)
    if do != "unpin":
        wanted = _wanted(call, place, now=runs.now(call.conn), is_next=do == "next")
    known = [wanted_by(one) for one in call.desk.config.destinations.values()]
    pins.pin(call.conn, "post", post, [wanted], known=known, by=call.by, seen=fence)


def _wanted(call: Call, place: Destination, *, now: datetime, is_next: bool) -> Pin:
    form, hours = call.form, schedule.rhythm(place).hours
    anyway, at, expires = form.get("anyway") == "yes", now, None
    if not is_next:
        at = allowed_instant(
            form.get("at", ""), hours, now=now, name=place.name, anyway=anyway, asks=True
        )
        if text := form.get("expires"):
            expires = read_instant(text, hours.zone, now=now)
    if expires and expires <= at:
        raise UsageError("it would expire before it goes out", where="expires")
    return Pin(
        destination=place.name, at=at, is_anyway=anyway, expires_at=expires, keeps_expiry=is_next
    )
