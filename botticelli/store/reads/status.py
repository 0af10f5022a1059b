"""What `status` shows: stages, queues, destinations, budget, spending. Nothing is changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from psycopg.rows import kwargs_row

from botticelli.config.model import Config
from botticelli.records import record
from botticelli.store.connection import Connection, place_of
from botticelli.store.delivery import posts, schedule
from botticelli.store.reads.budget import (
    ModelUse,
    SpentToday,
    read_model_use,
    read_spent_today,
)

QUEUE_STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "candidates": ("pending", "judging", "approved", "rejected", "held", "posted"),
    "approved": ("pending", "posting", "posted", "failed", "held"),
    "items": ("pending", "running"),
    "deliveries": ("pending", "sending", "posted", "failed", "held"),
}


@record
class LastRun:
    """How a stage's last run went; `state` is running, done, failed or interrupted."""

    id: int
    state: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    error: str | None


@record
class StageStatus:
    """One stage.

    Args:
        state: idle, running, paused or breaker open; a paused stage that still runs is running.
        detail: Who runs it since when, or until when the breaker refuses; else empty.
        last_run: None if it has never run.
        next_run: When it is started next; None if unknown.
        next_from: Where `next_run` is from: "timer" (systemd) or "interval" (last run + configured
            interval).
    """

    name: str
    state: str
    detail: str
    is_paused: bool
    consecutive_failures: int
    last_run: LastRun | None
    next_run: datetime | None
    next_from: str


@record
class DestinationStatus:
    """A destination: what it got, and when it gets the next post; `why` says what it waits for.

    Args:
        waiting: Approved posts that are not out yet, for any destination.
        posts_today: Since midnight in the destination's time zone.
        next_post: None if its rules allow no post.
    """

    name: str
    waiting: int
    posts_today: int
    last_post: datetime | None
    next_post: datetime | None
    why: str


@record
class Status:
    """Everything at one instant of the database's clock.

    Args:
        config: The file that was read.
        project: The project's name; empty: there is none.
        unfinished: Messages that are out without all that should follow them, by destination.
        changed: Posts that wait with another text than was approved; they are not sent.
        to_adapt: Posts that are too long for a destination and wait for its form of them, by it.
    """

    now: datetime
    config: str
    database: str
    stages: tuple[StageStatus, ...]
    queues: Mapping[str, Mapping[str, int]]
    destinations: tuple[DestinationStatus, ...]
    budget: tuple[ModelUse, ...]
    today: SpentToday
    project: str
    unfinished: Mapping[str, int]
    changed: int
    to_adapt: Mapping[str, int]


STAGE_STATUS: Final = """
    SELECT s.task_id AS name,
           CASE WHEN l.name IS NOT NULL THEN 'running'
                WHEN s.is_paused THEN 'paused'
                WHEN s.circuit_opened_at IS NOT NULL THEN 'breaker open'
                ELSE 'idle' END AS state,
           CASE WHEN l.name IS NOT NULL
                THEN concat('since ', to_char(l.acquired_at, 'HH24:MI:SS'), ', ', l.host,
                            ' pid ', l.pid)
                WHEN s.is_paused OR s.circuit_opened_at IS NULL THEN ''
                WHEN s.circuit_opened_at + %(reset_timeout)s > t.now
                THEN to_char(s.circuit_opened_at + %(reset_timeout)s, '"until" HH24:MI:SS')
                ELSE 'tries once next time' END AS detail,
           s.is_paused,
           s.consecutive_failures,
           coalesce(c.timer, r.started_at + c.every) AS next_run,
           CASE WHEN c.timer IS NOT NULL THEN 'timer'
                WHEN r.started_at IS NOT NULL THEN 'interval'
                ELSE '' END AS next_from,
           r.id AS run_id,
           CASE WHEN r.state = 'running' AND l.name IS NULL THEN 'interrupted'
                ELSE r.state END AS run_state,
           r.started_at AS run_started_at,
           r.ended_at AS run_ended_at,
           r.exit_code AS run_exit_code,
           r.error AS run_error
      FROM unnest(%(stages)s::text[], %(intervals)s::interval[], %(timers)s::timestamptz[])
           WITH ORDINALITY AS c (name, every, timer, ordinal)
     CROSS JOIN (SELECT botticelli_now() AS now) AS t
      JOIN actor_server_state AS s
        ON s.task_id = c.name
      LEFT JOIN locks AS l
        ON l.name = s.task_id
       AND l.expires_at > t.now
      LEFT JOIN LATERAL (SELECT *
                           FROM runs
                          WHERE stage = s.task_id
                          ORDER BY started_at DESC, id DESC
                          LIMIT 1) AS r ON true
     ORDER BY c.ordinal
"""
QUEUES: Final = "SELECT queue, state, count FROM queue_depths"
NOW: Final = """
    SELECT botticelli_now(), count(*)
      FROM approved_discord_posts
     WHERE review_status IN ('pending', 'posting', 'held')
       AND approved_hash
           <> botticelli_post_hash(text_content, title, link, language, parts, attached)
"""
UNFINISHED: Final = """
    SELECT destination, count(*)
      FROM deliveries
     WHERE steps_at IS NOT NULL
     GROUP BY destination
"""
TO_ADAPT: Final = """
    SELECT r.destination, count(*)
      FROM renditions AS r
      JOIN approved_discord_posts AS p
        ON p.id = r.post_id
     WHERE r.state = 'open'
       AND p.review_status IN ('pending', 'posting')
     GROUP BY r.destination
"""
POSTED_TODAY: Final = """
    SELECT d.name, (SELECT count(*)
                      FROM deliveries
                     WHERE destination = d.name
                       AND posted_at >= date_trunc('day', botticelli_now(), d.zone))
      FROM unnest(%(names)s::text[], %(zones)s::text[]) AS d (name, zone)
"""


