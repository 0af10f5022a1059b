"""What a narrative made goes in, what it consumed goes out: one transaction, and its account."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from botticelli.records import record
from botticelli.store import media
from botticelli.store.connection import Connection, fetch_all
from botticelli.store.media import NewPicture
from botticelli.store.tables import row_leases
from botticelli.store.tables import rows as tables
from botticelli.store.tables.row_leases import RowLease


@record
class NewRows:
    """Rows for one table; `template`: whose columns it gets if it is not there.

    `pictures`: What candidates among them show.
    """

    table: str
    rows: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any]
    template: str = ""
    pictures: Sequence[NewPicture] = ()


@record
class RunOutputs:
    """Everything one run of a narrative leaves behind.

    Args:
        consumed: Leased rows that are removed with it.
        failure: What did not succeed; empty if all did.
    """

    rows: tuple[NewRows, ...]
    consumed: tuple[RowLease, ...] = ()
    narrative: str
    file: str = ""
    description: str = ""
    run_id: int | None = None
    started_at: datetime
    ended_at: datetime
    created_by: str = "run"
    failure: str = ""


RECORD: Final = """
    INSERT INTO content_generations (table_name, narrative_file, narrative_name, run_id,
                generated_at, completed_at, row_count, generation_duration_ms, status,
                error_message, created_by)
         VALUES (%(table)s, nullif(%(file)s, ''), %(narrative)s, %(run_id)s, %(started_at)s,
                %(ended_at)s, %(count)s,
                round(1000 * extract(epoch FROM %(ended_at)s::timestamptz - %(started_at)s)),
                CASE %(failure)s WHEN '' THEN 'success' ELSE 'failed' END,
                nullif(%(failure)s, ''), %(created_by)s)
"""


def store_outputs(conn: Connection, made: RunOutputs) -> dict[str, tuple[int, ...]]:
    """Insert rows, remove consumed ones, record both; return table -> new ids. One transaction.

    Raises:
        LostLease: Somebody else has taken a consumed row over.
        TableError: A table cannot take its rows. In both cases nothing has changed.
    """
    ids: dict[str, tuple[int, ...]] = {}
    counts: dict[str, int] = {}
    with conn.transaction():
        # Always in one order: two runs that widen the same tables must not wait in a circle.
        for new in sorted(made.rows, key=lambda each: each.table):
            added = tables.insert_rows(
                conn, new.table, rows=new.rows, metadata=new.metadata, template=new.template,
                file=made.file, description=made.description,
            )  # fmt: skip
            media.attach(conn, added, new.pictures)
            ids[new.table] = (*ids.get(new.table, ()), *added)
            counts[new.table] = counts.get(new.table, 0) + len(new.rows)
        row_leases.consume(conn, made.consumed)
        for table, count in counts.items():
            conn.execute(RECORD, {**vars(made), "table": table, "count": count})
    return ids


@record
class Generation:
    """One run of a narrative into one table, a row of content_generations."""

    table_name: str
    narrative_file: str | None
    narrative_name: str
    run_id: int | None
    generated_at: datetime
    completed_at: datetime | None
    row_count: int | None
    generation_duration_ms: int | None
    status: str
    error_message: str | None
    created_by: str | None
    id: int = 0


GENERATIONS: Final = """
    SELECT id, table_name, narrative_file, narrative_name, run_id, generated_at, completed_at,
           row_count, generation_duration_ms, status, error_message, created_by
      FROM unnest(coalesce(%(statuses)s::text[], '{running,success,failed}')) AS s (wanted)
     CROSS JOIN LATERAL (SELECT *
                           FROM content_generations
                          WHERE status = s.wanted
                          ORDER BY coalesce(completed_at, generated_at) DESC, id DESC
                          LIMIT %(limit)s) AS g
     ORDER BY coalesce(completed_at, generated_at) DESC, id DESC
     LIMIT %(limit)s
"""


def generations(
    conn: Connection, *, status: str | None = None, limit: int = 20
) -> list[Generation]:
    """Return the latest runs of narratives into tables, newest first."""
    values = {"statuses": [status] if status else None, "limit": limit}
    return fetch_all(conn, Generation, GENERATIONS, values)
