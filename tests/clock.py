"""A clock that a test holds in its hand, for Python and for the database."""

from datetime import UTC, datetime, timedelta

import psycopg

from botticelli.store.connection import connect

SET_NOW = b"SELECT set_config('botticelli.now', $1, false)"

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class PinnedClock:
    """Time stands still until a test moves it; sleeping moves it at once.

    Fills botticelli.clock.Clock. `slept` holds what was asked of `sleep`, in seconds.
    """

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._seconds = 0.0
        self.slept: list[float] = []

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


def at(conn, now: datetime):
    """Pin botticelli_now() of a connection to an instant; return the connection."""
    with conn.lock:  # beside psycopg's cursors: what spies on them sees what the program asks
        conn.pgconn.exec_params(SET_NOW, [now.isoformat().encode()])
    return conn


def pin(conn, clock):
    """Let botticelli_now() be a clock's time in every statement of a connection; return it."""

    class Pinned:
        def execute(self, *args, **options):
            at(self.connection, clock.now())
            return super().execute(*args, **options)

    conn.cursor_factory = type("PinnedCursor", (Pinned, psycopg.Cursor), {})
    conn.server_cursor_factory = type("PinnedServerCursor", (Pinned, psycopg.ServerCursor), {})
    return conn


def pinned_connect(clock):
    """Return what opens connections whose botticelli_now() is a clock's time."""
    return lambda url: pin(connect(url), clock)
