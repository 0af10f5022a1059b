"""Time as it is handed in: the machine's own, or one that a test holds.

"Now" is the database's clock wherever a row is read or written: `botticelli_now()` in schema.sql,
which a test pins for its connections.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the house may ask of time."""

    def now(self) -> datetime:
        """Return the present instant in UTC, for output and for pure decisions."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring how long something took."""

    def sleep(self, seconds: float) -> None:
        """Wait for that many seconds; not at all for zero or less."""


class SystemClock:
    """The machine's own clock."""

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
