"""What running narratives needs of the world: made once for a run, with a copy for each thread."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from threading import Event
from weakref import WeakSet

from botticelli.budget.limits import layered
from botticelli.clock import Clock
from botticelli.config.keys import NOTHING
from botticelli.config.model import Config, Models
from botticelli.models.open import Drivers, can_draw, require_drawing
from botticelli.narrative.answers.caller import LiveCaller
from botticelli.narrative.checks.asks import Rights
from botticelli.narrative.commands.base import Commands
from botticelli.narrative.files.fetch import Fetched
from botticelli.narrative.files.lookup import Folders, folders_of
from botticelli.narrative.language.load import find_narrative, resolve_nested
from botticelli.narrative.language.model import Act, Narrative, NarrativeFile, Nested
from botticelli.narrative.run.results import ActResult, Execution
from botticelli.records import record
from botticelli.store.commands import state
from botticelli.store.connection import Connection
from botticelli.store.leases import Identity


def _silent(*_: object) -> None:
    """Do nothing."""


@record
class RunOptions:
    """What one run asks for, the same for every narrative in it.

    Args:
        models: Asked where neither act nor narrative names one.
        only: Asked instead of any that they name.
        variables: `--input` values and what a stage hands in; over [narrative.context].
        until: Name of the act to stop after; nothing is stored then.
        on_act, on_execution: Called as it happens; an act with its narrative and iteration.
    """

    models: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    until: str = ""
    on_act: Callable[[Narrative, int, ActResult], None] = _silent
    on_execution: Callable[[Execution], None] = _silent

    def models_for(
        self, narrative: Narrative, act: Act | None = None, *, known: Models
    ) -> tuple[str, ...]:
        """Return the models that an act asks in turn; without one, those of the narrative.

        For a picture those that are meant for all acts count only if they make pictures.

        Raises:
            ConfigError: One of the act's own does not.
        """
        if act and act.image is not None:
            drawing = [
                names if all(can_draw(name, known) for name in names) else ()
                for names in (self.only, narrative.models)
            ]
            chosen = known.only or drawing[0] or act.models or drawing[1] or known.image
            for name in chosen:
                require_drawing(name, known)
            return chosen
        own = act.models if act else ()
        chosen = self.only or known.only or own or narrative.models or self.models
        return chosen or known.default


@record
class RunContext:
    """The world as a run sees it. One thread works with one copy, since it holds a connection.

    Args:
        connect: Opens one more connection.
        cwd: Where relative narrative files are looked for first.
        environ: For ${NAME} and ${env:NAME}: what narratives may see of it.
        refuse_variable: Raises if a variable is set but no narrative may see it.
        rights: What the user has granted to narratives beyond writing candidates.
        secrets: Texts that no model may read.
        drivers: The models, opened late and once.
        open_commands: Makes the commands that narratives may run, over a connection.
        fetch: Reads a medium by its address.
        note: Tells the user what they should know, a line each.
        run_id: Row in `runs`; None if the run has none.
        stop: Once set, the run ends before the next act and waits end within a second.
        is_dry: Change nothing: no leases, no state, no fetches.
        dry_state: What a dry run would keep in the state.
        callers: Those that were made, so that their calls can be abandoned.
    """

    conn: Connection
    connect: Callable[[], Connection]
    config: Config
    identity: Identity
    clock: Clock
    chance: random.Random
    environ: Mapping[str, str]
    cwd: Path
    drivers: Drivers
    open_commands: Callable[[Connection], Commands]
    fetch: Callable[[str], Fetched]
    note: Callable[[str], None]
    refuse_variable: Callable[[str], None] = _silent
    rights: Rights = Rights()
    secrets: Sequence[str] = ()
    run_id: int | None = None
    stop: Event = field(default_factory=Event)
    is_dry: bool = False
    dry_state: dict[str, str] = field(default_factory=dict)
    callers: WeakSet[LiveCaller] = field(default_factory=WeakSet)

    def on(self, conn: Connection) -> "RunContext":
        """Return the context for another thread, with its connection."""
        return replace(self, conn=conn)

    @cached_property
    def commands(self) -> Commands:
        """The commands that narratives may run."""
        return self.open_commands(self.conn)

    def find(self, reference: str) -> tuple[NarrativeFile, Narrative]:
        """Return the narrative that the user means, with its file.

        Raises:
            ConfigError: There is none, or its file holds mistakes.
        """
        return find_narrative(reference, folders=self.config.narratives.folders, cwd=self.cwd)

    def resolve(self, file: NarrativeFile, nested: Nested) -> tuple[NarrativeFile, Narrative]:
        """Return what a nested input runs. See resolve_nested."""
        return resolve_nested(file, nested, cwd=self.cwd)

    def folders(self, file: NarrativeFile) -> Folders:
        """Return where files that a narrative names are looked up."""
        return folders_of(file.path, self.config, environ=self.environ, cwd=self.cwd)

    def caller(self, *budgets: Mapping[str, float]) -> LiveCaller:
        """Return a caller for this thread. `budgets`: shares of the limits, the strongest last."""
        caller = LiveCaller(
            self.conn,
            models=self.config.models,
            budget=layered(self.config.budget, *budgets),
            identity=self.identity,
            clock=self.clock,
            chance=self.chance,
            drivers=self.drivers,
            stop=self.stop,
            note=self.note,
        )
        self.callers.add(caller)
        return caller

    def abandon_calls(self) -> None:
        """Write down the calls that threads are still at; their answers are not waited for."""
        with closing(self.connect()) as conn:
            for caller in list(self.callers):
                caller.abandon(conn)

    def remember(self, values: Mapping[str, str], *, narrative: str) -> None:
        """Keep values in the state, globally and of the narrative; not in a dry run."""
        if self.is_dry:
            self.dry_state.update(values)
        else:
            state.write(self.conn, values, scopes=(state.GLOBAL, narrative))

    def recall(self, key: str, *, narrative: str) -> str | None:
        """Return a value of the state; None if there is none.

        `KEY` is what anybody kept last, `narrative:KEY` what this narrative did, `NAME/KEY` what
        that one did.
        """
        scope, key = state.scope_of(key, own=narrative)
        if scope in (state.GLOBAL, narrative) and key in self.dry_state:
            return self.dry_state[key]
        return state.read(self.conn, key, scope=scope)
