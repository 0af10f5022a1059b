"""Is all well? Thresholds of `[health]` against the state of the database and the disk."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from botticelli.config.model import STAGES, Config, Destination
from botticelli.records import record
from botticelli.schedule.due import Pace, Rhythm, next_due
from botticelli.schedule.hours import Hours, next_allowed
from botticelli.store.connection import Connection
from botticelli.store.reads.health import Line, Pulse, Spending, Vitals, read_vitals
from botticelli.text import counted, span

MEGABYTE: Final = 1024 * 1024
LOOKED_BACK: Final = timedelta(days=7)  # for hours in which something could have been posted
STEP: Final = timedelta(minutes=10)
ROUNDS: Final = 1.5  # the post stage is woken at least once within so many of its intervals


@record
class Problem:
    """One thing that is not well.

    Args:
        check: database, late, breaker, candidates, delivery, budget or disk.
        name: Of the stage, destination or model; empty: there is only one.
    """

    check: str
    name: str = ""
    what: str


@record
class StageHealth:
    """A stage; `late_at` is when it is called late, None while it is paused."""

    name: str
    is_paused: bool
    breaker_open: bool
    consecutive_failures: int
    last_success: datetime | None
    late_at: datetime | None


@record
class ModelLeft:
    """The share of a model's day that is left, in percent; None: its day has no limit."""

    model: str
    left_percent: float | None


@record
class Health:
    """The answer; without a database there is nothing but the problem.

    Args:
        held: Deliveries that wait for a person; they are no problem of the machinery's.
        disk_free_mb: Where our own PostgreSQL has its files; None: another server is used.
    """

    healthy: bool
    problems: tuple[Problem, ...]
    now: datetime | None = None
    stages: tuple[StageHealth, ...] = ()
    candidates: int | None = None
    posts: int | None = None
    held: int | None = None
    models: tuple[ModelLeft, ...] = ()
    disk_free_mb: float | None = None
    exit_code: int = 0


def read_health(conn: Connection, config: Config) -> Health:
    """Return whether all is well by the thresholds of the configuration. Reads only."""
    recent = max((place.posts_per_day or 1 for place in config.destinations.values()), default=1)
    seen = read_vitals(conn, recent=max(recent, 1))
    stages = tuple(_stage(name, seen, config) for name in STAGES)
    models = tuple(ModelLeft(model=one.model, left_percent=_left(one)) for one in seen.spending)
    free = _free(config.database.folder) if not config.database.url else None
    problems = (
        *_late(stages, seen, config),
        *_breakers(stages, seen),
        *_candidates(seen, config),
        *_deliveries(seen, config),
        *_budget(models, config),
        *_disk(free, config),
    )
    return Health(
        healthy=not problems,
        problems=problems,
        now=seen.now,
        stages=stages,
        candidates=seen.candidates,
        posts=seen.posts,
        held=seen.held,
        models=models,
        disk_free_mb=round(free, 1) if free is not None else None,
        exit_code=1 if problems else 0,
    )


def unreachable(reason: str) -> Health:
    """Return the answer of a database that cannot be asked."""
    problem = Problem(check="database", what=reason)
    return Health(healthy=False, problems=(problem,), exit_code=1)


def _stage(name: str, seen: Vitals, config: Config) -> StageHealth:
    pulse = seen.stages.get(name, NEVER)  # somebody has deleted its row: it has not run
    late_at = None
    if not pulse.is_paused:
        # Who has not run yet, or was resumed a moment ago, has its time, too.
        since = max(
            at for at in (pulse.last_success, pulse.changed_at, seen.installed_at) if at is not None
        )
        late_at = since + config.schedules[name].interval * config.health.late_factor
    return StageHealth(
        name=name,
        is_paused=pulse.is_paused,
        breaker_open=pulse.circuit_opened_at is not None,
        consecutive_failures=pulse.consecutive_failures,
        last_success=pulse.last_success,
        late_at=late_at,
    )


NEVER: Final = Pulse(
    is_paused=False,
    circuit_opened_at=None,
    consecutive_failures=0,
    last_success=None,
    last_error=None,
    changed_at=None,
)


