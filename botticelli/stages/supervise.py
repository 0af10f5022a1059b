"""The run of a stage: paused? -> breaker? -> lock -> run row -> its Task -> settle."""

import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from types import FrameType, MappingProxyType
from typing import Any, Final

from botticelli import tracing
from botticelli.config.model import StageName
from botticelli.config.operations import Supervision
from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.records import record
from botticelli.stages.task import PoolState, Report, Run, RunOutcome, StageContext, Task, Worker
from botticelli.stages.worker_pool import WorkerPool, work
from botticelli.store import locks, runs
from botticelli.store.connection import mapped_errors
from botticelli.store.leases import LeaseKeeper
from botticelli.store.session import PATIENCE

GRACE_SECONDS: Final = 3.0  # of the 5 s that a signal gives a run; the rest is for settling
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """Work did not stop in time after a signal, or a second signal came."""


def run_stage(task: Task[Any, Any, Report], context: StageContext, *, join: bool = False) -> Report:
    """Do a stage's work as its only run, and record how it ended.

    A paused stage does nothing. `join` helps a run that is under way: it takes a lock of its own
    instead of the stage's. Work that has not returned three seconds after a signal is broken off
    where it stands.

    Raises:
        TryLater: The breaker is open, the lock is held, or a signal ended the work.
        BotticelliError: What the work raised; it is recorded before.
    """
    with supervised(task.stage, context, join=join) as run:
        if run is None:
            skipped: Report = task.report(skipped="paused")
            return skipped
        workers = task.plan(run)
        trouble: BotticelliError | None = None
        try:
            if workers and task.queue is not None:
                WorkerPool(task, task.queue, context=context, stop=run.stop).run(workers)
            elif workers:
                work(task, Worker(conn=context.conn, pool=PoolState(run.stop)))
        except BotticelliError as error:
            trouble = error
        finally:
            if run.stop.is_set():
                task.stopped()
        report = task.finish(trouble)
        run.outcome = RunOutcome(
            exit_code=report.exit_code,
            summary=task.summary(report),
            threshold=task.threshold(report, context.config.supervision.failure_threshold),
        )
        return report


@contextmanager
def supervised(
    stage: StageName, context: StageContext, *, join: bool = False
) -> Iterator[Run | None]:
    """Let the block be the stage's only run; it sets `run.outcome`. None if the stage is paused.

    Raises:
        TryLater: The breaker is open, the lock is held, or a signal ended the block.
        BotticelliError: What the block raised; it is recorded before.
    """
    conn, config = context.conn, context.config.supervision
    state = runs.read_state(conn, stage)
    if state.is_paused:
        yield None
        return
    _refuse_while_open(stage, state, config=config)
    stop = threading.Event()
    with _stopping_on_signals(stop):
        lock = _lock(stage, context, join=join)
        run_id = runs.start(conn, stage, identity=context.identity, lock=lock)
        tracing.here.run = run_id
        log.info("run started", extra={"stage": stage})
        run = Run(id=run_id, stage=stage, stop=stop)
        with _traced(run), _recorded(_Books(context=context, run=run, lock=lock)):
            yield run


@contextmanager
def _traced(run: Run) -> Iterator[None]:
    """Put the block inside a span that records how it ended."""
    facts = {"botticelli.stage": run.stage, "botticelli.run.id": run.id}
    with tracing.span(run.stage, facts) as span:
        try:
            yield
        except BotticelliError as error:
            span.set({"botticelli.run.exit_code": int(error.exit_code)})
            raise
        assert run.outcome is not None
        exit_code = run.outcome.exit_code
        span.set({"botticelli.run.exit_code": int(exit_code)})
        if exit_code not in (Exit.DONE, Exit.TRY_LATER):
            span.fail(exit_code.name.lower())


