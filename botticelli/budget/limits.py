"""How much of a model may be used, and what is left: tier table, file, multipliers, account."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from math import ceil, floor
from typing import Any, Final
from urllib.parse import urlsplit

from botticelli.config.addresses import is_loopback
from botticelli.config.model import Limits, Models, Multipliers
from botticelli.errors import Problem
from botticelli.records import record
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
        "gemini-flash-lite-latest": _FREE_LITE,
        "gemini-": _FREE_FLASH,
    },
    "tier1": {
        "gemini-3.1-pro": Limits(rpm=150, tpm=1_000_000, rpd=1_000),
        "gemini-3.5-flash-lite": _TIER1_LITE,
        "gemini-3.1-flash-lite": _TIER1_LITE,
        "gemini-pro-latest": Limits(rpm=150, tpm=1_000_000, rpd=1_000),
        "gemini-flash-lite-latest": _TIER1_LITE,
        "gemini-": _TIER1_FLASH,
    },
    "tier2": {"gemini-": _TIER2},
    "tier3": {"gemini-": _TIER3},
}

RATES: Final = {
    "rpm": "requests a minute",
    "tpm": "tokens a minute",
    "rpd": "requests a day",
    "tpd": "tokens a day",
}
ZONES: Final[Mapping[str, str]] = {"gemini": "America/Los_Angeles"}  # midnight there ends the day


def layered(base: Multipliers, *layers: Mapping[str, float]) -> Multipliers:
    """Return the shares after each layer has had its word; a later layer is stronger.

    Used in the order narrative, carousel, command line.
    """
    for layer in layers:
        base = replace(base, **dict(layer))
    return base


@record
class LimitsInForce:
    """What a provider allows of a model, before multipliers.

    Args:
        sources: rate -> who says so: "file" ([models.limits]), or the tier; not named: unlimited.
        why_none: Why the provider's own table does not hold; empty if it does.
    """

    limits: Limits
    sources: Mapping[str, str]
    why_none: str = ""

    @property
    def source(self) -> str:
        """Who says so, in a few words: "tier free", "file, tier free", "none"."""
        return ", ".join(sorted(set(self.sources.values()))) or "none"

    def __str__(self) -> str:
        """The limits in words, and whence they are."""
        rates = [
            f"{value:,} {what}"
            for rate, what in RATES.items()
            if (value := getattr(self.limits, rate)) is not None
        ]
        if not rates:
            return f"none{f' ({self.why_none})' if self.why_none else ''}"
        return f"{', '.join(rates)} ({self.source})"


def limits_in_force(model: str, config: Models) -> LimitsInForce:
    """Return what the provider allows: the tier's row of the longest fitting name, then the file.

    A limit that the file gives replaces only that limit. A gateway in front of a provider has the
    provider's limits, unless it is on this machine: there stand servers of one's own. A tier that
    the file names holds everywhere.
    """
    named = config.named.get(model)
    base_url = (named.base_url if named else "") or config.gemini_base_url
    is_own = config.tier is None and is_loopback(urlsplit(base_url).hostname or "")
    tier = "none" if is_own else config.tier or "free"
    rows = TIERS.get(tier, {})
    name = named.model if named and named.model else model
    fitting = max((row for row in rows if name.startswith(row)), key=len, default=None)
    listed = rows[fitting] if fitting is not None else Limits()
    own = config.limits.get(model, Limits())
    found = {rate: getattr(own, rate) for rate in RATES}
    sources = {rate: "file" for rate, value in found.items() if value is not None}
    for rate in RATES:
        if found[rate] is None and getattr(listed, rate) is not None:
            found[rate], sources[rate] = getattr(listed, rate), f"tier {tier}"
    why_none = "no table for it"
    if is_own:
        why_none = "a server on this machine; set [models] tier, or [models.limits]"
    elif config.tier == "none":
        why_none = '[models] tier = "none"'
    return LimitsInForce(
        limits=replace(listed, **found, time_zone=own.time_zone or listed.time_zone),
        sources=sources,
        why_none="" if fitting else why_none,
    )


def allowance(model: str, config: Models, *, provider: str, multipliers: Multipliers) -> Allowance:
    """Return limits x multipliers, rounded down, but at least 1 where the provider allows any."""
    limits = limits_in_force(model, config).limits
    dollars = config.limits.get(model, Limits()).dollars_a_day
    return Allowance(
        **{rate: _share(getattr(limits, rate), getattr(multipliers, rate)) for rate in RATES},
        shares=(multipliers.rpm, multipliers.tpm, multipliers.rpd, multipliers.tpd),
        limits=tuple(getattr(limits, rate) for rate in RATES),
        zone=limits.time_zone or ZONES.get(provider, "UTC"),
        spend=None if config.spend_limit is None else Decimal(str(config.spend_limit)),
        dollars=None if dollars is None else Decimal(str(dollars)),
    )


def too_large(model: str, allowed: Allowance, *, tokens: int) -> Problem:
    """Return what is wrong with a call of more tokens than may be used at all."""
    rate = "tpd" if tokens > (allowed.tpd or tokens) else "tpm"
    return Problem(
        where=f"model {model}",
        what=f"one call needs about {tokens} tokens, more than may be used",
        hint=f'shorten its inputs, or raise {rate} in [models.limits."{model}"]',
    )


def without_old_lessons(account: Account, allowed: Allowance) -> Account:
    """Return the account without what 429s taught while the provider's limits were others."""
    if account.learned_under is None or tuple(account.learned_under) == allowed.limits:
        return account
    is_day = account.blocked_why == "day"
    return replace(
        account,
        learned={},
        blocked_until=None if is_day else account.blocked_until,
        blocked_why=None if is_day else account.blocked_why,
    )


def with_lessons(allowed: Allowance, learned: Mapping[str, int]) -> Allowance:
    """Return the allowance under the limits that 429s taught, times the same shares."""
    least: dict[str, Any] = {}
    for rate, share in zip(RATES, allowed.shares, strict=True):
        both = (getattr(allowed, rate), _share(learned.get(rate), share))
        least[rate] = min((one for one in both if one is not None), default=None)
    return replace(allowed, **least)


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