def _late(stages: tuple[StageHealth, ...], seen: Vitals, config: Config) -> Iterator[Problem]:
    for stage in stages:
        if stage.late_at is None or stage.late_at >= seen.now:
            continue
        usual = span(config.schedules[stage.name].interval)
        last = f"for {span(seen.now - stage.last_success)}" if stage.last_success else "yet"
        why = seen.stages.get(stage.name, NEVER).last_error
        what = f"no success {last}, every {usual} is meant" + (
            f" (last error: {why})" if why else ""
        )
        yield Problem(check="late", name=stage.name, what=what)


def _breakers(stages: tuple[StageHealth, ...], seen: Vitals) -> Iterator[Problem]:
    for stage in stages:
        if stage.breaker_open and not stage.is_paused:
            why = seen.stages[stage.name].last_error or "no reason recorded"
            failures = counted(stage.consecutive_failures, "failure")
            yield Problem(
                check="breaker", name=stage.name, what=f"breaker open after {failures} ({why})"
            )


def _candidates(seen: Vitals, config: Config) -> Iterator[Problem]:
    most = config.health.pending_candidates
    if seen.candidates > most:
        what = f"{seen.candidates} candidates wait for the judge, {most} is much"
        yield Problem(check="candidates", what=what)


def _deliveries(seen: Vitals, config: Config) -> Iterator[Problem]:
    """Yield destinations that get nothing though something waits; not while posting is paused."""
    if seen.stages.get("post", NEVER).is_paused:
        return
    patience = max(config.health.stuck, config.post.schedule.interval * ROUNDS)
    for line in seen.lines:
        name = line.destination
        if line.uncertain_since and seen.now - line.uncertain_since > patience:
            lost = span(seen.now - line.uncertain_since)
            what = f"delivery {line.uncertain} uncertain for {lost}"
            yield Problem(check="delivery", name=name, what=what)
        elif name in config.destinations:
            stuck = _open_time(line, config.destinations[name], now=seen.now)
            if stuck > patience:
                waiting = counted(line.waiting, "post")
                what = f"{waiting} due and not sent for {span(stuck)}"
                yield Problem(check="delivery", name=name, what=what)


def _open_time(line: Line, destination: Destination, *, now: datetime) -> timedelta:
    """Return how long a destination could have got a post that was due, within the last week.

    Hours in which its rules forbid it do not count: what is due at the end of a day is not late
    the next morning.
    """
    if line.waiting_since is None:
        return timedelta()
    rules = _rules(destination)
    due = next_due(Pace(now=line.waiting_since, recent=tuple(line.recent)), rules).at
    if due is None or due >= now:
        return timedelta()
    at, open_time = max(due, now - LOOKED_BACK), timedelta()
    while at < now:
        until = min(at + STEP, now)
        if next_allowed(at, rules.hours) == at:
            open_time += until - at
        at = until
    return open_time


def _rules(destination: Destination) -> Rhythm:
    active = destination.active_hours
    return Rhythm(
        hours=Hours(
            zone=destination.time_zone,
            start=active.start if active else None,
            end=active.end if active else None,
            quiet=destination.quiet_dates,
        ),
        # After a downtime the interval may begin anew.
        min_interval=destination.min_interval * (2 if destination.missed == "skip" else 1),
        posts_per_day=destination.posts_per_day,
    )


def _left(spending: Spending) -> float | None:
    if spending.is_closed:
        return 0.0
    shares = [one for one in (spending.requests_left, spending.tokens_left) if one is not None]
    return round(100 * max(0.0, min(shares)), 1) if shares else None


def _budget(models: tuple[ModelLeft, ...], config: Config) -> Iterator[Problem]:
    least = config.health.budget_left_percent
    for one in models:
        if one.left_percent is not None and one.left_percent < least:
            yield Problem(check="budget", name=one.model, what=f"{one.left_percent:g} % left today")


def _free(folder: Path) -> float:
    """Return the megabytes that are free where a folder is or would be."""
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize / MEGABYTE


def _disk(free: float | None, config: Config) -> Iterator[Problem]:
    least = config.health.disk_free_mb
    if free is not None and free < least:
        what = f"{free:.0f} MB free at {config.database.folder}, {least:.0f} are meant"
        yield Problem(check="disk", what=what)
