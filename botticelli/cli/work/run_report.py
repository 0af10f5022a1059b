"""What `botticelli run` did: its report, and what it says beside the answers."""

from collections.abc import Mapping
from decimal import Decimal

from botticelli.cli.shared.spending import spent
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Exit
from botticelli.narrative.run.results import ActResult, Execution, Sink, Stored
from botticelli.records import record


@record
class RanAct:
    """One act that ran. `answer` is what it leaves under its name."""

    narrative: str
    iteration: int
    name: str
    state: str
    answer: str
    model: str | None
    reason: str | None


@record
class RunResult:
    """What a run of a narrative did.

    Args:
        answers: The final answer of each iteration.
        stored: Table -> ids of new rows.
        removed: Consumed rows.
        idle: Whether there was nothing to work on.
    """

    narrative: str
    run_id: int
    answers: tuple[str, ...]
    acts: tuple[RanAct, ...]
    stored: Mapping[str, tuple[int, ...]]
    removed: int
    idle: bool
    failures: tuple[str, ...]
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    exit_code: Exit


class Counting:
    """The sink of a run, with what it has stored so far."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.ids: dict[str, tuple[int, ...]] = {}
        self.removed = 0

    def store(self, execution: Execution) -> Stored:
        """See Sink."""
        stored = self._sink.store(execution)
        for table, ids in stored.ids.items():
            self.ids[table] = (*self.ids.get(table, ()), *ids)
        self.removed += stored.removed
        return stored


def tell(env: Environment, report: RunResult, *, seconds: float) -> None:
    """Tell on stderr what happened beside the answers."""
    for failure in report.failures:
        env.complain(failure)
    if report.idle:
        env.say("nothing to do")
    for table, ids in report.stored.items():
        env.say(f"{len(ids)} rows stored in {table}")
    env.say(
        spent(
            report.calls,
            report.input_tokens,
            report.output_tokens,
            report.cost_usd,
            seconds=seconds,
        )
    )


def finals(execution: Execution) -> tuple[str, ...]:
    """The last answer; of a narrative that only calls others, the last one of each of them."""
    last = next((act for act in reversed(execution.acts) if act.text), None)
    if last is not None and (last.answer or not execution.nested):
        return (last.text,)
    return tuple(answer for nested in execution.nested for answer in finals(nested))


def ran_act(act: ActResult, narrative: str, iteration: int) -> RanAct:
    """Return an act as the report has it."""
    return RanAct(
        narrative=narrative,
        iteration=iteration,
        name=act.name,
        state=act.state,
        answer=act.text,
        model=act.answer.model if act.answer else None,
        reason=act.reason or None,
    )


@render.register
def _(report: RunResult, console: Console) -> None:
    """The answers alone: what is piped on is what the model said."""
    for number, answer in enumerate(report.answers):
        if number:
            console.line()
        console.line(answer)
