"""The Discord commands as a CommandSet: which there are, what they do, and where they act.

Most commands are one request, as their row of table.py says; COMPOSITES has those that are more.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.errors import BotticelliError
from botticelli.platforms.base import (
    LockedOut,
    LockedOutMidway,
    OutgoingMessage,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.command_set import Description, Once, Place
from botticelli.platforms.discord.channel import THREADS, Search, search, time_of
from botticelli.platforms.discord.client import NONCE_SECONDS
from botticelli.platforms.discord.commands.arguments import BadArgument
from botticelli.platforms.discord.commands.request import (
    CommandSession,
    Json,
    dig,
    find,
    request_of,
    shape,
    values_of,
)
from botticelli.platforms.discord.commands.table import ROWS, TABLE, Row, canonical
from botticelli.platforms.discord.errors import MAX_LENGTH, UNKNOWN_MESSAGE
from botticelli.platforms.discord.rest import Rest
from botticelli.platforms.requests import WebRequest
from botticelli.platforms.rules.splitting import Unsplittable, split
from botticelli.text import counted

BULK: Final = 100  # messages of one bulk-delete, which takes at least two
BULK_AGE: Final = timedelta(days=13, hours=23)  # of the two weeks that bulk-delete reaches back
KEPT: Final = (50021, 50083)  # a system message; one in an archived thread
TEXT_LIKE: Final = (0, 5, 15, 16)
PUBLIC_THREAD: Final = 11
EVENT_LENGTH: Final = timedelta(hours=1)  # an external event must end some time
Values = Mapping[str, Any]
Composite = Callable[[CommandSession, Row, Values], Any]


class DiscordCommands:
    """The commands of one bot; a CommandSet.

    Args:
        open_rest: Opens the session, with the bot's token, for the first request.
        chance: Makes the nonces that keep a message from being sent twice.
    """

    platform = "discord"

    def __init__(
        self, open_rest: Callable[[], Rest], *, clock: Clock, chance: random.Random
    ) -> None:
        self._session = CommandSession(open_rest, clock=clock, chance=chance)
        self._places: dict[str, Place] = {}

    def describe(self) -> tuple[Description, ...]:
        """See CommandSet: in the order of the table."""
        return tuple(
            Description(
                name=row.name,
                writes=row.writes,
                takes=tuple(f"{one.name}!" if one.required else one.name for one in row.arguments),
                needs=row.needs,
                gives=tuple(dict.fromkeys(token.partition("=")[0] for token in row.gives.split())),
            )
            for row in ROWS
        )

    def canonical(self, command: str) -> str:
        """See CommandSet."""
        return canonical(command)

    def run(self, command: str, args: Mapping[str, Any]) -> Any:
        """See CommandSet.

        Raises:
            NoSuchCommand, BadArgument: It is invalid; nothing was sent.
            NotSent: Discord cannot be asked now; nothing was done.
            Refused, ConfigError: Discord refused it.
            Unconfirmed: It may have been done.
        """
        row = find(command)
        return self._do(row, values_of(row, args))

    def run_once(self, command: str, args: Mapping[str, Any], *, once: Once) -> Any:
        """See OnceOnly: only messages can be recognised; other commands are simply run."""
        row = find(command)
        return self._do(row, {**values_of(row, args), "once": once})

    def _do(self, row: Row, values: Json) -> Any:
        run = COMPOSITES.get(row.name, CommandSession.plain)
        result = run(self._session, row, values)
        if row.writes:
            self._places.clear()
        return result

    def preview(self, command: str, args: Mapping[str, Any]) -> Json:
        """See CommandSet: method, url, query, json."""
        row = find(command)
        values = values_of(row, args)
        if row.name == "messages.clear":  # what it deletes is what this finds
            limit = min(int(values.get("limit", BULK)), BULK)
            row, values = TABLE["messages.list"], {**values, "limit": limit}
        request = prepared(self._session, row, values)
        return {
            "method": request.method,
            "url": self._session.url(request.path),
            "query": dict(request.query),
            "json": request.json,
            "headers": request.headers,
        }

    def place(self, command: str, args: Mapping[str, Any]) -> Place:
        """See CommandSet. Asked of Discord: an id alone says nothing of its server.

        Raises:
            NoSuchCommand, BadArgument: It is invalid.
            NotSent, Refused, ConfigError: The channel cannot be looked at.
        """
        row = find(command)
        values = values_of(row, args)
        if "code" in values:
            return self._invited(row, str(values["code"]))
        guild = str(values.get("guild_id", ""))
        channel = str(values.get("channel_id") or values.get("thread_id") or "")
        into = str(values.get("category_id", ""))
        if not channel and row.name == "channels.get_or_create":
            found = existing_channel(self._session, values)
            channel = "" if found is None else str(found["id"])
        if not channel:
            return Place(guild_id=guild, into_id=into)
        if channel not in self._places:
            self._places[channel] = self._look_at(channel)
        return replace(self._places[channel], into_id=into if row.name == "channels.edit" else "")

    def _invited(self, row: Row, code: str) -> Place:
        """Where an invite leads: a guild_id beside it says nothing."""
        found = self._session.get(row, f"/invites/{code}")
        channel = dig(found, "channel.id")
        return self._look_at(str(channel)) if isinstance(channel, str) else Place()

    def _look_at(self, channel: str) -> Place:
        found = self._session.get(TABLE["channels.get"], f"/channels/{channel}")
        parent, kind = str(found.get("parent_id") or ""), found.get("type")
        holder = found
        if kind in THREADS and parent:
            holder = self._session.get(TABLE["channels.get"], f"/channels/{parent}")
        return Place(
            guild_id=str(found.get("guild_id") or ""),
            channel_id=str(holder["id"]),
            channel_name=str(holder.get("name") or ""),
            category_id=str(holder.get("parent_id") or ""),
        )


def prepared(session: CommandSession, row: Row, values: Values) -> WebRequest:
    """Return a command's request with what only this command needs."""
    prepare = _PREPARE.get(row.name)
    return prepare(session, row, values) if prepare else request_of(row, values)


