"""What the models may still use, and what they have cost so far."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from decimal import Decimal

from botticelli.budget.gate import account_key
from botticelli.budget.limits import (
    RATES,
    allowance,
    limits_in_force,
    with_lessons,
    without_old_lessons,
)
from botticelli.clock import Clock
from botticelli.config.model import Models, Multipliers
from botticelli.errors import ConfigError
from botticelli.models import catalogue
from botticelli.models.open import FREE, route
from botticelli.records import record
from botticelli.store import ledger, spending
from botticelli.store.connection import Connection
from botticelli.store.ledger import Account, Window
from botticelli.store.reads.budget import ModelCost, SpendBudget, costs_since, read_spend


@record
class LimitUse:
    """One limit of one model; None is unlimited.

    Args:
        used: By calls that were answered.
        reserved: By calls under way.
        allowed: Limit x multiplier.
    """

    used: int
    reserved: int
    allowed: int | None
    left: int | None


@record
class ModelBudget:
    """One model's account.

    Args:
        window_frees_at: When the oldest start leaves the sliding minute; None if it is empty.
        waiting: Calls that wait for their turn.
        limits: The provider's limits in words, and whence they are.
        sources: rpm, tpm, rpd, tpd -> who says so: file, tier ..., learned (from a 429), none.
        refused: Server ("": the provider's own) -> settings that it takes no request with.
        dollars: Of its day, if there is a dollars_a_day.
        held_until: Until when a 429 holds all calls, and why (minute, day, spend).
    """

    provider: str
    model: str
    minute_requests: LimitUse
    minute_tokens: LimitUse
    day_requests: LimitUse
    day_tokens: LimitUse
    limits: str
    sources: Mapping[str, str]
    window_frees_at: datetime | None = None
    day_ends_at: datetime | None = None
    waiting: int = 0
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dollars: SpendBudget | None = None
    held_until: datetime | None = None
    held_why: str | None = None


@record
class BudgetReport:
    """Every account, and the costs since the UTC day and month began.

    Args:
        spend: What is left of `[models] spend_limit`; empty if there is none, or nothing was spent.
        posts: What posts cost this month, by platform and account.
        cached_share_today: Of the input tokens, how many the provider had cached, 0 to 1.
    """

    models: tuple[ModelBudget, ...]
    spend: tuple[SpendBudget, ...]
    today: tuple[ModelCost, ...]
    month: tuple[ModelCost, ...]
    posts: Mapping[str, Decimal]
    cost_today_usd: Decimal
    cost_month_usd: Decimal
    cached_share_today: float
    cached_share_month: float


def budget_report(
    conn: Connection, *, models: Models, multipliers: Multipliers, clock: Clock
) -> BudgetReport:
    """Return the report; models that are configured but never called stand in it, too."""
    found = {account.key: account for account in ledger.accounts(conn, window=Window())}
    keys = dict.fromkeys([*_configured(models, clock=clock), *found])
    limit = models.spend_limit
    today, month = costs_since(conn, "day"), costs_since(conn, "month")
    return BudgetReport(
        models=tuple(
            replace(
                _budget(key, found.get(key), models=models, multipliers=multipliers),
                dollars=_dollars(conn, found.get(key), models=models),
            )
            for key in keys
        ),
        spend=() if limit is None else read_spend(conn, allowed=Decimal(str(limit))),
        today=today,
        month=month,
        posts=spending.spent_this_month(conn),
        cost_today_usd=_sum(today),
        cost_month_usd=_sum(month),
        cached_share_today=_cached_share(today),
        cached_share_month=_cached_share(month),
    )


def _configured(models: Models, *, clock: Clock) -> list[str]:
    """Return the accounts of the models that write, judge or have a bound in dollars.

    But not of those that nobody counts.
    """
    keys = []
    bounded = [name for name, limits in models.limits.items() if limits.dollars_a_day]
    for name in (*models.default, *models.judge, *bounded):
        try:
            current = catalogue.current_name(name, models, on=clock.now().date())
            way = route(current, models)
        except ConfigError:
            continue  # `check` reports it
        if way.provider not in FREE:
            keys.append(account_key(way.provider, way.model))
    return keys


def _budget(
    key: str, account: Account | None, *, models: Models, multipliers: Multipliers
) -> ModelBudget:
    provider, _, model = key.partition("/")
    own = allowance(model, models, provider=provider, multipliers=multipliers)
    force = limits_in_force(model, models)
    known = without_old_lessons(account, own) if account else None
    allowed = with_lessons(own, known.learned) if known else own
    is_closed = known is not None and known.blocked_why == "day"  # whatever we counted

    facts = vars(known) if known else {}

    def use(rate: str, span: str, kind: str) -> LimitUse:
        total = facts.get(f"{span}_{kind}", 0)
        # One that began before midnight belongs to the day before.
        reserved = min(facts.get(f"reserved_{kind}", 0), total)
        allows = getattr(allowed, rate)
        left = None if allows is None else max(0, allows - total)
        if is_closed and span == "day":
            left = 0
        return LimitUse(used=total - reserved, reserved=reserved, allowed=allows, left=left)

    learned = {rate for rate in RATES if getattr(allowed, rate) != getattr(own, rate)}
    sources = {rate: force.sources.get(rate, "none") for rate in RATES}
    return ModelBudget(
        provider=provider,
        model=model,
        minute_requests=use("rpm", "minute", "requests"),
        minute_tokens=use("tpm", "minute", "tokens"),
        day_requests=use("rpd", "day", "requests"),
        day_tokens=use("tpd", "day", "tokens"),
        limits=str(force),
        sources=sources | dict.fromkeys(learned, "learned"),
        window_frees_at=facts.get("window_frees_at"),
        day_ends_at=facts.get("day_ends_at"),
        waiting=facts.get("waiting", 0),
        refused=facts.get("refused", {}),
        held_until=facts.get("blocked_until"),
        held_why=facts.get("blocked_why"),
    )


def _dollars(conn: Connection, account: Account | None, *, models: Models) -> SpendBudget | None:
    model = account.key.partition("/")[2] if account else ""
    limits = models.limits.get(model)
    if account is None or limits is None or limits.dollars_a_day is None:
        return None
    used, allowed = ledger.dollars_today(conn, account.key), Decimal(str(limits.dollars_a_day))
    return SpendBudget(
        provider=account.key,
        used=used,
        allowed=allowed,
        left=max(Decimal(0), allowed - used),
        frees_at=account.day_ends_at,
    )


def _sum(spent: Sequence[ModelCost]) -> Decimal:
    return sum((one.cost_usd for one in spent), start=Decimal(0))


def _cached_share(spent: Sequence[ModelCost]) -> float:
    return sum(one.cached_tokens for one in spent) / (sum(one.input_tokens for one in spent) or 1)
