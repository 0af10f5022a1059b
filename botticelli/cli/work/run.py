"""`botticelli run`."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from types import FrameType
from typing import Annotated, Any, Final

import typer

from botticelli import tracing
from botticelli.cli.shared import choices
from botticelli.cli.shared.command_guard import require_trust
from botticelli.cli.shared.runners import run_context
from botticelli.cli.shared.stage_run import going_on, priced, spent
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import BotticelliError, Exit, TryLater, UsageError
from botticelli.narrative.answers.dry_run import CallsEstimate, estimate, expected_tokens
from botticelli.narrative.commands.base import CommandCall, Commands
from botticelli.narrative.language.load import find_narrative
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.results import ActResult, Execution, Sink, Stored
from botticelli.narrative.run.runner import Runner, dry_runner
from botticelli.narrative.run.sinks import DiscordSink, TableSink
from botticelli.records import record
from botticelli.stages.generate.arms import examples, learned_words
from botticelli.stages.generate.occasion import occasion, words_of
from botticelli.stages.generate.plan import recent_posts
from botticelli.store import runs
from botticelli.store.connection import Connection
from botticelli.store.runs import RunUsage
from botticelli.text import counted
from botticelli.tracing import here

Share = Annotated[
    float | None,
    typer.Option(metavar="X", min=0.01, max=1, help="Use only this share of the limit."),
]


PROMPT: Final = ("narrative", "act", "model", "prompt", "input_tokens")


@record
class RunResult(RunUsage):
    """What a run of a narrative did.

    Args:
        acts: Those that ran, as `_ran_act` has them.
        answers: The final answer of each iteration.
        stored: Table -> ids of new rows.
        removed: Consumed rows.
        idle: Whether there was nothing to work on.
    """

    narrative: str
    run_id: int
    answers: tuple[str, ...]
    acts: tuple[Mapping[str, Any], ...]
    stored: Mapping[str, tuple[int, ...]]
    removed: int
    idle: bool
    failures: tuple[str, ...]
    exit_code: Exit


@record
class NarrativeDryRun(CallsEstimate):
    """What a run would do.

    Args:
        prompts: A call for each act that would ask, from its first round: in later ones only what
            earlier answers say differs.
        commands: As they would be run; placeholders without a value yet stay as they are.
    """

    narrative: str
    prompts: tuple[Mapping[str, Any], ...]
    commands: tuple[Mapping[str, Any], ...]


@dataclass
class _RecordedCommands:
    """Records commands instead of running them."""

    real: Commands
    calls: list[CommandCall] = field(default_factory=list)

    def writes(self, platform: str, command: str) -> bool:
        """See Commands."""
        return self.real.writes(platform, command)

    def run(self, call: CommandCall) -> Any:
        """See Commands."""
        self.calls.append(call)
        return {"id": f"<id of {call.name}>"}


StateDir = Annotated[
    str, typer.Option("--state-dir", hidden=True, help="Not needed: the state is in the database.")
]


def _given(env: Environment, conn: "Connection") -> dict[str, str]:
    """Return what every narrative may name: recent posts, today, themes, house rules."""
    day = occasion(env.config, now=env.clock.now(), conn=conn)
    told = examples(conn, env.config, now=env.clock.now())
    learned = learned_words(env.config, {"examples": told})
    return {"recent_posts": recent_posts(conn), **learned, **words_of(day)}


@command(writes=True)
def run(
    env: Environment,
    file: choices.Narrative = "",
    *,
    narrative: str = "",
    narrative_name: str = "",
    iterations: choices.Iterations = None,
    act: str = "",
    given: list[str] | None = None,
    model: choices.ModelNames = None,
    rpm_multiplier: Share = None,
    tpm_multiplier: Share = None,
    rpd_multiplier: Share = None,
    dry_run: bool = False,
    save: bool = False,
    process_discord: bool = False,
    state_dir: StateDir = "",
    allow_writes: bool = False,
) -> RunResult | NarrativeDryRun:
    """Run a narrative from a file.

    Takes:
        file FILE[:NAME]: The narrative.
        narrative --narrative,-n FILE: The same as FILE.
        narrative_name NAME: The same as FILE:NAME.
        act NAME: Stop after this act; store nothing.
        given --input KEY=VALUE: Value of {{KEY}}; - reads stdin.
        dry_run: Show every prompt and call; spend nothing.
        save: Store every act with its prompt in the run.
        process_discord: Store servers and channels in discord_ tables.
        allow_writes: Trust the file for this run; ask about no command.

    Examples:
        botticelli run hello.toml --input topic=chess
        botticelli run hello.toml --dry-run
    """
    if state_dir:
        env.say("--state-dir is not needed: the state is in the database")
    variables = _variables(given or ())
    found, chosen = _found(env, [*filter(None, (file, narrative))], narrative_name, act=act)
    shares = {"rpm": rpm_multiplier, "tpm": tpm_multiplier, "rpd": rpd_multiplier}
    with env.database() as conn:
        running = _Running(
            env=env, context=run_context(env, conn, allow_writes=allow_writes, asks=True),
            iterations=iterations, until=act, models=tuple(model or ()),
            variables=_given(env, conn) | variables,
            shares={name: share for name, share in shares.items() if share is not None},
            saves=save, processes_discord=process_discord,
        )  # fmt: skip
        return running.dry_run(found, chosen) if dry_run else running.run(found, chosen)


def _found(
    env: Environment, files: Sequence[str], name: str, *, act: str
) -> tuple[NarrativeFile, Narrative]:
    """Return the narrative that is meant, with its file; its warnings are printed."""
    if len(files) != 1:
        what = "two narratives are named" if files else "no narrative is named"
        raise UsageError(what, hint="write botticelli run FILE, or FILE:NAME")
    reference, folders = f"{files[0]}:{name}" if name else files[0], env.config.narratives.folders
    found, chosen = find_narrative(reference, folders=folders, cwd=env.cwd)
    names = [each.name for each in chosen.acts]
    if act and act not in names:
        hint = "it has " + ", ".join(names)
        raise UsageError(f"there is no act '{act}'", where="--act", hint=hint)
    for line in found.warnings:
        env.say(line)
    return found, chosen


def _variables(given: Sequence[str]) -> dict[str, str]:
    variables = {}
    for pair in given:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"'{pair}' is not an input", where="--input", hint="write KEY=VALUE")
        variables[key.strip()] = sys.stdin.read() if value == "-" else value
    return variables


@dataclass(kw_only=True)
class _Running:
    """One run of a narrative: a real one with its row in `runs`, or a dry run."""

    env: Environment
    context: RunContext
    iterations: int | None
    until: str
    variables: Mapping[str, str]
    models: tuple[str, ...]
    shares: Mapping[str, float]
    saves: bool
    processes_discord: bool
    stop: Event = field(default_factory=Event)
    executions: list[Execution] = field(default_factory=list)
    saved: list[Mapping[str, Any]] = field(default_factory=list)
    stored: dict[str, tuple[int, ...]] = field(default_factory=dict)
    removed: int = 0

    @property
    def _options(self) -> RunOptions:
        return RunOptions(
            models=self.env.config.models.default,
            only=self.models,
            variables=self.variables,
            until=self.until,
            on_act=self._acted,
            on_execution=self.executions.append,
        )

    def dry_run(self, file: NarrativeFile, narrative: Narrative) -> NarrativeDryRun:
        """Return what it would do; nothing is asked, spent or written.

        Raises:
            ConfigError: A required command cannot be run with its arguments.
        """
        from botticelli.narrative.checks.narrative_file import check_commands, findings_of

        findings, alone = findings_of(file), {narrative.key: narrative}
        writable = self.env.config.narratives.writable_tables
        check_commands(replace(file, narratives=alone), writable=writable, findings=findings)
        findings.raise_problems()
        for line in findings.warnings:
            self.env.complain(line)
        noted = _RecordedCommands(real=self.context.commands)
        runner, caller = dry_runner(self.context, file, options=self._options, commands=noted)
        runner.run_carousel(narrative, 1 if self.until else self.iterations)
        rounds = self.iterations or (narrative.carousel.iterations if narrative.carousel else 1)
        at_least = 0 if self.until else expected_tokens(narrative, rounds)
        prompts: dict[tuple[str, str], Mapping[str, Any]] = {}
        for call in caller.calls:
            shown = {name: getattr(call, name) for name in PROMPT}
            prompts.setdefault((call.narrative, call.act), shown)
        return NarrativeDryRun(
            narrative=narrative.name,
            prompts=tuple(prompts.values()),
            commands=tuple({"name": call.name, "args": call.args} for call in noted.calls),
            **vars(estimate(caller.calls, at_least=at_least)),
        )

    def run(self, file: NarrativeFile, narrative: Narrative) -> RunResult:
        """Run it and print what it cost.

        Raises:
            Untrusted: It asks for more than to write candidates, and nobody says yes.
        """
        require_trust(self.env, self.context, file, narrative)
        began = self.env.clock.monotonic()
        try:
            report = self._record(file, narrative)
        except (TryLater, KeyboardInterrupt):
            self._advise(narrative)
            raise
        self._print(report, seconds=self.env.clock.monotonic() - began)
        return report

    def _advise(self, narrative: Narrative) -> None:
        """Print how far it came, and the command for the rest."""
        carousel = narrative.carousel
        total = self.iterations or (carousel.iterations if carousel else 1)
        done = sum(not each.place and not each.error for each in self.executions)
        is_partial = total > 1 and not self.until
        more = ("--iterations", str(max(1, total - done))) if is_partial else ()
        far = f"{done} of {total} iterations are done and stored" if is_partial else "not done"
        self.env.complain(f"{narrative.name}: {far}; run `{going_on(self.env, *more)}` to go on")

    def _print(self, report: RunResult, *, seconds: float) -> None:
        """Print on stderr what happened beside the answers."""
        for failure in report.failures:
            self.env.complain(failure)
        if report.idle:
            self.env.say("nothing to do")
        for table, ids in report.stored.items():
            self.env.say(f"{counted(len(ids), 'row')} stored in {table}")
        self.env.say(spent(report, seconds=seconds))

    def _record(self, file: NarrativeFile, narrative: Narrative) -> RunResult:
        """Run it and record how that ended, whatever happens."""
        conn = self.context.conn
        run_id = runs.start(conn, "run", identity=self.env.identity)
        here.run = run_id
        if self.saves:
            self.env.say(f"every act is stored with run {run_id}")
        try:
            facts: dict[str, tracing.Value | None] = {"botticelli.run.id": run_id}
            with self._stoppable(), tracing.span("run", facts):
                self._walk(file, narrative, run_id=run_id)
            report = self._report(narrative, run_id)
            state = "failed" if report.failures else "done"
            code: Exit | None = report.exit_code
            error = "; ".join(report.failures)
            stored = sum(map(len, report.stored.values()))
            counts = {"stored": stored, "calls": report.calls}
        except BaseException as raised:
            is_failure = isinstance(raised, BotticelliError) and not isinstance(raised, TryLater)
            state = "failed" if is_failure else "interrupted"
            code = raised.exit_code if isinstance(raised, BotticelliError) else None
            error, counts = str(raised) or type(raised).__name__, {}
            raise
        finally:
            summary = {**counts, **self._kept(narrative)}
            ending = runs.RunEnd(state=state, exit_code=code, summary=summary, error=error)
            runs.end(conn, run_id, ending=ending)
        return report

    def _kept(self, narrative: Narrative) -> Mapping[str, Any]:
        """What --save keeps of the run, however it ended."""
        from botticelli.store.tables.columns import clean

        if not self.saves:
            return {}
        facts = {"narrative": narrative.name, "description": narrative.description}
        kept: Mapping[str, Any] = clean({**facts, "acts": self.saved})
        return kept

    def _walk(self, file: NarrativeFile, narrative: Narrative, *, run_id: int) -> None:
        carousel = narrative.carousel
        budgets = (narrative.budget, carousel.budget if carousel else {}, self.shares)
        context = replace(self.context, run_id=run_id, stop=self.stop)
        runner = Runner(
            context=context,
            file=file,
            caller=context.caller(*budgets),
            sink=self,
            options=self._options,
        )
        runner.run_carousel(narrative, 1 if self.until else self.iterations)

    def store(self, execution: Execution) -> Stored:
        """Store rows as a Sink does, and count them."""
        conn, clock = self.context.conn, self.context.clock
        sink: Sink = TableSink(conn=conn, clock=clock)
        if self.processes_discord:
            sink = DiscordSink(conn=conn, rows=sink, clock=clock, warn=self.env.complain)
        stored = sink.store(execution)
        for table, ids in stored.ids.items():
            self.stored[table] = (*self.stored.get(table, ()), *ids)
        self.removed += stored.removed
        return stored

    def _acted(self, narrative: Narrative, iteration: int, act: ActResult) -> None:
        ran = _ran_act(act, narrative.name, iteration)
        self.saved.append({**ran, "prompt": act.prompt or None})

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let the first signal end the run before its next act or call, a second one at once."""

        def stop(number: int, _frame: FrameType | None) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self.stop.set()
            self.env.say(f"{signal.Signals(number).name}: stopping after this act")

        before: dict[signal.Signals, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _report(self, narrative: Narrative, run_id: int) -> RunResult:
        usage = runs.usage(self.context.conn, run_id)
        outer = [each for each in self.executions if not each.place]
        failures = tuple(line for each in self.executions for line in each.failures)
        return RunResult(
            narrative=narrative.name,
            run_id=run_id,
            answers=tuple(answer for each in outer for answer in _finals(each)),
            acts=tuple(
                _ran_act(act, each.narrative, each.iteration)
                for each in self.executions
                for act in each.acts
            ),
            stored=self.stored,
            removed=self.removed,
            idle=bool(outer) and all(each.is_idle for each in outer),
            failures=tuple(dict.fromkeys(failures)),
            **vars(usage),
            exit_code=Exit.FAILED if failures else Exit.DONE,
        )


def _finals(execution: Execution) -> tuple[str, ...]:
    """Return the last answer; of a narrative that only calls others, the last one of each."""
    last = next((act for act in reversed(execution.acts) if act.text), None)
    if last is not None and (last.answer or not execution.nested):
        return (last.text,)
    return tuple(answer for nested in execution.nested for answer in _finals(nested))


def _ran_act(act: ActResult, narrative: str, iteration: int) -> dict[str, Any]:
    """Return an act as the report has it; its answer is its value for later acts."""
    return {
        "narrative": narrative,
        "iteration": iteration,
        "name": act.name,
        "state": act.state,
        "answer": act.text,
        "model": act.answer.model if act.answer else None,
        "reason": act.reason or None,
    }


@render.register
def _(report: RunResult, console: Console) -> None:
    """Print the answers alone, for a pipe."""
    for number, answer in enumerate(report.answers):
        if number:
            console.line()
        console.line(answer)


@render.register
def _(report: NarrativeDryRun, console: Console) -> None:
    for planned in report.prompts:
        title = f"{planned['narrative']}, act {planned['act']} -> {planned['model']}"
        console.line(f"== {title}, about {planned['input_tokens']:,} tokens", style="bold")
        console.line(planned["prompt"])
        console.line()
    for call in report.commands:
        console.line(f"== would run {call['name']} {dict(call['args'])}", style="bold")
    console.line(priced(report))
