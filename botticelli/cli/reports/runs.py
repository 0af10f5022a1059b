"""`botticelli runs` and `botticelli logs`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Final, TypeVar

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.reports.runs import KINDS, RunsReport, RunStory, list_runs, tell_run
from botticelli.store.reads.runs import PastRun, Step
from botticelli.text import counted, shorten

Told = TypeVar("Told", PastRun, Step)
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]

WIDTH: Final = 80
STYLES: Final = {
    "running": "bold cyan",
    "done": "green",
    "failed": "red",
    "interrupted": "yellow",
    "posted": "green",
    "unusable": "yellow",
    "held": "yellow",
    "uncertain": "bold red",
}
TOLD: Final = ("calls", "input_tokens", "output_tokens", "cost_usd", "batch", "reused")  # elsewhere


@app.command()
def runs(
    ctx: typer.Context,
    *,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="STAGE", help=f"Only of {', '.join(KINDS)}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most runs shown.")] = 20,
    as_json: Json = False,
) -> int:
    """List the latest runs: when, how they ended, what they cost."""
    env: Environment = ctx.obj
    with env.database() as conn:
        report = list_runs(conn, stage=stage, limit=limit, now=env.clock.pinned())
    report = replace(report, runs=tuple(_hidden(run, env.hide) for run in report.runs))
    env.show(report, as_json=as_json)
    return report.exit_code


@app.command()
def logs(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's number, or a stage: its last run.")
    ],
    *,
    as_json: Json = False,
) -> int:
    """Tell what a run did, step by step, with times, costs and errors."""
    env: Environment = ctx.obj
    with env.database() as conn:
        report = tell_run(conn, run, now=env.clock.pinned())
    report = replace(
        report,
        run=_hidden(report.run, env.hide),
        steps=tuple(_hidden(step, env.hide) for step in report.steps),
    )
    env.show(report, as_json=as_json)
    return report.exit_code


def _hidden(one: Told, hide: Callable[[str], str]) -> Told:
    """Return it without secrets in its error: a plugin may have put one there, or a bug."""
    return replace(one, error=hide(one.error)) if one.error else one


@render.register
def _(report: RunsReport, console: Console) -> None:
    if not report.runs:
        console.line("nothing has run yet")
        return
    console.table(
        ("run", "stage", "started (UTC)", "took", "state", "calls", "what"),
        [
            (
                run.id,
                run.stage,
                f"{run.started_at:%Y-%m-%d %H:%M}",
                _took(run.seconds),
                Styled(run.state, STYLES.get(run.state, "")),
                run.calls or None,
                _outcome(run),
            )
            for run in report.runs
        ],
        right=("run", "took", "calls"),
    )


@render.register
def _(report: RunStory, console: Console) -> None:
    run = report.run
    code = f", exit code {run.exit_code}" if run.exit_code is not None else ""
    console.line(f"run {run.id}: {run.stage} {run.state}{code}", style=STYLES.get(run.state, ""))
    until = f"to {run.ended_at:%H:%M:%S}" if run.ended_at else "until now"
    took = f"{_took(run.seconds)} on {run.host}, pid {run.pid}"
    console.line(f"from {run.started_at:%Y-%m-%d %H:%M:%S} {until} UTC: {took}")
    if run.calls:
        console.line(f"{counted(run.calls, 'call')}, {run.tokens:,} tokens, ${run.cost_usd:.4f}")
    if counts := _counts(run):
        console.line(counts)
    if run.error:
        console.line(run.error, style="red")
    if report.steps:
        console.line()
    for step in report.steps:
        for line in _lines(step):
            console.line(line, style=STYLES.get(step.state.partition(",")[0], ""))


def _outcome(run: PastRun) -> str | None:
    told = run.error or _counts(run)
    cost = f"${run.cost_usd:.4f}" if run.cost_usd else ""
    return "; ".join(filter(None, (shorten(told, WIDTH), cost))) or None


def _counts(run: PastRun) -> str:
    """Return what the run recorded about itself in words: "3 approved, 47 rejected"."""
    words = []
    for name, value in run.summary.items():
        count = len(value) if isinstance(value, list) else value
        if name in TOLD or not _is_count(count):
            continue
        words.append("nothing to do" if name == "nothing" else f"{count} {name.replace('_', ' ')}")
    return ", ".join(words)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _took(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _lines(step: Step) -> Iterator[str]:
    """Yield a step as a line, and what went wrong below it."""
    facts = [
        step.state,
        f"{step.seconds:.1f} s" if step.seconds is not None else "",
        f"{step.tokens:,} tokens" if step.tokens else "",
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
