"""What follows a published message: a thread, a crosspost, its link.

The message is out and settled before any of it is asked for. Each step is kept with the delivery
until it is done; a run takes up what is due, so that none is lost with a process or an answer.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from botticelli.backoff import Backoff
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.platforms.base import (
    LockedOut,
    NotSent,
    Platform,
    PlatformError,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.records import record
from botticelli.stages.post.target import PostTarget, Result, State
from botticelli.store.delivery.deliveries import Delivery
from botticelli.text import shorten

LONGEST_PAUSE: Final = 10.0  # seconds waited within a run for another attempt
BACKOFF: Final = Backoff(base=1)
BETWEEN_RUNS: Final = Backoff(base=60, cap=3600)

Step = dict[str, Any]


@record
class Followed:
    """How far what follows a message is.

    Args:
        retry_after: When open steps are due again; None: none is open.
    """

    steps: tuple[Step, ...]
    receipt: Receipt
    retry_after: timedelta | None
    locked_out: bool = False

    @property
    def state(self) -> State:
        """The state as it is reported."""
        return "unfinished" if self.note else "finished"

    @property
    def exit_code(self) -> Exit:
        """The message is out, whatever became of the rest."""
        return Exit.CONFIG if self.locked_out else Exit.DONE

    @property
    def note(self) -> str:
        """What is not done, and why; empty: all is."""
        missing = [f"{one['step']}: {one['note']}" for one in self.steps if one["state"] != "done"]
        return f"it is out, but what should follow failed ({'; '.join(missing)})" if missing else ""

    def result(self, delivery: Delivery) -> Result:
        """Return the report."""
        return Result(
            destination=delivery.destination,
            state=self.state,
            delivery=delivery.id,
            post=delivery.post_id,
            text=shorten(delivery.text, 72),
            remote_id=self.receipt.remote_id,
            url=self.receipt.url,
            note=self.note,
            exit_code=self.exit_code,
            locked_out=self.locked_out,
        )


def steps_of(platform: Platform) -> tuple[Step, ...]:
    """Return what follows a message that is published now."""
    return tuple({"step": step, "state": "open", "tries": 0} for step in platform.steps)


def follow(target: PostTarget, delivery: Delivery) -> Followed:
    """Do the open steps of a published delivery; one that fails keeps no other from being done."""
    receipt = Receipt(remote_id=delivery.remote_id or "", url=delivery.remote_url or "")
    steps = [dict(one) for one in delivery.steps]
    waits: list[float] = []
    error: BotticelliError | None = None
    for index, one in enumerate(steps):
        if one["state"] == "open" and not isinstance(error, LockedOut):
            receipt, error = _try(target, one["step"], receipt)
            steps[index] = after(one, error)
            if error is not None and steps[index]["state"] == "open":
                asked = getattr(error, "retry_after", None)
                waits.append(BETWEEN_RUNS.after(steps[index]["tries"], asked=asked))
    return Followed(
        steps=tuple(steps),
        receipt=receipt,
        retry_after=timedelta(seconds=min(waits)) if waits else None,
        locked_out=isinstance(error, LockedOut),
    )


def after(step: Mapping[str, Any], error: BotticelliError | None) -> Step:
    """Return a step after it was tried."""
    if error is None:
        return {**step, "state": "done", "tries": step["tries"] + 1, "note": ""}
    state = "refused" if isinstance(error, Refused) else "open"
    return {**step, "state": state, "tries": step["tries"] + 1, "note": advice(error)}


def _try(target: PostTarget, step: str, receipt: Receipt) -> tuple[Receipt, BotticelliError | None]:
    """Do a step, again after a short wait where that may help: twice is as once."""
    clock, retries = target.context.clock, target.context.config.post.retry
    for number in range(retries.max_retries + 1):
        try:
            return target.platform.follow(step, receipt), None
        except (PlatformError, ConfigError) as error:
            pause = pause_before(error, number)
            if number == retries.max_retries or pause is None:
                return receipt, error
        clock.sleep(pause)
    raise AssertionError("unreachable: the last attempt returns")


def advice(error: BotticelliError) -> str:
    """Return what is wrong and how to fix it."""
    problem = error.problems[0]
    return f"{problem.what}; {problem.hint}" if problem.hint else problem.what


def pause_before(error: BotticelliError, number: int) -> float | None:
    """Return the seconds before another attempt in this run; None if there must not be one."""
    if isinstance(error, Unconfirmed):
        return BACKOFF.after(number + 1)
    if not isinstance(error, NotSent):
        return None
    pause = BACKOFF.after(number + 1) if error.retry_after is None else error.retry_after
    return pause if pause <= LONGEST_PAUSE else None
