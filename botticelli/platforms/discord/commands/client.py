"""The Discord commands as a CommandSet: which there are, what they do, and where they act."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from botticelli.clock import Clock
from botticelli.platforms.command_set import Description, Once, Place
from botticelli.platforms.discord.channel import THREADS
from botticelli.platforms.discord.commands.composites import COMPOSITES, existing_channel, prepared
from botticelli.platforms.discord.commands.request import CommandSession, Json, find, values_of
from botticelli.platforms.discord.commands.results import dig
from botticelli.platforms.discord.commands.table import ROWS, TABLE, Row, canonical
from botticelli.platforms.discord.rest import Rest


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
        request = prepared(self._session, row, values_of(row, args))
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