def read_status(conn: Connection, config: Config, *, timers: Mapping[str, datetime]) -> Status:
    """Return the state of the whole pipeline in one transaction, which changes nothing.

    `timers` are the times at which systemd starts a stage next, by stage, where it does.
    """
    with conn.transaction():
        row = conn.execute(NOW).fetchone()
        assert row is not None
        queues = read_queues(conn)
        return Status(
            now=row[0],
            config=str(config.source) if config.source else "shipped defaults",
            database=place_of(config.database.url) if config.database.url else "embedded",
            stages=_stages(conn, config, timers),
            queues=queues,
            destinations=_destinations(conn, config, queues["approved"]),
            budget=read_model_use(conn),
            today=read_spent_today(conn),
            project=config.project.name,
            unfinished=dict(conn.execute(UNFINISHED).fetchall()),
            changed=row[1],
            to_adapt=dict(conn.execute(TO_ADAPT).fetchall()),
        )


def read_queues(conn: Connection) -> Mapping[str, Mapping[str, int]]:
    """Return how many rows of each queue are in each state. Reads only."""
    found = {(queue, state): count for queue, state, count in conn.execute(QUEUES)}
    return {
        queue: {state: found.get((queue, state), 0) for state in states}
        for queue, states in QUEUE_STATES.items()
    }


def _stages(
    conn: Connection, config: Config, timers: Mapping[str, datetime]
) -> tuple[StageStatus, ...]:
    values = {
        "stages": list(config.stages),
        "intervals": [config.schedules[name].interval for name in config.stages],
        "timers": [timers.get(name) for name in config.stages],
        "reset_timeout": config.supervision.reset_timeout,
    }
    with conn.cursor(row_factory=kwargs_row(_stage)) as cursor:
        return tuple(cursor.execute(STAGE_STATUS, values))


def _stage(**columns: Any) -> StageStatus:
    run = {
        name.removeprefix("run_"): columns.pop(name)
        for name in tuple(columns)
        if name.startswith("run_")
    }
    return StageStatus(last_run=LastRun(**run) if run["id"] else None, **columns)


def _destinations(
    conn: Connection, config: Config, approved: Mapping[str, int]
) -> tuple[DestinationStatus, ...]:
    destinations = config.destinations.values()
    zones = [destination.time_zone for destination in destinations]
    values = {"names": list(config.destinations), "zones": zones}
    today = dict(conn.execute(POSTED_TODAY, values).fetchall())
    queues = posts.read_queues(conn, [schedule.post_filter(one) for one in destinations])
    found = []
    for name, destination in config.destinations.items():
        queued, interval = queues[name], config.post.schedule.interval
        due = schedule.due_for(conn, queued, destination, interval=interval)
        found.append(
            DestinationStatus(
                name=name,
                waiting=approved["pending"] + approved["posting"],
                posts_today=today[name],
                last_post=queued.last_posted,
                next_post=due.at,
                why=due.why,
            )
        )
    return tuple(found)
