"""`botticelli state`: what narratives have kept for later (${state:KEY})."""

from typing import Annotated

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import BotticelliError, Exit, UsageError
from botticelli.records import record
from botticelli.store.commands import state as store
from botticelli.store.commands.state import GLOBAL, StateEntry

Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="As in ${state:KEY}.")]
Scope = Annotated[
    str, typer.Option("--scope", metavar="NAME", help="A narrative's own; else the global one.")
]

group = typer.Typer(help="Look at what narratives keep for later: ids, mostly.")
app.add_typer(group, name="state")


@record
class StateReport:
    """What is kept."""

    entries: tuple[StateEntry, ...]
    exit_code: Exit = Exit.DONE


@record
class ClearedReport:
    """How much was forgotten."""

    cleared: int
    exit_code: Exit = Exit.DONE


@group.command(name="list")
def list_(
    ctx: typer.Context,
    *,
    scope: Annotated[
        str, typer.Option("--scope", metavar="NAME", help="Only this narrative's, or `global`.")
    ] = "",
    as_json: Json = False,
) -> int:
    """List what is kept, globally and for each narrative."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = store.list_entries(conn, scope=scope or None)
    env.show(StateReport(entries=tuple(found)), as_json=as_json)
    return Exit.DONE


@group.command()
def get(ctx: typer.Context, key: Key, *, scope: Scope = GLOBAL, as_json: Json = False) -> int:
    """Write the value of one key to stdout."""
    env: Environment = ctx.obj
    with env.database() as conn:
        value = store.read(conn, key, scope=scope)
    if value is None:
        raise BotticelliError(f"nothing is kept as '{key}'", where=f"state {scope}")
    if as_json:
        env.show({"scope": scope, "key": key, "value": value}, as_json=True)
    else:
        env.stdout.write(f"{value}\n")
    return Exit.DONE


@group.command(name="set")
def set_(
    ctx: typer.Context,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What is to be kept.")],
    *,
    scope: Scope = GLOBAL,
    as_json: Json = False,
) -> int:
    """Keep a value."""
    env: Environment = ctx.obj
    with env.database() as conn:
        store.write(conn, {key: value}, scopes=(scope,))
    env.tell(f"kept as '{key}'", as_json=as_json, scope=scope, key=key, value=value)
    return Exit.DONE


@group.command()
def clear(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="Only this one.")] = "",
    *,
    scope: Scope = GLOBAL,
    everything: Annotated[
        bool, typer.Option("--all", help="Every key of the scope, if none is named.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Forget a value, or all of a scope."""
    if bool(key) == everything:
        raise UsageError("name a key, or say --all", where="state clear")
    env: Environment = ctx.obj
    with env.database() as conn:
        cleared = store.clear(conn, scope=scope, key=key or None)
    env.show(ClearedReport(cleared=cleared), as_json=as_json)
    return Exit.DONE


@render.register
def _(report: StateReport, console: Console) -> None:
    if not report.entries:
        console.line("nothing is kept")
        return
    console.table(
        ("scope", "key", "value", "since"),
        [
            (one.scope, one.key, one.value, f"{one.updated_at:%m-%d %H:%M}")
            for one in report.entries
        ],
    )


@render.register
def _(report: ClearedReport, console: Console) -> None:
    console.line(f"{report.cleared} forgotten")
