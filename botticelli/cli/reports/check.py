"""`botticelli check`: everything a timer could trip over; nothing is changed or published."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from botticelli.cli.reports import starts
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.addresses import trust_line
from botticelli.config.keys import NOTHING
from botticelli.config.model import STAGES, Config
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.narrative.checks.narrative_file import fillers_of_project, missing_words
from botticelli.platforms.open import folders_of
from botticelli.records import record
from botticelli.reports import outside
from botticelli.reports.findings import Finding, Level, fault, faults, faults_of, fine, warning
from botticelli.store.connection import Connection

STYLES: Final = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}
WORDS: Final[Mapping[str, Level]] = {"fault": "error", "unset": "error", "not checked": "note"}
FEW_TIMES: Final = 4  # a day; with more of them one that the clocks leave out is no loss
_POSITION: Final = re.compile(r"(.+?:\d+: [^ :]+): ")  # FILE:LINE: KEY, as findings write it


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
    found = _findings(env, paths, online=online)
    findings = tuple(map(_worded, found))
    bad = any(finding.level == "error" for finding in findings)
    return CheckReport(exit_code=Exit.CONFIG if bad else Exit.DONE, findings=findings)


def _worded(found: Finding) -> Finding:
    """Return a finding with the level that `check` calls it."""
    return replace(found, level=WORDS.get(found.level, found.level))


def _findings(env: Environment, files: list[Path], *, online: bool) -> Iterator[Finding]:
    try:
        config = env.config
    except ConfigError as error:
        yield from faults_of(error, fallback="configuration")
        for file in files:
            yield from check_narrative(file, environ=env.environ)
        return
    names = tuple(map(str, files))
    for each in dict.fromkeys(_all_findings(env, config, files, online=online)):
        if not names or each.subject.startswith(names):
            yield each
        elif _worded(each).level == "error":  # what else is wrong is a note
            yield replace(each, level="note")


def _all_findings(
    env: Environment, config: Config, files: list[Path], *, online: bool
) -> Iterator[Finding]:
    project = f"project {config.project.name}, {config.source}"
    source = project if config.source else "no botticelli.toml: shipped defaults"
    yield fine("configuration", source)
    yield from check_variables(config)
    yield from faults(fillers_of_project(config.source, env.environ))
    found = starts.look(env)
    for problems in found.problems.values():
        yield from faults(problems)
    paths = narrative_files(config, [*files, *(each.path for each in found.files)])
    words = missing_words(found.files, config, environ=env.environ, cwd=env.cwd)
    yield from (warning(each.where, each.what, hint=each.hint) for each in words)
    for path in paths:
        yield from check_narrative(path, config=config, environ=env.environ)
    yield from check_trust(env, paths)
    names = [*config.models.default, *config.models.judge, *found.models(*STAGES)]
    yield from outside.models(names, config, clock=env.clock, online=online)
    yield from check_schedules(config, on=env.clock.now().date())
    yield from outside.rules(config, clock=env.clock)
    allowed = replace(config, hooks=env.hooks)
    yield from outside.hooks(allowed, environ=env.environ, online=online)
    for place in config.destinations.values():
        yield from outside.destination(place, clock=env.clock, online=online)
    yield from check_security(config)
    yield from check_folders(config)
    yield from check_database(env, paths)


def check_variables(config: Config) -> Iterator[Finding]:
    """Yield an error for each variable that the configuration names and that is not set."""
    for key, variable in config.unset.items():
        if not key.endswith(".channel"):  # the destination's own check says it better
            hint = f"set {variable}, or give a default: ${{{variable}:-...}}"
            yield fault(key, f"the variable {variable} is not set", hint=hint)


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
        yield from map(_worded, faults_of(error, fallback=str(path)))
        return
    findings = check_file(file, config, cwd=path.parent, environ=environ)
    yield from _warnings([*file.warnings, *findings.warnings], path)
    yield from map(_worded, faults(findings.problems))
    if not findings.problems:
        names = ", ".join(file.narratives)
        yield fine(str(path), f"narratives {names}")


def check_trust(env: Environment, paths: Iterable[Path]) -> Iterator[Finding]:
    """Yield what the project and its narratives ask for, and whether the user has said yes."""
    from botticelli.cli.shared.command_guard import rights, variables
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
        asks, is_trusted = granted.judge(file, resolve)
        yield _asked(str(path), str(asks), untrusted=None if is_trusted else path)
        for name in asks.environment:
            try:
                visible.refuse(name)
            except ConfigError as error:
                yield fault(f"{path}: {name}", error.what, hint=error.hint)


def _asked(subject: str, what: str, *, untrusted: Path | None) -> Finding:
    if untrusted is None:
        return fine(subject, f"asks for {what}")
    hint = f"if it is right: {trust_line(untrusted)}"
    what = f"is not trusted, and asks for {what}"
    return warning(subject, what, hint=hint)


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
        yield from faults(findings.problems)


def _warnings(lines: Iterable[str], path: Path) -> Iterator[Finding]:
    for line in lines:
        position = _POSITION.match(line)
        where, what = str(path), line.removeprefix(f"{path}: ")
        if position:
            where, what = position[1], line[position.end() :]
        yield warning(where, what)


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
                yield warning(f"{stage}.schedule", what, hint=hint)


def check_security(config: Config) -> Iterator[Finding]:
    """Yield the rules for bot commands that are invalid: then no command runs."""
    from botticelli.platforms.rules.security_rules import rules_of_user

    try:
        rules_of_user(config.security)
    except BotticelliError as error:
        yield from faults_of(error)


def check_folders(config: Config) -> Iterator[Finding]:
    """Yield whether the folders that are written to can be written to."""
    folders = folders_of(config)
    if not config.database.url:
        folders["database.folder"] = config.database.folder
    for key, folder in folders.items():
        # One that is missing can be made below the nearest one that exists.
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            yield fine(key, f"{folder} can be written to")
        else:
            what = f"{folder} cannot be written to"
            yield fault(key, what, hint="change its owner or the key")


def check_database(env: Environment, files: Iterable[Path]) -> Iterator[Finding]:
    """Yield whether the database is there and its schema ours, and what `files` miss in it."""
    from botticelli.store.projects import admit
    from botticelli.store.schema import NothingYet, schema_version

    try:
        with env.database() as conn:
            yield fine("database", f"reachable, schema version {schema_version(conn)}")
            admit(conn, env.config, writes=True, is_dry=True)
            yield from check_tables(files, conn)
            yield from outside.changed_channels(conn, env.config)
            found = starts.look(env, conn)
            for problems in found.problems.values():
                yield from faults(problems)
            yield from faults(starts.never_sent(found))
    except NothingYet as error:  # as it is before the first run
        yield fine("database", f"{error.what}; {error.hint}")
    except BotticelliError as error:
        yield from faults_of(error, fallback="database")


@render.register
def _(report: CheckReport, console: Console) -> None:
    for finding in report.findings:
        text = f"{finding.level:<8} {finding.subject}: {finding.what}"
        style = "" if finding.level == "ok" else STYLES[finding.level]
        console.line(text + (f"; {finding.hint}" if finding.hint else ""), style=style)
    bad = sum(finding.level == "error" for finding in report.findings)
    console.line()
    console.line(
        f"{bad} to be fixed" if bad else "all is well", style=STYLES["error" if bad else "ok"]
    )
