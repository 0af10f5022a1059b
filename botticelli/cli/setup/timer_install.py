"""Install, remove and inspect systemd units and crontab lines."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Final, Protocol

from botticelli.cli.shared.timer_plans import plans_of
from botticelli.cli.shell.environment import Environment
from botticelli.config.sources import user_folder
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.records import record
from botticelli.schedule.crontab import BEGIN, END, crontab, replace_block
from botticelli.schedule.units import PROGRAM, TARGET, UnitScope, systemd_units

SYSTEM_FOLDER: Final = Path("/etc/systemd/system")
SYSTEM_SETTINGS: Final = Path("/etc/botticelli/botticelli.toml")
HIDDEN: Final = ("/home/", "/root/", "/run/user/")  # what ProtectHome= hides from a service
TIMEOUT: Final = 60  # seconds
SHOWN: Final = "Id,LoadState,ActiveState,LastTriggerUSec,NextElapseUSecRealtime"


@record
class Timer:
    """One timer as it is on this machine.

    Args:
        installed: Whether its unit, or its line of the crontab, is there.
        armed: Whether it is active and will fire.
        current: Whether what is installed is what the configuration says.
    """

    name: str
    installed: bool
    armed: bool
    current: bool
    last: datetime | None
    next: datetime | None


@record
class TimersReport:
    """The timers of the stages. `kind` is system, user, cron or none."""

    kind: str
    timers: tuple[Timer, ...]
    exit_code: int


class Installer(Protocol):
    """One way to start the stages by timers."""

    def plan(self) -> Iterator[str]:
        """Yield what would be done, as commands and files."""
        ...

    def check(self) -> None:
        """Refuse what would not work.

        Raises:
            ConfigError: The installed timers could not run.
            UsageError: Another user has to do it.
        """
        ...

    def install(self) -> None:
        """Install and start everything."""
        ...

    def remove(self) -> bool:
        """Stop and remove everything; return whether anything was there."""
        ...

    def status(self) -> TimersReport:
        """Return what is installed."""
        ...


def installer(env: Environment, *, cron: bool, user: bool, program: str | None = None) -> Installer:
    """Return what installs the wanted kind of timers.

    Raises:
        UsageError: Two kinds are wanted at once.
    """
    if cron and user:
        raise UsageError("choose one of --cron and --user")
    return Crontab(env, program=program) if cron else Units(env, of_user=user, program=program)


def this_program(env: Environment) -> str:
    """Return the absolute path of botticelli as it runs here."""
    beside = Path(sys.executable).with_name("botticelli")
    if beside.is_file():
        return str(beside)
    return which("botticelli", path=env.environ.get("PATH")) or PROGRAM


class Units:
    """systemd's timers, of the machine or of one user."""

    def __init__(self, env: Environment, *, of_user: bool, program: str | None) -> None:
        self._env = env
        self._of_user = of_user
        self._program = program or this_program(env)
        self._folder = (
            user_folder(env.environ, "XDG_CONFIG_HOME", ".config") / "systemd/user"
            if of_user
            else SYSTEM_FOLDER
        )

    @property
    def files(self) -> Mapping[str, str]:
        """Every unit by its file name."""
        place = UnitScope(program=self._program, of_user=self._of_user)
        return systemd_units(plans_of(self._env.config), place=place)

    def plan(self) -> Iterator[str]:
        """See Installer."""
        for name in self.files:
            yield f"write {self._folder / name}"
        for words in self._commands():
            yield " ".join(words)

    def check(self) -> None:
        """See Installer."""
        if not self._of_user and os.geteuid() != 0:
            raise UsageError(
                "only root can install system units",
                where="timers install",
                hint="use sudo, or --user for your own timers",
            )
        if not self._of_user and self._program.startswith(HIDDEN):
            raise ConfigError(
                "the sandboxed services cannot see a program in a home folder",
                where=self._program,
                hint="install botticelli below /opt or /usr/local, or use --user",
            )
        run([*self._systemctl, "show", "--property=Version"])  # before anything is written
        if not self._of_user and not SYSTEM_SETTINGS.exists():
            self._env.say(f"note: {SYSTEM_SETTINGS} does not exist: the default settings are used")

    def install(self) -> None:
        """See Installer."""
        write_files(self.files, self._folder)
        for words in self._commands():
            run(words)

    def remove(self) -> bool:
        """See Installer. Files are taken out also where no systemd runs (any more)."""
        there = [self._folder / name for name in self.files if (self._folder / name).exists()]
        if not there:
            return False
        names = [path.name for path in there if "@" not in path.name]
        run([*self._systemctl, "disable", "--now", *names], may_fail=True)
        try:
            for path in there:
                path.unlink()
        except OSError as error:
            raise UsageError(
                f"cannot be removed: {error.strerror}", where=str(self._folder), hint="use sudo"
            ) from error
        run([*self._systemctl, "daemon-reload"], may_fail=True)
        return True

    def status(self) -> TimersReport:
        """See Installer."""
        self._program = _program_in(self._read("botticelli-post.service")) or self._program
        files = self.files
        names = [name for name in files if name.endswith(".timer")]
        shown = self._shown(names)
        timers = tuple(self._timer(name, shown.get(name, {}), files) for name in names)
        return TimersReport(
            kind="user" if self._of_user else "system",
            timers=timers,
            exit_code=0 if all(each.armed and each.current for each in timers) else 1,
        )

    def _timer(self, name: str, facts: Mapping[str, str], files: Mapping[str, str]) -> Timer:
        service = name.replace(".timer", ".service")
        return Timer(
            name=name.removeprefix("botticelli-").removesuffix(".timer"),
            installed=facts.get("LoadState") == "loaded",
            armed=facts.get("ActiveState") == "active",
            current=all(self._read(each) == files[each] for each in (name, service)),
            last=_instant(facts.get("LastTriggerUSec", "")),
            next=_instant(facts.get("NextElapseUSecRealtime", "")) or self._next(name),
        )

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

    def _next(self, name: str) -> datetime | None:
        """Return when a timer without a calendar fires: only list-timers converts its clock."""
        import json

        rows = json.loads(run([*self._systemctl, "list-timers", "--output=json", name]) or "[]")
        micro = rows[0].get("next") if rows else None
        return datetime.fromtimestamp(micro / 1_000_000, UTC) if micro else None

    @property
    def _systemctl(self) -> list[str]:
        return ["systemctl", "--user"] if self._of_user else ["systemctl"]

    def _commands(self) -> list[list[str]]:
        timers = [name for name in self.files if name.endswith(".timer")]
        return [
            [*self._systemctl, "daemon-reload"],
            [*self._systemctl, "enable", TARGET],
            # A changed timer takes effect when it is restarted.
            [*self._systemctl, "restart", TARGET, *timers],
        ]


