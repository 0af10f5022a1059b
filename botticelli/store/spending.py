"""US dollars that posts cost, by account and UTC day: booked before they are sent.

What is booked and neither sent nor given back stays: a killed process or a lost answer may have
been paid for.
"""

from decimal import Decimal
from typing import Final

from botticelli.store.connection import Connection, once, repeatable

# Whoever holds this lock is the only one that books for an account; it ends with the transaction.
ONE_AT_A_TIME: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('botticelli spending ' || %(key)s, 0))"
)
SPENT: Final = """
    SELECT key, sum(dollars) AS dollars
      FROM spending
     WHERE day >= date_trunc('month', botticelli_now() AT TIME ZONE 'UTC')::date
     GROUP BY key
     ORDER BY key
"""
ADD: Final = """
    INSERT INTO spending (key, day, dollars)
    VALUES (%(key)s, (botticelli_now() AT TIME ZONE 'UTC')::date, %(dollars)s)
    ON CONFLICT (key, day) DO UPDATE
       SET dollars = greatest(0, spending.dollars + excluded.dollars)
"""


@repeatable()
def spent_this_month(conn: Connection) -> dict[str, Decimal]:
    """Return what was booked for each account since the UTC month began."""
    return {key: Decimal(dollars) for key, dollars in conn.execute(SPENT)}


def book(conn: Connection, key: str, dollars: Decimal, *, needed: Decimal, most: Decimal) -> bool:
    """Book a price, if all that is needed fits into the month. One transaction.

    Args:
        conn: The session.
        key: The account that pays.
        dollars: What is about to be spent.
        needed: That and what has to follow it.
        most: Of all that the account may cost in this month.
    """

    def work() -> bool:
        conn.execute(ONE_AT_A_TIME, {"key": key})
        fits = spent_this_month(conn).get(key, 0) + needed <= most
        if fits:
            conn.execute(ADD, {"key": key, "dollars": dollars})
        return fits

    return once(conn, work)


def give_back(conn: Connection, key: str, dollars: Decimal) -> None:
    """Take back what was booked for a request that has certainly published nothing."""
    once(conn, lambda: conn.execute(ADD, {"key": key, "dollars": -dollars}))