def _send_prepared(session: CommandSession, row: Row, values: Values) -> Any:
    return shape(row, session.ask(row, prepared(session, row, values)), values)


def _server_stats(session: CommandSession, row: Row, values: Values) -> Any:
    guild = session.make(row, values)
    count = len(session.make(TABLE["channels.list"], values))
    return shape(row, {**guild, "channel_count": count}, values)


def _get_or_create(session: CommandSession, row: Row, values: Values) -> Any:
    """The channel of that name and kind, made only if there is none."""
    found = existing_channel(session, values)
    channel = session.make(row, values) if found is None else found
    return shape(row, {**channel, "existed": found is not None}, values)


def existing_channel(session: CommandSession, values: Values) -> Mapping[str, Any] | None:
    """Return the channel that `channels.get_or_create` would get, or None if it would make one."""
    kind = values.get("kind", 0)
    wanted = _channel_name(values["name"], kind)
    for one in session.make(TABLE["channels.list"], {"guild_id": values["guild_id"]}):
        if one["type"] == kind and _channel_name(one["name"], kind) == wanted:
            found: Mapping[str, Any] = one
            return found
    return None


def _channel_name(name: str, kind: int) -> str:
    """Discord writes the names of text channels in small letters with hyphens."""
    return "-".join(name.lower().split()) if kind in TEXT_LIKE else name.strip()


def _send(session: CommandSession, row: Row, values: Values) -> Any:
    """A text longer than a message becomes several, cut where a reader would cut it."""
    try:
        pieces = split(values["content"], MAX_LENGTH)
    except Unsplittable as error:
        raise BadArgument(f"content: {error}", where="discord.messages.send") from error
    if not pieces:
        raise BadArgument("content is empty", where="discord.messages.send")
    sent: list[Any] = []
    for index, piece in enumerate(pieces):
        own = {**values, "content": piece, "part": index}
        if index:
            own.pop("reply_to_id", None)
        try:
            request = prepared(session, row, own)
            sent.append(_sent_before(session, row, own, request) or session.ask(row, request))
        except BotticelliError as error:
            ids = ", ".join(str(one["id"]) for one in sent)
            raise _partly(error, len(sent), f"{len(pieces)} parts were sent ({ids})") from error
    more = {"split_messages": [str(one["id"]) for one in sent]} if len(sent) > 1 else {}
    return shape(row, {**sent[0], **more}, values)


