"""Workers that drain a queue: threads, each with a connection of its own, until nothing is left."""

import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from typing import Final

from botticelli.clock import Clock
from botticelli.store import queue
from botticelli.store.connection import Connection
from botticelli.tracing import inherited

LEAVE_SECONDS: Final = 2.0  # what workers get to come back in after a signal; supervise has 3
WATCH_SECONDS: Final = 0.5


class Floor:
    """What the workers of one process share.

    Args:
        stop: Set from outside: take nothing more.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._enough = threading.Event()
        self._changed = threading.Condition()
        self._held: set[queue.Claim] = set()
        self._reasons: list[BaseException] = []

    @property
    def is_closing(self) -> bool:
        """Whether nothing more may be taken."""
        return self._stop.is_set() or self._enough.is_set()

    @property
    def reason(self) -> BaseException | None:
        """Why a worker has closed the floor: the first one's reason."""
        return self._reasons[0] if self._reasons else None

    def close(self, reason: BaseException | None = None) -> None:
        """Let nobody take anything more."""
        if reason is not None:
            self._reasons.append(reason)
        self._enough.set()
        with self._changed:
            self._changed.notify_all()

    def hold(self, claims: Iterable[queue.Claim]) -> None:
        """Keep these leases alive from now on."""
        with self._changed:
            self._held.update(claims)

    def drop(self, claims: Iterable[queue.Claim]) -> None:
        """These are settled or given back; others may look again."""
        with self._changed:
            self._held.difference_update(claims)
            self._changed.notify_all()

    def claims(self) -> frozenset[queue.Claim]:
        """Return what is held now."""
        with self._changed:
            return frozenset(self._held)

    def wait(self, seconds: float) -> None:
        """Wait until something is dropped, for that long at most."""
        with self._changed:
            if not self.is_closing:
                self._changed.wait(seconds)


Labour = Callable[[Connection, Floor], bool]


class Crew:
    """Does a queue's work with several threads at once.

    Args:
        labour: Claims, does and settles one piece of work; False: there is nothing more to do.
            Called from the worker threads; what it raises closes the floor for all.
        connect: Opens a connection; each worker has one, the lease keeper another.
        owner: Whose name stands on the leases.
    """

    def __init__(
        self,
        labour: Labour,
        *,
        work: queue.Queue,
        connect: Callable[[], Connection],
        owner: str,
        lease: timedelta,
        clock: Clock,
    ) -> None:
        self._labour = labour
        self._queue = work
        self._connect = connect
        self._owner = owner
        self._lease = lease
        self._clock = clock

    def run(
        self, workers: int, *, stop: threading.Event, watch: Callable[[], None] = lambda: None
    ) -> None:
        """Return when nothing is left, a worker has closed the floor, or `stop` is set.

        What is still claimed then is given back, however this ends. `watch` is called twice a
        second from this thread.

        Raises:
            BaseException: The first reason for which a worker closed the floor.
        """
        floor = Floor(stop)
        threads = [
            threading.Thread(
                target=inherited(self._work), args=(floor,), name=f"worker-{n}", daemon=True
            )
            for n in range(workers)
        ]
        try:
            with self._keeper(floor):
                for thread in threads:
                    thread.start()
                _await(threads, stop=stop, watch=watch)
        finally:
            floor.close()
            self._give_back(floor)
        if floor.reason is not None:
            raise floor.reason

    def _work(self, floor: Floor) -> None:
        try:
            with closing(self._connect()) as conn:
                while not floor.is_closing and self._labour(conn, floor):
                    pass
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            floor.close(error)

    def _keeper(self, floor: Floor) -> queue.LeaseKeeper:
        def renew(conn: Connection) -> bool:
            queue.renew(conn, self._queue, claims=floor.claims(), lease=self._lease)
            return True  # a single one that is lost is fenced off when it is settled

        return queue.LeaseKeeper(
            connect=self._connect,
            renew=renew,
            lease=self._lease,
            lost=floor.close,
            clock=self._clock,
        )

    def _give_back(self, floor: Floor) -> None:
        if floor.claims():
            with closing(self._connect()) as conn:
                queue.release(conn, self._queue, owner=self._owner)


def _await(
    threads: list[threading.Thread], *, stop: threading.Event, watch: Callable[[], None]
) -> None:
    """Wait for the workers; after a signal only as long as they have to come back in."""
    while not stop.is_set() and (alive := [thread for thread in threads if thread.is_alive()]):
        watch()
        alive[0].join(timeout=WATCH_SECONDS)
    for thread in threads:
        thread.join(timeout=LEAVE_SECONDS / len(threads))
