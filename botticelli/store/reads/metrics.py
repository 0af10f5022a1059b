"""What `metrics` reads, mostly from the views of schema.sql. Nothing is changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.reads.status import read_queues

Row = TypeVar("Row")


@record
class StageTotals:
    """A stage's switches and last outcomes; times are None if never.

    Args:
        last_success_seconds: How long the last run took that succeeded.
    """

    stage: str
    is_paused: bool
    breaker_open: bool
    consecutive_failures: int
    is_running: bool
    last_run: datetime | None
    last_success: datetime | None
    last_success_seconds: float | None
    last_failure: datetime | None


@record
class DeliveryTotals:
    """A destination's deliveries in one state; `waiting_since`: of the oldest that is not out."""

    destination: str
    state: str
    count: int
    waiting_since: datetime | None


@record
class StuckTotals:
    """A destination's deliveries whose outcome nobody knows, and since when the oldest is so."""

    destination: str
    count: int
    stuck_since: datetime


@record
class RunTotals:
    """Ended runs of all time."""

    stage: str
    outcome: str
    runs: int


@record
class CallTotals:
    """Calls of all time at one model that ended in one way. `input_tokens` includes cached ones."""

    provider: str
    model: str
    state: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    thought_tokens: int
    cost_usd: Decimal


@record
class PostTotals:
    """Posts of all time, and what an approved one took lately.

    Args:
        tokens_per_approved: Over the last 30 days; None: nothing was approved.
    """

    candidates: int
    approved: int
    tokens_per_approved: float | None


@record
class Published:
    """Posts that a destination ever got, those taken back included."""

    destination: str
    count: int


@record
class Totals:
    """Everything at one instant, which is `now` on the database's clock.

    Args:
        approvals: Bot commands that wait for a person.
    """

    now: datetime
    schema_version: int
    size_bytes: int
    approvals: int
    stages: tuple[StageTotals, ...]
    queues: Mapping[str, Mapping[str, int]]
    deliveries: tuple[DeliveryTotals, ...]
    stuck: tuple[StuckTotals, ...]
    published: tuple[Published, ...]
    runs: tuple[RunTotals, ...]
    calls: tuple[CallTotals, ...]
    posts: PostTotals


INSTANT: Final = """
    SELECT botticelli_now(),
           (SELECT max(version) FROM schema_version),
           pg_database_size(current_database()),
           (SELECT count(*) FROM command_approvals
             WHERE state = 'pending' AND expires_at > botticelli_now())
"""
STAGES: Final = """
    SELECT stage, is_paused, breaker_open, consecutive_failures,
           running_since IS NOT NULL AS is_running,
           last_run, last_success,
           extract(epoch FROM last_success_duration)::double precision AS last_success_seconds,
           last_failure
      FROM stage_health
"""
DELIVERIES: Final = "SELECT destination, state, count, waiting_since FROM delivery_states"
STUCK: Final = """
    SELECT destination, count(*) AS count, min(stuck_since) AS stuck_since
      FROM stuck_deliveries
     GROUP BY destination
"""
PUBLISHED: Final = """
    SELECT destination, count(*) AS count
      FROM deliveries
     WHERE posted_at IS NOT NULL
     GROUP BY destination
"""
RUNS: Final = "SELECT stage, outcome, runs FROM run_totals"
CALLS: Final = """
    SELECT provider, model, state, calls, input_tokens, cached_tokens, output_tokens,
           thought_tokens, cost_usd
      FROM call_totals
"""
POSTS: Final = """
    SELECT t.candidates, t.approved,
           (SELECT sum(tokens)::double precision / nullif(sum(approved), 0)
              FROM daily_totals) AS tokens_per_approved
      FROM post_totals AS t
"""


def read_totals(conn: Connection) -> Totals:
    """Return everything that `metrics` shows. One transaction; SELECT on all tables is enough."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        instant = conn.execute(INSTANT).fetchone()
        assert instant is not None
        return Totals(
            now=instant[0],
            schema_version=instant[1],
            size_bytes=instant[2],
            approvals=instant[3],
            stages=tuple(_rows(conn, STAGES, StageTotals)),
            queues=read_queues(conn),
            deliveries=tuple(_rows(conn, DELIVERIES, DeliveryTotals)),
            stuck=tuple(_rows(conn, STUCK, StuckTotals)),
            published=tuple(_rows(conn, PUBLISHED, Published)),
            runs=tuple(_rows(conn, RUNS, RunTotals)),
            calls=tuple(_rows(conn, CALLS, CallTotals)),
            posts=_rows(conn, POSTS, PostTotals)[0],
        )


def _rows(conn: Connection, statement: str, kind: type[Row]) -> Sequence[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement).fetchall()
