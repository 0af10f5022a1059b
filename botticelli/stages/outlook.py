"""How much of a batch is left, and how long that takes: as so far, or as the budget allows."""

from botticelli.records import record
from botticelli.stages.generate.item import ItemRun
from botticelli.store.connection import Connection
from botticelli.store.generation import batches
from botticelli.store.runs import Usage


@record
class Outlook:
    """What is ahead of a batch.

    Args:
        calls: Model calls that its unfinished items still need, if every answer is valid.
        seconds: Until the last of them is answered; None: nothing was answered yet.
        day_is_short: Whether the provider's day has no room for them all.
    """

    calls: int
    seconds: float | None
    day_is_short: bool


def look_ahead(
    conn: Connection, item_run: ItemRun, *, batch_id: int, usage: Usage, elapsed: float
) -> Outlook:
    """Return the outlook of a batch, of which `usage` was asked for in `elapsed` seconds so far."""
    calls = sum(
        max(0, waiting.items * item_run.calls_of(waiting.narrative) - waiting.acts_done)
        for waiting in batches.list_waiting(conn, batch_id)
    )
    left = item_run.calls_left(conn)
    if not usage.calls:
        return Outlook(calls=calls, seconds=None, day_is_short=left is not None and left < calls)
    tokens = calls * usage.input_tokens // usage.calls
    return Outlook(
        calls=calls,
        seconds=max(
            calls * elapsed / usage.calls, item_run.seconds_for(conn, calls=calls, tokens=tokens)
        ),
        day_is_short=left is not None and left < calls,
    )
