"""A destination to post to: its client, its rules, the messages, and the result of a delivery."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from botticelli.clock import Clock
from botticelli.config import hiding
from botticelli.config.model import Config, Destination
from botticelli.errors import BotticelliError, ConfigError, Exit, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts
from botticelli.store.delivery.posts import PostContent, PostFilter
from botticelli.store.leases import Identity

if TYPE_CHECKING:
    from botticelli.platforms.base import Attachment, OutgoingMessage, Platform, Receipt
    from botticelli.platforms.rules.post_rules import RuleResult

READY: Final = ("ready", "held")  # states of a rendition that is not waited for

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
        from botticelli.store.kept_sessions import SealedSessions

        platform = self.open_platform(destination)
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
    def wanted(self) -> PostFilter:
        """Which posts it takes, and where it lies."""
        from botticelli.platforms.open import wanted_by

        return wanted_by(self.destination)

    @property
    def conn(self) -> Connection:
        """The connection that its deliveries are settled over."""
        return self.context.conn

    def content(self, post_id: int) -> PostContent:
        """Return what an approved post is for this destination: its rendition, if it has one."""
        return posts.read_content(self.conn, post_id, self.destination.name)

    def waits_for_rendition(self, content: PostContent) -> bool:
        """Return whether a post has to be adapted first, and neither is nor cannot be."""
        is_wanted = bool(self.destination.adapt) and content.rendition not in READY
        return is_wanted and not self.fits(content)

    def fits(self, content: PostContent) -> bool:
        """Return whether no message of a post is too long for the platform."""
        most = self.platform.limits.length
        return all(self._length(part) <= most for part in self._parts(content))

    def examine(self, content: PostContent) -> "tuple[RuleResult, ...]":
        """Return every rule's verdict on an approved post; real runs and dry runs share this.

        The first rule is that the post is as it was approved.

        Raises:
            ConfigError: A rule of the destination is broken.
        """
        from botticelli.platforms.rules.post_rules import RuleResult

        if not content.is_approved:
            return (RuleResult(rule="approval", why=_changed(content.post_id)),)
        duplicate = posts.find_duplicate(
            self.conn,
            self.wanted,
            post_id=content.post_id,
            text=content.text,
            window=self.context.config.similarity.window,
        )
        repeats = str(duplicate) if duplicate else ""
        return (RuleResult(rule="approval"), *self.judge(content, repeats=repeats))

    def judge(self, content: PostContent, *, repeats: str = "") -> "tuple[RuleResult, ...]":
        """Return the verdict of every rule that looks at the post alone."""
        from botticelli.platforms.rules.post_rules import PostFacts, RuleResult, verdicts

        limits = self.platform.limits
        try:
            attachments = self.attachments(content)
        except BotticelliError as error:
            return (RuleResult(rule="attachments", why=str(error.problems[0])),)
        return verdicts(
            PostFacts(
                text=content.text,
                parts=tuple(self._parts(content)),
                title=content.title,
                link=content.link,
                source=content.source,
                attachments=attachments,
                most_attachments=limits.attachments,
                destination=self.destination,
                max_length=limits.length,
                length=self._length,
                real=self.platform.real,
                model=content.model,
                repeats=repeats,
                secrets=hiding.current().secrets,
            )
        )

    def attachments(self, content: PostContent, *, keep: bool = False) -> "tuple[Attachment, ...]":
        """Return what is attached to a post, as the platform takes it. `keep`: see prepared.

        Raises:
            BotticelliError: It takes none like this.
        """
        if not content.is_attached_to:
            return ()
        from botticelli.stages.post.attachments import prepared

        return prepared(self.conn, content.post_id, self.platform.limits, keep=keep)

    def texts(self, content: PostContent) -> tuple[str, ...]:
        """Return the texts of a post's messages, in the platform's own form."""
        from botticelli.platforms.rules.splitting import split

        most = self.platform.limits.length
        return tuple(
            self.platform.render(piece)
            for part in self._parts(content)
            for piece in split(part, most, length=self._length)
        )

    def messages(
        self,
        content: PostContent,
        texts: Sequence[str],
        *,
        attachments: "tuple[Attachment, ...]",
        nonce: str,
        receipts: "Sequence[Receipt]" = (),
        planned_at: datetime | None = None,
        begun_at: datetime | None = None,
    ) -> "tuple[OutgoingMessage, ...]":
        """Return a post's messages: what is attached goes with the first one.

        The nonces of the further ones are derived from the delivery's own, which is committed.

        Args:
            content: The post.
            texts: Of all messages, as `texts` has them.
            attachments: As `attachments` has them.
            nonce: The delivery's.
            receipts: Of the messages that are out; the others go into the first one's thread, or
                are replies.
            planned_at: When the delivery was made.
            begun_at: When the request for the next message was begun.
        """
        from botticelli.platforms.base import OutgoingMessage

        thread = self.platform.thread_of(receipts[0]) if receipts else ""
        return tuple(
            OutgoingMessage(
                text=text,
                nonce=nonce if index == 0 else _derived(nonce, index),
                allowed_mentions=self.destination.guard.allowed_mentions,
                thread=thread if index else "",
                attachments=() if index else attachments,
                title="" if index else content.title,
                link="" if index else content.link,
                language=content.language or self.destination.language,
                planned_at=planned_at,
                begun_at=begun_at if index == len(receipts) else None,
                previous=tuple(receipts[:index]),
            )
            for index, text in enumerate(texts)
        )

    def _length(self, markdown: str) -> int:
        """Return how long a text is in the platform's own form."""
        return self.platform.length(self.platform.render(markdown))

    def _parts(self, content: PostContent) -> Sequence[str]:
        """Return the texts of a post, with its link where the platform shows none of itself."""
        first, *others = content.parts or (content.text,)
        if content.link and not self.platform.shows_link and content.link not in content.text:
            first = f"{first.rstrip()}\n\n{content.link}"
        return [first, *others]


def _changed(post_id: int) -> str:
    return (
        "it was changed after it was approved;"
        f" `botticelli trace p{post_id}` shows it, `botticelli approve p{post_id}` approves it"
    )


def _derived(nonce: str, index: int) -> str:
    """Return the nonce of a further message: the same after a crash, and nobody else's."""
    from hashlib import sha256

    return sha256(f"{nonce}:{index}".encode()).hexdigest()[:25]
