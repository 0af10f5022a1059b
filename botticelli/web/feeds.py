"""Feeds for programs that subscribe: the calendar, and what was posted. Opened by a key."""

from datetime import timedelta
from hashlib import sha256
from xml.etree import ElementTree as ET

from starlette.responses import Response

from botticelli.reports.calendar import calendar, to_ics
from botticelli.store import runs
from botticelli.store.delivery import pins
from botticelli.store.desk import keys
from botticelli.web.app import Call, PageError

ATOM = "http://www.w3.org/2005/Atom"
ENTRIES = 50


def _check_key(call: Call) -> None:
    key = call.request.query_params.get("key", "")
    if not key or keys.find_key(call.conn, "feed", key) is None:
        raise PageError(401, "this feed needs its key; botticelli desk feed prints it")


def show_ics(call: Call) -> Response:
    """Return five weeks as RFC 5545 has it."""
    _check_key(call)
    config = call.desk.config
    text = to_ics(calendar(call.conn, config, weeks=5), project=config.project.name)
    return Response(text, media_type="text/calendar; charset=utf-8")


def show_atom(call: Call) -> Response:
    """Return the latest posts as RFC 4287 has it."""
    _check_key(call)
    name, now = call.desk.config.project.name or "Botticelli", runs.now(call.conn)
    names = list(call.desk.config.destinations)
    since = now - timedelta(days=60)
    found = pins.list_rows(call.conn, names, since=since, until=now, characters=20_000)
    posted = [one for one in found if one.state == "posted"][: -ENTRIES - 1 : -1]
    own = f"urn:botticelli:{sha256(name.encode()).hexdigest()[:12]}"
    feed = ET.Element("feed", xmlns=ATOM)
    _add(feed, id=own, title=name, updated=(posted[0].at if posted else now).isoformat())
    _add(ET.SubElement(feed, "author"), name=name)
    for one in posted:
        entry = ET.SubElement(feed, "entry")
        title = " ".join(one.text.split())[:80] or f"post {one.post}"
        _add(entry, id=f"{own}:d{one.delivery}", title=title, updated=one.at.isoformat())
        ET.SubElement(entry, "category", term=one.destination)
        ET.SubElement(entry, "content", type="text").text = _clean(one.text)
        if one.url.startswith(("https://", "http://")):
            ET.SubElement(entry, "link", rel="alternate", href=_clean(one.url))
    text = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return Response(text, media_type="application/atom+xml; charset=utf-8")


def _add(element: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(element, name).text = _clean(text)


def _clean(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
