"""`botticelli timers`: systemd units and a crontab from the configuration."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.setup.timer_install import Timer, TimersReport, installer, write_files
from botticelli.cli.shared.timer_plans import plans_of
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.schedule.crontab import crontab
from botticelli.schedule.units import PROGRAM, UnitScope, systemd_units

timers = typer.Typer(no_args_is_help=True)
app.add_typer(timers, name="timers")

ForCron = Annotated[bool, typer.Option("--cron", help="A crontab in place of units.")]
ForUser = Annotated[bool, typer.Option("--user", help="Units of your own user manager.")]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


@timers.callback()
def group() -> None:
    """Write, install and watch systemd timers or a crontab."""


@timers.command(name="render")
def render_files(
    ctx: typer.Context,
    *,
    cron: ForCron = False,
    user: ForUser = False,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write files there; left out: to stdout.")
    ] = None,
    program: Annotated[
        str | None, typer.Option(metavar="PATH", help=f"What they run; else {PROGRAM}.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Render what wakes the stages on their schedules."""
    env: Environment = ctx.obj
    plans = plans_of(env.config)
    path = program or PROGRAM
    if cron:
        files: Mapping[str, str] = {"crontab.example": crontab(plans, program=path)}
    else:
        files = systemd_units(plans, place=UnitScope(program=path, of_user=user))
    if to is not None:
        folder = env.cwd / to
        write_files(files, folder)
        line = f"{len(files)} files written to {folder}; botticelli timers install arms them"
        env.tell(line, as_json=as_json, folder=folder, written=list(files))
    elif as_json:
        env.show({"files": files}, as_json=True)
    else:
        env.stdout.write(_joined(files))
    return 0


@timers.command()
def install(
    ctx: typer.Context,
    *,
    cron: ForCron = False,
    user: ForUser = False,
    program: Annotated[
        str | None, typer.Option(metavar="PATH", help="What they run; else this very program.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written and run; do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Install the timers and start them; again after every change of a schedule."""
    env: Environment = ctx.obj
    chosen = installer(env, cron=cron, user=user, program=program)
    if dry_run:
        plan = list(chosen.plan())
        if as_json:
            env.show({"plan": plan}, as_json=True)
        else:
            env.stdout.write("\n".join(plan) + "\n")
        return 0
    chosen.check()
    chosen.install()
    line = "installed and armed; look with botticelli timers status"
    env.tell(line, as_json=as_json, installed=True)
    return 0


@timers.command()
def remove(
    ctx: typer.Context, *, cron: ForCron = False, user: ForUser = False, as_json: AsJson = False
) -> int:
    """Stop the timers and take them out again; the database stays."""
    env: Environment = ctx.obj
    found = installer(env, cron=cron, user=user).remove()
    line = "removed" if found else "there was nothing to remove"
    env.tell(line, as_json=as_json, removed=found)
    return 0


@timers.command()
def status(
    ctx: typer.Context, *, cron: ForCron = False, user: ForUser = False, as_json: AsJson = False
) -> int:
    """Tell which timers are installed, armed and up to date; exit 1 if one is not."""
    env: Environment = ctx.obj
    report = installer(env, cron=cron, user=user).status()
    env.show(report, as_json=as_json)
    return report.exit_code


@render.register
def _(report: TimersReport, console: Console) -> None:
    console.table(
        ["TIMER", "STATE", "LAST", "NEXT"],
        [
            [each.name, _state(each), _clock_face(each.last), _clock_face(each.next)]
            for each in report.timers
        ],
        title=f"{report.kind} timers",
    )


def _state(timer: Timer) -> Styled:
    if not timer.installed:
        return Styled("not installed", "red")
    if not timer.armed:
        return Styled("installed, not armed", "red")
    return (
        Styled("armed", "green")
        if timer.current
        else Styled("armed, but not what the configuration says: install again", "yellow")
    )


def _clock_face(instant: datetime | None) -> str | None:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else None


def _joined(files: Mapping[str, str]) -> str:
    if len(files) == 1:
        return "".join(files.values())
    return "\n".join(f"# --- {name}\n{text}" for name, text in files.items())
