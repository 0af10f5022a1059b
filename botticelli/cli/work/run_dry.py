"""`botticelli run --dry-run`: every prompt and call, without asking, sending or writing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botticelli.cli.shared.spending import priced
from botticelli.cli.shell.output import Console, render
from botticelli.narrative.answers.dry_run import CallsEstimate
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.records import record

if TYPE_CHECKING:
    from botticelli.narrative.commands.base import CommandCall, Commands
    from botticelli.narrative.run.context import RunContext


@record
class PlannedPrompt:
    """A call as it would be made. In later rounds only what earlier answers say differs."""

    narrative: str
    act: str
    model: str
    prompt: str
    input_tokens: int


@record
class PlannedCommand:
    """A command as it would be run; placeholders without a value yet stay as they are."""

    name: str
    args: Mapping[str, Any]


@record
class NarrativeDryRun(CallsEstimate):
    """What a run would do. `prompts`: one for each act that would ask, from its first round."""

    narrative: str
    prompts: tuple[PlannedPrompt, ...]
    commands: tuple[PlannedCommand, ...]


@dataclass
class _RecordedCommands:
    """Records commands instead of running them."""

    real: "Commands"
    calls: list["CommandCall"] = field(default_factory=list)

    def writes(self, platform: str, command: str) -> bool:
        """See Commands."""
        return self.real.writes(platform, command)

    def run(self, call: "CommandCall") -> Any:
        """See Commands."""
        self.calls.append(call)
        return {"id": f"<id of {call.name}>"}


def dry_run_narrative(
    context: "RunContext",
    *,
    file: NarrativeFile,
    narrative: Narrative,
    iterations: int | None,
    until: str,
    variables: Mapping[str, str],
    models: tuple[str, ...],
) -> NarrativeDryRun:
    """Return what a narrative would ask and do, without asking or doing it."""
    from botticelli.narrative.answers.dry_run import estimate, expected_tokens
    from botticelli.narrative.run.context import RunOptions
    from botticelli.narrative.run.runner import dry_runner

    options = RunOptions(
        models=context.config.models.default, only=models, variables=variables, until=until
    )
    noted = _RecordedCommands(real=context.commands)
    runner, caller = dry_runner(context, file, options=options, commands=noted)
    executions = runner.run_carousel(narrative, 1 if until else iterations)
    at_least = 0 if until else expected_tokens(narrative, len(executions))
    shown = PlannedPrompt.__dataclass_fields__
    prompts: dict[tuple[str, str], PlannedPrompt] = {}
    for call in caller.calls:
        prompt = PlannedPrompt(**{name: getattr(call, name) for name in shown})
        prompts.setdefault((call.narrative, call.act), prompt)
    return NarrativeDryRun(
        narrative=narrative.name,
        prompts=tuple(prompts.values()),
        commands=tuple(PlannedCommand(name=call.name, args=call.args) for call in noted.calls),
        **vars(estimate(caller.calls, at_least=at_least)),
    )


@render.register
def _(report: NarrativeDryRun, console: Console) -> None:
    for planned in report.prompts:
        title = f"{planned.narrative}, act {planned.act} -> {planned.model}"
        console.line(f"== {title}, about {planned.input_tokens:,} tokens", style="bold")
        console.line(planned.prompt)
        console.line()
    for command in report.commands:
        console.line(f"== would run {command.name} {dict(command.args)}", style="bold")
    console.line(priced(report))
