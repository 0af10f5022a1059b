"""What a model is asked for, and its answer: one value from the driver to what stores its rows."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from botticelli.models.base import Finish, Request, Usage
from botticelli.records import record
from botticelli.store.generation.executions import ActKey


@record
class Answer:
    """An answer.

    Args:
        execution_id: Its row in act_executions; None if nothing was recorded (a dry run).
        asked: The model that was asked, as the list of models names it.
        model: The model that served it, as far as the provider says.
        finish: Why it ended; `finish_detail` is the provider's own word.
        cost_usd: What this answer cost now: 0 if it was reused.
        reused: Whether it had been paid for before.
    """

    text: str
    execution_id: int | None = None
    asked: str = ""
    model: str = ""
    finish: Finish = Finish.STOP
    finish_detail: str = ""
    usage: Usage | None = None
    cost_usd: Decimal = Decimal(0)
    reused: bool = False


class Caller(Protocol):
    """Asks models. Whether threads may share it depends on the implementation."""

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        """Return an answer to `request` from the first of `models` that gives one.

        `request.model` is replaced by each model in turn. An answer that was stored for the
        same item, place and inputs is returned for nothing. A cut or blocked answer is recorded,
        and never returned.

        Raises:
            TryLater: The day's quota is spent on every model, or the run was asked to stop.
            TransientError: The attempts are used up.
            PermanentError: None of the models gives an answer that can be used.
            ConfigError: A key or a model is not configured.
        """

    def require(self, models: Sequence[str]) -> None:
        """Check that one of `models` can be asked at all; nothing is sent.

        Raises:
            ConfigError: A key, a library or a file is missing for each of them.
        """

    def reject(self, answer: Answer, reason: str) -> None:
        """Note that `answer` could not be used, so that it is not reused."""
