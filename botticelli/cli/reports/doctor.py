"""`botticelli doctor`."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Annotated, Final

import typer

from botticelli.cli.setup.timer_install import TimersReport, installer
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.model import Config
from botticelli.config.operations import Hooks, StageHooks
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError, Unavailable
from botticelli.reports import doctor as looks
from botticelli.reports import places
from botticelli.reports.diagnosis import (
    Diagnosis,
    Examination,
    Look,
    examine,
    fault,
    faults,
    fine,
    unknown,
    warning,
)
from botticelli.text import counted

STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "bold red", "not checked": "dim"}
WORST: Final = ("fault", "warning")
INDENT: Final = 13

# What may wake the stages here -> the options of `botticelli timers` that mean it.
KINDS: Final = {"system": "", "user": " --user", "cron": " --cron"}


@app.command()
def doctor(
    ctx: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Look whether everything works here, and say how to fix it."""
    env: Environment = ctx.obj
    try:
        looking = _looks(env, env.config)
    except ConfigError as error:
        report = Examination(
            exit_code=error.exit_code, findings=tuple(faults("configuration", error))
        )
    else:
        report = examine(looking, clock=env.clock)
    env.show(report, as_json=as_json)
    return report.exit_code


def _looks(env: Environment, config: Config) -> dict[str, Look]:
    from botticelli.config.hiding import SHORTEST, secrets_of

    guarded = replace(config, hooks=_addresses_of(config.hooks))
    known = [secret for secret in secrets_of(guarded) if len(secret) >= SHORTEST]
    found: dict[str, Look] = {
        "database": partial(_database, env, config),
        "timers": partial(_timers, env),
    }
    if env.options.offline:
        found["network"] = lambda: [unknown("models, destinations", "--offline asks nobody")]
    else:
        found["models"] = partial(looks.models, config)
        for name, place in config.destinations.items():
            found[f"destination {name}"] = partial(looks.destination, place, clock=env.clock)
    found["disk"] = partial(places.disk, config)
    found["secrets"] = partial(
        places.secrets, config, environ=env.environ, cwd=env.cwd, known=known
    )
    return found


def _addresses_of(hooks: Hooks) -> Hooks:
    """Return the hooks without their commands, which are no secrets in a file of settings."""

    def kept(targets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        return tuple(one for one in targets if "://" in one.reveal())

    def addresses(told: StageHooks) -> StageHooks:
        return replace(
            told,
            on_failure=kept(told.on_failure),
            on_success=kept(told.on_success),
            on_breaker_open=kept(told.on_breaker_open),
            on_empty_queue=kept(told.on_empty_queue),
        )

    return replace(
        hooks,
        every=addresses(hooks.every),
        generate=addresses(hooks.generate),
        curate=addresses(hooks.curate),
        post=addresses(hooks.post),
    )


def _database(env: Environment, config: Config) -> Iterator[Diagnosis]:
    """Yield how the database is. Our own server is looked at only if it runs."""
    from botticelli.store.connection import place_of

    place = place_of(config.database.url)
    if not config.database.url:
        status = env.embedded.status()
        place = str(status.folder)
        if not status.running:
            yield fine("database", f"our own PostgreSQL in {place}: the next command starts it")
            what = "schema, stages, leftovers, quota"
            yield unknown(what, "the database is not running", hint="botticelli db start")
            return
    yield from looks.database(
        lambda: closing(env.connect()), place=place, config=config, clock=env.clock
    )


def _timers(env: Environment) -> Iterator[Diagnosis]:
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


def _installed(report: TimersReport) -> Iterator[Diagnosis]:
    hint = f"botticelli timers install{KINDS[report.kind]}"
    dead = [timer.name for timer in report.timers if not (timer.installed and timer.armed)]
    old = [timer.name for timer in report.timers if timer.armed and not timer.current]
    if dead:
        yield fault("timers", f"{report.kind}: not armed: {', '.join(dead)}", hint=hint)
    if old:
        what = f"{report.kind}: not what the configuration says: {', '.join(old)}"
        yield warning("timers", what, hint=hint)
    if not dead and not old:
        names = ", ".join(timer.name for timer in report.timers)
        yield fine("timers", f"{report.kind}: armed: {names}")


@render.register
def _(report: Examination, console: Console) -> None:
    width = console.rich.width if console.is_terminal else 0
    numbers = Counter[str](each.level for each in report.findings)
    for each in report.findings:
        text = f"{each.level:<{INDENT - 1}} {each.subject}: {each.what}"
        style = "" if each.level == "ok" else STYLES[each.level]
        for line in _wrapped(text, width):
            console.line(line, style=style)
        if each.hint:
            for line in _wrapped(f"{'':<{INDENT}}fix: {each.hint}", width):
                console.line(line)
    console.line()
    worst = next((level for level in WORST if numbers[level]), "ok")
    console.line(_verdict(numbers), style=STYLES[worst])


def _wrapped(text: str, width: int) -> list[str]:
    if not width:
        return [text]
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=" " * INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _verdict(numbers: Mapping[str, int]) -> str:
    parts = [counted(numbers[level], level) for level in WORST if numbers[level]]
    if numbers["not checked"]:
        parts.append(f"{numbers['not checked']} not checked")
    return ", ".join(parts) or "all is well"
