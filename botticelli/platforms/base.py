"""What a platform is to this house: a place that takes a message exactly once.

Three kinds of call are kept apart: *look* (safe to repeat), *publish* (once, then reconcile) and
*bookkeeping* (edit, delete: safe to repeat). The errors name what the caller must do, not what
broke: NotSent (nothing arrived: try again), Refused (never will), Unconfirmed (look before
anything else). Whoever publishes knows no platform by its name.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botticelli.errors import BotticelliError, ConfigError, Problem
from botticelli.records import record
from botticelli.text import utf16_length

if TYPE_CHECKING:
    from botticelli.clock import Clock
    from botticelli.config.model import Destination
    from botticelli.platforms.connecting import Asker, Credentials
    from botticelli.platforms.rate_limits import SharedLimits
    from botticelli.store.kept_sessions import SealedSessions

ShownRequest = Mapping[str, Any]  # method, url, and json, form or files; no secret in it


@record
class Attachment:
    """A picture or file of a post.

    Args:
        sha256: Of the content, in hex.
        mime: Such as image/png.
        alt: What is on it, for those who do not see it.
        width, height: In pixels; 0: it is no picture, or not known.
        name: A file name that suits it.
        is_generated: Whether a model made it: some platforms want to be told.
    """

    sha256: str
    mime: str
    content: bytes
    alt: str = ""
    width: int = 0
    height: int = 0
    name: str = ""
    is_generated: bool = False

    @property
    def shown(self) -> dict[str, Any]:
        """What a dry run shows of it in place of the bytes."""
        facts = {"name": self.name, "mime": self.mime, "bytes": len(self.content)}
        return facts | {"sha256": self.sha256, "alt": self.alt}

    @property
    def stored_as(self) -> str:
        """Its file's name in a folder: equal ones are one file."""
        import mimetypes

        return self.sha256 + (mimetypes.guess_extension(self.mime) or "")


@record
class OutgoingMessage:
    """What is to be published, in the platform's own form already.

    Args:
        text: Sent byte for byte.
        nonce: The message's own, for ever: the once-key where a platform has one.
        allowed_mentions: Ids of users and roles that this text may ping.
        thread: Remote id of the thread it belongs into; empty: the channel itself.
        language: A tag such as "en"; empty: unknown.
        planned_at: When the delivery was made; never changes.
        begun_at: When the first request for this message was begun, before it was made.
        previous: Of a chain of replies: the earlier messages, the root first, the parent last.
    """

    text: str
    nonce: str
    allowed_mentions: tuple[str, ...] = ()
    thread: str = ""
    attachments: tuple[Attachment, ...] = ()
    title: str = ""
    link: str = ""
    language: str = ""
    planned_at: datetime | None = None
    begun_at: datetime | None = None
    previous: "tuple[Receipt, ...]" = ()


@record
class Receipt:
    """Proof that the platform has the message.

    Args:
        at: When it was published, if the platform says so.
    """

    remote_id: str
    url: str = ""
    at: datetime | None = None


@record
class Looked:
    """What reading the channel back found.

    Args:
        receipt: The message, if it is there.
        certain: Whether "not there" can be believed (the channel could be read, far enough back).
        why: What stood in the way, for a person.
    """

    receipt: Receipt | None = None
    certain: bool = False
    why: str = ""


@record
class MessageLimits:
    """What a platform takes in one message.

    Args:
        length: Of the text, as the platform's own `length` counts.
        attachments: Most of them; 0: it takes none.
        attachment_bytes: Of each of them; 0: not limited.
        pixels: Width times height of a picture; 0: not limited.
        alt: Characters of an alternative text; 0: not limited.
        mimes: Kinds of attachments; empty: any.
    """

    length: int
    attachments: int = 0
    attachment_bytes: int = 0
    pixels: int = 0
    alt: int = 0
    mimes: tuple[str, ...] = ()


