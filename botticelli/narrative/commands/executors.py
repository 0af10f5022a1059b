"""What carries out the commands of a platform, and those of the database."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.platforms.command_set import CommandSet, Description, Once, OnceOnly, Place
from botticelli.records import record
from botticelli.store.commands import unmarked_sends
from botticelli.store.connection import Connection
from botticelli.store.tables import rows
from botticelli.store.tables.columns import OPERATIONAL
from botticelli.store.tables.inference import base_tables

# Columns of candidates that no verdict depends on.
FREE_COLUMNS: Final = frozenset({"review_status", "tags", "source", "content_type", "rating"})


class PlatformExecutor:
    """The commands of a platform as narratives run them.

    Attributes:
        commands: What the platform, or the plugin that brings it, has.
    """

    def __init__(self, commands: CommandSet) -> None:
        self.commands = commands
        self._reading = {one.name for one in commands.describe() if not one.writes}

    def canonical(self, command: str) -> str:
        """See CommandExecutor."""
        return self.commands.canonical(command)

    def writes(self, command: str) -> bool:
        """See CommandExecutor."""
        return self.canonical(command) not in self._reading

    def check(self, call: CommandCall) -> None:
        """See CommandExecutor."""
        self.commands.preview(call.command, call.args)

    def preview(self, call: CommandCall) -> Any:
        """See CommandExecutor."""
        return self.commands.preview(call.command, call.args)

    def place(self, call: CommandCall) -> Place:
        """See CommandExecutor."""
        return self.commands.place(call.command, call.args)

    def run(self, call: CommandCall, *, once: Once | None = None) -> Any:
        """See CommandExecutor."""
        if once is not None and isinstance(self.commands, OnceOnly):
            return self.commands.run_once(call.command, call.args, once=once)
        return self.commands.run(call.command, call.args)


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
        approves: Whether approved posts and verdicts may be, too; else what the narrative itself
            has sent may be marked as posted, and candidates may be turned down.
    """

    conn: Connection
    writable: Sequence[str]
    approves: bool = False

    def canonical(self, command: str) -> str:
        """See CommandExecutor."""
        return command

    def writes(self, _command: str) -> bool:
        """See CommandExecutor."""
        return True

    def check(self, call: CommandCall) -> None:
        """See CommandExecutor. Statements are checked where they run."""

    def preview(self, call: CommandCall) -> Any:
        """See CommandExecutor: which rows would be changed, and to what."""
        change = self._change(call)
        keys = rows.update_rows(self.conn, change, dry_run=True)
        return {"table": change.table, **_changed(keys), "updates": dict(change.updates)}

    def place(self, _call: CommandCall) -> Place:
        """See CommandExecutor: nowhere on a platform."""
        return Place()

    def run(self, call: CommandCall, *, once: Once | None = None) -> Any:
        """See CommandExecutor. The result is {"rows_affected": n, "ids": [...]}."""
        del once  # an update that is repeated changes nothing
        return _changed(rows.update_rows(self.conn, self._change(call)))

    def _change(self, call: CommandCall) -> rows.Change:
        check_update(call.command, call.args, writable=self.writable, where=call.name)
        args = call.args
        table, limit = str(args["table_name"]), _limit(args.get("limit"), call.name)
        # It means the rows that it has read: any other pending row will not do.
        within = call.seen.get(table) if limit is not None else None
        change = rows.Change(
            table=table, updates=args["updates"], where=_filter(args), limit=limit, within=within
        )
        reached = base_tables(self.conn, [table])
        if own := reached & OPERATIONAL:
            raise _own(min(own), call.name)
        return change if self.approves else self._unapproving(change, call, reached)

    def _unapproving(
        self, change: rows.Change, call: CommandCall, reached: frozenset[str]
    ) -> rows.Change:
        """Return a change within the rows that a narrative may change without a review.

        Raises:
            Denied: It would write what only curation and people write.
        """
        if "approved_discord_posts" in reached:
            sent = unmarked_sends.rows_sent(self.conn, change.table, narrative=call.narrative)
            if not (_marks_as_posted(change.updates) and sent):
                raise _unreviewed(call, "a narrative marks what it has sent, with review_status")
            within = sent if change.within is None else sent & set(change.within)
            return replace(change, within=sorted(within))
        if "potential_discord_posts" in reached and not _turns_down(change.updates):
            raise _unreviewed(call, "a narrative may reject, hold and tag candidates")
        return change


def _marks_as_posted(updates: Mapping[str, Any]) -> bool:
    status = updates.get("review_status", "posted")
    return updates.keys() <= {"review_status", "posted_at"} and status == "posted"


def _turns_down(updates: Mapping[str, Any]) -> bool:
    status = updates.get("review_status", "rejected")
    return updates.keys() <= FREE_COLUMNS and status in ("rejected", "held")


def _own(table: str, where: str) -> Denied:
    what = f"table '{table}' may not be changed by a narrative: it is Botticelli's own"
    return Denied(what, where=where)


def _unreviewed(call: CommandCall, may: str) -> Denied:
    return Denied(
        f"only curation and people write posts and verdicts; {may}",
        where=call.name,
        hint="set [security] approve_without_review = true in botticelli.toml to allow it",
    )


def check_update(
    command: str, args: Mapping[str, Any], *, writable: Sequence[str], where: str = ""
) -> None:
    """Check that a database command can run; Ellipsis among `args` is a value not known yet.

    Raises:
        CommandFailed: It cannot, or the table may not be changed (Denied).
    """
    if command != "update_table":
        what = f"there is no database command '{command}'"
        raise CommandFailed(what, where=where, hint="use update_table")
    table, updates = args.get("table_name", ""), args.get("updates")
    if table in OPERATIONAL:
        raise _own(str(table), where)
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
        raise CommandFailed(f"limit is not a number: {value!r}", where=where) from error
    if limit < 0:
        raise CommandFailed("limit is negative", where=where)
    return limit


def _changed(keys: Sequence[str]) -> dict[str, Any]:
    ids = [int(key) if key.isdecimal() else key for key in keys]
    return {"rows_affected": len(ids), "ids": ids}
