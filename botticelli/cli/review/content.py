"""`botticelli content`: the rows that narratives produced."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from botticelli.cli.shared.ids import MOST, Kind, number_of
from botticelli.cli.shell.command import command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.narrative.run.row_formats import plain
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation import content as store
from botticelli.store.curation.content import ContentTable
from botticelli.store.tables import outputs
from botticelli.store.tables.outputs import Generation
from botticelli.text import shorten

PREVIEWS = ("text_content", "content", "title", "name", "text")

Table = Annotated[str, typer.Argument(metavar="TABLE", help="A table of `content list`.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of the row; c12 or p5 for candidates and posts.")
]
KINDS: Final[Mapping[str, Kind]] = {store.CANDIDATES: "candidate", store.APPROVED: "post"}
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N rows.")]


content = group(
    "content",
    examples="""
    botticelli content list
    botticelli content list discord_posts --status pending
    botticelli content review discord_posts 17 --status approved
    """,
)


class Format(StrEnum):
    """The format of a list."""

    HUMAN = "human"
    JSON = "json"
    TABLE_NAME_ONLY = "table-name-only"


class RunStatus(StrEnum):
    """How a run of a narrative into a table ended."""

    SUCCESS = "success"
    FAILED = "failed"


Form = Annotated[
    Format, typer.Option("--format", metavar="FORMAT", help="human, json or table-name-only.")
]


@record
class ContentTables:
    """The tables that hold content."""

    tables: tuple[ContentTable, ...]


@record
class ContentRows:
    """Rows of one table, newest first."""

    table: str
    rows: tuple[Mapping[str, Any], ...]


@record
class ContentRow:
    """One row; `done` says what was changed, if anything was."""

    table: str
    row: Mapping[str, Any]
    done: str = ""


@record
class PromotedRow:
    """A row that was copied."""

    table: str
    id: int
    target: str
    target_id: int | None


@record
class Generations:
    """Runs of narratives into tables, newest first."""

    generations: tuple[Generation, ...]


@command(content, "list")
def list_content(
    env: Environment,
    conn: Connection,
    table: Annotated[
        str, typer.Argument(metavar="[TABLE]", help="A table; by default list the tables.")
    ] = "",
    *,
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="Only with this review_status.")
    ] = "",
    limit: Limit = 20,
    form: Form = Format.HUMAN,
    as_json: bool = False,
) -> None:
    """List the newest rows of a table, or the tables."""
    report: ContentTables | ContentRows
    if table:
        found = store.list_rows(conn, table, status=status, limit=limit)
        report = ContentRows(table=table, rows=tuple(map(_plain, found.rows)))
        names = [table]
    else:
        report = ContentTables(tables=store.list_tables(conn))
        names = [each.name for each in report.tables]
    _write(env, report, names, form=form, as_json=as_json)


@command(content)
def show(
    env: Environment,
    conn: Connection,
    table: Table,
    row: Id,
    *,
    form: Form = Format.HUMAN,
    as_json: bool = False,
) -> None:
    """Show all columns of a row."""
    found = store.find_row(conn, table, id_=_number(row, table))
    note = store.approval_note(conn, table, found)
    report = ContentRow(table=table, row=_plain(found) | ({"approval_note": note} if note else {}))
    env.show(report, as_json=as_json or form is Format.JSON)


@command(content)
def last(
    env: Environment, conn: Connection, *, form: Form = Format.HUMAN, as_json: bool = False
) -> None:
    """Show the latest run that stored rows."""
    found = outputs.generations(conn, status="success", limit=1)
    report = Generations(generations=tuple(found))
    names = [each.table_name for each in found]
    _write(env, report, names, form=form, as_json=as_json)


@command(content)
def generations(
    env: Environment,
    conn: Connection,
    *,
    status: Annotated[
        RunStatus | None, typer.Option("--status", metavar="STATUS", help="Only success or failed.")
    ] = None,
    limit: Limit = 20,
    form: Form = Format.HUMAN,
    as_json: bool = False,
) -> None:
    """List the runs that stored rows, newest first."""
    found = outputs.generations(conn, status=status.value if status else None, limit=limit)
    report = Generations(generations=tuple(found))
    names = dict.fromkeys(each.table_name for each in found)
    _write(env, report, names, form=form, as_json=as_json)


def _write(
    env: Environment,
    report: ContentTables | ContentRows | Generations,
    names: Iterable[str],
    *,
    form: Format,
    as_json: bool,
) -> None:
    if form is Format.TABLE_NAME_ONLY:
        env.stdout.writelines(f"{name}\n" for name in names)
    else:
        env.show(report, as_json=as_json or form is Format.JSON)


@command(content, decides=True)
def review(
    env: Environment,
    conn: Connection,
    table: Table,
    row: Id,
    *,
    status: Annotated[
        str,
        typer.Option("--status", metavar="STATUS", help="pending, approved, rejected or held."),
    ],
) -> ContentRow:
    """Set the review_status of a row; an approved candidate becomes a post."""
    found = store.review(conn, table, id_=_number(row, table), status=status, by=env.user)
    done = f"is {found['review_status']} now"
    return ContentRow(table=table, row=_plain(found), done=done)


@command(content, writes=True)
def tag(
    conn: Connection,
    table: Table,
    row: Id,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="The tags to add.")],
) -> ContentRow:
    """Add tags to a row."""
    found = store.tag(conn, table, id_=_number(row, table), tags=tags)
    done = "has the tags " + ", ".join(map(str, found["tags"]))
    return ContentRow(table=table, row=_plain(found), done=done)


@command(content, decides=True)
def promote(
    env: Environment,
    conn: Connection,
    table: Table,
    row: Id,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The table to copy it to.")],
) -> PromotedRow:
    """Copy a row to another table; a candidate to the posts."""
    number = _number(row, table)
    new = store.promote(conn, table, id_=number, target=target, by=env.user)
    return PromotedRow(table=table, id=number, target=target, target_id=new)


def _number(id_: str, table: str) -> int:
    """Return the number of a row's id; a letter has to name what the table holds.

    Raises:
        UsageError: It is no id, or one of another table.
    """
    if id_.isdecimal() and int(id_) <= MOST:
        return int(id_)
    if table not in KINDS:
        raise UsageError(f"'{id_}' is not the id of a row", hint="write it as 12", where=table)
    return number_of(KINDS[table])(id_)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}


def _preview(row: Mapping[str, Any]) -> str:
    texts = [row[name] for name in PREVIEWS if isinstance(row.get(name), str)]
    others = [value for name, value in row.items() if isinstance(value, str) and name[-3:] != "_at"]
    return shorten((texts or others or [""])[0].replace("\n", " "), 60)


def _minute(at: datetime | str | None) -> str | None:
    return str(at)[:16].replace("T", " ") if at else None


@render.register
def _(report: ContentTables, console: Console) -> None:
    console.table(
        ("table", "made from", "narrative file", "last filled"),
        [
            (each.name, each.source, each.narrative_file, _minute(each.last_generated_at))
            for each in report.tables
        ],
    )


@render.register
def _(report: ContentRows, console: Console) -> None:
    if not report.rows:
        console.line(f"no such rows in {report.table}")
        return
    console.table(
        ("id", "status", "generated", "narrative", "text", "why"),
        [
            (
                row.get("id"),
                row.get("review_status"),
                _minute(row.get("generated_at")),
                row.get("source_narrative"),
                _preview(row),
                shorten(row.get("decision_reason") or "", 60),
            )
            for row in report.rows
        ],
        right=("id",),
    )


@render.register
def _(report: ContentRow, console: Console) -> None:
    if report.done:
        console.line(f"{report.table} {report.row.get('id')} {report.done}")
        return
    for name, value in report.row.items():
        if value is not None and value != {}:
            console.line(f"{name}: {value}")


@render.register
def _(report: PromotedRow, console: Console) -> None:
    console.line(f"{report.table} {report.id} is {report.target} {report.target_id or ''}".rstrip())


@render.register
def _(report: Generations, console: Console) -> None:
    if not report.generations:
        console.line("nothing to show")
        return
    console.table(
        ("at", "table", "narrative", "rows", "status", "reason"),
        [
            (
                _minute(each.completed_at or each.generated_at),
                each.table_name,
                each.narrative_name,
                each.row_count,
                each.status,
                shorten(each.error_message or "", 60) or None,
            )
            for each in report.generations
        ],
        right=("rows",),
    )
