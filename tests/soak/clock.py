"""One clock for many processes: the machine's own, moved ahead by a figure in a shared file."""

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

START = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)


LONG = 1e9


class SharedClock:
    """Fills botticelli.clock.Clock; sleeping moves the time of everybody at once.

    Args:
        file: Holds the seconds ahead of the machine's clock; made by `create`.
    """

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8)

    @classmethod
    def create(cls, file: Path, *, start: datetime = START) -> "SharedClock":
        """Make the file; it is `start` from now on."""
        file.write_bytes(struct.pack("d", start.timestamp() - time.time()))
        return cls(file)

    @property
    def ahead(self) -> float:
        """Seconds ahead of the machine's clock."""
        return struct.unpack("d", self._shared[:8])[0]

    def seconds(self) -> float:
        """Return the present as a Unix time."""
        return time.time() + self.ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead + LONG  # never below zero, wherever the start is

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._shared[:8] = struct.pack("d", self.ahead + seconds)

    def until(self, at: datetime) -> None:
        """Let time pass until `at`; nothing if it is over."""
        self.sleep(at.timestamp() - self.seconds())
