"""A platform's rate limits as its answers teach them; nothing is hard-coded.

Sources: docs.discord.com/developers/topics/rate-limits (X-RateLimit-*, buckets);
docs.joinmastodon.org/api/rate-limits (X-RateLimit-Reset, a date); RateLimit-Reset of Bluesky,
X-Rate-Limit-Reset of X (seconds of Unix time).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.platforms.base import NotSent

LONGEST_WAIT: Final = 5.0  # seconds; a longer one is the caller's to plan, its lease runs meanwhile
DEFAULT_WAIT: Final = 5.0  # seconds after a 429 that does not say how long
UNIX_TIME: Final = 1e9  # what is larger is an instant, not a number of seconds to wait


class RateLimits:
    """What is known of one account's limits; not shared between threads or processes.

    Attributes:
        clock: What they are measured by.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._bucket_of: dict[str, str] = {}
        self._closed_until: dict[str, float] = {}

    def wait(self, route: str, *, where: str, server: str = "the platform") -> None:
        """Wait until a request on that route is allowed.

        Raises:
            NotSent: That takes too long to wait for here; `retry_after` says how long.
        """
        bucket = self._bucket_of.get(route, route)
        until = max(self._closed_until.get(bucket, 0.0), self._closed_until.get("", 0.0))
        seconds = until - self.clock.monotonic()
        if seconds > LONGEST_WAIT:
            raise NotSent(f"{server}'s rate limit is used up", where=where, retry_after=seconds)
        self.clock.sleep(max(seconds, 0.0))

    def learn(self, route: str, headers: Mapping[str, str]) -> None:
        """Note what the headers of an answer say of the limit it counted against."""
        # The same bucket name counts apart for each channel, which the route has in it.
        if name := headers.get("X-RateLimit-Bucket"):
            top = "/".join(route.partition(" ")[2].split("/")[:3])  # such as /channels/1
            self._bucket_of[route] = f"{name} {top}"
        bucket = self._bucket_of.get(route, route)
        for start in _used_up(headers):
            self._close(bucket, _until_reset(start, headers))

    def pause(self, route: str, seconds: float, *, is_global: bool) -> None:
        """Ask nothing for so long: on that route, or on any."""
        self._close("" if is_global else self._bucket_of.get(route, route), seconds)

    def _close(self, bucket: str, seconds: float) -> None:
        until = self.clock.monotonic() + seconds
        self._closed_until[bucket] = max(until, self._closed_until.get(bucket, 0.0))


class SharedLimits:
    """The limits of all accounts of one process: of one account at one address there is one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], RateLimits] = {}

    def of(self, base_url: str, token: str) -> RateLimits:
        """Return the limits of the account with that token; empty: of one without any."""
        return self._known.setdefault((base_url, token), RateLimits(self._clock))


def date_of(header: str) -> datetime | None:
    """Return the instant that a header such as Date names, to the second; None if it names none."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str]) -> str | float | None:
    """Return what Retry-After asks for, else the reset of a limit that is used up.

    A date is measured from the answer's own Date.
    """
    asked = headers.get("Retry-After")
    if asked is None:
        return max((_until_reset(start, headers) for start in _used_up(headers)), default=0) or None
    at, now = date_of(asked or ""), date_of(headers.get("Date", ""))
    return asked if at is None or now is None else max(0.0, (at - now).total_seconds())


def _used_up(headers: Mapping[str, str]) -> list[str]:
    """Return how the headers begin that tell of limits which are used up."""
    starts = ("X-RateLimit", "RateLimit", "X-Rate-Limit")
    return [start for start in starts if headers.get(f"{start}-Remaining") == "0"]


def _until_reset(start: str, headers: Mapping[str, str]) -> float:
    """Return the seconds until a limit is renewed: told as such, or as an instant."""
    said = headers.get(f"{start}-Reset-After") or headers.get(f"{start}-Reset") or "0"
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = datetime.fromisoformat(said).timestamp()
        except ValueError:
            return 0.0
    if seconds > UNIX_TIME:  # measured by the server's own clock
        now = date_of(headers.get("Date", ""))
        seconds = seconds - now.timestamp() if now else 0.0
    return max(seconds, 0.0)


def longest(*asked: Any) -> float | None:
    """Return the longest of the waits that a 429 names; any may be missing or nonsense."""
    waits = []
    for value in asked:
        try:
            waits.append(float(value))
        except (TypeError, ValueError):
            continue
    return max((wait for wait in waits if 0 <= wait < float("inf")), default=None)
