"""What Bluesky is by its name: what a destination there needs, and its client."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret, find_secret
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import Platform, Room
from botticelli.platforms.connecting import Asker, Credentials
from botticelli.platforms.rate_limits import SharedLimits

VARIABLE: Final = "BLUESKY_TOKEN"
APP_PASSWORD: Final = re.compile(r"(?:[a-z0-9]{4}-){3}[a-z0-9]{4}")


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

    def completed(
        self, destination: Destination, environ: Mapping[str, str], unset: dict[str, str]
    ) -> Destination:
        """See Room."""
        if destination.token or f"destinations.{destination.name}.token" in unset:
            return destination
        return replace(destination, token=find_secret(VARIABLE, environ))

    def connect(self, ask: Asker, *, clock: Clock) -> Credentials:
        """See Room."""
        said = "The server, if it is not to be found by the handle"
        server = ask("server", said, optional=True)
        handle = ask("account", "The handle, such as name.bsky.social").strip().lstrip("@")
        said = "An app password (Settings, Privacy and security, App passwords)"
        token = Secret(ask("token", said, secret=True))
        root = server if "://" in server or not server else f"https://{server}"
        tried = Destination(
            name="bluesky", platform="bluesky", base_url=root, account=handle, token=token
        )
        problems = self.open(tried, clock=clock, limits=SharedLimits(clock)).check()
        if problems:
            raise ConfigError(problems[0])
        keys = {"platform": "bluesky", "account": handle} | ({"base_url": root} if root else {})
        is_own = not APP_PASSWORD.fullmatch(token.reveal())
        own = ("this is the account's own password: an app password can be revoked for itself",)
        return Credentials(
            keys=keys, secrets={"token": token}, notes=(f"@{handle}", *(own if is_own else ()))
        )


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
        hint = f"`botticelli connect bluesky` tries one out and keeps it ({VARIABLE})"
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
