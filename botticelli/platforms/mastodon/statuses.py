"""A status as servers give it back: read, and compared with what was sent. Pure.

Servers keep HTML: links shortened or with a target of their own, mentions without their host,
blanks and lines as they like.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import unquote

from botticelli.platforms.base import Receipt
from botticelli.platforms.mastodon.counting import without_hosts
from botticelli.text import normalise

Json = Mapping[str, Any]

_BLOCKS: Final = frozenset({"p", "br", "div", "li", "blockquote", "pre", "ul", "ol", "h1", "h2"})
_DRESS: Final = re.compile(r"https?://|[\s/\ufe00-\ufe0f]+", re.IGNORECASE)


def receipt_of(status: Json) -> Receipt:
    """Return the receipt of a status."""
    url = status.get("url") or status.get("uri") or ""
    return Receipt(remote_id=str(status["id"]), url=str(url), at=written_at(status))


def written_at(status: Json) -> datetime | None:
    """Return when a status was written; None if it does not say."""
    try:
        at = datetime.fromisoformat(status["created_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def says(status: Json, text: str) -> bool:
    """Return whether a status says a text, but for how the server dresses it."""
    wanted = _bare(text)
    return any(_bare(one) == wanted for one in _texts(status))


def is_status(answer: Any) -> bool:
    """Return whether an answer describes a status."""
    return isinstance(answer, Mapping) and _is_id(answer.get("id")) and "content" in answer


def is_page(answer: Any) -> bool:
    """Return whether an answer is a list of statuses."""
    return isinstance(answer, list) and all(
        isinstance(one, Mapping) and _is_id(one.get("id")) for one in answer
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and str(value) != ""


def _texts(status: Json) -> Iterator[str]:
    """Yield what a status says: links as they are shown, links in full, and its plain text."""
    kept = status.get("pleroma")
    plain = kept.get("content") if isinstance(kept, Mapping) else None
    if isinstance(plain, Mapping):
        yield str(plain.get("text/plain") or "")
    for key in ("content", "text"):  # Takahe's text is HTML, too
        if isinstance(found := status.get(key), str):
            yield found
            yield plain_text(found)
            yield plain_text(found, in_full=True)


def plain_text(html: str, *, in_full: bool = False) -> str:
    """Return the text of a status's HTML; `in_full`: with the targets of links in their place."""
    reader = _Reader(in_full=in_full)
    reader.feed(html)
    reader.close()
    return "".join(reader.pieces)


def _bare(text: str) -> str:
    """Return what is left of a text that a server cannot have changed."""
    plain = _DRESS.sub("", unquote(without_hosts(text)))
    return normalise(plain) or plain


class _Reader(HTMLParser):
    """Collects the text of a fragment."""

    def __init__(self, *, in_full: bool) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._in_full = in_full
        self._link: tuple[int, str] | None = None  # pieces before it, and where it leads

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n")
        found = dict(attrs)
        names = re.split(r"\s+", found.get("class") or "")
        if tag == "a" and not {"mention", "hashtag"} & set(names):
            self._link = (len(self.pieces), found.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag != "a" or self._link is None:
            return
        start, target = self._link
        if self._in_full and target and not "".join(self.pieces[start:]).startswith(("@", "#")):
            self.pieces[start:] = [target]
        self._link = None

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def counts_of(status: Json) -> dict[str, int]:
    """Return the numbers of a status: what has come back to its server, so at least these."""
    names = {"likes": "favourites", "reposts": "reblogs", "replies": "replies", "quotes": "quotes"}
    return {name: int(status.get(f"{key}_count") or 0) for name, key in names.items()}
