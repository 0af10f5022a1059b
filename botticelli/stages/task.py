"""What a stage consists of: a Task, which `supervise.run_stage` drives through one skeleton.

    plan -> claim -> do -> settle -> claim -> ... -> finish

A new stage is one module with a Task; pause, breaker, lock, run row, signals, heartbeats and
worker threads are `run_stage`'s.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from botticelli.clock import Clock
from botticelli.config.model import Config, StageName
from botticelli.errors import BotticelliError, Exit
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.leases import Identity
from botticelli.store.queue import Claim, Queue

Piece = TypeVar("Piece")
Made = TypeVar("Made")
Report = TypeVar("Report", bound="StageReport")


class StageContext(Protocol):
    """What every stage is given from outside."""

    @property
    def conn(self) -> Connection:
        """The main thread's connection."""

    @property
    def config(self) -> Config:
        """The configuration."""

    @property
    def connect(self) -> Callable[[], Connection]:
        """Opens one more connection; the caller closes it."""

    @property
    def identity(self) -> Identity:
        """Whose name stands on locks, leases and runs."""

    @property
    def clock(self) -> Clock:
        """Time."""


class StageReport(Protocol):
    """What a run did. `skipped` says why it did nothing; empty if it did something."""

    @property
    def skipped(self) -> str:
        """Why nothing was done."""

    @property
    def exit_code(self) -> Exit:
        """What the command ends with."""


@record
class RunOutcome:
    """How a run is recorded.

    Args:
        summary: Must be JSON.
        threshold: After how many failures in a row, ending like this, the breaker opens; None if
            this one does not count.
    """

    exit_code: Exit
    summary: Mapping[str, Any]
    threshold: int | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class Run:
    """One start of a stage.

    Args:
        stop: Set by SIGTERM, SIGINT or a lost lock: claim nothing more, finish or release, return.
        outcome: Set when the work has ended.
    """

    id: int
    stage: StageName
    stop: threading.Event = field(default_factory=threading.Event)
    outcome: RunOutcome | None = None

    def why_early(self, trouble: BotticelliError | None) -> str:
        """Return why the work ended before everything was done; empty if it did not."""
        if self.stop.is_set():
            return "it was asked to stop"
        return str(trouble) if trouble else ""


class Counts:
    """What a run has done so far, counted by name from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, **counts: int) -> None:
        """Count."""
        with self._lock:
            self._counts.update(counts)

    def __getitem__(self, name: str) -> int:
        """Return the count of that name."""
        return self._counts[name]


class FirstFailures:
    """Whether the first pieces of a run have all failed for good, and alike: then none is paid for.

    Args:
        before: How the stage's last run has failed; if it was like that, one failure is enough.
    """

    ALIKE: Final = "failed alike"
    MOST: Final = 3

    def __init__(self, before: str | None) -> None:
        self._most = 1 if self.ALIKE in (before or "") else self.MOST
        self._lock = threading.Lock()
        self._alike: list[str] | None = []  # None: one has worked, or failed otherwise

    @property
    def workers(self) -> int | None:
        """How many workers are worth having: one, if one failure is enough; None for any."""
        return 1 if self._most == 1 else None

    def worked(self) -> None:
        """Note that a piece is done: what fails from now on fails for itself."""
        with self._lock:
            self._alike = None

    def over(self, error: BotticelliError) -> int:
        """Return by how many this failure is more than can be borne; below 0: it can be borne."""
        with self._lock:
            kind = re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "", error.what)
            if self._alike is None or (self._alike and self._alike[0] != kind):
                self._alike = None
                return -1
            self._alike.append(kind)
            return len(self._alike) - (self._most if self._most > 1 else 0)

    def reason(self, error: BotticelliError, what: str, *, where: str) -> BotticelliError:
        """Return why the run ends: all of its first pieces (`what`) have failed like `error`."""
        first = f"the first {self._most} {what}s" if self._most > 1 else f"another {what}"
        reason = BotticelliError(
            f"{first} {self.ALIKE}: {error}",
            where=where,
            hint="what is left waits until that is fixed, and costs nothing",
        )
        reason.exit_code = error.exit_code
        return reason


class PoolState:
    """What the workers of one run share.

    Args:
        stop: Set from outside: take nothing more.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._enough = threading.Event()
        self._changed = threading.Condition()
        self._held: set[Claim] = set()
        self.reason: BaseException | None = None  # the first for which a worker closed the pool

    @property
    def is_closing(self) -> bool:
        """Whether nothing more may be taken."""
        return self._stop.is_set() or self._enough.is_set()

    def close(self, reason: BaseException | None = None) -> None:
        """Let no worker take anything more."""
        if isinstance(reason, BotticelliError) and isinstance(self.reason, type(reason)):
            problems = (*self.reason.problems, *reason.problems)  # what each has lost
            self.reason.problems = tuple(dict.fromkeys(problems))
        self.reason = self.reason or reason
        self._enough.set()
        with self._changed:
            self._changed.notify_all()

    def hold(self, claims: Iterable[Claim]) -> None:
        """Keep these leases alive from now on."""
        with self._changed:
            self._held.update(claims)

    def drop(self, claims: Iterable[Claim]) -> None:
        """These are settled or given back; others may look again."""
        with self._changed:
            self._held.difference_update(claims)
            self._changed.notify_all()

    def claims(self) -> frozenset[Claim]:
        """Return what is held now."""
        with self._changed:
            return frozenset(self._held)

    def wait(self, seconds: float) -> None:
        """Wait until something is dropped, for that long at most."""
        with self._changed:
            if not self.is_closing:
                self._changed.wait(seconds)


