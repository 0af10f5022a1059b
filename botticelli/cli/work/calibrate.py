"""`botticelli curate --calibrate`."""

from collections.abc import Sequence
from typing import Final

from botticelli.cli.shell.output import Columns, Listing
from botticelli.cli.work.learn import listed
from botticelli.narrative.run.context import RunContext
from botticelli.stages.aside import AsideDryRun
from botticelli.stages.curate.calibrate import calibrate, dry_run_calibrate

JUDGES: Final[Columns] = {
    "judge": "model",
    "prompt": "prompt",
    "scored>": "scored",
    "rank correlation": "rank",
    "weighted kappa": "kappa",
    "cost>": lambda one: f"${one.cost_usd:.4f}" if one.prompt else "",
    "than then": "clearly",
    "problem": "problem",
}


def compare(
    context: RunContext, models: Sequence[str], prompts: Sequence[str], *, dry_run: bool
) -> Listing | AsideDryRun:
    """Compare judges, the best first, or say what it would cost."""
    if dry_run:
        return dry_run_calibrate(context, models=models, prompts=prompts)
    report = calibrate(context, models=models, prompts=prompts)
    better = [f"{one.model} {one.prompt}" for one in report.judges if one.clearly == "better"]
    words = f"better than the one that judged then, beyond chance: {', '.join(better) or 'none'}"
    return listed(report, "judges", JUDGES, f"{report.decisions} decisions of people; {words}")
