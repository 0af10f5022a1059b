"""`botticelli adapt`; and its part in `botticelli curate`."""

from typing import TYPE_CHECKING

from botticelli.cli.shared import choices
from botticelli.cli.shared.runners import run_context
from botticelli.cli.shared.stage_run import Jitter, idle_words, priced, spent, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.cli.work.post import context_of
from botticelli.stages.adapt.stage import (
    AdaptDryRun,
    AdaptReport,
    adapt_waiting,
    dry_run_adapt,
)
from botticelli.stages.adapt.stage import adapt as run_adapt
from botticelli.stages.post.target import PostRequest
from botticelli.store.connection import Connection
from botticelli.text import counted, shorten

if TYPE_CHECKING:
    from botticelli.stages.curate.stage import Adapt

PREVIEW = 60


@command(writes=True)
def adapt(
    env: Environment,
    *,
    to: choices.ToDestination = None,
    dry_run: bool = False,
    jitter: Jitter = None,
) -> AdaptReport | AdaptDryRun:
    """Shorten approved posts for destinations that take less.

    Each by the narrative that its destination names (`adapt`). Pictures get their words by the
    model that `[models] vision` names (`alt = "generate"`). The best old posts are said anew where
    [destinations.NAME.recycle] says so. `curate` does the same at its end.

    Takes:
        to NAME: Adapt to this destination only.
        dry_run: Show which posts, calls and cost; spend nothing.

    Examples:
        botticelli adapt --dry-run
        botticelli adapt --to mastodon
    """
    PostRequest(to=to or "").destinations(env.config)
    with stage_run(env, "curate", jitter=jitter, dry_run=dry_run) as conn:
        context, open_target = run_context(env, conn), context_of(env, conn).open
        if dry_run:
            return dry_run_adapt(context, open_target, to=to or "")
        report = run_adapt(context, open_target, to=to or "")
        for line in report.problems:
            env.complain(line)
        return report


def adapting(env: Environment, conn: Connection) -> "Adapt | None":
    """Return what `curate` does at its end; None if no destination wants it."""
    places = env.config.destinations.values()
    if not any(one.adapt or one.alt == "generate" or one.recycle.after for one in places):
        return None
    return lambda context: adapt_waiting(context, context_of(env, conn).open)


def print_adapted(report: AdaptReport | None, console: Console) -> None:
    """Write what became of each rendition, and what was said anew."""
    for again in report.recycled if report else ():
        what = f"p{again.post} again for '{again.destination}' ({again.why})"
        said = f"no candidate: {again.note}" if again.note else shorten(again.text, PREVIEW)
        console.line(f"  {what}: c{again.candidate} {said}")
    for one in report.adapted if report else ():
        what = f"p{one.post} for '{one.destination}'"
        if one.picture:
            warning = f" (it warns: {one.note})" if one.text and one.note else ""
            said = one.text or f"no words: {one.note}"
            console.line(f"  picture {one.picture} of {one.post}: {said}{warning}")
        elif one.state == "ready":
            console.line(f"  adapted {what}: {shorten(one.text, PREVIEW)}", style="green")
        else:
            by_hand = f"botticelli edit p{one.post} --to {one.destination}"
            console.line(f"  not adapted: {what}: {one.note} (`{by_hand}`)", style="yellow")


@render.register
def _(report: AdaptReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {idle_words('curate', report.skipped)}")
        return
    if not (report.adapted or report.recycled or report.problems):
        console.line(
            "nothing to do: no approved post is too long for a destination with `adapt`,"
            " no picture waits for words"
        )
        return
    print_adapted(report, console)
    console.line("  " + spent(report, seconds=report.seconds))


@render.register
def _(report: AdaptDryRun, console: Console) -> None:
    console.line(f"{counted(len(report.wanted), 'post')} to adapt", style="bold")
    for one in report.wanted:
        console.line(f"  p{one.post} for '{one.destination}': {shorten(one.text, PREVIEW)}")
    console.line("  " + priced(report))
