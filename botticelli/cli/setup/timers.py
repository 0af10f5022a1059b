"""`botticelli timers`: systemd units and a crontab from the configuration."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.setup.timer_install import (
    Crontab,
    Timer,
    TimersReport,
    cron_clock,
    scope_of,
    write_files,
)
from botticelli.cli.setup.timer_units import Units
from botticelli.cli.shared.timer_plans import plans_of
from botticelli.cli.shell.command import Done, PlainText, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.errors import UsageError
from botticelli.schedule.crontab import crontab
from botticelli.schedule.units import PROGRAM, systemd_units
from botticelli.text import counted

timers = group(
    "timers",
    examples="""
    botticelli timers install --user
    botticelli timers status
    botticelli timers render --cron   # print a crontab
    """,
)


def installer(
    env: Environment, *, cron: bool, user: bool, program: str | None = None
) -> Units | Crontab:
    """Return what installs the wanted kind of timers.

    Raises:
        UsageError: Two kinds are wanted at once.
    """
    if cron and user:
        raise UsageError("choose one of --cron and --user")
    return Crontab(env, program=program) if cron else Units(env, of_user=user, program=program)


ForCron = Annotated[bool, typer.Option("--cron", help="Use a crontab instead of systemd units.")]
ForUser = Annotated[bool, typer.Option("--user", help="Use systemd units of your user.")]


@command(timers, "render")
def render_timers(
    env: Environment,
    *,
    cron: ForCron = False,
    user: ForUser = False,
    to: Path | None = None,
    program: str | None = None,
) -> Done | PlainText:
    """Print the units or the crontab for the configured schedules.

    Takes:
        to DIR: Write files to this folder, not to stdout.
        program PATH: The program to run; else /usr/local/bin/botticelli.
    """
    plans = plans_of(env.config)
    place = scope_of(env, program=program or PROGRAM, of_user=user)
    if cron:
        lines = crontab(plans, place=place, clock=cron_clock(env))
        files: Mapping[str, str] = {"crontab.example": lines}
    else:
        files = systemd_units(plans, place=place)
    if to is None:
        parts = [f"# --- {name}\n{text}" for name, text in files.items()]
        text = "\n".join(files.values() if len(files) == 1 else parts)
        return PlainText(text=text, facts={"files": files})
    folder = env.cwd / to
    write_files(files, folder)
    line = (
        f"{counted(len(files), 'file')} written to {folder}; botticelli timers install enables them"
    )
    return Done(line=line, facts={"folder": folder, "written": list(files)})


@command(timers)
def install(
    env: Environment,
    *,
    cron: ForCron = False,
    user: ForUser = False,
    program: str | None = None,
    dry_run: bool = False,
) -> Done | PlainText:
    """Install and start the timers; repeat it after a change of a schedule.

    Takes:
        program PATH: The program to run; else this one.
        dry_run: Show what would be written and run.
    """
    chosen = installer(env, cron=cron, user=user, program=program)
    if dry_run:
        plan = list(chosen.plan())
        return PlainText(text="\n".join(plan) + "\n", facts={"plan": plan})
    chosen.check()
    chosen.install()
    line = "installed and started; see botticelli timers status"
    return Done(line=line, facts={"installed": True})


@command(timers)
def remove(env: Environment, *, cron: ForCron = False, user: ForUser = False) -> Done:
    """Stop and remove the timers; the database is kept."""
    found = installer(env, cron=cron, user=user).remove()
    line = "removed" if found else "there was nothing to remove"
    return Done(line=line, facts={"removed": found})


@command(timers)
def status(env: Environment, *, cron: ForCron = False, user: ForUser = False) -> TimersReport:
    """Show whether the timers are installed, active and up to date; exit with 1 if not."""
    return installer(env, cron=cron, user=user).status()


@render.register
def _(report: TimersReport, console: Console) -> None:
    groups = [
        (f"{report.kind} timers of {report.project}", report.timers),
        *(
            (f"of {other.project} ({other.config or 'no project'})", other.timers)
            for other in report.others
        ),
    ]
    for title, timers in groups:
        console.table(
            ["TIMER", "STATE", "LAST", "NEXT"],
            [
                [each.name, _state(each), _clock_face(each.last), _clock_face(each.next)]
                for each in timers
            ],
            title=title,
        )


def _state(timer: Timer) -> Styled:
    if not timer.installed:
        return Styled("not installed", "red")
    if not timer.armed:
        return Styled("installed, not active", "red")
    return (
        Styled("active", "green")
        if timer.current is not False
        else Styled("active, but outdated: install again", "yellow")
    )


def _clock_face(instant: datetime | None) -> str | None:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else None
