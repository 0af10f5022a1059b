"""Matrix events: what is sent into a room, and which of those that are there are ours."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from botticelli import text as texts
from botticelli.platforms.base import Attachment, OutgoingMessage, Receipt

MESSAGE: Final = "m.room.message"
# A whole event has at most 65,536 bytes; server, ids and signatures take some of them.
LARGEST: Final = 60_000
PICTURES: Final = (
    "io.github.crumplecup.botticelli.pictures"  # of a text: the events of its pictures
)

Event = Mapping[str, Any]


def content_of(message: OutgoingMessage) -> dict[str, Any]:
    """Return a message's content: the Markdown as it is, and the HTML that clients show.

    `m.mentions` is always there: without it clients look for names in the text, and ping them.
    """
    from botticelli.platforms.markdown import html_of

    content: dict[str, Any] = {"msgtype": "m.notice", "body": message.text, "m.mentions": {}}
    if (html := html_of(message.text)).count("<") > 2:  # more than one paragraph of plain text
        content |= {"format": "org.matrix.custom.html", "formatted_body": html}
    users = [one for one in message.allowed_mentions if one[:1] == "@" and one in message.text]
    if "@room" in users:
        content["m.mentions"]["room"] = True
    if named := [one for one in users if one != "@room"]:
        content["m.mentions"]["user_ids"] = named
    return content | relation(message.previous)


def picture_of(picture: Attachment, uri: str, message: OutgoingMessage) -> dict[str, Any]:
    """Return the content of a picture that was uploaded as `uri`; its text says what is on it."""
    info = {"mimetype": picture.mime, "size": len(picture.content)}
    if picture.width and picture.height:
        info |= {"w": picture.width, "h": picture.height}
    body = picture.alt or picture.name or "image"
    content = {"msgtype": "m.image", "body": body, "url": uri, "info": info, "m.mentions": {}}
    return content | relation(message.previous)


def relation(previous: tuple[Receipt, ...]) -> dict[str, Any]:
    """Return what puts an event into the thread below the first of the earlier messages."""
    if not previous:
        return {}
    thread = {
        "rel_type": "m.thread",
        "event_id": previous[0].remote_id,
        "is_falling_back": True,  # clients that know no threads show a reply to the one before
        "m.in_reply_to": {"event_id": previous[-1].remote_id},
    }
    return {"m.relates_to": thread}


def replacement(content: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """Return the content of an edit; clients that know no edits show it as a new message."""
    old_style = {**content, "body": f"* {content['body']}"}
    if html := content.get("formatted_body"):
        old_style["formatted_body"] = f"* {html}"
    return old_style | {
        "m.new_content": dict(content),
        "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
    }


def pictures_in(event: Event) -> dict[str, Any]:
    """Return what a message says of its pictures: the ids of their events; empty: it has none."""
    content = event.get("content")
    found = content.get(PICTURES) if isinstance(content, Mapping) else None
    return {PICTURES: found} if isinstance(found, list) else {}


def size_of(content: Mapping[str, Any]) -> int:
    """Return the bytes of a content as servers count them: canonical JSON."""
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def text_of(event: Event) -> str:
    """Return what a message says now: an edit's new text; empty: it was taken back."""
    content = event.get("content")
    content = content if isinstance(content, Mapping) else {}
    new = content.get("m.new_content")
    body = (new if isinstance(new, Mapping) else content).get("body")
    return body if isinstance(body, str) else ""


def sent_at(event: Event) -> datetime | None:
    """Return when a server took an event; None if it does not say."""
    stamp = event.get("origin_server_ts")
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not 0 <= stamp < 1e14:
        return None
    return datetime.fromtimestamp(stamp / 1000, UTC)


def is_same(
    event: Event,
    transaction: str,
    content: Mapping[str, Any],
    *,
    since: datetime,
    known: Collection[str] = (),
) -> bool:
    """Return whether an event of our own is the one that was sent under a transaction id.

    The id comes back to the device that sent it. Where it does not, text, kind and time have to do.
    """
    unsigned = event.get("unsigned")
    came_with = unsigned.get("transaction_id") if isinstance(unsigned, Mapping) else None
    if came_with:
        return bool(came_with == transaction)
    theirs, at = event.get("content"), sent_at(event)
    if at is not None and at < since:
        return False
    if not isinstance(theirs, Mapping) or str(event.get("event_id")) in known:
        return False
    is_kind = theirs.get("msgtype") == content["msgtype"] and "m.new_content" not in theirs
    return is_kind and texts.alike(text_of(event), content["body"])
