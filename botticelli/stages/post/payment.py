"""Messages that cost money: booked before they are sent, within the destination's month."""

from collections.abc import Sequence
from decimal import Decimal

from botticelli.config.model import Destination
from botticelli.errors import ConfigError
from botticelli.platforms.base import NotSent, OutgoingMessage, Receipt, Refused
from botticelli.records import record
from botticelli.stages.post.target import PostTarget
from botticelli.store import spending

HOUR = 3600.0


@record
class Bill:
    """US dollars that the messages of a post need, and those of the month so far."""

    needed: Decimal
    spent: Decimal
    most: Decimal

    def __str__(self) -> str:
        """Return all of it in words."""
        is_over = self.spent + self.needed > self.most
        words = f"${self.needed:.3f}, with ${self.spent:.3f} of ${self.most:.2f} spent this month"
        return f"{words}: above dollars_a_month, so it waits" if is_over else words


def bill_of(target: PostTarget, messages: Sequence[OutgoingMessage]) -> Bill | None:
    """Return what messages will cost; None if they cost nothing."""
    needed = sum(map(target.platform.price, messages), Decimal(0))
    if not needed:
        return None
    spent = spending.spent_this_month(target.conn, _account(target))
    return Bill(needed=needed, spent=spent, most=_most(target.destination))


def send_paid(target: PostTarget, messages: Sequence[OutgoingMessage]) -> Receipt:
    """Publish the first of the messages that a post still needs; raises as `Platform.send`.

    Raises:
        NotSent: They cost more than is left of `dollars_a_month`.
    """
    price = target.platform.price(messages[0])
    bill = bill_of(target, messages) if price else None
    if bill is None:
        return target.platform.send(messages[0])
    key, conn = _account(target), target.conn
    if not spending.book(conn, key, price, needed=bill.needed, most=bill.most):
        what, where = f"it costs {bill}", target.destination.name
        hint = "raise dollars_a_month, or wait for the next month (UTC)"
        raise NotSent(what, where=where, hint=hint, retry_after=HOUR)
    try:
        return target.platform.send(messages[0])
    except (NotSent, Refused, ConfigError):
        spending.give_back(conn, key, price)
        raise


def _account(target: PostTarget) -> str:
    return target.wanted.place or target.destination.name


def _most(destination: Destination) -> Decimal:
    return Decimal(str(destination.dollars_a_month))