def _message(session: CommandSession, row: Row, values: Values) -> WebRequest:
    request = request_of(row, values)
    # A nonce of its own for each message: a request that is tried again makes no second one.
    once: Once | None = values.get("once")
    nonce = once.nonce(values["part"]) if once else f"{session.chance.getrandbits(80):x}"
    return replace(request, json={**request.json, "nonce": nonce})


def _sent_before(session: CommandSession, row: Row, values: Values, request: WebRequest) -> Any:
    """Return the message if an earlier attempt has sent it, else None.

    Raises:
        Unconfirmed: It is unknown, and Discord has forgotten the nonce by now.
    """
    once: Once | None = values.get("once")
    if once is None or once.since is None:
        return None

    look = partial(session.get, row)
    wanted = Search(
        message=OutgoingMessage(text=values["content"], nonce=request.json["nonce"]),
        author=str(look("/users/@me")["id"]),
        since=once.since,
        known=once.known,
    )
    found = search(look, values["channel_id"], wanted)
    if isinstance(found, dict):
        return found
    if found.certain or session.clock.now() - once.since < timedelta(seconds=NONCE_SECONDS):
        return None
    raise Unconfirmed(
        f"an earlier run may have sent it, and {found.why or 'the channel does not say'}",
        where="discord.messages.send",
        hint="look into the channel: is it there, mark the row; else send it by hand and mark it",
    )


def _partly(error: BotticelliError, done: int, of_all: str) -> BotticelliError:
    """Return the error of a work that ends midway: who starts anew would do a part twice."""
    if not done:
        return error
    kind = LockedOutMidway if isinstance(error, LockedOut) else Unconfirmed
    return kind(f"only {done} of {of_all}: {error.what}", where=error.where, hint=error.hint)


def _clear(session: CommandSession, _row: Row, values: Values) -> Any:
    """Delete the newest messages; the count is of those that are really gone."""
    listing = TABLE["messages.list"]
    limit = int(values.get("limit", BULK))
    found = list(session.pages(listing, {"channel_id": values["channel_id"], "limit": limit}))
    ids = [str(one["id"]) for one in found]
    oldest = session.clock.now() - BULK_AGE
    young = [one for one in ids if time_of(one) > oldest]
    cleared, failed = 0, []
    for chunk in (*_chunks(young), *([old] for old in ids[len(young) :])):
        try:
            _delete(session, chunk, values)
            cleared += len(chunk)
        except Undeletable:
            failed += chunk
        except BotticelliError as error:
            raise _partly(
                error, cleared, counted(len(ids), "message was", "messages were") + " deleted"
            ) from error
    return {"cleared": cleared, "failed": failed, "channel_id": values["channel_id"]}


class Undeletable(Refused):
    """Discord keeps this one message, such as one that it wrote itself."""


def _delete(session: CommandSession, ids: Sequence[str], values: Values) -> None:
    """Delete up to a hundred messages; a single one that is gone already is done."""
    single = TABLE["messages.bulk_delete" if len(ids) > 1 else "messages.delete"]
    given = {**values, "message_ids": ids, "message_id": ids[0]}
    try:
        session.make(single, given)
    except Refused as error:
        if len(ids) > 1 or error.code not in (UNKNOWN_MESSAGE, *KEPT):
            raise
        if error.code in KEPT:
            raise Undeletable(error.what, where=error.where, code=error.code) from error


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while chunk := list(islice(left, BULK)):
        yield chunk


def _bulk_delete(session: CommandSession, row: Row, values: Values) -> Any:
    ids = list(dict.fromkeys(values["message_ids"]))
    done = 0
    for chunk in _chunks(ids):
        try:
            _delete(session, chunk, values)
        except BotticelliError as error:
            raise _partly(
                error, done, counted(len(ids), "message was", "messages were") + " deleted"
            ) from error
        done += len(chunk)
    return shape(row, {}, {**values, "message_ids": ids})


def _threads(session: CommandSession, row: Row, values: Values) -> Any:
    """The active threads of a server; of one channel only if that is named."""
    channel = values.get("channel_id")
    guild = values.get("guild_id") or session.make(TABLE["channels.get"], values)["guild_id"]
    threads = session.make(row, {"guild_id": guild})["threads"]
    found = [one for one in threads if channel in (None, one.get("parent_id"))]
    return shape(row, {"threads": found}, values)


