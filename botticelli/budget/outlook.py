"""What an account has room for: calls within the day, and how long the minute holds up more."""

from datetime import datetime
from math import ceil

from botticelli.store.ledger import Account, Allowance, Window


def calls_left_today(account: Account | None, allowed: Allowance) -> int | None:
    """Return how many calls the provider's day still has room for; None: no limit.

    Tokens become calls by the mean of the day so far.
    """
    if account is None:
        return allowed.rpd
    if account.blocked_why == "day":
        return 0
    rooms = []
    if allowed.rpd is not None:
        rooms.append(allowed.rpd - account.day_requests)
    if allowed.tpd is not None and account.day_tokens:
        left = allowed.tpd - account.day_tokens
        rooms.append(left * account.day_requests // account.day_tokens)
    return max(0, min(rooms)) if rooms else None


def seconds_for(
    account: Account | None,
    allowed: Allowance,
    *,
    calls: int,
    tokens: int,
    window: Window,
    now: datetime,
) -> float:
    """Return in how many seconds the last of `calls`, of `tokens` in all, may be sent."""
    held = 0.0
    frees_in = 0.0
    if account is not None:
        held = _until(account.blocked_until, now) if account.blocked_why != "day" else 0.0
        frees_in = _until(account.window_frees_at, now)
    used = (account.minute_requests, account.minute_tokens) if account else (0, 0)
    length = window.length.total_seconds()
    waits = [
        _wait(wanted, most=most, used=taken, frees_in=frees_in, length=length)
        for wanted, most, taken in (
            (calls, allowed.rpm, used[0]),
            (tokens, allowed.tpm, used[1]),
        )
        if most is not None
    ]
    return max(held, *waits) if waits else held


def _wait(wanted: int, *, most: int, used: int, frees_in: float, length: float) -> float:
    """Return the wait of what exceeds the window: whether it was used in a burst or evenly."""
    over = wanted - max(0, most - used)
    if over <= 0:
        return 0.0
    if not used:
        frees_in = length  # the first ones go out at once
    return max(frees_in + (ceil(over / most) - 1) * length, over / most * length)


def _until(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (moment - now).total_seconds())
