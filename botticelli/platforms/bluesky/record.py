"""A message as a record of app.bsky.feed.post: its key, its text with facets, what is embedded.

A text in Bluesky's form is plain text, but that [words](https://...) stand for a link under words:
a facet says which bytes of the plain text lead where. Pure.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

from botticelli.platforms.base import Attachment, OutgoingMessage
from botticelli.platforms.markdown import followed, text_of, trimmed_address
from botticelli.text import graphemes

COLLECTION: Final = "app.bsky.feed.post"
MOST_GRAPHEMES: Final = 300
MOST_BYTES: Final = 3000  # of the text in UTF-8
LONGEST_TAG: Final = 64  # graphemes
KEY_LETTERS: Final = "234567abcdefghijklmnopqrstuvwxyz"
# Deliveries that are planned in one transaction have one time: their keys are spread over an hour.
KEY_SPREAD: Final = 3_600_000_000  # microseconds

_BEFORE: Final = r"(?:(?<=[\s(\u3001-\u300f\uff08])|^)"
_FACET: Final = re.compile(
    r"\[(?P<words>[^\[\]\n]+)\]\((?P<target>https?://(?:[^\s()<>]|\([^\s()<>]*\))+)\)"
    r"|(?<![\w@])(?P<link>https?://[^\s<>\u3001-\u300f\uff08-\uff0c\uff1b\uff1f]+)"
    rf"|{_BEFORE}[#\uff03](?P<tag>(?!\ufe0f)[^\s\u00ad\u2060\u200a-\u200d\u20e2]+)"
    rf"|{_BEFORE}@(?P<mention>(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9])",
    re.IGNORECASE | re.MULTILINE,
)
_WEB: Final = re.compile(r"https?://[^\s/?#]\S*\Z", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8})*", re.IGNORECASE)

Json = dict[str, Any]


class Facet(NamedTuple):
    """What a stretch of the plain text is, in bytes of UTF-8, the end excluded."""

    start: int
    end: int
    kind: str  # "link", "tag" or "mention"
    value: str  # the address, the tag without its #, or a handle


def render(markdown: str) -> str:
    """Return Markdown in Bluesky's form."""
    return text_of(markdown, _masked)


def _masked(words: str, address: str) -> str:
    masked = f"[{words}]({address})"
    is_whole = (found := _FACET.match(masked)) and found[0] == masked
    return masked if is_whole else followed(words, address)


def compose(text: str) -> tuple[str, tuple[Facet, ...]]:
    """Return the plain text of a text in Bluesky's form, and its facets in reading order."""
    plain: list[str] = []
    facets: list[Facet] = []
    size = done = 0
    for match in _FACET.finditer(text):
        kind = str(match.lastgroup)
        if value := _trimmed(match[kind], kind):
            before = text[done : match.start()]
            done = match.end() if kind == "target" else match.start(kind) + len(value)
            words = match["words"] or text[match.start() : done]
            at = size + len(before.encode(errors="replace"))
            size = at + len(words.encode(errors="replace"))
            name = "link" if kind == "target" else kind
            facets.append(Facet(start=at, end=size, kind=name, value=value))
            plain += (before, words)
    return "".join((*plain, text[done:])), tuple(facets)


def _trimmed(value: str, kind: str) -> str:
    """Return a link or tag without the punctuation behind it; empty: it is none."""
    if kind == "link":
        value = trimmed_address(value)
        return value if _WEB.match(value) else ""
    if kind == "tag":
        while value and unicodedata.category(value[-1])[0] == "P":
            value = value[:-1]
        is_tag = any(unicodedata.category(one)[0] not in "NP" for one in value)
        return value if is_tag and graphemes(value) <= LONGEST_TAG else ""
    return value


def length(text: str) -> int:
    """Return the graphemes of a text in Bluesky's form; one with too many bytes has too many."""
    plain, _ = compose(text)
    count, size = graphemes(plain), len(plain.encode(errors="replace"))
    return count if size <= MOST_BYTES else max(count, -(-size * MOST_GRAPHEMES // MOST_BYTES))


def key_of(nonce: str, planned_at: datetime | None) -> str:
    """Return the record key (a TID) of a message: the same for ever, and nobody else's."""
    digest = sha256(nonce.encode()).digest()
    planned = planned_at or datetime(2023, 1, 1, tzinfo=UTC)
    micros = round(planned.timestamp() * 1e6) - int.from_bytes(digest[:6]) % KEY_SPREAD
    number = micros << 10 | int.from_bytes(digest[6:8]) & 0x3FF
    return "".join(KEY_LETTERS[number >> shift & 31] for shift in range(60, -1, -5))


def post(
    message: OutgoingMessage,
    *,
    at: datetime,
    blobs: Mapping[str, Json],
    reply: Mapping[str, Json] | None = None,
    resolve: Callable[[str], str],
) -> Json:
    """Return the record of a message.

    Args:
        message: Its text is in Bluesky's form.
        at: When it was written, as it says.
        blobs: The uploaded blob of each attachment, by its sha256.
        reply: Root and parent, as strong references.
        resolve: Returns the DID of a handle that may be mentioned; empty: there is none.
    """
    plain, facets = compose(message.text)
    made: Json = {"$type": COLLECTION, "text": plain, "createdAt": stamp(at)}
    found = [_facet(one, message.allowed_mentions, resolve) for one in facets]
    language = message.language.replace("_", "-")
    optional = {
        "langs": [language] if _LANGUAGE.fullmatch(language) else None,
        "facets": [one for one in found if one],
        "embed": embed(message, facets, blobs),
        "reply": reply,
    }
    return made | {key: value for key, value in optional.items() if value}


def _facet(facet: Facet, allowed: tuple[str, ...], resolve: Callable[[str], str]) -> Json | None:
    """Return a facet as the lexicon has it; None: a mention that is not allowed, or of nobody."""
    field, value = {"link": "uri", "tag": "tag", "mention": "did"}[facet.kind], facet.value
    if facet.kind == "mention":
        is_allowed = value.lower() in {one.lower().lstrip("@") for one in allowed}
        value = resolve(value.lower()) if is_allowed else ""
    feature = {"$type": f"app.bsky.richtext.facet#{facet.kind}", field: value}
    index = {"byteStart": facet.start, "byteEnd": facet.end}
    return {"index": index, "features": [feature]} if value else None


def embed(
    message: OutgoingMessage, facets: tuple[Facet, ...], blobs: Mapping[str, Json]
) -> Json | None:
    """Return what stands below the text: pictures, else a card of the link.

    The server fetches nothing, and neither do we: a card says what we know of the page.
    """
    if message.attachments:
        images = [_image(one, blobs[one.sha256]) for one in message.attachments]
        return {"$type": "app.bsky.embed.images", "images": images}
    first = next((one.value for one in facets if one.kind == "link"), "")
    link = message.link or (message.title and first)
    if not _WEB.match(link):
        return None
    title = message.title or re.sub(r"^https?://(?:www\.)?", "", link).rstrip("/")
    card = {"uri": link, "title": title, "description": ""}
    return {"$type": "app.bsky.embed.external", "external": card}


def _image(attachment: Attachment, blob: Json) -> Json:
    made: Json = {"image": blob, "alt": attachment.alt}
    if attachment.width > 0 and attachment.height > 0:
        made["aspectRatio"] = {"width": attachment.width, "height": attachment.height}
    return made


def stamp(at: datetime) -> str:
    """Return an instant as the lexicon has it, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