class Platform:
    """One destination, written to as one author. Not shared between threads.

    What a platform may lack has a default here: a simple one has `limits`, `preview`, `send`,
    `find` and `delete`.
    """

    name: str
    limits: MessageLimits  # what one message may hold; a server may be asked for it once
    idempotency_seconds: float = 0.0  # how long the same nonce makes no second message; 0: never
    real = True  # False: an outbox, which may also take what the offline model wrote
    shows_link = False  # whether a message's link is shown where it does not stand in the text

    def length(self, text: str) -> int:
        """Return the length of a text in the platform's own form, by its own rule. Pure."""
        return utf16_length(text)

    def render(self, markdown: str) -> str:
        """Return Markdown in the platform's own form. Pure."""
        return markdown

    def price(self, message: OutgoingMessage) -> Decimal:
        """Return the US dollars that publishing a message costs. Pure."""
        del message
        return Decimal(0)

    def preview(self, message: OutgoingMessage) -> Sequence[ShownRequest]:
        """Return the very requests that `send` would make, uploads first. No secret in them."""
        raise NotImplementedError

    def send(self, message: OutgoingMessage) -> Receipt:
        """Publish once: what is attached is uploaded first, then one request; no retry inside.

        An upload that fails is NotSent or Refused, never Unconfirmed.

        Raises:
            NotSent: Nothing was published; `retry_after` says when to try again.
            Refused: Nothing was published and never will be, as it stands.
            Unconfirmed: It may have been published.
            ConfigError: The platform does not let us in.
        """
        raise NotImplementedError

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """Look the message up among our own, from `since` on. Safe to repeat.

        Args:
            message: Compared by its normalised text: a platform may trim or strip.
            since: Nothing older is looked at.
            known: Remote ids of other deliveries to this destination, which may say the same, and
                URLs of deliveries to others.

        Raises:
            NotSent: The platform cannot be asked right now.
            ConfigError: The platform does not let us in.
        """
        del message, since, known
        return Looked(why="this platform cannot be read back")

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """Replace the text of a published message. Safe to repeat. Raises as `send`."""
        del message
        raise Refused("this platform changes nothing that is out", where=remote_id)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """Take a published message back; one that is gone already is done. Raises as `send`."""
        raise NotImplementedError

    @property
    def steps(self) -> Sequence[str]:
        """What follows a published message, in order: a thread, a crosspost, its link."""
        return ()

    def follow(self, step: str, receipt: Receipt) -> Receipt:
        """Do one of the `steps`; return the receipt with what it has brought. Safe to repeat.

        Raises as `send`; the message itself is out whatever happens here.
        """
        del step
        return receipt

    observes = False  # whether readers' reactions can be counted
    has_chains = True  # whether further messages of a text are counted as replies
    look_price = Decimal(0)  # US dollars for each post that is looked at

    def observe(self, receipts: Sequence[Receipt]) -> Mapping[str, Mapping[str, int] | None]:
        """Count what readers did with messages of ours; few requests for many. Safe to repeat.

        Returns remote id -> counts by name ("likes", "replies", "reposts", "quotes", "members" of a
        thread ...), None for a message that is not there any more. Of one that is missing nothing
        is known. Nobody's name is in it.

        Raises:
            NotSent: The platform cannot be asked right now.
            ConfigError: The platform does not let us in.
        """
        del receipts
        return {}

    def own_replies(self, receipt: Receipt, messages: int) -> int:
        """Return how many replies to the first of several messages of one text are its others.

        All of them where they lie in its thread; of a chain, where each answers the one before it,
        one.
        """
        return messages - 1 if self.thread_of(receipt) else min(messages - 1, int(self.has_chains))

    def whereabouts(self) -> str:
        """Ask which place it writes to, where its address does not say; empty: nobody says.

        Two destinations of one place are told by it: "discord:CHANNEL".
        """
        return ""

    def thread_of(self, receipt: Receipt) -> str:
        """Return the thread that the further messages of a text go into; empty: none."""
        del receipt
        return ""

    def lies_in(self, receipt: Receipt) -> str:
        """Return where a message lies, if that is not where messages are published now."""
        del receipt
        return ""

    @property
    def told_time(self) -> datetime | None:
        """Its clock when it last answered, within half a second, or None if it did not say."""
        return None

    def keep_session(self, sessions: "SealedSessions") -> None:
        """Look for the session there, if there is any, and keep it there, from now on."""

    def check(self) -> Sequence[str]:
        """Ask the platform whether we may post; return the problems, for a person.

        Raises:
            NotSent: The platform cannot be asked right now.
        """
        try:
            return tuple(self.problems())
        except NotSent:
            raise
        except BotticelliError as error:
            return (str(error),)

    def problems(self) -> Iterable[str]:
        """Yield what `check` returns; an error that comes up is the one problem, then."""
        return ()

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of the place once `check` finds nothing, a few words each.

        Raises:
            NotSent: The platform cannot be asked right now.
        """
        return ()


class Room:
    """A platform as its name stands for it, before anything is opened; no network."""

    real = True  # as Platform
    writes_files = False  # into `folder`
    longest = 0  # `MessageLimits.length` where no server says otherwise; 0: the server says it
    secrets: tuple[tuple[str, str], ...] = ()  # keys of a destination, and their variables
    server = ""  # address of its API where a destination names none
    server_hint = "base_url"  # what names another one

    def open(
        self, destination: "Destination", *, clock: "Clock", limits: "SharedLimits"
    ) -> Platform:
        """Return the client of a destination; nothing is sent yet.

        Args:
            destination: Where to write to.
            clock: What waits are measured by.
            limits: What the process has learnt of rate limits.

        Raises:
            ConfigError: The destination lacks something.
        """
        if problems := self.missing(destination):
            raise ConfigError.of(problems)
        return self.opened(destination, clock=clock, limits=limits)

    def opened(
        self, destination: "Destination", *, clock: "Clock", limits: "SharedLimits"
    ) -> Platform:
        """Return the client of a destination that lacks nothing. See `open`."""
        raise NotImplementedError

    def missing(self, destination: "Destination") -> Sequence[Problem]:
        """Return what a destination lacks before anything can be sent to it."""
        return tuple(self.problems(destination))

    def problems(self, destination: "Destination") -> Iterable[Problem]:
        """Yield what a destination lacks. See `missing`."""
        del destination
        return ()

    def root(self, destination: "Destination") -> str:
        """Return the address of a destination's server; empty: it names none.

        Raises:
            ConfigError: It is none that a secret may be sent to.
        """
        from botticelli.config.addresses import require_safe

        named = destination.base_url or self.server
        where = f"destinations.{destination.name}.base_url"
        return require_safe(named, where=where, hint=self.server_hint) if named else ""

    def place(self, destination: "Destination") -> str:
        """Return the place that a destination writes to, without the platform; empty: unknown.

        Two destinations of one place are told by it.
        """
        return destination.channel

    def completed(
        self, destination: "Destination", environ: Mapping[str, str], unset: dict[str, str]
    ) -> "Destination":
        """Return a destination with what it leaves to the environment.

        Args:
            destination: As the file says.
            environ: Variables and credentials.
            unset: Key -> variable that nobody has set; those of this destination are added.
        """
        from botticelli.config.secrets import find_secret

        found: dict[str, Any] = {
            key: find_secret(variable, environ)
            for key, variable in self.secrets
            if not getattr(destination, key)
            and f"destinations.{destination.name}.{key}" not in unset
        }
        return replace(destination, **found)

    def connect(self, ask: "Asker", *, clock: "Clock") -> "Credentials":
        """Return credentials that the person gives or gets, tried out at the platform.

        Args:
            ask: Asks the person.
            clock: What waits are measured by.

        Raises:
            UsageError: A question is not answered.
            ConfigError: They do not do, or there is nothing to get.
            NotSent: The platform cannot be asked right now.
        """
        del ask, clock
        raise ConfigError("there is nothing to connect", hint="it needs no credentials of its own")


def lack(
    destination: "Destination", key: str, what: str, hint: str, *, is_unset: bool = False
) -> Problem:
    """Return a problem with a key of a destination."""
    where = f"destinations.{destination.name}.{key}"
    return Problem(what=what, where=where, hint=hint, is_unset=is_unset)


def told(read: Callable[[], object]) -> Sequence[Problem]:
    """Return the problems that a reading of settings raises."""
    try:
        read()
    except ConfigError as error:
        return error.problems
    return ()


class PlatformError(BotticelliError):
    """A call to a platform failed."""


class NotSent(PlatformError):
    """Nothing was published; another attempt may succeed.

    Args:
        retry_after: Seconds to wait before it, or None if the platform did not say.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.retry_after = retry_after


class Refused(PlatformError):
    """Nothing was published, and never will be as it stands.

    Args:
        code: The platform's own number for it; 0: none is known.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", code: int = 0) -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code


class LockedOut(ConfigError):
    """The platform rejects our credentials: nothing was published, and every call counts."""


class LockedOutMidway(LockedOut):
    """The same, after a part of the work was done, or may have been."""


class KeptOut(ConfigError):
    """The platform lets us into this one destination no more, neither to read nor to write."""


class Gone(KeptOut):
    """What we write through exists no more: asking again can only be held against us."""


class Unconfirmed(PlatformError):
    """The request may have been carried out: look before anything else is done."""
