"""`botticelli check`: everything a timer could trip over; nothing is changed or published."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field, replace
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.clock import Clock
from botticelli.config.addresses import trust_line
from botticelli.config.keys import NOTHING
from botticelli.config.model import Config
from botticelli.errors import BotticelliError, ConfigError, Exit, Problem
from botticelli.records import record
from botticelli.store.connection import Connection

STYLES: Final = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}
FEW_TIMES: Final = 4  # a day; with more of them one that the clocks leave out is no loss
_POSITION: Final = re.compile(r"(.+?:\d+: [^ :]+): ")  # FILE:LINE: KEY, as findings write it


@record
class Finding:
    """What was checked and the result. `subject` is the file, key, variable or position."""

    level: Literal["ok", "note", "warning", "error"]
    subject: str
    what: str
    hint: str = field(default="", metadata={"json": "mend"})


@record
class CheckReport:
    """All findings, in the order of the checks. One error makes the exit code 78."""

    exit_code: int
    findings: tuple[Finding, ...]


@command()
def check(
    env: Environment,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Check only these narrative files."),
    ] = None,
    *,
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Connect to models and platforms; nothing is spent or published."
        ),
    ] = False,
) -> CheckReport:
    """Check configuration, narratives and destinations.

    Reports every mistake in one run, so that timers do not fail on the next one. Of a file that is
    named only the file is judged; what it needs besides is a note.

    Examples:
        botticelli check
        botticelli check --online drafts/new_posts.toml
    """
    paths = [env.cwd / file for file in files or ()]
    findings = tuple(_findings(env, paths, online=online))
    bad = any(finding.level == "error" for finding in findings)
    return CheckReport(exit_code=Exit.CONFIG if bad else Exit.DONE, findings=findings)


def _findings(env: Environment, files: list[Path], *, online: bool) -> Iterator[Finding]:
    try:
        config = env.config
    except ConfigError as error:
        yield from _errors(error.problems, subject="configuration")
        for file in files:
            yield from check_narrative(file, environ=env.environ)
        return
    found = _all_findings(env, config, files, online=online)
    yield from _of_files(found, files) if files else found


def _all_findings(
    env: Environment, config: Config, files: list[Path], *, online: bool
) -> Iterator[Finding]:
    project = f"project {config.project.name}, {config.source}"
    source = project if config.source else "no botticelli.toml: shipped defaults"
    yield _ok("configuration", source)
    yield from check_variables(config)
    yield from check_narratives(config, files=files, environ=env.environ, cwd=env.cwd)
    yield from check_trust(env, narrative_files(config, files))
    yield from check_models(config, online=online)
    yield from check_schedules(config, on=env.clock.now().date())
    yield from check_destinations(config, clock=env.clock, online=online)
    yield from check_security(config)
    yield from check_folders(config)
    yield from check_database(env.database(), config, files=narrative_files(config, files))


def _of_files(findings: Iterable[Finding], files: Sequence[Path]) -> Iterator[Finding]:
    """Yield what is said of the files; what else is wrong, as a note."""
    names = tuple(map(str, files))
    for each in findings:
        if each.subject.startswith(names):
            yield each
        elif each.level == "error":
            yield replace(each, level="note")


def _ok(subject: str, what: str) -> Finding:
    return Finding(level="ok", subject=subject, what=what)


def _error(subject: str, what: str, *, hint: str = "") -> Finding:
    return Finding(level="error", subject=subject, what=what, hint=hint)


def _errors(problems: Iterable[Problem], *, subject: str = "") -> Iterator[Finding]:
    """Yield each problem as an error; `subject` stands in where a problem names no place."""
    for problem in problems:
        yield _error(problem.where or subject, problem.what, hint=problem.hint)


def check_variables(config: Config) -> Iterator[Finding]:
    """Yield an error for each variable that the configuration names and that is not set."""
    for key, variable in config.unset.items():
        if not key.endswith(".channel"):  # the destination's own check says it better
            hint = f"set {variable}, or give a default: ${{{variable}:-...}}"
            yield _error(key, f"the variable {variable} is not set", hint=hint)


def check_narratives(
    config: Config, *, files: Sequence[Path], environ: Mapping[str, str], cwd: Path
) -> Iterator[Finding]:
    """Yield what is wrong with the stages' narratives, those in the folders, and `files`."""
    from botticelli.narrative.checks.narrative_file import missing_words
    from botticelli.narrative.language.load import find_narrative

    used = []
    for stage in (config.generate, config.curate):
        try:
            file, _ = find_narrative(stage.narrative, folders=config.narratives.folders, cwd=cwd)
            used.append(file)
        except BotticelliError as error:
            yield from _errors(error.problems, subject=stage.narrative)
    for each in missing_words(used, config, environ=environ, cwd=cwd):
        yield Finding(level="warning", subject=each.where, what=each.what, hint=each.hint)
    for path in narrative_files(config, files):
        yield from check_narrative(path, config=config, environ=environ)


