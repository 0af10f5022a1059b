"""A clock that a test holds in its hand."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class PinnedClock:
    """Time stands still until a test moves it; sleeping moves it at once.

    Fills botticelli.clock.Clock. `slept` holds what was asked of `sleep`, in seconds.
    """

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._seconds = 0.0
        self.slept: list[float] = []

    def pinned(self) -> datetime:
        return self._now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds > 0:
            self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by
        self._seconds += by.total_seconds()

    def set(self, now: datetime) -> None:
        """Set the wall clock; monotonic time does not notice, as on a real machine."""
        self._now = now
