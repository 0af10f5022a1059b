"""One claimed delivery: checked, published, settled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from botticelli import text as texts
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.platforms.base import (
    Attachment,
    Gone,
    LockedOut,
    Looked,
    NotSent,
    OutgoingMessage,
    PlatformError,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.rules.post_rules import objections
from botticelli.records import record
from botticelli.stages.post.follow import Step, advice, after, pause_before, steps_of
from botticelli.stages.post.payment import paid
from botticelli.stages.post.target import PostTarget, Result, State
from botticelli.store.connection import DatabaseAway
from botticelli.store.delivery import deliveries, posts
from botticelli.store.delivery.deliveries import Beginning, Delivery, DeliveryResult
from botticelli.store.delivery.posts import PostContent
from botticelli.text import counted
from botticelli.web_bounds import bounded

LONGEST_DELAY: Final = timedelta(hours=1)
AS_BEFORE: Final = " (as the one before"
NOT_ADAPTED: Final = "it has to be adapted to this destination first: `botticelli adapt`"
# What answers a request must be there before its lease is over; others take the delivery up then.
WITHIN_LEASE: Final = 0.75
UPLOAD_LEASE: Final = timedelta(seconds=30)  # more for each attachment
LONGEST_UPLOADS: Final = timedelta(minutes=3)  # botticelli_impossible takes 5 minutes for a mistake
LARGEST_ANSWERS: Final = 32 * 1024 * 1024  # bytes, of all answers to one message's requests
CONFIG_DELAY: Final = timedelta(minutes=5)  # before who did not let us in is asked again


@record
class Ended:
    """How the work at a delivery ended; the rest of the report is in Result.

    `waits`: it keeps no other delivery from being sent.
    """

    ending: DeliveryResult
    exit_code: Exit = Exit.DONE
    locked_out: bool = False
    waits: bool = False

    @property
    def state(self) -> State:
        """The state as it is reported."""
        if self.waits:
            return "waiting"
        return "put back" if self.ending.state == "pending" else self.ending.state


def prepare(target: PostTarget, delivery: Delivery) -> "Ended | Sending":
    """Return what is to be sent of a new delivery; how it ended if a rule forbids that.

    Called within the claim, which then writes down that the request is made. One that has to be
    adapted first waits, and the next one is taken.
    """
    content = target.content(delivery.post_id)
    try:
        if target.waits_for_rendition(content):
            posts.ask_for_rendition(target.conn, content.post_id, delivery.destination)
            return Ended(ending=DeliveryResult(state="pending", note=NOT_ADAPTED), waits=True)
        found = target.examine(content)
    except (ConfigError, NotSent) as error:
        return requeued(error)
    if why := objections(found):
        if content.rendition == "held":
            why = f"{why}; it could not be adapted ({content.note})"
        return Ended(ending=DeliveryResult(state="held", note=why))
    return Sending(
        target=target,
        delivery=delivery,
        content=content,
        texts=target.texts(content),
        attachments=target.attachments(content, keep=True),
        is_begun=True,
    )


def settle(target: PostTarget, delivery: Delivery, ended: Ended) -> Result:
    """Write down how a delivery ended, and report it.

    Raises:
        LostLease: Somebody else has taken it over.
    """
    ending = ended.ending
    try:
        deliveries.settle(target.conn, delivery, ending)
    except DatabaseAway as error:
        raise DatabaseAway(
            f"delivery {delivery.id} is {ended.state}, which could not be stored ({error.what})",
            where=delivery.destination,
            hint="when the database is back, run botticelli post: it looks before it sends again",
        ) from error
    return Result(
        destination=delivery.destination,
        state=ended.state,
        delivery=delivery.id,
        post=delivery.post_id,
        text=texts.shorten(delivery.text, 72),
        remote_id=ending.remote_id or "",
        url=ending.remote_url or "",
        note=ending.note,
        exit_code=ended.exit_code,
        locked_out=ended.locked_out,
    )


@dataclass(kw_only=True)
class Sending:
    """A delivery's messages on their way out, one by one.

    Args:
        texts: Of all of them, in the platform's own form.
        in_doubt: Whether a request for the next message may have arrived already; it is made again
            only within the platform's idempotency window.
        is_begun: Whether the claim has written down already that the next request is made.
    """

    target: PostTarget
    delivery: Delivery
    content: PostContent
    texts: Sequence[str]
    attachments: tuple[Attachment, ...]
    in_doubt: bool = False
    is_begun: bool = False
    receipts: list[Receipt] = field(init=False)
    steps: list[Step] = field(init=False)

    def __post_init__(self) -> None:
        """Take up what is out already."""
        self.receipts = [_receipt(part) for part in self.delivery.parts]
        self.steps = [dict(one) for one in self.delivery.steps]
        self.steps = self.steps or list(steps_of(self.target.platform))

    def send(self) -> Ended:
        """Publish what is not out yet; return how that ended.

        Raises:
            LostLease: Somebody else has taken the delivery over.
        """
        age = self.delivery.age or timedelta()
        while len(self.receipts) < len(self.texts):
            if failure := self.open_thread():
                return self._not_out(failure)
            outcome = self._publish(age=age)
            if not isinstance(outcome, Receipt):
                return self._not_out(outcome)
            self.keep(outcome)
            self.in_doubt, age = False, timedelta()
        return posted(self.receipts[0], steps=self.steps)

    def next_message(self) -> OutgoingMessage | None:
        """Return the first message that is not known to be out; None if all of them are."""
        return next(iter(self._open_messages()), None)

    def _open_messages(self) -> tuple[OutgoingMessage, ...]:
        messages = self.target.messages(
            self.content,
            self.texts,
            attachments=self.attachments,
            nonce=self.delivery.nonce,
            receipts=self.receipts,
            planned_at=self.delivery.planned_at,
            begun_at=self.delivery.sent_at,
        )
        return messages[len(self.receipts) :]

    def open_thread(self) -> BotticelliError | None:
        """Make sure of the thread that the rest of a text goes into; return what is in the way."""
        for index, step in enumerate(self.steps if self.receipts else ()):
            if step["step"] == "thread" and step["state"] != "done":
                failure = self._follow("thread")
                self.steps[index] = after(step, failure)
                return failure
        return None

    def _follow(self, step: str) -> BotticelliError | None:
        try:
            self.target.platform.follow(step, self.receipts[0])
        except (PlatformError, ConfigError) as error:
            return error
        return None

    def keep(self, receipt: Receipt) -> None:
        """Keep the receipt of a message; in the database, if it is one of several.

        Raises:
            LostLease: Somebody else has taken the delivery over.
        """
        platform, is_first = self.target.platform, not self.receipts
        thread = "" if is_first else platform.thread_of(self.receipts[0])
        self.receipts.append(receipt)
        self.delivery = replace(self.delivery, sent_at=None, age=None)
        if len(self.texts) > 1:
            deliveries.add_part(
                self.target.conn,
                self.delivery,
                remote_id=receipt.remote_id,
                url=receipt.url,
                thread=thread,
                steps=self.steps,
            )

    def look_for(self, message: OutgoingMessage, *, since: datetime) -> Looked:
        """Read the channel back for a message that may have arrived.

        Raises:
            NotSent: The platform cannot be asked right now.
            ConfigError: The platform does not let us in.
        """
        known = deliveries.known_ids(
            self.target.conn, self.delivery.destination, since=since - timedelta(days=1)
        )
        return self.target.platform.find(message, since=since, known=known)

    def _publish(self, *, age: timedelta) -> Receipt | BotticelliError:
        """Return the receipt, or the last error when no further attempt is due.

        Before anything is sent again it is looked for: not every server drops a repeated nonce.
        `age` is how long ago the first request was begun.
        """
        clock, retries = self.target.context.clock, self.target.context.config.post.retry
        started = clock.monotonic() - age.total_seconds()
        failure: BotticelliError | None = None
        for number in range(retries.max_retries + 1):
            outcome = self._found() if self.in_doubt else None
            is_asked = outcome is None
            if outcome is None:
                if not self._may_repeat(clock.monotonic() - started):
                    return failure or Unconfirmed("it is too late to send it again unseen")
                outcome = self._ask()
            if isinstance(outcome, Receipt):
                return outcome
            failure = outcome if is_asked else failure or outcome
            pause = pause_before(outcome, number)
            is_last = number == retries.max_retries or pause is None
            if is_last or not self._may_repeat(clock.monotonic() - started + (pause or 0)):
                return failure
            clock.sleep(pause or 0)
        raise AssertionError("unreachable: the last attempt returns")

    def _ask(self) -> Receipt | BotticelliError:
        """Write down that the next message is asked for, and ask the platform for it."""
        if not self.is_begun:
            began = deliveries.begin(
                self.target.conn,
                self.delivery,
                self.beginning,
                place=self.target.wanted.place,
            )
            self.delivery = replace(self.delivery, sent_at=began)
        self.is_begun = False
        try:
            seconds = self.beginning.lease.total_seconds() * WITHIN_LEASE
            messages = self._open_messages()
            with bounded(seconds=seconds, size=LARGEST_ANSWERS), paid(self.target, messages):
                return self.target.platform.send(messages[0])
        except (PlatformError, ConfigError) as error:
            self.in_doubt = self.in_doubt or isinstance(error, Unconfirmed)
            return error

    @property
    def beginning(self) -> Beginning:
        """What is written down before the next message is asked for."""
        uploads = 0 if self.receipts else len(self.attachments)
        lease = self.target.context.config.supervision.lease
        return Beginning(
            text=self.content.text,
            messages=self.texts,
            lease=lease + min(uploads * UPLOAD_LEASE, LONGEST_UPLOADS),
        )

    def _found(self) -> Receipt | BotticelliError | None:
        """Return the receipt if it is there, None if not, or why the channel cannot be read."""
        message, since = self.next_message(), self.delivery.sent_at
        assert message is not None
        assert since is not None
        try:
            return self.look_for(message, since=since).receipt
        except (NotSent, LockedOut) as error:
            return error
        except ConfigError:
            return None  # what is not to be seen has only its nonce

    def _may_repeat(self, elapsed: float) -> bool:
        return not self.in_doubt or elapsed < self.target.platform.idempotency_seconds

    def _not_out(self, error: BotticelliError) -> Ended:
        """Return how a delivery ended whose next message was not published, or may have been."""
        out = len(self.receipts)
        if self.in_doubt:
            words = f"the outcome is not known ({error.what}); the next run looks"
            return uncertain(error, note=words)
        if isinstance(error, Refused):
            if not out:
                return self._refused(error)
            words = f"{self._out()}, then: {error.what}"
            return Ended(ending=DeliveryResult(state="held", note=words))
        if out:
            words = f"{self._out()}; the next run goes on ({advice(error)})"
            return uncertain(error, note=words, in_doubt=False)
        return requeued(error)

    def _out(self) -> str:
        """Return how much of the delivery is out, and where."""
        out, where = counted(len(self.receipts), "message"), self.receipts[0]
        return f"{out} of {len(self.texts)} sent ({where.url or where.remote_id})"

    def _refused(self, error: Refused) -> Ended:
        """Return the ending of a delivery that is refused for good.

        What refuses two in a row for one reason would refuse all that wait: they are spared.
        """
        before = deliveries.last_refusal(self.target.conn, self.delivery.destination)
        ending = DeliveryResult(state="failed", note=error.what, is_refused=True)
        if _reason(before) == _reason(error.what):
            note = (
                f"{error.what}{AS_BEFORE}: nothing is sent to '{self.delivery.destination}' for an"
                f" hour; mend it, then `botticelli deliveries retry {self.delivery.id}`)"
            )
            ending = replace(ending, state="pending", note=note, retry_after=LONGEST_DELAY)
        return Ended(ending=ending, exit_code=Exit.FAILED)


def posted(receipt: Receipt, *, steps: Sequence[Step], at: datetime | None = None) -> Ended:
    """Return the ending of a delivery whose (first) message has that receipt.

    `steps`: what follows.
    """
    ending = DeliveryResult(
        state="posted",
        remote_id=receipt.remote_id,
        remote_url=receipt.url,
        posted_at=at,
        steps=steps,
    )
    return Ended(ending=ending)


def _reason(note: str) -> str:
    """Return why something was refused, without what is said of the one text."""
    return note.partition(AS_BEFORE)[0].partition(": ")[0]


def requeued(error: BotticelliError) -> Ended:
    """Return the ending of a delivery of which nothing is out, because of an error."""
    delay = _delay(error) or timedelta(seconds=30)
    note = str(error.problems[0])
    return _because(error, DeliveryResult(state="pending", note=note, retry_after=delay))


def uncertain(error: BotticelliError, *, note: str, in_doubt: bool = True) -> Ended:
    """Return the ending of a delivery that the next run reconciles."""
    delay = _delay(error)
    ending = DeliveryResult(state="uncertain", note=note, in_doubt=in_doubt, retry_after=delay)
    return _because(error, ending)


def _because(error: BotticelliError, ending: DeliveryResult) -> Ended:
    locked_out = isinstance(error, LockedOut)
    return Ended(ending=ending, exit_code=exit_code_of(error), locked_out=locked_out)


def _delay(error: BotticelliError) -> timedelta | None:
    """Return how long nothing is sent to the destination; None if it may be tried at once."""
    if isinstance(error, NotSent) and error.retry_after is not None:
        return min(timedelta(seconds=error.retry_after), LONGEST_DELAY)
    if isinstance(error, Gone):
        return LONGEST_DELAY
    return CONFIG_DELAY if isinstance(error, ConfigError) else None


def exit_code_of(error: BotticelliError) -> Exit:
    """Return what a run ends with because of an error."""
    if isinstance(error, NotSent):
        return Exit.UNAVAILABLE if error.retry_after is None else Exit.TRY_LATER
    return error.exit_code


def _receipt(part: Mapping[str, Any]) -> Receipt:
    return Receipt(remote_id=str(part["remote_id"]), url=str(part.get("url", "")))
