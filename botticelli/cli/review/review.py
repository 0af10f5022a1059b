"""`botticelli review`: candidates on the whole terminal, or as a list."""

import sys
from typing import Annotated

import typer

from botticelli.cli.review.decide import STATUSES, View
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Reviewed
from botticelli.text import shorten


@record
class ReviewList:
    """Candidates: those that wait for a decision first, then the best."""

    view: View
    candidates: tuple[Reviewed, ...]


@command(json=False, decides=True)
def review(
    env: Environment,
    *,
    view: Annotated[
        View, typer.Option("--view", metavar="VIEW", help="open, approved or rejected candidates.")
    ] = View.OPEN,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Show at most N candidates.")
    ] = 200,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print the list instead of the full screen.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Review candidates in the terminal.

    Approve, reject, hold or edit them with one key each; piped, print them as a list.

    Examples:
        botticelli review
        botticelli review --view approved --list
    """
    env.writes = env.is_terminal and not (as_list or as_json)
    if not env.writes:
        with env.database() as conn:
            found = reviews.list_candidates(conn, statuses=STATUSES[view], limit=limit)
        env.show(ReviewList(view=view, candidates=found), as_json=as_json)
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "the review needs a keyboard", hint="start it in a terminal, or use --list"
        )
    from botticelli.cli.review.screen import ReviewApp

    with env.database():
        pass  # every action has a connection of its own
    ReviewApp(env, view=view, limit=limit).run()


@render.register
def _(report: ReviewList, console: Console) -> None:
    if not report.candidates:
        console.line(f"no candidate is {' or '.join(STATUSES[report.view])}")
        return
    console.table(
        ("id", "status", "score", "from", "text", "why"),
        [
            (
                f"c{one.id}",
                one.status,
                f"{one.total:g}" if one.total is not None else None,
                one.source_narrative,
                shorten(one.text_content, 60),
                shorten(one.why, 60),
            )
            for one in report.candidates
        ],
        right=("id", "score"),
    )
