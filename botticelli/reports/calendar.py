"""The calendar: what was posted, what is pinned, and what the rhythm will do. Reads only."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Final, Literal

from botticelli.config.model import Config, Destination
from botticelli.platforms.open import wanted_by
from botticelli.records import record
from botticelli.schedule.due import Pace
from botticelli.schedule.forecast import Waiting, forecast
from botticelli.schedule.hours import first_instant, is_quiet, zone_of
from botticelli.store import runs
from botticelli.store.connection import Connection
from botticelli.store.delivery import pins, posts, schedule
from botticelli.store.delivery.pins import CalendarRow
from botticelli.store.delivery.posts import Queued, WaitingPost

Kind = Literal["posted", "pinned", "forecast", "held", "failed"]
LOOKED_AT: Final = 500  # posts that wait
LINE_END: Final = "\r\n"


@record
class CalendarEntry:
    """One post at one destination.

    Args:
        at: When it was posted, is pinned to, or is expected.
        delivery: None if it is not planned yet.
        fence: Of the delivery: whoever changes it names what was seen.
        expires_at: When it is held instead; None: never.
    """

    kind: Kind
    at: datetime
    destination: str
    post: int
    delivery: int | None
    text: str
    url: str = ""
    note: str = ""
    fence: int = 0
    expires_at: datetime | None = None


@record
class Calendar:
    """Some weeks of all destinations.

    Args:
        since: Monday of the first week.
        until: The day behind the last one.
        zone: The time zone of the days: the first destination's.
        quiet: Days on which a destination gets nothing.
        waiting: Posts that have no place within these weeks, by destination.
    """

    now: datetime
    since: date
    until: date
    zone: str
    entries: tuple[CalendarEntry, ...]
    quiet: tuple[tuple[date, str], ...]
    waiting: tuple[tuple[str, int], ...]


def calendar(
    conn: Connection, config: Config, *, weeks: int, since: date | None = None, to: str = ""
) -> Calendar:
    """Return the calendar of that many weeks. Reads only.

    Args:
        conn: Where from.
        config: Of the project.
        weeks: How many.
        since: A day of the first one; None: today.
        to: Only of this destination, in its time zone; empty: of all, in that of the first.
    """
    places = [one for one in config.destinations.values() if to in ("", one.name)]
    queues = posts.read_queues(conn, [wanted_by(one) for one in places])
    zone = places[0].time_zone if places else config.time_zone
    now = runs.now(conn)
    today = now.astimezone(zone_of(zone)).date()
    first = (since or today) - timedelta(days=(since or today).weekday())
    last = first + timedelta(weeks=weeks)
    begin, until = (first_instant(day, time(0), zone_of(zone)) for day in (first, last))
    rows = pins.list_rows(conn, [to] if to else list(config.destinations), since=begin, until=until)
    entries, left = [_past(row) for row in rows], []
    names = tuple(config.destinations)
    for place in places:
        waiting = posts.peek(conn, wanted_by(place), names=names, limit=LOOKED_AT)
        ahead = list(_ahead(queues[place.name], waiting, place, until=until))
        entries += (one for one in ahead if one.at >= begin)
        left.append((place.name, len(waiting) - len(ahead)))
    return Calendar(
        now=now,
        since=first,
        until=last,
        zone=zone,
        entries=tuple(sorted(entries, key=lambda one: (one.at, one.destination, one.post))),
        quiet=tuple(_quiet(places, first, last)),
        waiting=tuple(each for each in left if each[1]),
    )


def _past(row: CalendarRow) -> CalendarEntry:
    kind: Kind = "posted" if row.state in ("posted", "withdrawn") else "held"
    return CalendarEntry(
        kind="failed" if row.state == "failed" else kind,
        at=row.at,
        destination=row.destination,
        post=row.post,
        delivery=row.delivery,
        text=row.text or "",
        url=row.url,
        fence=row.fence,
        note="withdrawn" if row.state == "withdrawn" else row.note,
    )


def _ahead(
    pace: Queued, waiting: Sequence[WaitingPost], place: Destination, *, until: datetime
) -> Iterator[CalendarEntry]:
    """Yield when what waits for a destination goes out."""
    known = {one.post_id: one for one in waiting}
    queue = [
        Waiting(
            id=one.post_id,
            pinned_to=one.scheduled_for,
            is_anyway=one.is_anyway,
            not_before=one.not_before,
            expires_at=one.expires_at,
        )
        for one in waiting
    ]
    plain = Pace(**{name: getattr(pace, name) for name in Pace.__dataclass_fields__})
    recent = schedule.rhythm(place)
    for at, each in forecast(replace(plain, downtime=None), queue, recent, until=until):
        one = known[each.id]
        late = each.pinned_to is not None and at - each.pinned_to > timedelta(minutes=1)
        yield CalendarEntry(
            kind="pinned" if each.pinned_to else "forecast",
            at=at,
            destination=place.name,
            post=one.post_id,
            delivery=one.delivery_id,
            text=one.text or "",
            fence=one.fence,
            expires_at=one.expires_at,
            note=f"pinned to {each.pinned_to:%Y-%m-%d %H:%M} UTC" if late else "",
        )


def _quiet(places: Sequence[Destination], first: date, last: date) -> Iterator[tuple[date, str]]:
    for number in range((last - first).days):
        day = first + timedelta(days=number)
        for place in places:
            hours = schedule.rhythm(place).hours
            if is_quiet(first_instant(day, time(12), zone_of(hours.zone)), hours):
                yield day, place.name


def to_ics(calendar: Calendar, *, project: str) -> str:
    """Return the calendar as RFC 5545 has it: a forecast is TENTATIVE, the rest CONFIRMED.

    The UID of an entry stays the same whatever becomes of it.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//Botticelli//{_escaped(project)}//EN"]
    for one in calendar.entries:
        status = {"forecast": "TENTATIVE", "held": "CANCELLED", "failed": "CANCELLED"}
        title = " ".join(one.text.split())[:80] or f"post {one.post}"
        lines += [
            "BEGIN:VEVENT",
            f"UID:p{one.post}-{_digest(one.destination)}@{_digest(project)}.botticelli",
            f"DTSTAMP:{_instant(calendar.now)}",
            f"DTSTART:{_instant(one.at)}",
            f"DTEND:{_instant(one.at + timedelta(minutes=15))}",
            f"SEQUENCE:{int(calendar.now.timestamp()) // 60}",  # a later file is the newer one
            f"STATUS:{status.get(one.kind, 'CONFIRMED')}",
            f"SUMMARY:{_escaped(f'{one.destination}: {title}')}",
            f"DESCRIPTION:{_escaped('; '.join(filter(None, (one.kind, one.note, one.text))))}",
            *([f"URL:{one.url}"] if re.fullmatch(r"[!-~]+", one.url) else []),
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    return "".join(_folded(line) for line in [*lines, "END:VCALENDAR"])


def _digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()[:12]


def _instant(at: datetime) -> str:
    return f"{at.astimezone(zone_of('UTC')):%Y%m%dT%H%M%SZ}"


def _escaped(text: str) -> str:
    """Return a text value (RFC 5545, 3.3.11)."""
    shown = "".join(c for c in text.replace("\r\n", "\n") if c == "\n" or c.isprintable())
    for sign in ("\\", ";", ","):
        shown = shown.replace(sign, f"\\{sign}")
    return shown.replace("\n", "\\n")


def _folded(line: str) -> str:
    """Return a content line in pieces of at most 75 octets, no character broken (3.1)."""
    pieces, piece, size = [], "", 0
    for character in line:
        octets = len(character.encode())
        if size + octets > 75:
            pieces.append(piece)
            piece, size = " ", 1
        piece, size = piece + character, size + octets
    return LINE_END.join([*pieces, piece]) + LINE_END
