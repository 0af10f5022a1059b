"""The only way to a model: a stored answer if there is one, else a call that is paid for once."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from botticelli.budget.gate import Gate, Stop, Stopped
from botticelli.clock import Clock
from botticelli.config.model import Models, Multipliers
from botticelli.errors import BotticelliError, ConfigError, TryLater
from botticelli.models.base import PermanentError, Request, TransientError, Usage
from botticelli.models.open import Drivers, Opened
from botticelli.models.prompts import digest, readable
from botticelli.models.thoughts import without_thoughts
from botticelli.narrative.answers.answer import ActKey, Answer
from botticelli.narrative.answers.attempts import Attempts, PreparedCall
from botticelli.store.connection import Connection
from botticelli.store.generation import executions
from botticelli.store.generation.executions import Attempt, StoredAnswer
from botticelli.store.leases import Identity
from botticelli.store.ledger import Window


class LiveCaller:
    """Calls models and pays for it. One for each thread, since it holds a connection.

    Args:
        budget: Shares of the limits, after narrative, carousel and command line (limits.layered).
        drivers: Shared by all callers of a process; None to make its own.
        stop: Set when the run shall end; waits are left within a second.
        note: Called once with what the user should know (a model that was replaced ...).
    """

    def __init__(
        self,
        conn: Connection,
        *,
        models: Models,
        budget: Multipliers,
        identity: Identity,
        clock: Clock,
        chance: random.Random,
        drivers: Drivers | None = None,
        stop: Stop | None = None,
        note: Callable[[str], None] = lambda _line: None,
        window: Window | None = None,
    ) -> None:
        self._conn = conn
        self._models = models
        self._drivers = drivers or Drivers(models)
        self._gate = Gate(
            conn,
            models=models,
            multipliers=budget,
            identity=identity,
            clock=clock,
            stop=stop,
            window=window,
        )
        self._attempts = Attempts(
            conn, gate=self._gate, drivers=self._drivers, clock=clock, chance=chance, note=note
        )

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        """See Caller."""
        models = tuple(models) or self._models.default
        inputs = digest(request, models=models)
        found = self._finished(key, inputs)
        if found is not None:
            return _reused(found)
        call = PreparedCall(
            request=request,
            blank=_blank(key, inputs=inputs, prompt=readable(request)),
            numbers=itertools.count(1),
        )
        failures: list[BotticelliError] = []
        for position, name in enumerate(models, start=1):
            try:
                answer = self._attempts.ask(name, call, has_fallback=position < len(models))
            except Stopped:
                raise
            except (PermanentError, TransientError, TryLater, ConfigError) as error:
                failures.append(error)
            else:
                return replace(answer, asked=name)
        raise _gravest(failures)

    def require(self, models: Sequence[str]) -> None:
        """See Caller."""
        self._opened(models)

    def reject(self, answer: Answer, reason: str) -> None:
        """See Caller."""
        if answer.execution_id is not None:
            executions.mark_unusable(self._conn, answer.execution_id, reason=reason)

    def abandon(self, conn: Connection) -> None:
        """Write down the call that is under way in another thread and will not be waited for."""
        self._attempts.abandon(conn)

    def calls_left(self, models: Sequence[str]) -> int | None:
        """Return how many calls the day has left over all `models`; None if there is no limit."""
        left = 0
        for opened in self._opened(models):
            room = None if opened.is_free else self._gate.calls_left(**self._account(opened))
            if room is None:
                return None
            left += room
        return left

    def seconds_for(self, models: Sequence[str], *, calls: int, tokens: int) -> float:
        """Return how long the minute's allowance keeps the last of `calls` from being sent.

        Of `models` the first counts whose day is not spent.
        """
        for opened in self._opened(models):
            if opened.is_free:
                return 0.0
            if self._gate.calls_left(**self._account(opened)) != 0:
                return self._gate.seconds_for(**self._account(opened), calls=calls, tokens=tokens)
        return 0.0

    def _opened(self, models: Sequence[str]) -> list[Opened]:
        """Return those of the models that can be asked: `ask` passes over the others as well.

        Raises:
            ConfigError: There is none.
        """
        opened: list[Opened] = []
        troubles: list[ConfigError] = []
        for name in tuple(models) or self._models.default:
            try:
                opened.append(self._attempts.open(name))
            except ConfigError as error:
                troubles.append(error)
        if not opened:
            raise troubles[0]
        return opened

    def _account(self, opened: Opened) -> dict[str, str]:
        return {"model": self._drivers.account(opened.name), "provider": opened.provider}

    def _finished(self, key: ActKey, inputs: str) -> StoredAnswer | None:
        if key.item_id is None:
            return None
        return executions.find_finished(
            self._conn,
            item_id=key.item_id,
            place=key.place,
            sequence=key.sequence,
            digest=inputs,
        )


def _gravest(failures: Sequence[BotticelliError]) -> BotticelliError:
    """Return what the caller has to act on: another attempt, another day, or a fix."""
    for kind in (TransientError, TryLater):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return failures[0]


def _blank(key: ActKey, *, inputs: str, prompt: str) -> Attempt:
    return Attempt(
        run_id=key.run_id,
        item_id=key.item_id,
        narrative=key.narrative,
        iteration=key.iteration,
        act_name=key.act,
        place=key.place,
        sequence_number=key.sequence,
        attempt=0,
        inputs_digest=inputs,
        prompt=prompt,
        state="failed",
        provider="",
        model="",
    )


def _reused(found: StoredAnswer) -> Answer:
    usage = Usage(
        input=found.input_tokens or 0,
        cached=found.cached_tokens or 0,
        output=found.output_tokens or 0,
        thoughts=found.thought_tokens or 0,
    )
    return Answer(
        text=without_thoughts(found.response),
        execution_id=found.id,
        model=found.model,
        usage=None if found.input_tokens is None else usage,
        reused=True,
    )