@record
class Worker:
    """One thread at work: its own connection, and what it shares with the others."""

    conn: Connection
    pool: PoolState


class Task(Generic[Piece, Made, Report]):
    """The work of one run of a stage.

    `claim`, `do` and `settle` are called by each worker in turn, from several threads at once
    where there is a queue; the others from the main thread. A piece is done outside any
    transaction and settled behind its fence. What a method raises ends the run; other than
    BotticelliError it is a bug.

    Attributes:
        stage: Its name.
        report: Makes a report.
        queue: What pieces are claimed from; their leases are kept alive by a heartbeat. None:
            leases last long enough, and everything is done by the main thread.
    """

    stage: ClassVar[StageName]
    report: ClassVar[Callable[..., Any]]
    queue: ClassVar[Queue | None] = None

    def plan(self, run: Run) -> int:
        """Prepare the run; return how many workers there is work for, 0 for none."""
        raise NotImplementedError

    def claim(self, worker: Worker) -> Piece | None:
        """Return the next piece; None if there is nothing more to do."""
        raise NotImplementedError

    def claims(self, piece: Piece) -> tuple[Claim, ...]:  # noqa: ARG002 - for those who have any
        """Return the leases of a piece."""
        return ()

    def do(self, worker: Worker, piece: Piece) -> Made:
        """Do the work at a piece.

        Raises:
            BotticelliError: It failed; `settle` decides what that means.
        """
        raise NotImplementedError

    def settle(self, worker: Worker, piece: Piece, made: Made | BotticelliError) -> None:
        """Write down what came of a piece, or why nothing did.

        Raises:
            BotticelliError: No further piece can be done now.
        """
        raise NotImplementedError

    def watch(self) -> None:
        """Report progress; called twice a second."""

    def stopped(self) -> None:
        """Record the calls that workers are still at after a signal; they are not waited for."""

    def finish(self, trouble: BotticelliError | None) -> Report:
        """Return what the run did. `trouble`: why it ended early.

        Raises:
            BotticelliError: The run failed as a whole.
        """
        raise NotImplementedError

    def summary(self, report: Report) -> Mapping[str, Any]:
        """Return what is stored with the run; must be JSON."""
        raise NotImplementedError

    def threshold(self, report: Report, configured: int) -> int | None:  # noqa: ARG002
        """Return after how many failures in a row, ending like this, the breaker opens."""
        return configured
