"""`botticelli runs` and `botticelli logs`."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Listing, render, state
from botticelli.config.model import STAGES
from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.reads.runs import PastRun, RunStep, past_runs, steps_of
from botticelli.text import counted, shorten, span

KINDS: Final = (*STAGES, "run")  # the last: narratives that were run by hand
MOST: Final = 2**63 - 1  # what an id can be
WIDTH: Final = 80
# Keys of a run's summary that are shown elsewhere or not at all.
NO_COUNTS: Final = ("calls", "input_tokens", "output_tokens", "cost_usd", "batch", "reused")


@record
class RunDetails:
    """A run and all it did, in the order of time."""

    run: PastRun
    steps: tuple[RunStep, ...]


@command()
def runs(env: Environment, *, stage: str | None = None, limit: int = 20) -> Listing:
    """List recent runs with their results and costs.

    Takes:
        stage STAGE: Only of generate, curate, post, run.
        limit N: Show at most N runs.

    Examples:
        botticelli runs --stage curate --limit 5
    """
    if stage is not None and stage not in KINDS:
        raise UsageError(f"there is no stage '{stage}'", hint=f"name one of {', '.join(KINDS)}")
    with env.database() as conn:
        found = past_runs(conn, stage=stage, limit=limit)
    return Listing(name="runs", rows=found, columns=RAN, empty="nothing has run yet")


@command()
def logs(conn: Connection, run: str) -> RunDetails:
    """Show what a run did, step by step.

    Takes:
        run RUN: The number of a run, or a stage: its last run.

    Examples:
        botticelli logs 17
        botticelli logs generate
    """
    is_id = run.isascii() and run.isdigit()
    if not is_id and run not in KINDS:
        raise UsageError(
            f"'{run}' is not a run",
            hint=f"give its number, or one of {', '.join(KINDS)}: its last",
        )
    stage, number = (None, int(run)) if is_id else (run, None)
    found = past_runs(conn, run=number, stage=stage, limit=1) if (number or 0) <= MOST else ()
    if not found:
        what = f"there is no run {run}" if is_id else f"{run} has not run yet"
        raise UsageError(what, hint="see `botticelli runs`")
    return RunDetails(run=found[0], steps=tuple(steps_of(conn, found[0].id)))


@render.register
def _(report: RunDetails, console: Console) -> None:
    run = report.run
    code = f", exit code {run.exit_code}" if run.exit_code is not None else ""
    console.line(state(run.state, f"run {run.id}: {run.stage} {run.state}{code}"))
    until = f"to {run.ended_at:%H:%M:%S}" if run.ended_at else "until now"
    took = f"{_took(run.seconds)} on {run.host}, pid {run.pid}"
    console.line(f"from {run.started_at:%Y-%m-%d %H:%M:%S} {until} UTC: {took}")
    if run.calls:
        console.line(
            f"{counted(run.calls, 'call')}, {counted(run.tokens, 'token')}, ${run.cost_usd:.4f}"
        )
    if counts := _counts(run):
        console.line(counts)
    if run.error:
        console.line(run.error, style="red")
    if report.steps:
        console.line()
    for step in report.steps:
        for line in _lines(step):
            console.line(state(step.state.partition(",")[0], line))


def _outcome(run: PastRun) -> str | None:
    text = run.error or _counts(run)
    cost = f"${run.cost_usd:.4f}" if run.cost_usd else ""
    return "; ".join(filter(None, (shorten(text, WIDTH), cost))) or None


def _counts(run: PastRun) -> str:
    """Return what the run recorded about itself in words: "3 approved, 47 rejected"."""
    words = []
    for name, value in run.summary.items():
        count = len(value) if isinstance(value, list) else value
        is_count = isinstance(count, int) and not isinstance(count, bool) and count > 0
        if is_count and name not in NO_COUNTS:
            is_idle = name == "nothing"
            words.append("nothing to do" if is_idle else f"{count} {name.replace('_', ' ')}")
    return ", ".join(words)


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else span(timedelta(seconds=seconds))


def _lines(step: RunStep) -> Iterator[str]:
    """Yield a step as a line, and what went wrong below it."""
    facts = [
        step.state,
        f"{step.seconds:.1f} s" if step.seconds is not None else "",
        counted(step.tokens, "token") if step.tokens else "",
        f"${step.cost_usd:.6f}" if step.cost_usd else "",
    ]
    subject = step.name if step.what in step.name else f"{step.what} {step.name}"
    line = f"{step.at:%H:%M:%S} {subject}: {', '.join(filter(None, facts))}"
    detail = step.detail or ""
    if step.what == "delivery":
        yield line
        if detail:
            yield f"         {detail}"
    else:
        room = max(WIDTH - len(line) - 2, 0)
        yield f"{line}  {shorten(detail, room)}" if detail and room >= 12 else line
    for part in (step.error or "").splitlines():
        yield f"         {part}"


RAN: Final[Columns] = {
    "run>": "id",
    "stage": "stage",
    "started (UTC)": lambda run: f"{run.started_at:%Y-%m-%d %H:%M}",
    "took>": lambda run: _took(run.seconds),
    "state": lambda run: state(run.state),
    "calls>": lambda run: run.calls or None,
    "what": _outcome,
}
