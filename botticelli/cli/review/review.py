"""`botticelli review`: candidates before a person, on the whole terminal or as a list."""

import sys
from typing import Annotated

import typer

from botticelli.cli.review.session import STATUSES, ReviewSession, View
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Exit, UsageError
from botticelli.records import record
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Reviewed
from botticelli.text import shorten


@record
class ReviewList:
    """Candidates, those first that wait for a person, then the best."""

    view: View
    candidates: tuple[Reviewed, ...]
    exit_code: Exit = Exit.DONE


@app.command()
def review(
    ctx: typer.Context,
    *,
    view: Annotated[View, typer.Option("--view", help="Which candidates.")] = View.OPEN,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most candidates shown.")] = 200,
    as_list: Annotated[bool, typer.Option("--list", help="Print them; ask nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> int:
    """Look at candidates on the whole terminal: approve, reject, hold, edit."""
    env: Environment = ctx.obj
    with env.database() as conn:
        if as_list or as_json or not env.is_terminal:
            found = reviews.list_candidates(conn, statuses=STATUSES[view], limit=limit)
            env.show(ReviewList(view=view, candidates=found), as_json=as_json)
            return Exit.DONE
        _open_screen(ReviewSession(env, limit=limit), view=view)
    return Exit.DONE


def _open_screen(session: ReviewSession, *, view: View) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "the review needs a keyboard", hint="start it in a terminal, or use --list"
        )
    from botticelli.cli.review.screen import ReviewApp

    ReviewApp(session, view=view).run()


@render.register
def _(report: ReviewList, console: Console) -> None:
    if not report.candidates:
        console.line(f"no candidate is {' or '.join(STATUSES[report.view])}")
        return
    console.table(
        ("id", "status", "score", "from", "text"),
        [
            (
                one.id,
                one.status,
                f"{one.total:g}" if one.total is not None else None,
                one.source_narrative,
                shorten(one.text_content, 60),
            )
            for one in report.candidates
        ],
        right=("id", "score"),
    )
