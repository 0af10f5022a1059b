"""The quota of one model: a sliding minute of requests and input tokens, and a Pacific day."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tests.fakes.gemini_errors import Quota, exhausted
from tests.fakes.loopback import Answer
from tests.fakes.windows import Arrivals, SlidingLimit

_PACIFIC = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The quota of one model; None means no limit. Tokens are input tokens."""

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    tier: str = "free"


class Account:
    """What one model was asked for and what it may still be asked for."""

    def __init__(self, model: str, limits: Limits, *, window: float) -> None:
        self.arrivals = Arrivals()
        self._day: Counter[str] = Counter()
        self._limits = limits
        self._model = model
        pairs = (("requests", limits.rpm), ("tokens", limits.tpm))
        self._minute = {
            kind: SlidingLimit(allowed=allowed, seconds=window)
            for kind, allowed in pairs
            if allowed is not None
        }

    def admit(self, now: float, *, day: str, tokens: int) -> Answer | None:
        """Count a request that fits; return the 429 of one that does not."""
        weights = {"requests": 1, "tokens": tokens}
        waits = {kind: self._minute[kind].wait_for(now, weights[kind]) for kind in self._minute}
        broken = [
            self._quota(kind, "minute", self._minute[kind].allowed) for kind in waits if waits[kind]
        ]
        if self._limits.rpd is not None and self._day[day] >= self._limits.rpd:
            broken.insert(0, self._quota("requests", "day", self._limits.rpd))
        if broken:
            return exhausted(*broken, retry_in=max([*waits.values(), 0.001]))
        self._day[day] += 1
        for kind, limit in self._minute.items():
            limit.take(now, weights[kind])
        return None

    def _quota(self, counted: str, per: str, value: int) -> Quota:
        tier = self._limits.tier
        return Quota(model=self._model, counted=counted, per=per, value=value, tier=tier)


def pacific_day(wall: float) -> str:
    """Return the day that a Unix time falls on where Google's quota days begin."""
    return datetime.fromtimestamp(wall, UTC).astimezone(_PACIFIC).date().isoformat()
