"""Every platform by its name: what a destination of it needs, where it lies, and its client.

A platform is a folder or module below platforms/ with a `ROOM`, and its line here; a plugin's is
a function of an installed package. Nothing outside platforms/ knows one by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from botticelli.clock import Clock
from botticelli.config import plugins
from botticelli.config.load import KnownPlatforms
from botticelli.config.model import Config, Destination
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import (
    MessageLimits,
    OutgoingMessage,
    Platform,
    Receipt,
    Room,
    ShownRequest,
)
from botticelli.platforms.rate_limits import SharedLimits

if TYPE_CHECKING:
    from botticelli.store.delivery.posts import PostFilter

ROOMS: Final[Mapping[str, str]] = {
    "bluesky": "bluesky.open",
    "discord": "discord.open",
    "feed": "feed",
    "mastodon": "mastodon.open",
    "matrix": "matrix.open",
    "outbox": "outbox",
    "x": "x.open",
}


def room_of(platform: str) -> Room:
    """Return what is known of a platform by its name alone.

    Raises:
        ConfigError: There is none of that name.
    """
    if room := _known(platform):
        return room
    what, names = f"there is no platform '{platform}'", ", ".join(ROOMS)
    raise ConfigError(what, hint=f"name one of {names}, or install the package that brings it")


@cache
def _known(platform: str) -> Room | None:
    if platform in ROOMS:
        room: Room = import_module(f"botticelli.platforms.{ROOMS[platform]}").ROOM
        return room
    if platform in plugins.names(plugins.PLATFORMS):
        return _PluggedRoom()
    return None


def _facts(destination: Destination) -> Room:
    """Return the room of a destination; of one whose platform is gone what any room says."""
    return _known(destination.platform) or Room()


def place_of(destination: Destination) -> str:
    """Return platform and place, by which a destination is known whatever its name is.

    Empty: it is unknown.
    """
    place = _facts(destination).place(destination)
    return f"{destination.platform}:{place}" if place else ""


def wanted_by(destination: Destination) -> "PostFilter":
    """Return which posts a destination takes, and where it lies."""
    from botticelli.store.delivery.schedule import post_filter

    is_practice = not _facts(destination).real
    return post_filter(destination, place=place_of(destination), is_practice=is_practice)


def folders_of(config: Config) -> dict[str, Path]:
    """Return the folders that destinations write to, by key."""
    return {
        f"destinations.{name}.folder": each.folder
        for name, each in config.destinations.items()
        if _facts(each).writes_files
    }


def offline(config: Config, *, cwd: Path) -> Config:
    """Return `config` without key or network: the offline model, and outbox/ of the project."""
    folder = (config.project.root or cwd) / "outbox"
    outbox = Destination(name="outbox", platform="outbox", folder=folder)
    return replace(
        config,
        models=replace(config.models, default=("offline",), judge=("offline",), only=("offline",)),
        destinations=MappingProxyType({"outbox": outbox}),
    )


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


def _completed(
    destination: Destination, environ: Mapping[str, str], unset: dict[str, str]
) -> Destination:
    return _facts(destination).completed(destination, environ, unset)


PLATFORMS: Final = KnownPlatforms(
    names=tuple(ROOMS), usual={"discord": {"platform": "discord"}}, complete=_completed
)


class _PluggedRoom(Room):
    """A platform of a plugin, which says nothing before it is opened."""

    def open(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        del limits
        plugin = plugins.find(plugins.PLATFORMS, destination.platform)
        assert plugin is not None
        made = plugin(destination, clock=clock)
        return made if isinstance(made, Platform) else _Plugged(made)


class _Plugged(Platform):
    """A plugin's platform with what it does not have, as one of an earlier version does not.

    Those know `max_length` in place of limits, `finish` in place of steps, and preview one request.
    """

    def __init__(self, made: Any) -> None:
        self._made = made
        self.limits = MessageLimits(length=getattr(made, "max_length", 0))

    def __getattribute__(self, name: str) -> Any:
        made = object.__getattribute__(self, "__dict__").get("_made")
        is_ours = name == "preview" or not hasattr(made, name)
        return object.__getattribute__(self, name) if is_ours else getattr(made, name)

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
