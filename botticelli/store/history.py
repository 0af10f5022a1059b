"""What runs were: read only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.identity import Identity


@record
class PastRun:
    """A run. `seconds` is how long it took, or has taken so far; `calls` asked a model."""

    id: int
    stage: str
    state: str
    host: str
    pid: int
    started_at: datetime
    ended_at: datetime | None
    seconds: float
    exit_code: int | None
    error: str | None
    summary: Mapping[str, Any]
    calls: int
    cost_usd: Decimal


RUNS: Final = """
    SELECT r.id, r.stage, r.state, r.host, r.pid, r.started_at, r.ended_at, r.exit_code,
           r.error, r.summary,
           extract(epoch FROM coalesce(r.ended_at, %(now)s::timestamptz, now())
                              - r.started_at)::float8 AS seconds,
           coalesce(a.calls, 0) AS calls,
           coalesce(a.cost_usd, 0) AS cost_usd
      FROM runs AS r
      LEFT JOIN LATERAL (SELECT count(*) AS calls, sum(cost_usd) AS cost_usd
                           FROM act_executions
                          WHERE run_id = r.id) AS a ON true
     WHERE (%(id)s::bigint IS NULL OR r.id = %(id)s)
       AND (%(stage)s::text IS NULL OR r.stage = %(stage)s)
       AND (%(state)s::text IS NULL OR r.state = %(state)s)
     ORDER BY r.started_at DESC, r.id DESC
     LIMIT %(limit)s
"""


def past_runs(
    conn: Connection,
    *,
    run: int | None = None,
    stage: str | None = None,
    state: str | None = None,
    limit: int = 20,
    now: datetime | None = None,
) -> Sequence[PastRun]:
    """Return the latest runs, newest first; only one of that id, stage or state if named."""
    values = {"id": run, "stage": stage, "state": state, "limit": limit, "now": now}
    with conn.cursor(row_factory=class_row(PastRun)) as cursor:
        return cursor.execute(RUNS, values).fetchall()


@record
class OwnRun:
    """How a process's own run ended, and whether the stage's breaker is open after it."""

    id: int
    state: str
    exit_code: int | None
    error: str | None
    summary: Mapping[str, Any]
    breaker_open: bool


OWN: Final = """
    SELECT r.id, r.state, r.exit_code, r.error, r.summary,
           s.circuit_opened_at IS NOT NULL AND s.circuit_opened_at >= r.started_at
               AS breaker_open
      FROM runs AS r
      LEFT JOIN actor_server_state AS s
        ON s.task_id = r.stage
     WHERE r.stage = %(stage)s
       AND (%(host)s::text IS NULL OR r.host = %(host)s AND r.pid = %(pid)s)
       AND r.id > %(after)s
     ORDER BY r.id DESC
     LIMIT 1
"""


def own_run(
    conn: Connection, stage: str, *, identity: Identity | None = None, after: int = 0
) -> OwnRun | None:
    """Return the last run of a stage, by that process if one is named, with an id above `after`."""
    values = {
        "stage": stage,
        "host": identity.host if identity else None,
        "pid": identity.pid if identity else None,
        "after": after,
    }
    with conn.cursor(row_factory=class_row(OwnRun)) as cursor:
        return cursor.execute(OWN, values).fetchone()


@record
class Step:
    """One line of a run's story: an attempt at an act, a candidate, a delivery or a command."""

    at: datetime
    what: str
    name: str
    state: str
    detail: str


STEPS: Final = """
    SELECT created_at AS at, 'act' AS what, narrative || '.' || act_name AS name, state,
           concat_ws(' ', coalesce(model_version, model), 'attempt ' || attempt,
                     latency_ms || ' ms', input_tokens || ' tokens in', output_tokens || ' out',
                     finish_reason, error) AS detail
      FROM act_executions
     WHERE run_id = %(run)s
    UNION ALL
    SELECT generated_at, 'candidate', id::text, review_status, left(text_content, 60)
      FROM potential_discord_posts
     WHERE run_id = %(run)s
    UNION ALL
    SELECT selected_at, 'approved', id::text, review_status, left(text_content, 60)
      FROM approved_discord_posts
     WHERE run_id = %(run)s
    UNION ALL
    SELECT at, 'command', platform || '.' || command, decision,
           concat_ws(' ', outcome, error, reason)
      FROM command_audit
     WHERE run_id = %(run)s
     ORDER BY 1, 2, 3
"""


def steps_of(conn: Connection, run: int) -> Sequence[Step]:
    """Return what a run did, in the order of time."""
    with conn.cursor(row_factory=class_row(Step)) as cursor:
        return cursor.execute(STEPS, {"run": run}).fetchall()
