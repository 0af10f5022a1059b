"""`botticelli review`: candidates before a person, on the whole terminal or as a list."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from typing import Annotated, Final

import typer

from botticelli.cli.review.deliveries import who
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Exit, UsageError
from botticelli.records import record
from botticelli.store.connection import mapped_errors
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Decision, Reviewed
from botticelli.text import shorten


class View(StrEnum):
    """Which candidates are shown."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


STATUSES: Final[Mapping[View, Sequence[str]]] = {
    View.OPEN: ("held", "pending"),
    View.APPROVED: ("approved",),
    View.REJECTED: ("rejected",),
}


@record
class ReviewList:
    """Candidates, those first that wait for a person, then the best."""

    view: View
    candidates: tuple[Reviewed, ...]
    exit_code: Exit = Exit.DONE


class Desk:
    """What a reviewer does, each with a connection of its own: a review may take all day.

    Raises:
        BotticelliError: It cannot be done; nothing was changed.
    """

    def __init__(self, env: Environment, *, limit: int) -> None:
        self._env = env
        self._limit = limit
        self._by = who(env)

    def list(self, view: View) -> tuple[Reviewed, ...]:
        """Return the candidates of a view."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            return reviews.list_candidates(conn, statuses=STATUSES[view], limit=self._limit)

    def decide(self, seen: Reviewed, decision: Decision, *, note: str) -> Reviewed:
        """Carry a decision out; return the candidate as it is then."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            now = self._env.clock.pinned()
            [found] = reviews.decide(
                conn, [seen.id], decision, by=self._by, note=note, seen=[seen], now=now
            )
            return found

    def edit(self, seen: Reviewed, text: str) -> Reviewed:
        """Change the text; return the candidate as it is then."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            now = self._env.clock.pinned()
            return reviews.edit(conn, seen.id, text=text, by=self._by, seen=seen, now=now)

    def find(self, id_: int) -> Reviewed:
        """Return a candidate as it is now."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            return reviews.find_candidates(conn, [id_])[0]


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
        _open_desk(Desk(env, limit=limit), view=view)
    return Exit.DONE


def _open_desk(desk: Desk, *, view: View) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "the review needs a keyboard", hint="start it in a terminal, or use --list"
        )
    from botticelli.cli.review.screen import ReviewApp

    ReviewApp(desk, view=view).run()


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
