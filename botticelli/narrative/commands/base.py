"""Commands that acts run: who executes them, and what a narrative is allowed to ask for.

The runner knows only `Commands`, which `guarded.py` fills; a platform fills `CommandExecutor`. The
database is the one that is always there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.narrative.language.model import NOTHING
from botticelli.platforms.command_set import Description
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.tables import rows


@record
class CommandCall:
    """One command with its arguments filled in.

    Args:
        seen: Table -> keys of the rows that this narrative has read from it, so that a change
            meets the very rows that were worked on.
        security: The narrative's [security.*].
        above: Name and [security.*] of the narratives that called it, outermost first.
        about: The rows that it is about and that the narrative will mark, as a line; empty: none.
        narrative, act, run_id: Who asks; empty: a person, by hand.
    """

    platform: str
    command: str
    args: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    seen: Mapping[str, Sequence[str]] = field(default_factory=lambda: NOTHING)
    security: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    above: Sequence[tuple[str, Mapping[str, Any]]] = ()
    about: str = ""
    narrative: str = ""
    act: str = ""
    run_id: int | None = None

    @property
    def name(self) -> str:
        """platform.command, as messages and rules write it."""
        return f"{self.platform}.{self.command}"


class CommandExecutor(Protocol):
    """The commands of one platform."""

    def writes(self, command: str) -> bool:
        """Tell whether `command` changes anything; an unknown one counts as changing."""

    def run(self, call: CommandCall) -> Any:
        """Run a command and return its result as JSON has it.

        Raises:
            CommandFailed: It did not succeed, or there is no such command.
        """


class Commands(Protocol):
    """All commands that a narrative can reach."""

    def writes(self, platform: str, command: str) -> bool:
        """Tell whether the command changes anything; an unknown one counts as changing."""

    def run(self, call: CommandCall) -> Any:
        """Run a command and return its result as JSON has it.

        Raises:
            CommandFailed: It did not succeed, is not known, or is not allowed.
        """


def describe_database() -> tuple[Description, ...]:
    """Return the commands of the database."""
    takes = ("table_name!", "updates!", "where_clause", "limit")
    gives = ("rows_affected", "ids")
    return (Description(name="update_table", writes=True, takes=takes, gives=gives),)


@record
class DatabaseCommands:
    """The `database` platform: update_table on tables that the configuration names.

    Args:
        writable: Tables that may be changed.
    """

    conn: Connection
    writable: Sequence[str]

    def writes(self, command: str) -> bool:  # noqa: ARG002 - there is no command that only reads
        """See CommandExecutor."""
        return True

    def run(self, call: CommandCall) -> Any:
        """See CommandExecutor. The result is {"rows_affected": n, "ids": [...]}."""
        keys = rows.update_rows(self.conn, self._change(call))
        return _told(keys)

    def preview(self, call: CommandCall) -> Any:
        """Return which rows would be changed, and to what; raises what `run` would."""
        change = self._change(call)
        keys = rows.update_rows(self.conn, change, dry_run=True)
        return {"table": change.table, **_told(keys), "updates": dict(change.updates)}

    def _change(self, call: CommandCall) -> rows.Change:
        check_update(call.command, call.args, writable=self.writable, where=call.name)
        args = call.args
        table, limit = str(args["table_name"]), _limit(args.get("limit"), call.name)
        # Rows that this narrative has read are the ones it means: "some pending row" is not enough.
        within = call.seen.get(table) if limit is not None else None
        return rows.Change(
            table=table, updates=args["updates"], where=_filter(args), limit=limit, within=within
        )


def check_update(
    command: str, args: Mapping[str, Any], *, writable: Sequence[str], where: str = ""
) -> None:
    """See that a database command can be run; Ellipsis among `args` is a value not known yet.

    Raises:
        CommandFailed: It cannot, or the table may not be changed (Denied).
    """
    if command != "update_table":
        what = f"there is no database command '{command}'"
        raise CommandFailed(what, where=where, hint="use update_table")
    table, updates = args.get("table_name", ""), args.get("updates")
    if table is not ... and table not in writable:
        raise Denied(
            f"table '{table}' may not be changed by a narrative",
            where=where,
            hint="add it to [narratives] writable_tables",
        )
    if updates is not ... and not (isinstance(updates, Mapping) and updates):
        raise CommandFailed("needs updates = {column = value}", where=where)
    if not _filter(args).strip() and _limit(args.get("limit"), where) is None:
        what = "would change every row"
        raise CommandFailed(what, where=where, hint="give it a where_clause or a limit")


def _filter(args: Mapping[str, Any]) -> str:
    return str(args.get("where_clause") or args.get("where") or "")


def _limit(value: Any, where: str) -> int | None:
    if value is None:
        return None
    try:
        limit = 0 if value is ... else int(value)
    except (TypeError, ValueError) as error:
        raise CommandFailed(f"limit is no number: {value!r}", where=where) from error
    if limit < 0:
        raise CommandFailed("limit is below zero", where=where)
    return limit


def _told(keys: Sequence[str]) -> dict[str, Any]:
    return {"rows_affected": len(keys), "ids": [_id(key) for key in keys]}


def _id(key: str) -> int | str:
    return int(key) if key.isdecimal() else key
