"""Everything a timer could trip over, found in one go; nothing is changed or published."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import Final, Literal

from botticelli.clock import Clock
from botticelli.config.model import Config, Narratives
from botticelli.errors import BotticelliError, Exit, Problem
from botticelli.records import record
from botticelli.store.connection import Connection

_PLACE: Final = re.compile(r"(.+?:\d+: [^ :]+): ")  # FILE:LINE: KEY, as findings write it

Level = Literal["ok", "warning", "error"]


@record
class Finding:
    """What was looked at and how it is. `subject` is the file, key, variable or place."""

    level: Level
    subject: str
    what: str
    hint: str = field(default="", metadata={"json": "mend"})


@record
class Checked:
    """All findings, in the order of the looking. One error makes the exit code 78."""

    exit_code: int
    findings: tuple[Finding, ...]


def report(findings: Iterable[Finding]) -> Checked:
    """Return the report of these findings."""
    found = tuple(findings)
    bad = any(finding.level == "error" for finding in found)
    return Checked(exit_code=Exit.CONFIG if bad else Exit.DONE, findings=found)


def errors(problems: Iterable[Problem], *, subject: str = "") -> Iterator[Finding]:
    """Yield each problem as an error; `subject` stands in where a problem names no place."""
    for problem in problems:
        where = problem.where or subject
        yield Finding(level="error", subject=where, what=problem.what, hint=problem.hint)


def check_variables(config: Config) -> Iterator[Finding]:
    """Yield the variables that the configuration names and nobody has set."""
    for key, variable in config.unset.items():
        if not key.endswith(".channel"):  # the destination's own check says it better
            hint = f"set {variable}, or give a default: ${{{variable}:-...}}"
            what = f"the variable {variable} is not set"
            yield Finding(level="error", subject=key, what=what, hint=hint)


def check_narratives(config: Config, *, files: Sequence[Path], cwd: Path) -> Iterator[Finding]:
    """Yield what is wrong with the stages' narratives, those in the folders, and `files`."""
    from botticelli.narrative.language.load import find_narrative

    for stage in (config.generate, config.curate):
        try:
            find_narrative(stage.narrative, folders=config.narratives.folders, cwd=cwd)
        except BotticelliError as error:
            yield from errors(error.problems, subject=stage.narrative)
    for path in narrative_files(config, files):
        yield from check_narrative(path, config=config)


def narrative_files(config: Config, files: Sequence[Path]) -> list[Path]:
    """Return `files` and all in the folders of narratives, each once."""
    folders = [folder for folder in config.narratives.folders if folder.is_dir()]
    there = [path for folder in folders for path in sorted(folder.glob("*.toml"))]
    return list(dict.fromkeys([*files, *there]))


def check_narrative(path: Path, *, config: Config | None = None) -> Iterator[Finding]:
    """Yield what is wrong with one narrative file and all that it names, or that it is well."""
    from botticelli.narrative.checks.commands_and_tables import (
        foresee_commands,
        foresee_leave,
        foresee_models,
        foresee_placeholders,
    )
    from botticelli.narrative.checks.references import findings_of, problems_of
    from botticelli.narrative.language.load import load_file

    try:
        file = load_file(path)
    except BotticelliError as error:
        yield from errors(error.problems, subject=str(path))
        return
    narratives, findings = config.narratives if config else Narratives(), findings_of(file)
    foresee_commands(file, writable=narratives.writable_tables, findings=findings)
    foresee_placeholders(file, findings=findings)
    if config:
        foresee_leave(file, config.security, findings=findings)
    if config and not config.models.only:
        foresee_models(file, config.models, findings=findings)
    problems = [*problems_of(file, narratives=narratives, cwd=path.parent), *findings.problems]
    yield from _warnings([*file.warnings, *findings.warnings], path)
    yield from errors(problems, subject=str(path))
    if not problems:
        names = ", ".join(file.narratives)
        yield Finding(level="ok", subject=str(path), what=f"narratives {names}")


def check_tables(paths: Iterable[Path], conn: Connection) -> Iterator[Finding]:
    """Yield the tables and columns that narrative files name and the database does not have."""
    from botticelli.narrative.checks.commands_and_tables import foresee_tables
    from botticelli.narrative.checks.references import findings_of
    from botticelli.narrative.language.load import load_file

    for path in paths:
        try:
            file = load_file(path)
        except BotticelliError:
            continue  # told already
        findings = findings_of(file)
        foresee_tables(file, conn=conn, cwd=path.parent, findings=findings)
        yield from _warnings(findings.warnings, path)
        yield from errors(findings.problems, subject=str(path))


def _warnings(lines: Iterable[str], path: Path) -> Iterator[Finding]:
    for line in lines:
        place = _PLACE.match(line)
        where, what = str(path), line.removeprefix(f"{path}: ")
        if place:
            where, what = place[1], line[place.end() :]
        yield Finding(level="warning", subject=where, what=what)


def check_models(config: Config, *, online: bool) -> Iterator[Finding]:
    """Yield whether the models that write and judge have a way and a key.

    `online` asks a provider that can be asked for nothing; no tokens are spent.
    """
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
                subject = f"model {name}"
                yield Finding(level="error", subject=subject, what=problem.what, hint=problem.hint)
        else:
            what = f"can be asked through {opened.provider}"
            yield Finding(level="ok", subject=f"model {name}", what=what)


def check_destinations(config: Config, *, clock: Clock, online: bool) -> Iterator[Finding]:
    """Yield whether each destination has what it needs; `online` asks the platform itself."""
    from botticelli.platforms.discord.rate_limits import SharedLimits
    from botticelli.platforms.open import missing, open_platform

    limits = SharedLimits(clock)
    for name, destination in config.destinations.items():
        subject = f"destination {name}"
        problems = missing(destination)
        yield from errors(problems, subject=subject)
        if problems:
            continue
        if not online:
            what = "has what it needs; --online asks the platform"
            yield Finding(level="ok", subject=subject, what=what)
            continue
        try:
            complaints = open_platform(destination, clock=clock, limits=limits).check()
        except BotticelliError as error:
            yield from errors(error.problems, subject=subject)
            continue
        for complaint in complaints:
            yield Finding(level="error", subject=subject, what=complaint)
        if not complaints:
            yield Finding(level="ok", subject=subject, what="lets us post")


def check_security(config: Config) -> Iterator[Finding]:
    """Yield what of the rules for bot commands cannot be understood: then nothing runs."""
    from botticelli.platforms.rules.security_rules import rules_of_user

    try:
        rules_of_user(config.security)
    except BotticelliError as error:
        yield from errors(error.problems)


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
            yield Finding(level="ok", subject=key, what=f"{folder} can be written to")
        else:
            what = f"{folder} cannot be written to"
            yield Finding(level="error", subject=key, what=what, hint="change its owner or the key")


def can_write(folder: Path) -> bool:
    """Tell whether `folder` is writable, or can be made below the nearest one that exists."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def check_database(
    database: AbstractContextManager[Connection], *, files: Iterable[Path] = ()
) -> Iterator[Finding]:
    """Yield whether the database is there and its schema ours, and what `files` miss in it."""
    from botticelli.store.schema import schema_version

    try:
        with database as conn:
            version = schema_version(conn)
            yield Finding(
                level="ok", subject="database", what=f"reachable, schema version {version}"
            )
            yield from check_tables(files, conn)
    except BotticelliError as error:
        yield from errors(error.problems, subject="database")
