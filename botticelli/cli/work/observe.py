"""`botticelli observe`."""

from botticelli.cli.shared.stage_run import Jitter, idle_words, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.cli.work.post import context_of
from botticelli.errors import Exit
from botticelli.stages.observe.stage import ObserveReport
from botticelli.stages.observe.stage import observe as run_observe
from botticelli.text import counted


@command(writes=True)
def observe(env: Environment, *, jitter: Jitter = None) -> ObserveReport:
    """Count what readers did with posts: reactions, replies, reposts.

    Each post is looked at when it is 1 h, 6 h, 24 h, 72 h and 7 days old. Only counts are kept.
    The timer needs [learning] observe = true.

    Examples:
        botticelli observe
    """
    with stage_run(env, "observe", jitter=jitter, dry_run=False) as conn:
        report = run_observe(context_of(env, conn))
        for one in report.results:
            if one.exit_code != Exit.DONE:
                env.complain(f"destination {one.destination}: {one.note}")
        return report


@render.register
def _(report: ObserveReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {idle_words('observe', report.skipped)}")
        return
    for one in report.results:
        words = [f"{counted(one.counted, 'post')} counted"]
        words += [f"{one.gone} gone"] * bool(one.gone)
        words += [f"{one.unknown} cannot be counted"] * bool(one.unknown)
        console.line(f"{one.destination}: {one.note or ', '.join(words)}")
    if not report.results:
        console.line("no post is at an age to be counted")
