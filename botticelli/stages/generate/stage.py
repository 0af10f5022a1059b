"""Generation: a batch of items, planned once, drained by workers, resumed after any ending."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from decimal import Decimal
from typing import Any, Final

from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.records import record
from botticelli.stages.generate.item import Counts, ItemRun, Outlook, look_ahead
from botticelli.stages.generate.item_task import ItemLabour
from botticelli.stages.generate.plan import (
    GenerateRequest,
    iterations_of,
    plan_items,
    reference_of,
    why_not_due,
)
from botticelli.stages.supervise import Outcome, Run, supervise
from botticelli.stages.worker_pool import Crew
from botticelli.store import queue, runs
from botticelli.store.connection import Connection
from botticelli.store.generation import batches, candidates
from botticelli.store.generation.batches import Batch, Progress
from botticelli.text import shorten

RECENT: Final = 20  # openings that a new post must not resemble
OPENING: Final = 90  # characters of each


@record
class GenerateReport:
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
    calls: int = 0
    reused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
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


@record
class GenerateForecast:
    """What a generate run would cost; estimates, high rather than low.

    Args:
        resumed: An unfinished batch would be finished.
        cents: US cents; None: the price of a model is not known.
        not_due: Why nothing would be done yet; empty: it would.
    """

    narrative: str
    resumed: bool
    items: int
    calls: int
    input_tokens: int
    output_tokens: int
    cents: float | None
    models: tuple[str, ...]
    not_due: str = ""
    exit_code: Exit = Exit.DONE


def generate(
    context: RunContext,
    *,
    request: GenerateRequest,
    watch: Callable[[Tick], None] | None = None,
) -> GenerateReport:
    """Finish an unfinished batch of the narrative, or plan one and drain it.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
        BotticelliError: Nothing can be done before a person fixes something.
    """
    file, narrative = context.find(request.narrative or context.config.generate.narrative)
    reports: list[GenerateReport] = []

    def work(run: Run) -> Outcome:
        within = replace(context, run_id=run.id, stop=run.stop)
        job = _Job(context=within, request=request, file=file, narrative=narrative, run=run)
        report = job.work(watch)
        reports.append(report)
        return Outcome(exit_code=report.exit_code, summary=_summary(report))

    outcome = supervise(
        "generate",
        work,
        conn=context.conn,
        connect=context.connect,
        config=context.config.supervision,
        identity=context.identity,
        clock=context.clock,
        join=request.join,
    )
    return reports[0] if reports else GenerateReport(skipped=str(outcome.summary["skipped"]))


@record
class _Job:
    """One run at one batch."""

    context: RunContext
    request: GenerateRequest
    file: NarrativeFile
    narrative: Narrative
    run: Run
    counts: Counts = field(default_factory=Counts)

    def work(self, watch: Callable[[Tick], None] | None) -> GenerateReport:
        name = reference_of(self.file, self.narrative)
        if self.request.fresh:
            batches.abandon(self.context.conn, name)
        batch = batches.find_open(self.context.conn, name)
        if batch is None and self.request.join:
            return GenerateReport(narrative=name, skipped="no batch to help with")
        if batch is None and (why := why_not_due(self.context, name, request=self.request)):
            return GenerateReport(narrative=name, skipped=why)
        resumed = batch is not None
        batch = batch or self._plan(name)
        started = self.context.clock.monotonic()
        try:
            trouble = self._drain(batch, watch)
        except BotticelliError:
            # Nobody shall find tomorrow what a missing key has stopped before anything was asked.
            batches.take_back(self.context.conn, batch.id)
            raise
        batches.finish(self.context.conn, batch.id)
        seconds = self.context.clock.monotonic() - started
        return self._report(batch, resumed=resumed, trouble=trouble, seconds=seconds)

    def _plan(self, name: str) -> Batch:
        iterations = iterations_of(
            self.narrative,
            asked=self.request.iterations,
            configured=self.context.config.generate.iterations,
        )
        return batches.plan(
            self.context.conn,
            name,
            items=plan_items(self.file, self.narrative, iterations=iterations),
            options={
                "models": list(self.request.models),
                "asked": self.request.is_explicit,
                # As it is now: a resumed item has to ask the very same question again.
                "recent_posts": recent_posts(self.context.conn),
            },
            run_id=self.run.id,
        )

    def _drain(self, batch: Batch, watch: Callable[[Tick], None] | None) -> BotticelliError | None:
        """Run what can be run; return what kept the rest from it, if a later run may fare better.

        Raises:
            BotticelliError: A person has to fix something first.
        """
        config, clock = self.context.config, self.context.clock
        item_run = ItemRun(
            context=self.context,
            file=self.file,
            outer=self.narrative,
            override=self.request.models or tuple(batch.options.get("models", ())),
            recent_posts=str(batch.options.get("recent_posts", "")),
            counts=self.counts,
        )
        labour = ItemLabour(
            run_item=item_run,
            unreached=lambda: self.counts.add(unreached=1),
            batch_id=batch.id,
            owner=self.run.identity.owner,
            lease=config.supervision.lease,
            retry=config.generate.retry,
            deepest_first=item_run.calls_left(self.context.conn) is not None,
            clock=clock,
            chance=self.context.chance,
        )
        crew = Crew(
            labour,
            work=queue.ITEMS,
            connect=self.context.connect,
            owner=self.run.identity.owner,
            lease=config.supervision.lease,
            clock=clock,
        )
        left = batches.progress(self.context.conn, batch.id).left
        workers = self.request.workers or item_run.at_once or config.models.max_concurrent
        workers = max(1, min(workers, left))
        tick = self._ticker(batch, item_run, watch) if watch else lambda: None
        try:
            crew.run(workers, stop=self.run.stop, watch=tick)
        except TryLater as error:
            return error
        finally:
            if self.run.stop.is_set():
                self.context.abandon_calls()
        return None

    def _ticker(
        self, batch: Batch, item_run: ItemRun, watch: Callable[[Tick], None]
    ) -> Callable[[], None]:
        clock = self.context.clock
        began = clock.monotonic()

        def tick() -> None:
            usage = runs.usage(self.context.conn, self.run.id)
            watch(
                Tick(
                    progress=batches.progress(self.context.conn, batch.id),
                    stored=self.counts.stored,
                    usage=usage,
                    ahead=look_ahead(
                        self.context.conn,
                        item_run,
                        batch_id=batch.id,
                        usage=usage,
                        elapsed=clock.monotonic() - began,
                    ),
                )
            )

        return tick

    def _report(
        self, batch: Batch, *, resumed: bool, trouble: BotticelliError | None, seconds: float
    ) -> GenerateReport:
        progress = batches.progress(self.context.conn, batch.id)
        usage = runs.usage(self.context.conn, self.run.id)
        return GenerateReport(
            narrative=batch.narrative,
            batch=batch.id,
            resumed=resumed,
            planned=progress.left + progress.done + progress.failed,
            stored=self.counts.stored,
            repeats=self.counts.repeats,
            failed=progress.failed,
            left=progress.left,
            calls=usage.calls,
            reused=self.counts.reused,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost_usd,
            seconds=seconds,
            failures=tuple(
                f"{name} {iteration}: {why}"
                for name, iteration, why in batches.list_failures(self.context.conn, batch.id)
            ),
            reason=self._reason(trouble),
            exit_code=_exit_code(progress, self.counts),
        )

    def _reason(self, trouble: BotticelliError | None) -> str:
        if self.run.stop.is_set():
            return "it was asked to stop; the next run goes on"
        return str(trouble) if trouble else ""


def _exit_code(progress: Progress, counts: Counts) -> Exit:
    if progress.left:
        return Exit.TRY_LATER
    if counts.unreached and counts.unreached == progress.failed + progress.done:
        return Exit.UNAVAILABLE
    return Exit.FAILED if progress.failed else Exit.DONE


def _summary(report: GenerateReport) -> Mapping[str, Any]:
    error = report.reason or "; ".join(report.failures[:1])
    return {
        **({"nothing": report.skipped} if report.skipped else {}),
        "narrative": report.narrative,
        "batch": report.batch,
        "planned": report.planned,
        "stored": report.stored,
        "repeats": report.repeats,
        "failed": report.failed,
        "left": report.left,
        "calls": report.calls,
        "reused": report.reused,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "cost_usd": float(report.cost_usd),
        **({"error": error} if error else {}),
    }


def recent_posts(conn: Connection) -> str:
    """Return the openings of the newest candidates, a line each, for `{{recent_posts}}`."""
    texts = candidates.list_recent(conn, limit=RECENT)
    return "\n".join(f"- {shorten(text, OPENING)}" for text in texts) or "(none yet)"


def preview_generate(context: RunContext, *, request: GenerateRequest) -> GenerateForecast:
    """Return what `generate` would do and cost. Nothing is spent, written or locked.

    Each narrative is walked through once, and counted as often as it would be run.
    """
    file, narrative = context.find(request.narrative or context.config.generate.narrative)
    name = reference_of(file, narrative)
    batch = None if request.fresh else batches.peek_open(context.conn, name)
    iterations = iterations_of(
        narrative, asked=request.iterations, configured=context.config.generate.iterations
    )
    planned: dict[str, int] = {}
    if batch is None:
        for key, _ in plan_items(file, narrative, iterations=iterations):
            planned[key] = planned.get(key, 0) + 1
    else:
        planned = {one.narrative: one.items for one in batches.list_waiting(context.conn, batch.id)}
    options = RunOptions(
        models=context.config.models.default,
        only=request.models,
        variables={"recent_posts": recent_posts(context.conn), "iteration": "1"},
    )
    runner, caller = dry_runner(context, file, options=options)
    weighted = []
    for key, times in planned.items():
        before = len(caller.calls)
        runner.run(file.narratives[key])
        weighted += [(call, times) for call in caller.calls[before:]]
    cents = [None if call.cents is None else call.cents * times for call, times in weighted]
    return GenerateForecast(
        narrative=name,
        resumed=batch is not None,
        items=sum(planned.values()),
        calls=sum(times for _, times in weighted),
        input_tokens=sum(call.input_tokens * times for call, times in weighted),
        output_tokens=sum(call.output_tokens * times for call, times in weighted),
        cents=None if None in cents else sum(each for each in cents if each is not None),
        models=tuple(sorted({call.model for call, _ in weighted})),
        not_due=why_not_due(context, name, request=request) if batch is None else "",
    )
