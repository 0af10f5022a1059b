"""What a platform is to this house: a place that takes a message exactly once.

Three kinds of call are kept apart: *look* (safe to repeat), *publish* (once, then reconcile) and
*bookkeeping* (edit, delete: safe to repeat). The errors name what the caller must do, not what
broke: NotSent (nothing arrived: try again), Refused (never will), Unconfirmed (look before
anything else).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from botticelli.errors import BotticelliError, ConfigError
from botticelli.records import record


@record
class OutgoingMessage:
    """What is to be published: the text, byte for byte, and the delivery's own nonce.

    Args:
        allowed_mentions: Ids of users and roles that this text may ping.
        thread: Remote id of the thread it belongs into; empty: the channel itself.
    """

    text: str
    nonce: str
    allowed_mentions: tuple[str, ...] = ()
    thread: str = ""


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


@runtime_checkable
class Platform(Protocol):
    """One destination, written to as one author. Not shared between threads."""

    name: str
    max_length: int  # in UTF-16 units
    idempotency_seconds: float  # how long the same nonce makes no second message; 0: never
    real: bool  # False: an outbox, which may also take what the offline model wrote

    def preview(self, message: OutgoingMessage) -> dict[str, Any]:
        """Return the very request that `send` would make: method, url, json. No secret in it."""

    def send(self, message: OutgoingMessage) -> Receipt:
        """Publish once. One request, no retry inside.

        Raises:
            NotSent: Nothing was published; `retry_after` says when to try again.
            Refused: Nothing was published and never will be, as it stands.
            Unconfirmed: It may have been published.
            ConfigError: The platform does not let us in.
        """

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

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """Replace the text of a published message. Safe to repeat. Raises as `send`."""

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """Take a published message back; one that is gone already is done. Raises as `send`."""

    @property
    def steps(self) -> Sequence[str]:
        """What follows a published message, in order: a thread, a crosspost, its link."""

    def follow(self, step: str, receipt: Receipt) -> Receipt:
        """Do one of the `steps`; return the receipt with what it has brought. Safe to repeat.

        Raises as `send`; the message itself is out whatever happens here.
        """

    def whereabouts(self) -> str:
        """Ask which place it writes to, where its address does not say; empty: nobody says.

        Two destinations of one place are told by it: "discord:CHANNEL".
        """

    def thread_of(self, receipt: Receipt) -> str:
        """Return the thread that the further messages of a text go into; empty: none."""

    def lies_in(self, receipt: Receipt) -> str:
        """Return where a message lies, if that is not where messages are published now."""

    def check(self) -> Sequence[str]:
        """Ask the platform whether we may post; return the problems, for a person.

        Raises:
            NotSent: The platform cannot be asked right now.
        """


class NothingFollows:
    """What a platform is that has neither threads nor anything that follows a message."""

    steps: Sequence[str] = ()

    def follow(self, step: str, receipt: Receipt) -> Receipt:
        """See Platform."""
        del step
        return receipt

    def whereabouts(self) -> str:
        """See Platform."""
        return ""

    def thread_of(self, receipt: Receipt) -> str:
        """See Platform."""
        del receipt
        return ""

    lies_in = thread_of


@runtime_checkable
class TellsTime(Protocol):
    """A Platform whose answers say what time it is there."""

    @property
    def told_time(self) -> datetime | None:
        """Its clock when it last answered, within half a second, or None if it did not say."""


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
