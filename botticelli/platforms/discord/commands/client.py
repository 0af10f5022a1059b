"""Runs Discord commands: a row of the table and its arguments become requests and a result."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

from botticelli.clock import Clock
from botticelli.errors import BotticelliError
from botticelli.platforms.base import (
    NotSent,
    PlatformError,
    Unconfirmed,
)
from botticelli.platforms.command_set import Description, Once, Place
from botticelli.platforms.discord.commands.arguments import Argument, BadArgument
from botticelli.platforms.discord.commands.results import dig, shape
from botticelli.platforms.discord.commands.retry import (
    explained,
    is_done_already,
    left_open,
    may_repeat,
)
from botticelli.platforms.discord.commands.table import (
    ARGUMENT_ALIASES,
    ROWS,
    TABLE,
    Row,
    canonical,
)
from botticelli.platforms.discord.rest import Question, Rest
from botticelli.text import nearest

if TYPE_CHECKING:
    import requests

PATIENCE: Final = 60.0  # seconds that one request may spend waiting and being tried again
MOST_TRIES: Final = 5
PAUSE: Final = 1.0  # seconds before another try where Discord names no wait of its own

GUILD: Final = Argument(name="guild_id", type="id", required=False, least=None, most=None, field="")

Json = dict[str, Any]


class NoSuchCommand(PlatformError):
    """The platform has no command of that name."""


def describe() -> tuple[Description, ...]:
    """Return every Discord command, in the order of the table."""
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


def find(command: str) -> Row:
    """Return the row of a command, by its name of today or an older one.

    Raises:
        NoSuchCommand: There is none.
    """
    name = canonical(command)
    if name not in TABLE:
        hint = nearest(name, TABLE) or "see `botticelli commands`"
        raise NoSuchCommand(f"there is no command '{command}'", where="discord", hint=hint)
    return TABLE[name]


def values_of(row: Row, given: Mapping[str, Any]) -> Json:
    """Return the arguments of a command as they are sent, by their names of today.

    `guild_id` and `reason` may always be given, also where the API has no use for them.

    Raises:
        BadArgument: One is missing, unknown or of no use.
    """
    rest = {name: value for name, value in given.items() if value is not None}
    found: Json = {}
    for one in row.arguments:
        name = _given_as(one, row, rest)
        if name is not None:
            found[one.name] = _value(one, row, rest.pop(name))
        elif one.required:
            raise _refused(f"needs {one.name}", row, odd=_unknown(rest, row))
    guild = rest.pop("guild_id", None)
    reason = str(rest.pop("reason", ""))
    if rest:
        raise _refused(f"does not know {', '.join(sorted(rest))}", row, odd=list(rest))
    if guild is not None and str(guild).strip():
        found["guild_id"] = _value(GUILD, row, guild)
    return found | ({"reason": reason} if reason else {})


def _unknown(given: Mapping[str, Any], row: Row) -> list[str]:
    return [name for name in given if name not in {one.name for one in row.arguments}]


def _refused(what: str, row: Row, *, odd: list[str]) -> BadArgument:
    """Return the error, with the slip that it may be or else what the command takes."""
    where, names = f"discord.{row.name}", [one.name for one in row.arguments]
    for name in odd:
        if hint := nearest(name, names):
            return BadArgument(what, where=where, hint=f"{hint[:-1]} by '{name}'?")
    needed = ", ".join(one.name for one in row.arguments if one.required)
    others = ", ".join(one.name for one in row.arguments if not one.required)
    takes = " and, if wanted, ".join(part for part in (needed, others) if part)
    return BadArgument(what, where=where, hint=f"it takes {takes}")


def check_arguments(command: str, args: Mapping[str, Any]) -> None:
    """See that a command can be meant; Ellipsis among `args` is a value not known yet.

    Raises:
        NoSuchCommand, BadArgument: It cannot.
    """
    values_of(find(command), args)


def _value(one: Argument, row: Row, given: Any) -> Any:
    try:
        return given if given is ... else one.value(given)
    except BadArgument as error:
        raise BadArgument(error.what, where=f"discord.{row.name}") from error


def _given_as(one: Argument, row: Row, given: Mapping[str, Any]) -> str | None:
    own = {other.name for other in row.arguments}
    names = (one.name, *(n for n in ARGUMENT_ALIASES.get(one.name, ()) if n not in own))
    return next((name for name in names if name in given), None)


def question(row: Row, values: Mapping[str, Any]) -> Question:
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
    return Question(
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


class DiscordCommands:
    """The commands of one bot; a CommandSet.

    Args:
        rest: The session, with the bot's token.
        chance: Makes the nonces that keep a message from being sent twice.
    """

    platform = "discord"

    def __init__(self, rest: Rest, *, clock: Clock, chance: random.Random) -> None:
        self.clock = clock
        self.chance = chance
        self._rest = rest
        self._places: dict[str, Place] = {}

    def describe(self) -> tuple[Description, ...]:
        """See CommandSet."""
        return describe()

    def canonical(self, command: str) -> str:
        """See CommandSet."""
        return canonical(command)

    def run(self, command: str, args: Mapping[str, Any]) -> Any:
        """See CommandSet.

        Raises:
            NoSuchCommand, BadArgument: It cannot be meant; nothing was sent.
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
        from botticelli.platforms.discord.commands.composites import COMPOSITES

        done = COMPOSITES[row.name](self, row, values) if row.name in COMPOSITES else None
        result = done if done is not None else self.plain(row, values)
        if row.writes:
            self._places.clear()
        return result

    def preview(self, command: str, args: Mapping[str, Any]) -> Json:
        """See CommandSet: method, url, query, json."""
        from botticelli.platforms.discord.commands.composites import prepared

        row = find(command)
        asked = prepared(self, row, values_of(row, args))
        return {
            "method": asked.method,
            "url": self._rest.base_url + asked.path,
            "query": dict(asked.query),
            "json": asked.json,
            "headers": asked.headers,
        }

    def place(self, command: str, args: Mapping[str, Any]) -> Place:
        """See CommandSet. Asked of Discord: an id alone says nothing of its server.

        Raises:
            NoSuchCommand, BadArgument: It cannot be meant.
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
            channel = self._existing(values)
        if not channel:
            return Place(guild_id=guild, into_id=into)
        if channel not in self._places:
            self._places[channel] = self._look_at(channel)
        return replace(self._places[channel], into_id=into if row.name == "channels.edit" else "")

    def _existing(self, values: Mapping[str, Any]) -> str:
        from botticelli.platforms.discord.commands.composites import existing_channel

        found = existing_channel(self, values)
        return "" if found is None else str(found["id"])

    def _invited(self, row: Row, code: str) -> Place:
        """Where an invite leads: a guild_id beside it says nothing."""
        found = self.ask(row, _get(f"/invites/{code}"))
        channel = dig(found, "channel.id")
        return self._look_at(str(channel)) if isinstance(channel, str) else Place()

    def _look_at(self, channel: str) -> Place:
        found = self.ask(TABLE["channels.get"], _get(f"/channels/{channel}"))
        parent, kind = str(found.get("parent_id") or ""), found.get("type")
        holder = found
        if kind in (10, 11, 12) and parent:
            holder = self.ask(TABLE["channels.get"], _get(f"/channels/{parent}"))
        return Place(
            guild_id=str(found.get("guild_id") or ""),
            channel_id=str(holder["id"]),
            channel_name=str(holder.get("name") or ""),
            category_id=str(holder.get("parent_id") or ""),
        )

    # -- for discord_composites.py --------------------------------------------------------------

    def plain(self, row: Row, values: Mapping[str, Any]) -> Any:
        """Do what a row says, in one request or page by page."""
        if row.page:
            return shape(row, list(self.pages(row, values)), values)
        return shape(row, self.ask(row, question(row, values)), values)

    def pages(self, row: Row, values: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the entries of a long list, as many as `limit` says."""
        assert row.page is not None
        page, left = row.page, int(values.get("limit", row.page.default))
        asked = question(row, {key: value for key, value in values.items() if key != "limit"})
        query = dict(asked.query)
        while left > 0:
            size = min(left, page.size)
            entries = self.ask(row, replace(asked, query={**query, "limit": str(size)}))
            yield from entries
            left -= len(entries)
            if len(entries) < size:
                return
            ids = [int(dig(one, page.key)) for one in entries]
            query[page.mark] = str(min(ids) if page.mark == "before" else max(ids))

    def ask(self, row: Row, asked: Question) -> Any:
        """Make a request, again where that can do no harm, and return the JSON of the answer.

        Once a try may have been carried out, no later refusal says that nothing was done.
        """
        until = self.clock.monotonic() + PATIENCE
        is_open = False
        for attempt in range(1, MOST_TRIES + 1):
            try:
                return self._once(row, asked, is_open=is_open)
            except BotticelliError as error:
                wait = getattr(error, "retry_after", None) or PAUSE * attempt
                late = self.clock.monotonic() + wait > until
                if not may_repeat(asked, error) or late or attempt == MOST_TRIES:
                    raise left_open(error) if is_open else error from None
                is_open = is_open or isinstance(error, Unconfirmed)
                self.clock.sleep(wait)
        raise AssertionError("the last try either returns or raises")

    def _once(self, row: Row, asked: Question, *, is_open: bool) -> Any:
        where = f"discord.{row.name}"
        response, wrong = self._rest.ask(asked, where=where)
        if wrong is not None and is_open and is_done_already(asked, wrong):
            return {}
        if wrong is not None:
            raise explained(row, wrong, where=where, asked=asked)
        if response.status_code == 204 or not response.content:
            return {}
        return _json(response, where, changing=asked.method != "GET")


def _get(path: str) -> Question:
    return Question(method="GET", path=path)


def _json(response: "requests.Response", where: str, *, changing: bool) -> Any:
    try:
        return response.json()
    except ValueError as error:
        if changing:
            raise Unconfirmed("Discord's answer cannot be read", where=where) from error
        raise NotSent("Discord's answer cannot be read", where=where) from error
