"""Matrix as a destination names it, and its client; requests is imported here."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.errors import Problem
from botticelli.platforms.base import Room, lack, told
from botticelli.platforms.matrix.events import LARGEST

if TYPE_CHECKING:
    from botticelli.platforms.connecting import Asker, Credentials
    from botticelli.platforms.matrix.client import Matrix
    from botticelli.platforms.rate_limits import SharedLimits

CHANNEL: Final = re.compile(r"![^\s/]+|#[^\s:/]+:[^\s/]+")


class MatrixRoom(Room):
    """See Room."""

    longest = LARGEST
    secrets = (("token", "MATRIX_TOKEN"),)
    server_hint = "base_url, the address of the account's server"

    def problems(self, destination: Destination) -> Iterator[Problem]:
        """See Room."""
        channel, account = destination.channel, destination.account
        for key, is_unset, is_wrong, what, hint in (
            ("channel", not channel, False, "no room to post to", "name its id (!...) or alias"),
            ("channel", False, channel and not CHANNEL.fullmatch(channel),
             f"'{channel}' is neither a room's id nor an alias", "write !ID or #NAME:SERVER"),
            ("token", not destination.token, False, "no access token", "botticelli connect matrix"),
            ("base_url", not (destination.base_url or account), False, "no server",
             "name base_url, or `account` (@NAME:SERVER)"),
        ):  # fmt: skip
            if is_unset or is_wrong:
                yield lack(destination, key, what, hint, is_unset=bool(is_unset))
        yield from told(lambda: self.root(destination))

    def opened(self, destination: Destination, *, clock: Clock, limits: "SharedLimits") -> "Matrix":
        """See Room."""
        from botticelli.platforms.matrix.client import Matrix
        from botticelli.platforms.matrix.connect import homeserver
        from botticelli.platforms.requests import Requests, bearer, header_value, open_session

        where = f"destinations.{destination.name}"
        secret = header_value(
            destination.token.reveal(),
            where=f"{where}.token",
            what="an access token",
            hint="botticelli connect matrix gets one",
        )
        root = self.root(destination) or homeserver(
            destination.account, limits=limits, where=f"{where}.account"
        )
        rest = Requests(
            open_session(bearer(secret)),
            base_url=root,
            limits=limits.of(root, secret),
            server="the Matrix server",
            where=destination.name,
        )
        return Matrix(destination.name, room=destination.channel, rest=rest, clock=clock)

    def connect(self, ask: "Asker", *, clock: Clock) -> "Credentials":
        """See Room."""
        from botticelli.platforms.matrix.connect import connect

        return connect(ask, clock=clock, room=self)


ROOM: Final = MatrixRoom()
