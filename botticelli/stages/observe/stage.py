"""The observe stage: count what readers did with posts, at fixed ages of each."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from botticelli.errors import BotticelliError, Exit
from botticelli.platforms.base import NotSent, Receipt
from botticelli.records import record
from botticelli.stages.post.target import PostContext
from botticelli.stages.supervise import run_stage
from botticelli.stages.task import Run, Task, Worker
from botticelli.store import spending
from botticelli.store.delivery import engagement
from botticelli.store.delivery.engagement import DueLook

MOST: Final = 1000  # messages in one run
AT_ONCE: Final = 100  # of one destination, in one look


@record
class Observed:
    """What a run found at one destination.

    Args:
        counted: Messages whose reactions were counted; `gone` were not there any more.
        unknown: Messages of which the platform said nothing.
        note: Why nothing was counted.
    """

    destination: str
    counted: int = 0
    gone: int = 0
    unknown: int = 0
    note: str = ""
    exit_code: Exit = Exit.DONE


@record
class ObserveReport:
    """What a run of observe did. `skipped` says why it did nothing."""

    results: tuple[Observed, ...] = ()
    skipped: str = ""
    reason: str = ""
    exit_code: Exit = Exit.DONE


@record
class DueBatch:
    """Messages of one destination."""

    destination: str
    looks: tuple[DueLook, ...]


def observe(context: PostContext) -> ObserveReport:
    """Count reactions that are due, as the stage's only run.

    Raises:
        TryLater: The breaker is open or another run holds the lock.
    """
    return run_stage(ObserveTask(context), context)


class ObserveTask(Task[DueBatch, Observed, ObserveReport]):
    """One run; a piece is what is due at one destination."""

    stage = "observe"
    report = ObserveReport

    def __init__(self, context: PostContext) -> None:
        self._context = context
        self._results: list[Observed] = []

    def plan(self, run: Run) -> int:
        """See Task."""
        self._run = run
        names = list(self._context.config.destinations)
        due = engagement.list_due(self._context.conn, names, limit=MOST)
        batches = list(_batches(due))
        self._due = iter(batches)
        return len(batches)

    def claim(self, worker: Worker) -> DueBatch | None:
        """See Task."""
        return None if worker.pool.is_closing else next(self._due, None)

    def do(self, worker: Worker, piece: DueBatch) -> Observed:
        """See Task. Each message is stored by itself: what was counted before a kill stays."""
        target = self._context.open(self._context.config.destinations[piece.destination])
        platform = target.platform
        if not platform.observes:
            return Observed(destination=piece.destination, unknown=len(piece.looks))
        price = platform.look_price * len(piece.looks)
        if price:
            account = target.wanted.place or piece.destination
            most = Decimal(str(target.destination.dollars_a_month))
            if not spending.book(worker.conn, account, price, needed=price, most=most):
                what = f"counting costs ${price:.3f}, above what is left of dollars_a_month"
                raise NotSent(what, where=piece.destination)
        receipts = [Receipt(remote_id=one.remote_id, url=one.url) for one in piece.looks]
        found = platform.observe(receipts)
        counted = gone = 0
        for one, receipt in zip(piece.looks, receipts, strict=True):
            if one.remote_id not in found:
                continue
            counts = found[one.remote_id]
            own = platform.own_replies(receipt, one.messages)
            if counts and own:
                counts = {**counts, "replies": max(counts.get("replies", 0) - own, 0)}
            engagement.keep(worker.conn, one, counts)
            counted, gone = counted + (counts is not None), gone + (counts is None)
        unknown = len(piece.looks) - counted - gone
        return Observed(destination=piece.destination, counted=counted, gone=gone, unknown=unknown)

    def settle(self, worker: Worker, piece: DueBatch, made: Observed | BotticelliError) -> None:
        """See Task. A destination that cannot be asked costs the others nothing."""
        del worker
        if isinstance(made, BotticelliError):
            code = Exit.UNAVAILABLE if isinstance(made, NotSent) else made.exit_code
            made = Observed(destination=piece.destination, note=str(made), exit_code=code)
        self._results.append(made)

    def finish(self, trouble: BotticelliError | None) -> ObserveReport:
        """See Task."""
        if trouble is not None:
            raise trouble
        codes = [one.exit_code for one in self._results]
        codes = [] if Exit.DONE in codes else codes
        return ObserveReport(
            results=tuple(self._results),
            reason=self._run.why_early(None),
            exit_code=codes[0] if codes else Exit.DONE,
        )

    def summary(self, report: ObserveReport) -> dict[str, Any]:
        """See Task."""
        failed = [f"{one.destination}: {one.note}" for one in report.results if one.note]
        return {
            "counted": sum(one.counted for one in report.results),
            "gone": sum(one.gone for one in report.results),
            "unknown": sum(one.unknown for one in report.results),
            **({"error": failed[0]} if failed else {}),
        }


def _batches(due: Sequence[DueLook]) -> Iterator[DueBatch]:
    for name, found in groupby(due, key=lambda one: one.destination):
        looks = tuple(found)
        for start in range(0, len(looks), AT_ONCE):
            yield DueBatch(destination=name, looks=looks[start : start + AT_ONCE])
