"""X as a destination names it, and its client; requests is imported here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.config.secrets import find_secret
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import Room
from botticelli.platforms.x.counting import LONGEST

if TYPE_CHECKING:
    import requests

    from botticelli.platforms.rate_limits import SharedLimits
    from botticelli.platforms.requests import Authorise
    from botticelli.platforms.x.client import X
    from botticelli.platforms.x.oauth import Keys

API: Final = "https://api.x.com"
KEYS: Final = ("api_key", "api_secret", "token", "token_secret")


class XRoom(Room):
    """See Room."""

    longest = LONGEST

    def missing(self, destination: Destination) -> Sequence[Problem]:
        """See Room."""
        where = f"destinations.{destination.name}"
        problems = [
            Problem(
                what=f"no {key} of the app and account",
                where=f"{where}.{key}",
                hint="botticelli connect x stores all four",
                is_unset=True,
            )
            for key in KEYS
            if not getattr(destination, key)
        ]
        user = destination.token.reveal().partition("-")[0]
        if destination.token and not user.isdecimal():
            what = "this is no access token of an account: it does not begin with the account's id"
            hint = "copy 'Access Token' of OAuth 1.0a, not the bearer token"
            problems.append(Problem(what=what, where=f"{where}.token", hint=hint))
        try:
            _root(destination)
        except ConfigError as error:
            problems += error.problems
        return problems

    def place(self, destination: Destination) -> str:
        """See Room. The account, whose id the token begins with."""
        return destination.token.reveal().partition("-")[0]

    def open(self, destination: Destination, *, clock: Clock, limits: "SharedLimits") -> "X":
        """See Room."""
        from botticelli.platforms.requests import Requests, open_session
        from botticelli.platforms.x.client import X
        from botticelli.platforms.x.oauth import Keys

        if problems := self.missing(destination):
            raise ConfigError.of(problems)
        root, token = _root(destination), destination.token.reveal()
        keys = Keys(**{key: getattr(destination, key) for key in KEYS})
        rest = Requests(
            open_session(signer(keys, clock)),
            base_url=root,
            limits=limits.of(root, token),
            server="X",
            where=destination.name,
        )
        return X(
            destination.name,
            user=self.place(destination),
            rest=rest,
            clock=clock,
            permitted=destination.guard.allowed_mentions,
        )

    def completed(
        self, destination: Destination, environ: Mapping[str, str], unset: dict[str, str]
    ) -> Destination:
        """See Room."""
        found: dict[str, Any] = {
            key: find_secret(f"X_{key.upper()}", environ)
            for key in KEYS
            if not getattr(destination, key)
            and f"destinations.{destination.name}.{key}" not in unset
        }
        return replace(destination, **found)


ROOM: Final = XRoom()


def signer(keys: "Keys", clock: Clock) -> "Authorise":
    """Return what signs requests; a JSON body and files are not part of the signature."""
    from secrets import token_hex

    from botticelli.platforms.x.oauth import authorization

    def authorise(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        parts = urlsplit(request.url or "")
        request.headers["Authorization"] = authorization(
            request.method or "",
            parts._replace(query="").geturl(),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            keys=keys,
            nonce=token_hex(16),
            seconds=int(clock.now().timestamp()),
        )
        return request

    return authorise


def _root(destination: Destination) -> str:
    where = f"destinations.{destination.name}.base_url"
    return require_safe(destination.base_url or API, where=where, hint="base_url").rstrip("/")
