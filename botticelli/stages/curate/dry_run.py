"""What `curate` would judge and cost: each batch is walked through, nothing is asked."""

from typing import Final

from botticelli.errors import Exit
from botticelli.narrative.answers.dry_run import estimate
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.records import record
from botticelli.stages.curate.judge import TABLE, bound, find_judge, rows
from botticelli.store.curation import judging

OUTPUT_TOKENS: Final = 200  # of the judge for one candidate: reasons with quotes, scores, a note


@record
class CurateDryRun:
    """What a curate run would cost.

    Args:
        cents: US cents, by the price table; None if a price is not known.
    """

    candidates: int
    batches: int
    calls: int
    input_tokens: int
    output_tokens: int
    cents: float | None
    models: tuple[str, ...]
    exit_code: Exit = Exit.DONE


def dry_run_curate(context: RunContext, *, drain: bool) -> CurateDryRun:
    """Return what `curate` would judge and cost. Nothing is spent, written, claimed or locked."""
    file, narrative = find_judge(context)
    size = context.config.curate.batch
    waiting = judging.peek_waiting(context.conn, limit=None if drain else size)
    options = RunOptions(models=context.config.models.judge)
    runner, caller = dry_runner(context, file, options=options)
    batches = [waiting[start : start + size] for start in range(0, len(waiting), size)]
    for group in batches:
        caller.typical_output = len(group) * OUTPUT_TOKENS
        runner.run(bound(narrative, group), tables={TABLE: rows(group)})
    return CurateDryRun(
        candidates=len(waiting),
        batches=len(batches),
        **vars(estimate(caller.calls)),
    )
