"""Messages that cost money: booked before they are sent, within the destination's month."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from botticelli.errors import ConfigError
from botticelli.platforms.base import NotSent, OutgoingMessage, Refused
from botticelli.records import record
from botticelli.stages.post.target import PostTarget
from botticelli.store import spending

HOUR = 3600.0


@record
class Bill:
    """US dollars that the messages of a post need, and those of the month so far.

    Args:
        account: Which pays.
    """

    account: str
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
    destination = target.destination
    account = target.wanted.place or destination.name
    return Bill(
        account=account,
        needed=needed,
        spent=spending.spent_this_month(target.conn).get(account, Decimal(0)),
        most=Decimal(str(destination.dollars_a_month)),
    )


@contextmanager
def paid(target: PostTarget, messages: Sequence[OutgoingMessage]) -> Iterator[None]:
    """Let the block publish the first of the messages that a post still needs: it is booked before.

    What the block did not publish for certain is given back.

    Raises:
        NotSent: They cost more than is left of `dollars_a_month`.
    """
    price = target.platform.price(messages[0])
    bill = bill_of(target, messages) if price else None
    if bill is None:
        yield
        return
    if not spending.book(target.conn, bill.account, price, needed=bill.needed, most=bill.most):
        what, where = f"it costs {bill}", target.destination.name
        hint = "raise dollars_a_month, or wait for the next month (UTC)"
        raise NotSent(what, where=where, hint=hint, retry_after=HOUR)
    try:
        yield
    except (NotSent, Refused, ConfigError):
        spending.give_back(target.conn, bill.account, price)
        raise
