"""Curation: the judge scores what is pending, code adds up and chooses, SQL copies the text."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.config.model import Config
from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.stages.crew import Crew
from botticelli.stages.judge_labour import Ask, JudgeLabour, Tally
from botticelli.stages.rubric import choose
from botticelli.stages.supervise import Outcome, Run, supervise
from botticelli.store import candidates, choice, queue, runs
from botticelli.store.connection import Connection
from botticelli.store.identity import Identity
from botticelli.text import shorten

BEST: Final = 50  # looked at for the choice; more than enough for a few that are not alike
RECENT: Final = 200  # approved posts that a new one must not repeat
PREVIEW: Final = 60


@dataclass(frozen=True, kw_only=True)
class Approved:
    """A candidate that was approved by this run, in rank order."""

    id: int
    score: float
    preview: str


@dataclass(frozen=True, kw_only=True)
class CurateReport:
    """What a curate run did.

    Args:
        set_aside: Rejected without asking the judge: no text, or the very text of an older one.
        missing: Candidate id -> why the judge gave no usable answer.
        pending: Candidates that still wait for the judge.
        reason: Why it ended early; empty: it did not.
        skipped: "paused": nothing was done.
    """

    judged: int = 0
    set_aside: int = 0
    approved: tuple[Approved, ...] = ()
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Curation:
    """All that a curate run works with.

    Args:
        ask: Makes the judge of a run; `Ask` is called from worker threads.
        connect: Opens one more connection.
        watch: Told twice a second how many are judged.
    """

    config: Config
    connect: Callable[[], Connection]
    ask: Callable[[Run], Ask]
    identity: Identity
    clock: Clock
    watch: Callable[[int], None] = lambda _: None


def curate(conn: Connection, curation: Curation, *, drain: bool) -> CurateReport:
    """Judge one batch, or all that is pending, and then choose once.

    Scores are stored batch by batch; what a killed run has judged is chosen from by the next.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
        BotticelliError: Nothing could be judged, or a person has to mend something.
    """
    reports: list[CurateReport] = []

    def work(run: Run) -> Outcome:
        report = _curate(conn, curation, run=run, drain=drain)
        reports.append(report)
        return Outcome(exit_code=report.exit_code, summary=_summary(report))

    outcome = supervise(
        "curate",
        work,
        conn=conn,
        connect=curation.connect,
        config=curation.config.supervision,
        identity=curation.identity,
        clock=curation.clock,
    )
    return reports[0] if reports else CurateReport(skipped=str(outcome.summary["skipped"]))


def _curate(conn: Connection, curation: Curation, *, run: Run, drain: bool) -> CurateReport:
    started = curation.clock.monotonic()
    tally = Tally()
    trouble = _judge(curation, run=run, tally=tally, drain=drain)
    # A day that is spent, or a judge that is down, keeps nobody from choosing among what is judged.
    approved, rejected = ((), 0) if run.stop.is_set() else _choose(conn, curation, run=run)
    if trouble is not None and not isinstance(trouble, TryLater) and not tally.judged:
        raise trouble
    usage = runs.usage(conn, run.id)
    return CurateReport(
        judged=tally.judged,
        set_aside=tally.set_aside,
        approved=approved,
        rejected=rejected,
        missing=dict(tally.given_up),
        pending=candidates.count_waiting(conn),
        calls=usage.calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        seconds=curation.clock.monotonic() - started,
        reason=_reason(trouble, run),
        exit_code=_exit_code(trouble, run=run, tally=tally),
    )


def _judge(curation: Curation, *, run: Run, tally: Tally, drain: bool) -> BotticelliError | None:
    """Have everything judged that can be; return what kept the rest from it."""
    config = curation.config
    labour = JudgeLabour(
        ask=curation.ask(run),
        tally=tally,
        owner=run.identity.owner,
        lease=config.supervision.lease,
        batch=config.curate.batch,
        drain=drain,
        retry=config.curate.retry,
        clock=curation.clock,
    )
    crew = Crew(
        labour,
        work=queue.CANDIDATES,
        connect=curation.connect,
        owner=run.identity.owner,
        lease=config.supervision.lease,
        clock=curation.clock,
    )
    with closing(curation.connect()) as conn:
        waiting = candidates.count_waiting(conn) if drain else 1
    batches = -(-waiting // config.curate.batch)
    workers = max(1, min(config.models.max_concurrent, batches)) if drain else 1
    try:
        crew.run(workers, stop=run.stop, watch=lambda: curation.watch(tally.judged))
    except BotticelliError as error:
        return error
    return None


def _choose(conn: Connection, curation: Curation, *, run: Run) -> tuple[tuple[Approved, ...], int]:
    settings = curation.config.curate
    judged = choice.list_judged(conn, min_score=settings.min_score, limit=BEST)
    taken = choice.list_recent_texts(conn, limit=RECENT) if judged else ()
    best = {one.id: one for one in choose(judged, most=settings.approve_per_run, taken=taken)}
    chosen = choice.settle_choice(
        conn, tuple(best), by="auto", run_id=run.id, now=curation.clock.pinned()
    )
    approved = tuple(
        Approved(
            id=id_,
            score=float(best[id_].curation_score),
            preview=shorten(best[id_].text_content, PREVIEW),
        )
        for id_ in chosen.approved
    )
    return approved, chosen.rejected


def _reason(trouble: BotticelliError | None, run: Run) -> str:
    if run.stop.is_set():
        return "it was asked to stop; the next run goes on"
    return str(trouble) if trouble else ""


def _exit_code(trouble: BotticelliError | None, *, run: Run, tally: Tally) -> Exit:
    if run.stop.is_set():
        return Exit.TRY_LATER
    if trouble is not None:
        return trouble.exit_code
    return Exit.FAILED if tally.given_up else Exit.DONE


def _summary(report: CurateReport) -> dict[str, Any]:
    return {
        "judged": report.judged,
        "set_aside": report.set_aside,
        "approved": [one.id for one in report.approved],
        "rejected": report.rejected,
        "missing": len(report.missing),
        "pending": report.pending,
        "calls": report.calls,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "cost_usd": float(report.cost_usd),
        **({"error": report.reason} if report.reason else {}),
    }
