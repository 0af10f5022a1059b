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
from botticelli.platforms.rate_limits import SharedLimits

VARIABLE: Final = "MASTODON_TOKEN"
HINT: Final = 'base_url = "https://HOST"'


class _MastodonRoom(Room):
    def open(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        from botticelli.platforms.mastodon.client import Mastodon, Style
        from botticelli.platforms.requests import Requests, bearer, header_value, open_session

        if problems := self.missing(destination):
            raise ConfigError.of(problems)
        where = f"destinations.{destination.name}"
        root = require_safe(destination.base_url, where=f"{where}.base_url", hint=HINT)
        hint = "copy it again, or `botticelli connect mastodon`"
        token = header_value(
            destination.token.reveal(), where=f"{where}.token", what="the token", hint=hint
        )
        requests = Requests(
            open_session(bearer(token)),
            base_url=root,
            limits=limits.of(root, token),
            server=urlsplit(root).netloc,
            where=destination.name,
        )
        style = Style(
            visibility=destination.visibility,
            warning=destination.content_warning,
            language=destination.language,
            account=destination.account,
        )
        return Mastodon(destination.name, requests=requests, style=style, clock=clock)

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
