"""Rate limits by bucket and over all, and the ban of those who do not listen."""

import hashlib
from collections import deque
from dataclasses import dataclass

from tests.fakes.discord_errors import too_many
from tests.fakes.loopback import Answer, answer_html
from tests.fakes.windows import SlidingLimit

Pair = tuple[int, float]  # requests, seconds
Headers = tuple[tuple[str, str], ...]
_TEN_MINUTES = 600.0


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
        ban_after: int,
        ban_status: int,
    ) -> None:
        self._every = every
        self._routes = routes
        self._overall = SlidingLimit(allowed=overall, seconds=1.0) if overall else None
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._ban_after = ban_after
        self._ban_status = ban_status
        self.invalid: deque[float] = deque()

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

    def note(self, answer: Answer, *, now: float) -> None:
        """Count an invalid request: 401, 403, or 429 unless its scope is shared."""
        shared = ("X-RateLimit-Scope", "shared") in answer.headers
        if answer.status in {401, 403} or (answer.status == 429 and not shared):
            self.invalid.append(now)

    def banned(self, *, now: float) -> Answer | None:
        """Return Cloudflare's page while there were too many invalid requests in ten minutes."""
        while self.invalid and now - self.invalid[0] >= _TEN_MINUTES:
            self.invalid.popleft()
        if len(self.invalid) < self._ban_after:
            return None
        wait = str(int(self.invalid[0] + _TEN_MINUTES - now) + 1)
        title = "Access denied | discord.com used Cloudflare to restrict access"
        return answer_html(self._ban_status, title, headers=(("Retry-After", wait),))
