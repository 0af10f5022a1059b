"""Every platform by its name: what a destination of it needs, where it lies, and its client.

A platform is a folder or module below platforms/ with a `ROOM`, and its line here; a plugin's is
a function of an installed package. Nothing outside platforms/ knows one by its name.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final, cast

from botticelli.clock import Clock
from botticelli.config import plugins
from botticelli.config.model import Destination
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import (
    MessageLimits,
    OutgoingMessage,
    Platform,
    PlatformDefaults,
    Receipt,
    Room,
    ShownRequest,
)
from botticelli.platforms.rate_limits import SharedLimits

ROOMS: Final[Mapping[str, str]] = {
    "bluesky": "bluesky.open",
    "discord": "discord.open",
    "feed": "feed",
    "mastodon": "mastodon.open",
    "matrix": "matrix.open",
    "outbox": "outbox",
    "x": "x.open",
}


@cache
def room_of(platform: str) -> Room:
    """Return what is known of a platform by its name alone.

    Raises:
        ConfigError: There is none of that name.
    """
    if platform in ROOMS:
        room: Room = import_module(f"botticelli.platforms.{ROOMS[platform]}").ROOM
        return room
    if platform in plugins.names(plugins.PLATFORMS):
        return _PluggedRoom()
    what, names = f"there is no platform '{platform}'", ", ".join(ROOMS)
    raise ConfigError(what, hint=f"name one of {names}, or install the package that brings it")


def open_platform(
    destination: Destination, *, clock: Clock, limits: SharedLimits | None = None
) -> Platform:
    """Return the client of a destination; nothing is sent yet.

    Args:
        destination: Where to write to.
        clock: What rate limits are measured by.
        limits: What a process has learnt of rate limits, shared by all of its destinations.

    Raises:
        ConfigError: A channel, a token or the platform's name is missing or invalid.
    """
    room = room_of(destination.platform)
    return room.open(destination, clock=clock, limits=limits or SharedLimits(clock))


def missing(destination: Destination) -> Sequence[Problem]:
    """Return what a destination lacks before anything can be sent to it; no network."""
    try:
        return room_of(destination.platform).missing(destination)
    except ConfigError as error:
        return error.problems


class _PluggedRoom(Room):
    """A platform of a plugin, which says nothing before it is opened."""

    def open(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        del limits
        plugin = plugins.find(plugins.PLATFORMS, destination.platform)
        assert plugin is not None
        made = plugin(destination, clock=clock)
        return cast(Platform, made if isinstance(made, PlatformDefaults) else _Plugged(made))


class _Plugged(PlatformDefaults):
    """A plugin's platform with what it does not have, as one of an earlier version does not.

    Those know `max_length` in place of limits, `finish` in place of steps, and preview one request.
    """

    def __init__(self, made: Any) -> None:
        self._made = made

    def __getattribute__(self, name: str) -> Any:
        made = object.__getattribute__(self, "__dict__").get("_made")
        is_ours = name == "preview" or not hasattr(made, name)
        return object.__getattribute__(self, name) if is_ours else getattr(made, name)

    @property
    def limits(self) -> MessageLimits:
        """See Platform."""
        return MessageLimits(length=self._made.max_length)

    @property
    def steps(self) -> Sequence[str]:
        """See Platform."""
        return ("finish",) if hasattr(self._made, "finish") else ()

    def preview(self, message: OutgoingMessage) -> Sequence[ShownRequest]:
        """See Platform."""
        shown = self._made.preview(message)
        return (shown,) if isinstance(shown, Mapping) else tuple(shown)

    def follow(self, step: str, receipt: Receipt) -> Receipt:
        """See Platform."""
        del step
        self._made.finish(receipt.remote_id)
        return receipt
