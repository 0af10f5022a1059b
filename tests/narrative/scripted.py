"""A Caller that answers from a list, commands that answer from a table, and a runner with both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botticelli.models.base import Request
from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.errors import CommandFailed
from botticelli.narrative.language.load import load_text
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import Runner
from botticelli.narrative.run.sinks import TableSink
from botticelli.store.generation.executions import ActKey
from botticelli.store.leases import Identity
from tests.clock import PinnedClock
from tests.run_context import run_context

CONTEXT = {each.name for each in fields(RunContext)}
OPTIONS = {each.name for each in fields(RunOptions)}
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READING = ("get", "list", "get_stats")


@dataclass
class ScriptedCaller:
    """Gives its answers in order; an answer that is an exception is raised, a callable is asked."""

    answers: list[Any] = field(default_factory=list)
    asked: list[tuple[Request, ActKey]] = field(default_factory=list)
    models: list[Sequence[str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        self.asked.append((request, key))
        self.models.append(tuple(models))
        answer = self.answers.pop(0) if self.answers else f"answer of {key.act_name}"
        if isinstance(answer, BaseException):
            raise answer
        text = answer(request, key) if callable(answer) else answer
        return Answer(text=text, model="scripted-1")

    def require(self, models: Sequence[str]) -> None:
        pass

    def reject(self, answer: Answer, reason: str) -> None:
        self.rejected.append((answer.text, reason))

    def prompt(self, index: int = -1) -> str:
        return self.asked[index][0].messages[-1].text


@dataclass
class ScriptedCommands:
    """A platform: command -> result, or an error; keeps what was asked of it."""

    results: Mapping[str, Any] = field(default_factory=dict)
    calls: list[CommandCall] = field(default_factory=list)

    def writes(self, command: str) -> bool:
        return command.rpartition(".")[2] not in READING

    def run(self, call: CommandCall) -> Any:
        self.calls.append(call)
        if call.command not in self.results:
            raise CommandFailed(f"no command '{call.command}'", where=call.name)
        result = self.results[call.command]
        if isinstance(result, BaseException):
            raise result
        return result(call) if callable(result) else result


@dataclass
class Stage:
    """A narrative file with everything it needs to run."""

    runner: Runner
    caller: ScriptedCaller
    discord: ScriptedCommands
    warnings: list[str]
    clock: PinnedClock

    def run(self, name: str = "", **more: Any):
        narratives = self.runner.file.narratives
        narrative = narratives[name] if name else next(iter(narratives.values()))
        return self.runner.run(narrative, **more)

    def carousel(self, name: str = "", iterations: int | None = None):
        narratives = self.runner.file.narratives
        narrative = narratives[name] if name else next(iter(narratives.values()))
        return self.runner.run_carousel(narrative, iterations)


def stage(
    db: Any,
    toml: str,
    *,
    answers: Sequence[Any] = (),
    discord: Mapping[str, Any] | None = None,
    folder: Path = Path("/nowhere"),
    **more: Any,
) -> Stage:
    """Return a runner of the narratives in `toml`."""
    caller = ScriptedCaller(answers=list(answers))
    commands = ScriptedCommands(results={} if discord is None else discord)
    warnings: list[str] = []
    clock = PinnedClock(STARTED)
    file = more.pop("file", None) or load_text(toml, folder / "file.toml")
    executors: dict[str, Any] = {"discord": commands, **more.pop("executors", {})}
    context = {name: more.pop(name) for name in [name for name in more if name in CONTEXT]}
    owner = more.pop("owner", "runner")
    context = {
        "clock": clock,
        "identity": Identity(host="test", pid=1, owner=owner),
        "note": warnings.append,
        **context,
    }
    options = {name: more.pop(name) for name in [name for name in more if name in OPTIONS]}
    return Stage(
        runner=Runner(
            context=run_context(db, folder=folder, executors=executors, **context),
            file=file,
            caller=more.pop("caller", caller),
            sink=more.pop("sink", TableSink(conn=db, clock=clock)),
            options=RunOptions(**{"models": ("scripted",), **options}),
            **more,
        ),
        caller=caller,
        discord=commands,
        warnings=warnings,
        clock=clock,
    )


Answering = Callable[[Request, ActKey], str]