def narrative_files(config: Config, files: Sequence[Path]) -> list[Path]:
    """Return `files` and all in the folders of narratives, each once."""
    folders = [folder for folder in config.narratives.folders if folder.is_dir()]
    there = [path for folder in folders for path in sorted(folder.glob("*.toml"))]
    return list(dict.fromkeys([*files, *there]))


def check_narrative(
    path: Path, *, config: Config | None = None, environ: Mapping[str, str] = NOTHING
) -> Iterator[Finding]:
    """Yield what is wrong with a narrative file and all that it names, or that nothing is."""
    from botticelli.narrative.checks.narrative_file import check_file
    from botticelli.narrative.language.load import load_file

    try:
        file = load_file(path)
    except BotticelliError as error:
        yield from _errors(error.problems, subject=str(path))
        return
    findings = check_file(file, config, cwd=path.parent, environ=environ)
    yield from _warnings([*file.warnings, *findings.warnings], path)
    yield from _errors(findings.problems, subject=str(path))
    if not findings.problems:
        names = ", ".join(file.narratives)
        yield _ok(str(path), f"narratives {names}")


def check_trust(env: Environment, paths: Iterable[Path]) -> Iterator[Finding]:
    """Yield what the project and its narratives ask for, and whether the user has said yes."""
    from botticelli.cli.shared.trusting import rights, variables
    from botticelli.narrative.checks.asks import asks_of, files_run
    from botticelli.narrative.language.load import load_file, resolve_nested

    resolve, granted = partial(resolve_nested, cwd=env.cwd), rights(env)
    visible, root = variables(env), env.config.untrusted
    for line in env.asks:
        yield _asked(str(env.files.root if env.files else ""), line, untrusted=root)
    for path in paths:
        try:
            file = load_file(path)
        except BotticelliError:
            continue  # reported already
        asks = asks_of(each for one in files_run(file, resolve) for each in one.narratives.values())
        missing = granted.missing(asks, None)
        is_trusted = missing.is_empty or granted.trusted(file, resolve)
        yield _asked(str(path), str(asks), untrusted=None if is_trusted else path)
        for name in asks.environment:
            try:
                visible.refuse(name)
            except ConfigError as error:
                yield _error(f"{path}: {name}", error.what, hint=error.hint)


def _asked(subject: str, what: str, *, untrusted: Path | None) -> Finding:
    if untrusted is None:
        return _ok(subject, f"asks for {what}")
    hint = f"if it is right: {trust_line(untrusted)}"
    what = f"is not trusted, and asks for {what}"
    return Finding(level="warning", subject=subject, what=what, hint=hint)


def check_tables(paths: Iterable[Path], conn: Connection) -> Iterator[Finding]:
    """Yield the tables and columns that narrative files name and the database does not have."""
    from botticelli.narrative.checks import narrative_file
    from botticelli.narrative.language.load import load_file

    for path in paths:
        try:
            file = load_file(path)
        except BotticelliError:
            continue  # reported already
        findings = narrative_file.findings_of(file)
        narrative_file.check_tables(file, conn=conn, cwd=path.parent, findings=findings)
        yield from _warnings(findings.warnings, path)
        yield from _errors(findings.problems, subject=str(path))


def _warnings(lines: Iterable[str], path: Path) -> Iterator[Finding]:
    for line in lines:
        position = _POSITION.match(line)
        where, what = str(path), line.removeprefix(f"{path}: ")
        if position:
            where, what = position[1], line[position.end() :]
        yield Finding(level="warning", subject=where, what=what)


def check_models(config: Config, *, online: bool) -> Iterator[Finding]:
    """Yield whether the models that write and judge have a provider and a key.

    `online` asks the providers that answer at no cost; no tokens are spent.
    """
    from botticelli.budget.limits import limits_in_force
    from botticelli.models.base import CanLookUp
    from botticelli.models.open import Drivers

    drivers = Drivers(config.models)
    for name in dict.fromkeys((*config.models.default, *config.models.judge)):
        try:
            opened = drivers.open(name)
            if online and isinstance(opened.driver, CanLookUp):
                opened.driver.look_up(opened.name)
        except BotticelliError as error:
            for problem in error.problems:
                yield _error(f"model {name}", problem.what, hint=problem.hint)
        else:
            force = limits_in_force(opened.name, config.models)
            limits = "" if opened.is_free else f"; limits: {force}"
            yield _ok(f"model {name}", f"can be asked through {opened.provider}{limits}")