@contextmanager
def _recorded(books: "_Books") -> Iterator[None]:
    """Keep the lock alive during the block, and write down how it ended."""
    try:
        with mapped_errors(), books.keeper():
            yield
    except BotticelliError as error:
        books.close_despite(error.exit_code, str(error.problems[0]))
        raise
    except Interrupted as interruption:
        stopped = TryLater("a signal ended it before it was done")
        books.close_despite(stopped.exit_code, str(stopped.problems[0]))
        raise stopped from interruption
    except BaseException as error:
        books.close_despite(Exit.BUG, repr(error)[:500])
        raise
    outcome = books.run.outcome
    assert outcome is not None
    books.close(
        outcome.exit_code,
        str(outcome.summary.get("error", "")),
        summary=outcome.summary,
        threshold=outcome.threshold,
    )


def _refuse_while_open(stage: StageName, state: runs.StageState, *, config: Supervision) -> None:
    """Refuse while the breaker is open; when its time is over, one run may try (half open)."""
    if state.circuit_opened_at is None:
        return
    next_try = state.circuit_opened_at + config.reset_timeout
    if state.now < next_try <= state.now + config.reset_timeout:  # none was opened in the future
        raise TryLater(
            f"the breaker is open after {state.consecutive_failures} failed runs in a row"
            f" (last: {state.last_error or 'no reason recorded'})",
            where=stage,
            hint=f"it tries again at {_clock_face(next_try)}, or run `botticelli resume {stage}`",
        )


def _lock(stage: StageName, context: StageContext, *, join: bool) -> locks.Lock:
    name = f"{stage}+{context.identity.owner}" if join else stage
    lease = context.config.supervision.lease
    lock = locks.acquire(context.conn, name, identity=context.identity, lease=lease)
    if isinstance(lock, locks.LockState):
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

    context: StageContext
    run: Run
    lock: locks.Lock

    @property
    def config(self) -> Supervision:
        """How the stage is supervised."""
        return self.context.config.supervision

    def keeper(self) -> LeaseKeeper:
        """Return the heartbeat of the lock; losing it stops the work."""
        lease, clock = self.config.lease, self.context.clock
        return LeaseKeeper(
            connect=self.context.connect,
            renew=lambda conn: locks.renew(conn, self.lock, lease=lease),
            lease=lease,
            lost=self.run.stop.set,
            clock=clock,
            patience=PATIENCE,
        )

    def close(
        self,
        exit_code: Exit,
        error: str,
        *,
        threshold: int | None,
        summary: Mapping[str, Any] = NOTHING,
        afresh: bool = False,
    ) -> None:
        """Write the ending down and free the lock; over a new connection if `afresh`."""
        state = self._state(exit_code)
        ending = runs.RunEnd(state=state, exit_code=exit_code, summary=dict(summary), error=error)
        with closing(self.context.connect()) if afresh else nullcontext(self.context.conn) as conn:
            runs.end(
                conn,
                self.run.id,
                ending=ending,
                lock=self.lock,
                stage=self.run.stage,
                threshold=threshold,
            )
            why = {"error": error} if error else {}
            facts = {"stage": self.run.stage, "state": state, "exit_code": exit_code, **why}
            log.info("run ended", extra=facts)

    def close_despite(self, exit_code: Exit, error: str) -> None:
        """Record a failure; what made the work fail may have taken its connection along.

        If the database is gone, the lease ends by itself and the next run writes the ending down:
        the first failure is the one to report.
        """
        try:
            with mapped_errors():
                threshold = self.config.failure_threshold
                self.close(exit_code, error, threshold=threshold, afresh=True)
        except BotticelliError:
            return

    def _state(self, exit_code: Exit) -> str:
        if exit_code == Exit.DONE:
            return "done"
        if exit_code != Exit.BUG and self.run.stop.is_set():
            return "interrupted"
        return "done" if exit_code == Exit.TRY_LATER else "failed"


@contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`, and break the work off if it does not stop.

    A second signal breaks off at once. Only the main thread may catch signals; elsewhere this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    reaper: list[threading.Thread] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if reaper:
            raise Interrupted
        stop.set()
        reaper.append(threading.Thread(target=_break_off, args=(number, over), daemon=True))
        reaper[0].start()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
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
