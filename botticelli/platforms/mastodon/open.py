"""Mastodon's room: what a destination of it needs, and its client."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.errors import Problem
from botticelli.platforms.base import Room, lack, told
from botticelli.platforms.connecting import Asker, Credentials
from botticelli.platforms.rate_limits import SharedLimits

if TYPE_CHECKING:
    from botticelli.platforms.mastodon.client import Mastodon


class _MastodonRoom(Room):
    secrets = (("token", "MASTODON_TOKEN"),)
    server_hint = 'base_url = "https://HOST"'

    def opened(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> "Mastodon":
        """See Room."""
        from botticelli.platforms.mastodon.client import Mastodon
        from botticelli.platforms.requests import Requests, bearer, header_value, open_session

        root, where = self.root(destination), f"destinations.{destination.name}.token"
        hint = "copy it again, or `botticelli connect mastodon`"
        secret = destination.token.reveal()
        token = header_value(secret, where=where, what="the token", hint=hint)
        rest = Requests(
            open_session(bearer(token)),
            base_url=root,
            limits=limits.of(root, token),
            server=urlsplit(root).netloc,
            where=destination.name,
        )
        return Mastodon(destination, rest, clock=clock)

    def problems(self, destination: Destination) -> Iterator[Problem]:
        """See Room."""
        if destination.base_url:
            yield from told(lambda: self.root(destination))
        else:
            what, hint = "no server to post to", self.server_hint
            yield lack(destination, "base_url", what, hint, is_unset=True)
        if not destination.token:
            hint = "`botticelli connect mastodon` gets one (MASTODON_TOKEN)"
            yield lack(destination, "token", "no access token", hint, is_unset=True)

    def place(self, destination: Destination) -> str:
        """See Room. Without `account` only the token says whose account it is."""
        host = urlsplit(destination.base_url).netloc.lower()
        account = destination.account.removeprefix("@").partition("@")[0].lower()
        if account or not destination.token:
            return f"{host}/{account}" if host and account else ""
        from hashlib import sha256

        return f"{host}/token-{sha256(destination.token.reveal().encode()).hexdigest()[:12]}"

    def connect(self, ask: Asker, *, clock: Clock) -> Credentials:
        """See Room."""
        from botticelli.platforms.mastodon.connect import connect

        return connect(ask, self.opened, clock=clock)


ROOM: Final = _MastodonRoom()
