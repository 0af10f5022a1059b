"""Workers that drain a queue: threads that share two connections, until nothing is left."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from typing import Any, Final

from botticelli.errors import BotticelliError
from botticelli.stages.task import PoolState, StageContext, Task, Worker
from botticelli.store.connection import Connection, DatabaseAway, DatabaseBlocked, DatabaseFull
from botticelli.store.leases import LeaseKeeper
from botticelli.store.queue import Queue, release, renew
from botticelli.store.session import PATIENCE, DatabaseSession, lend, opened
from botticelli.tracing import inherited

LEAVE_SECONDS: Final = 2.0  # what workers get to come back in after a signal; a run has 3 in all
WATCH_SECONDS: Final = 0.5
SHARED: Final = 2  # connections of all workers; with the keepers' three, however many workers


def work(task: Task[Any, Any, Any], worker: Worker) -> None:
    """Claim, do and settle one piece after the other, until there is none or the pool closes.

    Raises:
        BotticelliError: No further piece can be done now.
    """
    pool = worker.pool
    while not pool.is_closing and (piece := task.claim(worker)) is not None:
        claims = task.claims(piece)
        pool.hold(claims)
        try:
            made = task.do(worker, piece)
        except BotticelliError as error:
            made = error
        task.settle(worker, piece, made)
        if not pool.is_closing:  # else what is left of it stays held, so that it is given back
            pool.drop(claims)


class WorkerPool:
    """Does the work at a queue with several threads at once."""

    def __init__(
        self,
        task: Task[Any, Any, Any],
        queue: Queue,
        *,
        context: StageContext,
        stop: threading.Event,
    ) -> None:
        self._task = task
        self._queue = queue
        self._context = context
        self._stop = stop
        self._state = PoolState(stop)
        self._is_at_work = False  # whether one of them has got a connection

    def run(self, workers: int) -> None:
        """Return when nothing is left, a worker has closed the pool, or `stop` is set.

        What is still claimed then is given back, however this ends.

        Raises:
            BaseException: The first reason for which a worker closed the pool.
        """
        try:
            with self._keeper(), self._sessions() as another:
                threads = [
                    threading.Thread(target=inherited(self._work), args=(another,), daemon=True)
                    for _ in range(workers)
                ]
                for thread in threads:
                    thread.start()
                self._await(threads)
        finally:
            self._state.close()
            if self._state.claims() and not isinstance(self._state.reason, DatabaseAway):
                with closing(self._context.connect()) as conn:
                    release(conn, self._queue, owner=self._context.identity.owner)
        if (reason := self._state.reason) is not None:
            raise reason

    def _sessions(self) -> AbstractContextManager[Callable[[], Connection]]:
        """Return what makes the workers' sessions; they share our connection and one more.

        Who waits for a model needs none, and who waits for a connection must hold none, or many
        processes wait for each other.
        """
        conn = self._context.conn
        if isinstance(conn, DatabaseSession) and conn.heals:
            return conn.shared(SHARED)
        return nullcontext(lambda: opened(self._context.connect))

    def _work(self, another: Callable[[], Connection]) -> None:
        try:
            with closing(another()) as conn:
                if isinstance(conn, DatabaseSession):
                    conn.heal()
                self._is_at_work = True
                work(self._task, Worker(conn=conn, pool=self._state))
        except DatabaseFull as error:
            if not self._is_at_work:  # else the others do it all
                self._state.close(error)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._state.close(error)

    def _keeper(self) -> LeaseKeeper:
        lease, owner = self._context.config.supervision.lease, self._context.identity.owner

        def renew_all(conn: Connection) -> bool:
            renew(conn, self._queue, claims=self._state.claims(), owner=owner, lease=lease)
            return True  # a single one that is lost is fenced off when it is settled

        return LeaseKeeper(
            connect=self._context.connect,
            renew=renew_all,
            lease=lease,
            lost=self._state.close,
            clock=self._context.clock,
            patience=PATIENCE,
        )

    def _await(self, threads: list[threading.Thread]) -> None:
        """Wait for the workers; after a signal only as long as they have to come back in."""
        while not self._stop.is_set() and (alive := [one for one in threads if one.is_alive()]):
            conn = self._context.conn
            with suppress(DatabaseBlocked):  # what we would count: that is no hurry
                if not isinstance(conn, DatabaseSession) or conn.has_room:
                    self._task.watch()
                    lend(conn)
            alive[0].join(timeout=WATCH_SECONDS)
        for thread in threads:
            thread.join(timeout=LEAVE_SECONDS / len(threads))
