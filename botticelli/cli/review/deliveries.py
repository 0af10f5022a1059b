"""`botticelli deliveries`: what became of every post, and what a person decides about it."""

from typing import Annotated, Final

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.errors import Exit
from botticelli.records import record
from botticelli.store.delivery import decisions
from botticelli.store.delivery.decisions import Decision, DeliveryView
from botticelli.text import shorten

Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="Of the delivery.")]

STYLES: Final = {
    "posted": "green",
    "held": "yellow",
    "failed": "red",
    "uncertain": "bold red",
    "sending": "cyan",
}

group = typer.Typer(help="Show deliveries and settle doubtful ones.", invoke_without_command=True)
app.add_typer(group, name="deliveries")


@record
class Listing:
    """Deliveries, newest first."""

    deliveries: tuple[DeliveryView, ...]
    exit_code: Exit = Exit.DONE


@record
class Shown:
    """One delivery, with all that happened to it."""

    delivery: DeliveryView
    exit_code: Exit = Exit.DONE


@record
class Decided:
    """A delivery after a person's decision."""

    decision: str
    delivery: DeliveryView
    exit_code: Exit = Exit.DONE


@group.callback()
def deliveries(
    ctx: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Most deliveries shown.")] = 50,
    as_json: Json = False,
) -> int | None:
    """Show deliveries and settle doubtful ones."""
    if ctx.invoked_subcommand is not None:
        return None
    return _list(ctx.obj, states=None, limit=limit, as_json=as_json)


@group.command()
def held(ctx: typer.Context, *, as_json: Json = False) -> int:
    """List held and failed ones, which wait for a person."""
    return _list(ctx.obj, states=("held", "failed"), limit=1000, as_json=as_json)


@group.command()
def show(ctx: typer.Context, delivery: Id, *, as_json: Json = False) -> int:
    """Show one with its text and its history."""
    env: Environment = ctx.obj
    with env.database() as conn:
        seen = decisions.find_delivery(conn, delivery)
    env.show(Shown(delivery=seen), as_json=as_json)
    return Exit.DONE


@group.command()
def hold(ctx: typer.Context, delivery: Id, *, as_json: Json = False) -> int:
    """Keep one from being sent until `retry`."""
    return _decide(ctx.obj, delivery, "hold", note="held by hand", as_json=as_json)


@group.command()
def retry(ctx: typer.Context, delivery: Id, *, as_json: Json = False) -> int:
    """Send a held or failed one again; look there first."""
    return _decide(ctx.obj, delivery, "retry", as_json=as_json)


@group.command(name="mark-posted")
def mark_posted(
    ctx: typer.Context,
    delivery: Id,
    *,
    message: Annotated[
        str | None, typer.Option(metavar="ID", help="The message's id in the channel.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Say that it is in the channel already."""
    return _decide(ctx.obj, delivery, "mark-posted", remote_id=message, as_json=as_json)


@group.command()
def drop(ctx: typer.Context, delivery: Id, *, as_json: Json = False) -> int:
    """Give it up: it is never sent, and stays readable."""
    return _decide(ctx.obj, delivery, "drop", as_json=as_json)


def _list(env: Environment, *, states: tuple[str, ...] | None, limit: int, as_json: bool) -> int:
    with env.database() as conn:
        found = decisions.list_deliveries(conn, states=states, limit=limit)
    env.show(Listing(deliveries=tuple(found)), as_json=as_json)
    return Exit.DONE


def _decide(
    env: Environment,
    delivery: int,
    decision: Decision,
    *,
    note: str = "",
    remote_id: str | None = None,
    as_json: bool,
) -> int:
    with env.database() as conn:
        seen = decisions.decide(
            conn, delivery, decision, by=who(env), note=note, remote_id=remote_id
        )
    env.show(Decided(decision=decision, delivery=seen), as_json=as_json)
    return Exit.DONE


def who(env: Environment) -> str:
    """Return who decides, as it is written down: user@host."""
    user = env.environ.get("LOGNAME") or env.environ.get("USER") or "somebody"
    return f"{user}@{env.identity.host}"


@render.register
def _(report: Listing, console: Console) -> None:
    if not report.deliveries:
        console.line("no deliveries")
        return
    console.table(
        ("id", "post", "to", "state", "tries", "posted", "text or reason"),
        [
            (
                one.id,
                one.post_id,
                one.destination,
                Styled(one.state, STYLES.get(one.state, "")),
                one.attempts,
                f"{one.posted_at:%m-%d %H:%M}" if one.posted_at else None,
                shorten(one.last_error or one.text, 60),
            )
            for one in report.deliveries
        ],
        right=("id", "post", "tries"),
    )


@render.register
def _(report: Shown, console: Console) -> None:
    one = report.delivery
    console.line(f"delivery {one.id}: post {one.post_id} to '{one.destination}' is {one.state}")
    for name, value in (
        ("why", one.last_error),
        ("message", one.remote_url or one.remote_id),
        ("posted at", one.posted_at),
        ("first asked at", one.sent_at),
        ("not before", one.retry_at),
        ("decided by", one.decided_by),
        ("tries", one.attempts),
        ("nonce", one.nonce),
    ):
        if value:
            console.line(f"  {name}: {value}")
    for event in one.history:
        facts = " ".join(str(event[key]) for key in ("at", "event", "by", "note") if event.get(key))
        console.line(f"  - {facts}")
    console.line()
    console.line(one.text)


@render.register
def _(report: Decided, console: Console) -> None:
    one = report.delivery
    console.line(f"delivery {one.id} to '{one.destination}' is {one.state} now")
