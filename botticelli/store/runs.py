"""Run history, and each stage's pause switch, breaker and last outcome."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from botticelli.config.model import StageName
from botticelli.errors import BotticelliError
from botticelli.records import record
from botticelli.store import known_secrets
from botticelli.store.connection import Connection, fetch_one, repeatable
from botticelli.store.leases import Identity
from botticelli.store.locks import Lock

ACTOR_NAMES: Final[Mapping[StageName, str]] = {
    "collect": "Source Collection Actor",
    "observe": "Engagement Observation Actor",
    "generate": "Content Generation Actor",
    "curate": "Content Curation Actor",
    "post": "Discord Posting Actor",
}


@record
class StageState:
    """A stage's row of actor_server_state. `now` is the database's clock when it was read."""

    is_paused: bool
    consecutive_failures: int
    circuit_opened_at: datetime | None
    last_run: datetime | None
    last_success: datetime | None
    last_failure: datetime | None
    last_error: str | None
    now: datetime


# A row that somebody deleted is made anew: pause and breaker must always find it.
ENSURE: Final = """
    INSERT INTO actor_server_state (task_id, actor_name)
    VALUES (%(stage)s, %(actor)s)
        ON CONFLICT DO NOTHING
"""
READ_STATE: Final = """
    SELECT is_paused, consecutive_failures, circuit_opened_at, last_run, last_success,
           last_failure, last_error, botticelli_now() AS now
      FROM actor_server_state
     WHERE task_id = %(stage)s
"""


@repeatable()
def read_state(conn: Connection, stage: StageName) -> StageState:
    """Return pause switch, breaker and last outcome of a stage. One statement if it has a row."""
    with conn.cursor(row_factory=class_row(StageState)) as cursor:
        state = cursor.execute(READ_STATE, {"stage": stage}).fetchone()
        if state is None:
            cursor.execute(ENSURE, {"stage": stage, "actor": ACTOR_NAMES[stage]})
            state = cursor.execute(READ_STATE, {"stage": stage}).fetchone()
    assert state is not None
    return state


PAUSE: Final = """
    UPDATE actor_server_state
       SET is_paused = true,
           updated_at = botticelli_now()
     WHERE task_id = %(stage)s
"""


def pause(conn: Connection, stage: StageName) -> None:
    """Let no further run of the stage start; one under way goes on. One transaction."""
    with conn.transaction():
        conn.execute(ENSURE, {"stage": stage, "actor": ACTOR_NAMES[stage]})
        conn.execute(PAUSE, {"stage": stage})


RESUME: Final = """
    UPDATE actor_server_state
       SET is_paused = false,
           consecutive_failures = 0,
           circuit_opened_at = NULL,
           updated_at = botticelli_now()
     WHERE task_id = %(stage)s
"""


def resume(conn: Connection, stage: StageName) -> None:
    """Let the stage run again: no longer paused, and its breaker closed. One transaction."""
    with conn.transaction():
        conn.execute(ENSURE, {"stage": stage, "actor": ACTOR_NAMES[stage]})
        conn.execute(RESUME, {"stage": stage})


# A run that still says "running" while nobody holds a live lock for it was killed.
START: Final = """
    WITH dead AS (
        UPDATE runs AS r
           SET state = 'interrupted',
               ended_at = botticelli_now(),
               error = 'killed: its lease ran out'
         WHERE r.stage = %(stage)s
           AND r.state = 'running'
           AND %(lock)s::text IS NOT NULL
           AND NOT EXISTS (SELECT
                             FROM locks AS l
                            WHERE l.run_id = r.id
                              AND l.expires_at > botticelli_now())
    ), helpers AS (
        DELETE FROM locks
         WHERE name LIKE %(stage)s || '+%%'
           AND %(lock)s::text IS NOT NULL
           AND expires_at <= botticelli_now()
    ), run AS (
        INSERT INTO runs (stage, host, pid, started_at)
        VALUES (%(stage)s, %(host)s, %(pid)s,
                botticelli_now())
        RETURNING id
    ), locked AS (
        UPDATE locks
           SET run_id = run.id
          FROM run
         WHERE name = %(lock)s
           AND fence = %(fence)s
    )
    SELECT id FROM run
