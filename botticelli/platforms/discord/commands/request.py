"""How a Discord command becomes requests, what errors mean, and what of an answer it gives."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import PlatformError, Refused
from botticelli.platforms.discord.commands.arguments import KIND_NAMES, Argument, BadArgument
from botticelli.platforms.discord.commands.table import TABLE, Row, canonical, todays
from botticelli.platforms.discord.errors import (
    MISSING_PERMISSION,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_WEBHOOK,
    ErrorAnswer,
    error_of,
)
from botticelli.platforms.discord.rest import Rest, discord_request
from botticelli.platforms.requests import WebRequest
from botticelli.text import nearest

UNFIT: Final = (40058, 50005, 50008, 50024)  # the wrong kind of channel; somebody else's message
NAMED_WELL: Final = (UNKNOWN_GUILD, UNKNOWN_WEBHOOK)  # by error_of
PRIVATE_THREAD: Final = 12
# Field of Modify Guild Member -> the permission it needs.
MEMBER_RIGHTS: Final[Mapping[str, str]] = {
    "nick": "Manage Nicknames",
    "mute": "Mute Members",
    "deaf": "Deafen Members",
    "roles": "Manage Roles",
}
_CHANNEL: Final = re.compile(r"/channels/(\d+)")

GUILD: Final = Argument(name="guild_id", type="id", required=False, least=None, most=None, field="")

Json = dict[str, Any]


class NoSuchCommand(PlatformError):
    """The platform has no command of that name."""


def find(command: str) -> Row:
    """Return the row of a command, by its current name or an older one.

    Raises:
        NoSuchCommand: There is none.
    """
    name = canonical(command)
    if name not in TABLE:
        hint = nearest(name, TABLE) or "see `botticelli commands`"
        raise NoSuchCommand(f"there is no command '{command}'", where="discord", hint=hint)
    return TABLE[name]


def values_of(row: Row, given: Mapping[str, Any]) -> Json:
    """Return the arguments of a command as they are sent, by their current names.

    `guild_id` and `reason` may always be given, also where the API has no use for them.

    Raises:
        BadArgument: One is missing, unknown or invalid.
    """
    rest = todays(row.name, {name: each for name, each in given.items() if each is not None})
    found: Json = {}
    for one in row.arguments:
        if one.name in rest:
            found[one.name] = _value(one, row, rest.pop(one.name))
        elif one.required and not (one.name == "guild_id" and "channel_id" in found):
            raise _refused(f"needs {one.name}", row, rest)
    guild = rest.pop("guild_id", None)
    reason = str(rest.pop("reason", ""))
    if rest:
        raise _refused(f"does not know {', '.join(sorted(rest))}", row, rest)
    if guild is not None and str(guild).strip():
        found["guild_id"] = _value(GUILD, row, guild)
    return found | ({"reason": reason} if reason else {})


def _refused(what: str, row: Row, given: Mapping[str, Any]) -> BadArgument:
    """Return the error, with the typo that it may be or else what the command takes."""
    where, names = f"discord.{row.name}", (*row.required, *row.optional)
    for name in given:
        if name not in names and (hint := nearest(name, names)):
            return BadArgument(what, where=where, hint=f"{hint[:-1]} by '{name}'?")
    parts = (", ".join(row.required), ", ".join(row.optional))
    takes = " and, if wanted, ".join(filter(None, parts))
    return BadArgument(what, where=where, hint=f"it takes {takes}")


def check_arguments(command: str, args: Mapping[str, Any]) -> None:
    """Check that a command is valid; Ellipsis among `args` is a value not known yet.

    Raises:
        NoSuchCommand, BadArgument: It is not.
    """
    values_of(find(command), args)


def _value(one: Argument, row: Row, given: Any) -> Any:
    try:
        return given if given is ... else one.value(given)
    except BadArgument as error:
        raise BadArgument(error.what, where=f"discord.{row.name}") from error


def request_of(row: Row, values: Mapping[str, Any]) -> WebRequest:
    """Return the request of a command: arguments go into the path, the query or the body."""
    path, _, query = row.path.partition("?")
    used = {"guild_id", "reason"} if "{guild_id}" not in path else {"reason"}
    if path.endswith("/{user_id}") and "user_id" not in values:
        path = path.removesuffix("{user_id}") + "@me"
    body: Json = {}
    asked = dict(parse_qsl(query))
    for one in row.arguments:
        if one.name not in values or one.name in used:
            continue
        mark = f"{{{one.name}}}"
        if mark in path:
            path = path.replace(mark, quote(str(values[one.name]), safe=""))
        elif row.writes:
            _put(body, one.field, values[one.name])
        else:
            asked[one.field] = str(values[one.name])
    if row.method == "PATCH" and not body and not row.fixed:
        raise BadArgument("names nothing to change", where=f"discord.{row.name}")
    for key, value in row.fixed.items():
        body[key] = {**value, **body[key]} if key in body and isinstance(value, dict) else value
    has_body = bool(body) or row.method in ("POST", "PATCH")
    return discord_request(
        method=row.method,
        path=path,
        query=asked,
        json=body if has_body else None,
        reason=str(values.get("reason", "")),
    )


def _put(body: Json, field: str, value: Any) -> None:
    *way, last = field.split(".")
    for step in way:
        body = body.setdefault(step, {})
    body[last] = value


class CommandSession:
    """Requests of commands over one session with Discord.

    Args:
        open_rest: Opens the session, with the bot's token, for the first request.
        chance: Makes the nonces that keep a message from being sent twice.
    """

    def __init__(
        self, open_rest: Callable[[], Rest], *, clock: Clock, chance: random.Random
    ) -> None:
        self.clock = clock
        self.chance = chance
        self._open_rest = open_rest

    @cached_property
    def _rest(self) -> Rest:
        return self._open_rest()

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return self._rest.base_url + path

    def ask(self, row: Row, request: WebRequest) -> Any:
        """Make a request, repeated where that is safe, and return the JSON of the answer."""
        explain = partial(_explain, row, request)
        return self._rest.ask_patiently(request, where=f"discord.{row.name}", explain=explain)

    def get(self, row: Row, path: str, query: Mapping[str, str] | None = None) -> Any:
        """GET a path on behalf of a command."""
        return self.ask(row, discord_request(method="GET", path=path, query=query or {}))

    def make(self, row: Row, values: Mapping[str, Any]) -> Any:
        """Make a row's request and return the JSON of the answer."""
        return self.ask(row, request_of(row, values))

    def plain(self, row: Row, values: Mapping[str, Any]) -> Any:
        """Do what a row says, in one request or page by page, and return its result."""
        made = list(self.pages(row, values)) if row.page else self.make(row, values)
        return shape(row, made, values)

    def pages(self, row: Row, values: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the entries of a long list, as many as `limit` says."""
        assert row.page is not None
        page, left = row.page, int(values.get("limit", row.page.default))
        request = request_of(row, {key: value for key, value in values.items() if key != "limit"})
        query = dict(request.query)
        while left > 0:
            size = min(left, page.size)
            entries = self.ask(row, replace(request, query={**query, "limit": str(size)}))
            yield from entries
            left -= len(entries)
            if len(entries) < size:
                return
            ids = [int(dig(one, page.key)) for one in entries]
            query[page.mark] = str(min(ids) if page.mark == "before" else max(ids))


def _needed(row: Row, request: WebRequest) -> str:
    """Return the permission that a request needs, where a command may need one or another."""
    body = request.json if isinstance(request.json, dict) else {}
    if row.name == "members.edit":
        return " or ".join(right for key, right in MEMBER_RIGHTS.items() if key in body)
    if row.name == "threads.create":
        kind = "Private" if body.get("type") == PRIVATE_THREAD else "Public"
        return f"Create {kind} Threads"
    return row.needs


def _explain(row: Row, request: WebRequest, answer: ErrorAnswer) -> BotticelliError:
    """Return the error of an answer, in words that fit the command."""
    where = f"discord.{row.name}"
    named = _CHANNEL.match(request.path)
    channel = f"channel {named[1]}" if named else "the channel"
    if answer.code == MISSING_PERMISSION and (right := _needed(row, request)):
        return Refused(
            f"the bot lacks the permission {right}",
            where=where,
            hint="give it to the bot's role, above the roles and members it is to change",
            code=answer.code,
        )
    if answer.code == UNKNOWN_CHANNEL:
        hint = "check the id in the narrative, and that it belongs to the bot's server"
        return ConfigError(f"Discord knows no {channel}", where=where, hint=hint)
    if answer.code in UNFIT:
        what = f"Discord says: {answer.message} ({channel})"
        return Refused(what, where=where, hint="check the ids", code=answer.code)
    if answer.status == 404 and answer.code not in {0, *NAMED_WELL}:
        what = f"Discord says: {answer.message}"
        return Refused(what, where=where, hint="check the ids", code=answer.code)
    return error_of(
        answer,
        where=where,
        channel=channel,
        publishing=request.publishes,
        subject="the command",
    )


# -- answers, cut down to what a command gives ----------------------------------------------------
#
# A row writes a field as `key`, `key=path.in.answer`, `key=$argument` or `key=!true`; `|filter`
# behind it says how the value is shown.

ABSENT: Final = object()


def shape(row: Row, answer: Any, values: Mapping[str, Any]) -> Any:
    """Return the result of a command for an answer and the arguments it was given."""
    if row.inside and isinstance(answer, Mapping):
        answer = answer.get(row.inside) or []
    if not isinstance(answer, list):
        return _one(row.gives, answer, values)
    entries = [_one(row.gives, one, values) for one in answer]
    return {row.wrap: entries, "count": len(entries)} if row.wrap else entries


def dig(value: Any, path: str) -> Any:
    """Return what a dotted path leads to; ABSENT if it leads nowhere."""
    for step in path.split("."):
        value = value.get(step, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def _one(gives: str, answer: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the answer has; an absent one is left out, a null stays null."""
    found: dict[str, Any] = {}
    for token in gives.split():
        key, _, rest = token.partition("=")
        source, _, name = (rest or key).partition("|")
        if source.startswith("!"):
            value: Any = source == "!true"
        elif source.startswith("$"):
            value = values.get(source[1:], ABSENT)
        else:
            value = dig(answer, source)
        if value is not ABSENT:
            found[key] = _FILTERS[name](value) if name and value is not None else value
    return found


def _user(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": value.get("id"),
        "name": value.get("username"),
        "bot": bool(value.get("bot", False)),
    }


_FILTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": lambda number: KIND_NAMES.get(number, str(number)),
    "count": len,
    "user": _user,
    "reactions": lambda value: [
        {"emoji": dig(one, "emoji.name"), "count": one.get("count")} for one in value
    ],
    "invite": "https://discord.gg/{}".format,
    "target": lambda number: "member" if number == 1 else "role",
}
