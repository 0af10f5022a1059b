"""A Matrix room, written to by one account: the message exactly once, its pictures before it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

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
_LOCKED_OUT: Final = frozenset(
    (
        "M_UNKNOWN_TOKEN",
        "M_MISSING_TOKEN",
        "M_USER_DEACTIVATED",
        "M_USER_LOCKED",
        "M_USER_SUSPENDED",
    )
)
_RENEW: Final = "get a new one: botticelli connect matrix"


class Matrix(WebPlatform):
    """A room. Each post is an event of its own, in the thread of the one it follows.

    Pictures are events as well: they are sent before the text, which names them, each under a
    transaction id made of the message's nonce.

    Args:
        name: The destination's name.
        room: The room's id (!...) or an alias (#name:server).
        rest: The session with the account's server.
    """

    idempotency_seconds = KEY_TRUSTED.total_seconds()
    limits = MessageLimits(
        length=events.LARGEST, attachments=MOST_PICTURES, attachment_bytes=LARGEST_PICTURE
    )

    def __init__(self, name: str, *, room: str, rest: Requests) -> None:
        super().__init__(name, rest)
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
        history, why = self._history(since - CLOCK_SLACK)
        for event in history:
            if events.is_same(event, transaction, content, known=known):
                return Looked(receipt=self._receipt(event["event_id"], events.sent_at(event)))
        return Looked(certain=not why, why=why)

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform. An edit is an event, too; what is as it should be gets no further one."""
        room = self._room()
        event = self._event(room, remote_id)
        if event is None or not events.text_of(event):
            raise Refused("this message is no longer in the room", where=self.name)
        latest = self._latest_edit(room, remote_id) or event
        if events.text_of(latest) != message.text:
            key = _digest("edit", remote_id, str(latest.get("event_id")), message.text)
            content = events.replacement(events.content_of(message), remote_id)
            self._publish(room, key, content)
        return self._receipt(remote_id)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform. Its pictures are taken back, too."""
        del thread
        room = self._room()
        event = self._event(room, remote_id)
        content = event.get("content") if event else None
        if not isinstance(content, Mapping) or not content:
            return  # nobody has it, or it was taken back
        pictures = content.get(events.PICTURES)
        for one in [*(pictures if isinstance(pictures, list) else ()), remote_id]:
            path = f"{_room_path(room)}/redact/{_quoted(str(one))}/{_digest('redact', str(one))}"
            self._ask("PUT", path, json={}, publishes=True, fine=("M_NOT_FOUND",))

    def whereabouts(self) -> str:
        """See Platform. An alias may be moved; the room's id is what it stays."""
        return f"matrix:{self._room()}" if self._named.startswith("#") else ""

    @property
    def notes(self) -> Sequence[str]:
        """See Platform."""
        return (f"as {self._whoami()}",)

    def join(self) -> None:
        """Let the account into the room, as invited or as everybody. Safe to repeat."""
        self._ask("POST", f"{CLIENT}/join/{_quoted(self._named)}", json={})

    def problems(self) -> Iterator[str]:
        """See PlatformDefaults."""
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
        for one in _events_in(self._ask("GET", f"{_room_path(room)}/state")):
            if one.get("type") == "m.room.create":
                content = one.get("content") or {}
                creators = (one.get("sender"), *(content.get("additional_creators") or ()))
                return str(content.get("room_version")) not in WITH_LEVELS and me in creators
        return False

    def _room(self) -> str:
        """Return the room's id.

        Raises:
            NotSent, LockedOut: The server cannot be asked.
            ConfigError: It knows no room of that alias.
        """
        if not self._found:
            path = f"{CLIENT}/directory/room/{_quoted(self._named)}"
            found = self._ask("GET", path, fine=("M_NOT_FOUND",)).get("room_id")
            if not isinstance(found, str) or not found.startswith("!"):
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

    def _state(self, room: str, key: str) -> Mapping[str, Any]:
        """Return the content of a piece of a room's state; empty: there is none."""
        answer = self._ask("GET", f"{_room_path(room)}/state/{key}", fine=("M_NOT_FOUND",))
        return answer if isinstance(answer, Mapping) else {}

    def _whoami(self) -> str:
        if not self._me:
            answer = self._ask("GET", f"{CLIENT}/account/whoami")
            if not isinstance(answer, Mapping) or not str(answer.get("user_id")).startswith("@"):
                what = "what answers is not a Matrix server: it does not say who we are"
                raise ConfigError(what, where=self.name, hint="check base_url")
            self._me = str(answer["user_id"])
        return self._me

    def _uploaded(self, picture: Attachment) -> str:
        answer = self._rest.ask(_upload(picture), explain=partial(self._explain, "upload"))
        uri = answer.get("content_uri") if isinstance(answer, Mapping) else None
        if not isinstance(uri, str) or not uri.startswith("mxc://"):
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
        request = _put(room, transaction, content)
        answer = self._rest.ask(request, explain=partial(self._explain, "write in"))
        event_id = answer.get("event_id") if isinstance(answer, Mapping) else None
        if not isinstance(event_id, str) or not event_id:
            raise Unconfirmed("the server's answer names no event", where=self.name)
        return event_id

    def _event(self, room: str, event_id: str) -> Event | None:
        """Return an event; None if the room has none of that id."""
        answer = self._ask(
            "GET", f"{_room_path(room)}/event/{_quoted(event_id)}", fine=("M_NOT_FOUND",)
        )
        return answer if isinstance(answer, Mapping) and answer.get("event_id") else None

    def _latest_edit(self, room: str, event_id: str) -> Event | None:
        path = f"{_room_path(room, version=1)}/relations/{_quoted(event_id)}/m.replace"
        answer = self._ask("GET", path, fine=("M_UNRECOGNIZED", "M_NOT_FOUND", "M_UNKNOWN"))
        edits = _events_in(answer.get("chunk") if isinstance(answer, Mapping) else None)
        ours = (one for one in edits if one.get("sender") == self._whoami())
        return max(ours, key=lambda one: one.get("origin_server_ts") or 0, default=None)

    def _history(self, since: datetime) -> tuple[list[Event], str]:
        """Return our own messages, the newest first, and why none may be missing that is not there.

        A foreign event's time is its own server's word: it alone ends nothing.
        """
        me, found, seen = self._whoami(), [], 0
        query = {"dir": "b", "limit": str(PAGE)}
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", f"{_room_path(self._room())}/messages", query=query)
            if not isinstance(answer, Mapping) or not isinstance(answer.get("chunk"), list):
                what = "the server's list of messages cannot be read"
                raise ConfigError(what, where=self.name, hint="check base_url")
            page = _events_in(answer["chunk"])
            ours = [one for one in page if one.get("sender") == me and one.get("event_id")]
            found += [one for one in ours if one.get("type") == events.MESSAGE]
            seen += len(page)
            times = [events.sent_at(one) for one in ours or page]
            is_old = [at is not None and at < since for at in times]
            end = answer.get("end")
            if (
                (any(is_old) if ours else page and all(is_old))
                or not end
                or end == query.get("from")
            ):
                return found, ""
            query["from"] = str(end)
        return found, f"more than {seen} messages were written there since; look for it by eye"

    def _receipt(self, event_id: str, at: datetime | None = None) -> Receipt:
        url = f"https://matrix.to/#/{_quoted(self._room())}/{_quoted(event_id)}"
        return Receipt(remote_id=event_id, url=url, at=at)

    def _ask(self, method: str, path: str, *, fine: Collection[str] = (), **more: Any) -> Any:
        """Make a request; an answer with an error code among `fine` counts as {}."""
        return self._rest.ask(
            WebRequest(method=method, path=path, **more),
            explain=partial(self._explain, "read" if method == "GET" else "write in"),
            is_fine=lambda answer: answer.body.get("errcode") in fine,
        )

    def _explain(self, verb: str, answer: FailedAnswer) -> BotticelliError | None:
        """Return the error for an answer by its code; None: its status says it all."""
        code, said = str(answer.body.get("errcode", "")), answer.message or answer.status
        if code in _LOCKED_OUT:
            words = f"the server does not accept the token ({said})"
            return LockedOut(words, where=self.name, hint=_RENEW)
        if code in {"M_FORBIDDEN", "M_NOT_FOUND", "M_GUEST_ACCESS_FORBIDDEN"}:
            hint = "invite the account, let it join, and give it the power level to write"
            return KeptOut(f"we may not {verb} {self._named} ({said})", where=self.name, hint=hint)
        if code == "M_UNRECOGNIZED":
            words = f"the server does not know what we ask it ({said})"
            return ConfigError(words, where=self.name, hint="check base_url")
        if code == "M_TOO_LARGE":
            return Refused(f"it is too large for the server ({said})", where=self.name)
        return None


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


def _level(levels: Any, key: str, default: Any) -> int:
    """Return a power level; some rooms have them as text."""
    level = levels.get(key, default) if isinstance(levels, Mapping) else default
    try:
        return int(level or 0)
    except (TypeError, ValueError):
        return 0
