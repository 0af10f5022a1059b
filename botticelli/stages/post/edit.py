"""Changing and taking back what is published already, at a person's wish."""

from collections.abc import Callable
from dataclasses import replace

from botticelli.config.model import Config, Destination
from botticelli.errors import UsageError
from botticelli.platforms.base import Platform
from botticelli.platforms.discord.open import place_of
from botticelli.platforms.rules.post_rules import objections, verdicts
from botticelli.stages.post.target import judged, messages
from botticelli.store.connection import Connection
from botticelli.store.delivery import decisions
from botticelli.store.delivery.decisions import Seen

Opener = Callable[[Destination], Platform]


def edit_post(
    conn: Connection, delivery_id: int, *, text: str, by: str, config: Config, open_platform: Opener
) -> Seen:
    """Replace the text of a published post; what it was stays in the delivery's history.

    Safe to repeat: the platform is changed first, then it is written down.

    Raises:
        UsageError: It is not published, or the new text breaks a rule of its destination.
        PlatformError: The platform could not be changed.
    """
    seen = _published(conn, delivery_id)
    destination = _destination(config, seen)
    platform = open_platform(destination)
    if why := objections(verdicts(judged(platform, destination, text=text, model=""))):
        raise UsageError(f"the new text breaks a rule ({why})", where=f"delivery {seen.id}")
    places = _places(seen, destination)
    pieces = messages(platform, destination, text=text, nonce=seen.nonce)
    if len(pieces) != len(places):
        raise UsageError(
            f"the post is {len(places)} messages long, the new text makes {len(pieces)}",
            where=f"delivery {seen.id}",
            hint="withdraw it and approve the new text",
        )
    for (remote_id, place), message in zip(places, pieces, strict=True):
        platform.edit(remote_id, replace(message, thread=place))
    decisions.record_edit(conn, seen, text=text, by=by)
    return decisions.find_delivery(conn, delivery_id)


def withdraw_post(
    conn: Connection, delivery_id: int, *, by: str, config: Config, open_platform: Opener
) -> Seen:
    """Delete a published post from its channel and keep its row. Safe to repeat.

    Raises:
        UsageError: It is not published.
        PlatformError: The platform could not be changed.
    """
    seen = _published(conn, delivery_id)
    destination = _destination(config, seen)
    platform = open_platform(destination)
    for remote_id, thread in reversed(_places(seen, destination)):
        platform.delete(remote_id, thread=thread)
    return decisions.decide(conn, delivery_id, "withdraw", by=by)


def _published(conn: Connection, delivery_id: int) -> Seen:
    seen = decisions.find_delivery(conn, delivery_id)
    if seen.state != "posted":
        raise UsageError(f"it is {seen.state}, not posted", where=f"delivery {seen.id}")
    if seen.remote_id is None:
        raise UsageError(
            "nobody knows which message it is (it was marked by hand)",
            where=f"delivery {seen.id}",
            hint=f"name it: `botticelli deliveries mark-posted {seen.id} --message ID`",
        )
    return seen


def _destination(config: Config, seen: Seen) -> Destination:
    if seen.destination not in config.destinations:
        raise UsageError(
            f"its destination '{seen.destination}' is no longer configured",
            where=f"delivery {seen.id}",
        )
    return config.destinations[seen.destination]


def _places(seen: Seen, destination: Destination) -> list[tuple[str, str]]:
    """Return (remote id, where it lies if not in the destination's channel) of each message."""
    if seen.parts:
        return [
            (part["remote_id"], part.get("thread") or place_of(destination, part.get("url", "")))
            for part in seen.parts
        ]
    assert seen.remote_id is not None
    return [(seen.remote_id, place_of(destination, seen.remote_url or ""))]
