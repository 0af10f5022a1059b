"""How much of a model may be used, and what is left: tier table, file, multipliers, account."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from math import ceil, floor
from typing import Final
from urllib.parse import urlsplit

from botticelli.config.model import Limits, Models, Multipliers
from botticelli.store.ledger import Account, Allowance, Window

# Per project and model. Google publishes these no longer; seen in AI Studio and in 429 answers up
# to 2026-10, the smaller where sources differ. What a 429 teaches later goes before.
_FREE_FLASH = Limits(rpm=5, tpm=250_000, rpd=20)
_FREE_LITE = Limits(rpm=15, tpm=250_000, rpd=500)
_TIER1_FLASH = Limits(rpm=1000, tpm=1_000_000, rpd=10_000)
_TIER1_LITE = Limits(rpm=2000, tpm=4_000_000)
_TIER2 = Limits(rpm=2000, tpm=3_000_000)
_TIER3 = Limits(rpm=10_000, tpm=8_000_000)

TIERS: Final[Mapping[str, Mapping[str, Limits]]] = {
    "free": {
        "gemini-3.5-flash-lite": _FREE_LITE,
        "gemini-3.1-flash-lite": _FREE_LITE,
        "gemini-2.5-flash-lite": replace(_FREE_LITE, rpd=20),
        "gemini-": _FREE_FLASH,
    },
    "tier1": {
        "gemini-3.1-pro": Limits(rpm=150, tpm=1_000_000, rpd=1_000),
        "gemini-3.5-flash-lite": _TIER1_LITE,
        "gemini-3.1-flash-lite": _TIER1_LITE,
        "gemini-": _TIER1_FLASH,
    },
    "tier2": {"gemini-": _TIER2},
    "tier3": {"gemini-": _TIER3},
}

ZONES: Final[Mapping[str, str]] = {"gemini": "America/Los_Angeles"}  # midnight there ends the day


def layered(base: Multipliers, *layers: Mapping[str, float]) -> Multipliers:
    """Return the shares after each layer has had its word; a later layer is stronger.

    Used in the order narrative, carousel, command line.
    """
    for layer in layers:
        base = replace(base, **dict(layer))
    return base


def limits_of(model: str, config: Models) -> Limits:
    """Return what the provider allows: the tier's row of the longest fitting name, then the file.

    A limit that the file gives replaces only that limit. The tiers are Google's: another server
    behind its base URL has the limits that the file names, and those that its 429s teach.
    """
    named = config.named.get(model)
    base_url = (named.base_url if named else "") or config.gemini_base_url
    rows = TIERS.get(config.tier, {}) if _is_google(base_url) else {}
    fitting = max((name for name in rows if model.startswith(name)), key=len, default=None)
    listed = rows[fitting] if fitting is not None else Limits()
    own = config.limits.get(model, Limits())
    given = {f.name: getattr(own, f.name) for f in fields(Limits)}
    return replace(listed, **{name: value for name, value in given.items() if value is not None})


def allowance(model: str, config: Models, *, provider: str, multipliers: Multipliers) -> Allowance:
    """Return limits x multipliers, rounded down, but at least 1 where the provider allows any."""
    limits = limits_of(model, config)
    shares = multipliers
    return Allowance(
        rpm=_share(limits.rpm, shares.rpm),
        tpm=_share(limits.tpm, shares.tpm),
        rpd=_share(limits.rpd, shares.rpd),
        tpd=_share(limits.tpd, shares.tpd),
        shares=(shares.rpm, shares.tpm, shares.rpd, shares.tpd),
        zone=limits.time_zone or ZONES.get(provider, "UTC"),
        spend=None if config.spend_limit is None else Decimal(str(config.spend_limit)),
    )


def with_lessons(allowed: Allowance, learned: Mapping[str, int]) -> Allowance:
    """Return the allowance under the limits that 429s taught, times the same shares."""
    shares = dict(zip(("rpm", "tpm", "rpd", "tpd"), allowed.shares, strict=True))

    def least(rate: str, own: int | None) -> int | None:
        taught = _share(learned.get(rate), shares[rate])
        return min((one for one in (own, taught) if one is not None), default=None)

    return replace(
        allowed,
        rpm=least("rpm", allowed.rpm),
        tpm=least("tpm", allowed.tpm),
        rpd=least("rpd", allowed.rpd),
        tpd=least("tpd", allowed.tpd),
    )


def calls_left_today(account: Account | None, allowed: Allowance) -> int | None:
    """Return how many calls the provider's day still has room for; None if there is no limit.

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


def _is_google(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return not base_url or host == "googleapis.com" or host.endswith(".googleapis.com")


def _share(limit: int | None, share: float) -> int | None:
    if limit is None:
        return None
    # 0.29 x 100 is 28.999... in binary: a billionth more makes it the 29 that was meant
    return max(min(limit, 1), floor(limit * share + 1e-9))


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
