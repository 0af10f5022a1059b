"""`botticelli timers`: systemd units and a crontab from the configuration."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.app import app
from botticelli.cli.environment import Environment
from botticelli.config.model import Config, Schedule
from botticelli.errors import UsageError
from botticelli.schedule.units import Plan, crontab, systemd_units

timers = typer.Typer(no_args_is_help=True)
app.add_typer(timers, name="timers")


@timers.callback()
def group() -> None:
    """Write systemd timers or a crontab from the configuration."""


@timers.command()
def render(
    ctx: typer.Context,
    *,
    cron: Annotated[bool, typer.Option("--cron", help="A crontab in place of units.")] = False,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write files there; left out: to stdout.")
    ] = None,
) -> int:
    """Render what wakes the stages on their schedules."""
    env: Environment = ctx.obj
    plans = plans_of(env.config)
    files = {"crontab.example": crontab(plans)} if cron else systemd_units(plans)
    if to is None:
        env.stdout.write(_joined(files))
        return 0
    folder = env.cwd / to
    _write(files, folder)
    env.say(f"{len(files)} files written to {folder}")
    if not cron:
        env.say(
            "next: copy them to /etc/systemd/system; systemctl daemon-reload;"
            " systemctl enable --now botticelli.target"
        )
    return 0


def plans_of(config: Config) -> list[Plan]:
    """Return when each stage is woken, by the configuration."""
    return [
        _plan("generate", "have a model write candidate posts", config.generate.schedule, 5, 360),
        _plan("curate", "have a model judge the candidates", config.curate.schedule, 15, 120),
        _plan("post", "publish the next approved post", config.post.schedule, 2, 20),
    ]


def _plan(stage: str, does: str, schedule: Schedule, *minutes: int) -> Plan:
    first, longest = minutes
    return Plan(
        stage=stage,
        does=does,
        interval=schedule.interval,
        jitter_percent=schedule.jitter_percent,
        first=timedelta(minutes=first),
        longest=timedelta(minutes=longest),
    )


def _joined(files: Mapping[str, str]) -> str:
    if len(files) == 1:
        return "".join(files.values())
    return "\n".join(f"# --- {name}\n{text}" for name, text in files.items())


def _write(files: Mapping[str, str], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write there: {error.strerror}", where=str(folder)) from error
