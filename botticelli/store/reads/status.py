"""What `status` reads: stages, queues, destinations, spending. Nothing is changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection

Row = TypeVar("Row")


@record
class StageRow:
    """A stage: its switches, who holds its lock, and its last run. Times are None if never."""

    stage: str
    is_paused: bool
    circuit_opened_at: datetime | None
    consecutive_failures: int
    running_host: str | None
    running_pid: int | None
    running_since: datetime | None
    run_id: int | None
    run_state: str | None
    run_started_at: datetime | None
    run_ended_at: datetime | None
    run_exit_code: int | None
    run_error: str | None


@record
class Count:
    """How many rows of a queue are in one state."""

    queue: str
    state: str
    count: int


@record
class Posted:
    """How many posts a destination got today, which is a day of its own time zone."""

    destination: str
    today: int


@record
class Spent:
    """What the models' answers of the present UTC day took; cost in US dollars."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal


@record
class Overview:
    """Everything at one instant, which is `now` on the database's clock."""

    now: datetime
    stages: tuple[StageRow, ...]
    counts: tuple[Count, ...]
    posted: tuple[Posted, ...]
    spent: Spent


NOW: Final = "SELECT botticelli_now()"

STAGES: Final = """
    SELECT s.task_id AS stage,
           s.is_paused,
           s.circuit_opened_at,
           s.consecutive_failures,
           l.host AS running_host,
           l.pid AS running_pid,
           l.acquired_at AS running_since,
           r.id AS run_id,
           r.state AS run_state,
           r.started_at AS run_started_at,
           r.ended_at AS run_ended_at,
           r.exit_code AS run_exit_code,
           r.error AS run_error
      FROM actor_server_state AS s
      LEFT JOIN locks AS l
        ON l.name = s.task_id
       AND l.expires_at > botticelli_now()
      LEFT JOIN LATERAL (SELECT *
                           FROM runs
                          WHERE stage = s.task_id
                          ORDER BY started_at DESC, id DESC
                          LIMIT 1) AS r ON true
"""

COUNTS: Final = """
    SELECT 'candidates' AS queue, review_status AS state, count(*) AS count
      FROM potential_discord_posts GROUP BY review_status
    UNION ALL
    SELECT 'approved', review_status, count(*) FROM approved_discord_posts GROUP BY review_status
    UNION ALL
    SELECT 'items', state, count(*)
      FROM generation_items WHERE state IN ('pending', 'running') GROUP BY state
    UNION ALL
    SELECT 'deliveries', state, count(*) FROM deliveries GROUP BY state
"""

POSTED: Final = """
    SELECT d.name AS destination,
           count(p.id) AS today
      FROM unnest(%(names)s::text[], %(zones)s::text[]) AS d (name, zone)
      LEFT JOIN deliveries AS p
        ON p.destination = d.name
       AND p.posted_at >= date_trunc('day', botticelli_now(), d.zone)
     GROUP BY d.name
"""

SPENT: Final = """
    SELECT count(*) AS calls,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(coalesce(output_tokens, 0) + coalesce(thought_tokens, 0)), 0)::bigint
               AS output_tokens,
           coalesce(sum(cost_usd), 0) AS cost_usd
      FROM act_executions
     WHERE created_at >= date_trunc('day', botticelli_now(), 'UTC')
"""


def overview(conn: Connection, *, zones: Mapping[str, str]) -> Overview:
    """Return everything that `status` shows. One transaction, which changes nothing.

    `zones` are the destinations' time zones by name; `now` is the database's clock unless a test
    pins it.
    """
    values = {"names": list(zones), "zones": list(zones.values())}
    with conn.transaction():
        instant = conn.execute(NOW, values).fetchone()
        assert instant is not None
        return Overview(
            now=instant[0],
            stages=tuple(_rows(conn, STAGES, values, StageRow)),
            counts=tuple(_rows(conn, COUNTS, values, Count)),
            posted=tuple(_rows(conn, POSTED, values, Posted)),
            spent=_rows(conn, SPENT, values, Spent)[0],
        )


def _rows(
    conn: Connection, statement: str, values: Mapping[str, Any], kind: type[Row]
) -> Sequence[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement, values).fetchall()
