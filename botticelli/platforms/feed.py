"""A folder with a feed as a platform: Atom and JSON Feed, each entry in it once.

`feed.json` is the feed; `atom.xml` says the same and is written before it. Whoever adds an entry
holds a lock, reads the file, adds to it and puts it in its place at once: no entry is lost by two
at a time, and a kill leaves the feed of before or of after. What a kill left in the Atom alone is
written again, under the same id.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from botticelli import files
from botticelli import text as texts
from botticelli.clock import Clock
from botticelli.config.addresses import require_web
from botticelli.config.model import Destination
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import (
    Looked,
    MessageLimits,
    NotSent,
    OutgoingMessage,
    Platform,
    Receipt,
    Refused,
    ShownRequest,
    told,
)
from botticelli.platforms.outbox import FolderPlatform, FolderRoom
from botticelli.platforms.rate_limits import SharedLimits

VERSION: Final = "https://jsonfeed.org/version/1.1"
MOST_ENTRIES: Final = 100  # the oldest leave the feed, and their pictures the folder
LARGEST: Final = 64 * 2**20  # bytes of a feed that is read
LONGEST: Final = 100_000  # UTF-16 units of an entry
PATIENCE: Final = 10.0  # seconds for whoever else writes the feed
NOT_IN_XML: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
OURS: Final = re.compile(r"[0-9a-f]{64}(\.\w+)?$")  # names of pictures that we have put there
JSON, ATOM, PICTURES, LOCK = "feed.json", "atom.xml", "media", ".feed.lock"

Item = dict[str, Any]


class Feed(FolderPlatform):
    """One folder with a feed in two formats. The remote id is the entry's, made of the nonce.

    Args:
        name: The destination's name.
        folder: Made when the first entry is written.
        title: Of the feed, and its author.
        link: Web address of the site that it belongs to; empty: none.
        base_url: Web address that the folder is served at; empty: pictures have relative ones.
        clock: What the times of entries come from.
    """

    kind = "feed"
    limits = MessageLimits(length=LONGEST, attachments=10, attachment_bytes=10 * 2**20)

    def __init__(
        self, name: str, *, folder: Path, title: str, link: str, base_url: str, clock: Clock
    ) -> None:
        super().__init__(name, folder=folder, clock=clock)
        self._head = {"version": VERSION, "title": title}
        self._head |= {"home_page_url": link} if link else {}
        self._head |= {"feed_url": f"{base_url}/{JSON}"} if base_url else {}
        self._root = f"{base_url}/" if base_url else ""

    def preview(self, message: OutgoingMessage) -> Sequence[ShownRequest]:
        """See Platform."""
        pictures = (
            {
                "method": "WRITE",
                "url": str(self._folder / PICTURES / one.stored_as),
                "files": {"body": one.shown},
            }
            for one in message.attachments
        )
        entry = {"method": "WRITE", "url": str(self._folder / JSON), "json": self._item(message)}
        return (*pictures, {"method": "WRITE", "url": str(self._folder / ATOM)}, entry)

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        with self._changing() as items:
            item = _by_id(items, _id_of(message))
            if item is None:
                item = self._item(message)
                for one in message.attachments:
                    self._put(f"{PICTURES}/{one.stored_as}", one.content)
                items.insert(0, item)
        return self._receipt(item)

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform. A folder can always be believed."""
        del since, known
        item = _by_id(self._items(), _id_of(message))
        return Looked(receipt=self._receipt(item) if item else None, certain=True)

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform. Pictures stay as they are."""
        with self._changing() as items:
            item = _by_id(items, remote_id)
            if item is None:
                raise Refused("this entry is no longer in the feed", where=str(self._folder))
            kept = item.get("attachments", [])
            own = {key: item[key] for key in ("id", "date_published", "date_modified")}
            new = item | self._item(message) | own
            new |= {"content_html": _html(message.text, kept)} | (
                {"attachments": kept} if kept else {}
            )
            if new != item:
                item |= new | {"date_modified": self._now()}
        return self._receipt(item)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform."""
        del thread
        with self._changing() as items:
            items[:] = [one for one in items if one["id"] != remote_id]

    def problems(self) -> Sequence[str]:
        """See Platform."""
        found = tuple(super().problems())
        if not found:
            self._items()
        return found

    def _item(self, message: OutgoingMessage) -> Item:
        """Return the entry of a message, as JSON Feed has it; empty fields are left out."""
        now = self._now()
        attachments = [
            {
                "url": f"{self._root}{PICTURES}/{one.stored_as}",
                "mime_type": one.mime,
                "title": one.alt,
                "size_in_bytes": len(one.content),
            }
            for one in message.attachments
        ]
        item = {
            "id": _id_of(message),
            "url": message.link,
            "title": message.title,
            "content_html": _html(message.text, attachments),
            "date_published": now,
            "date_modified": now,
            "language": message.language,
            "attachments": attachments,
        }
        clean: Item = texts.mapped({key: value for key, value in item.items() if value}, _clean)
        return clean

    def _now(self) -> str:
        return self._clock.now().astimezone(UTC).isoformat(timespec="seconds")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Item]]:
        """Yield the entries, the newest first, to be changed by nobody else; write both files.

        Raises:
            NotSent: Somebody else writes the feed, or the disk does not let us now.
            ConfigError: The folder cannot be written, or holds another feed.
        """
        with self.writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                items = self._items()
                yield items
                del items[MOST_ENTRIES:]
                feed = {**self._head, "items": items}
                self._put(ATOM, atom(feed, root=self._root, now=self._clock.now()))
                self._put(JSON, json.dumps(feed, ensure_ascii=False, indent=1).encode())
                self._tidy(items)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the feed's lock, which ends with its process."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._folder / LOCK, flags, 0o666)
        until = self._clock.monotonic() + PATIENCE
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._clock.monotonic() > until:
                        what = "somebody else writes the feed"
                        raise NotSent(what, where=str(self._folder)) from None
                    self._clock.sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    def _items(self) -> list[Item]:
        """Return the entries, the newest first; none, if there is no feed yet.

        Raises:
            ConfigError: The file is no feed of ours.
        """
        try:
            feed = json.loads(self._read() or "{}")
            items = feed.get("items", [])
            assert all(isinstance(one["id"], str) for one in items)
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError, AssertionError):
            what, hint = "this is not a JSON feed", "move it away; a new one is begun"
            raise ConfigError(what, where=str(self._folder / JSON), hint=hint) from None
        return list(items)

    def _read(self) -> bytes:
        with self.writing(), contextlib.suppress(FileNotFoundError):
            return files.read(self._folder / JSON, limit=LARGEST)
        return b""

    def _put(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        files.write(path, content)

    def _tidy(self, items: Sequence[Item]) -> None:
        """Remove the pictures that no entry has any more, and what killed processes left."""
        used = {
            one["url"].rpartition("/")[2] for item in items for one in item.get("attachments", ())
        }
        for path in (self._folder / PICTURES).glob("*"):
            if OURS.match(path.name) and path.name not in used:
                path.unlink(missing_ok=True)
        for path in self._folder.glob(".*.partial"):
            path.unlink(missing_ok=True)

    def _receipt(self, item: Item) -> Receipt:
        at = None
        with contextlib.suppress(ValueError, TypeError):
            at = datetime.fromisoformat(item.get("date_published", ""))
        where = self._head.get("feed_url") or str(self._folder / JSON)
        return Receipt(remote_id=item["id"], url=str(where), at=at)


def atom(feed: Mapping[str, Any], *, root: str, now: datetime) -> bytes:
    """Return a JSON feed as Atom (RFC 4287).

    Args:
        feed: With its items.
        root: Web address of its folder, with a slash at the end; empty: unknown.
        now: When it was changed.
    """
    from xml.etree import ElementTree as ET

    top = ET.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom"})
    home = str(feed.get("home_page_url", ""))

    def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
        made = ET.SubElement(
            parent, tag, {key: value for key, value in attributes.items() if value}
        )
        made.text = text or None
        return made

    add(top, "id", f"urn:uuid:{uuid5(NAMESPACE_URL, home or root or feed['title'])}")
    add(top, "title", feed["title"])
    add(top, "updated", now.astimezone(UTC).isoformat(timespec="seconds"))
    add(add(top, "author"), "name", feed["title"])
    for rel, href in (("self", root and root + ATOM), ("alternate", home)):
        if href:
            add(top, "link", rel=rel, href=href)
    for item in feed["items"]:
        entry = add(top, "entry")
        if language := item.get("language"):
            entry.set("xml:lang", language)
        add(entry, "id", item["id"])
        add(entry, "title", item.get("title") or texts.shorten(_plain(item["content_html"]), 80))
        add(entry, "published", item["date_published"])
        add(entry, "updated", item["date_modified"])
        if url := item.get("url"):
            add(entry, "link", rel="alternate", href=url)
        for one in item.get("attachments", ()):
            facts = {"type": one["mime_type"], "length": str(one["size_in_bytes"])}
            add(
                entry, "link", rel="enclosure", href=one["url"], title=one.get("title", ""), **facts
            )
        add(entry, "content", item["content_html"], type="html")
    ET.indent(top)
    made: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def _html(text: str, attachments: Sequence[Mapping[str, Any]]) -> str:
    from html import escape

    from botticelli.platforms.markdown import html_of

    shown = (
        f'<p><img src="{escape(one["url"])}" alt="{escape(one.get("title", ""))}"></p>'
        for one in attachments
        if one["mime_type"].startswith("image/")
    )
    return "\n".join((html_of(text), *shown))


def _plain(html: str) -> str:
    """Return the first line of a piece of HTML of ours, without tags."""
    from html import unescape

    lines = re.sub(r"<[^>]*>", "", html).strip().splitlines()
    return unescape(lines[0]) if lines else ""


def _clean(value: Any) -> Any:
    """Return a text without the characters that XML cannot hold."""
    return NOT_IN_XML.sub("", value) if isinstance(value, str) else value


def _id_of(message: OutgoingMessage) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'botticelli:{message.nonce}')}"


def _by_id(items: Sequence[Item], id_: str) -> Item | None:
    return next((one for one in items if one["id"] == id_), None)


class _FeedRoom(FolderRoom):
    longest = LONGEST

    def problems(self, destination: Destination) -> Iterator[Problem]:
        """See Room."""
        for key in ("link", "base_url"):
            address, where = getattr(destination, key), f"destinations.{destination.name}.{key}"
            yield from told(partial(require_web, address, where=where, hint=key))

    def opened(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        del limits
        return Feed(
            destination.name,
            folder=destination.folder,
            title=destination.title or destination.name,
            link=destination.link,
            base_url=destination.base_url.rstrip("/"),
            clock=clock,
        )


ROOM: Final = _FeedRoom()
