"""`botticelli health`: the thresholds of `[health]` against the database and the disk."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.model import Config, Destination, StageName
from botticelli.errors import Exit, TryLater, Unavailable
from botticelli.records import record
from botticelli.schedule.due import Pace, next_due
from botticelli.schedule.hours import next_allowed
from botticelli.store.connection import Connection
from botticelli.store.delivery import schedule
from botticelli.store.reads.health import (
    DestinationQueue,
    HealthFacts,
    ModelLeft,
    StageHealth,
    read_facts,
)
from botticelli.store.schema import NothingYet
from botticelli.text import ago, counted, span

MEGABYTE: Final = 1024 * 1024
LOOKED_BACK: Final = timedelta(days=7)  # for hours in which something could have been posted
STEP: Final = timedelta(minutes=10)
ANSWER_SECONDS: Final = 3.5  # monitors give up after 5, and a busy machine begins late
LOCK_SECONDS: Final = 1.5
ROUNDS: Final = 1.5  # the post stage is started at least once within so many of its intervals


Look = Callable[[StageName], Iterable[str]]


@record
class HealthProblem:
    """One thing that is unhealthy.

    Args:
        check: database, start, late, breaker, candidates, delivery, budget, disk or instants.
        name: Of the stage, destination or model; empty if there is only one.
    """

    check: str
    name: str = ""
    what: str


@record
class HealthReport:
    """The answer; if the database cannot be reached, nothing but that problem.

    Args:
        held: Deliveries that wait for a person; they are not a problem of the program.
        disk_free_mb: Where our own PostgreSQL has its files; None if another server is used.
    """

    healthy: bool
    problems: tuple[HealthProblem, ...]
    now: datetime | None = None
    stages: tuple[StageHealth, ...] = ()
    candidates: int | None = None
    posts: int | None = None
    held: int | None = None
    models: tuple[ModelLeft, ...] = ()
    disk_free_mb: float | None = None

    @property
    def exit_code(self) -> Exit:
        """FAILED if unhealthy."""
        return Exit.DONE if self.healthy else Exit.FAILED


@command()
def health(env: Environment, *, listen: str = "") -> HealthReport | None:
    """Print one line of health; exit with 1 if unhealthy.

    Takes:
        listen HOST:PORT: Answer GET /health there, for monitors of containers, until Ctrl-C.

    Examples:
        botticelli health || botticelli doctor
        botticelli health --listen 127.0.0.1:8080
    """
    if listen:
        from botticelli.cli.shared.health_server import serve

        serve(env, listen, lambda: _asked(env))
        return None
    return _asked(env)


def _asked(env: Environment) -> HealthReport:
    try:
        with _within(ANSWER_SECONDS), env.database(lock=LOCK_SECONDS) as conn:
            return read_health(conn, env.config, look=partial(_look, env))
    except (Unavailable, TryLater, NothingYet) as error:
        problem = error.problems[0]
        where = f"{problem.where}: " if problem.where else ""
        hint = f"; {problem.hint}" if isinstance(error, NothingYet) else ""
        reason = f"{where}{problem.what}{hint}"
        return HealthReport(healthy=False, problems=(HealthProblem(check="database", what=reason),))


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Break the block off after so many seconds, whatever it waits for; in the main thread only.

    Raises:
        Unavailable: It was broken off.
    """

    def end(*_: object) -> None:
        raise Unavailable(f"no answer within {seconds:g} s", where="database")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)


def _look(env: Environment, stage: StageName) -> Iterator[str]:
    """Yield what keeps a stage from starting, but for what only this process was not given."""
    from botticelli.cli.reports import starts
    from botticelli.reports import outside
    from botticelli.reports.findings import faults

    found, config = starts.look(env), env.config
    told = [*faults(found.problems[stage])]
    told += outside.models(found.models(stage), config, clock=env.clock, online=False)
    for place in config.destinations.values() if stage == "post" else ():
        told += outside.destination(place, clock=env.clock, online=False)
    for each in told:
        if each.level == "fault":
            yield f"{each.subject}: {each.what}; {each.hint}".strip("; ")


def read_health(conn: Connection, config: Config, *, look: Look = lambda _: ()) -> HealthReport:
    """Return whether all is well by the thresholds of the configuration. Reads only.

    `look` says what keeps a stage from starting. It is asked for those whose settings or narratives
    have changed since they ran: it takes longer than all else.
    """
    facts = read_facts(conn, config)
    free = _free(config.database.folder) if not config.database.url else None
    problems = (
        *_refused(facts, look, changed=_changed(config)),
        *_late(facts, config),
        *_breakers(facts),
        *_queues(facts, config),
        *_means(facts, free, config),
    )
    return HealthReport(
        healthy=not problems,
        problems=problems,
        now=facts.now,
        stages=facts.stages,
        candidates=facts.candidates,
        posts=facts.posts,
        held=facts.held,
        models=facts.models,
        disk_free_mb=round(free, 1) if free is not None else None,
    )


def _refused(
    facts: HealthFacts, look: Look, *, changed: datetime | None
) -> Iterator[HealthProblem]:
    """Yield stages that cannot start: the last start says so, or what the next one would meet."""
    for stage in facts.stages:
        why = stage.refused
        is_changed = changed and (stage.last_run is None or stage.last_run < changed)
        if is_changed and not stage.is_paused:
            why = next(iter(look(stage.name)), why)
        if why is not None and not stage.is_paused:
            yield HealthProblem(check="start", name=stage.name, what=f"cannot start: {why}")


