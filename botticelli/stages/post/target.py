"""What it takes to write to one destination, what goes there, and what is told of it."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from botticelli import text as texts
from botticelli import tracing
from botticelli.clock import Clock
from botticelli.config.curation import Similarity
from botticelli.config.model import Destination, Retry
from botticelli.errors import Exit
from botticelli.platforms.base import Message, Platform
from botticelli.platforms.rules.post_rules import PostFacts, RuleResult, verdicts
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts
from botticelli.store.delivery.deliveries import Delivery

State = Literal["posted", "held", "failed", "put back", "uncertain", "waiting", "nothing"]


@record
class Result:
    """What became of one delivery, or why a destination got nothing.

    Args:
        state: "put back": nothing was published, it is tried again; "uncertain": it may have been
            published and is looked up by the next run; "waiting": not due yet.
        note: Why, for a person.
        next_due: When the destination may be posted to next.
        exit_code: What this result alone would end the command with.
    """

    destination: str
    state: State
    delivery: int | None = None
    post: int | None = None
    text: str = ""
    remote_id: str = ""
    url: str = ""
    note: str = ""
    next_due: datetime | None = None
    exit_code: Exit = Exit.DONE
    locked_out: bool = False


@record
class Desk:
    """What it takes to write to one destination. `window`: how long a text counts as said."""

    conn: Connection
    platform: Platform
    destination: Destination
    owner: str
    lease: timedelta
    retry: Retry
    clock: Clock
    window: timedelta = Similarity().window


def messages(
    platform: Platform, destination: Destination, *, text: str, nonce: str, thread: str = ""
) -> tuple[Message, ...]:
    """Return what a text is published as: one message, or several if it has to be split.

    The nonces of the further ones are derived from the delivery's own, which is committed.
    """
    pieces = texts.split(text, platform.max_length)
    return tuple(
        Message(
            text=piece,
            nonce=nonce if index == 0 else _derived(nonce, index),
            allowed_mentions=destination.guard.allowed_mentions,
            thread=thread if index else "",
        )
        for index, piece in enumerate(pieces)
    )


def _derived(nonce: str, index: int) -> str:
    """Return the nonce of a further message: the same after a crash, and nobody else's."""
    return hashlib.sha256(f"{nonce}:{index}".encode()).hexdigest()[:25]


def traced(work: Callable[[Desk, Delivery], Result], desk: Desk, delivery: Delivery) -> Result:
    """Do `work` at a delivery inside a span that tells what became of it."""
    facts: dict[str, tracing.Value | None] = {
        "botticelli.destination": delivery.destination,
        "botticelli.platform": desk.platform.name,
        "botticelli.delivery.id": delivery.id,
        "botticelli.post.id": delivery.post_id,
    }
    with tracing.span(f"deliver {delivery.destination}", facts, kind="client") as span:
        result = work(desk, delivery)
        span.set({"botticelli.delivery.state": result.state})
        if result.exit_code != Exit.DONE:
            span.fail(result.state)
        return result


def judged(
    platform: Platform, destination: Destination, *, text: str, model: str, repeats: str = ""
) -> PostFacts:
    """Return a text as the guard's rules look at it."""
    return PostFacts(
        text=text,
        destination=destination,
        max_length=platform.max_length,
        real=platform.real,
        model=model,
        repeats=repeats,
    )


def examine(
    conn: Connection,
    platform: Platform,
    destination: Destination,
    *,
    post_id: int,
    text: str,
    model: str,
    window: timedelta,
) -> tuple[RuleResult, ...]:
    """Return every rule's word on an approved post; earnest and --dry-run share this.

    Raises:
        ConfigError: A rule of the destination is broken.
    """
    twin = posts.find_twin(conn, destination.name, post_id=post_id, text=text, window=window)
    repeats = str(twin) if twin else ""
    return verdicts(judged(platform, destination, text=text, model=model, repeats=repeats))
