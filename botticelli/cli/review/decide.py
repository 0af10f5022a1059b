"""`botticelli review`, `approve`, `reject`, `hold` and `undo`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from botticelli.cli.shared.choices import STATUSES, View
from botticelli.cli.shared.ids import Id, argument, parser_of
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Lines, Listing
from botticelli.errors import UsageError
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Decision, Reviewed
from botticelli.store.curation.undo import undo as undo_last
from botticelli.text import shorten

WHICH: Final = "The ids of candidates (12 or c12), or of their posts (p5)."
Ids = Annotated[list[Id], argument(parser_of("candidate", "post"), WHICH, metavar="ID...")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="The reason; stored.")]
SHOWN: Final[Columns] = {
    "id>": lambda one: f"c{one.id}",
    "status": "status",
    "score>": lambda one: None if one.total is None else f"{one.total:g}",
    "from": "source_narrative",
    "text": lambda one: shorten(one.text_content, 60),
    "why": lambda one: shorten(one.why, 60),
}


@command(json=False, decides=True)
def review(
    env: Environment,
    *,
    view: View = View.OPEN,
    limit: int = 200,
    as_list: bool = False,
    as_json: bool = False,
) -> None:
    """Review candidates in the terminal.

    Approve, reject, hold or edit them with one key each; piped, print them as a list.

    Takes:
        view VIEW: open, approved or rejected candidates.
        limit N: Show at most N candidates.
        as_list --list: Print the list instead of the full screen.
        as_json --json: Print the list as JSON.

    Examples:
        botticelli review
        botticelli review --view approved --list
    """
    env.writes = env.is_terminal and not (as_list or as_json)
    if not env.writes:
        with env.database() as conn:
            found = reviews.list_candidates(conn, statuses=STATUSES[view], limit=limit)
        none = f"no candidate is {' or '.join(STATUSES[view])}"
        facts = {"view": view}
        env.show(
            Listing(name="candidates", rows=found, columns=SHOWN, empty=none, facts=facts),
            as_json=as_json,
        )
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "the review needs a keyboard", hint="start it in a terminal, or use --list"
        )
    from botticelli.cli.review.screen import ReviewApp

    with env.database():
        pass  # every action has a connection of its own
    ReviewApp(env, view=view, limit=limit).run()


@command(decides=True)
def approve(env: Environment, conn: Connection, candidates: Ids, *, note: Note = "") -> Lines:
    """Approve candidates for publication, in this order.

    What is sent is the text as it is now: if it is changed later, it has to be approved again.

    Examples:
        botticelli approve 17 12 --note "for the weekend"
        botticelli approve 17 --by Ada
    """
    return _decide(env, conn, candidates, "approve", note=note)


@command(decides=True)
def reject(env: Environment, conn: Connection, candidates: Ids, *, note: Note = "") -> Lines:
    """Reject candidates, approved but unsent ones included.

    Examples:
        botticelli reject 18 --note "too long"
    """
    return _decide(env, conn, candidates, "reject", note=note)


@command(decides=True)
def hold(env: Environment, conn: Connection, candidates: Ids, *, note: Note = "") -> Lines:
    """Hold candidates back for a later decision.

    Examples:
        botticelli hold 19 --note "ask the moderators"
    """
    return _decide(env, conn, candidates, "hold", note=note)


@command(decides=True)
def undo(env: Environment, conn: Connection, candidates: Ids) -> Lines:
    """Take back the last decision or edit.

    It is for what is not sent yet; repeated, it takes back the one before.

    Examples:
        botticelli undo 17
        botticelli undo c17 p5
    """
    found = undo_last(conn, candidate_ids(conn, candidates), by=env.user)
    return decided(env, "undo", found)


def _decide(
    env: Environment, conn: Connection, ids: Sequence[Id], decision: Decision, *, note: str
) -> Lines:
    found = reviews.decide(conn, candidate_ids(conn, ids), decision, by=env.user, note=note)
    return decided(env, decision, found)


def candidate_ids(conn: Connection, ids: Sequence[Id]) -> list[int]:
    """Return the numbers of candidates, those of posts by their posts.

    Raises:
        UsageError: There is no such post, or it has no candidate.
    """
    return [
        reviews.candidate_of(conn, one.number) if one.kind == "post" else one.number for one in ids
    ]


def decided(env: Environment, decision: str, candidates: Sequence[Reviewed]) -> Lines:
    """Return the report of candidates after a person's decision."""
    again = " again" if decision == "undo" else ""
    lines = []
    for one in candidates:
        post = f" as p{one.post_id}" if one.review_status == "approved" else ""
        text = shorten(one.text_content, 60)
        lines.append(f"{one.status}{again} c{one.id}{post}: {text}")
    facts = {"decision": decision, "by": env.user, "candidates": candidates}
    return Lines(text="\n".join(lines), facts=facts)
