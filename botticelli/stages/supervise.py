"""The wrapper around every stage: paused? -> breaker? -> lock -> run record -> work -> settle."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import field
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from botticelli import tracing
from botticelli.clock import Clock
from botticelli.config.model import StageName, Supervision
from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.records import record
from botticelli.store import locks, runs
from botticelli.store.connection import Connection, mapped_errors
from botticelli.store.identity import Identity
from botticelli.store.queue import LeaseKeeper
from botticelli.tracing import here

GRACE_SECONDS: Final = (
    3.0  # of the 5 s in which a signal has to end a run; the rest is for settling
)
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """Work did not stop in time after a signal, or a second signal came."""


@record
class Run:
    """One start of a stage.

    Args:
        stop: Set by SIGTERM, SIGINT or a lost lock: claim nothing more, finish or release, return.
    """

    id: int
    stage: StageName
    identity: Identity
    stop: threading.Event = field(default_factory=threading.Event)


@record
class Outcome:
    """How the work ended.

    Args:
        summary: Stored with the run; must be JSON.
        opens_breaker: Whether this failure alone opens the breaker: trying again does harm.
        spares_breaker: Whether this failure must not open it: the rest of the stage is in order.
    """

    exit_code: Exit
    summary: Mapping[str, Any]
    opens_breaker: bool = False
    spares_breaker: bool = False

    def threshold(self, config: Supervision) -> int | None:
        """Return after how many failures in a row the breaker opens; None: this one is spared."""
        if self.opens_breaker:
            return 1
        return None if self.spares_breaker else config.failure_threshold


def supervise(
    stage: StageName,
    work: Callable[[Run], Outcome],
    *,
    conn: Connection,
    connect: Callable[[], Connection],
    config: Supervision,
    identity: Identity,
    clock: Clock,
    join: bool = False,
) -> Outcome:
    """Do a stage's work as its only run, and record how it ended.

    A paused stage does nothing and says so in the summary. `join` helps a run that is under way:
    it takes a lock of its own instead of the stage's. When `run.stop` is set and the work has not
    returned within three seconds, it is broken off where it stands by an exception.

    Raises:
        TryLater: The breaker is open, the lock is held, or a signal ended the work.
        BotticelliError: What the work raised; it is recorded before.
    """
    state = runs.read_state(conn, stage)
    if state.is_paused:
        return Outcome(exit_code=Exit.DONE, summary={"skipped": "paused"})
    _refuse_while_open(stage, state, config=config)
    stop = threading.Event()
    with _stopping_on_signals(stop):
        lock = _lock(conn, stage, config=config, identity=identity, join=join)
        run_id = runs.start(conn, stage, identity=identity, lock=lock)
        here.run = run_id
        log.info("run started", extra={"stage": stage})
        run = Run(id=run_id, stage=stage, identity=identity, stop=stop)
        books = _Books(conn=conn, connect=connect, run=run, lock=lock, config=config, clock=clock)
        return _traced(run, work, books=books)


def _traced(run: Run, work: Callable[[Run], Outcome], *, books: "_Books") -> Outcome:
    """Do the work inside a span that tells how it ended."""
    facts: dict[str, tracing.Value | None] = {
        "botticelli.stage": run.stage,
        "botticelli.run.id": run.id,
    }
    with tracing.span(run.stage, facts) as span:
        try:
            outcome = _work(run, work, books=books)
        except BotticelliError as error:
            span.set({"botticelli.run.exit_code": int(error.exit_code)})
            raise
        span.set({"botticelli.run.exit_code": int(outcome.exit_code)})
        if outcome.exit_code not in (Exit.DONE, Exit.TRY_LATER):
            span.fail(outcome.exit_code.name.lower())
        return outcome


def _refuse_while_open(stage: StageName, state: runs.StageState, *, config: Supervision) -> None:
    """Refuse while the breaker is open; when its time is over, one run may try (half open)."""
    if state.circuit_opened_at is None:
        return
    next_try = state.circuit_opened_at + config.reset_timeout
    if state.now < next_try:
        raise TryLater(
            f"the breaker is open after {state.consecutive_failures} failed runs in a row"
            f" (last: {state.last_error or 'no reason recorded'})",
            where=stage,
            hint=f"it tries again at {_clock_face(next_try)}, or run `botticelli resume {stage}`",
        )


def _lock(
    conn: Connection,
    stage: StageName,
    *,
    config: Supervision,
    identity: Identity,
    join: bool,
) -> locks.Lock:
    name = f"{stage}+{identity.owner}" if join else stage
    lock = locks.acquire(conn, name, identity=identity, lease=config.lease)
    if isinstance(lock, locks.Held):
        raise TryLater(
            f"{stage} is already running on {lock.host} (pid {lock.pid})"
            f" since {_clock_face(lock.acquired_at)}",
            hint="wait for its end, or see `botticelli locks`",
        )
    return lock


def _clock_face(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%H:%M:%S} UTC"


@record
class _Books:
    """Where a run's life is written down."""

    conn: Connection
    connect: Callable[[], Connection]
    run: Run
    lock: locks.Lock
    config: Supervision
    clock: Clock

    def keeper(self) -> LeaseKeeper:
        """Return the heartbeat of the lock; losing it stops the work."""
        return LeaseKeeper(
            connect=self.connect,
            renew=lambda conn: locks.renew(conn, self.lock, lease=self.config.lease),
            lease=self.config.lease,
            lost=self.run.stop.set,
            clock=self.clock,
        )

    def close(self, ending: runs.Ending, *, threshold: int | None, afresh: bool = False) -> None:
        """Write the ending down and free the lock; over a new connection if `afresh`."""
        with closing(self.connect()) if afresh else nullcontext(self.conn) as conn:
            runs.end(conn, self.run.id, ending=ending)
            log.info("run ended", extra={"stage": self.run.stage, **_told(ending)})
            runs.settle_stage(conn, self.run.stage, ending=ending, threshold=threshold)
            locks.release(conn, self.lock)


