"""Discord's rate limits as its answers teach them; nothing is hard-coded.

Source: docs.discord.com/developers/topics/rate-limits: X-RateLimit-* on any answer, buckets.
"""

from collections.abc import Mapping
from typing import Final

from botticelli.clock import Clock
from botticelli.platforms.base import NotSent

LONGEST_WAIT: Final = 5.0  # seconds; a longer one is the caller's to plan, its lease runs meanwhile


class RateLimits:
    """What is known of one bot's limits; not shared between threads or processes.

    Attributes:
        clock: What they are measured by.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._bucket_of: dict[str, str] = {}
        self._closed_until: dict[str, float] = {}

    def wait(self, route: str, *, where: str) -> None:
        """Wait until a request on that route is allowed.

        Raises:
            NotSent: That takes too long to wait for here; `retry_after` says how long.
        """
        bucket = self._bucket_of.get(route, route)
        until = max(self._closed_until.get(bucket, 0.0), self._closed_until.get("", 0.0))
        seconds = until - self.clock.monotonic()
        if seconds > LONGEST_WAIT:
            raise NotSent("Discord's rate limit is used up", where=where, retry_after=seconds)
        self.clock.sleep(max(seconds, 0.0))

    def learn(self, route: str, headers: Mapping[str, str]) -> None:
        """Note what the headers of an answer say of the limit it counted against."""
        # The same bucket name counts apart for each channel, which the route has in it.
        if name := headers.get("X-RateLimit-Bucket"):
            top = "/".join(route.partition(" ")[2].split("/")[:3])  # such as /channels/1
            self._bucket_of[route] = f"{name} {top}"
        bucket = self._bucket_of.get(route, route)
        if headers.get("X-RateLimit-Remaining") == "0":
            self._close(bucket, _seconds(headers.get("X-RateLimit-Reset-After")))

    def pause(self, route: str, seconds: float, *, is_global: bool) -> None:
        """Ask nothing for so long: on that route, or on any."""
        self._close("" if is_global else self._bucket_of.get(route, route), seconds)

    def _close(self, bucket: str, seconds: float) -> None:
        until = self.clock.monotonic() + seconds
        self._closed_until[bucket] = max(until, self._closed_until.get(bucket, 0.0))


class SharedLimits:
    """The limits of all bots of one process: of one bot at one address there is one account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], RateLimits] = {}

    def of(self, base_url: str, token: str) -> RateLimits:
        """Return the account of the bot with that token; empty: of a webhook without one."""
        return self._known.setdefault((base_url, token), RateLimits(self._clock))


def _seconds(value: str | None) -> float:
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0
