"""`botticelli learn`."""

from botticelli.cli.shared.runners import run_context
from botticelli.cli.shared.stage_run import Jitter, idle_words, priced, spent, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.stages.curate.learn import LearnDryRun, LearnReport, dry_run_learn
from botticelli.stages.curate.learn import learn as run_learn
from botticelli.text import counted, shorten


@command(writes=True)
def learn(
    env: Environment, *, dry_run: bool = False, jitter: Jitter = None
) -> LearnReport | LearnDryRun:
    """Propose house rules from what people edited, rejected and approved.

    One call about the lessons that no rules were made of. Nothing holds before you accept it:
    `botticelli rules`.

    Takes:
        dry_run: Show lessons, calls and cost; spend nothing.

    Examples:
        botticelli learn --dry-run
        botticelli learn && botticelli rules review
    """
    with stage_run(env, "curate", jitter=jitter, dry_run=dry_run) as conn:
        context = run_context(env, conn)
        return dry_run_learn(context) if dry_run else run_learn(context)


@render.register
def _(report: LearnReport, console: Console) -> None:
    if report.skipped or report.idle:
        why = idle_words("curate", report.skipped) if report.skipped else report.idle
        console.line(f"nothing done: {why}")
        return
    console.line(
        f"{counted(report.lessons, 'lesson')}, {counted(len(report.proposed), 'rule')} proposed",
        style="bold",
    )
    for one in report.proposed:
        console.line(f"  {one.text}", style="cyan")
        console.line(f"    {one.why}")
    if report.proposed:
        console.line("  accept, edit or drop them with: botticelli rules review")
    for one in report.refused:
        console.line(f"  refused: {shorten(one.text, 80)}: {one.refused}", style="yellow")
    if report.left:
        console.line(f"  {counted(report.left, 'lesson')} left for the next run")
    console.line("  " + spent(report, reused=int(report.reused), seconds=report.seconds))


@render.register
def _(report: LearnDryRun, console: Console) -> None:
    console.line(report.idle or counted(report.lessons, "lesson"), style="bold")
    if not report.idle:
        console.line("  " + priced(report))
