"""Feeds, pages and Markdown files as items. Pure: bytes in, items out.

feedparser and trafilatura are the extra `botticelli[sources]`, imported where they are needed.
"""

import calendar
import codecs
import re
import tomllib
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from botticelli.errors import BotticelliError
from botticelli.store.sources import FoundItem
from botticelli.text import shorten

MOST_ITEMS: Final = 500  # of one reading; the newest
LONGEST_TEXT: Final = 20_000  # characters of an item
LONGEST_TITLE: Final = 300
# Parameters that say where a reader came from, not what is read.
TRACKING: Final = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|msclkid|mc_[ce]id|igshid|ref_src", re.IGNORECASE
)
FRONT: Final = re.compile(
    r"\A(---|\+\+\+)[ \t]*\r?\n(.*?)^\1[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE
)
BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption",
    "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p",
    "pre", "section", "table", "td", "th", "tr", "ul",
})  # fmt: skip
UNREAD: Final = frozenset(("script", "style", "template", "noscript", "iframe"))


class UnreadableSource(BotticelliError):
    """What a source gave is not what it should be."""


def address_key(url: str) -> str:
    """Return an address as it is compared: without what only says where the reader came from."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme.lower())
    place = host if port in (None, usual) else f"{host}:{port}"
    asked = [pair for pair in parse_qsl(parts.query, True) if not TRACKING.fullmatch(pair[0])]
    path = parts.path.rstrip("/") or "/"
    return urlunsplit(("", place.removeprefix("www."), path, urlencode(sorted(asked)), ""))


def feed_items(content: bytes, *, url: str, mime: str) -> list[FoundItem]:
    """Return the entries of a feed (RSS 0.9 to 2.0, RDF, Atom, JSON is none), the newest first.

    Broken XML and wrong encodings are read as far as they can be.

    Raises:
        UnreadableSource: It is no feed.
    """
    import feedparser

    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # feedparser wants it declared
        content, mime = content.decode("utf-16", "replace").encode(), ""
    headers = {"content-location": url, **({"content-type": mime} if mime else {})}
    found = feedparser.parse(content, response_headers=headers)
    if not found.get("version") and not found.entries:
        raise UnreadableSource(
            "is not a feed", where=url, hint='name its feed, or use kind = "page"'
        )
    items = [_entry(entry, url) for entry in found.entries]
    items = [each for each in items if each.title or each.text]
    never = datetime.min.replace(tzinfo=UTC)
    items.sort(key=lambda item: item.published_at or never, reverse=True)
    return items[:MOST_ITEMS]


def _entry(entry: Any, base: str) -> FoundItem:
    contents = [each.get("value") or "" for each in entry.get("content") or ()]
    text = plain(max([*contents, entry.get("summary") or ""], key=len))
    title = shorten(plain(entry.get("title") or ""), LONGEST_TITLE)
    link = _web(urljoin(base, (entry.get("link") or "").strip()))
    at = entry.get("published_parsed") or entry.get("updated_parsed")
    return FoundItem(
        guid=entry.get("id") or link or f"{title} {text[:500]}",
        url=link,
        address=address_key(link),
        title=title,
        text=text[:LONGEST_TEXT],
        published_at=_instant(at),
    )


def _instant(at: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(calendar.timegm(at), UTC) if at else None
    except (ValueError, OverflowError, OSError):
        return None


def _web(url: str) -> str:
    """Return an address of the web; empty if it is anything else."""
    return url if url.lower().startswith(("http://", "https://")) and len(url) <= 2000 else ""


def page_item(content: bytes, *, url: str) -> FoundItem:
    """Return the main text of a web page; another text is another item.

    Raises:
        UnreadableSource: It has no text to speak of.
    """
    import trafilatura

    found: Any = trafilatura.bare_extraction(content, url=url, with_metadata=True)
    text = (found.text or "").strip() if found else ""
    if len(text) < 40:
        raise UnreadableSource("has no text to read", where=url, hint="name a page with an article")
    return FoundItem(
        guid="",  # its text: the page changes, and its address does not
        url=url,
        title=shorten(found.title or "", LONGEST_TITLE),
        text=text[:LONGEST_TEXT],
        published_at=day(found.date),
    )


def file_item(name: str, text: str) -> FoundItem | None:
    """Return a Markdown file with its front matter (YAML's plain lines, or TOML); None: a draft."""
    found, body = FRONT.match(text), text
    facts: dict[str, Any] = {}
    if found:
        body = text[found.end() :]
        facts = _toml(found[2]) if found[1] == "+++" else _lines(found[2])
    if str(facts.get("draft", "")).lower() in ("true", "yes"):
        return None
    heading = re.search(r"^#\s+(.+)$", body, re.MULTILINE)
    link = _web(str(facts.get("link") or facts.get("url") or facts.get("canonical_url") or ""))
    return FoundItem(
        guid=name,
        url=link,
        address=address_key(link),
        title=shorten(str(facts.get("title") or (heading[1] if heading else name)), LONGEST_TITLE),
        text=body.strip()[:LONGEST_TEXT],
        published_at=day(facts.get("date") or facts.get("published")),
    )


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _lines(text: str) -> dict[str, Any]:
    pairs = re.findall(r"^(\w+):[ \t]*(.+?)[ \t\r]*$", text, re.MULTILINE)
    return {key.lower(): value.strip("\"'") for key, value in pairs}


def day(given: Any) -> datetime | None:
    """Return what a day or an instant means, in UTC unless it says otherwise."""
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    try:
        at = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).strip())
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def plain(html: str) -> str:
    """Return HTML as plain text: a line a block, without scripts; plain text stays as it is."""
    if "<" not in html and "&" not in html:
        return html.strip()
    words = _Words()
    words.feed(html)
    words.close()
    lines = (" ".join(line.split()) for line in "".join(words.found).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - HTMLParser's
        self._unread += tag in UNREAD
        if tag in BLOCKS:
            self.found.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._unread = max(0, self._unread - (tag in UNREAD))
        if tag in BLOCKS:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.found.append(data)
