"""`botticelli generate`."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from botticelli.cli.shared import choices
from botticelli.cli.shared.command_guard import require_trust
from botticelli.cli.shared.runners import Show, progress, run_context
from botticelli.cli.shared.stage_run import Jitter, going_on, idle_words, priced, spent, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.stages.generate.item import Outlook
from botticelli.stages.generate.plan import GenerateDryRun, GenerateRequest, dry_run_generate
from botticelli.stages.generate.stage import GenerateReport, Tick
from botticelli.stages.generate.stage import generate as run_generate
from botticelli.text import counted, span


@command(writes=True)
def generate(
    env: Environment,
    narrative: choices.Narrative = "",
    *,
    iterations: choices.Iterations = None,
    model: choices.ModelNames = None,
    workers: int | None = None,
    join: bool = False,
    fresh: bool = False,
    now: bool = False,
    dry_run: bool = False,
    jitter: Jitter = None,
) -> GenerateReport | GenerateDryRun:
    """Write candidate posts with a language model.

    Takes:
        narrative [NARRATIVE]: FILE or FILE.NAME; by default the configured one.
        workers N: Number of concurrent calls.
        join: Help a run that is active elsewhere.
        fresh: Abandon an unfinished batch instead of resuming it.
        now: Start a batch even if none is due by the schedule.
        dry_run: Show calls, tokens and cost; spend nothing.

    Examples:
        botticelli generate --dry-run
        botticelli generate short_posts.batch --iterations 2
    """
    request = GenerateRequest(
        narrative=narrative,
        iterations=iterations,
        models=tuple(model or ()),
        workers=workers,
        join=join,
        fresh=fresh,
        now=now,
    )
    with stage_run(env, "generate", jitter=jitter, dry_run=dry_run) as conn:
        if dry_run:
            return dry_run_generate(run_context(env, conn), request=request)
        context = run_context(env, conn)
        admit = partial(require_trust, env, context)
        with progress(env, "posts") as show:
            report = run_generate(context, request=request, watch=watcher(show), admit=admit)
        _complain(env, report)
        return report


def watcher(show: Show | None) -> Callable[[Tick], None] | None:
    """Return what shows a run's ticks: the count, what was asked for so far, and the time left.

    None if nothing is shown: then nothing is counted either.
    """
    if show is None:
        return None

    def watch(tick: Tick) -> None:
        progress, usage = tick.progress, tick.usage
        total = progress.left + progress.done + progress.failed
        tokens = usage.input_tokens + usage.output_tokens
        note = f"{tick.stored} new, {counted(usage.calls, 'call')}, {counted(tokens, 'token')}"
        # What is left comes first: a narrow terminal cuts the end off.
        show(progress.done + progress.failed, total, _ahead(tick.ahead) + note)

    return watch


def _ahead(ahead: Outlook) -> str:
    if ahead.day_is_short:
        return "more than the daily limit allows, "
    if not ahead.seconds or not ahead.calls:
        return ""
    return f"{span(timedelta(seconds=ahead.seconds))} left, "


def _complain(env: Environment, report: GenerateReport) -> None:
    """Print what went wrong on stderr, which the log of a timer keeps."""
    for failure in report.failures:
        env.complain(failure)
    if report.left:
        env.complain(
            f"{report.narrative}: {report.left} of {counted(report.planned, 'post')} left:"
            f" {report.reason or 'they can be retried'}; run `{going_on(env)}` again"
        )


@render.register
def _(report: GenerateReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {idle_words('generate', report.skipped)}")
        return
    begun = "resumed" if report.resumed else "planned"
    console.line(
        f"{report.narrative}: {counted(report.planned, 'post')} {begun},"
        f" {counted(report.stored, 'new candidate')}",
        style="bold",
    )
    repeats = "repeating older posts; curate rejects what repeats without a call"
    for count, words, style in (
        (report.repeats, repeats, "yellow"),
        (report.failed, "failed permanently", "red"),
        (report.left, "left for the next run", "yellow"),
    ):
        if count:
            console.line(f"  {count} {words}", style=style)
    console.line("  " + spent(report, reused=report.reused, seconds=report.seconds))


@render.register
def _(report: GenerateDryRun, console: Console) -> None:
    for other in report.before:
        render(other, console)
    if report.not_due:
        console.line(f"nothing yet: {report.not_due}. It would be:", style="yellow")
    begun = "an unfinished batch with" if report.resumed else "a new batch of"
    console.line(f"{report.narrative}: {begun} {counted(report.items, 'post')}", style="bold")
    console.line("  " + priced(report))
