"""`botticelli status`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render, state
from botticelli.cli.shell.output import watch as watch_report
from botticelli.config.model import STAGES
from botticelli.errors import Unavailable
from botticelli.store.connection import Connection
from botticelli.store.reads.budget import ModelUse
from botticelli.store.reads.status import (
    DestinationStatus,
    StageStatus,
    Status,
    read_status,
)
from botticelli.text import ago, counted, until

EVERY_SECONDS: Final = 2.0
SYSTEMD: Final = Path("/run/systemd/system")
SYSTEMCTL_TIMEOUT: Final = 1.0  # seconds; a status that hangs is worse than one without timers


@command()
def status(
    env: Environment,
    conn: Connection,
    *,
    watch: bool = False,
    as_json: bool = False,
) -> Status | None:
    """Show stages, queues, destinations and budget.

    Takes:
        watch: Refresh every 2 seconds until q is pressed.

    Examples:
        botticelli status --watch
        botticelli status --json | jq .queues
    """

    def named(use: ModelUse) -> ModelUse:
        """Return what a model has used together with who says how much it may."""
        from botticelli.budget.limits import limits_in_force

        force = limits_in_force(use.model.partition("/")[2], env.config.models)
        return replace(use, limits_by="learned" if use.learned else force.source)

    def read() -> Status:
        found = read_status(conn, env.config, timers=armed_timers(env))
        return replace(found, budget=tuple(map(named, found.budget)))

    if watch and env.is_terminal and not as_json:
        watch_report(env.console, iter(read, None), seconds=EVERY_SECONDS)
        return None
    return read()


def armed_timers(env: Environment) -> Mapping[str, datetime]:
    """Return when systemd wakes each stage next; empty without systemd or its answer."""
    if not SYSTEMD.exists():
        return {}
    from botticelli.cli.setup.timer_install import LIST, next_rounds, run, scope_of
    from botticelli.schedule.units import PROGRAM

    stem = scope_of(env, program=PROGRAM).stem
    try:
        words = ["systemctl", *LIST, "botticelli-*.timer"]
        found = next_rounds(run(words, timeout=SYSTEMCTL_TIMEOUT))
    except (OSError, Unavailable, ValueError):
        return {}
    units = {f"{stem}-{stage}.timer": stage for stage in STAGES}
    return {units[unit]: at for unit, at in found.items() if unit in units}


@render.register
def _(report: Status, console: Console) -> None:
    now = report.now
    console.table(
        ["STAGE", "STATE", "LAST RUN", "NEXT"],
        [_stage_cells(stage, now) for stage in report.stages],
    )
    for stage in report.stages:
        if stage.last_run and stage.last_run.error:
            console.line(f"{stage.name}: {stage.last_run.error}", style="red")
    console.line()
    console.table(["QUEUE", "ROWS"], [_queue_cells(*queue) for queue in report.queues.items()])
    if report.changed:
        console.line(
            f"{counted(report.changed, 'text')} changed after approval, held until you decide:"
            " botticelli review",
            style="red",
        )
    console.line()
    console.table(
        ["DESTINATION", "TODAY", "LAST POST", "NEXT POST"],
        [_destination_cells(each, now) for each in report.destinations],
        right=["TODAY"],
    )
    for name, count in report.to_adapt.items():
        words = f"{counted(count, 'post')} too long, to be adapted: botticelli adapt"
        console.line(f"{name}: {words}", style="yellow")
    for name, count in report.unfinished.items():
        words = f"{counted(count, 'post')} out, but not all that should follow"
        console.line(f"{name}: {words}: botticelli deliveries", style="yellow")
    console.line()
    if report.budget:
        console.table(
            ["MODEL", "REQUESTS TODAY", "TOKENS TODAY", "THIS MINUTE", "LIMITS"],
            [_budget_cells(budget, now) for budget in report.budget],
            right=["REQUESTS TODAY", "TOKENS TODAY", "THIS MINUTE"],
        )
        console.line()
    spent = report.today
    console.line(
        f"today: {counted(spent.calls, 'call')}, {_amount(spent.input_tokens)} tokens in, "
        f"{_amount(spent.output_tokens)} out, ${spent.cost_usd:.4f}"
    )
    console.line(f"{now:%a %Y-%m-%d %H:%M:%S} UTC, database {report.database}", style="dim")
    project = f"project {report.project}, " if report.project else ""
    console.line(f"{project}configuration {report.config}", style="dim")


def _stage_cells(stage: StageStatus, now: datetime) -> list[object]:
    words = f"{stage.state} {stage.detail}".strip()
    next_run: object = None
    if stage.is_paused:
        next_run = "after resume"
        words += "" if stage.state == "paused" else ", then paused"
    elif stage.state == "running":
        next_run = "now"
    elif stage.next_run:
        next_run = _next(stage.next_run, now, certain=stage.next_from == "timer")
    last: object = Styled("never", "dim")
    if run := stage.last_run:
        is_over = run.state != "running"
        text = f"{run.state} {ago(run.ended_at or run.started_at, now)}"
        last = state(run.state, text if is_over else f"started {ago(run.started_at, now)}")
    shown = state(stage.state, words, other="dim")
    return [Styled(stage.name, "bold"), shown, last, next_run]


def _next(at: datetime, now: datetime, *, certain: bool) -> str:
    """Return when a stage runs next; "about" unless a timer says so."""
    words = until(at, now)
    return words if certain else words.replace("in ", "in about ", 1)


def _queue_cells(name: str, states: Mapping[str, int]) -> list[object]:
    parts = [f"{count} {state}" for state, count in states.items() if count]
    return [Styled(name, "bold"), ", ".join(parts) or Styled("empty", "dim")]


def _destination_cells(destination: DestinationStatus, now: datetime) -> list[object]:
    last = ago(destination.last_post, now) if destination.last_post else Styled("never", "dim")
    due: object
    if destination.next_post is None:
        due = Styled(destination.why, "red")
    elif not destination.waiting:
        due = Styled("nothing approved", "dim")
    elif destination.next_post <= now:
        due = Styled("due now", "green")
    else:
        due = ": ".join(filter(None, (until(destination.next_post, now), destination.why)))
    return [Styled(destination.name, "bold"), destination.posts_today, last, due]


def _budget_cells(use: ModelUse, now: datetime) -> list[object]:
    minute: object = _of(use.minute_requests, use.minute_request_limit)
    if use.blocked_until:
        minute = Styled(f"blocked {until(use.blocked_until, now)}", "bold red")
    return [
        Styled(use.model, "bold"),
        _of(use.day_requests, use.day_request_limit),
        _of(use.day_tokens, use.day_token_limit),
        minute,
        use.limits_by,
    ]


def _of(used: int, limit: int | None) -> object:
    if limit is None:
        return _amount(used)
    share = used / limit if limit else 1.0
    style = "red" if share >= 0.95 else "yellow" if share >= 0.75 else ""
    return Styled(f"{_amount(used)} of {_amount(limit)} ({share:.0%})", style)


def _amount(number: int) -> str:
    """Return a number short enough for a table: 999, 12.3k, 4.5M."""
    for least, size, unit in ((1_000_000, 1_000_000, "M"), (10_000, 1000, "k")):
        if number >= least:
            return f"{number / size:.1f}".removesuffix(".0") + unit
    return str(number)
