"""Edit or withdraw a published post."""

from dataclasses import replace

from botticelli.errors import UsageError
from botticelli.platforms.base import Receipt
from botticelli.platforms.rules.post_rules import objections
from botticelli.stages.post.target import PostContext, PostTarget
from botticelli.store.delivery import decisions
from botticelli.store.delivery.decisions import DeliveryView
from botticelli.text import counted, parts_of


def edit_post(context: PostContext, delivery_id: int, *, text: str, by: str) -> DeliveryView:
    """Replace the text of a published post; what it was stays in the delivery's history.

    Safe to repeat: the platform is changed first, then it is written down.

    Raises:
        UsageError: It is not published, or the new text breaks a rule of its destination.
        PlatformError: The platform could not be changed.
    """
    seen, target = _published(context, delivery_id, instead="edit")
    content = replace(target.content(seen.post_id), text=text, parts=parts_of(text))
    if why := objections(target.judge(content)):
        raise UsageError(f"the new text breaks a rule ({why})", where=f"delivery {seen.id}")
    places = _places(seen, target)
    receipts = [Receipt(remote_id=remote_id) for remote_id, _ in places]
    texts = target.texts(content)
    messages = target.messages(
        content,
        texts,
        attachments=target.attachments(content),
        nonce=seen.nonce,
        receipts=receipts,
        planned_at=seen.planned_at,
    )
    if len(messages) != len(places):
        raise UsageError(
            f"the post is {counted(len(places), 'message')} long,"
            f" the new text makes {len(messages)}",
            where=f"delivery {seen.id}",
            hint="withdraw it and approve the new text",
        )
    for (remote_id, place), message in zip(places, messages, strict=True):
        target.platform.edit(remote_id, replace(message, thread=place))
    decisions.record_edit(target.conn, seen, text=text, by=by)
    return decisions.find_delivery(target.conn, delivery_id)


def withdraw_post(context: PostContext, delivery_id: int, *, by: str) -> DeliveryView:
    """Delete a published post from its channel and keep its row. Safe to repeat.

    Raises:
        UsageError: It is not published.
        PlatformError: The platform could not be changed.
    """
    seen, target = _published(context, delivery_id, instead="reject")
    for remote_id, thread in reversed(_places(seen, target)):
        target.platform.delete(remote_id, thread=thread)
    return decisions.decide(target.conn, delivery_id, "withdraw", by=by)


def _published(
    context: PostContext, delivery_id: int, *, instead: str
) -> tuple[DeliveryView, PostTarget]:
    """Return a published delivery and where it lies.

    `instead`: the command for what is not sent yet.
    """
    seen = decisions.find_delivery(context.conn, delivery_id)
    where = f"delivery {seen.id}"
    if seen.state != "posted":
        hint = f"what is not sent yet: `botticelli {instead} p{seen.post_id}`"
        raise UsageError(f"it is {seen.state}, not posted", where=where, hint=hint)
    if seen.remote_id is None:
        raise UsageError(
            "which message it is is not known (it was marked by hand)",
            where=where,
            hint=f"name it: `botticelli deliveries mark-posted {seen.id} --message ID`",
        )
    known = context.config.destinations
    if seen.destination not in known:
        raise UsageError(
            f"its destination '{seen.destination}' is no longer configured", where=where
        )
    return seen, context.open(known[seen.destination])


def _places(seen: DeliveryView, target: PostTarget) -> list[tuple[str, str]]:
    """Return (remote id, where it lies if not in the destination's channel) of each message."""
    assert seen.remote_id is not None
    parts = seen.parts or ({"remote_id": seen.remote_id, "url": seen.remote_url},)
    receipts = [Receipt(remote_id=one["remote_id"], url=one.get("url") or "") for one in parts]
    return [
        (receipt.remote_id, part.get("thread") or target.platform.lies_in(receipt))
        for part, receipt in zip(parts, receipts, strict=True)
    ]
