"""`botticelli curate`."""

from typing import Annotated

import typer

from botticelli.cli.shared.hooks import telling
from botticelli.cli.shared.jitter import Jitter, wait_at_random
from botticelli.cli.shared.runners import progress, run_context
from botticelli.cli.shared.spending import priced, spent
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.stages.curate.dry_run import CurateDryRun, dry_run_curate
from botticelli.stages.curate.stage import CurateReport
from botticelli.stages.curate.stage import curate as run_curate
from botticelli.text import counted


@app.command()
def curate(
    ctx: typer.Context,
    *,
    drain: Annotated[
        bool, typer.Option("--drain", help="Judge until nothing is pending; else as configured.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell batches, calls and cents; spend nothing.")
    ] = False,
    jitter: Jitter = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Have a model judge the candidates and approve the best few."""
    env: Environment = ctx.obj
    drain = drain or env.config.curate.drain
    report: CurateReport | CurateDryRun
    wait_at_random(env, jitter)
    with telling(env, "curate", silent=dry_run), env.database() as conn:
        if dry_run:
            report = dry_run_curate(run_context(env, conn), drain=drain)
        else:
            env.keep_apart(conn)
            with progress(env, "judged") as show:
                report = run_curate(run_context(env, conn), drain=drain, watch=show)
            _complain(env, report)
    env.show(report, as_json=as_json)
    return report.exit_code


def _complain(env: Environment, report: CurateReport) -> None:
    """Tell on stderr what went wrong: a timer's log is read there."""
    for id_, why in report.missing.items():
        env.complain(f"candidate {id_}: {why}")
    if report.reason:
        env.complain(f"curate: {report.reason}; {report.pending} candidates still wait")


@render.register
def _(report: CurateReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: the curate stage is {report.skipped}")
        return
    if not (report.judged or report.set_aside or report.approved or report.proposed):
        console.line("nothing to do: no candidate is pending")
        return
    console.line(
        f"{report.judged} judged, {len(report.approved)} approved, {report.rejected} rejected",
        style="bold",
    )
    _show_choice(report, console)
    if report.set_aside:
        console.line(f"  {report.set_aside} rejected unjudged: no text, or a repeat")
    for id_, why in report.missing.items():
        console.line(f"  candidate {id_}: {why}", style="yellow")
    if report.pending:
        console.line(f"  {report.pending} still wait for the judge")
    console.line(
        "  "
        + spent(
            report.calls,
            report.input_tokens,
            report.output_tokens,
            report.cost_usd,
            seconds=report.seconds,
        )
    )


def _show_choice(report: CurateReport, console: Console) -> None:
    for one in report.approved:
        console.line(f"  approved {one.id} with {one.score:g} of 50: {one.preview}", style="green")
    for one in report.proposed:
        console.line(f"  proposed {one.id} with {one.score:g} of 50: {one.preview}", style="cyan")
    if report.proposed:
        console.line("  a person approves: botticelli review")
    if report.ranked:
        console.line(f"  {report.ranked} with the same total were put in order by the judge")
    if report.reserved:
        console.line(f"  {report.reserved} kept in reserve")


@render.register
def _(report: CurateDryRun, console: Console) -> None:
    candidates = counted(report.candidates, "candidate")
    batches = counted(report.batches, "batch", "batches")
    console.line(f"{candidates} in {batches}", style="bold")
    console.line(
        "  "
        + priced(
            report.calls,
            report.input_tokens,
            report.output_tokens,
            report.cents,
            models=report.models,
        )
    )
