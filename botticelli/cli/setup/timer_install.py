"""Timers of cron, and what every way to start the stages by timers shares."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which
from typing import Final
from zoneinfo import available_timezones

from botticelli import cron
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import Config, Schedule
from botticelli.config.sources import with_dotenv
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.records import record
from botticelli.schedule.crontab import CronClock, crontab, projects_in, replace_block
from botticelli.schedule.units import PROGRAM, SECRETS, STEM, Plan, UnitScope

TIMEOUT: Final = 60  # seconds
LIST: Final = ("list-timers", "--all", "--output=json")  # for systemctl; see next_rounds
LOCAL_TIME: Final = Path("/etc/localtime")


WEEKLY = Plan(
    stage="prune",
    does="delete old history",
    interval=timedelta(days=7),
    jitter_percent=0,
    first=timedelta(hours=1),
    longest=timedelta(hours=1),
    calendar=("weekly",),
    delay=timedelta(hours=6),
    cron=("24 4 * * 1",),
)


def plans_of(config: Config) -> list[Plan]:
    """Return when each stage is started, and when old history is deleted."""
    reads = _plan("collect", "read the sources", config.collect.schedule, 3, 30)
    counts = _plan("observe", "count readers' reactions", config.observe.schedule, 7, 15)
    return [
        *([reads] if config.sources else []),
        _plan("generate", "write candidate posts", config.generate.schedule, 5, 360),
        _plan("curate", "score pending candidates", config.curate.schedule, 15, 120),
        _plan("post", "publish the next approved post", config.post.schedule, 2, 20),
        *([counts] if config.learning.observe else []),
        WEEKLY,
    ]


def _plan(stage: str, does: str, schedule: Schedule, first: int, longest: int) -> Plan:
    zone = schedule.time_zone
    calendar: tuple[str, ...] = ()  # of an interval
    lines: tuple[str, ...] = ()
    if schedule.kind == "Daily":
        calendar = tuple(f"*-*-* {at}:00 {zone}" for at in schedule.at)
        lines = tuple(f"{int(at[3:])} {int(at[:2])} * * *" for at in schedule.at)
    elif schedule.kind == "Cron":
        calendar = cron.on_calendar(cron.parse(schedule.cron), time_zone=zone)
        lines = (schedule.cron,)
    return Plan(
        stage=stage,
        does=does,
        interval=schedule.interval,
        jitter_percent=schedule.jitter_percent,
        first=timedelta(minutes=first),
        longest=timedelta(minutes=longest),
        calendar=calendar,
        delay=schedule.delay,
        cron=lines,
        time_zone=zone,
    )


@record
class Timer:
    """One timer as it is on this machine.

    Args:
        installed: Whether its unit, or its line of the crontab, is there.
        armed: Whether it is active and will fire.
        current: Whether what is installed is what the configuration says; None if not known.
    """

    name: str
    installed: bool = False
    armed: bool = False
    current: bool | None = False
    last: datetime | None = None
    next: datetime | None = None


@record
class ProjectTimers:
    """The timers of another project on this machine; `config` is its botticelli.toml."""

    project: str
    config: str
    timers: tuple[Timer, ...]


@record
class TimersReport:
    """The timers of the stages.

    Args:
        kind: system, user or cron.
        project: The project's name.
        timers: The project's own.
        others: Those of other projects.
    """

    kind: str
    project: str
    timers: tuple[Timer, ...]
    others: tuple[ProjectTimers, ...]
    exit_code: int


def this_program(env: Environment) -> str:
    """Return the absolute path of botticelli as it runs here."""
    beside = Path(sys.executable).with_name("botticelli")
    if beside.is_file():
        return str(beside)
    return which("botticelli", path=env.environ.get("PATH")) or PROGRAM


def scope_of(env: Environment, *, program: str, of_user: bool = False) -> UnitScope:
    """Return the project that timers are made for, and what they run.

    Raises:
        ConfigError: Its name or a path does not fit into units.
    """
    source, project = env.config.source, env.config.project
    place = UnitScope(program=program, of_user=of_user)
    if source is not None:
        file = os.path.abspath(env.cwd / source)  # noqa: PTH100 - links stay as they are
        place = replace(place, project=project.name or STEM, config=file)
    place.check()
    return place


def is_same(one: UnitScope | None, other: UnitScope) -> bool:
    """Return whether installed timers belong to that project, or to a folder that is gone."""
    if one is None or one.project != other.project:
        return False
    paths = [os.path.realpath(each.config) for each in (one, other)]
    return paths[0] == paths[1] or not Path(one.config).is_file()


def refuse_namesake(found: UnitScope | None, place: UnitScope, *, option: str) -> None:
    """Refuse to take the place of another project's timers.

    Args:
        found: Whose timers are installed.
        place: Whose timers are to be.
        option: How `timers remove` finds them.

    Raises:
        ConfigError: They belong to another project.
    """
    if found is None or found.project != place.project or is_same(found, place):
        return
    raise ConfigError(
        f"timers of another project '{found.project}' are installed: {found.config}",
        where=f"project {place.config or place.project}",
        hint="give this one another name ([project] name), or remove those: "
        + shlex.join(["botticelli", "--config", found.config, "timers", "remove"])
        + option,
    )


def note_exported(env: Environment, place: UnitScope) -> None:
    """Print which secrets stand in this shell only, where no timer finds them."""
    kept = with_dotenv({}, Path(place.folder)) if place.folder else {}
    exported = [name for name in SECRETS if env.environ.get(name) and name not in kept]
    if exported:
        env.say(
            f"note: {', '.join(exported)}: set in this shell only, which no timer sees; write it to"
            f" {place.folder or '~/.config/botticelli'}/.env (0600)"
        )


def run(
    words: Sequence[str],
    *,
    text: str | None = None,
    may_fail: bool = False,
    timeout: float = TIMEOUT,
) -> str:
    """Run a program of the machine, for `timeout` seconds at most, and return what it said.

    Raises:
        Unavailable: It is not here, or it failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, names from our own table
            list(words), input=text, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(
            f"there is no {words[0]} here",
            where="timers",
            hint="see the other way: --cron" if words[0] == "systemctl" else "install cron",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{words[0]} does not answer", where="timers") from error
    if done.returncode and not may_fail:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(
            said[0].rstrip(".") if said else f"it ended with {done.returncode}",
            where=words[0],
            hint="see the other ways: --user, --cron" if words[0] == "systemctl" else "",
        )
    return done.stdout


def next_rounds(said: str) -> dict[str, datetime]:
    """Return when each timer fires next, out of what `systemctl` says to LIST.

    Raises:
        ValueError: It is no JSON.
    """
    import json

    rows = json.loads(said or "[]")
    return {
        row["unit"]: datetime.fromtimestamp(row["next"] / 1_000_000, UTC)
        for row in rows
        if row.get("unit") and row.get("next")
    }


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write texts by file name into `folder`, which is made.

    Raises:
        UsageError: That may not be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(folder)) from error


