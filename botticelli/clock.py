"""Time as it is handed in: the machine's own, or one that a test holds.

"Now" is the database's clock wherever a row is read or written; `Clock.pinned` is what a test
puts in its place (every statement takes `coalesce(%(now)s::timestamptz, now())`).
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the house may ask of time."""

    def pinned(self) -> datetime | None:
        """Return the instant that replaces the database's clock; None in production."""

    def now(self) -> datetime:
        """Return the present instant in UTC, for output and for pure decisions."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring how long something took."""

    def sleep(self, seconds: float) -> None:
        """Wait for that many seconds; not at all for zero or less."""


class SystemClock:
    """The machine's own clock."""

    def pinned(self) -> None:
        """See Clock."""
        return

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        if seconds > 0:
            time.sleep(seconds)
