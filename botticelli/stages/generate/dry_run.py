"""What `generate` would do and cost: every narrative is walked through, nothing is asked."""

from botticelli.errors import Exit
from botticelli.narrative.answers.dry_run import PlannedCall, estimate, expected_tokens
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.records import record
from botticelli.stages.generate.plan import (
    GenerateRequest,
    iterations_of,
    plan_items,
    recent_posts,
    reference_of,
    why_not_due,
)
from botticelli.store.generation import batches


@record
class GenerateDryRun:
    """What a generate run would cost; estimates, high rather than low.

    Args:
        resumed: An unfinished batch would be finished.
        cents: US cents; None if the price of a model is not known.
        not_due: Why nothing would be done yet; empty: it would.
    """

    narrative: str
    resumed: bool
    items: int
    calls: int
    input_tokens: int
    output_tokens: int
    cents: float | None
    models: tuple[str, ...]
    not_due: str = ""
    exit_code: Exit = Exit.DONE


def dry_run_generate(context: RunContext, *, request: GenerateRequest) -> GenerateDryRun:
    """Return what `generate` would do and cost. Nothing is spent, written or locked.

    Each narrative is walked through once, and counted as often as it would be run.
    """
    file, narrative = context.find(request.narrative or context.config.generate.narrative)
    name = reference_of(file, narrative)
    batch = None if request.fresh else batches.peek_open(context.conn, name)
    iterations = iterations_of(
        narrative, asked=request.iterations, configured=context.config.generate.iterations
    )
    planned: dict[str, int] = {}
    if batch is None:
        for key, _ in plan_items(file, narrative, iterations=iterations):
            planned[key] = planned.get(key, 0) + 1
    else:
        planned = {one.narrative: one.items for one in batches.list_waiting(context.conn, batch.id)}
    options = RunOptions(
        models=context.config.models.default,
        only=request.models,
        variables={"recent_posts": recent_posts(context.conn), "iteration": "1"},
    )
    runner, caller = dry_runner(context, file, options=options)
    calls: list[PlannedCall] = []
    at_least = expected_tokens(narrative, iterations) if batch is None else 0
    for key, times in planned.items():
        before = len(caller.calls)
        runner.run(file.narratives[key])
        calls += caller.calls[before:] * times
    return GenerateDryRun(
        narrative=name,
        resumed=batch is not None,
        items=sum(planned.values()),
        **vars(estimate(calls, at_least=at_least)),
        not_due=why_not_due(context, name, request=request) if batch is None else "",
    )
