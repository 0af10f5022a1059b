"""`botticelli budget`."""

from collections.abc import Iterator
from datetime import datetime

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.reports.budget import BudgetReport, LimitUse, ModelBudget, budget_report
from botticelli.store.connection import Connection
from botticelli.text import counted


@command()
def budget(env: Environment, conn: Connection) -> BudgetReport:
    """Show how much of each model's limits is left.

    Examples:
        botticelli budget
    """
    return budget_report(
        conn, models=env.config.models, multipliers=env.config.budget, clock=env.clock
    )


@render.register
def _(report: BudgetReport, console: Console) -> None:
    if not report.models:
        console.line("no model with limits is configured or was used")
    else:
        console.table(
            ("model", "limit", "used", "reserved", "left", "of", "free again (UTC)"),
            [row for model in report.models for row in _rows(model)],
            right=("used", "reserved", "left", "of"),
        )
    for model in report.models:
        if model.held_until is not None:
            console.line(
                f"{model.model} is held until {_moment(model.held_until)} UTC"
                f" (a 429: {model.held_why})",
                style="yellow",
            )
    for spend in report.spend:
        console.line(
            f"{spend.provider}: ${spend.used:.4f} of ${spend.allowed:.2f} within 10 minutes,"
            f" the first of it free again at {_moment(spend.frees_at)} UTC"
        )
    calls_today, calls_month = (
        sum(one.calls for one in spent) for spent in (report.today, report.month)
    )
    console.line(
        f"cost today ${report.cost_today_usd:.4f} ({counted(calls_today, 'call')}), this month"
        f" ${report.cost_month_usd:.4f} ({counted(calls_month, 'call')}); days and months in UTC"
    )


def _rows(model: ModelBudget) -> Iterator[tuple[object, ...]]:
    rates = (
        ("requests a minute", model.minute_requests, model.window_frees_at),
        ("tokens a minute", model.minute_tokens, model.window_frees_at),
        ("requests a day", model.day_requests, model.day_ends_at),
        ("tokens a day", model.day_tokens, model.day_ends_at),
    )
    name = model.model
    for limit, rate, frees_at in rates:
        if rate.allowed is None and not rate.used + rate.reserved:
            continue
        moment = None if frees_at is None else _moment(frees_at)
        yield name, limit, rate.used, rate.reserved, _left(rate), rate.allowed, moment
        name = ""


def _left(rate: LimitUse) -> object:
    return Styled("0", "red") if rate.left == 0 else rate.left


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
