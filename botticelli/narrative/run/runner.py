"""Runs narratives: with those that they call, with their carousels, each settled by itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from botticelli.config.keys import NOTHING
from botticelli.errors import BotticelliError, ConfigError, TryLater
from botticelli.models.base import TransientError
from botticelli.narrative.answers import spans
from botticelli.narrative.answers.answer import Caller
from botticelli.narrative.answers.dry_run import DryRunCaller, rounds_of
from botticelli.narrative.checks.asks import refuse_untrusted
from botticelli.narrative.commands.base import CommandCall, Commands
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.language.model import Narrative, NarrativeFile, Nested
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.act_inputs import ActInputs
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.input_reader import InputReader
from botticelli.narrative.run.narrative_run import NarrativeRun
from botticelli.narrative.run.results import Execution, Sink
from botticelli.narrative.run.resume import ResumeState
from botticelli.narrative.run.sinks import NoSink
from botticelli.narrative.run.variables import Variables
from botticelli.records import record
from botticelli.store.tables import row_leases
from botticelli.store.tables.row_leases import LeaseTerms

# Leases on consumed rows are renewed at every act; a single call rarely waits longer than this.
ROW_LEASE: Final = timedelta(minutes=15)
DEEPEST: Final = 12  # narratives within narratives


@record
class Position:
    """Where a narrative stands among those that call each other.

    Args:
        chain: The narratives under way, outermost first, as FILE:KEY.
        above: Their names and [security].
        iteration: The round of the innermost one.
        item_id: The item that may be resumed; None if nothing is kept or found.
        place: In the item: "" for its own narrative, else whose act calls it.
        step: The act or input that calls the next one.
        outermost: The file that the user runs: what it is trusted with holds for those it calls.
    """

    chain: tuple[str, ...] = ()
    above: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    iteration: int = 1
    item_id: int | None = None
    place: str = ""
    step: str = ""
    outermost: NarrativeFile | None = None


@record
class Runner:
    """Runs the narratives of one file.

    Args:
        caller: The only way to a model.
        file: Whose narratives are run; compositions are looked up in it.
        sink: Takes what each narrative made, nested ones by themselves.
        at: Who calls.
    """

    context: RunContext
    file: NarrativeFile
    caller: Caller
    sink: Sink
    options: RunOptions = RunOptions()
    at: Position = Position()

    def run(
        self,
        narrative: Narrative,
        *,
        iteration: int = 1,
        item_id: int | None = None,
        tables: Mapping[str, Sequence[Mapping[str, Any]]] = NOTHING,
    ) -> Execution:
        """Run a narrative once and hand what it made to the sink.

        `item_id` is the item whose finished acts are reused; `tables` holds rows in place of a
        table read of that name.

        Raises:
            ActFailed: An act failed for good. Nothing was stored, consumed rows are free again.
            TryLater: The day's quota is spent, or the run was asked to stop (Stopped).
            ModelError: The model gave no answer.
            ConfigError: A file, variable or model is missing.
        """
        inner = self._entered(narrative, iteration, item_id=item_id)
        span = spans.running(narrative.name, iteration=iteration, item_id=item_id)
        with nullcontext() if self.context.is_dry else span:
            execution = inner.resume.finished()
            if execution is None:
                run = inner.prepare(narrative, tables=tables)
                with inner.releasing(run.reader):
                    execution = run.run()
                    inner.settle(execution)
        self.options.on_execution(execution)
        return execution

    def run_carousel(
        self, narrative: Narrative, iterations: int | None = None
    ) -> tuple[Execution, ...]:
        """Run a narrative as often as its carousel says, each time from a clean start.

        With `continue_on_error` a failed iteration is an Execution with an `error`, and the rest
        goes on; a spent quota, a stop and a broken configuration always end it.
        """
        carousel = narrative.carousel
        count = iterations or (carousel.iterations if carousel else 1)
        # A narrative that is called once in each round of its caller is in that round.
        rounds: Iterable[int] = (self.at.iteration,)
        if count > 1 or carousel:
            rounds = rounds_of(count, self.caller)
        executions = []
        for iteration in rounds:
            try:
                executions.append(self.run(narrative, iteration=iteration))
            except (TryLater, ConfigError):
                raise
            except BotticelliError as error:
                if carousel is None or not carousel.continue_on_error:
                    raise
                executions.append(self._failed(narrative, iteration, error=str(error)))
        return tuple(executions)

    def call(self, called: str | Nested, step: str) -> tuple[Execution, ...]:
        """Run what the act or input `step` calls, its carousel included.

        A name is the key of a narrative of the same file.
        """
        if isinstance(called, Nested):
            file, narrative = self.context.resolve(self.file, called)
        else:
            file, narrative = self.file, self.file.narratives[called]
        return replace(self, file=file, at=replace(self.at, step=step)).run_carousel(narrative)

    @property
    def resume(self) -> ResumeState:
        """What a resumed item finds of this narrative's run."""
        return ResumeState(conn=self.context.conn, item_id=self.at.item_id, place=self.at.place)

    def prepare(
        self, narrative: Narrative, *, tables: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> NarrativeRun:
        """Return the run of a narrative, ready to start."""
        context, resume = self.context, self.resume
        warnings: list[str] = []

        def warn(line: str) -> None:
            if line not in warnings:
                warnings.append(line)
                context.note(f"{narrative.name}: {line}")

        variables = self._variables(narrative, warn)
        terms = LeaseTerms(owner=resume.owner(context.identity.owner), duration=ROW_LEASE)
        reader = InputReader(
            context=context,
            folders=context.folders(self.file),
            given=tables,
            terms=None if context.is_dry or narrative.preserve_source else terms,
            resume=resume,
            marked=act_facts.marked_tables(narrative),
            mark_terms=None if context.is_dry else terms,
            variables=variables,
        )
        inputs = ActInputs(
            context=context,
            narrative=narrative,
            variables=variables,
            reader=reader,
            resume=resume,
            above=self.at.above[:-1],
            call=self.call,
        )
        return NarrativeRun(
            context=context,
            options=self.options,
            caller=self.caller,
            file=self.file,
            narrative=narrative,
            iteration=self.at.iteration,
            variables=variables,
            reader=reader,
            inputs=inputs,
            resume=resume,
            warn=warn,
            warnings=warnings,
        )

    def _variables(self, narrative: Narrative, warn: Callable[[str], None]) -> Variables:
        return Variables(
            acts=tuple(act.name for act in narrative.acts),
            given={
                "iteration": str(self.at.iteration),
                **narrative.variables,
                **self.options.variables,
            },
            environ=self.context.environ,
            state=partial(self.context.recall, narrative=narrative.name),
            kept=frozenset(key for act in narrative.acts for key in act_facts.keys_of(act)),
            warn=warn,
        )

    @contextmanager
    def releasing(self, reader: InputReader) -> Iterator[None]:
        """Let go of the rows that a run has leased when it has ended.

        Rows to consume stay leased if the run can be resumed, since it wants the same ones.
        """
        conn = self.context.conn
        try:
            yield
        except BaseException as error:
            if not (self.resume.is_kept and isinstance(error, TransientError | TryLater)):
                row_leases.release(conn, reader.leases)
            raise
        finally:
            row_leases.release(conn, reader.held)

    def settle(self, execution: Execution) -> None:
        """Store what was made; rows that a run with failures was consuming stay where they are."""
        if self.options.until:
            row_leases.release(self.context.conn, execution.leases)
            return
        if execution.leases and execution.failures:
            raise ActFailed(
                "rows are left where they are, and nothing is stored: "
                + "; ".join(execution.failures),
                where=execution.narrative,
            )
        self.sink.store(execution)

    def _failed(self, narrative: Narrative, iteration: int, *, error: str) -> Execution:
        self.context.note(f"{narrative.name}, iteration {iteration}: {error}")
        execution = Execution(
            narrative=narrative.name,
            iteration=iteration,
            run_id=self.context.run_id,
            place=self.at.place + self.at.step,
            file=str(self.file.path),
            error=error,
            started_at=self.context.clock.now(),
        )
        self.options.on_execution(execution)
        return execution

    def _entered(self, narrative: Narrative, iteration: int, *, item_id: int | None) -> "Runner":
        at, here = self.at, f"{self.file.path}:{narrative.key}"
        if here in at.chain or len(at.chain) >= DEEPEST:
            way = " -> ".join(step.rpartition(":")[2] for step in (*at.chain, here))
            raise ConfigError(
                f"narratives call each other in a circle: {way}",
                where=str(self.file.path),
                hint="take one of these calls out",
            )
        is_nested = bool(at.chain)
        outermost = at.outermost or self.file
        context = self.context
        if not context.is_dry:
            refuse_untrusted(
                narrative,
                self.file,
                conn=context.conn,
                rights=context.rights,
                trusted=lambda: context.rights.trusted(outermost, context.resolve),
                stores=not isinstance(self.sink, NoSink),
            )
        position = Position(
            chain=(*at.chain, here),
            above=(*at.above, (narrative.name, narrative.security)),
            iteration=iteration,
            item_id=at.item_id if is_nested else item_id,
            place=f"{at.place}{at.step}/{narrative.key}#{iteration}/" if is_nested else at.place,
            outermost=outermost,
        )
        return replace(self, at=position)


def dry_runner(
    context: RunContext,
    file: NarrativeFile,
    *,
    options: RunOptions,
    commands: Commands | None = None,
) -> tuple[Runner, DryRunCaller]:
    """Return a runner that asks no model and changes nothing, with the caller that lists its calls.

    `commands` must change nothing either; with None each succeeds and does nothing.
    """
    caller = DryRunCaller(models=context.config.models, on=context.clock.now().date())
    noted = commands or NoCommands()
    dry = replace(context, is_dry=True, run_id=None, open_commands=lambda _conn: noted)
    return Runner(context=dry, file=file, caller=caller, sink=NoSink(), options=options), caller


class NoCommands:
    """Commands of a dry run: every one succeeds and does nothing."""

    def writes(self, platform: str, command: str) -> bool:  # noqa: ARG002 - Commands' signature
        """See Commands."""
        return False

    def run(self, call: CommandCall) -> Any:  # noqa: ARG002 - Commands' signature
        """See Commands."""
        return {"id": "0"}
