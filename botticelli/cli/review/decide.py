"""`botticelli approve`, `reject`, `hold` and `undo`."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

import typer

from botticelli.cli.shared.ids import Id, parser_of
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Decision, Reviewed
from botticelli.store.curation.undo import undo as undo_last
from botticelli.text import shorten

Ids = Annotated[
    list[Id],
    typer.Argument(
        metavar="ID...",
        parser=parser_of("candidate", "post"),
        help="The ids of candidates (12 or c12), or of their posts (p5).",
    ),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="The reason; stored.")]


class View(StrEnum):
    """Which candidates are shown."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


STATUSES: Final[Mapping[View, Sequence[str]]] = {
    View.OPEN: ("changed", "held", "pending"),
    View.APPROVED: ("approved",),
    View.REJECTED: ("rejected",),
}


@record
class CandidateDecision:
    """Candidates after a person's decision."""

    decision: Decision | Literal["undo", "edit"]
    by: str
    candidates: tuple[Reviewed, ...]


@command(decides=True)
def approve(
    env: Environment, conn: Connection, candidates: Ids, *, note: Note = ""
) -> CandidateDecision:
    """Approve candidates for publication, in this order.

    What is sent is the text as it is now: if it is changed later, it has to be approved again.

    Examples:
        botticelli approve 17 12 --note "for the weekend"
        botticelli approve 17 --by Ada
    """
    return _decide(env, conn, candidates, "approve", note=note)


@command(decides=True)
def reject(
    env: Environment, conn: Connection, candidates: Ids, *, note: Note = ""
) -> CandidateDecision:
    """Reject candidates, approved but unsent ones included.

    Examples:
        botticelli reject 18 --note "too long"
    """
    return _decide(env, conn, candidates, "reject", note=note)


@command(decides=True)
def hold(
    env: Environment, conn: Connection, candidates: Ids, *, note: Note = ""
) -> CandidateDecision:
    """Hold candidates back for a later decision.

    Examples:
        botticelli hold 19 --note "ask the moderators"
    """
    return _decide(env, conn, candidates, "hold", note=note)


@command(decides=True)
def undo(env: Environment, conn: Connection, candidates: Ids) -> CandidateDecision:
    """Take back the last decision or edit.

    It is for what is not sent yet; repeated, it takes back the one before.

    Examples:
        botticelli undo 17
        botticelli undo c17 p5
    """
    found = undo_last(conn, candidate_ids(conn, candidates), by=env.user)
    return CandidateDecision(decision="undo", by=env.user, candidates=found)


def _decide(
    env: Environment, conn: Connection, ids: Sequence[Id], decision: Decision, *, note: str
) -> CandidateDecision:
    found = reviews.decide(conn, candidate_ids(conn, ids), decision, by=env.user, note=note)
    return CandidateDecision(decision=decision, by=env.user, candidates=found)


def candidate_ids(conn: Connection, ids: Sequence[Id]) -> list[int]:
    """Return the numbers of candidates, those of posts by their posts.

    Raises:
        UsageError: There is no such post, or it has no candidate.
    """
    return [
        reviews.candidate_of(conn, one.number) if one.kind == "post" else one.number for one in ids
    ]


@render.register
def _(report: CandidateDecision, console: Console) -> None:
    again = " again" if report.decision == "undo" else ""
    for one in report.candidates:
        post = f" as p{one.post_id}" if one.review_status == "approved" else ""
        words = f"{one.status}{again} c{one.id}{post}"
        console.line(f"{words}: {shorten(one.text_content, 60)}")
