"""`botticelli curate --calibrate`."""

from collections.abc import Sequence

from botticelli.cli.shared.stage_run import idle_words, priced, spent
from botticelli.cli.shell.output import Console, render
from botticelli.narrative.run.context import RunContext
from botticelli.stages.curate.calibrate import (
    CalibrateDryRun,
    CalibrateReport,
    JudgeTrialResult,
    calibrate,
    dry_run_calibrate,
)
from botticelli.text import counted


def compare(
    context: RunContext, models: Sequence[str], prompts: Sequence[str], *, dry_run: bool
) -> CalibrateReport | CalibrateDryRun:
    """Compare judges, or say what it would cost."""
    work = dry_run_calibrate if dry_run else calibrate
    return work(context, models=models, prompts=prompts)


@render.register
def _(report: CalibrateReport, console: Console) -> None:
    if report.skipped or report.idle:
        why = idle_words("curate", report.skipped) if report.skipped else report.idle
        console.line(f"nothing done: {why}")
        return
    console.table(
        ["judge", "prompt", "scored", "rank correlation", "weighted kappa", "cost", "than then"],
        [_row(one) for one in report.judges],
        title=f"{counted(report.decisions, 'decision')} of people, judged again; the best first",
        right=("scored", "cost"),
    )
    for one in report.judges:
        if one.problem:
            console.line(f"{one.model}, {one.prompt}: {one.problem}", style="yellow")
    if not any(one.clearly == "better" for one in report.judges):
        console.line("none is better than the one that judged then, beyond chance")
    console.line("  " + spent(report, seconds=report.seconds))


def _row(one: JudgeTrialResult) -> tuple[object, ...]:
    cost = f"${one.cost_usd:.4f}" if one.prompt else ""
    return one.model, one.prompt, one.scored, one.rank, one.kappa, cost, one.clearly


@render.register
def _(report: CalibrateDryRun, console: Console) -> None:
    judges, decisions = counted(report.judges, "judge"), counted(report.decisions, "decision")
    console.line(report.idle or f"{judges}, {decisions}", style="bold")
    if not report.idle:
        console.line("  " + priced(report))
