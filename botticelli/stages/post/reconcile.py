"""Uncertain deliveries: sent again while that is harmless, else looked up in the channel.

A process died, an answer was lost, or a server failed behind our request. Nothing else goes to
that destination before it is settled.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.platforms.base import LockedOut, Looked, NotSent, OutgoingMessage, Receipt
from botticelli.stages.post.send import CONFIG_DELAY, Ended, Sending, posted
from botticelli.stages.post.target import PostTarget
from botticelli.store.delivery import channels, deliveries
from botticelli.store.delivery.deliveries import Delivery, DeliveryResult
from botticelli.text import parts_of

# A channel read back right after a request may not show it yet (Discord's API Reference,
# Consistency).
SETTLING: Final = timedelta(seconds=60)
NOT_SENT: Final = "nothing had been sent when its process ended"
NOT_THERE: Final = "it was not in the channel, so it is sent again"


def reconcile(target: PostTarget, delivery: Delivery) -> Ended | Sending:
    """Return what is still to be sent of an uncertain delivery, or how it ended.

    Raises:
        LostLease: Somebody else has taken it over.
    """
    text = delivery.text_sent
    if text is None or (delivery.sent_at is None and not delivery.parts):
        return Ended(ending=DeliveryResult(state="pending", note=NOT_SENT))
    here = {"", target.wanted.place}
    if delivery.place not in here and delivery.place != channels.place_now(
        target.conn, target.wanted
    ):
        note = (
            f"it may be in {delivery.place}, no longer this destination's channel; look there, then"
            f" `botticelli deliveries mark-posted {delivery.id}` or `drop {delivery.id}`"
        )
        return Ended(ending=DeliveryResult(state="held", note=note), exit_code=Exit.FAILED)
    content = target.content(delivery.post_id)
    if text != content.text:
        content = replace(content, text=text, parts=parts_of(text))
    texts = delivery.messages or target.texts(content)
    try:
        attachments = target.attachments(content)
    except BotticelliError as error:
        note = f"its outcome is not known, and its pictures cannot be prepared ({error.what})"
        return Ended(ending=DeliveryResult(state="held", note=note), exit_code=Exit.FAILED)
    sending = Sending(
        target=target, delivery=delivery, content=content, texts=texts, attachments=attachments
    )
    message = sending.next_message()
    if message is None or delivery.sent_at is None:  # between two messages of a split text
        return sending
    assert delivery.age is not None
    is_known = delivery.age.total_seconds() < target.platform.idempotency_seconds
    sending.in_doubt = delivery.is_wanted and is_known
    return sending if sending.in_doubt else _look(sending, message)


def _look(sending: Sending, message: OutgoingMessage) -> Ended | Sending:
    """Read the channel back and decide; a channel that cannot be believed is left to a person."""
    assert sending.delivery.sent_at is not None
    sending.open_thread()
    try:
        looked = sending.look_for(message, since=sending.delivery.sent_at)
    except (NotSent, ConfigError) as error:
        wait = getattr(error, "retry_after", None)
        delay = timedelta(seconds=wait) if wait is not None else CONFIG_DELAY
        note = f"the outcome is not known, and the channel cannot be asked ({error.what})"
        retry_after = delay if isinstance(error, ConfigError) or wait is not None else None
        return Ended(
            ending=DeliveryResult(state="uncertain", note=note, retry_after=retry_after),
            exit_code=Exit.CONFIG if isinstance(error, ConfigError) else Exit.UNAVAILABLE,
            locked_out=isinstance(error, LockedOut),
        )
    if looked.receipt is not None:
        return _found(sending, looked.receipt)
    return _not_found(sending, looked)


def _found(sending: Sending, receipt: Receipt) -> Ended | Sending:
    is_first = not sending.receipts
    sending.keep(receipt)
    if is_first and sending.next_message() is None:
        return posted(receipt, steps=sending.steps, at=receipt.at)
    return sending


def _not_found(sending: Sending, looked: Looked) -> Ended | Sending:
    delivery = sending.delivery
    assert delivery.age is not None
    if not looked.certain:
        note = (
            f"it may or may not be in the channel ({looked.why}); look there, then"
            f" `botticelli deliveries mark-posted {delivery.id}` or `retry {delivery.id}`"
        )
        held = DeliveryResult(state="held", note=note)
        return Ended(ending=held, exit_code=Exit.FAILED)
    if delivery.age < SETTLING:
        note = "it is not in the channel yet; looked for again later"
        left = SETTLING - delivery.age
        uncertain = DeliveryResult(state="uncertain", note=note, retry_after=left)
        return Ended(ending=uncertain, exit_code=Exit.FAILED)
    if not delivery.parts:
        return Ended(ending=DeliveryResult(state="pending", note=NOT_THERE))
    deliveries.forget_request(sending.target.conn, delivery)
    sending.delivery = replace(delivery, sent_at=None, age=None)
    return sending
