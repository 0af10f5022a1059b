"""`botticelli narratives`."""

from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.narrative.language.load import shipped_narratives
from botticelli.reports.narratives import (
    ListedFile,
    ListedNarrative,
    NarrativesReport,
    list_narratives,
)
from botticelli.text import shorten


@command()
def narratives(
    env: Environment,
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE|DIR]...", help="Files and folders; by default the configured ones."
        ),
    ] = None,
) -> NarrativesReport:
    """List narratives and check them for errors.

    Examples:
        botticelli narratives
        botticelli narratives drafts/new_posts.toml
    """
    named = [env.cwd / place for place in places or ()]
    for place in named:
        if not place.exists():
            raise UsageError(f"there is no {place}", hint="name a narrative file or a folder")
    usual = [*filter(Path.is_dir, env.config.narratives.folders), shipped_narratives()]
    return list_narratives(named or usual, folders=usual, cwd=env.cwd)


@render.register
def _(report: NarrativesReport, console: Console) -> None:
    for file in report.files:
        console.line(str(file.file), style="bold")
        for problem in file.problems:
            console.line(f"  error: {problem}", style="red")
        for warning in file.warnings:
            console.line(f"  warning: {warning}", style="yellow")
        _show(file, console)
        console.line()
    if not report.files:
        console.line("no narratives there")


def _show(file: ListedFile, console: Console) -> None:
    if file.narratives:
        console.table(
            ["narrative", "acts", "rounds", "calls", "stores in"],
            [_row(each) for each in file.narratives],
            right=["rounds", "calls"],
        )


def _row(narrative: ListedNarrative) -> list[object]:
    calls = str(narrative.calls_most)
    if narrative.calls_least != narrative.calls_most:
        calls = f"{narrative.calls_least}-{narrative.calls_most}"
    acts = shorten(" ".join(narrative.acts), 40)
    return [narrative.reference, acts, narrative.rounds, calls, narrative.target]
