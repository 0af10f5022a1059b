"""One claimed delivery: judged, published, settled; every ending is written down here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from botticelli import text as texts
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.platforms.base import (
    Gone,
    KeptOut,
    LockedOut,
    Looked,
    Message,
    NotSent,
    Platform,
    PlatformError,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.rules.post_rules import objections
from botticelli.stages.post.target import Desk, Result, State, examine, messages
from botticelli.store.delivery import deliveries
from botticelli.store.delivery.deliveries import Delivery, Ending
from botticelli.store.queue import LostLease

LONGEST_PAUSE: Final = 10.0  # seconds waited within a run for another attempt
FIRST_PAUSE: Final = 1.0
LONGEST_DELAY: Final = timedelta(hours=1)
CONFIG_DELAY: Final = timedelta(
    minutes=5
)  # before a platform that did not let us in is asked again


def deliver(desk: Desk, delivery: Delivery) -> Result:
    """Send a claimed delivery, or hold it if a rule forbids that.

    Raises:
        LostLease: Somebody else has taken it over.
    """
    try:
        found = examine(
            desk.conn,
            desk.platform,
            desk.destination,
            post_id=delivery.post_id,
            text=delivery.text,
            model=delivery.model,
            window=desk.window,
        )
    except ConfigError as error:
        return _put_back(desk, delivery, error)
    if why := objections(found):
        return end(desk, delivery, Ending(state="held", note=why))
    return publish(desk, delivery, text=delivery.text)


def publish(desk: Desk, delivery: Delivery, *, text: str, in_doubt: bool = False) -> Result:
    """Publish what is not out yet of a delivery's text, and settle it.

    `in_doubt` tells that a request for the next message may have arrived already; it is made again
    only within the platform's idempotency window.

    Raises:
        LostLease: Somebody else has taken it over.
    """
    receipts = [_receipt(part) for part in delivery.parts]
    failed = open_thread(desk, delivery)
    age = delivery.age or timedelta()
    while len(receipts) < len(all_of := _messages(desk, delivery, text, receipts)):
        attempt = _Attempt(in_doubt=in_doubt, age=age)
        outcome = attempt.make(desk, delivery, all_of[len(receipts)], text=text)
        if isinstance(outcome, KeptOut) and failed and receipts:
            outcome = failed  # there is no thread yet to write into
        if not isinstance(outcome, Receipt):
            doubt, out = attempt.in_doubt, len(receipts)
            return _not_out(desk, delivery, outcome, in_doubt=doubt, out=out)
        failed = follow_up(desk, outcome, is_first=not receipts) or failed
        receipts.append(outcome)
        in_doubt, age = False, timedelta()
        if len(all_of) > 1:
            keep_part(desk, delivery, outcome, thread=all_of[len(receipts) - 1].thread)
    return end(desk, delivery, posted(receipts[0], note=note_of(failed)))


def posted(receipt: Receipt, *, note: str = "", at: datetime | None = None) -> Ending:
    """Return the ending of a delivery whose (first) message has that receipt."""
    return Ending(
        state="posted",
        note=note,
        remote_id=receipt.remote_id,
        remote_url=receipt.url,
        posted_at=at,
    )


def end(desk: Desk, delivery: Delivery, ending: Ending) -> Result:
    """Settle a delivery and tell so.

    Raises:
        LostLease: Somebody else has taken it over.
    """
    still_ours(deliveries.settle(desk.conn, delivery, ending), delivery)
    state: State = "put back" if ending.state == "pending" else ending.state
    exit_code = Exit.FAILED if state == "failed" else Exit.DONE
    return result(
        delivery,
        state,
        note=ending.note,
        remote_id=ending.remote_id or "",
        url=ending.remote_url or "",
        exit_code=exit_code,
    )


def let_go(
    desk: Desk,
    delivery: Delivery,
    *,
    note: str,
    in_doubt: bool,
    retry_after: timedelta | None = None,
    exit_code: Exit = Exit.FAILED,
    locked_out: bool = False,
) -> Result:
    """Leave a delivery to be reconciled by the next run, and tell so.

    Raises:
        LostLease: Somebody else has taken it over.
    """
    held = deliveries.let_go(
        desk.conn, delivery, note=note, in_doubt=in_doubt, retry_after=retry_after
    )
    still_ours(held, delivery)
    return result(delivery, "uncertain", note=note, exit_code=exit_code, locked_out=locked_out)


def result(delivery: Delivery, state: State, **facts: Any) -> Result:
    """Return a result about a delivery."""
    return Result(
        destination=delivery.destination,
        state=state,
        delivery=delivery.id,
        post=delivery.post_id,
        text=texts.shorten(delivery.text, 72),
        **facts,
    )


def follow_up(desk: Desk, receipt: Receipt, *, is_first: bool) -> BotticelliError | None:
    """Crosspost and open a thread; return what went wrong, which takes nothing back."""
    if not is_first and desk.destination.thread_name:
        return None  # it lies in the thread, where neither is possible
    try:
        desk.platform.finish(receipt.remote_id)
    except (PlatformError, ConfigError) as error:
        return error
    return None


def open_thread(desk: Desk, delivery: Delivery) -> BotticelliError | None:
    """Make sure of the thread that the rest of a text goes into; return what stands in the way.

    What followed the first message may have failed, or never have been done.
    """
    if not delivery.parts or not desk.destination.thread_name:
        return None
    return follow_up(desk, _receipt(delivery.parts[0]), is_first=True)


def note_of(failed: BotticelliError | None) -> str:
    """Return what is noted of a published message whose follow-up failed."""
    return f"it is out, but what should follow failed ({_told(failed)})" if failed else ""


def _told(error: BotticelliError) -> str:
    problem = error.problems[0]
    return f"{problem.what}; {problem.hint}" if problem.hint else problem.what


@dataclass(kw_only=True)
class _Attempt:
    """The attempts of one run at one message.

    Args:
        in_doubt: Whether one of them, or an earlier run's, may have arrived.
        age: How long ago the first of those was begun.
    """

    in_doubt: bool
    age: timedelta

    def make(
        self, desk: Desk, delivery: Delivery, message: Message, *, text: str
    ) -> Receipt | BotticelliError:
        """Return the receipt, or the last error when no further attempt is due.

        Before anything is sent again it is looked for: not every server drops a repeated nonce.
        """
        since, started = delivery.sent_at, desk.clock.monotonic()
        failure: BotticelliError | None = None
        for number in range(desk.retry.max_retries + 1):
            outcome = self._look(desk, delivery, message, since=since) if self.in_doubt else None
            is_asked = outcome is None
            if outcome is None:
                if not self._may_repeat(desk, started):
                    return failure or Unconfirmed("it is too late to send it again unseen")
                since = deliveries.begin(desk.conn, delivery, text=text, lease=desk.lease)
                still_ours(since is not None, delivery)
                outcome = self._ask(desk.platform, message)
            if isinstance(outcome, Receipt):
                return outcome
            failure = outcome if is_asked else failure or outcome
            pause = _pause(outcome, number)
            is_last = number == desk.retry.max_retries
            if is_last or pause is None or not self._may_repeat(desk, started - pause):
                return failure
            desk.clock.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns")

    def _look(
        self, desk: Desk, delivery: Delivery, message: Message, *, since: datetime | None
    ) -> Receipt | BotticelliError | None:
        """Return the receipt if it is there, None if it is not seen, or why nobody can look now."""
        assert since is not None
        try:
            return look_for(desk, delivery, message, since=since).receipt
        except (NotSent, LockedOut) as error:
            return error
        except ConfigError:
            return None  # what is not to be seen has only its nonce

    def _ask(self, platform: Platform, message: Message) -> Receipt | BotticelliError:
        try:
            return platform.send(message)
        except Unconfirmed as error:
            self.in_doubt = True
            return error
        except (PlatformError, ConfigError) as error:
            return error

    def _may_repeat(self, desk: Desk, started: float) -> bool:
        elapsed = self.age.total_seconds() + desk.clock.monotonic() - started
        return not self.in_doubt or elapsed < desk.platform.idempotency_seconds


def look_for(desk: Desk, delivery: Delivery, message: Message, *, since: datetime) -> Looked:
    """Read the channel back for a message that may have arrived.

    Raises:
        NotSent: The platform cannot be asked right now.
        ConfigError: The platform does not let us in.
    """
    earlier = since - timedelta(days=1)
    known = deliveries.known_ids(desk.conn, delivery.destination, since=earlier)
    return desk.platform.find(message, since=since, known=known)


def _pause(error: BotticelliError, number: int) -> float | None:
    """Return the seconds before another attempt in this run; None: there must not be one."""
    if isinstance(error, Unconfirmed):
        return FIRST_PAUSE * 2.0**number
    if not isinstance(error, NotSent):
        return None
    pause: float = FIRST_PAUSE * 2**number if error.retry_after is None else error.retry_after
    return pause if pause <= LONGEST_PAUSE else None


def _not_out(
    desk: Desk, delivery: Delivery, error: BotticelliError, *, in_doubt: bool, out: int
) -> Result:
    """Settle a delivery whose next message could not be published, or may have been."""
    if in_doubt:
        words = f"the outcome is not known ({error.what}); the next run looks"
        return _leave(desk, delivery, error, note=words, in_doubt=True)
    if isinstance(error, Refused):
        words = f"{out} messages of it are out, then: {error.what}" if out else error.what
        return end(desk, delivery, Ending(state="held" if out else "failed", note=words))
    if out:
        words = f"{out} messages of it are out; the next run goes on ({_told(error)})"
        return _leave(desk, delivery, error, note=words, in_doubt=False)
    return _put_back(desk, delivery, error)


def _leave(
    desk: Desk, delivery: Delivery, error: BotticelliError, *, note: str, in_doubt: bool
) -> Result:
    return let_go(
        desk,
        delivery,
        note=note,
        in_doubt=in_doubt,
        retry_after=_delay(error),
        exit_code=_exit_code(error),
        locked_out=isinstance(error, LockedOut),
    )


def _put_back(desk: Desk, delivery: Delivery, error: BotticelliError) -> Result:
    delay = _delay(error) or timedelta(seconds=30)
    ending = Ending(state="pending", note=str(error.problems[0]), retry_after=delay)
    still_ours(deliveries.settle(desk.conn, delivery, ending), delivery)
    return result(
        delivery,
        "put back",
        note=str(error.problems[0]),
        exit_code=_exit_code(error),
        locked_out=isinstance(error, LockedOut),
    )


def _delay(error: BotticelliError) -> timedelta | None:
    """Return how long the destination is left alone; None: it may be asked at once."""
    if isinstance(error, NotSent) and error.retry_after is not None:
        return min(timedelta(seconds=error.retry_after), LONGEST_DELAY)
    if isinstance(error, Gone):
        return LONGEST_DELAY
    return CONFIG_DELAY if isinstance(error, ConfigError) else None


def _exit_code(error: BotticelliError) -> Exit:
    if isinstance(error, NotSent):
        return Exit.UNAVAILABLE if error.retry_after is None else Exit.TRY_LATER
    return error.exit_code


def _messages(
    desk: Desk, delivery: Delivery, text: str, receipts: Sequence[Receipt]
) -> tuple[Message, ...]:
    """Return all messages of a text; the later ones go into the first one's thread, if there is."""
    thread = receipts[0].remote_id if receipts and desk.destination.thread_name else ""
    return messages(desk.platform, desk.destination, text=text, nonce=delivery.nonce, thread=thread)


def next_message(desk: Desk, delivery: Delivery, *, text: str) -> Message | None:
    """Return the message whose request was under way; None: all of them are out."""
    receipts = [_receipt(part) for part in delivery.parts]
    all_of = _messages(desk, delivery, text, receipts)
    return all_of[len(receipts)] if len(receipts) < len(all_of) else None


def keep_part(desk: Desk, delivery: Delivery, receipt: Receipt, *, thread: str) -> None:
    """Keep the receipt of one message of several.

    Raises:
        LostLease: Somebody else has taken the delivery over.
    """
    kept = deliveries.add_part(
        desk.conn, delivery, remote_id=receipt.remote_id, url=receipt.url, thread=thread
    )
    still_ours(kept, delivery)


def _receipt(part: Mapping[str, Any]) -> Receipt:
    return Receipt(remote_id=str(part["remote_id"]), url=str(part.get("url", "")))


def still_ours(held: bool, delivery: Delivery) -> None:
    """Go on if a guarded write found the claim still ours.

    Raises:
        LostLease: It did not; somebody else has taken the delivery over.
    """
    if not held:
        raise LostLease(
            "the lease ran out and somebody else took over; nothing was changed",
            where=f"delivery {delivery.id}",
        )
