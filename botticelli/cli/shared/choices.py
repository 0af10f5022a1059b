"""Options that commands share, and completion values; the database is never asked for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Final

import typer

from botticelli.cli.shell.environment import Environment
from botticelli.config.model import STAGES


class View(StrEnum):
    """Which candidates are shown."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


STATUSES: Final[Mapping[View, Sequence[str]]] = {
    View.OPEN: ("changed", "held", "pending"),
    View.APPROVED: ("approved",),
    View.REJECTED: ("rejected",),
}


def stages() -> list[str]:
    """Return the stages, and `all`."""
    return [*STAGES, "all"]


def locks() -> list[str]:
    """Return the locks that there may be."""
    return list(STAGES)


def destinations(ctx: typer.Context) -> list[str]:
    """Return the configured destinations."""
    return list(_environment(ctx).config.destinations)


def models(ctx: typer.Context) -> list[str]:
    """Return the models that are configured or in our table."""
    from botticelli.models.catalogue import CATALOGUE

    models = _environment(ctx).config.models
    return [
        *dict.fromkeys([*models.default, *models.judge, *models.named, *models.aliases, *CATALOGUE])
    ]


def narratives(ctx: typer.Context) -> list[tuple[str, str]]:
    """Return the narratives of the usual folders, as `run` and `generate` take them."""
    from pathlib import Path

    from botticelli.narrative.language.load import shipped_narratives
    from botticelli.reports.narratives import list_narratives

    env = _environment(ctx)
    usual = [*filter(Path.is_dir, env.config.narratives.folders), shipped_narratives()]
    report = list_narratives(usual, folders=usual, cwd=env.cwd)
    return [(each.reference, each.description) for file in report.files for each in file.narratives]


def platforms(ctx: typer.Context) -> list[str]:
    """Return the platforms that have commands."""
    from botticelli.cli.shared.command_guard import descriptions

    return list(descriptions(_environment(ctx)))


def bot_commands(ctx: typer.Context) -> list[str]:
    """Return the commands of the platform that stands before."""
    from botticelli.cli.shared.command_guard import descriptions

    found = descriptions(_environment(ctx)).get(ctx.params["platform"], ())
    return [one.name for one in found]


def _environment(ctx: typer.Context) -> Environment:
    """Return the environment; the root's callback, which takes --config, is not run for Tab."""
    env: Environment = ctx.obj
    env.options = replace(env.options, config=ctx.find_root().params.get("config"))
    return env


Iterations = Annotated[
    int | None,
    typer.Option("--iterations", metavar="N", min=1, help="Number of rounds of the carousel."),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Use this model; repeat for fallbacks.",
        autocompletion=models,
    ),
]
ModelName = Annotated[str, typer.Argument(autocompletion=models)]
StageName = Annotated[str, typer.Argument(autocompletion=stages)]
LockName = Annotated[str, typer.Argument(autocompletion=locks)]
Destination = Annotated[str, typer.Argument(autocompletion=destinations)]
Platform = Annotated[str, typer.Argument(autocompletion=platforms)]
BotCommand = Annotated[str, typer.Argument(autocompletion=bot_commands)]
Narrative = Annotated[str, typer.Argument(autocompletion=narratives)]
ToDestination = Annotated[str | None, typer.Option(autocompletion=destinations)]
WithModel = Annotated[str, typer.Option(autocompletion=models)]
