"""`botticelli learn`; and how work beside a stage's own reads."""

from typing import Final

from botticelli.cli.shared.runners import run_context
from botticelli.cli.shared.stage_run import Jitter, idle_words, priced, spent, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Listing, render
from botticelli.stages.aside import AsideDryRun, AsideReport
from botticelli.stages.curate.learn import dry_run_learn
from botticelli.stages.curate.learn import learn as run_learn
from botticelli.text import counted

RULES: Final[Columns] = {"rule": "text", "why": "why", "refused": "refused"}


@command(writes=True)
def learn(
    env: Environment, *, dry_run: bool = False, jitter: Jitter = None
) -> Listing | AsideDryRun:
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
        if dry_run:
            return dry_run_learn(run_context(env, conn))
        report = run_learn(run_context(env, conn))
        left = f", {counted(report.left, 'lesson')} left for the next run" if report.left else ""
        words = "accept, edit or drop them with: botticelli rules review" + left
        return listed(report, "rules", RULES, words, none=f"no rule in {report.lessons} lessons")


def listed(
    report: AsideReport, name: str, columns: Columns, words: str, *, none: str = ""
) -> Listing:
    """Return such a report as a list of what it found, below it `words` and what it used."""
    idle = idle_words("curate", report.skipped) if report.skipped else report.idle
    used = spent(report, seconds=report.seconds)
    return Listing(
        name=name,
        rows=getattr(report, name),
        columns=columns,
        empty=f"nothing done: {idle}" if idle else f"{none}; {used}",
        after=f"{words}\n  {used}",
        facts=vars(report),
    )


@render.register
def _(report: AsideDryRun, console: Console) -> None:
    console.line(report.idle or counted(report.cases, "case"), style="bold")
    if not report.idle:
        console.line("  " + priced(report))
