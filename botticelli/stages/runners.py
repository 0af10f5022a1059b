"""What the runners of a stage are made of: configuration, models, commands, clock and chance."""

import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from weakref import WeakSet

from botticelli.budget.limits import layered
from botticelli.clock import Clock
from botticelli.config.model import Config
from botticelli.models.open import Drivers
from botticelli.narrative.answers.caller import Caller, LiveCaller
from botticelli.narrative.answers.dry_run import ForecastCaller
from botticelli.narrative.commands.base import Call, Commands
from botticelli.narrative.files.fetch import fetch
from botticelli.narrative.files.media import LARGEST
from botticelli.narrative.language.load import find_narrative, resolve_nested
from botticelli.narrative.language.model import NOTHING, Narrative, NarrativeFile, Nested
from botticelli.narrative.run.results import Sink
from botticelli.narrative.run.runner import Override, Runner
from botticelli.narrative.run.sinks import NoSink
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.identity import Identity


@record
class Workshop:
    """One process's means of running narratives; shared by its threads.

    Args:
        connect: Opens one more connection.
        cwd: Where relative narrative files are looked for first.
        drivers: The models, opened late and once.
        commands: Makes the commands that narratives may run, over a connection.
        note: Tells the user what they should know, a line each.
    """

    config: Config
    connect: Callable[[], Connection]
    identity: Identity
    clock: Clock
    chance: random.Random
    environ: Mapping[str, str]
    cwd: Path
    drivers: Drivers
    commands: Callable[[Connection], Commands]
    note: Callable[[str], None]
    _callers: WeakSet[LiveCaller] = field(default_factory=WeakSet, init=False, compare=False)

    def find(self, reference: str) -> tuple[NarrativeFile, Narrative]:
        """Return the narrative that the user means, with its file.

        Raises:
            ConfigError: There is none, or its file holds mistakes.
        """
        return find_narrative(reference, folders=self.config.narratives.folders, cwd=self.cwd)

    def resolve(self, file: NarrativeFile, nested: Nested) -> tuple[NarrativeFile, Narrative]:
        """Return what a nested input runs. See resolve_nested."""
        return resolve_nested(file, nested, cwd=self.cwd)

    def caller(
        self, conn: Connection, *, stop: Event, budgets: tuple[Mapping[str, float], ...]
    ) -> LiveCaller:
        """Return a caller for one thread. `budgets`: shares of the limits, the strongest last."""
        caller = LiveCaller(
            conn,
            models=self.config.models,
            budget=layered(self.config.budget, *budgets),
            identity=self.identity,
            clock=self.clock,
            chance=self.chance,
            drivers=self.drivers,
            stop=stop,
            note=self.note,
        )
        self._callers.add(caller)
        return caller

    def abandon_calls(self) -> None:
        """Write down the calls that workers are still at; nobody waits for their answers."""
        with closing(self.connect()) as conn:
            for caller in list(self._callers):
                caller.abandon(conn)

    def runner(
        self,
        conn: Connection,
        *,
        file: NarrativeFile,
        caller: Caller,
        sink: Sink,
        run_id: int | None,
        stop: Event,
        models: tuple[str, ...],
        override: tuple[str, ...] = (),
        variables: Mapping[str, str] = NOTHING,
    ) -> Runner:
        """Return a runner for the narratives of one file, in one thread.

        `models` are asked where neither act nor narrative names one, `override` instead of any
        that they name.
        """
        return Runner(
            conn=conn,
            caller=caller,
            file=file,
            sink=sink,
            commands=self.commands(conn),
            clock=self.clock,
            chance=self.chance,
            environ=self.environ,
            variables=variables,
            models=models,
            override=Override(models=override or self.config.models.only),
            resolve=self.resolve,
            context=self.config.narratives.context,
            fetch=partial(
                fetch, limit=LARGEST, is_private_allowed=self.config.narratives.private_urls
            ),
            owner=self.identity.owner,
            run_id=run_id,
            stop=stop,
            warn=self.note,
        )

    def rehearsal(
        self,
        conn: Connection,
        *,
        file: NarrativeFile,
        models: tuple[str, ...],
        override: tuple[str, ...] = (),
        variables: Mapping[str, str] = NOTHING,
    ) -> tuple[Runner, ForecastCaller]:
        """Return a runner that asks nobody and changes nothing, and what notes its calls."""
        caller = ForecastCaller(models=self.config.models, on=self.clock.now().date())
        runner = self.runner(
            conn,
            file=file,
            caller=caller,
            sink=NoSink(),
            run_id=None,
            stop=Event(),
            models=models,
            override=override,
            variables=variables,
        )
        return replace(runner, commands=_NothingHappens(), rehearsal=True), caller


class _NothingHappens:
    """Commands of a rehearsal: every one succeeds and does nothing."""

    def writes(self, platform: str, command: str) -> bool:  # noqa: ARG002 - Commands' signature
        """See Commands."""
        return False

    def run(self, call: Call) -> Any:  # noqa: ARG002 - Commands' signature
        """See Commands."""
        return {"id": "0"}
