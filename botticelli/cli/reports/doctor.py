"""`botticelli doctor`."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from botticelli.cli.reports import starts
from botticelli.cli.setup.timer_install import TimersReport
from botticelli.cli.setup.timers import installer
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.clock import Clock
from botticelli.config.model import STAGES, Config, Destination
from botticelli.config.operations import Hooks, StageHooks
from botticelli.errors import ConfigError, Exit, Unavailable
from botticelli.narrative.checks.narrative_file import fillers_of_project
from botticelli.platforms.open import folders_of
from botticelli.records import record
from botticelli.reports import doctor as checks
from botticelli.reports import outside
from botticelli.reports.findings import (
    Check,
    Finding,
    examine,
    fault,
    faults,
    faults_of,
    fine,
    unknown,
    warning,
)
from botticelli.text import counted

STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "bold red", "not checked": "dim"}
WORST: Final = ("fault", "warning")
INDENT: Final = 13

START: Final = "botticelli db start"
CREDENTIALS: Final = Path("/etc/botticelli/credentials")
FULL_SHARE: Final = 0.1  # of what `health` calls little: next to nothing
LONGEST: Final = 100_000  # characters of a file in which secrets are looked for
OTHERS: Final = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP

# What may wake the stages here -> the options of `botticelli timers` that mean it.
KINDS: Final = {"system": "", "user": " --user", "cron": " --cron"}


@record
class DoctorReport:
    """All that was found, in the order of the checks; the highest exit code is the command's."""

    exit_code: Exit
    findings: tuple[Finding, ...]


@command()
def doctor(env: Environment) -> DoctorReport:
    """Find what does not work here and how to fix it.

    Examples:
        botticelli doctor
        botticelli doctor --offline   # without models and platforms
    """
    try:
        found = examine(_checks(env, env.config), clock=env.clock)
    except ConfigError as error:
        found = tuple(faults_of(error, subject="configuration"))
    findings = tuple(  # what this process was not given, a stage's own may have
        replace(each, level="not checked", exit_code=Exit.DONE) if each.level == "unset" else each
        for each in dict.fromkeys(found)
    )
    worst = max((each.exit_code for each in findings), default=Exit.DONE)
    return DoctorReport(exit_code=worst, findings=findings)


def _checks(env: Environment, config: Config) -> dict[str, Check]:
    from botticelli.config.hiding import SHORTEST, secrets_of

    # A hook that is a command is no secret in a file of settings.
    addresses = (each for _, each in config.hooks.targets() if "://" in each)
    hooks = StageHooks(on_failure=tuple(addresses))
    guarded = replace(config, hooks=Hooks(every=hooks))
    known = [secret for secret in secrets_of(guarded) if len(secret) >= SHORTEST]
    found: dict[str, Check] = {
        "database": partial(_database, env, config),
        "timers": partial(_timers, env),
    }
    if env.options.offline:
        found["network"] = lambda: [unknown("models, destinations", "not checked with --offline")]
    else:
        found["models"] = partial(_models, env)
        for name, place in config.destinations.items():
            asked = partial(_destination, place, clock=env.clock)
            found[f"destination {name}"] = asked
    found["start"] = partial(_starts, env)
    found["disk"] = partial(_disk, config)
    found["secrets"] = partial(_secrets, config, environ=env.environ, cwd=env.cwd, known=known)
    return found


def _starts(env: Environment) -> Iterator[Finding]:
    """Yield what keeps the stages from starting, but for models and destinations."""
    for stage, problems in starts.look(env).problems.items():
        yield from faults(problems, subject=f"start of {stage}")
    yield from faults(fillers_of_project(env.config.source, env.environ))
    yield from outside.rules(env.config, clock=env.clock)
    allowed = replace(env.config, hooks=env.hooks)
    yield from outside.hooks(allowed, environ=env.environ, online=not env.options.offline)


def _models(env: Environment) -> Iterator[Finding]:
    """Yield whether the models of all stages know our key and are served."""
    known = env.config.models
    names = [*known.default, *known.judge, *starts.look(env).models(*STAGES)]
    yield from outside.models(names, env.config, clock=env.clock, online=True)


def _destination(place: Destination, *, clock: Clock) -> Iterator[Finding]:
    """Yield the same under one subject, and nothing twice."""
    for each in outside.destination(place, clock=clock, online=True):
        is_key = each.subject.startswith("destinations.")
        yield replace(each, subject=f"destination {place.name}") if is_key else each


def _database(env: Environment, config: Config) -> Iterator[Finding]:
    """Yield the state of the database. The embedded server is checked only if it runs."""
    from botticelli.store.connection import place_of
    from botticelli.store.schema import NothingYet

    place = place_of(config.database.url)
    if not config.database.url:
        _ = env.project
        status = env.embedded.status()
        place = str(status.folder)
        if status.pid and not status.running:
            what = f"the server (process {status.pid}) in {place} does not answer"
            yield fault("database", f"{what}: it recovers, or its socket was removed", hint=START)
            return
        if not status.running:
            yield fine("database", f"embedded PostgreSQL in {place}: the next command starts it")
            what = "schema, stages, leftovers, quota"
            yield unknown(what, "the database is not running", hint=START)
            return
        try:
            env.database_url()
        except NothingYet as error:
            yield warning("schema", error.what, hint=error.hint)
            return
    yield from checks.database(
        lambda: closing(env.connect()), place=place, config=config, clock=env.clock
    )


