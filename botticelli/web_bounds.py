"""HTTP with an end: bounds on the time and size of an answer that no server can stretch.

The time limits of HTTP libraries start anew with every byte, so a server that drips holds its
client for ever. Within `bounded`, reads from guarded connections share one deadline and one number
of bytes, headers included. No client of ours follows a redirect: whoever answers one would name the
host that gets the key, the prompt or the post.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

LARGEST_COMPRESSED: Final = 65_536  # bytes; deflate makes at most 1,032 of one
ENCODINGS: Final = frozenset(("gzip", "x-gzip", "deflate"))
SHORTEST_WAIT: Final = 0.001  # seconds; zero would mean not to block at all
PLAIN: Final = {"Accept-Encoding": "identity"}


class AnswerTooLarge(OSError):
    """An answer has more bytes than a client wants."""


@dataclass
class Bounds:
    """What is left for an answer.

    Args:
        until: Monotonic seconds.
        left: Bytes, as they come over the wire.
    """

    until: float
    left: int

    @property
    def is_over(self) -> bool:
        """Whether the time has run out."""
        return time.monotonic() >= self.until

    def wait(self, wanted: float | None) -> float:
        """Return the seconds that one read or write may take, at most `wanted`."""
        left = max(SHORTEST_WAIT, self.until - time.monotonic())
        return left if wanted is None else min(wanted, left)

    def take(self, size: int) -> None:
        """Count bytes that were read.

        Raises:
            AnswerTooLarge: They are too many.
        """
        self.left -= size
        if self.left < 0:
            raise AnswerTooLarge("the answer is too large")


_bounds: ContextVar[Bounds | None] = ContextVar("bounds", default=None)


@contextmanager
def bounded(*, seconds: float, size: int) -> Iterator[Bounds]:
    """Bound what this thread reads from guarded connections meanwhile, all of it together.

    Args:
        seconds: From now until the last byte has to be there.
        size: Most bytes over the wire.
    """
    bounds = Bounds(until=time.monotonic() + seconds, left=size)
    token = _bounds.set(bounds)
    try:
        yield bounds
    finally:
        _bounds.reset(token)


def current() -> Bounds | None:
    """Return the bounds of this thread; None outside of `bounded`."""
    return _bounds.get()


def left(wanted: float | None) -> float | None:
    """Return the seconds that one read or write of this thread may take, at most `wanted`."""
    bounds = current()
    return bounds.wait(wanted) if bounds else wanted


def kind_of(body: str) -> str:
    """Return what the body of an answer is that is not what was expected."""
    start = body.lstrip()[:1]
    if not start:
        return "nothing"
    if start == "<":
        return "a web page"
    return "JSON of another kind" if start in '{["' or start.isdigit() else "a text"


def check_encoding(response: Any, *_args: Any, **_settings: Any) -> None:
    """Refuse a compressed answer that might grow without bound; a hook of httpx and requests.

    We ask for plain answers. A short one may come compressed all the same.

    Raises:
        AnswerTooLarge: It is long, of unknown length, or compressed in a way we do not know.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    length = response.headers.get("content-length", "")
    is_short = length.isdecimal() and int(length) <= LARGEST_COMPRESSED
    if encoding not in {"", "identity"} and not (is_short and encoding in ENCODINGS):
        raise AnswerTooLarge("the answer is compressed, unasked, and might grow without bound")


def guarded(kind: type[Any]) -> Any:
    """Return a client of httpx or httpx2 that redirects nowhere and keeps to the bounds.

    Proxies of the environment are used. It closes when nobody refers to it any more.

    Args:
        kind: Its class.
    """
    client = type(kind.__name__, (kind,), {"__del__": kind.close})(
        follow_redirects=False, headers=PLAIN, event_hooks={"response": [check_encoding]}
    )
    # Their transports offer no way to hand in a network backend, which httpcore itself takes.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see above
        if transport is not None:
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001
    return client


class _Backend:
    """A network backend of httpcore whose connections keep to the bounds."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, *args: Any, **settings: Any) -> "_Stream":
        """See httpcore.NetworkBackend."""
        return _Stream(self._inner.connect_tcp(*args, **settings))


class _Stream:
    """A connection of httpcore that keeps to the bounds."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def start_tls(self, *args: Any, **settings: Any) -> "_Stream":
        """See httpcore.NetworkStream."""
        return _Stream(self._inner.start_tls(*args, **settings))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore.NetworkStream."""
        self._inner.write(buffer, timeout=left(timeout))

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore.NetworkStream."""
        data: bytes = self._inner.read(max_bytes, timeout=left(timeout))
        if bounds := current():
            bounds.take(len(data))
        return data
