"""`botticelli approve`, `reject` and `hold`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import INTO, Decision, Reviewed
from botticelli.text import shorten

Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="The ids of candidates.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="The reason; stored.")]


@record
class CandidateDecision:
    """Candidates after a person's decision."""

    decision: Decision
    by: str
    candidates: tuple[Reviewed, ...]


@command()
def approve(
    env: Environment, conn: Connection, candidates: Ids, *, note: Note = ""
) -> CandidateDecision:
    """Approve candidates for publication, in this order.

    Examples:
        botticelli approve 17 12 --note "for the weekend"
    """
    return _decide(env, conn, candidates, "approve", note=note)


@command()
def reject(
    env: Environment, conn: Connection, candidates: Ids, *, note: Note = ""
) -> CandidateDecision:
    """Reject candidates, approved but unsent ones included.

    Examples:
        botticelli reject 18 --note "too long"
    """
    return _decide(env, conn, candidates, "reject", note=note)


@command()
def hold(
    env: Environment, conn: Connection, candidates: Ids, *, note: Note = ""
) -> CandidateDecision:
    """Hold candidates back for a later decision.

    Examples:
        botticelli hold 19 --note "ask the moderators"
    """
    return _decide(env, conn, candidates, "hold", note=note)


def _decide(
    env: Environment, conn: Connection, ids: Sequence[int], decision: Decision, *, note: str
) -> CandidateDecision:
    found = reviews.decide(conn, ids, decision, by=env.user, note=note)
    return CandidateDecision(decision=decision, by=env.user, candidates=found)


@render.register
def _(report: CandidateDecision, console: Console) -> None:
    for one in report.candidates:
        console.line(f"{INTO[report.decision]} {one.id}: {shorten(one.text_content, 60)}")
