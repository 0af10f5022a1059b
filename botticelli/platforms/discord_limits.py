"""Discord's rate limits as its answers teach them; nothing is hard-coded.

Source: docs.discord.com/developers/topics/rate-limits: X-RateLimit-* on any answer, buckets.
"""

from collections.abc import Mapping
from typing import Final

from botticelli.clock import Clock
from botticelli.platforms.base import NotSent

LONGEST_WAIT: Final = 5.0  # seconds; a longer one is the caller's to plan, its lease runs meanwhile


class RateLimits:
    """What one client knows of its limits; not shared between threads or processes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bucket_of: dict[str, str] = {}
        self._closed_until: dict[str, float] = {}

    def wait(self, route: str, *, where: str) -> None:
        """Wait until a request on that route is allowed.

        Raises:
            NotSent: That takes too long to wait for here; `retry_after` says how long.
        """
        bucket = self._bucket_of.get(route, route)
        until = max(self._closed_until.get(bucket, 0.0), self._closed_until.get("", 0.0))
        seconds = until - self._clock.monotonic()
        if seconds > LONGEST_WAIT:
            raise NotSent("Discord's rate limit is used up", where=where, retry_after=seconds)
        self._clock.sleep(seconds)

    def learn(self, route: str, headers: Mapping[str, str], *, retry_after: float | None) -> None:
        """Note what an answer says; `retry_after` only of one that asks us to wait."""
        # The same bucket name counts apart for each channel, which the route has in it.
        name = headers.get("X-RateLimit-Bucket")
        bucket = f"{name} {_top(route)}" if name else route
        self._bucket_of[route] = bucket
        now = self._clock.monotonic()
        if retry_after is not None:
            is_global = headers.get("X-RateLimit-Global") == "true"
            is_global = is_global or headers.get("X-RateLimit-Scope") == "global"
            self._closed_until["" if is_global else bucket] = now + retry_after
        elif headers.get("X-RateLimit-Remaining") == "0":
            self._closed_until[bucket] = now + _seconds(headers.get("X-RateLimit-Reset-After"))


def _top(route: str) -> str:
    """Return the top-level resource of "POST /channels/1/messages": "/channels/1"."""
    return "/".join(route.partition(" ")[2].split("/")[:3])


def _seconds(value: str | None) -> float:
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0
