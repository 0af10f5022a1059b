"""What Bluesky is by its name: what a destination there needs, and its client."""

from collections.abc import Iterator, Sequence
from typing import Final

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import Platform, Room
from botticelli.platforms.rate_limits import SharedLimits


class _BlueskyRoom(Room):
    longest = 300

    def open(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        from botticelli.platforms.bluesky.client import Bluesky
        from botticelli.platforms.bluesky.session import BlueskyAccount

        if problems := self.missing(destination):
            raise ConfigError.of(problems)
        account = BlueskyAccount(
            identifier=_handle(destination),
            password=destination.token,
            root=_root(destination),
            limits=limits,
            where=destination.name,
        )
        replaces = destination.edits == "replace"
        return Bluesky(destination.name, account=account, clock=clock, replaces=replaces)

    def missing(self, destination: Destination) -> Sequence[Problem]:
        """See Room."""
        try:
            _root(destination)
        except ConfigError as error:
            return (*error.problems, *_missing(destination))
        return tuple(_missing(destination))

    def place(self, destination: Destination) -> str:
        """See Room."""
        return _handle(destination)


ROOM: Final = _BlueskyRoom()


def _missing(destination: Destination) -> Iterator[Problem]:
    where, handle = f"destinations.{destination.name}", _handle(destination)
    if not handle:
        hint = "set it to the account's handle, such as name.bsky.social"
        yield Problem(what="no account to post as", where=f"{where}.account", hint=hint)
    elif "." not in handle and not handle.startswith("did:"):
        what, hint = f"'{handle}' is no whole handle", "write it with its domain: name.bsky.social"
        yield Problem(what=what, where=f"{where}.account", hint=hint)
    if not destination.token:
        hint = "`botticelli connect bluesky` gets one"
        yield Problem(what="no app password", where=f"{where}.token", hint=hint, is_unset=True)


def _handle(destination: Destination) -> str:
    handle = destination.account.strip().lstrip("@")
    return handle if handle.startswith("did:") else handle.lower()


def _root(destination: Destination) -> str:
    """Return the server's address; empty: where the account's document says.

    Raises:
        ConfigError: It is no address that a password may be sent to.
    """
    where, root = f"destinations.{destination.name}.base_url", destination.base_url
    return require_safe(root, where=where, hint="or leave it out") if root else ""
