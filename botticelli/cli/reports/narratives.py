"""`botticelli narratives`."""

from pathlib import Path
from typing import Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Listing, render
from botticelli.errors import UsageError
from botticelli.narrative.language.load import shipped_narratives
from botticelli.reports.narratives import NarrativesReport, list_narratives
from botticelli.text import shorten

FOUND: Final[Columns] = {
    "narrative": "reference",
    "acts": lambda one: shorten(" ".join(one.acts), 40),
    "rounds>": "rounds",
    "calls>": lambda one: "-".join(dict.fromkeys([str(one.calls_least), str(one.calls_most)])),
    "stores in": "target",
}


@command()
def narratives(env: Environment, places: list[Path] | None = None) -> NarrativesReport:
    """List narratives and check them for errors.

    Takes:
        places [FILE|DIR]...: Files and folders; by default the configured ones.

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
        if file.narratives:
            render(Listing(name="narratives", rows=file.narratives, columns=FOUND), console)
        console.line()
    if not report.files:
        console.line("no narratives there")
