"""`botticelli content`: the rows that narratives produced."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from botticelli.cli.shared.ids import MOST, Kind, number_of
from botticelli.cli.shared.pictures import drawn, picture_facts
from botticelli.cli.shell.command import command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Lines, Listing
from botticelli.errors import UsageError
from botticelli.files import write
from botticelli.narrative.run.row_formats import plain
from botticelli.store import media
from botticelli.store.connection import Connection
from botticelli.store.curation import content as store
from botticelli.store.media import Attached
from botticelli.store.tables import outputs
from botticelli.text import shorten

Report = TypeVar("Report", Listing, Lines)

PREVIEWS = ("text_content", "content", "title", "name", "text")


def _preview(row: Mapping[str, Any]) -> str:
    texts = [row[name] for name in PREVIEWS if isinstance(row.get(name), str)]
    others = [value for name, value in row.items() if isinstance(value, str) and name[-3:] != "_at"]
    return shorten((texts or others or [""])[0].replace("\n", " "), 60)


def _minute(at: datetime | str | None) -> str | None:
    return str(at)[:16].replace("T", " ") if at else None


TABLES: Final[Columns] = {
    "table": "name",
    "made from": "source",
    "narrative file": "narrative_file",
    "last filled": lambda one: _minute(one.last_generated_at),
}
ROWS: Final[Columns] = {
    "id>": "id",
    "status": "review_status",
    "generated": lambda row: _minute(row.get("generated_at")),
    "narrative": "source_narrative",
    "text": _preview,
    "why": lambda row: shorten(row.get("decision_reason") or "", 60),
}
GENERATIONS: Final[Columns] = {
    "at": lambda one: _minute(one.completed_at or one.generated_at),
    "table": "table_name",
    "narrative": "narrative_name",
    "rows>": "row_count",
    "status": "status",
    "reason": lambda one: shorten(one.error_message or "", 60) or None,
}
KINDS: Final[Mapping[str, Kind]] = {store.CANDIDATES: "candidate", store.APPROVED: "post"}
Table = Annotated[str, typer.Argument(metavar="TABLE", help="A table of `content list`.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of the row; c12 or p5 for candidates and posts.")
]

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


@command(content, "list")
def list_content(
    env: Environment,
    conn: Connection,
    table: str = "",
    *,
    status: str = "",
    limit: int = 20,
    form: Form = Format.HUMAN,
) -> Listing | None:
    """List the newest rows of a table, or the tables.

    Takes:
        table [TABLE]: A table; by default list the tables.
        status STATUS: Only with this review_status.
        limit N: Show at most N rows.
    """
    if table:
        found = store.list_rows(conn, table, status=status, limit=limit)
        rows, none = [_plain(row) for row in found.rows], f"no such rows in {table}"
        report = Listing(name="rows", rows=rows, columns=ROWS, empty=none, facts={"table": table})
        names = [table]
    else:
        tables = store.list_tables(conn)
        report = Listing(name="tables", rows=tables, columns=TABLES)
        names = [each.name for each in tables]
    return _formed(env, report, names, form=form)


@command(content)
def show(
    env: Environment,
    conn: Connection,
    table: Table,
    row: Id,
    *,
    save: Path | None = None,
    form: Form = Format.HUMAN,
) -> Lines | None:
    """Show all columns of a row, and its pictures where the terminal can.

    Takes:
        save FOLDER: Save its pictures as files there.
    """
    found = store.find_row(conn, table, id_=_number(row, table))
    note = store.approval_note(conn, table, found)
    shown = _plain(found) | ({"approval_note": note} if note else {})
    pictures = media.attached(conn, **{KINDS[table] + "_id": found["id"]}) if table in KINDS else []
    for each in pictures:
        shown |= dict(picture_facts([each.told]))
        if form is Format.HUMAN:
            env.stdout.write(drawn(each.picture, on=env.stdout, environ=env.environ))
        if save:
            _save(each, save, name=f"{KINDS[table]}-{found['id']}-{each.position}")
    lines = (f"{name}: {value}" for name, value in shown.items() if value not in (None, {}))
    return _formed(env, _changed(table, shown, text="\n".join(lines)), None, form=form)


@command(content)
def last(env: Environment, conn: Connection, *, form: Form = Format.HUMAN) -> Listing | None:
    """Show the latest run that stored rows."""
    return _generations(env, conn, status="success", limit=1, form=form)


@command(content)
def generations(
    env: Environment,
    conn: Connection,
    *,
    status: RunStatus | None = None,
    limit: int = 20,
    form: Form = Format.HUMAN,
) -> Listing | None:
    """List the runs that stored rows, newest first.

    Takes:
        status STATUS: Only success or failed.
        limit N: Show at most N rows.
    """
    return _generations(env, conn, status=status and status.value, limit=limit, form=form)


def _generations(
    env: Environment, conn: Connection, *, status: str | None, limit: int, form: Format
) -> Listing | None:
    found = outputs.generations(conn, status=status, limit=limit)
    report = Listing(name="generations", rows=found, columns=GENERATIONS, empty="nothing to show")
    names = dict.fromkeys(each.table_name for each in found)
    return _formed(env, report, names, form=form)


def _formed(
    env: Environment, report: Report, names: Iterable[str] | None, *, form: Format
) -> Report | None:
    """Return what is still to be shown; None of a form that is written here."""
    if form is Format.TABLE_NAME_ONLY and names is not None:
        env.stdout.writelines(f"{name}\n" for name in names)
    elif form is Format.JSON:
        env.show(report, as_json=True)
    else:
        return report
    return None


@command(content, decides=True)
def review(
    env: Environment, conn: Connection, table: Table, row: Id, state: str = "", *, status: str = ""
) -> Lines:
    """Set the review_status of a row; an approved candidate becomes a post.

    Takes:
        state [STATUS]: pending, approved, rejected or held.
        status STATUS: The same as the argument.
    """
    new = _one(state, status, "STATUS")
    found = store.review(conn, table, id_=_number(row, table), status=new, by=env.user)
    return _changed(table, _plain(found), done=f"is {found['review_status']} now")


@command(content, writes=True)
def tag(
    conn: Connection,
    table: Table,
    row: Id,
    added: list[str] | None = None,
    *,
    tags: str = "",
    rating: int | None = None,
) -> Lines:
    """Add tags to a row, or rate it.

    Takes:
        added [TAG]...: The tags to add.
        tags A,B: The same, in one word.
        rating N: Rate it 1 to 5.
    """
    new = [*(added or ()), *filter(None, map(str.strip, tags.split(",")))]
    if (not new and rating is None) or (rating or 1) > 5:
        what = "a rating is 1 to 5" if new or rating else "no tag is named"
        raise UsageError(what, hint="see botticelli content tag --help")
    found = store.tag(conn, table, id_=_number(row, table), tags=new, rating=rating)
    done = "has the tags " + ", ".join(map(str, found.get("tags") or ["none"]))
    done += "" if rating is None else f", rated {rating}"
    return _changed(table, _plain(found), done=done)


@command(content, decides=True)
def promote(
    env: Environment, conn: Connection, table: Table, row: Id, to: str = "", *, target: str = ""
) -> Lines:
    """Copy a row to another table; a candidate to the posts, unless another one is named.

    Takes:
        to [TARGET]: The table to copy it to.
        target TABLE: The same as the argument.
    """
    usual = store.APPROVED if table == store.CANDIDATES and not to else ""
    to = _one(to, target or usual, "TARGET")
    number = _number(row, table)
    new = store.promote(conn, table, id_=number, target=to, by=env.user)
    return Lines(
        text=f"{table} {number} is {to} {new or ''}".rstrip(),
        facts={"table": table, "id": number, "target": to, "target_id": new},
    )


def _changed(table: str, row: Mapping[str, Any], *, done: str = "", text: str = "") -> Lines:
    """Return the report of a row: `done` says what was changed, `text` shows it."""
    text = text or f"{table} {row.get('id')} {done}"
    return Lines(text=text, facts={"table": table, "row": row, "done": done})


def _one(argument: str, option: str, name: str) -> str:
    """Return what was said as an argument or as an option.

    Raises:
        UsageError: It was said twice, or not at all.
    """
    if bool(argument) == bool(option):
        what = "is named twice" if argument else "is missing"
        raise UsageError(f"{name} {what}", hint="see botticelli content --help")
    return argument or option


def _save(one: Attached, folder: Path, *, name: str) -> None:
    path = folder / f"{name}.{one.mime.partition('/')[2]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(path, one.content)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error


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