def _forum_posts(session: CommandSession, row: Row, values: Values) -> Any:
    """The open posts of a forum and its archived ones, newest first."""
    limit = int(values.get("limit", BULK))
    guild = session.make(TABLE["channels.get"], values)["guild_id"]
    threads = session.make(TABLE["threads.list"], {"guild_id": guild})["threads"]
    found = [one for one in threads if one.get("parent_id") == values["channel_id"]]
    found += islice(_archived(session, row, values), max(limit - len(found), 0))
    return shape(row, {"threads": found[:limit]}, values)


def _archived(session: CommandSession, row: Row, values: Values) -> Iterator[Any]:
    request = request_of(row, {"channel_id": values["channel_id"]})
    query = {"limit": str(BULK)}
    for _ in range(10):
        page = session.ask(row, replace(request, query=query))
        yield from page["threads"]
        if not page.get("has_more") or not page["threads"]:
            return
        last = page["threads"][-1]
        query = {**query, "before": last["thread_metadata"]["archive_timestamp"]}


def _ban(_session: CommandSession, row: Row, values: Values) -> WebRequest:
    given = dict(values)
    days = given.pop("delete_message_days", None)
    if days is not None:
        given.setdefault("delete_message_seconds", days * 24 * 3600)
    return request_of(row, given)


def _timeout(session: CommandSession, row: Row, values: Values) -> WebRequest:
    request = request_of(row, values)
    until = session.clock.now() + timedelta(seconds=values["duration_seconds"])
    return replace(request, json={"communication_disabled_until": until.isoformat()})


def _thread(_session: CommandSession, row: Row, values: Values) -> WebRequest:
    """A public thread unless another kind is named; from a message if one is."""
    given = dict(values)
    message = given.pop("message_id", None)
    if message:
        given.pop("kind", None)  # a message's thread has its channel's kind
        request = request_of(row, given)
        return replace(request, path=f"/channels/{values['channel_id']}/messages/{message}/threads")
    return request_of(row, {"kind": PUBLIC_THREAD, **given})


def _event(_session: CommandSession, row: Row, values: Values) -> WebRequest:
    """An external event, which must say where it is and when it ends."""
    end = datetime.fromisoformat(values["start_time"]) + EVENT_LENGTH
    filled = {"end_time": end.isoformat(), "location": "Discord", **values}
    return request_of(row, filled)


def _overwrite(_session: CommandSession, row: Row, values: Values) -> WebRequest:
    given = {"allow": "0", "deny": "0", **values}
    word = str(given.pop("target", "role")).lower()
    if word not in ("role", "member"):
        raise BadArgument("target is role or member", where="discord.permissions.set")
    request = request_of(row, given)
    return replace(request, json={**request.json, "type": 1 if word == "member" else 0})


def _threads_only(session: CommandSession, row: Row, values: Values) -> Any:
    """A thread is a channel to Discord: who may change threads may not change channels."""
    found = session.make(TABLE["threads.get"], {"thread_id": values["thread_id"]})
    if found.get("type") not in THREADS:
        what = f"{values['thread_id']} is a channel, no thread"
        raise Refused(
            what, where=f"discord.{row.name}", hint="use channels.edit or channels.delete"
        )
    return session.plain(row, values)


_PREPARE: Final[Mapping[str, Callable[[CommandSession, Row, Values], WebRequest]]] = {
    "messages.send": _message,
    "members.ban": _ban,
    "members.timeout": _timeout,
    "threads.create": _thread,
    "events.create": _event,
    "permissions.set": _overwrite,
}
COMPOSITES: Final[Mapping[str, Composite]] = {
    **dict.fromkeys(_PREPARE, _send_prepared),
    "server.get_stats": _server_stats,
    "channels.get_or_create": _get_or_create,
    "messages.send": _send,
    "messages.clear": _clear,
    "messages.bulk_delete": _bulk_delete,
    "forum.list_posts": _forum_posts,
    "threads.list": _threads,
    **dict.fromkeys(("threads.edit", "threads.delete"), _threads_only),
}
