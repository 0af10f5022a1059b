"""`botticelli collect` and `botticelli sources`."""

from functools import partial
from typing import Final

from botticelli.cli.shared.runners import run_context
from botticelli.cli.shared.stage_run import Jitter, idle_words, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Listing, Styled, render
from botticelli.errors import Exit
from botticelli.stages.collect.stage import CollectReport, CollectRequest, found_words
from botticelli.stages.collect.stage import collect as run_collect
from botticelli.stages.collect.visits import Visits
from botticelli.store import sources as store
from botticelli.store.connection import Connection
from botticelli.text import ago, counted, until


@command(writes=True)
def collect(
    env: Environment, *, source: str = "", now: bool = False, jitter: Jitter = None
) -> CollectReport:
    """Read the sources for things to write about.

    Takes:
        source NAME: Read this one, due or not.
        now: Read all of them, due or not.

    Examples:
        botticelli collect
        botticelli collect --source blog
    """
    from botticelli.narrative.files.fetch import fetch

    private = env.config.narratives.private_urls
    visits = Visits(fetch=partial(fetch, is_private_allowed=private), clock=env.clock)
    request = CollectRequest(source=source, now=now)
    with stage_run(env, "collect", jitter=jitter, dry_run=False) as conn:
        report = run_collect(run_context(env, conn), request=request, visits=visits)
        for one in report.results:
            if one.exit_code != Exit.DONE:
                env.complain(f"source {one.source}: {one.note}")
        return report


@render.register
def _(report: CollectReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {idle_words('collect', report.skipped)}")
        return
    for one in report.results:
        style = "red" if one.exit_code != Exit.DONE else ""
        console.line(f"{one.source}: {found_words(one)}", style=style)
    if report.waiting:
        console.line(f"{counted(report.waiting, 'source')} not due yet; --now reads all")


KNOWN: Final[Columns] = {
    "SOURCE": "name",
    "KIND": "kind",
    "WAITING>": "waiting",
    "USED>": "used",
    "LAST ITEM": lambda one: ago(one.last_item, one.now) if one.last_item else "never",
    "NEXT": lambda one: until(one.next_at, one.now) if one.next_at else "at the next collect",
    "PROBLEM": lambda one: Styled(one.problem, "red") if one.problem else "",
    "PLACE": "place",
}


@command()
def sources(env: Environment, conn: Connection) -> Listing:
    """List the sources with what was found there.

    Examples:
        botticelli sources
    """
    known = [(one.name, one.kind, one.place) for one in env.config.sources.values()]
    empty = "there are no sources; add a [sources.NAME] table to botticelli.toml"
    return Listing(name="sources", rows=store.report(conn, known), columns=KNOWN, empty=empty)
