"""What Bluesky is by its name: what a destination there needs, and its client."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import Problem
from botticelli.platforms.base import Platform, Room, lack, told
from botticelli.platforms.connecting import Asker, Credentials, tried
from botticelli.platforms.rate_limits import SharedLimits

VARIABLE: Final = "BLUESKY_TOKEN"
APP_PASSWORD: Final = re.compile(r"(?:[a-z0-9]{4}-){3}[a-z0-9]{4}")


class _BlueskyRoom(Room):
    longest = 300
    secrets = (("token", VARIABLE),)
    server_hint = "or leave it out"

    def opened(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        from botticelli.platforms.bluesky.client import Bluesky
        from botticelli.platforms.bluesky.session import BlueskyAccount

        account = BlueskyAccount(
            identifier=_handle(destination),
            password=destination.token,
            root=self.root(destination),
            limits=limits,
            where=destination.name,
        )
        replaces = destination.edits == "replace"
        return Bluesky(destination.name, account=account, clock=clock, replaces=replaces)

    def problems(self, destination: Destination) -> Iterator[Problem]:
        """See Room."""
        yield from told(lambda: self.root(destination))
        handle = _handle(destination)
        if not handle:
            hint = "set it to the account's handle, such as name.bsky.social"
            yield lack(destination, "account", "no account to post as", hint)
        elif "." not in handle and not handle.startswith("did:"):
            what = f"'{handle}' is no whole handle"
            hint = "write it with its domain: name.bsky.social"
            yield lack(destination, "account", what, hint)
        if not destination.token:
            hint = f"`botticelli connect bluesky` tries one out and keeps it ({VARIABLE})"
            yield lack(destination, "token", "no app password", hint, is_unset=True)

    def place(self, destination: Destination) -> str:
        """See Room."""
        return _handle(destination)

    def connect(self, ask: Asker, *, clock: Clock) -> Credentials:
        """See Room."""
        said = "The server, if it is not to be found by the handle"
        server = ask("server", said, optional=True)
        handle = ask("account", "The handle, such as name.bsky.social").lstrip("@")
        said = "An app password (Settings, Privacy and security, App passwords)"
        token = Secret(ask("token", said, secret=True))
        root = server if "://" in server or not server else f"https://{server}"
        keys = {"platform": "bluesky", "account": handle, "base_url": root}
        found = tried(self, keys, {"token": token}, clock=clock)
        is_own = not APP_PASSWORD.fullmatch(token.reveal())
        own = ("this is the account's own password: an app password can be revoked for itself",)
        return replace(found, notes=(f"@{handle}", *(own if is_own else ())))


ROOM: Final = _BlueskyRoom()


def _handle(destination: Destination) -> str:
    handle = destination.account.strip().lstrip("@")
    return handle if handle.startswith("did:") else handle.lower()
