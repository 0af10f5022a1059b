"""X as a destination names it, and its client; requests is imported here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import Problem
from botticelli.platforms.base import Room, lack, told
from botticelli.platforms.x.counting import LONGEST

if TYPE_CHECKING:
    from botticelli.platforms.connecting import Asker, Credentials
    from botticelli.platforms.rate_limits import SharedLimits
    from botticelli.platforms.x.client import X

QUESTIONS: Final = {
    "api_key": "API key (console.x.com: the app with 'Read and write', keys and tokens)",
    "api_secret": "API key secret",
    "token": "Access token (OAuth 1.0a, made after 'Read and write' was set)",
    "token_secret": "Access token secret",
}


class XRoom(Room):
    """See Room."""

    longest = LONGEST
    server = "https://api.x.com"
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
        yield from told(lambda: self.root(destination))

    def place(self, destination: Destination) -> str:
        """See Room. The account, whose id the token begins with."""
        return destination.token.reveal().partition("-")[0]

    def opened(self, destination: Destination, *, clock: Clock, limits: "SharedLimits") -> "X":
        """See Room."""
        from botticelli.platforms.requests import Requests, open_session
        from botticelli.platforms.x.client import X
        from botticelli.platforms.x.oauth import signer

        root, token = self.root(destination), destination.token.reveal()
        rest = Requests(
            open_session(signer(destination, clock)),
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
        from botticelli.platforms.connecting import tried

        root = ask("server", "Address of the API; Enter: X's own", optional=True)
        found = {key: Secret(ask(key, said, secret=True)) for key, said in QUESTIONS.items()}
        return tried(self, {"platform": "x", "base_url": root}, found, clock=clock)


ROOM: Final = XRoom()