"""
MEND: Final = "SELECT count(*) FROM botticelli_impossible(true)"


def start(conn: Connection, stage: str, *, identity: Identity, lock: Lock | None = None) -> int:
    """Record that a run starts, tie it to its lock, and return its id. Two statements.

    Instants that no right clock can have written are brought back to where they hold up nobody.
    Runs of the same stage that were killed are marked as interrupted. A run without a lock
    (stage "run") is never taken for killed: it may take as long as it likes.
    """
    known_secrets.remember(conn)
    held = {"lock": lock and lock.name, "fence": lock and lock.fence}
    values = {**vars(identity), **held, "stage": stage}
    if lock is not None:
        conn.execute(MEND)
    row = conn.execute(START, values).fetchone()
    assert row is not None
    return int(row[0])


@record
class RunEnd:
    """How a run ended.

    Args:
        state: done, failed or interrupted.
        exit_code: None if it did not get that far.
        error: One line; empty if there was none.
    """

    state: str
    exit_code: int | None
    summary: Mapping[str, Any]
    error: str = ""


# The lock first, as who starts a run does. Somebody who thought us dead has ended the run already:
# what they wrote stays. A failure while the breaker is open was the one try of the half-open state:
# it opens again.
END: Final = """
    WITH freed AS (
        UPDATE locks
           SET expires_at = least(expires_at, botticelli_now())
         WHERE name = %(lock)s
           AND holder = %(holder)s
           AND fence = %(fence)s
        RETURNING name
    ), ended AS (
        UPDATE runs
           SET state = %(state)s,
               ended_at = botticelli_now(),
               exit_code = %(exit_code)s,
               summary = %(summary)s,
               error = %(error)s
         WHERE id = %(run_id)s + (SELECT 0 * count(*) FROM freed)
           AND state = 'running'
        RETURNING id
    )
    UPDATE actor_server_state
       SET last_run = t.now,
           last_success = CASE WHEN %(succeeded)s THEN t.now ELSE last_success END,
           last_failure = CASE WHEN %(failed)s THEN t.now ELSE last_failure END,
           last_error = CASE WHEN %(failed)s THEN %(error)s
                             WHEN %(succeeded)s THEN NULL ELSE last_error END,
           consecutive_failures = CASE WHEN %(succeeded)s THEN 0
                                       ELSE consecutive_failures + %(failed)s::integer END,
           circuit_opened_at = CASE WHEN %(succeeded)s THEN NULL
                                    WHEN NOT %(failed)s THEN circuit_opened_at
                                    WHEN circuit_opened_at IS NOT NULL
                                         OR consecutive_failures + 1 >= %(threshold)s THEN t.now
                                    END,
           updated_at = t.now
      FROM (SELECT botticelli_now() AS now, count(*) FROM ended) AS t
     WHERE task_id = %(stage)s
"""


@repeatable(pressing=True)
def end(
    conn: Connection,
    run_id: int,
    *,
    ending: RunEnd,
    lock: Lock | None = None,
    stage: StageName | None = None,
    threshold: int | None = None,
) -> None:
    """Record how a run ended, unless that is recorded already, and free its lock. One statement.

    For the breaker of a `stage` the ending counts: done closes it, `threshold` failures in a row
    open it. An interrupted run, one that has to try later, or a failure with `threshold` None
    counts neither way.
    """
    values = {
        **vars(ending),
        "run_id": run_id,
        "summary": Jsonb(dict(ending.summary)),
        "error": ending.error or None,
        "lock": lock and lock.name,
        "holder": lock and lock.holder,
        "fence": lock and lock.fence,
        "stage": stage,
        "succeeded": (ending.state, ending.exit_code) == ("done", 0),
        "failed": ending.state == "failed" and threshold is not None,
        "threshold": threshold,
    }
    conn.execute(END, values)


REFUSED: Final = """
    WITH run AS (
        INSERT INTO runs (stage, host, pid, state, ended_at, exit_code, error)
        VALUES (%(stage)s, %(host)s, %(pid)s, 'failed', botticelli_now(), %(exit_code)s, %(error)s)
    )
    UPDATE actor_server_state
       SET last_run = botticelli_now(),
           last_failure = botticelli_now(),
           last_error = %(error)s,
           updated_at = botticelli_now()
     WHERE task_id = %(stage)s
"""


def refused(
    conn: Connection, stage: StageName, *, identity: Identity, error: BotticelliError
) -> None:
    """Record a run that could not start. It counts nothing for the breaker. One transaction."""
    values = {**vars(identity), "stage": stage, "exit_code": error.exit_code}
    with conn.transaction():
        conn.execute(ENSURE, {"stage": stage, "actor": ACTOR_NAMES[stage]})
        conn.execute(REFUSED, {**values, "error": str(error.problems[0])})


@record
class RunUsage:
    """What a run has asked of models. Failed attempts are counted as well."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)


USAGE: Final = """
    SELECT count(*) AS calls,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           (coalesce(sum(output_tokens), 0) + coalesce(sum(thought_tokens), 0))::bigint
               AS output_tokens,
           coalesce(sum(cost_usd), 0) AS cost_usd
      FROM act_executions
     WHERE run_id = %(run_id)s
"""


@repeatable()
def usage(conn: Connection, run_id: int) -> RunUsage:
    """Return what a run has asked of models so far."""
    row = fetch_one(conn, RunUsage, USAGE, {"run_id": run_id})
    assert row is not None
    return row


def now(conn: Connection) -> datetime:
    """Return the database's present instant."""
    row = conn.execute("SELECT botticelli_now()").fetchone()
    assert row is not None
    present: datetime = row[0]
    return present
