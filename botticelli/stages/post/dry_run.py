"""What the post stage would do now, and nothing done: the same rules, the same request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from botticelli import text as texts
from botticelli.config.model import Destination
from botticelli.errors import BotticelliError, Exit
from botticelli.platforms.base import OutgoingMessage, Receipt
from botticelli.platforms.open import wanted_by
from botticelli.records import record
from botticelli.stages.post.payment import bill_of
from botticelli.stages.post.target import PostContext, PostRequest, PostTarget
from botticelli.store.delivery import channels, posts, schedule
from botticelli.store.delivery.posts import PostContent, Queued, WaitingPost

if TYPE_CHECKING:
    from botticelli.platforms.rules.post_rules import RuleResult

LOOKED_AT: Final = 20  # posts tried until one passes the rules
# A delivery gets its nonce when it is planned, and planning is writing.
UNPLANNED_NONCE: Final = "made-when-it-is-planned"


@record
class MessageDryRun:
    """One message of a post.

    Args:
        length: As the platform counts, of `most`.
        dollars: What publishing it costs.
        requests: The very requests, in order: uploads first, then the one that publishes.
    """

    text: str
    length: int
    most: int
    dollars: Decimal
    requests: tuple[Mapping[str, Any], ...]


@record
class HeldPost:
    """A post that would be held, and why."""

    post: int
    why: str
    text: str = ""


@record
class DestinationDryRun:
    """What one destination would get.

    Args:
        why: Why this post, or why none.
        due_at: When it would be sent; None if now, or never (then `why` says so).
        messages: What would be sent, message by message.
        requests: All of their requests.
        rendition: State of the post's rendition for the destination; empty: its own text is sent.
        price: What it costs and what is left for it; empty: nothing.
        verdicts: Every rule's word on the post.
        held: Posts in front of it that would be held.
        problem: What has to be fixed before anything can be sent.
    """

    destination: str
    why: str
    due_at: datetime | None = None
    post: int | None = None
    delivery: int | None = None
    text: str = ""
    rendition: str = ""
    price: str = ""
    messages: tuple[MessageDryRun, ...] = ()
    requests: tuple[Mapping[str, Any], ...] = ()
    verdicts: "tuple[RuleResult, ...]" = ()
    held: tuple[HeldPost, ...] = ()
    problem: str = ""


@record
class PostDryRun:
    """What `post` would do, destination by destination."""

    previews: tuple[DestinationDryRun, ...]
    exit_code: Exit = Exit.DONE


def dry_run_post(context: PostContext, *, request: PostRequest | None = None) -> PostDryRun:
    """Return what a run would send now to each destination. Nothing is written or sent anywhere.

    Raises:
        UsageError: There is no destination of that name.
    """
    request = request or PostRequest()
    chosen = request.destinations(context.config)
    wanted = [wanted_by(one) for one in chosen]
    queues = posts.read_queues(context.conn, wanted)
    previews: list[DestinationDryRun] = []
    taken: set[tuple[str, int | None]] = set()
    for one in chosen:
        preview = _preview(context, request, one, queues[one.name])
        place = (channels.place_now(context.conn, wanted_by(one)), preview.post)
        if preview.post is not None and place in taken:
            why = f"another destination of its channel gets post {preview.post}"
            preview = DestinationDryRun(destination=one.name, why=why)
        elif place[0] and not wanted_by(one).is_practice:
            taken.add(place)
        previews.append(preview)
    broken = any(one.problem for one in previews)
    return PostDryRun(previews=tuple(previews), exit_code=Exit.CONFIG if broken else Exit.DONE)


def _preview(
    context: PostContext,
    request: PostRequest,
    destination: Destination,
    queued: Queued,
) -> DestinationDryRun:
    names, wanted = tuple(context.config.destinations), wanted_by(destination)
    due = schedule.due_for(
        context.conn,
        queued,
        destination,
        interval=context.config.post.schedule.interval,
        ignoring_rhythm=request.ignoring_rhythm,
    )
    name, due_at = destination.name, None if due.is_now else due.at
    waiting = posts.peek(
        context.conn, wanted, names=names, is_pin=due.is_pin and due.is_now, limit=LOOKED_AT
    )
    if not waiting:
        why = posts.why_none(context.conn, name)
        return DestinationDryRun(destination=name, why=why, due_at=due_at)
    try:
        channels.require_same(context.conn, wanted)
        target = context.open(destination)
        chosen, held = _choose(target, waiting)
    except BotticelliError as error:
        return DestinationDryRun(destination=name, why="it cannot be prepared", problem=str(error))
    if chosen is None:
        return DestinationDryRun(
            destination=name, why="every waiting post would be held", held=held
        )
    why = f"not before {due.why}" if due.why else "the oldest approved post, and due now"
    post, content, verdicts = chosen
    outgoing = _outgoing(target, post, content)
    messages = _messages(target, outgoing)
    return DestinationDryRun(
        destination=name,
        why=why if due.is_now or due.at else f"never: {due.why}",
        due_at=due_at,
        post=post.post_id,
        delivery=post.delivery_id,
        text=texts.shorten(content.text, 72),
        rendition=content.rendition,
        price=str(bill_of(target, outgoing) or ""),
        messages=messages,
        requests=tuple(request for one in messages for request in one.requests),
        verdicts=verdicts,
        held=held,
    )


def _outgoing(
    target: PostTarget, post: WaitingPost, content: PostContent
) -> tuple[OutgoingMessage, ...]:
    """Return a post's messages; the receipts of earlier ones are not known yet."""
    own = target.texts(content)
    return target.messages(
        content,
        own,
        attachments=target.attachments(content),
        nonce=post.nonce or UNPLANNED_NONCE,
        receipts=[Receipt(remote_id=f"<message {number + 1}>") for number in range(len(own) - 1)],
        planned_at=post.planned_at,
    )


def _messages(target: PostTarget, outgoing: Sequence[OutgoingMessage]) -> tuple[MessageDryRun, ...]:
    platform = target.platform
    return tuple(
        MessageDryRun(
            text=message.text,
            length=platform.length(message.text),
            most=platform.limits.length,
            dollars=platform.price(message),
            requests=tuple(platform.preview(message)),
        )
        for message in outgoing
    )


Chosen = tuple[WaitingPost, PostContent, "tuple[RuleResult, ...]"]


def _choose(
    target: PostTarget, waiting: Sequence[WaitingPost]
) -> tuple[Chosen | None, tuple[HeldPost, ...]]:
    """Return the first post that every rule lets out, and those in front of it that are held."""
    from botticelli.platforms.rules.post_rules import objections
    from botticelli.stages.post.send import NOT_ADAPTED

    held: list[HeldPost] = []
    for one in waiting:
        content = target.content(one.post_id)
        verdicts = target.examine(content)
        why = NOT_ADAPTED if target.waits_for_rendition(content) else objections(verdicts)
        if not why:
            return (one, content, verdicts), tuple(held)
        held.append(HeldPost(post=one.post_id, why=why, text=texts.shorten(content.text, 72)))
    return None, tuple(held)
