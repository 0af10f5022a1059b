"""The only way to a model: a stored answer if there is one, else a call that is paid for once."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from botticelli.models.base import Request, Usage


@dataclass(frozen=True, kw_only=True)
class ActKey:
    """Which act of which run asks.

    Args:
        item_id: The item that may be resumed; None: nothing is ever reused.
        iteration: From 1.
        sequence: Place in the run of its narrative, from 0.
    """

    run_id: int | None = None
    item_id: int | None = None
    narrative: str
    iteration: int = 1
    act: str
    sequence: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer.

    Args:
        execution_id: Its row in act_executions; None: nothing was recorded (a dry run).
        model: The model that served it, as far as the provider says.
        cost_usd: What this answer cost now: 0 if it was reused.
        reused: Whether it had been paid for before.
    """

    text: str
    execution_id: int | None = None
    model: str = ""
    usage: Usage | None = None
    cost_usd: Decimal = Decimal(0)
    reused: bool = False


class Caller(Protocol):
    """Asks models. Safe to share between threads only where the filling says so."""

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        """Return an answer to `request` from the first of `models` that gives one.

        `request.model` is replaced by each model in turn. An answer that was stored for the
        same item, place and inputs is returned for nothing. A cut or blocked answer is recorded,
        and never returned.

        Raises:
            TryLater: The day's quota is spent on every model, or the run was asked to stop.
            TransientError: The attempts are used up.
            PermanentError: No further attempt can succeed.
            ConfigError: A key or a model is not configured.
        """

    def reject(self, answer: Answer, reason: str) -> None:
        """Note that `answer` could not be used, so that it is not reused."""
