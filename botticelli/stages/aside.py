"""Work beside a stage's own: a run of curation that is no judging, with what it reports."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from botticelli.errors import Exit
from botticelli.narrative.answers.dry_run import CallsEstimate
from botticelli.narrative.run.context import RunContext
from botticelli.records import record
from botticelli.stages.supervise import supervised
from botticelli.stages.task import RunOutcome
from botticelli.store import runs


@record
class AsideReport(runs.RunUsage):
    """What such a run did.

    Args:
        idle: Why nothing was asked; empty: something was.
        skipped: "paused": nothing was done.
        problems: What still waits, and why, a line each.
    """

    idle: str = ""
    skipped: str = ""
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    exit_code: Exit = Exit.DONE

    @property
    def summary(self) -> Mapping[str, Any]:
        """What is stored with the run beside its usage."""
        return {}


@record
class AsideDryRun(CallsEstimate):
    """What such a run would cost.

    Args:
        cases: What it would be about: lessons, or decisions.
        idle: Why nothing would be asked.
    """

    cases: int
    idle: str = ""
    exit_code: Exit = Exit.DONE


Report = TypeVar("Report", bound=AsideReport)


def run_aside(
    context: RunContext, work: Callable[[RunContext], Report], kind: type[Report]
) -> Report:
    """Do the work as curation's only run, and return its report with what was used.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
        BotticelliError: What the work raised; it is recorded before.
    """
    with supervised("curate", context) as run:
        if run is None:
            return kind(skipped="paused")
        began = context.clock.monotonic()
        made = work(replace(context, run_id=run.id, stop=run.stop))
        error = {"error": made.problems[0]} if made.problems else {}
        used = vars(runs.usage(context.conn, run.id))
        run.outcome = RunOutcome(
            exit_code=made.exit_code,
            summary={**made.summary, **used, "cost_usd": float(used["cost_usd"]), **error},
            threshold=context.config.supervision.failure_threshold,
        )
        return replace(made, seconds=context.clock.monotonic() - began, **used)