def check_schedules(config: Config, *, on: date) -> Iterator[Finding]:
    """Yield a warning for each time that the clocks leave out within a year."""
    from botticelli import cron
    from botticelli.schedule.hours import left_out

    for stage, schedule in config.schedules.items():
        times = [time.fromisoformat(at) for at in schedule.at]
        times += cron.times(cron.parse(schedule.cron)) if schedule.cron else []
        for at in times if len(times) <= FEW_TIMES else ():
            if day := left_out(at, schedule.time_zone, on=on):
                what = (
                    f"on {day} the clocks of {schedule.time_zone} never show {at:%H:%M}: systemd"
                    " leaves that round out, cron begins it when they are set"
                )
                hint = "choose a time before that change, or an hour later"
                yield Finding(level="warning", subject=f"{stage}.schedule", what=what, hint=hint)


def check_destinations(config: Config, *, clock: Clock, online: bool) -> Iterator[Finding]:
    """Yield whether each destination has what it needs; `online` asks the platform itself."""
    from botticelli.platforms.discord.open import missing
    from botticelli.platforms.discord.rate_limits import SharedLimits
    from botticelli.platforms.open import open_platform

    limits = SharedLimits(clock)
    for name, destination in config.destinations.items():
        subject = f"destination {name}"
        problems = missing(destination)
        yield from _errors(problems, subject=subject)
        if problems:
            continue
        if not online:
            yield _ok(subject, "has what it needs; --online asks the platform")
            continue
        try:
            complaints = open_platform(destination, clock=clock, limits=limits).check()
        except BotticelliError as error:
            yield from _errors(error.problems, subject=subject)
            continue
        for complaint in complaints:
            yield _error(subject, complaint)
        if not complaints:
            yield _ok(subject, "lets us post")


def check_security(config: Config) -> Iterator[Finding]:
    """Yield the rules for bot commands that are invalid: then no command runs."""
    from botticelli.platforms.rules.security_rules import rules_of_user

    try:
        rules_of_user(config.security)
    except BotticelliError as error:
        yield from _errors(error.problems)


def check_folders(config: Config) -> Iterator[Finding]:
    """Yield whether the folders that are written to can be written to."""
    folders = {
        f"destinations.{name}.folder": place.folder
        for name, place in config.destinations.items()
        if place.platform == "outbox"
    }
    if not config.database.url:
        folders["database.folder"] = config.database.folder
    for key, folder in folders.items():
        if can_write(folder):
            yield _ok(key, f"{folder} can be written to")
        else:
            what = f"{folder} cannot be written to"
            yield _error(key, what, hint="change its owner or the key")


def can_write(folder: Path) -> bool:
    """Return whether `folder` is writable, or can be made below the nearest one that exists."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def check_database(
    database: AbstractContextManager[Connection], config: Config, *, files: Iterable[Path] = ()
) -> Iterator[Finding]:
    """Yield whether the database is there and its schema ours, and what `files` miss in it."""
    from botticelli.store.schema import NothingYet, schema_version

    try:
        with database as conn:
            version = schema_version(conn)
            yield _ok("database", f"reachable, schema version {version}")
            yield from check_tables(files, conn)
            yield from check_channels(conn, config)
    except NothingYet as error:  # as it is before the first run
        yield _ok("database", f"{error.what}; {error.hint}")
    except BotticelliError as error:
        yield from _errors(error.problems, subject="database")


@render.register
def _(report: CheckReport, console: Console) -> None:
    for finding in report.findings:
        text = f"{finding.level:<8} {finding.subject}: {finding.what}"
        console.line(text + (f"; {finding.hint}" if finding.hint else ""), style=_style(finding))
    bad = sum(finding.level == "error" for finding in report.findings)
    console.line()
    console.line(
        f"{bad} to be fixed" if bad else "all is well", style=STYLES["error" if bad else "ok"]
    )


def check_channels(conn: Connection, config: Config) -> Iterator[Finding]:
    """Yield the destinations that would post to another channel than before."""
    from botticelli.store.delivery import channels

    for destination in config.destinations.values():
        try:
            channels.require_same(conn, destination)
        except ConfigError as error:
            yield from _errors(error.problems)


def _style(finding: Finding) -> str:
    return "" if finding.level == "ok" else STYLES[finding.level]
