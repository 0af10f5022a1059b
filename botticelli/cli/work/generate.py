"""`botticelli generate`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shared.hooks import telling
from botticelli.cli.shared.jitter import Jitter, wait_at_random
from botticelli.cli.shared.runners import Show, progress, run_context, unseen
from botticelli.cli.shared.spending import priced, spent
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.stages.generate.dry_run import GenerateDryRun, dry_run_generate
from botticelli.stages.generate.item import Outlook
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import GenerateReport, Tick
from botticelli.stages.generate.stage import generate as run_generate
from botticelli.text import counted, span


@app.command()
def generate(
    ctx: typer.Context,
    narrative: Annotated[
        str,
        typer.Argument(
            metavar="[NARRATIVE]",
            help="FILE or FILE.NAME; else as configured.",
            autocompletion=choices.narratives,
        ),
    ] = "",
    *,
    iterations: Annotated[
        int | None, typer.Option("--iterations", min=1, help="Rounds of the carousel.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", help="Ask this model; repeat for fallbacks.", autocompletion=choices.models
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Calls under way at once.")
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Help a run that is under way elsewhere.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Abandon an unfinished batch; else it comes first.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Write a batch although none is due by the schedule.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell calls, tokens and cents; spend nothing.")
    ] = False,
    jitter: Jitter = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Have a model write candidate posts."""
    env: Environment = ctx.obj
    request = GenerateRequest(
        narrative=narrative,
        iterations=iterations,
        models=tuple(model or ()),
        workers=workers,
        join=join,
        fresh=fresh,
        now=now,
    )
    report: GenerateReport | GenerateDryRun
    wait_at_random(env, jitter)
    with telling(env, "generate", silent=dry_run), env.database() as conn:
        if dry_run:
            report = dry_run_generate(run_context(env, conn), request=request)
        else:
            env.keep_apart(conn)
            with progress(env, "posts") as show:
                report = run_generate(run_context(env, conn), request=request, watch=watcher(show))
            _complain(env, report)
    env.show(report, as_json=as_json)
    return report.exit_code


def watcher(show: Show) -> Callable[[Tick], None] | None:
    """Return what shows a run's ticks: the count, what was asked for so far, and the time left.

    None if nobody would see it: then nothing is counted either.
    """
    if show is unseen:
        return None

    def watch(tick: Tick) -> None:
        progress, usage = tick.progress, tick.usage
        total = progress.left + progress.done + progress.failed
        tokens = usage.input_tokens + usage.output_tokens
        note = f"{tick.stored} new, {usage.calls} calls, {tokens:,} tokens"
        # What is left comes first: a narrow terminal cuts the end off.
        show(progress.done + progress.failed, total, _ahead(tick.ahead) + note)

    return watch


def _ahead(ahead: Outlook) -> str:
    if ahead.day_is_short:
        return "more than the day has left, "
    if not ahead.seconds or not ahead.calls:
        return ""
    return f"{span(timedelta(seconds=ahead.seconds))} left, "


def _complain(env: Environment, report: GenerateReport) -> None:
    """Tell on stderr what went wrong: a timer's log is read there."""
    for failure in report.failures:
        env.complain(failure)
    if report.left:
        env.complain(
            f"{report.narrative}: {report.left} of {report.planned} posts are left:"
            f" {report.reason or 'they may be tried again'}; run `botticelli generate` again"
        )


@render.register
def _(report: GenerateReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {report.skipped}")
        return
    begun = "resumed" if report.resumed else "planned"
    console.line(
        f"{report.narrative}: {counted(report.planned, 'post')} {begun},"
        f" {counted(report.stored, 'new candidate')}",
        style="bold",
    )
    for count, words, style in (
        (report.repeats, "repeat an older one; curate sets them aside unpaid", "yellow"),
        (report.failed, "failed for good", "red"),
        (report.left, "left for the next run", "yellow"),
    ):
        if count:
            console.line(f"  {count} {words}", style=style)
    console.line(
        "  "
        + spent(
            report.calls,
            report.input_tokens,
            report.output_tokens,
            report.cost_usd,
            reused=report.reused,
            seconds=report.seconds,
        )
    )


@render.register
def _(report: GenerateDryRun, console: Console) -> None:
    if report.not_due:
        console.line(f"nothing yet: {report.not_due}. It would be:", style="yellow")
    begun = "an unfinished batch with" if report.resumed else "a new batch of"
    console.line(f"{report.narrative}: {begun} {counted(report.items, 'post')}", style="bold")
    console.line(
        "  "
        + priced(
            report.calls,
            report.input_tokens,
            report.output_tokens,
            report.cents,
            models=report.models,
        )
    )
