"""`botticelli narratives`."""

from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.reports.narratives import Listing, Offer, Offers
from botticelli.text import shorten


@app.command()
def narratives(
    ctx: typer.Context,
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE|DIR]...", help="Where to look; else the usual folders."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """List and validate narratives."""
    from botticelli.narrative.language.load import shipped_narratives
    from botticelli.reports.narratives import listing

    env: Environment = ctx.obj
    named = [env.cwd / place for place in places or ()]
    for place in named:
        if not place.exists():
            raise UsageError(f"there is no {place}", hint="name a narrative file or a folder")
    usual = [*filter(Path.is_dir, env.config.narratives.folders), shipped_narratives()]
    report = listing(named or usual, folders=usual, cwd=env.cwd)
    env.show(report, as_json=as_json)
    return report.exit_code


@render.register
def _(report: Listing, console: Console) -> None:
    for offers in report.files:
        console.line(str(offers.file), style="bold")
        for problem in offers.problems:
            console.line(f"  error: {problem}", style="red")
        for warning in offers.warnings:
            console.line(f"  warning: {warning}", style="yellow")
        _show(offers, console)
        console.line()
    if not report.files:
        console.line("no narratives there")


def _show(offers: Offers, console: Console) -> None:
    if offers.narratives:
        console.table(
            ["narrative", "acts", "rounds", "calls", "stores in"],
            [_row(each) for each in offers.narratives],
            right=["rounds", "calls"],
        )


def _row(offer: Offer) -> list[object]:
    calls = str(offer.calls_most)
    if offer.calls_least != offer.calls_most:
        calls = f"{offer.calls_least}-{offer.calls_most}"
    acts = shorten(" ".join(offer.acts), 40)
    return [offer.reference, acts, offer.rounds, calls, offer.target]
