"""Whether a text may go out to a destination: the guard's rules, and what was said there lately."""

from datetime import datetime, timedelta

from botticelli.config.model import Destination
from botticelli.platforms.base import Platform
from botticelli.platforms.rules.post_rules import Judged, Verdict, verdicts
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts


def judged(
    platform: Platform, destination: Destination, *, text: str, model: str, repeats: str = ""
) -> Judged:
    """Return a text as the guard's rules look at it."""
    return Judged(
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
    now: datetime | None = None,
) -> tuple[Verdict, ...]:
    """Return every rule's word on an approved post; earnest and --dry-run share this.

    Raises:
        ConfigError: A rule of the destination is broken.
    """
    twin = posts.find_twin(
        conn, destination.name, post_id=post_id, text=text, window=window, now=now
    )
    repeats = str(twin) if twin else ""
    return verdicts(judged(platform, destination, text=text, model=model, repeats=repeats))
