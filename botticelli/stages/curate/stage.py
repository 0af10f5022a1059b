"""Curation: the judge scores what is pending, code adds up and chooses, SQL copies the text."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final

from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.narrative.answers.dry_run import CallsEstimate, PlannedCall, estimate
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.records import record
from botticelli.stages.curate.approval_choice import ApprovalChoice, choose_approvals
from botticelli.stages.curate.batch import BatchJudging
from botticelli.stages.curate.judge import TABLE, Judge, bound, draw_codes, find_judge, rows
from botticelli.stages.curate.prefilter import Prefilter
from botticelli.stages.supervise import run_stage
from botticelli.stages.task import Counts, FirstFailures, Run, Task, Worker
from botticelli.store import queue, runs
from botticelli.store.curation import duplicates, house_rules, judging
from botticelli.store.curation.choice import Chosen
from botticelli.store.curation.judging import Candidate
from botticelli.store.queue import Claim
from botticelli.text import shorten

if TYPE_CHECKING:
    from botticelli.stages.adapt.stage import AdaptReport

PREVIEW: Final = 60
MOST_RUNS: Final = 3  # without a usable answer; then a candidate is held for a person
NOTED: Final = ("pending", "calls", "input_tokens", "output_tokens")  # stored with the run as is
Batch = tuple[Candidate, ...]
Watch = Callable[[int, int], None]
Adapt = Callable[[RunContext], "AdaptReport"]
USUAL_LENGTH: Final = 1000  # characters of a post
OUTPUT_TOKENS: Final = 200  # of the judge for one candidate: reasons with quotes, scores, a note


@record
class Approved:
    """A candidate that was approved or proposed by this run, in rank order."""

    id: int
    score: float
    preview: str


@record
class CurateReport(runs.RunUsage):
    """What a curate run did.

    Args:
        set_aside: Rejected without asking the judge: no text, a repeat, or what no destination
            takes.
        proposed: Held for a person to approve, best first (mode "human").
        perhaps: Candidate id -> why it is held for a person: it may repeat something.
        reserved: Kept with their scores for a run in which nothing passes.
        ranked: Candidates with equal totals that the judge has put in order.
        rejections: Candidate id -> score and why, of those rejected by the choice; best first.
        missing: Candidate id -> why the judge gave no usable answer.
        pending: Candidates that still wait for the judge.
        adapted: What became of approved posts that are too long for a destination.
        reason: Why it ended early; empty: it did not.
        idle: Why there was nothing to do; empty: there was.
        skipped: "paused": nothing was done.
    """

    judged: int = 0
    set_aside: int = 0
    approved: tuple[Approved, ...] = ()
    proposed: tuple[Approved, ...] = ()
    perhaps: Mapping[int, str] = field(default_factory=dict)
    reserved: int = 0
    ranked: int = 0
    rejected: int = 0
    rejections: Mapping[int, str] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)
    pending: int = 0
    adapted: "AdaptReport | None" = None
    seconds: float = 0.0
    reason: str = ""
    idle: str = ""
    skipped: str = ""
    exit_code: Exit = Exit.DONE


def curate(
    context: RunContext, *, drain: bool, watch: Watch | None = None, adapt: Adapt | None = None
) -> CurateReport:
    """Judge one batch, or all that is pending, and then choose once.

    Scores are stored batch by batch; what a killed run has judged is chosen from by the next.
    `watch` gets twice a second how many are judged, of how many; `adapt` is called at the end.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
        BotticelliError: Nothing could be judged, or a person has to fix something.
    """
    return run_stage(CurateTask(context, drain=drain, watch=watch, adapt=adapt), context)


class CurateTask(Task[Batch, dict[int, str], CurateReport]):
    """One run; a piece is a batch of candidates.

    Raises:
        ConfigError: There is no judge, or it does not answer with scores.
    """

    stage = "curate"
    report = CurateReport
    queue = queue.CANDIDATES

    def __init__(
        self, context: RunContext, *, drain: bool, watch: Watch | None, adapt: Adapt | None = None
    ) -> None:
        self._context = context
        self._conn = context.conn
        self._config = context.config
        self._drain = drain
        self._watch = watch
        self._adapt = adapt
        self._counts = Counts()
        self._given_up: dict[int, str] = {}  # id -> why; not tried again in this run
        self._has_claimed = False
        self._file, self._narrative = find_judge(context.config, cwd=context.cwd)

    def plan(self, run: Run) -> int:
        """See Task: reject what needs no judge, and count the batches of what is left."""
        self._run = run
        self._first = FirstFailures(runs.read_state(self._conn, self.stage).last_error)
        self._began = self._context.clock.monotonic()
        context = replace(self._context, run_id=run.id, stop=run.stop)
        self._judge = Judge(
            context=context,
            file=self._file,
            narrative=self._narrative,
            rules=house_rules.current(self._conn),
        )
        judging.forget_stale_scores(self._conn)
        if not judging.count_waiting(self._conn):
            return 0
        config = self._config
        self._prefilter = Prefilter(config)
        self._counts.add(set_aside=self._prefilter.reject_waiting(self._conn))
        self._unread = self._judge.unread(self._conn)
        waiting = judging.count_waiting(self._conn)
        self._total = waiting if self._drain else min(waiting, config.curate.batch)
        at_once = self._first.workers or self._context.drivers.at_once(config.models.judge)
        most = at_once or config.models.max_concurrent
        return min(most, -(-self._total // config.curate.batch)) or 1

    def claim(self, worker: Worker) -> Batch | None:
        """See Task."""
        if self._has_claimed and not self._drain:
            return None
        self._has_claimed = True
        claimed = judging.claim_batch(
            worker.conn,
            owner=self._context.identity.owner,
            limit=self._config.curate.batch,
            lease=self._config.supervision.lease,
            passed_over=tuple(self._given_up),
        )
        return claimed or None

    def claims(self, piece: Batch) -> tuple[Claim, ...]:
        """See Task."""
        return tuple(each.claim for each in piece)

    def do(self, worker: Worker, piece: Batch) -> dict[int, str]:
        """See Task. Scores are stored as soon as they are there: they are paid for."""
        aside = self._prefilter.reject_claimed(worker.conn, piece)
        self._counts.add(set_aside=len(aside))
        near = duplicates.list_nearest(worker.conn, [each.id for each in piece])
        batch = BatchJudging(
            worker,
            [replace(each, near=near.get(each.id, ())) for each in piece if each.id not in aside],
            ask=self._judge,
            counts=self._counts,
            first=self._first,
            settings=self._config.curate,
        )
        batch.take_unread(self._unread)
        return batch.judge()

    def settle(self, worker: Worker, piece: Batch, made: dict[int, str] | BotticelliError) -> None:
        """See Task: give those back that got no usable answer."""
        if isinstance(made, BotticelliError):
            raise made
        claims = {each.id: each.claim for each in piece}
        for id_, why in made.items():
            judging.requeue(worker.conn, [claims[id_]], error=why, max_attempts=MOST_RUNS)
            self._given_up[id_] = why

    def watch(self) -> None:
        """See Task."""
        if self._watch is not None:
            self._watch(self._counts["judged"], self._total)

    def stopped(self) -> None:
        """See Task."""
        self._context.abandon_calls()

    def finish(self, trouble: BotticelliError | None) -> CurateReport:
        """See Task: choose among all that is judged and undecided."""
        # A spent day or an unreachable judge does not prevent a choice among the judged.
        choice = ApprovalChoice() if self._run.stop.is_set() else choose_approvals(self._judge)
        if trouble and not isinstance(trouble, TryLater) and not self._counts["judged"]:
            raise trouble
        adapted = None
        if self._adapt and not self._run.stop.is_set():
            adapted = self._adapt(replace(self._context, run_id=self._run.id, stop=self._run.stop))
        has_judged = self._counts["judged"] or self._counts["set_aside"] or self._given_up
        return CurateReport(
            idle="" if has_judged or choice.chosen != Chosen() else judging.why_idle(self._conn),
            judged=self._counts["judged"],
            set_aside=self._counts["set_aside"],
            approved=_named(choice, choice.chosen.approved),
            proposed=_named(choice, choice.chosen.proposed),
            perhaps=choice.chosen.held,
            reserved=len(choice.reserved),
            ranked=len(choice.places),
            rejected=choice.chosen.rejected,
            rejections=choice.chosen.reasons,
            missing=dict(self._given_up),
            pending=judging.count_waiting(self._conn),
            adapted=adapted,
            seconds=self._context.clock.monotonic() - self._began,
            reason=self._run.why_early(trouble),
            exit_code=self._exit_code(trouble) or (adapted.exit_code if adapted else Exit.DONE),
            **vars(runs.usage(self._conn, self._run.id)),
        )

    def summary(self, report: CurateReport) -> dict[str, Any]:
        """See Task."""
        return {
            "judged": report.judged,
            "set_aside": report.set_aside,
            "approved": [one.id for one in report.approved],
            "proposed": [one.id for one in report.proposed],
            **({"perhaps": list(report.perhaps)} if report.perhaps else {}),
            "rejected": report.rejected,
            "missing": len(report.missing),
            **{name: getattr(report, name) for name in NOTED},
            "cost_usd": float(report.cost_usd),
            **(report.adapted.summary if report.adapted else {}),
            **({"error": report.reason} if report.reason else {}),
        }

    def _exit_code(self, trouble: BotticelliError | None) -> Exit:
        if self._run.stop.is_set():
            return Exit.TRY_LATER
        if trouble is not None:
            return trouble.exit_code
        return Exit.FAILED if self._given_up else Exit.DONE


def _named(choice: ApprovalChoice, ids: Iterable[int]) -> tuple[Approved, ...]:
    best = {one.id: one for one in choice.best}
    return tuple(
        Approved(
            id=id_,
            score=float(best[id_].curation_score),
            preview=shorten(best[id_].text_content, PREVIEW),
        )
        for id_ in ids
    )


@record
class CurateDryRun(CallsEstimate):
    """What a curate run would cost."""

    candidates: int
    batches: int
    exit_code: Exit = Exit.DONE


def dry_run_curate(context: RunContext, *, drain: bool) -> CurateDryRun:
    """Return what `curate` would judge and cost. Nothing is spent, written, claimed or locked."""
    file, narrative = find_judge(context.config, cwd=context.cwd)
    size = context.config.curate.batch
    waiting = judging.peek_waiting(context.conn, limit=None if drain else size)
    batches = [waiting[start : start + size] for start in range(0, len(waiting), size)]
    calls = [call for group in batches for call in walk_batch(context, file, narrative, group)]
    return CurateDryRun(candidates=len(waiting), batches=len(batches), **vars(estimate(calls)))


def walk_batch(
    context: RunContext, file: NarrativeFile, narrative: Narrative, group: Sequence[Candidate]
) -> Sequence[PlannedCall]:
    """Return the calls that a batch of candidates takes. Nothing is changed."""
    options = RunOptions(
        models=context.config.models.judge, variables=house_rules.current(context.conn).words
    )
    runner, caller = dry_runner(context, file, options=options)
    caller.typical_output = len(group) * OUTPUT_TOKENS
    codes = draw_codes([each.id for each in group], seed=0)
    runner.run(bound(narrative, codes), tables={TABLE: rows(group, codes)})
    return caller.calls


def calls_of_a_batch(
    context: RunContext, file: NarrativeFile, narrative: Narrative
) -> Iterator[Sequence[PlannedCall]]:
    """Yield the calls of a full batch of posts of usual length."""
    group = [
        Candidate(
            id=number,
            fence=0,
            text_content="a word " * (USUAL_LENGTH // 7),
            content_type="discord_post",
            tags=None,
            source_narrative=None,
            attempts=0,
        )
        for number in range(context.config.curate.batch)
    ]
    yield walk_batch(context, file, narrative, group)
