"""Messages that cost money: booked before they are sent, within the destination's month."""

from collections.abc import Sequence
from decimal import Decimal

from botticelli.errors import ConfigError
from botticelli.platforms.base import NotSent, OutgoingMessage, Receipt, Refused
from botticelli.stages.post.target import PostTarget
from botticelli.store import spending

HOUR = 3600.0


def send_paid(target: PostTarget, messages: Sequence[OutgoingMessage]) -> Receipt:
    """Publish the first of the messages that a post still needs; raises as `Platform.send`.

    Raises:
        NotSent: They cost more than is left of `dollars_a_month`.
    """
    price = target.platform.price(messages[0])
    if not price:
        return target.platform.send(messages[0])
    destination, conn = target.destination, target.conn
    key, most = destination.place or destination.name, Decimal(str(destination.dollars_a_month))
    needed = sum(map(target.platform.price, messages), Decimal(0))
    if not spending.book(conn, key, price, needed=needed, most=most):
        spent = spending.spent_this_month(conn, key)
        raise NotSent(
            f"it costs ${needed:.3f}, and ${spent:.3f} of ${most:.2f} are spent this month",
            where=destination.name,
            hint="raise dollars_a_month, or wait for the next month (UTC)",
            retry_after=HOUR,
        )
    try:
        return target.platform.send(messages[0])
    except (NotSent, Refused, ConfigError):
        spending.give_back(conn, key, price)
        raise
