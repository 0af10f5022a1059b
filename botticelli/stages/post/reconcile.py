"""Deliveries whose outcome nobody knows: sent again while that is harmless, else looked up.

A process died, an answer was lost, or a server failed behind our request. Nothing else goes to
that destination before it is settled.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from botticelli.errors import ConfigError, Exit
from botticelli.platforms.base import LockedOut, Looked, Message, NotSent, Receipt
from botticelli.stages.post.send import (
    CONFIG_DELAY,
    end,
    follow_up,
    keep_part,
    let_go,
    look_for,
    next_message,
    note_of,
    open_thread,
    posted,
    publish,
    still_ours,
)
from botticelli.stages.post.target import Desk, Result, traced
from botticelli.store.delivery import deliveries
from botticelli.store.delivery.deliveries import Delivery, Ending

# A channel read back right after a request may not show it yet (Discord's API Reference,
# Consistency).
SETTLING: Final = timedelta(seconds=60)
NOT_SENT: Final = "nothing had been sent when its process ended"
NOT_THERE: Final = "it was not in the channel, so it is sent again"


def reconcile(desk: Desk) -> list[Result]:
    """Settle the uncertain deliveries of a destination, or leave them for later; one at a time.

    Raises:
        LostLease: Somebody else has taken one over.
    """
    results: list[Result] = []
    while not any(one.state == "uncertain" for one in results):
        delivery = deliveries.claim_uncertain(
            desk.conn, desk.destination.name, owner=desk.owner, lease=desk.lease
        )
        if delivery is None:
            break
        results.append(traced(_reconcile, desk, delivery))
    return results


def _reconcile(desk: Desk, delivery: Delivery) -> Result:
    text = delivery.text_sent
    if text is None or (delivery.sent_at is None and not delivery.parts):
        return end(desk, delivery, Ending(state="pending", note=NOT_SENT))
    message = next_message(desk, delivery, text=text)
    if message is None or delivery.sent_at is None:  # between two messages of a split text
        return publish(desk, delivery, text=text)
    assert delivery.age is not None
    if delivery.is_wanted and delivery.age.total_seconds() < desk.platform.idempotency_seconds:
        return publish(desk, delivery, text=text, in_doubt=True)
    return _look(desk, delivery, message, text=text)


def _look(desk: Desk, delivery: Delivery, message: Message, *, text: str) -> Result:
    """Read the channel back and decide; a channel that cannot be believed is left to a person."""
    assert delivery.sent_at is not None
    open_thread(desk, delivery)
    try:
        looked = look_for(desk, delivery, message, since=delivery.sent_at)
    except (NotSent, ConfigError) as error:
        wait = getattr(error, "retry_after", None)
        delay = timedelta(seconds=wait) if wait is not None else CONFIG_DELAY
        return let_go(
            desk,
            delivery,
            note=f"the outcome is not known, and the channel cannot be asked ({error.what})",
            in_doubt=True,
            retry_after=delay if isinstance(error, ConfigError) or wait is not None else None,
            exit_code=Exit.CONFIG if isinstance(error, ConfigError) else Exit.UNAVAILABLE,
            locked_out=isinstance(error, LockedOut),
        )
    if looked.receipt is not None:
        return _found(desk, delivery, looked.receipt, message=message, text=text)
    return _not_found(desk, delivery, looked, text=text)


def _found(
    desk: Desk, delivery: Delivery, receipt: Receipt, *, message: Message, text: str
) -> Result:
    failed = follow_up(desk, receipt, is_first=not delivery.parts)
    if not delivery.parts and next_message(desk, _with(delivery, receipt), text=text) is None:
        return end(desk, delivery, posted(receipt, note=note_of(failed), at=receipt.at))
    keep_part(desk, delivery, receipt, thread=message.thread)
    return publish(desk, _with(delivery, receipt), text=text)


def _with(delivery: Delivery, receipt: Receipt) -> Delivery:
    part = {"remote_id": receipt.remote_id, "url": receipt.url}
    return replace(delivery, parts=(*delivery.parts, part), sent_at=None, age=None)


def _not_found(desk: Desk, delivery: Delivery, looked: Looked, *, text: str) -> Result:
    assert delivery.age is not None
    if not looked.certain:
        note = (
            f"it may or may not be in the channel ({looked.why}); look there, then"
            f" `botticelli deliveries mark-posted {delivery.id}` or `retry {delivery.id}`"
        )
        held = end(desk, delivery, Ending(state="held", note=note))
        return replace(held, exit_code=Exit.FAILED)
    if delivery.age < SETTLING:
        return let_go(
            desk,
            delivery,
            note="it is not in the channel yet; looked for again later",
            in_doubt=True,
            retry_after=SETTLING - delivery.age,
        )
    if delivery.parts:
        still_ours(deliveries.forget_request(desk.conn, delivery), delivery)
        return publish(desk, replace(delivery, sent_at=None, age=None), text=text)
    return end(desk, delivery, Ending(state="pending", note=NOT_THERE))
