"""A Matrix room, written to by one account: the message exactly once, its pictures before it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import (
    Attachment,
    KeptOut,
    LockedOut,
    Looked,
    MessageLimits,
    NotSent,
    OutgoingMessage,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.matrix import events
from botticelli.platforms.matrix.events import Event
from botticelli.platforms.requests import FailedAnswer, Requests, WebPlatform, WebRequest

CLIENT: Final = "/_matrix/client/v3"
# Servers keep transaction ids for a limited time (the usual one for a day), and say nothing of it.
KEY_TRUSTED: Final = timedelta(hours=12)
PAGE: Final = 250  # servers may give less
MOST_PAGES: Final = 40
# The database's clock may be off the server's. What else we said within it is known to be ours.
CLOCK_SLACK: Final = timedelta(minutes=30)
MOST_PICTURES: Final = 10
LARGEST_PICTURE: Final = 10 * 2**20  # bytes; servers take 50 MiB unless they are told otherwise
WITH_LEVELS: Final = frozenset(map(str, range(1, 12)))  # versions of rooms
_RENEW: Final = "get a new token: botticelli connect matrix"
_LET_IN: Final = "invite the account, let it join, and give it the power level to write"
# error code -> what it means for us, what it is, in words, and what helps
_REFUSALS: Final[Mapping[str, tuple[type[ConfigError | Refused], str, str]]] = {
    "M_UNKNOWN_TOKEN": (LockedOut, "the server does not accept the token", _RENEW),
    "M_MISSING_TOKEN": (LockedOut, "the server does not accept the token", _RENEW),
    "M_USER_DEACTIVATED": (LockedOut, "the account is closed", _RENEW),
    "M_USER_LOCKED": (LockedOut, "the account is locked", _RENEW),
    "M_USER_SUSPENDED": (LockedOut, "the account may only read", _RENEW),
    "M_FORBIDDEN": (KeptOut, "we may not do that in the room", _LET_IN),
    "M_NOT_FOUND": (KeptOut, "the server does not know the room", _LET_IN),
    "M_GUEST_ACCESS_FORBIDDEN": (KeptOut, "guests may not do that in the room", _LET_IN),
    "M_UNRECOGNIZED": (ConfigError, "the server does not know what we ask it", "check base_url"),
    "M_TOO_LARGE": (Refused, "it is too large for the server", ""),
}


class Matrix(WebPlatform):
    """A room. Each post is an event of its own, in the thread of the one it follows.

    Pictures are events as well: they are sent before the text, which names them, each under a
    transaction id made of the message's nonce.

    Args:
        name: The destination's name.
        room: The room's id (!...) or an alias (#name:server).
        rest: The session with the account's server.
        clock: What the server's clock is compared with.
    """

    idempotency_seconds = KEY_TRUSTED.total_seconds()
    limits = MessageLimits(
        length=events.LARGEST, attachments=MOST_PICTURES, attachment_bytes=LARGEST_PICTURE
    )

    def __init__(self, name: str, *, room: str, rest: Requests, clock: Clock) -> None:
        super().__init__(name, rest)
        self._clock = clock
        self._named = room
        self._found = "" if room.startswith("#") else room
        self._me = ""

    def length(self, text: str) -> int:
        """See Platform. Bytes of the event's content, which holds the text and its HTML."""
        return events.size_of(events.content_of(OutgoingMessage(text=text, nonce="")))

    def planned(self, message: OutgoingMessage) -> Iterator[WebRequest]:
        """See WebPlatform. An alias stands where its room's id will be."""
        room = self._found or self._named
        yield from map(_upload, message.attachments)
        uris = [f"{{address of {one.name}}}" for one in message.attachments]
        yield from (_put(room, *one) for one in _contents(message, uris))

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        room = self._room()
        self._refuse_encrypted(room)
        uris = [self._uploaded(one) for one in message.attachments]
        contents = list(_contents(message, uris))
        there = self._already(message, contents[:-1])
        for index, (transaction, content) in enumerate(contents[:-1]):
            there[index] = there.get(index) or self._publish(room, transaction, content)
        transaction, content = contents[-1]
        if pictures := [there[index] for index in sorted(there)]:
            content = {**content, events.PICTURES: pictures}
        return self._receipt(self._publish(room, transaction, content))

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform."""
        transaction, content = list(_contents(message, ["" for _ in message.attachments]))[-1]
        now = self._clock.now()
        self._whoami()  # a server whose clock is behind dates its events earlier
        since -= CLOCK_SLACK + max(now - (self.told_time or now), timedelta())
        history, why = self._history(since)
        for event in history:
            if events.is_same(event, transaction, content, since=since, known=known):
                return Looked(receipt=self._receipt(event["event_id"], events.sent_at(event)))
        return Looked(certain=not why, why=why)

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform. An edit is an event, too; what is as it should be gets no further one."""
        room = self._room()
        event = self._event(room, remote_id)
        if not events.text_of(event):
            raise Refused("this message is no longer in the room", where=self.name)
        latest = max(self._edits(room, remote_id), key=_time, default=event)
        if events.text_of(latest) != message.text:
            key = _digest("edit", remote_id, str(latest.get("event_id")), message.text)
            content = events.content_of(message) | events.pictures_in(event)
            self._publish(room, key, events.replacement(content, remote_id))
        return self._receipt(remote_id)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform. Its pictures and earlier forms are taken back, too, and before it."""
        del thread
        room = self._room()
        event = self._event(room, remote_id)
        if not event.get("content"):
            return  # nobody has it, or it was taken back
        pictures = events.pictures_in(event).get(events.PICTURES, ())
        edits = (one.get("event_id") for one in self._edits(room, remote_id))
        for one in (*map(str, pictures), *map(str, edits), remote_id):
            path = f"{_room_path(room)}/redact/{_quoted(one)}/{_digest('redact', one)}"
            request = WebRequest(method="PUT", path=path, json={}, publishes=True)
            self._ask(request, fine=("M_NOT_FOUND",))

    def whereabouts(self) -> str:
        """See Platform. An alias may be moved; the room's id is what it stays."""
        return f"matrix:{self._room()}" if self._named.startswith("#") else ""

    @property
    def notes(self) -> Sequence[str]:
        """See Platform."""
        return (f"as {self._whoami()}",)

    def problems(self) -> Iterator[str]:
        """See Platform."""
        room, me = self._room(), self._whoami()
        membership = self._state(room, f"m.room.member/{_quoted(me)}").get("membership")
        if membership != "join":
            yield f"{me} is not in the room {self._named}: invite it, and let it join"
            return
        self._refuse_encrypted(room)
        levels = self._state(room, "m.room.power_levels/")
        needed = _level(levels.get("events"), events.MESSAGE, levels.get("events_default"))
        mine = _level(levels.get("users"), me, levels.get("users_default"))
        if mine < needed and not self._is_creator(room, me):
            yield (
                f"{me} may be in {self._named} but not write there: it needs power level {needed}"
                f" and has {mine}"
            )

    def _is_creator(self, room: str, me: str) -> bool:
        """Return whether an account is above all levels: who made a room of version 12 or later."""
        event = self._state(room, "m.room.create/", query={"format": "event"})
        content = event.get("content") or event
        creators = (event.get("sender"), *(content.get("additional_creators") or ()))
        return str(content.get("room_version")) not in WITH_LEVELS and me in creators

    def _room(self) -> str:
        """Return the room's id.

        Raises:
            NotSent, LockedOut: The server cannot be asked.
            ConfigError: It knows no room of that alias.
        """
        if not self._found:
            path = f"{CLIENT}/directory/room/{_quoted(self._named)}"
            found = str(self._look(path, fine=("M_NOT_FOUND",)).get("room_id"))
            if not found.startswith("!"):
                what, hint = f"there is no room {self._named}", "name the room's id (!...)"
                raise ConfigError(what, where=self.name, hint=hint)
            self._found = found
        return self._found

    def _refuse_encrypted(self, room: str) -> None:
        if self._state(room, "m.room.encryption/"):
            raise KeptOut(
                f"the room {self._named} is encrypted, and what we send could be read by everybody",
                where=self.name,
                hint="name a room without encryption; it cannot be switched off",
            )

    def _state(self, room: str, key: str, **more: Any) -> Event:
        """Return the content of a piece of a room's state; empty: there is none."""
        none = ("M_NOT_FOUND", "M_UNRECOGNIZED")
        return self._look(f"{_room_path(room)}/state/{key}", fine=none, **more)

    def _whoami(self) -> str:
        if not self._me:
            me = str(self._look(f"{CLIENT}/account/whoami").get("user_id"))
            if not me.startswith("@"):
                what = "what answers is not a Matrix server: it does not say who we are"
                raise ConfigError(what, where=self.name, hint="check base_url")
            self._me = me
        return self._me

    def _uploaded(self, picture: Attachment) -> str:
        uri = str(self._ask(_upload(picture)).get("content_uri"))
        if not uri.startswith("mxc://"):
            raise NotSent("the server's answer to an upload has no address", where=self.name)
        return uri

    def _already(
        self, message: OutgoingMessage, pictures: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> dict[int, str]:
        """Return the events of those pictures that an attempt before this one has left there."""
        since = message.planned_at or message.begun_at
        if not pictures or since is None:
            return {}
        history, _ = self._history(since - CLOCK_SLACK)
        ids = {(one.get("unsigned") or {}).get("transaction_id"): one for one in history}
        return {
            index: str(ids[transaction]["event_id"])
            for index, (transaction, _) in enumerate(pictures)
            if transaction in ids
        }

    def _publish(self, room: str, transaction: str, content: Mapping[str, Any]) -> str:
        event_id = self._ask(_put(room, transaction, content)).get("event_id")
        if not isinstance(event_id, str) or not event_id:
            raise Unconfirmed("the server's answer names no event", where=self.name)
        return event_id

    def _event(self, room: str, event_id: str) -> Event:
        """Return an event; empty: the room has none of that id."""
        path = f"{_room_path(room)}/event/{_quoted(event_id)}"
        return self._look(path, fine=("M_NOT_FOUND",))

    def _edits(self, room: str, event_id: str) -> list[Event]:
        """Return our edits of an event; servers may not tell of them."""
        path = f"{_room_path(room, version=1)}/relations/{_quoted(event_id)}/m.replace"
        none = ("M_UNRECOGNIZED", "M_NOT_FOUND", "M_UNKNOWN")
        found = _events_in(self._look(path, fine=none, query={"limit": str(PAGE)}).get("chunk"))
        return [one for one in found if one.get("sender") == self._whoami()]

    def _history(self, since: datetime) -> tuple[list[Event], str]:
        """Return our own messages, the newest first, and why none may be missing that is not there.

        A foreign event's time is its own server's word: it alone ends nothing.
        """
        me, found, seen = self._whoami(), [], 0
        query = {"dir": "b", "limit": str(PAGE)}
        for _ in range(MOST_PAGES):
            answer = self._look(f"{_room_path(self._room())}/messages", query=query)
            if not isinstance(answer.get("chunk"), list):
                what = "the server's list of messages cannot be read"
                raise ConfigError(what, where=self.name, hint="check base_url")
            page = _events_in(answer["chunk"])
            ours = [one for one in page if one.get("sender") == me and one.get("event_id")]
            found += [one for one in ours if one.get("type") == events.MESSAGE]
            seen += len(page)
            times = [events.sent_at(one) for one in ours or page]
            is_old = [at is not None and at < since for at in times]
            is_back = any(is_old) if ours else bool(page) and all(is_old)
            end = answer.get("end")
            if is_back or not end or end == query.get("from"):
                return found, ""
            query["from"] = str(end)
        return found, f"more than {seen} messages were written there since; look for it by eye"

    def _receipt(self, event_id: str, at: datetime | None = None) -> Receipt:
        url = f"https://matrix.to/#/{_quoted(self._room())}/{_quoted(event_id)}"
        return Receipt(remote_id=event_id, url=url, at=at)

    def _look(self, path: str, *, fine: Collection[str] = (), **more: Any) -> Event:
        return self._ask(WebRequest(method="GET", path=path, **more), fine=fine)

    def _ask(self, request: WebRequest, *, fine: Collection[str] = ()) -> Event:
        """Make a request; an answer with an error code among `fine`, or no table, counts as {}."""
        answer = self._rest.ask(
            request,
            explain=self._explain,
            is_fine=lambda answer: answer.body.get("errcode") in fine,
        )
        return answer if isinstance(answer, Mapping) else {}

    def _explain(self, answer: FailedAnswer) -> BotticelliError | None:
        """Return the error for an answer by its code; None: its status says it all."""
        known = _REFUSALS.get(str(answer.body.get("errcode")))
        if known is None:
            return None
        kind, what, hint = known
        said = answer.message or answer.status
        return kind(f"{what} ({self._named}: {said})", where=self.name, hint=hint)


def _contents(
    message: OutgoingMessage, uris: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a message with their transaction ids: pictures, then the text."""
    pictures = [
        events.picture_of(one, uri, message)
        for one, uri in zip(message.attachments, uris, strict=True)
    ]
    is_bare = bool(pictures) and not message.text.strip()
    contents = pictures if is_bare else [*pictures, events.content_of(message)]
    for index, content in enumerate(contents, start=1):
        yield message.nonce + ("" if index == len(contents) else f".{index}"), content


def _upload(picture: Attachment) -> WebRequest:
    return WebRequest(
        method="POST",
        path="/_matrix/media/v3/upload",
        query={"filename": picture.name} if picture.name else {},
        content=picture,
        headers={"Content-Type": picture.mime},
    )


def _put(room: str, transaction: str, content: Mapping[str, Any]) -> WebRequest:
    path = f"{_room_path(room)}/send/{events.MESSAGE}/{_quoted(transaction)}"
    return WebRequest(method="PUT", path=path, json=content, publishes=True, route="send")


def _room_path(room: str, *, version: int = 3) -> str:
    return f"/_matrix/client/v{version}/rooms/{_quoted(room)}"


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:25]


def _events_in(answer: Any) -> list[Event]:
    return [one for one in answer if isinstance(one, Mapping)] if isinstance(answer, list) else []


def _time(event: Event) -> float:
    at = events.sent_at(event)
    return at.timestamp() if at else 0.0


def _level(levels: Any, key: str, default: Any) -> int:
    """Return a power level; some rooms have them as text."""
    level = levels.get(key, default) if isinstance(levels, Mapping) else default
    try:
        return int(level or 0)
    except (TypeError, ValueError):
        return 0
