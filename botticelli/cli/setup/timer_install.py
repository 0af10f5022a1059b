"""What every way to start the stages by timers has: its report, its project, its programs."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from shutil import which
from typing import Final

from botticelli.cli.shell.environment import Environment
from botticelli.config.sources import with_dotenv
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.records import record
from botticelli.schedule.units import PROGRAM, SECRETS, STEM, UnitScope

TIMEOUT: Final = 60  # seconds


@record
class Timer:
    """One timer as it is on this machine.

    Args:
        installed: Whether its unit, or its line of the crontab, is there.
        armed: Whether it is active and will fire.
        current: Whether what is installed is what the configuration says; None if not known.
    """

    name: str
    installed: bool
    armed: bool
    current: bool | None
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


def run(words: Sequence[str], *, text: str | None = None, may_fail: bool = False) -> str:
    """Run a program of the machine and return what it said.

    Raises:
        Unavailable: It is not here, or it failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, names from our own table
            list(words), input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False
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
