"""`botticelli timers`: systemd units of the machine or of one user, or a crontab."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from botticelli.cli.setup.timer_install import (
    LIST,
    Crontab,
    ProjectTimers,
    Timer,
    TimersReport,
    cron_clock,
    is_same,
    next_rounds,
    note_exported,
    plans_of,
    refuse_namesake,
    run,
    scope_of,
    this_program,
    write_files,
)
from botticelli.cli.shell.command import Done, PlainText, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.config.sources import NAME, user_folder
from botticelli.errors import ConfigError, UsageError
from botticelli.schedule.crontab import crontab
from botticelli.schedule.units import (
    PROGRAM,
    SHIPPED,
    STEM,
    UnitScope,
    desk_units,
    read_mark,
    systemd_units,
)
from botticelli.text import counted

SYSTEM_FOLDER: Final = Path("/etc/systemd/system")
HIDDEN: Final = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - from services
SHOWN: Final = "Id,LoadState,ActiveState,LastTriggerUSec,NextElapseUSecRealtime"
timers = group(
    "timers",
    examples="""
    botticelli timers install --user
    botticelli timers status
    botticelli timers render --cron   # print a crontab
    """,
)


class Units:
    """systemd's timers, of the machine or of one user."""

    def __init__(self, env: Environment, *, of_user: bool, program: str | None) -> None:
        self._env = env
        self._of_user = of_user
        self._home = user_folder(env.environ, "XDG_CONFIG_HOME", ".config")
        self._folder = self._home / "systemd/user" if of_user else SYSTEM_FOLDER
        self._systemctl = ["systemctl", "--user"] if of_user else ["systemctl"]
        self._place = scope_of(env, program=program or this_program(env), of_user=of_user)
        self._plans = plans_of(env.config)
        self.files = systemd_units(self._plans, place=self._place)  # by their names

    def plan(self) -> Iterator[str]:
        """Yield what would be done, as commands and files."""
        for name in self._old:
            yield f"remove {self._folder / name}, which names no project"
        for name in self.files:
            yield f"write {self._folder / name}"
        for words in self._commands():
            yield shlex.join(words)

    def check(self) -> None:
        """Refuse what would not work.

        Raises:
            ConfigError: The installed timers could not run.
            UsageError: Another user has to do it.
        """
        place = self._place
        if not self._of_user and os.geteuid() != 0:
            raise UsageError(
                "only root can install system units",
                where="timers install",
                hint="use sudo, or --user for your own timers",
            )
        if not self._of_user:
            _refuse_hidden(place)
        refuse_namesake(self._installed, place, option=" --user" if self._of_user else "")
        run([*self._systemctl, "show", "--property=Version"])  # before anything is written
        if not place.config:
            self._env.say("note: no project here: the timers run with variables alone")
        note_exported(self._env, place)

    def install(self) -> None:
        """Install and start everything."""
        if self._old:
            self._env.say("units of an earlier version, which name no project, are replaced")
            self._take_out(self._old)
        write_files(self.files, self._folder)
        for words in self._commands():
            run(words)

    def remove(self) -> bool:
        """Stop and remove everything; return whether anything was there.

        Files are taken out also where no systemd runs (any more).
        """
        found = self._installed
        ours = self.files if found is None or is_same(found, self._place) else ()
        there = [name for name in ours if (self._folder / name).exists()] + self._old
        if not there:
            return False
        self._take_out(there)
        for other in self._others():  # the embedded server may have been started by our unit
            run([*self._systemctl, "try-restart", other.postgres], may_fail=True)
        return True

    def status(self) -> TimersReport:
        """Return what is installed."""
        found = self._installed
        if found is not None and not is_same(found, self._place):
            timers = tuple(Timer(name=plan.stage) for plan in self._plans)
        else:
            old = UnitScope(of_user=self._of_user) if self._old else self._place
            place = found or old
            expected = replace(self._place, program=place.program)
            timers = self._timers(place, systemd_units(self._plans, place=expected))
        others = tuple(
            ProjectTimers(
                project=other.project, config=other.config, timers=self._timers(other, None)
            )
            for other in self._others()
        )
        return TimersReport(
            kind="user" if self._of_user else "system",
            project=self._place.project,
            timers=timers,
            others=others,
            exit_code=0 if all(each.armed and each.current for each in timers) else 1,
        )

    @property
    def _installed(self) -> UnitScope | None:
        """Whose units of our name are installed; None if there are none, or old ones."""
        return read_mark(self._read(self._place.target), of_user=self._of_user)

    def _others(self) -> list[UnitScope]:
        marks = [
            read_mark(self._read(path.name), of_user=self._of_user)
            for path in sorted(self._folder.glob(f"{STEM}*.target"))
        ]
        return [mark for mark in marks if mark and not is_same(mark, self._place)]

    @property
    def _old(self) -> list[str]:
        """Units of an earlier version that run this project, under names that we do not write."""
        old = UnitScope()
        text = self._read(old.target)
        if not text or (read_mark(text) or old).config:
            return []
        settings = (self._home / STEM if self._of_user else Path(SHIPPED.folder)) / NAME
        if settings.is_file() and os.path.realpath(settings) != os.path.realpath(
            self._place.config
        ):
            return []  # they run another project
        names = systemd_units(self._plans, place=old)
        return [name for name in names if name not in self.files and (self._folder / name).exists()]

    def _take_out(self, names: Sequence[str]) -> None:
        """Stop units and delete their files."""
        running = [name for name in names if "@" not in name]
        run([*self._systemctl, "disable", "--now", *running], may_fail=True)
        try:
            for name in names:
                (self._folder / name).unlink()
        except OSError as error:
            raise UsageError(
                f"cannot be removed: {error.strerror}", where=str(self._folder), hint="use sudo"
            ) from error
        run([*self._systemctl, "daemon-reload"], may_fail=True)

    def _timers(self, place: UnitScope, expected: Mapping[str, str] | None) -> tuple[Timer, ...]:
        """Return the timers of a project; `expected`: its units as they should be, if known."""
        stems = {plan.stage: f"{place.stem}-{plan.stage}" for plan in self._plans}
        shown = self._shown([f"{stem}.timer" for stem in stems.values()])
        found = []
        for stage, stem in stems.items():
            names = (f"{stem}.timer", f"{stem}.service")
            facts = shown.get(names[0], {})
            written = {name: self._read(name) for name in names}
            current = None if expected is None else written.items() <= expected.items()
            found.append(
                Timer(
                    name=stage,
                    installed=facts.get("LoadState") == "loaded",
                    armed=facts.get("ActiveState") == "active",
                    current=current,
                    last=_instant(facts.get("LastTriggerUSec", "")),
                    next=_instant(facts.get("NextElapseUSecRealtime", "")) or self._next(facts),
                )
            )
        return tuple(found)

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    def _shown(self, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        words = [*self._systemctl, "show", "--timestamp=unix", f"--property={SHOWN}", *names]
        blocks = run(words).strip().split("\n\n")
        facts = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
        return {each["Id"]: each for each in facts if "Id" in each}

    def _next(self, facts: Mapping[str, str]) -> datetime | None:
        """Return when a timer without a calendar fires: only list-timers converts its clock."""
        if facts.get("LoadState") != "loaded":
            return None
        return next(iter(next_rounds(run([*self._systemctl, *LIST, facts["Id"]])).values()), None)

    def _commands(self) -> list[list[str]]:
        timers = [name for name in self.files if name.endswith(".timer")]
        return [
            [*self._systemctl, "daemon-reload"],
            [*self._systemctl, "enable", self._place.target],
            # A changed timer takes effect when it is restarted.
            [*self._systemctl, "restart", self._place.target, *timers],
        ]


def _refuse_hidden(place: UnitScope) -> None:
    """Refuse what a sandboxed service of the machine cannot see or read."""
    for path in (place.program, place.config):
        if path.startswith(HIDDEN):
            raise ConfigError(
                "the sandboxed services cannot see into home folders and temporary ones",
                where=path,
                hint="install botticelli and the project below /opt, /srv or /etc, or use --user",
            )
    for path in (place.config, f"{place.folder}/.env") if place.config else ():
        found = Path(path).stat() if Path(path).exists() else None
        if found and found.st_uid:
            raise ConfigError(
                "the sandboxed services obey files of root only: they run as a user of their own",
                where=path,
                hint=f"chown root {place.folder} and its files, or use --user",
            )
        if found and not found.st_mode & 0o004:
            raise ConfigError(
                "the sandboxed services cannot read it: they run as a user of their own",
                where=path,
                hint=f"settings: chmod o+r; secrets: one file each (0600) in {place.folder}/"
                "credentials instead of .env; or use --user",
            )


def _instant(text: str) -> datetime | None:
    seconds = text.removeprefix("@")
    return datetime.fromtimestamp(int(seconds), UTC) if seconds.isdigit() and int(seconds) else None


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
    desk: bool = False,
) -> Done | PlainText:
    """Print the units or the crontab for the configured schedules.

    Takes:
        desk: Print the socket and the service of the desk instead ([desk] listen).
        to DIR: Write files to this folder, not to stdout.
        program PATH: The program to run; else /usr/local/bin/botticelli.
    """
    plans = plans_of(env.config)
    place = scope_of(env, program=program or PROGRAM, of_user=user)
    if desk:
        files = desk_units(env.config.desk.listen, place=place)
    elif cron:
        files = {"crontab.example": crontab(plans, place=place, clock=cron_clock(env))}
    else:
        files = systemd_units(plans, place=place)
    if to is None:
        parts = [f"# --- {name}\n{text}" for name, text in files.items()]
        text = "\n".join(files.values() if len(files) == 1 else parts)
        return PlainText(text=text, facts={"files": files})
    folder = env.cwd / to
    write_files(files, folder)
    line = f"{counted(len(files), 'file')} written to {folder}"
    line += "; botticelli timers install enables them"
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
    groups = {f"{report.kind} timers of {report.project}": report.timers}
    for other in report.others:
        groups[f"of {other.project} ({other.config or 'no project'})"] = other.timers
    for title, found in groups.items():
        rows = [[each.name, _state(each), _clock(each.last), _clock(each.next)] for each in found]
        console.table(["TIMER", "STATE", "LAST", "NEXT"], rows, title=title)


def _state(timer: Timer) -> Styled:
    if not timer.installed:
        return Styled("not installed", "red")
    if not timer.armed:
        return Styled("installed, not active", "red")
    if timer.current is False:
        return Styled("active, but outdated: install again", "yellow")
    return Styled("active", "green")


def _clock(instant: datetime | None) -> str | None:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else None
