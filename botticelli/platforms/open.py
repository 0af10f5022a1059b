"""The client of a destination, whatever its platform; made when there is something to send."""

from typing import Any, cast

from botticelli.clock import Clock
from botticelli.config import plugins
from botticelli.config.addresses import require_trusted
from botticelli.config.model import Destination
from botticelli.errors import ConfigError
from botticelli.platforms.base import NothingFollows, Platform, Receipt
from botticelli.platforms.discord.open import open_discord
from botticelli.platforms.discord.rate_limits import SharedLimits
from botticelli.platforms.outbox import Outbox


class _Plugged(NothingFollows):
    """A platform of a plugin that knows `finish` alone for what follows a message."""

    steps = ("finish",)

    def __init__(self, made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def follow(self, step: str, receipt: Receipt) -> Receipt:
        """See Platform."""
        del step
        self._made.finish(receipt.remote_id)
        return receipt


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
    if destination.platform == "outbox":
        require_trusted(destination.base_url, where=f"destinations.{destination.name}.folder")
        return Outbox(destination.name, folder=destination.folder, clock=clock)
    if destination.platform == "discord":
        return open_discord(destination, limits or SharedLimits(clock))
    if plugin := plugins.find(plugins.PLATFORMS, destination.platform):
        made = plugin(destination, clock=clock)
        whole: Platform = made if isinstance(made, Platform) else cast(Any, _Plugged(made))
        return whole
    raise ConfigError(
        f"there is no platform '{destination.platform}'",
        where=f"destinations.{destination.name}.platform",
        hint="name discord or outbox, or install the package that brings it",
    )