class Crontab:
    """Lines in the crontab of the current user."""

    def __init__(self, env: Environment, *, program: str | None) -> None:
        self._env = env
        self._program = program or this_program(env)

    @property
    def _block(self) -> str:
        return crontab(plans_of(self._env.config), program=self._program)

    def plan(self) -> Iterator[str]:
        """See Installer."""
        yield "crontab -"
        yield self._block.rstrip()

    def check(self) -> None:
        """See Installer."""
        _crontab_of_user()

    def install(self) -> None:
        """See Installer."""
        run(["crontab", "-"], text=replace_block(_crontab_of_user(), self._block))

    def remove(self) -> bool:
        """See Installer."""
        text = _crontab_of_user()
        if BEGIN not in text:
            return False
        run(["crontab", "-"], text=replace_block(text, ""))
        return True

    def status(self) -> TimersReport:
        """See Installer."""
        text = _crontab_of_user()
        block = text.partition(f"{BEGIN}\n")[2].partition(f"{END}\n")[0]
        self._program = _program_in(block) or self._program
        timers = tuple(
            Timer(
                name=plan.stage,
                installed=bool(block),
                armed=bool(block),
                current=block == self._block,
                last=None,
                next=None,
            )
            for plan in plans_of(self._env.config)
        )
        return TimersReport(kind="cron", timers=timers, exit_code=0 if block == self._block else 1)


def _program_in(text: str) -> str:
    """Return the program that an installed unit or crontab runs; empty if none is named."""
    found = re.search(r"^(?:ExecStart=|[^#\n]*\s)(/\S*botticelli)\s", text, re.MULTILINE)
    return found[1] if found else ""


def _crontab_of_user() -> str:
    return run(["crontab", "-l"], may_fail=True)


def _instant(text: str) -> datetime | None:
    seconds = text.removeprefix("@")
    return datetime.fromtimestamp(int(seconds), UTC) if seconds.isdigit() and int(seconds) else None


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
