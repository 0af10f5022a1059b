"""Mastodon's room: what a destination of it needs, and its client."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.config.secrets import find_secret
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import Platform, Room
from botticelli.platforms.connecting import Asker, Credentials
from botticelli.platforms.rate_limits import SharedLimits

VARIABLE: Final = "MASTODON_TOKEN"
HINT: Final = 'base_url = "https://HOST"'


class _MastodonRoom(Room):
    def open(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        from botticelli.platforms.mastodon.client import Style, client_of

        if problems := self.missing(destination):
            raise ConfigError.of(problems)
        style = Style(
            visibility=destination.visibility,
            warning=destination.content_warning,
            language=destination.language,
            account=destination.account,
            mentions=destination.guard.allowed_mentions,
        )
        return client_of(
            destination.name,
            root=require_safe(destination.base_url, where=destination.name, hint=HINT),
            token=destination.token.reveal(),
            clock=clock,
            limits=limits,
            style=style,
        )

    def missing(self, destination: Destination) -> Sequence[Problem]:
        """See Room."""
        return list(_missing(destination))

    def place(self, destination: Destination) -> str:
        """See Room. Without `account` only the token says whose account it is."""
        host = urlsplit(destination.base_url).netloc.lower()
        account = destination.account.removeprefix("@").partition("@")[0].lower()
        if account or not destination.token:
            return f"{host}/{account}" if host and account else ""
        from hashlib import sha256

        return f"{host}/token-{sha256(destination.token.reveal().encode()).hexdigest()[:12]}"

    def completed(
        self, destination: Destination, environ: Mapping[str, str], unset: dict[str, str]
    ) -> Destination:
        """See Room."""
        if destination.token or f"destinations.{destination.name}.token" in unset:
            return destination
        return replace(destination, token=find_secret(VARIABLE, environ))

    def connect(self, ask: Asker, *, clock: Clock) -> Credentials:
        """See Room."""
        from botticelli.platforms.mastodon.connect import connect

        return connect(ask, clock=clock)


def _missing(destination: Destination) -> Iterator[Problem]:
    where = f"destinations.{destination.name}"
    if not destination.base_url:
        what = "no server to post to"
        yield Problem(what=what, where=f"{where}.base_url", hint=HINT, is_unset=True)
    else:
        try:
            require_safe(destination.base_url, where=f"{where}.base_url", hint=HINT)
        except ConfigError as error:
            yield from error.problems
    if not destination.token:
        hint = f"`botticelli connect mastodon` gets one ({VARIABLE})"
        yield Problem(what="no access token", where=f"{where}.token", hint=hint, is_unset=True)


ROOM: Final = _MastodonRoom()
