"""What the whole line is doing at this moment, as one report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from botticelli.config.model import STAGES, Config, Schedule, Supervision
from botticelli.records import record
from botticelli.store import ledger, pace
from botticelli.store.connection import Connection, place_of
from botticelli.store.delivery import posts
from botticelli.store.reads.status import Count, Overview, Spent, StageRow, overview

QUEUE_STATES: Final[Mapping[str, Sequence[str]]] = {
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
class Stage:
    """One stage.

    Args:
        state: idle, running, paused or breaker open; a paused stage that still runs is running.
        detail: Who runs it since when, or until when the breaker refuses; else empty.
        next_run: When something wakes it, as far as that can be known.
        next_from: What says so: "timer" (systemd) or "interval" (last run + configured interval).
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
class Place:
    """A destination: what it got, and when it gets the next post; `why` says what it waits for.

    Args:
        waiting: Approved posts that are not out yet, whichever destination they are for.
    """

    name: str
    waiting: int
    posts_today: int
    last_post: datetime | None
    next_post: datetime | None
    why: str


@record
class Budget:
    """What a model has used of its limits in the provider's day and the last minute."""

    model: str
    day_requests: int
    day_request_limit: int | None
    day_tokens: int
    day_token_limit: int | None
    minute_requests: int
    minute_request_limit: int | None
    blocked_until: datetime | None


@record
class Status:
    """Everything at one instant of the database's clock. `config` is the file that was read."""

    exit_code: int = 0
    now: datetime
    config: str
    database: str
    stages: tuple[Stage, ...]
    queues: Mapping[str, Mapping[str, int]]
    destinations: tuple[Place, ...]
    budget: tuple[Budget, ...]
    today: Spent


def read_status(conn: Connection, config: Config, *, timers: Mapping[str, datetime]) -> Status:
    """Return the state of the whole line; `timers` says when systemd wakes a stage, if it does."""
    zones = {name: place.time_zone for name, place in config.destinations.items()}
    seen = overview(conn, zones=zones)
    return Status(
        now=seen.now,
        config=str(config.source) if config.source else "shipped defaults",
        database=place_of(config.database.url) if config.database.url else "embedded",
        stages=_stages(seen, config, timers),
        queues=_queues(seen.counts),
        destinations=_places(conn, seen, config),
        budget=_budget(conn),
        today=seen.spent,
    )


def _stages(seen: Overview, config: Config, timers: Mapping[str, datetime]) -> tuple[Stage, ...]:
    rows = {row.stage: row for row in seen.stages}
    schedules = {
        "generate": config.generate.schedule,
        "curate": config.curate.schedule,
        "post": config.post.schedule,
    }
    return tuple(
        _stage(rows[name], schedules[name], config.supervision, seen.now, timers.get(name))
        for name in STAGES
        if name in rows
    )


def _stage(
    row: StageRow, schedule: Schedule, rules: Supervision, now: datetime, timer: datetime | None
) -> Stage:
    state, detail = _state(row, rules, now)
    by_interval = row.run_started_at + schedule.interval if row.run_started_at else None
    return Stage(
        name=row.stage,
        state=state,
        detail=detail,
        is_paused=row.is_paused,
        consecutive_failures=row.consecutive_failures,
        last_run=_last_run(row),
        next_run=timer or by_interval,
        next_from="timer" if timer else "interval" if by_interval else "",
    )


def _state(row: StageRow, rules: Supervision, now: datetime) -> tuple[str, str]:
    if row.running_since:
        since = f"{row.running_since:%H:%M:%S}"
        return "running", f"since {since}, {row.running_host} pid {row.running_pid}"
    if row.is_paused:
        return "paused", ""
    if row.circuit_opened_at:
        until = row.circuit_opened_at + rules.reset_timeout
        return "breaker open", f"until {until:%H:%M:%S}" if until > now else "tries once next time"
    return "idle", ""


def _last_run(row: StageRow) -> LastRun | None:
    if row.run_id is None or row.run_state is None or row.run_started_at is None:
        return None
    killed = row.run_state == "running" and row.running_since is None
    return LastRun(
        id=row.run_id,
        state="interrupted" if killed else row.run_state,
        started_at=row.run_started_at,
        ended_at=row.run_ended_at,
        exit_code=row.run_exit_code,
        error=row.run_error,
    )


def _queues(counts: Sequence[Count]) -> Mapping[str, Mapping[str, int]]:
    found = {(count.queue, count.state): count.count for count in counts}
    return {
        queue: {state: found.get((queue, state), 0) for state in states}
        for queue, states in QUEUE_STATES.items()
    }


def _places(conn: Connection, seen: Overview, config: Config) -> tuple[Place, ...]:
    wanted = [pace.wanted(place) for place in config.destinations.values()]
    queues = posts.read_queues(conn, wanted)
    interval = config.post.schedule.interval
    today = {row.destination: row.today for row in seen.posted}
    approved = _queues(seen.counts)["approved"]
    waiting = approved["pending"] + approved["posting"]
    places = []
    for name, destination in config.destinations.items():
        queued = queues[name]
        due = pace.judge(conn, queued, destination, interval=interval)
        places.append(
            Place(
                name=name,
                waiting=waiting,
                posts_today=today.get(name, 0),
                last_post=queued.pace.last_posted,
                next_post=due.at,
                why=due.why,
            )
        )
    return tuple(places)


def _budget(conn: Connection) -> tuple[Budget, ...]:
    window = ledger.Window()
    return tuple(
        Budget(
            model=account.key,
            day_requests=account.day_requests,
            day_request_limit=account.rpd,
            day_tokens=account.day_tokens,
            day_token_limit=account.tpd,
            minute_requests=account.minute_requests,
            minute_request_limit=account.rpm,
            blocked_until=account.blocked_until,
        )
        for account in ledger.accounts(conn, window=window)
    )
