"""`botticelli content`: candidates, posts and what else was made, and decisions about it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from botticelli.cli.review.deliveries import who
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Exit
from botticelli.narrative.run.row_formats import plain
from botticelli.records import record
from botticelli.store.curation import content
from botticelli.store.curation.content import ContentTable
from botticelli.store.tables import outputs
from botticelli.store.tables.outputs import Generation
from botticelli.text import shorten

PREVIEWS = ("text_content", "content", "title", "name", "text")

Table = Annotated[str, typer.Argument(metavar="TABLE", help="See `content list`.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="Of the row.")]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Most rows shown.")]

group = typer.Typer(
    help="Look at candidates and posts, and decide about them by hand.", no_args_is_help=True
)
app.add_typer(group, name="content")


class Format(StrEnum):
    """How a list is written."""

    HUMAN = "human"
    JSON = "json"
    TABLE_NAME_ONLY = "table-name-only"


class Outcome(StrEnum):
    """How a run of a narrative into a table ended."""

    SUCCESS = "success"
    FAILED = "failed"


Form = Annotated[Format, typer.Option("--format", help="How it is written.")]


@record
class Tables:
    """The tables that hold content."""

    tables: tuple[ContentTable, ...]
    exit_code: Exit = Exit.DONE


@record
class Listing:
    """Rows of one table, newest first."""

    table: str
    rows: tuple[Mapping[str, Any], ...]
    exit_code: Exit = Exit.DONE


@record
class Shown:
    """One row. `done`: what was done to it; empty: nothing."""

    table: str
    row: Mapping[str, Any]
    done: str = ""
    exit_code: Exit = Exit.DONE


@record
class Promoted:
    """A row that was copied."""

    table: str
    id: int
    target: str
    target_id: int | None
    exit_code: Exit = Exit.DONE


@record
class Generations:
    """Runs of narratives into tables, newest first."""

    generations: tuple[Generation, ...]
    exit_code: Exit = Exit.DONE


@group.command(name="list")
def list_(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(metavar="[TABLE]", help="Else: which there are.")] = "",
    *,
    status: Annotated[str, typer.Option("--status", help="Only of this review_status.")] = "",
    limit: Limit = 20,
    form: Form = Format.HUMAN,
    as_json: Json = False,
) -> int:
    """List a table's rows, newest first; without one, the tables."""
    env: Environment = ctx.obj
    report: Tables | Listing
    with env.database() as conn:
        if table:
            found = content.list_rows(conn, table, status=status, limit=limit)
            report = Listing(table=table, rows=tuple(map(_plain, found.rows)))
            names = [table]
        else:
            report = Tables(tables=content.list_tables(conn))
            names = [each.name for each in report.tables]
    if form is Format.TABLE_NAME_ONLY:
        env.stdout.writelines(f"{name}\n" for name in names)
    else:
        env.show(report, as_json=as_json or form is Format.JSON)
    return report.exit_code


@group.command()
def show(
    ctx: typer.Context, table: Table, row: Id, *, form: Form = Format.HUMAN, as_json: Json = False
) -> int:
    """Show one row, whole."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = content.find_row(conn, table, id_=row)
    report = Shown(table=table, row=_plain(found))
    env.show(report, as_json=as_json or form is Format.JSON)
    return Exit.DONE


@group.command()
def last(ctx: typer.Context, *, form: Form = Format.HUMAN, as_json: Json = False) -> int:
    """Show the latest run that stored anything."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = outputs.generations(conn, status="success", limit=1)
    if form is Format.TABLE_NAME_ONLY:
        env.stdout.writelines(f"{each.table_name}\n" for each in found)
    else:
        report = Generations(generations=tuple(found))
        env.show(report, as_json=as_json or form is Format.JSON)
    return Exit.DONE


@group.command()
def generations(
    ctx: typer.Context,
    *,
    status: Annotated[
        Outcome | None, typer.Option("--status", help="Only those that ended so.")
    ] = None,
    limit: Limit = 20,
    form: Form = Format.HUMAN,
    as_json: Json = False,
) -> int:
    """List the runs that stored anything, newest first."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = outputs.generations(conn, status=status.value if status else None, limit=limit)
    if form is Format.TABLE_NAME_ONLY:
        names = dict.fromkeys(each.table_name for each in found)
        env.stdout.writelines(f"{name}\n" for name in names)
    else:
        report = Generations(generations=tuple(found))
        env.show(report, as_json=as_json or form is Format.JSON)
    return Exit.DONE


@group.command()
def review(
    ctx: typer.Context,
    table: Table,
    row: Id,
    *,
    status: Annotated[str, typer.Option("--status", help="pending, approved, rejected or held.")],
    as_json: Json = False,
) -> int:
    """Set a row's review_status; an approved candidate becomes a post."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = content.review(conn, table, id_=row, status=status, by=who(env))
    done = f"is {found['review_status']} now"
    env.show(Shown(table=table, row=_plain(found), done=done), as_json=as_json)
    return Exit.DONE


@group.command()
def tag(
    ctx: typer.Context,
    table: Table,
    row: Id,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Added to those it has.")],
    *,
    as_json: Json = False,
) -> int:
    """Add tags to a row."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = content.tag(conn, table, id_=row, tags=tags)
    done = "has the tags " + ", ".join(map(str, found["tags"]))
    env.show(Shown(table=table, row=_plain(found), done=done), as_json=as_json)
    return Exit.DONE


@group.command()
def promote(
    ctx: typer.Context,
    table: Table,
    row: Id,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The table it is copied to.")],
    *,
    as_json: Json = False,
) -> int:
    """Copy a row into another table; a candidate into the posts."""
    env: Environment = ctx.obj
    with env.database() as conn:
        new = content.promote(conn, table, id_=row, target=target, by=who(env))
    report = Promoted(table=table, id=row, target=target, target_id=new)
    env.show(report, as_json=as_json)
    return Exit.DONE


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items()}


def _preview(row: Mapping[str, Any]) -> str:
    texts = [row[name] for name in PREVIEWS if isinstance(row.get(name), str)]
    others = [value for name, value in row.items() if isinstance(value, str) and name[-3:] != "_at"]
    return shorten((texts or others or [""])[0].replace("\n", " "), 60)


def _minute(at: datetime | str | None) -> str | None:
    return str(at)[:16].replace("T", " ") if at else None


@render.register
def _(report: Tables, console: Console) -> None:
    console.table(
        ("table", "made from", "narrative file", "last filled"),
        [
            (each.name, each.source, each.narrative_file, _minute(each.last_generated_at))
            for each in report.tables
        ],
    )


@render.register
def _(report: Listing, console: Console) -> None:
    if not report.rows:
        console.line(f"no such rows in {report.table}")
        return
    console.table(
        ("id", "status", "generated", "narrative", "text"),
        [
            (
                row.get("id"),
                row.get("review_status"),
                _minute(row.get("generated_at")),
                row.get("source_narrative"),
                _preview(row),
            )
            for row in report.rows
        ],
        right=("id",),
    )


@render.register
def _(report: Shown, console: Console) -> None:
    if report.done:
        console.line(f"{report.table} {report.row.get('id')} {report.done}")
        return
    for name, value in report.row.items():
        if value is not None and value != {}:
            console.line(f"{name}: {value}")


@render.register
def _(report: Promoted, console: Console) -> None:
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
