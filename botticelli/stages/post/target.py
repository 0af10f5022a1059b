"""A destination to post to: its client, its rules, the messages, and the result of a delivery."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from botticelli.clock import Clock
from botticelli.config import hiding
from botticelli.config.model import Config, Destination
from botticelli.errors import ConfigError, Exit, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts
from botticelli.store.delivery.deliveries import Delivery
from botticelli.store.delivery.posts import WaitingPost
from botticelli.store.leases import Identity

if TYPE_CHECKING:
    from botticelli.platforms.base import OutgoingMessage, Platform
    from botticelli.platforms.rules.post_rules import RuleResult

State = Literal[
    "posted",
    "held",
    "failed",
    "put back",
    "uncertain",
    "waiting",
    "nothing",
    "finished",
    "unfinished",
]


@record
class PostContext:
    """What posting is given from outside; see StageContext.

    Args:
        open_platform: Called for a destination that has something to send, not before.
    """

    conn: Connection
    connect: Callable[[], Connection]
    config: Config
    identity: Identity
    clock: Clock
    open_platform: "Callable[[Destination], Platform]"

    def open(self, destination: Destination) -> "PostTarget":
        """Open a destination.

        Raises:
            ConfigError: Its client cannot be opened.
        """
        from botticelli.platforms.base import KeepsSession
        from botticelli.store.kept_sessions import SealedSessions

        platform = self.open_platform(destination)
        if isinstance(platform, KeepsSession):
            platform.keep_session(SealedSessions(self.conn))
        return PostTarget(context=self, destination=destination, platform=platform)


@record
class PostRequest:
    """What the command line asks for.

    Args:
        to: The one destination to serve; empty: all.
        limit: Most posts to each destination; None for the configured limit.
        ignoring_rhythm: Whether to leave out interval, hours, quiet dates and posts a day.
    """

    to: str = ""
    limit: int | None = None
    ignoring_rhythm: bool = False

    def destinations(self, config: Config) -> tuple[Destination, ...]:
        """Return the destinations to serve.

        Raises:
            UsageError: There is none of that name.
            ConfigError: There is none at all.
        """
        known = config.destinations
        if not known:
            raise ConfigError(
                "there is no destination to post to",
                where=str(config.source or "botticelli.toml"),
                hint="add a [destinations.NAME] table",
            )
        if self.to and self.to not in known:
            raise UsageError(
                f"there is no destination '{self.to}'", hint=f"name one of {', '.join(known)}"
            )
        return (known[self.to],) if self.to else tuple(known.values())


@record
class Result:
    """What became of one delivery, or why a destination got nothing.

    Args:
        state: "put back": nothing was published, it is tried again; "uncertain": it may have been
            published and is looked up by the next run; "waiting": not due yet; "finished",
            "unfinished": whether all that follows an earlier message is done.
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
class PostTarget:
    """A destination with its open client."""

    context: PostContext
    destination: Destination
    platform: "Platform"

    @property
    def conn(self) -> Connection:
        """The connection that its deliveries are settled over."""
        return self.context.conn

    def examine(self, post: Delivery | WaitingPost) -> "tuple[RuleResult, ...]":
        """Return every rule's verdict on an approved post; real runs and dry runs share this.

        The first rule is that the text is the one that was approved.

        Raises:
            ConfigError: A rule of the destination is broken.
        """
        from botticelli.platforms.rules.post_rules import RuleResult

        if not post.is_approved:
            return (RuleResult(rule="approval", why=_changed(post.post_id)),)
        duplicate = posts.find_duplicate(
            self.conn,
            self.destination,
            post_id=post.post_id,
            text=post.text,
            window=self.context.config.similarity.window,
        )
        repeats = str(duplicate) if duplicate else ""
        return (
            RuleResult(rule="approval"),
            *self.judge(post.text, model=post.model, repeats=repeats),
        )

    def judge(self, text: str, *, model: str = "", repeats: str = "") -> "tuple[RuleResult, ...]":
        """Return the verdict of every rule that looks at the text alone."""
        from botticelli.platforms.rules.post_rules import PostFacts, verdicts

        return verdicts(
            PostFacts(
                text=text,
                destination=self.destination,
                max_length=self.platform.limits.length,
                length=self._length,
                real=self.platform.real,
                model=model,
                repeats=repeats,
                secrets=hiding.current().secrets,
            )
        )

    def _length(self, markdown: str) -> int:
        """Return how long a text is in the platform's own form."""
        return self.platform.length(self.platform.render(markdown))

    def messages(self, text: str, *, nonce: str, thread: str = "") -> "tuple[OutgoingMessage, ...]":
        """Return what a text is published as: one message, or several if it has to be split.

        The nonces of the further ones are derived from the delivery's own, which is committed;
        these go into the `thread`.
        """
        from botticelli.platforms.base import OutgoingMessage
        from botticelli.platforms.rules.splitting import split

        pieces = split(text, self.platform.limits.length, length=self._length)
        return tuple(
            OutgoingMessage(
                text=self.platform.render(piece),
                nonce=nonce if index == 0 else _derived(nonce, index),
                allowed_mentions=self.destination.guard.allowed_mentions,
                thread=thread if index else "",
            )
            for index, piece in enumerate(pieces)
        )


def _changed(post_id: int) -> str:
    return (
        "the text was changed after it was approved;"
        f" `botticelli trace p{post_id}` shows it, `botticelli approve p{post_id}` approves it"
    )


def _derived(nonce: str, index: int) -> str:
    """Return the nonce of a further message: the same after a crash, and nobody else's."""
    from hashlib import sha256

    return sha256(f"{nonce}:{index}".encode()).hexdigest()[:25]