def _timers(env: Environment) -> Iterator[Finding]:
    """Yield whether something wakes the stages on this machine."""
    found, hindrances = [], []
    for kind in KINDS:
        try:
            report = installer(env, cron=kind == "cron", user=kind == "user").status()
        except Unavailable as error:
            hindrances.append(error)
            continue
        if any(timer.installed for timer in report.timers):
            found.append(report)
    if len(hindrances) == len(KINDS):
        yield unknown("timers", "neither systemd nor cron answers here")
    elif not found:
        what = "nothing wakes the stages on this machine"
        yield warning("timers", what, hint="botticelli timers install")
    for report in found:
        yield from _installed(report)
    for report in found[1:]:
        what = f"the stages are woken by {report.kind} timers, too"
        yield warning("timers", what, hint=f"botticelli timers remove{KINDS[report.kind]}")


def _installed(report: TimersReport) -> Iterator[Finding]:
    hint = f"botticelli timers install{KINDS[report.kind]}"
    dead = [timer.name for timer in report.timers if not (timer.installed and timer.armed)]
    old = [timer.name for timer in report.timers if timer.armed and not timer.current]
    if dead:
        yield fault("timers", f"{report.kind}: not active: {', '.join(dead)}", hint=hint)
    if old:
        what = f"{report.kind}: not what the configuration says: {', '.join(old)}"
        yield warning("timers", what, hint=hint)
    if not dead and not old:
        names = ", ".join(timer.name for timer in report.timers)
        yield fine("timers", f"{report.kind}: active: {names}")


def _disk(config: Config) -> Iterator[Finding]:
    """Yield how much room there is where posts and our own database are written."""
    folders = list(folders_of(config).values())
    if not config.database.url:
        folders.insert(0, config.database.folder)
    found: dict[int, Path] = {}  # one folder for each disk
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        found.setdefault(there.stat().st_dev, there)
    yield from (_room(each, little=config.health.disk_free_mb) for each in found.values())


def _room(folder: Path, *, little: float) -> Finding:
    """Return how full a disk is; `little` is in megabytes."""
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize / 1_000_000
    hint = f"df -h {folder}"
    if facts.f_files and not facts.f_favail:
        return fault("disk", f"no more files can be created in {folder}", hint=hint)
    size = f"{free / 1000:.1f} GB" if free >= 1000 else f"{free:.0f} MB"
    what = f"{size} free at {folder}"
    if free < little * FULL_SHARE:
        return fault("disk", what, hint=hint)
    if free < little:
        return warning("disk", f"{what}; db prune, or more room, soon", hint=hint)
    return fine("disk", what)


def _secrets(
    config: Config, *, environ: Mapping[str, str], cwd: Path, known: Sequence[str]
) -> Iterator[Finding]:
    """Yield which files with secrets others may read; `known` are the secrets themselves."""
    seen = 0
    files = _files_with_secrets(config, environ=environ, cwd=cwd, known=known)
    for path in dict.fromkeys(files):
        mode = _mode(path)
        if mode is None:
            continue
        seen += 1
        if mode & OTHERS:
            # The services' own user has to read the settings: there the secret has to go.
            is_settings = path == config.source
            what = f"{path} can be read or changed by others ({stat.S_IMODE(mode):04o})"
            hint = "keep secrets in .env or credentials, and write ${NAME} there"
            yield warning("secrets", what, hint=hint if is_settings else f"chmod 600 {path}")
            seen -= 1
    folder = config.database.folder
    if not config.database.url and (_mode(folder) or 0) & (OTHERS | stat.S_IXOTH):
        yield warning("secrets", f"{folder} is open to others", hint=f"chmod 700 {folder}")
    if seen:
        yield fine("secrets", f"{counted(seen, 'file')}, readable only by this user")


def _files_with_secrets(
    config: Config, *, environ: Mapping[str, str], cwd: Path, known: Sequence[str]
) -> Iterator[Path]:
    yield (config.source.parent if config.source else cwd) / ".env"
    named = (Path(path) for name, path in environ.items() if name.endswith("_FILE") and path)
    yield from (path for path in named if _holds(path, known))
    for folder in (environ.get("CREDENTIALS_DIRECTORY"), CREDENTIALS):
        if folder and os.access(folder, os.R_OK | os.X_OK):
            yield from sorted(path for path in Path(folder).iterdir() if path.is_file())
    if config.source and _holds(config.source, known):
        yield config.source


def _holds(path: Path, known: Sequence[str]) -> bool:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(LONGEST)
    except OSError:
        return False
    return any(secret in text for secret in known)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        return None


@render.register
def _(report: DoctorReport, console: Console) -> None:
    numbers = Counter[str](each.level for each in report.findings)
    for each in report.findings:
        text = f"{each.level:<{INDENT - 1}} {each.subject}: {each.what}"
        style = "" if each.level == "ok" else STYLES[each.level]
        console.line(text, style=style, indent=INDENT)
        if each.hint:
            console.line(f"{'':<{INDENT}}fix: {each.hint}", indent=INDENT)
    console.line()
    bad = [level for level in WORST if numbers[level]]
    parts = [counted(numbers[level], level) for level in bad]
    if numbers["not checked"]:
        parts.append(f"{numbers['not checked']} not checked")
    console.line(", ".join(parts) or "all is well", style=STYLES[(bad or ["ok"])[0]])
