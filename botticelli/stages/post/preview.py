"""What the post stage would do now, and nothing done: the same rules, the same request."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from botticelli import text as texts
from botticelli.config.model import Destination
from botticelli.errors import BotticelliError, Exit
from botticelli.platforms.base import Platform
from botticelli.platforms.rules.post_rules import RuleResult, objections
from botticelli.records import record
from botticelli.stages.post.stage import Posting
from botticelli.stages.post.target import examine, messages
from botticelli.store import pace
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts
from botticelli.store.delivery.posts import Queued, Waiting

LOOKED_AT: Final = 20  # posts tried until one passes the rules
# A delivery gets its nonce when it is planned, and planning is writing.
UNPLANNED_NONCE: Final = "made-when-it-is-planned"


@record
class Held:
    """A post that would be held, and why."""

    post: int
    why: str


@record
class Preview:
    """What one destination would get.

    Args:
        why: Why this post, or why none.
        due_at: When it would be sent; None: now, or never if `why` says so.
        requests: The very requests, in order: one, or several for a split text.
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
    requests: tuple[dict[str, Any], ...] = ()
    verdicts: tuple[RuleResult, ...] = ()
    held: tuple[Held, ...] = ()
    problem: str = ""


@record
class PreviewReport:
    """What `post` would do, destination by destination."""

    previews: tuple[Preview, ...]
    exit_code: Exit = Exit.DONE


def preview_next(posting: Posting, *, conn: Connection) -> PreviewReport:
    """Return what a run would send now to each destination. Nothing is written or sent anywhere.

    Raises:
        UsageError: There is no destination of that name.
    """
    chosen = posting.destinations
    queues = posts.read_queues(conn, [pace.wanted(one) for one in chosen])
    previews = tuple(_preview(posting, conn, one, queues[one.name]) for one in chosen)
    broken = any(one.problem for one in previews)
    return PreviewReport(previews=previews, exit_code=Exit.CONFIG if broken else Exit.DONE)


def _preview(
    posting: Posting, conn: Connection, destination: Destination, queued: Queued
) -> Preview:
    waiting = posts.peek(conn, pace.wanted(destination), limit=LOOKED_AT)
    due = pace.judge(
        conn,
        queued,
        destination,
        interval=posting.config.post.schedule.interval,
        ignoring_rhythm=posting.ignoring_rhythm,
    )
    if not waiting:
        return Preview(
            destination=destination.name,
            why="no approved post is waiting",
            due_at=None if due.is_now else due.at,
        )
    try:
        platform = posting.open_platform(destination)
        examiner = partial(
            _examine, conn, platform, destination, window=posting.config.similarity.window
        )
        chosen, held = _choose(examiner, waiting)
    except BotticelliError as error:
        return Preview(
            destination=destination.name, why="it cannot be prepared", problem=str(error)
        )
    why = f"not before {due.why}" if due.why else "the oldest approved post, and due now"
    if chosen is None:
        return Preview(
            destination=destination.name, why="every waiting post would be held", held=held
        )
    return Preview(
        destination=destination.name,
        why=why if due.is_now or due.at else f"never: {due.why}",
        due_at=None if due.is_now else due.at,
        post=chosen.post_id,
        delivery=chosen.delivery_id,
        text=texts.shorten(chosen.text, 72),
        requests=_requests(platform, destination, chosen),
        verdicts=examiner(chosen),
        held=held,
    )


def _choose(
    examiner: Callable[[Waiting], tuple[RuleResult, ...]], waiting: Sequence[Waiting]
) -> tuple[Waiting | None, tuple[Held, ...]]:
    """Return the first post that every rule lets out, and those in front of it that are held."""
    held: list[Held] = []
    for one in waiting:
        why = objections(examiner(one))
        if not why:
            return one, tuple(held)
        held.append(Held(post=one.post_id, why=why))
    return None, tuple(held)


def _examine(
    conn: Connection,
    platform: Platform,
    destination: Destination,
    post: Waiting,
    *,
    window: timedelta,
) -> tuple[RuleResult, ...]:
    return examine(
        conn,
        platform,
        destination,
        post_id=post.post_id,
        text=post.text,
        model=post.model,
        window=window,
    )


def _requests(
    platform: Platform, destination: Destination, post: Waiting
) -> tuple[dict[str, Any], ...]:
    nonce = post.nonce or UNPLANNED_NONCE
    return tuple(
        platform.preview(message)
        for message in messages(platform, destination, text=post.text, nonce=nonce)
    )