class Crontab:
    """Lines in the crontab of the current user."""

    def __init__(self, env: Environment, *, program: str | None) -> None:
        self._env = env
        self._place = scope_of(env, program=program or this_program(env))
        self._plans = plans_of(env.config)

    def _block(self, place: UnitScope) -> str:
        return crontab(self._plans, place=place, clock=cron_clock(self._env))

    def plan(self) -> Iterator[str]:
        """See Units."""
        yield "crontab -"
        yield self._block(self._place).rstrip()

    def check(self) -> None:
        """See Units."""
        for found, _ in projects_in(_crontab_of_user()):
            refuse_namesake(found, self._place, option=" --cron")
        note_exported(self._env, self._place)

    def install(self) -> None:
        """See Units."""
        self._replace(self._block(self._place))

    def remove(self) -> bool:
        """See Units."""
        return self._replace("")

    def _replace(self, block: str) -> bool:
        """Put a block in the place of ours; return whether that changed anything."""
        before = _crontab_of_user()
        text = replace_block(before, block, is_ours=self._is_ours)
        if text != before:
            run(["crontab", "-"], text=text)
        return text != before

    def status(self) -> TimersReport:
        """See Units."""
        blocks = list(projects_in(_crontab_of_user()))
        ours = [(mark, block) for mark, block in blocks if self._is_ours(mark)]
        place = self._place
        if ours and ours[0][0]:
            place = replace(place, program=ours[0][0].program)
        is_current = [block for _, block in ours] == [self._block(place)]
        return TimersReport(
            kind="cron",
            project=place.project,
            timers=self._timers(bool(ours), is_current),
            others=tuple(
                ProjectTimers(
                    project=mark.project, config=mark.config, timers=self._timers(True, None)
                )
                for mark, _ in blocks
                if mark and not self._is_ours(mark)
            ),
            exit_code=0 if is_current else 1,
        )

    def _is_ours(self, mark: UnitScope | None) -> bool:
        """Return whether a block is this project's; one of an earlier version is anybody's."""
        return mark is None or not mark.config or is_same(mark, self._place)

    def _timers(self, is_there: bool, is_current: bool | None) -> tuple[Timer, ...]:
        return tuple(
            Timer(name=plan.stage, installed=is_there, armed=is_there, current=is_current)
            for plan in self._plans
        )


def _crontab_of_user() -> str:
    return run(["crontab", "-l"], may_fail=True)


def cron_clock(env: Environment) -> CronClock:
    """Return how the cron of this machine reads times: TZ, else /etc/localtime, else UTC."""
    linked = os.path.realpath(LOCAL_TIME).partition("zoneinfo/")[2]
    named = [env.environ.get("TZ", "").removeprefix(":"), linked]
    zones = [zone for zone in named if zone.removeprefix("posix/") in available_timezones()]
    return CronClock(zone=(zones or ["UTC"])[0], on=env.clock.now().date(), knows_zones=_is_cronie)


def _is_cronie() -> bool:
    try:
        return "cronie" in run(["crontab", "-V"], text="", may_fail=True)
    except Unavailable:
        return False
