"""The only way to a model: a stored answer if there is one, else a call that is paid for once."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from botticelli.budget.gate import Stopped
from botticelli.errors import BotticelliError, ConfigError, TryLater
from botticelli.models.base import (
    PermanentError,
    Request,
    TransientError,
    UnusableAnswer,
    Usage,
)
from botticelli.models.open import Opened
from botticelli.models.prompts import digest, readable
from botticelli.models.thoughts import without_thoughts
from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.answers.attempts import Attempts, PreparedCall
from botticelli.store.generation import executions
from botticelli.store.generation.executions import LASTING, ActKey, Attempt, StoredAnswer


class LiveCaller(Attempts):
    """Calls models and pays for it. One for each thread, since it holds a connection."""

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        """See Caller."""
        models = tuple(models) or self._drivers.config.default
        inputs = digest(request, models=models)
        may_be_there = key.item_id is not None or key.place.startswith(LASTING)
        found = may_be_there and executions.find_finished(self._conn, key, digest=inputs)
        if found:
            return _reused(found)
        blank = Attempt(
            **vars(key),
            attempt=0,
            inputs_digest=inputs,
            prompt=readable(request),
            state="failed",
            provider="",
            model="",
        )
        call = PreparedCall(request=request, blank=blank, numbers=itertools.count(1))
        failures: list[BotticelliError] = []
        for position, name in enumerate(models, start=1):
            try:
                self._refuse_again(name, request, key=key, digest=inputs)
                answer = self.ask_one(name, call, has_fallback=position < len(models))
            except Stopped:
                raise
            except (PermanentError, TransientError, TryLater, ConfigError) as error:
                failures.append(error)
            else:
                return replace(answer, asked=name)
        raise _gravest(failures)

    def _refuse_again(self, name: str, request: Request, *, key: ActKey, digest: str) -> None:
        """Do not pay for a picture that this item was refused before.

        Raises:
            UnusableAnswer: It was.
        """
        if request.image is None or key.item_id is None:
            return
        model = self.open(name).name
        reason = executions.find_refused(self._conn, key, digest=digest, model=model)
        if reason:
            what = f"no picture, as before: {reason}"
            raise UnusableAnswer(what, where=f"model {model}", hint="reword the prompt")

    def require(self, models: Sequence[str]) -> None:
        """See Caller."""
        self._opened(models)

    def reject(self, answer: Answer, reason: str) -> None:
        """See Caller."""
        if answer.execution_id is not None:
            executions.mark_unusable(self._conn, answer.execution_id, reason=reason)

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
        for name in tuple(models) or self._drivers.config.default:
            try:
                opened.append(self.open(name))
            except ConfigError as error:
                troubles.append(error)
        if not opened:
            raise troubles[0]
        return opened

    def _account(self, opened: Opened) -> dict[str, str]:
        return {"model": self._drivers.account(opened.name), "provider": opened.provider}


def _gravest(failures: Sequence[BotticelliError]) -> BotticelliError:
    """Return what the caller has to act on: another attempt, another day, or a fix."""
    for kind in (TransientError, TryLater):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return failures[0]


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
