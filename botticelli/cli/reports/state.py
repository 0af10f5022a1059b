"""`botticelli state`: what narratives have kept for later (${state:KEY})."""

from typing import Annotated

import typer

from botticelli.cli.shell.command import Done, PlainText, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import BotticelliError, UsageError
from botticelli.records import record
from botticelli.store.commands import state as store
from botticelli.store.commands.state import GLOBAL, StateEntry
from botticelli.store.connection import Connection
from botticelli.text import counted

Key = Annotated[str, typer.Argument(metavar="KEY", help="As in ${state:KEY}.")]
Scope = Annotated[
    str,
    typer.Option("--scope", metavar="NAME", help="Of this narrative; else the global ones."),
]

state = group(
    "state",
    examples="""
    botticelli state list
    botticelli state set rules_channel 1289700000000000123
    """,
)


@record
class StateReport:
    """Stored values."""

    entries: tuple[StateEntry, ...]


@record
class ClearedReport:
    """How many values were deleted."""

    cleared: int


@command(state, "list")
def list_state(
    conn: Connection,
    *,
    scope: Annotated[
        str, typer.Option("--scope", metavar="NAME", help="Only of this narrative, or `global`.")
    ] = "",
) -> StateReport:
    """List the stored values, global ones and those of each narrative."""
    return StateReport(entries=tuple(store.list_entries(conn, scope=scope or None)))


@command(state)
def get(conn: Connection, key: Key, *, scope: Scope = GLOBAL) -> PlainText:
    """Print the value of a key."""
    value = store.read(conn, key, scope=scope)
    if value is None:
        raise BotticelliError(f"there is no value for '{key}'", where=f"state {scope}")
    return PlainText(text=f"{value}\n", facts={"scope": scope, "key": key, "value": value})


@command(state, "set", writes=True)
def set_state(
    conn: Connection,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The value to store.")],
    *,
    scope: Scope = GLOBAL,
) -> Done:
    """Store a value."""
    store.write(conn, {key: value}, scopes=(scope,))
    return Done(line=f"stored '{key}'", facts={"scope": scope, "key": key, "value": value})


@command(state, writes=True)
def clear(
    env: Environment,
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="The key to delete.")] = "",
    *,
    scope: Scope = GLOBAL,
    everything: Annotated[
        bool, typer.Option("--all", help="Delete every key of the scope.")
    ] = False,
) -> ClearedReport:
    """Delete a value, or all values of a scope."""
    if bool(key) == everything:
        raise UsageError("name a key, or say --all", where="state clear")
    with env.database() as conn:
        return ClearedReport(cleared=store.clear(conn, scope=scope, key=key or None))


@render.register
def _(report: StateReport, console: Console) -> None:
    if not report.entries:
        console.line("no values are stored")
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
    console.line(f"{counted(report.cleared, 'value')} deleted")
