"""`botticelli state`: what narratives have kept for later (${state:KEY})."""

from typing import Annotated, Final

import typer

from botticelli.cli.shell.command import Done, PlainText, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Lines, Listing
from botticelli.errors import BotticelliError, UsageError
from botticelli.store.commands import state as store
from botticelli.store.commands.state import GLOBAL
from botticelli.store.connection import Connection
from botticelli.text import counted

Key = Annotated[str, typer.Argument(metavar="KEY", help="As in ${state:KEY}.")]
Scope = Annotated[
    str,
    typer.Option("--scope", metavar="NAME", help="Of this narrative; else the global ones."),
]
KEPT: Final[Columns] = {
    "scope": "scope",
    "key": "key",
    "value": "value",
    "since": lambda one: f"{one.updated_at:%m-%d %H:%M}",
}
state = group(
    "state",
    examples="""
    botticelli state list
    botticelli state set rules_channel 1289700000000000123
    """,
)


@command(state, "list")
def list_state(conn: Connection, *, scope: str = "") -> Listing:
    """List the stored values, global ones and those of each narrative.

    Takes:
        scope NAME: Only of this narrative, or `global`.
    """
    found = store.list_entries(conn, scope=scope or None)
    return Listing(name="entries", rows=found, columns=KEPT, empty="no values are stored")


@command(state)
def get(conn: Connection, key: Key, *, scope: Scope = GLOBAL) -> PlainText:
    """Print the value of a key."""
    value = store.read(conn, key, scope=scope)
    if value is None:
        raise BotticelliError(f"there is no value for '{key}'", where=f"state {scope}")
    return PlainText(text=f"{value}\n", facts={"scope": scope, "key": key, "value": value})


@command(state, "set", writes=True)
def set_state(conn: Connection, key: Key, value: str, *, scope: Scope = GLOBAL) -> Done:
    """Store a value.

    Takes:
        value VALUE: The value to store.
    """
    store.write(conn, {key: value}, scopes=(scope,))
    return Done(line=f"stored '{key}'", facts={"scope": scope, "key": key, "value": value})


@command(state, writes=True)
def clear(
    env: Environment, key: str = "", *, scope: Scope = GLOBAL, everything: bool = False
) -> Lines:
    """Delete a value, or all values of a scope.

    Takes:
        key [KEY]: The key to delete.
        everything --all: Delete every key of the scope.
    """
    if bool(key) == everything:
        raise UsageError("name a key, or say --all", where="state clear")
    with env.database() as conn:
        number = store.clear(conn, scope=scope, key=key or None)
    return Lines(text=f"{counted(number, 'value')} deleted", facts={"cleared": number})
