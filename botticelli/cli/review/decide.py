"""`botticelli approve`, `reject` and `hold`: a person's word on candidates."""

from collections.abc import Sequence
from typing import Annotated

import typer

from botticelli.cli.review.deliveries import who
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Exit
from botticelli.records import record
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import INTO, Decision, Reviewed
from botticelli.text import shorten

Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="Of the candidates.")]
Note = Annotated[str, typer.Option("--note", help="Why; kept with the decision.")]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


@record
class DecidedCandidates:
    """Candidates after a person's decision."""

    decision: Decision
    by: str
    candidates: tuple[Reviewed, ...]
    exit_code: Exit = Exit.DONE


@app.command()
def approve(ctx: typer.Context, candidates: Ids, *, note: Note = "", as_json: Json = False) -> int:
    """Approve candidates: their posts are sent in this order."""
    return _decide(ctx.obj, candidates, "approve", note=note, as_json=as_json)


@app.command()
def reject(ctx: typer.Context, candidates: Ids, *, note: Note = "", as_json: Json = False) -> int:
    """Reject candidates; approved posts that are not out yet are taken back."""
    return _decide(ctx.obj, candidates, "reject", note=note, as_json=as_json)


@app.command()
def hold(ctx: typer.Context, candidates: Ids, *, note: Note = "", as_json: Json = False) -> int:
    """Hold candidates, approved ones too, until somebody decides."""
    return _decide(ctx.obj, candidates, "hold", note=note, as_json=as_json)


def _decide(
    env: Environment, ids: Sequence[int], decision: Decision, *, note: str, as_json: bool
) -> int:
    by = who(env)
    with env.database() as conn:
        found = reviews.decide(conn, ids, decision, by=by, note=note)
    report = DecidedCandidates(decision=decision, by=by, candidates=found)
    env.show(report, as_json=as_json)
    return report.exit_code


@render.register
def _(report: DecidedCandidates, console: Console) -> None:
    for one in report.candidates:
        console.line(f"{INTO[report.decision]} {one.id}: {shorten(one.text_content, 60)}")
