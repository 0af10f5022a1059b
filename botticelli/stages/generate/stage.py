"""Generation: a batch of items, planned once, drained by workers, resumed after any ending."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from botticelli.backoff import Backoff
from botticelli.errors import BotticelliError, ConfigError, Exit, TryLater, Unavailable
from botticelli.models.base import PermanentError, TransientError, UnusableAnswer
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext
from botticelli.narrative.run.results import Execution
from botticelli.records import record
from botticelli.stages.generate.arms import draw_arms, examples, shared
from botticelli.stages.generate.item import (
    ItemRun,
    NotYet,
    Outlook,
    count_reused,
    look_ahead,
)
from botticelli.stages.generate.occasion import occasion
from botticelli.stages.generate.plan import (
    LONGEST_LEFT,
    NOTHING_NEW,
    GenerateRequest,
    iterations_of,
    plan_items,
    recent_posts,
    reference_of,
    why_not_due,
    with_something_to_say,
)
from botticelli.stages.supervise import run_stage
from botticelli.stages.task import Counts, FirstFailures, Run, Task, Worker
from botticelli.store import queue, runs
from botticelli.store.connection import Connection, DatabaseAway, attempts, once
from botticelli.store.generation import batches, items
from botticelli.store.generation.batches import Batch, Progress
from botticelli.store.generation.items import Item
from botticelli.store.leases import LostLease
from botticelli.store.queue import Claim
from botticelli.store.session import lend

# Stored with the run, as is its cost.
NOTED: Final = (
    "narrative", "batch", "planned", "stored", "repeats", "failed", "left",
    "calls", "reused", "input_tokens", "output_tokens",
)  # fmt: skip
BACKOFF: Final = Backoff(base=5, cap=120, jitter=0.5)  # before an item is tried again
LOOK_SECONDS: Final = 1.0  # how often an idle worker looks for what another process gave back


@record
class GenerateReport(runs.RunUsage):
    """What a generate run did.

    Args:
        planned: Items of the batch; `resumed`: it had been begun before.
        stored: Candidates with a new text; `repeats` say word for word what an older one says: they
            are kept as well, and curate sets them aside unpaid.
        failed: Items that failed for good; `failures` has the first of them with the reason.
        left: Items that the next run goes on with.
        reused: Answers that had been paid for before.
        reason: Why it ended early; empty: it did not.
        skipped: Why nothing was done; empty: something was.
    """

    narrative: str = ""
    batch: int | None = None
    resumed: bool = False
    planned: int = 0
    stored: int = 0
    repeats: int = 0
    failed: int = 0
    left: int = 0
    reused: int = 0
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    reason: str = ""
    skipped: str = ""
    exit_code: Exit = Exit.DONE


@record
class Tick:
    """How far a run is, twice a second."""

    progress: Progress
    stored: int
    usage: runs.RunUsage
    ahead: Outlook


def generate(
    context: RunContext,
    *,
    request: GenerateRequest,
    watch: Callable[[Tick], None] | None = None,
    admit: Callable[[NarrativeFile, Narrative], None] = lambda file, narrative: None,  # noqa: ARG005
) -> GenerateReport:
    """Finish an unfinished batch of the narrative, or plan one and drain it.

    A timer's run first finishes what people began of other narratives and did not finish; a spent
    quota or a signal there ends it. `admit` raises what forbids a narrative.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
        BotticelliError: Nothing can be done before a person fixes something.
    """
    task = GenerateTask(context, request, watch)
    admit(task.file, task.narrative)
    for name in task.left_behind() if request.goes_on else ():
        try:
            other = GenerateTask(context, replace(request, narrative=name, resumes=True), watch)
            admit(other.file, other.narrative)
            report = run_stage(other, context)
        except TryLater:
            raise
        except BotticelliError as error:  # the schedule's own batch does not wait for it
            context.note(f"the unfinished batch of {name} cannot go on: {error}")
            continue
        if report.exit_code == Exit.TRY_LATER:
            return report
        if report.batch is not None:
            context.note(f"an unfinished batch of {name} is finished: {report.stored} new posts")
    return run_stage(task, context, join=request.join)


class GenerateTask(Task[Item, Execution, GenerateReport]):
    """One run at one batch; a piece is an item.

    Raises:
        ConfigError: There is no such narrative.
    """

    stage = "generate"
    report = GenerateReport
    queue = queue.ITEMS

    def __init__(
        self,
        context: RunContext,
        request: GenerateRequest,
        watch: Callable[[Tick], None] | None,
    ) -> None:
        self._context = context
        self._conn = context.conn
        self._config = context.config
        self._request = request
        self._watch = watch
        self._counts = Counts()
        wanted = request.narrative or self._config.generate.narrative
        self.file, self.narrative = context.find(wanted)
        self._name = reference_of(self.file, self.narrative)
        self._skipped = ""

    def left_behind(self) -> list[str]:
        """Return the other narratives that have unfinished batches; old ones are given up."""
        return batches.list_left_behind(self._conn, self._name, longest=LONGEST_LEFT)

    def plan(self, run: Run) -> int:
        """See Task: take up an unfinished batch, or plan one if it is due."""
        self._run = run
        self._first = FirstFailures(runs.read_state(self._conn, self.stage).last_error)
        context = replace(self._context, run_id=run.id, stop=run.stop)
        if self._request.fresh:
            batches.abandon(self._conn, self._name)
        batch = batches.find_open(self._conn, self._name)
        if batch is None:
            self._skipped = self._why_none()
            if self._skipped:
                return 0
        self._resumed = batch is not None
        self._batch = batch or self._plan_batch()
        self._began = self._context.clock.monotonic()
        self._item_run = ItemRun(
            context=context,
            file=self.file,
            outer=self.narrative,
            override=self._request.models or tuple(self._batch.options.get("models", ())),
            recent_posts=str(self._batch.options.get("recent_posts", "")),
            day=self._batch.options,
            counts=self._counts,
        )
        try:
            self._deepest_first = self._item_run.calls_left(self._conn) is not None
            asked = self._first.workers or self._request.workers or self._item_run.at_once
            most = asked or self._config.models.max_concurrent
            return max(1, min(most, self._progress(self._conn).left))
        except BotticelliError:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """Abandon a batch that, say, a missing key stopped before anything was asked."""
        batches.abandon_unused(self._conn, self._batch.id)

    def _why_none(self) -> str:
        """Return why no batch is to be planned; empty if one is."""
        if self._request.join or self._request.resumes:
            return f"{self._name} has no unfinished batch to help with"
        if why := why_not_due(self._context, self._name, request=self._request):
            return why
        iterations = iterations_of(
            self.narrative,
            asked=self._request.iterations,
            configured=self._config.generate.iterations,
        )
        items = plan_items(self.file, self.narrative, iterations=iterations)
        items = shared(self._conn, self._config, self.file, items, now=runs.now(self._conn))
        self._items = with_something_to_say(self._conn, self.file, items)
        return "" if self._items else NOTHING_NEW

    def _plan_batch(self) -> Batch:
        conn, items, run_id = self._conn, self._items, self._run.id
        now = runs.now(conn)
        arms, slots = draw_arms(conn, self._config, items, now=now)
        told = examples(conn, self._config, now=now)
        options = {
            "models": list(self._request.models),
            "asked": self._request.is_explicit,
            # As it is now: a resumed item has to ask the very same question again.
            "recent_posts": recent_posts(self._conn),
            **occasion(self._config, now=now, conn=conn),
            **({"arms": arms} if self._config.experiments else {}),
            **({"examples": told} if told else {}),
        }
        name = self._name
        return once(
            conn,
            lambda: batches.plan(
                conn, name, items=items, options=options, run_id=run_id, slots=slots
            ),
        )

    def claim(self, worker: Worker) -> Item | None:
        """See Task. Waits while others may still give some back."""
        while not worker.pool.is_closing:
            item = items.claim(
                worker.conn,
                self._batch.id,
                owner=self._context.identity.owner,
                lease=self._config.supervision.lease,
                deepest_first=self._deepest_first,
            )
            if item is not None:
                return item
            progress = self._progress(worker.conn)
            if not progress.left:
                return None
            lend(worker.conn)
            worker.pool.wait(_patience(progress))
        return None

    def claims(self, piece: Item) -> tuple[Claim, ...]:
        """See Task."""
        return (piece.claim,)

    def do(self, worker: Worker, piece: Item) -> Execution:
        """See Task. What was made is stored and the item settled in one transaction."""
        for attempt in attempts(worker.conn):  # what was answered is stored, and found again
            with attempt:
                return self._item_run(worker.conn, piece)
        raise AssertionError("attempts end by themselves")

    def settle(self, worker: Worker, piece: Item, made: Execution | BotticelliError) -> None:
        """See Task."""
        if isinstance(made, Execution):
            self._first.worked()
            self._counts.add(reused=count_reused(made))
        elif isinstance(made, LostLease):
            self._requeue(worker, piece)  # changes nothing if it is the item that is lost
        elif isinstance(made, NotYet):
            # At random, so that two who stand in each other's way do not do so for ever.
            self._requeue(worker, piece, wait=LOOK_SECONDS * self._context.chance.uniform(0.5, 1.5))
        elif isinstance(made, TransientError):
            self._try_again(worker, piece, made)
        elif isinstance(made, DatabaseAway):
            raise made  # the lease ends by itself
        elif self._concerns_all(made):  # not the item's fault: it can be done later
            self._requeue(worker, piece)
            raise made
        else:
            self._give_up(worker, piece, made)

    def _give_up(self, worker: Worker, item: Item, error: BotticelliError) -> None:
        """Settle an item that has failed for good, unless all do: then it waits for a fix, too.

        Raises:
            BotticelliError: The first items have all failed like it.
        """
        over = self._first.over(error)
        is_refused = isinstance(error, PermanentError) and not isinstance(error, UnusableAnswer)
        if over > 0 and is_refused:
            self._requeue(worker, item)
        else:
            items.settle_failed(worker.conn, item, error=str(error))
        if over >= 0 and self._progress(worker.conn).left:
            raise self._first.reason(error, "item", where=self._name)
        if not self._config.generate.retry.continue_on_error:
            worker.pool.close()

    def _concerns_all(self, error: BotticelliError) -> bool:
        if isinstance(error, PermanentError):
            return error.unrecoverable and self._config.generate.retry.stop_on_unrecoverable
        return isinstance(error, TryLater | ConfigError | Unavailable)

    def _try_again(self, worker: Worker, item: Item, error: TransientError) -> None:
        if item.attempts >= self._config.generate.retry.max_retries:
            items.settle_failed(worker.conn, item, error=str(error))
            self._counts.add(unreached=1)
            return
        wait = BACKOFF.after(
            item.attempts + 1, asked=error.retry_after, chance=self._context.chance
        )
        self._requeue(worker, item, error=str(error), wait=wait)

    def _requeue(
        self, worker: Worker, item: Item, *, error: str = "", wait: float | None = None
    ) -> None:
        delay = None if wait is None else timedelta(seconds=wait)
        items.requeue(worker.conn, item, error=error, wait=delay)

    def watch(self) -> None:
        """See Task."""
        if self._watch is None:
            return
        usage = runs.usage(self._conn, self._run.id)
        ahead = look_ahead(
            self._conn,
            self._item_run,
            batch_id=self._batch.id,
            usage=usage,
            elapsed=self._context.clock.monotonic() - self._began,
        )
        progress = self._progress(self._conn)
        self._watch(
            Tick(progress=progress, stored=self._counts["stored"], usage=usage, ahead=ahead)
        )

    def stopped(self) -> None:
        """See Task."""
        self._context.abandon_calls()

    def finish(self, trouble: BotticelliError | None) -> GenerateReport:
        """See Task."""
        if self._skipped:
            return GenerateReport(narrative=self._name, skipped=self._skipped)
        if trouble is not None and not isinstance(trouble, TryLater):
            self._take_back()
            raise trouble
        batches.finish(self._conn, self._batch.id)
        seconds = self._context.clock.monotonic() - self._began
        progress = self._progress(self._conn)
        return GenerateReport(
            narrative=self._name,
            batch=self._batch.id,
            resumed=self._resumed,
            planned=progress.left + progress.done + progress.failed,
            stored=self._counts["stored"],
            repeats=self._counts["repeats"],
            failed=progress.failed,
            left=progress.left,
            reused=self._counts["reused"],
            seconds=seconds,
            failures=tuple(
                f"{name} {iteration}: {why}"
                for name, iteration, why in batches.list_failures(self._conn, self._batch.id)
            ),
            reason=self._run.why_early(trouble),
            exit_code=_exit_code(progress, self._counts),
            **vars(runs.usage(self._conn, self._run.id)),
        )

    def summary(self, report: GenerateReport) -> dict[str, Any]:
        """See Task."""
        error = report.reason or "; ".join(report.failures[:1])
        return {
            **({"nothing": report.skipped} if report.skipped else {}),
            **{name: getattr(report, name) for name in NOTED},
            "cost_usd": float(report.cost_usd),
            **({"error": error} if error else {}),
        }

    def _progress(self, conn: Connection) -> Progress:
        return batches.progress(conn, self._batch.id)


def _patience(progress: Progress) -> float:
    """Return for how many seconds an idle worker need not look."""
    if progress.next_at is None:
        return LOOK_SECONDS
    wait = (progress.next_at - progress.now).total_seconds()
    return min(max(wait, 0.02), LOOK_SECONDS)


def _exit_code(progress: Progress, counts: Counts) -> Exit:
    if progress.left:
        return Exit.TRY_LATER
    if counts["unreached"] and counts["unreached"] == progress.failed + progress.done:
        return Exit.UNAVAILABLE
    return Exit.FAILED if progress.failed else Exit.DONE
