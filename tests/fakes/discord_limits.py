"""Rate limits by bucket and over all."""

import hashlib
from dataclasses import dataclass

from tests.fakes.discord_errors import too_many
from tests.fakes.loopback import Answer
from tests.fakes.windows import SlidingLimit

Pair = tuple[int, float]  # requests, seconds
Headers = tuple[tuple[str, str], ...]


@dataclass
class _Bucket:
    began: float
    used: int = 0


class RateLimits:
    """Counts requests; all times are seconds of the world's clock."""

    def __init__(
        self,
        *,
        every: Pair | None,
        routes: dict[str, Pair],
        overall: int | None,
    ) -> None:
        self._every = every
        self._routes = routes
        self._overall = SlidingLimit(allowed=overall, seconds=1.0) if overall else None
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def count(self, route: str, top: str, *, now: float) -> tuple[Headers, Answer | None]:
        """Count a request; return the headers of its bucket, and the 429 if it is one too many."""
        if self._overall is not None:
            if wait := self._overall.wait_for(now, 1):
                return (), too_many(wait, scope="global")
            self._overall.take(now, 1)
        pair = self._routes.get(route, self._every)
        if pair is None:
            return (), None
        limit, seconds = pair
        bucket = self._buckets.get((route, top))
        if bucket is None or now - bucket.began >= seconds:
            bucket = self._buckets[route, top] = _Bucket(began=now)
        left = bucket.began + seconds - now
        refused = bucket.used >= limit
        bucket.used += not refused
        headers = (
            ("X-RateLimit-Limit", str(limit)),
            ("X-RateLimit-Remaining", str(limit - bucket.used)),
            ("X-RateLimit-Reset", f"{now + left:.3f}"),
            ("X-RateLimit-Reset-After", f"{left:.3f}"),
            ("X-RateLimit-Bucket", hashlib.md5(route.encode()).hexdigest()),
        )
        return headers, too_many(left, headers=headers) if refused else None
