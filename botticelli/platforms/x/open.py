"""X as a destination names it, and its client; requests is imported here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.errors import Problem
from botticelli.platforms.base import Room, lack, told
from botticelli.platforms.x.counting import LONGEST

if TYPE_CHECKING:
    import requests

    from botticelli.platforms.connecting import Asker, Credentials
    from botticelli.platforms.rate_limits import SharedLimits
    from botticelli.platforms.requests import Authorise
    from botticelli.platforms.x.client import X
    from botticelli.platforms.x.oauth import Keys

API: Final = "https://api.x.com"


class XRoom(Room):
    """See Room."""

    longest = LONGEST
    secrets = (
        ("api_key", "X_API_KEY"),
        ("api_secret", "X_API_SECRET"),
        ("token", "X_TOKEN"),
        ("token_secret", "X_TOKEN_SECRET"),
    )

    def problems(self, destination: Destination) -> Iterator[Problem]:
        """See Room."""
        hint = "botticelli connect x stores all four"
        for key, _ in self.secrets:
            if not getattr(destination, key):
                what = f"no {key} of the app and account"
                yield lack(destination, key, what, hint, is_unset=True)
        user = destination.token.reveal().partition("-")[0]
        if destination.token and not user.isdecimal():
            what = "this is no access token of an account: it does not begin with the account's id"
            hint = "copy 'Access Token' of OAuth 1.0a, not the bearer token"
            yield lack(destination, "token", what, hint)
        yield from told(lambda: _root(destination))

    def place(self, destination: Destination) -> str:
        """See Room. The account, whose id the token begins with."""
        return destination.token.reveal().partition("-")[0]

    def opened(self, destination: Destination, *, clock: Clock, limits: "SharedLimits") -> "X":
        """See Room."""
        from botticelli.platforms.requests import Requests, open_session
        from botticelli.platforms.x.client import X
        from botticelli.platforms.x.oauth import Keys

        root, token = _root(destination), destination.token.reveal()
        keys = Keys(**{key: getattr(destination, key) for key, _ in self.secrets})
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

    def connect(self, ask: "Asker", *, clock: Clock) -> "Credentials":
        """See Room."""
        from botticelli.platforms.x.connect import connect

        return connect(ask, clock=clock, room=self)


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
