"""Curation: the judge scores what is pending, code adds up and chooses, SQL copies the text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.records import record
from botticelli.stages.curate.batch_task import JudgeLabour, Tally
from botticelli.stages.curate.judge import TABLE, Judge, bound, check, rows
from botticelli.stages.curate.prefilter import open_sieve
from botticelli.stages.curate.selection import Selection, Selector
from botticelli.stages.supervise import Outcome, Run, supervise
from botticelli.stages.worker_pool import Crew
from botticelli.store import queue, runs
from botticelli.store.curation import judging
from botticelli.text import shorten

PREVIEW: Final = 60
OUTPUT_TOKENS: Final = 200  # of the judge for one candidate: reasons with quotes, scores, a note


@record
class Approved:
    """A candidate that was approved or proposed by this run, in rank order."""

    id: int
    score: float
    preview: str


@record
class CurateReport:
    """What a curate run did.

    Args:
        set_aside: Rejected without asking the judge: no text, or a repeat.
        proposed: Held for a person to approve, best first (mode "human").
        reserved: Kept with their scores for a run in which nothing passes.
        ranked: Candidates with equal totals that the judge has put in order.
        missing: Candidate id -> why the judge gave no usable answer.
        pending: Candidates that still wait for the judge.
        reason: Why it ended early; empty: it did not.
        skipped: "paused": nothing was done.
    """

    judged: int = 0
    set_aside: int = 0
    approved: tuple[Approved, ...] = ()
    proposed: tuple[Approved, ...] = ()
    reserved: int = 0
    ranked: int = 0
    rejected: int = 0
    missing: Mapping[int, str] = field(default_factory=dict)
    pending: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    seconds: float = 0.0
    reason: str = ""
    skipped: str = ""
    exit_code: Exit = Exit.DONE


@record
class CurateForecast:
    """What a curate run would cost.

    Args:
        cents: US cents, by the price table; None: a price is not known.
    """

    candidates: int
    batches: int
    calls: int
    input_tokens: int
    output_tokens: int
    cents: float | None
    models: tuple[str, ...]
    exit_code: Exit = Exit.DONE


def curate(
    context: RunContext,
    *,
    drain: bool,
    watch: Callable[[int, int], None] = lambda _done, _total: None,
) -> CurateReport:
    """Judge one batch, or all that is pending, and then choose once.

    Scores are stored batch by batch; what a killed run has judged is chosen from by the next.
    `watch` is told twice a second how many are judged, of how many.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
        BotticelliError: Nothing could be judged, or a person has to fix something.
    """
    file, narrative = find_judge(context)
    reports: list[CurateReport] = []

    def work(run: Run) -> Outcome:
        within = replace(context, run_id=run.id, stop=run.stop)
        judge = Judge(context=within, file=file, narrative=narrative)
        job = _Job(context=within, judge=judge, run=run, drain=drain)
        reports.append(job.work(watch))
        return Outcome(exit_code=reports[0].exit_code, summary=_summary(reports[0]))

    outcome = supervise(
        "curate",
        work,
        conn=context.conn,
        connect=context.connect,
        config=context.config.supervision,
        identity=context.identity,
        clock=context.clock,
    )
    return reports[0] if reports else CurateReport(skipped=str(outcome.summary["skipped"]))


@record
class _Job:
    """One run."""

    context: RunContext
    judge: Judge
    run: Run
    drain: bool
    tally: Tally = field(default_factory=Tally)

    def work(self, watch: Callable[[int, int], None]) -> CurateReport:
        started = self.context.clock.monotonic()
        trouble = self._judge(watch)
        # A day that is spent, or a judge that is down, keeps nobody from choosing among the judged.
        outcome = Selection() if self.run.stop.is_set() else self._choose()
        if trouble and not isinstance(trouble, TryLater) and not self.tally.judged:
            raise trouble
        usage = runs.usage(self.context.conn, self.run.id)
        return CurateReport(
            judged=self.tally.judged,
            set_aside=self.tally.set_aside,
            approved=self._named(outcome, outcome.chosen.approved),
            proposed=self._named(outcome, outcome.chosen.proposed),
            reserved=len(outcome.reserved),
            ranked=len(outcome.places),
            rejected=outcome.chosen.rejected,
            missing=dict(self.tally.given_up),
            pending=judging.count_waiting(self.context.conn),
            calls=usage.calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost_usd,
            seconds=self.context.clock.monotonic() - started,
            reason=self._reason(trouble),
            exit_code=self._exit_code(trouble),
        )

    def _judge(self, watch: Callable[[int, int], None]) -> BotticelliError | None:
        """Have everything judged that can be; return what kept the rest from it."""
        config, clock = self.context.config, self.context.clock
        if not judging.count_waiting(self.context.conn):
            return None
        sieve = open_sieve(self.context.conn, config.similarity)
        self.tally.set_aside += sieve.sift(self.context.conn)
        labour = JudgeLabour(
            ask=self.judge,
            leftovers=self.judge.leftovers(self.context.conn),
            sieve=sieve,
            tally=self.tally,
            owner=self.run.identity.owner,
            lease=config.supervision.lease,
            settings=config.curate,
            drain=self.drain,
            clock=clock,
        )
        crew = Crew(
            labour,
            work=queue.CANDIDATES,
            connect=self.context.connect,
            owner=self.run.identity.owner,
            lease=config.supervision.lease,
            clock=clock,
        )
        waiting = judging.count_waiting(self.context.conn)
        total = waiting if self.drain else min(waiting, config.curate.batch)
        most = self.context.drivers.at_once(config.models.judge) or config.models.max_concurrent
        workers = min(most, -(-total // config.curate.batch)) or 1
        try:
            crew.run(workers, stop=self.run.stop, watch=lambda: watch(self.tally.judged, total))
        except BotticelliError as error:
            return error
        finally:
            if self.run.stop.is_set():
                self.context.abandon_calls()
        return None

    def _choose(self) -> Selection:
        selector = Selector(
            conn=self.context.conn,
            settings=self.context.config.curate,
            near=self.context.config.similarity.near,
            ask=partial(self.judge.rank, self.context.conn) if self.judge.can_rank else None,
            chance=self.context.chance,
            note=self.context.note,
        )
        return selector.settle(run_id=self.run.id)

    @staticmethod
    def _named(outcome: Selection, ids: Iterable[int]) -> tuple[Approved, ...]:
        best = {one.id: one for one in outcome.best}
        return tuple(
            Approved(
                id=id_,
                score=float(best[id_].curation_score),
                preview=shorten(best[id_].text_content, PREVIEW),
            )
            for id_ in ids
        )

    def _reason(self, trouble: BotticelliError | None) -> str:
        if self.run.stop.is_set():
            return "it was asked to stop; the next run goes on"
        return str(trouble) if trouble else ""

    def _exit_code(self, trouble: BotticelliError | None) -> Exit:
        if self.run.stop.is_set():
            return Exit.TRY_LATER
        if trouble is not None:
            return trouble.exit_code
        return Exit.FAILED if self.tally.given_up else Exit.DONE


def find_judge(context: RunContext) -> tuple[NarrativeFile, Narrative]:
    """Return the configured judge's narrative, with its file.

    Raises:
        ConfigError: There is none, or it does not answer with scores.
    """
    file, narrative = context.find(context.config.curate.narrative)
    check(narrative, file=file)
    return file, narrative


def preview_curate(context: RunContext, *, drain: bool) -> CurateForecast:
    """Return what `curate` would judge and cost. Nothing is spent, written, claimed or locked."""
    file, narrative = find_judge(context)
    size = context.config.curate.batch
    waiting = judging.peek_waiting(context.conn, limit=None if drain else size)
    options = RunOptions(models=context.config.models.judge)
    runner, caller = dry_runner(context, file, options=options)
    batches = [waiting[start : start + size] for start in range(0, len(waiting), size)]
    for group in batches:
        caller.typical_output = len(group) * OUTPUT_TOKENS
        runner.run(bound(narrative, group), tables={TABLE: rows(group)})
    cents = [call.cents for call in caller.calls]
    return CurateForecast(
        candidates=len(waiting),
        batches=len(batches),
        calls=len(caller.calls),
        input_tokens=sum(call.input_tokens for call in caller.calls),
        output_tokens=sum(call.output_tokens for call in caller.calls),
        cents=None if None in cents else sum(each for each in cents if each is not None),
        models=tuple(sorted({call.model for call in caller.calls})),
    )


def _summary(report: CurateReport) -> dict[str, Any]:
    return {
        "judged": report.judged,
        "set_aside": report.set_aside,
        "approved": [one.id for one in report.approved],
        "proposed": [one.id for one in report.proposed],
        "rejected": report.rejected,
        "missing": len(report.missing),
        "pending": report.pending,
        "calls": report.calls,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "cost_usd": float(report.cost_usd),
        **({"error": report.reason} if report.reason else {}),
    }