def _work(run: Run, work: Callable[[Run], Outcome], *, books: _Books) -> Outcome:
    try:
        with mapped_errors(), books.keeper():
            outcome = work(run)
    except BotticelliError as error:
        _close_despite(books, _ending_after(error, run))
        raise
    except Interrupted as interruption:
        stopped = TryLater("a signal ended it before it was done; the next run goes on with it")
        _close_despite(books, _ending_after(stopped, run))
        raise stopped from interruption
    except BaseException as error:
        bug = runs.Ending(state="failed", exit_code=Exit.BUG, summary={}, error=repr(error)[:500])
        _close_despite(books, bug)
        raise
    books.close(_ending_of(outcome, run), threshold=outcome.threshold(books.config))
    return outcome


def _told(ending: runs.Ending) -> dict[str, Any]:
    reason = {"error": ending.error} if ending.error else {}
    return {"state": ending.state, "exit_code": ending.exit_code, **reason}


def _close_despite(books: _Books, ending: runs.Ending) -> None:
    """Record a failure; what made the work fail may have taken its connection along.

    If the database is gone, the lease ends by itself and the next run writes the ending down: the
    first failure is the one to tell.
    """
    try:
        with mapped_errors():
            books.close(ending, threshold=books.config.failure_threshold, afresh=True)
    except BotticelliError:
        return


def _ending_of(outcome: Outcome, run: Run) -> runs.Ending:
    return runs.Ending(
        state=_state(outcome.exit_code, run),
        exit_code=outcome.exit_code,
        summary=outcome.summary,
        error=str(outcome.summary.get("error", "")),
    )


def _ending_after(error: BotticelliError, run: Run) -> runs.Ending:
    return runs.Ending(
        state=_state(error.exit_code, run),
        exit_code=error.exit_code,
        summary={},
        error=str(error.problems[0]),
    )


def _state(exit_code: Exit, run: Run) -> str:
    if exit_code == Exit.DONE:
        return "done"
    if run.stop.is_set():
        return "interrupted"
    return "done" if exit_code == Exit.TRY_LATER else "failed"


@contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`, and break the work off when it does not heed it.

    A second signal breaks off at once. Only the main thread may catch signals; elsewhere this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    reaper: list[threading.Thread] = []

    def heed(number: int, _frame: FrameType | None) -> None:
        if reaper:
            raise Interrupted
        stop.set()
        reaper.append(threading.Thread(target=_break_off, args=(number, over), daemon=True))
        reaper[0].start()

    before = {number: signal.signal(number, heed) for number in SIGNALS}
    try:
        yield
    finally:
        over.set()
        for thread in reaper:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _break_off(number: int, over: threading.Event) -> None:
    """Send the main thread its signal again: the one way out of a call that blocks."""
    if not over.wait(GRACE_SECONDS):
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, number)
