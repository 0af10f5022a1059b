"""The commands of the database, as a CommandSet."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

from botticelli.config.keys import NOTHING
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.platforms.command_set import Description, Place
from botticelli.records import record
from botticelli.store.commands import unmarked_sends
from botticelli.store.connection import Connection
from botticelli.store.tables import rows
from botticelli.store.tables.columns import GUARDED
from botticelli.store.tables.inference import base_tables

WHERE: Final = "database.update_table"
DESCRIPTIONS: Final = (
    Description(
        name="update_table",
        writes=True,
        takes=("table_name!", "updates!", "where_clause", "limit"),
        gives=("rows_affected", "ids"),
    ),
)
# Columns of candidates that no verdict depends on.
FREE_COLUMNS: Final = frozenset({"review_status", "tags", "source", "content_type", "rating"})


@record
class DatabaseCommands:
    """The `database` platform: update_table on tables that the configuration names.

    Args:
        writable: Tables that may be changed.
        approves: Whether approved posts and verdicts may be, too; else what the narrative itself
            has sent may be marked as posted, and candidates may be turned down.
        seen: Table -> keys of the rows that the narrative has read from it.
        narrative: Who asks; empty: a person, by hand.
    """

    conn: Connection
    writable: Sequence[str]
    approves: bool = False
    seen: Mapping[str, Sequence[str]] = field(default_factory=lambda: NOTHING)
    narrative: str = ""

    def of(self, call: CommandCall) -> "DatabaseCommands":
        """Return the commands as the narrative that makes this call has them."""
        return replace(self, seen=call.seen, narrative=call.narrative)

    def describe(self) -> tuple[Description, ...]:
        """See CommandSet."""
        return DESCRIPTIONS

    def canonical(self, command: str) -> str:
        """See CommandSet."""
        return command

    def preview(self, command: str, args: Mapping[str, Any]) -> Any:
        """See CommandSet: which rows would be changed, and to what."""
        change = self._change(command, args)
        keys = rows.update_rows(self.conn, change, dry_run=True)
        return {"table": change.table, **_changed(keys), "updates": dict(change.updates)}

    def place(self, _command: str, _args: Mapping[str, Any]) -> Place:
        """See CommandSet: nowhere on a platform."""
        return Place()

    def run(self, command: str, args: Mapping[str, Any]) -> Any:
        """See CommandSet. The result is {"rows_affected": n, "ids": [...]}."""
        return _changed(rows.update_rows(self.conn, self._change(command, args)))

    def _change(self, command: str, args: Mapping[str, Any]) -> rows.Change:
        check_update(command, args, writable=self.writable, where=WHERE)
        table, limit = str(args["table_name"]), _limit(args.get("limit"), WHERE)
        # It means the rows that it has read: any other pending row will not do.
        within = self.seen.get(table) if limit is not None else None
        change = rows.Change(
            table=table, updates=args["updates"], where=_filter(args), limit=limit, within=within
        )
        reached = base_tables(self.conn, [table])
        if own := reached & GUARDED:
            raise _own(min(own), WHERE)
        return change if self.approves else self._unapproving(change, reached)

    def _unapproving(self, change: rows.Change, reached: frozenset[str]) -> rows.Change:
        """Return a change within the rows that a narrative may change without a review.

        Raises:
            Denied: It would write what only curation and people write.
        """
        if "approved_discord_posts" in reached:
            sent = unmarked_sends.rows_sent(self.conn, change.table, narrative=self.narrative)
            if not (sent and _sets_only(change.updates, {"review_status", "posted_at"}, "posted")):
                raise _unreviewed("a narrative marks what it has sent, with review_status")
            within = sent if change.within is None else sent & set(change.within)
            return replace(change, within=sorted(within))
        if "potential_discord_posts" in reached and not _sets_only(
            change.updates, FREE_COLUMNS, "rejected", "held"
        ):
            raise _unreviewed("a narrative may reject, hold and tag candidates")
        return change


def _sets_only(updates: Mapping[str, Any], columns: Collection[str], *statuses: str) -> bool:
    status = updates.get("review_status", statuses[0])
    return set(columns).issuperset(updates) and status in statuses


def _own(table: str, where: str) -> Denied:
    what = f"table '{table}' may not be changed by a narrative: it is Botticelli's own"
    return Denied(what, where=where)


def _unreviewed(may: str) -> Denied:
    return Denied(
        f"only curation and people write posts and verdicts; {may}",
        where=WHERE,
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
    if table in GUARDED:
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
