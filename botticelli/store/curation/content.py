"""What narratives have made, as a person looks at it and decides about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all
from botticelli.store.curation import reviews
from botticelli.store.delivery import posts
from botticelli.store.tables import inference, rows
from botticelli.store.tables.columns import Column, columns_of
from botticelli.store.tables.rows import Change, Query, Rows

CANDIDATES: Final = "potential_discord_posts"
APPROVED: Final = "approved_discord_posts"
DECISIONS: Final[Mapping[str, reviews.Decision]] = {
    into: decision for decision, into in reviews.INTO.items()
}
STATUSES: Final = ("pending", "approved", "rejected", "held", "posted", "withdrawn")


@record
class ContentTable:
    """A table that holds what narratives made.

    Args:
        source: "inferred", "declared" or the template's name.
    """

    name: str
    source: str
    narrative_file: str | None
    description: str | None
    last_generated_at: datetime | None


LIST_TABLES: Final = """
    SELECT t.name, t.source, t.narrative_file, t.description,
           (SELECT max(g.completed_at) FROM content_generations AS g
             WHERE g.table_name = t.name) AS last_generated_at
      FROM (SELECT table_name AS name, template_source AS source, narrative_file, description
              FROM content_generation_tables
             UNION ALL
            SELECT name, 'declared', NULL, NULL
              FROM unnest(ARRAY['potential_discord_posts', 'approved_discord_posts', 'content'])
                   AS name) AS t
     WHERE to_regclass(quote_ident(t.name)) IS NOT NULL
     ORDER BY t.name
"""


def list_tables(conn: Connection) -> tuple[ContentTable, ...]:
    """Return the tables that hold content. Reads only."""
    return tuple(fetch_all(conn, ContentTable, LIST_TABLES))


def list_rows(conn: Connection, table: str, *, status: str = "", limit: int = 20) -> Rows:
    """Return the newest rows of a table, of one review_status or of all. Reads only.

    Raises:
        UsageError: There is no such table.
        TableError: It has no review_status to choose by.
    """
    columns = _columns_named(conn, table)
    newest = [name for name in ("generated_at", "created_at", "id") if name in columns]
    order = ", ".join(f"{name} DESC" for name in newest[:1] + newest[-1:])
    doubled = status.replace("'", "''")
    where = f"review_status = '{doubled}'" if status else ""
    return rows.read_rows(conn, Query(table=table, where=where, order_by=order, limit=limit))


def _columns_named(conn: Connection, table: str) -> Mapping[str, Column]:
    columns = columns_of(conn, table)
    if not columns:
        raise UsageError(f"there is no table '{table}'", hint="see `botticelli content list`")
    return columns


def find_row(conn: Connection, table: str, *, id_: int) -> Mapping[str, Any]:
    """Return one row. Reads only.

    Raises:
        UsageError: There is no such table, or no row of that id.
        TableError: The table has no id.
    """
    _columns_named(conn, table)
    found = rows.read_rows(conn, Query(table=table, where=f"id = {int(id_)}", limit=1)).rows
    if not found:
        raise UsageError(f"there is no row {id_}", where=table, hint=f"see `content list {table}`")
    return found[0]


IS_AS_APPROVED: Final = f"""
    SELECT {posts.IS_AS_APPROVED}
      FROM approved_discord_posts AS p
     WHERE id = %(id)s
"""  # noqa: S608 - all parts are constants


def approval_note(conn: Connection, table: str, row: Mapping[str, Any]) -> str:
    """Return what is odd about the approval of a row; empty if nothing is. Reads only."""
    if table != APPROVED or conn.execute(IS_AS_APPROVED, row).fetchone() == (True,):
        return ""
    return f"it was changed after it was approved; see `botticelli trace p{row['id']}`"


def review(conn: Connection, table: str, *, id_: int, status: str, by: str) -> Mapping[str, Any]:
    """Set a row's review_status by a person's decision; return the row. One transaction.

    An approved candidate is copied to the approved posts by the database, and only once.

    Raises:
        UsageError: There is no such row, or no such status.
        TableError: The table knows no such status.
    """
    if status not in STATUSES:
        raise UsageError(f"there is no status '{status}'", hint="use " + ", ".join(STATUSES))
    with conn.transaction():
        row = find_row(conn, table, id_=id_)
        if table == CANDIDATES and status in DECISIONS:
            reviews.decide(conn, [id_], DECISIONS[status], by=by)
        else:
            updates: dict[str, Any] = {"review_status": status}
            if "decided_by" in row:
                updates |= {"decided_by": by, "decided_at": "NOW()"}
            _change(conn, table, id_=id_, updates=updates)
        return find_row(conn, table, id_=id_)


def tag(
    conn: Connection, table: str, *, id_: int, tags: Sequence[str], rating: int | None = None
) -> Mapping[str, Any]:
    """Add tags to a row, each once, and rate it; return the row. One transaction.

    Raises:
        UsageError: There is no such row.
        TableError: The table has no tags.
    """
    with conn.transaction():
        found = find_row(conn, table, id_=id_).get("tags")
        known = found if isinstance(found, list) else [found] if found else []
        updates: dict[str, Any] = {} if rating is None else {"rating": rating}
        if tags:
            updates["tags"] = list(dict.fromkeys([*known, *tags]))
        _change(conn, table, id_=id_, updates=updates)
        return find_row(conn, table, id_=id_)


def promote(conn: Connection, table: str, *, id_: int, target: str, by: str) -> int | None:
    """Copy a row's content into another table; return the id there. One transaction.

    A candidate that is promoted to the approved posts is approved.

    Raises:
        UsageError: There is no such row, or no such table.
        TableError: The table cannot take the row.
    """
    with conn.transaction():
        if (table, target) == (CANDIDATES, APPROVED):
            review(conn, table, id_=id_, status="approved", by=by)
            query = Query(table=target, columns=("id",), where=f"candidate_id = {int(id_)}")
            return int(rows.read_rows(conn, query).rows[0]["id"])
        row = dict(find_row(conn, table, id_=id_))
        columns = _columns_named(conn, target)
        ours = set(inference.METADATA) - {"tags"} | {"id", "run_id", "item_id"}
        ours -= {name for name in columns if columns[name].is_required}
        content = {name: value for name, value in row.items() if name not in ours}
        kept = {name: value for name, value in content.items() if name in columns}
        ids = rows.insert_rows(conn, target, rows=[_as_json(kept)])
        return ids[0] if ids else None


def _change(conn: Connection, table: str, *, id_: int, updates: Mapping[str, Any]) -> None:
    change = Change(table=table, updates=updates, where=f"id = {int(id_)}")
    rows.update_rows(conn, change)


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values as an answer would have had them; insert_rows gives them their types again."""
    plain = (str, int, float, bool, list, dict, type(None))
    return {
        name: value
        if isinstance(value, plain)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else str(value)
        for name, value in row.items()
    }
