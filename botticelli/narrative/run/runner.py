"""Runs narratives: acts in order, nested narratives, carousels; a model is only asked by Caller."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, ConfigError, TryLater
from botticelli.models.base import TransientError
from botticelli.narrative.answers import spans
from botticelli.narrative.answers.caller import Caller
from botticelli.narrative.commands.base import Commands
from botticelli.narrative.files.fetch import Fetched, fetch
from botticelli.narrative.files.lookup import Folders
from botticelli.narrative.files.media import LARGEST
from botticelli.narrative.language.model import NOTHING, Narrative, NarrativeFile, Nested
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.act_inputs import Gatherer
from botticelli.narrative.run.acts import Walk
from botticelli.narrative.run.names import Names
from botticelli.narrative.run.readers import Reader
from botticelli.narrative.run.results import (
    ActFailed,
    ActResult,
    ActState,
    Execution,
    Output,
    Sink,
    Stopped,
    Stored,
)
from botticelli.narrative.run.resume import Memory
from botticelli.records import record
from botticelli.store.commands import state
from botticelli.store.connection import Connection
from botticelli.store.tables import row_leases
from botticelli.store.tables.row_leases import LeaseTerms

__all__ = [
    "ActFailed", "ActResult", "ActState", "Execution", "Output", "Override", "Runner", "Sink",
    "Stopped", "Stored",
]  # fmt: skip

# Leases on consumed rows are renewed at every act; a single call rarely waits longer than this.
ROW_LEASE: Final = timedelta(minutes=15)
FETCH: Final = partial(fetch, limit=LARGEST)
DEEPEST: Final = 12  # narratives within narratives


Resolve = Callable[[NarrativeFile, Nested], tuple[NarrativeFile, Narrative]]


@record
class Override:
    """What the command line says; stronger than act, narrative and configuration."""

    models: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None


def _silent(*_: object) -> None:
    """Nobody is listening."""


def _unresolved(file: NarrativeFile, nested: Nested) -> tuple[NarrativeFile, Narrative]:
    raise ConfigError(f"narrative '{nested.name}' cannot be run here", where=str(file.path))


@record
class Runner:
    """Runs the narratives of one file.

    Args:
        caller: The only way to a model.
        file: Whose narratives are run; compositions are looked up in it.
        sink: Takes what each narrative made, nested ones by themselves.
        commands: What acts may run.
        environ: For ${NAME} and ${env:NAME}.
        variables: `--input` values and what a stage hands in; over [narrative.context].
        models: Asked where neither act nor narrative names one.
        resolve: Finds what a nested input runs, with its file.
        context: Folders that files named in narratives are looked up in.
        fetch: Reads media by URL; it must be told of private addresses that are allowed.
        owner: On leases of consumed rows; unique to this process.
        until: Name of the act to stop after; nothing is stored then.
        above: Name and [security] of the narratives that are running, outermost first.
        rehearsal: Change nothing: no leases, no state, nothing stored by the sink's own doing.
        stop: Set: end before the next act.
        warn, on_act, on_execution: Told as it happens; an act with its narrative and iteration.
    """

    conn: Connection
    caller: Caller
    file: NarrativeFile
    sink: Sink
    commands: Commands
    clock: Clock
    chance: random.Random
    environ: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    models: tuple[str, ...] = ()
    override: Override = Override()
    resolve: Resolve = _unresolved
    context: tuple[Path, ...] = ()
    fetch: Callable[[str], Fetched] = FETCH
    owner: str = "runner"
    run_id: int | None = None
    until: str = ""
    rehearsal: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    warn: Callable[[str], None] = _silent
    on_act: Callable[[Narrative, int, ActResult], None] = _silent
    on_execution: Callable[[Execution], None] = _silent
    rehearsed_state: dict[str, str] = field(default_factory=dict)
    chain: tuple[str, ...] = ()
    above: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    round: int = 1
    item_id: int | None = None
    place: str = ""
    step: str = ""

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
        told = spans.running(narrative.name, iteration=iteration, item_id=item_id)
        with nullcontext() if self.rehearsal else told:
            execution = self._run(narrative, iteration=iteration, item_id=item_id, tables=tables)
        self.on_execution(execution)
        return execution

    def _run(
        self,
        narrative: Narrative,
        *,
        iteration: int,
        item_id: int | None,
        tables: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> Execution:
        runner = self._entered(narrative, iteration, item_id=item_id)
        before = runner.memory.finished()
        if before is not None:
            return before
        walk = runner.walk(narrative, iteration=iteration, tables=tables)
        leases = walk.reader.leases
        try:
            execution = walk.run()
            if self.until:
                row_leases.release(self.conn, leases)
            else:
                runner.settle(execution)
        except BaseException as error:
            if not (runner.memory.is_kept and isinstance(error, TransientError | TryLater)):
                row_leases.release(self.conn, leases)  # else the resumed item wants the same rows
            raise
        finally:
            row_leases.release(self.conn, walk.reader.held)
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
        rounds = range(1, count + 1) if count > 1 or carousel else (self.round,)
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

    def _failed(self, narrative: Narrative, iteration: int, *, error: str) -> Execution:
        self.warn(f"{narrative.name}, iteration {iteration}: {error}")
        execution = Execution(
            narrative=narrative.name,
            iteration=iteration,
            run_id=self.run_id,
            place=self.place + self.step,
            file=str(self.file.path),
            error=error,
            started_at=self.clock.now(),
        )
        self.on_execution(execution)
        return execution

    # -- for walk.py --------------------------------------------------------------------------

    def walk(
        self,
        narrative: Narrative,
        *,
        iteration: int,
        tables: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> Walk:
        """Return the run of a narrative, ready to start."""
        heard: list[Callable[[str], None]] = []

        def warn(line: str) -> None:
            heard[0](line)

        names = Names(
            acts=tuple(act.name for act in narrative.acts),
            variables={"iteration": str(iteration), **narrative.variables, **self.variables},
            environ=self.environ,
            state=partial(self.recall, narrative=narrative),
            kept=frozenset(key for act in narrative.acts for key in act_facts.keys_of(act)),
            warn=warn,
        )
        owner = self.memory.owner(self.owner)
        terms = None if self.rehearsal else LeaseTerms(owner=owner, duration=ROW_LEASE)
        reader = Reader(
            conn=self.conn,
            folders=self._folders(),
            given=tables,
            terms=None if narrative.preserve_source else terms,
            memory=self.memory,
            marked=act_facts.marked_tables(narrative),
            mark_terms=terms,
            chance=self.chance,
            now=self.clock.pinned(),
            names=names,
            warn=warn,
            fetch=None if self.rehearsal else self.fetch,
        )
        gatherer = Gatherer(runner=self, narrative=narrative, names=names, reader=reader)
        walk = Walk(
            runner=self,
            narrative=narrative,
            names=names,
            reader=reader,
            gatherer=gatherer,
            iteration=iteration,
        )
        heard.append(walk.warn)
        return walk

    def settle(self, execution: Execution) -> None:
        """Store what was made; rows that a run with failures was consuming stay where they are."""
        if execution.leases and execution.failures:
            row_leases.release(self.conn, execution.leases)
            raise ActFailed(
                "rows are left where they are, and nothing is stored: "
                + "; ".join(execution.failures),
                where=execution.narrative,
            )
        self.sink.store(execution)

    def called(self, key: str, *, step: str) -> tuple[Execution, ...]:
        """Run a narrative of the same file as the act `step`, its carousel included."""
        narratives = self.file.narratives
        narrative = narratives.get(key) or next(
            (each for each in narratives.values() if each.name == key), None
        )
        if narrative is None:
            raise ConfigError(
                f"there is no narrative '{key}'",
                where=str(self.file.path),
                hint="it has " + ", ".join(narratives),
            )
        return replace(self, step=step).run_carousel(narrative)

    def called_file(self, nested: Nested, *, step: str) -> tuple[Execution, ...]:
        """Run what the nested input `step` names, its carousel included."""
        file, narrative = self.resolve(self.file, nested)
        return replace(self, file=file, step=step).run_carousel(narrative)

    def remember(self, values: Mapping[str, str], *, narrative: Narrative) -> None:
        """Keep values in the state, globally and of the narrative; not of a rehearsal."""
        if self.rehearsal:
            self.rehearsed_state.update(values)
        else:
            state.write(self.conn, values, scopes=(state.GLOBAL, narrative.name))

    def recall(self, key: str, *, narrative: Narrative) -> str | None:
        """Return a value of the state; None if there is none.

        `KEY` is what anybody kept last, `narrative:KEY` what this narrative did, `NAME/KEY` what
        that one did.
        """
        scope, key = state.scope_of(key, own=narrative.name)
        if scope in (state.GLOBAL, narrative.name) and key in self.rehearsed_state:
            return self.rehearsed_state[key]
        return state.read(self.conn, key, scope=scope)

    def _folders(self) -> Folders:
        named = self.environ.get("BOTTICELLI_CONTEXT_PATH", "")
        context = (*self.context, Path(named)) if named else self.context
        return Folders(own=self.file.path.parent, context=context)

    def _entered(self, narrative: Narrative, iteration: int, *, item_id: int | None) -> "Runner":
        place = f"{self.file.path}:{narrative.key}"
        if place in self.chain or len(self.chain) >= DEEPEST:
            way = " -> ".join(step.rpartition(":")[2] for step in (*self.chain, place))
            raise ConfigError(
                f"narratives call each other in a circle: {way}",
                where=str(self.file.path),
                hint="take one of these calls out",
            )
        is_nested = bool(self.chain)
        memory = Memory(
            conn=self.conn,
            item_id=self.item_id if is_nested else item_id,
            place=f"{self.place}{self.step}/{narrative.key}#{iteration}/" if is_nested else "",
        )
        return replace(
            self,
            chain=(*self.chain, place),
            above=(*self.above, (narrative.name, narrative.security)),
            round=iteration,
            item_id=memory.item_id,
            place=memory.place,
        )

    @property
    def memory(self) -> Memory:
        """What a resumed item finds of this narrative's run."""
        return Memory(conn=self.conn, item_id=self.item_id, place=self.place)