def _changed(config: Config) -> datetime | None:
    """Return when settings or narratives were changed last; None if there are none."""
    folders = [folder for folder in config.narratives.folders if folder.is_dir()]
    paths = [path for folder in folders for path in folder.glob("*.toml")]
    times = [path.stat().st_mtime for path in (config.source, *paths) if path and path.exists()]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _late(facts: HealthFacts, config: Config) -> Iterator[HealthProblem]:
    for stage in facts.stages:
        if stage.late_at is None or stage.late_at >= facts.now:
            continue
        usual = span(config.schedules[stage.name].interval)
        last = f"for {span(facts.now - stage.last_success)}" if stage.last_success else "yet"
        what = f"no success {last}, every {usual} is expected"
        if why := facts.last_errors.get(stage.name):
            what += f" (last error: {why})"
        yield HealthProblem(check="late", name=stage.name, what=what)


def _breakers(facts: HealthFacts) -> Iterator[HealthProblem]:
    for stage in facts.stages:
        if stage.breaker_open and not stage.is_paused:
            why = facts.last_errors[stage.name] or "no reason recorded"
            failures = counted(stage.consecutive_failures, "failure")
            what = f"breaker open after {failures} ({why})"
            yield HealthProblem(check="breaker", name=stage.name, what=what)


def _queues(facts: HealthFacts, config: Config) -> Iterator[HealthProblem]:
    """Yield too many candidates, and destinations that get nothing though something waits.

    The latter not while posting is paused.
    """
    now, most = facts.now, config.health.pending_candidates
    if facts.candidates > most:
        wait = counted(facts.candidates, "candidate waits", "candidates wait")
        what = f"{wait} for the judge, more than {most}"
        yield HealthProblem(check="candidates", what=what)
    if any(stage.name == "post" and stage.is_paused for stage in facts.stages):
        return
    patience = max(config.health.stuck, config.post.schedule.interval * ROUNDS)
    for queue in facts.queues:
        name = queue.destination
        if queue.uncertain_since and now - queue.uncertain_since > patience:
            what = f"delivery {queue.uncertain} uncertain for {span(now - queue.uncertain_since)}"
            yield HealthProblem(check="delivery", name=name, what=what)
        elif name in config.destinations:
            stuck = _open_time(queue, config.destinations[name], now=now)
            if stuck > patience:
                waiting = counted(queue.waiting, "post")
                what = f"{waiting} due and not sent for {span(stuck)}"
                yield HealthProblem(check="delivery", name=name, what=what)


def _open_time(queue: DestinationQueue, destination: Destination, *, now: datetime) -> timedelta:
    """Return how long a destination could have got a post that was due, within the last week.

    Hours in which its rules forbid it do not count: what is due at the end of a day is not late
    the next morning.
    """
    if queue.waiting_since is None:
        return timedelta()
    rhythm = schedule.rhythm(destination)
    if rhythm.missed == "skip":  # after a downtime the interval may begin anew
        rhythm = replace(rhythm, min_interval=2 * rhythm.min_interval)
    recent = tuple(map(datetime.fromisoformat, queue.recent))
    due = next_due(Pace(now=queue.waiting_since, recent=recent), rhythm).at
    if due is None or due >= now:
        return timedelta()
    at, open_time = max(due, now - LOOKED_BACK), timedelta()
    while at < now:
        until = min(at + STEP, now)
        if next_allowed(at, rhythm.hours) == at:
            open_time += until - at
        at = until
    return open_time


def _means(facts: HealthFacts, free: float | None, config: Config) -> Iterator[HealthProblem]:
    """Yield what is left too little of, budget and `free` megabytes, and clocks that were wrong."""
    for one in facts.models:
        left = one.left_percent
        if left is not None and left < config.health.budget_left_percent:
            yield HealthProblem(check="budget", name=one.model, what=f"{left:g} % left today")
    least = config.health.disk_free_mb
    if free is not None and free < least:
        what = f"{free:.0f} MB free at {config.database.folder}, less than {least:.0f}"
        yield HealthProblem(check="disk", what=what)
    for place, latest in facts.impossible.items():
        yield HealthProblem(check="instants", name=place, what=f"lies in the future ({latest})")


def _free(folder: Path) -> float:
    """Return the megabytes that are free where a folder is or would be."""
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize / MEGABYTE


@render.register
def _(report: HealthReport, console: Console) -> None:
    if report.problems:
        problems = [": ".join(filter(None, (one.name, one.what))) for one in report.problems]
        console.line(f"unhealthy: {'; '.join(problems)}", style="red")
        return
    facts = [", ".join(_last(stage, report) for stage in report.stages)]
    facts.append(f"{counted(report.posts or 0, 'post')} to send")
    if report.held:
        facts.append(f"{report.held} held")
    console.line(f"healthy: {'; '.join(facts)}", style="green")


def _last(stage: StageHealth, report: HealthReport) -> str:
    if stage.is_paused:
        return f"{stage.name} paused"
    if stage.last_success is None or report.now is None:
        return f"{stage.name} not yet"
    return f"{stage.name} {ago(stage.last_success, report.now)}"
