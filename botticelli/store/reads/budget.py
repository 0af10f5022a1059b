"""What the models have used and cost: for `budget` and `status`. Nothing is changed."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from botticelli.records import record
from botticelli.store import ledger
from botticelli.store.connection import Connection, fetch_all


@record
class ModelCost:
    """What one model was asked for within a time, failed attempts included. US dollars.

    Args:
        cached_tokens: Those of the input that the provider had cached.
    """

    provider: str
    model: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    cached_tokens: int


COSTS: Final = """
    SELECT name AS provider, version AS model, sum(total)::bigint AS calls,
           coalesce(sum(total) FILTER (WHERE state <> 'done'), 0)::bigint AS failed,
           sum(input_tokens)::bigint AS input_tokens,
           sum(output_tokens + thought_tokens)::bigint AS output_tokens,
           sum(cost_usd) AS cost_usd, sum(cached_tokens)::bigint AS cached_tokens
      FROM counted_rows
     WHERE what = 'calls'
       AND day >= date_trunc(%(unit)s, botticelli_now() AT TIME ZONE 'UTC')::date
     GROUP BY name, version
     ORDER BY name, version
"""


def costs_since(conn: Connection, unit: Literal["day", "month"]) -> tuple[ModelCost, ...]:
    """Return what each model was asked for since the present UTC day or month began."""
    return tuple(fetch_all(conn, ModelCost, COSTS, {"unit": unit}))


@record
class SpendBudget:
    """US dollars of all models of a provider within the rolling 10 minutes.

    Args:
        used: Calls under way with what they may cost.
        frees_at: When the oldest of it leaves the window.
    """

    provider: str
    used: Decimal
    allowed: Decimal
    left: Decimal
    frees_at: datetime


SPEND: Final = """
    SELECT provider, used, %(allowed)s::numeric AS allowed,
           greatest(0, %(allowed)s::numeric - used) AS left, frees_at
      FROM (SELECT split_part(key, '/', 1) AS provider, coalesce(sum(cost_usd), 0) AS used,
                   min(start_at) + interval '10 minutes' + %(guard)s AS frees_at
              FROM (SELECT key AS account FROM ledger) AS a
             CROSS JOIN LATERAL (
                   SELECT *
                     FROM ledger_grants
                    WHERE key = a.account
                      AND start_at > botticelli_now() - interval '10 minutes' - %(guard)s) AS g
             GROUP BY 1) AS s
     ORDER BY provider
"""


def read_spend(conn: Connection, *, allowed: Decimal) -> tuple[SpendBudget, ...]:
    """Return what counts against a spend limit now, for each provider that was asked."""
    return tuple(fetch_all(conn, SpendBudget, SPEND, {"allowed": allowed, "guard": ledger.GUARD}))


@record
class ModelUse:
    """What a model has used of its limits in the provider's day and the last minute.

    Args:
        learned: Limits that 429s taught.
        limits_by: Who says so: file, tier ..., learned; the database does not know.
    """

    model: str
    day_requests: int
    day_request_limit: int | None
    day_tokens: int
    day_token_limit: int | None
    minute_requests: int
    minute_request_limit: int | None
    blocked_until: datetime | None
    learned: dict[str, int]
    limits_by: str = ""


MODEL_USE: Final = f"""
    SELECT a.key AS model, a.day_requests, a.rpd AS day_request_limit, a.day_tokens,
           a.tpd AS day_token_limit, a.minute_requests, a.rpm AS minute_request_limit,
           a.blocked_until, a.learned
      FROM ({ledger.ACCOUNTS}) AS a
     ORDER BY a.key
"""  # noqa: S608 - both parts are constants


def read_model_use(conn: Connection) -> tuple[ModelUse, ...]:
    """Return what each model has used of its limits. Reads only."""
    values = {"key": None, "length": ledger.Window().length}
    return tuple(fetch_all(conn, ModelUse, MODEL_USE, values))


@record
class SpentToday:
    """What the model calls of the present UTC day took; cost in US dollars."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal


def read_spent_today(conn: Connection) -> SpentToday:
    """Return what the model calls of the present UTC day took. Reads only."""
    spent = costs_since(conn, "day")
    return SpentToday(
        calls=sum(each.calls for each in spent),
        input_tokens=sum(each.input_tokens for each in spent),
        output_tokens=sum(each.output_tokens for each in spent),
        cost_usd=sum((each.cost_usd for each in spent), Decimal(0)),
    )
