"""`botticelli budget`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from botticelli.budget.limits import RATES
from botticelli.cli.shared import choices
from botticelli.cli.shell.command import Done, command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.errors import UsageError
from botticelli.reports.budget import BudgetReport, ModelBudget, budget_report
from botticelli.store import ledger
from botticelli.store.reads.budget import ModelCost
from botticelli.text import counted


@command()
def budget(
    env: Environment, action: str = "", model: choices.ModelName = ""
) -> BudgetReport | Done:
    """Show how much of each model's limits is left.

    Takes:
        action [forget]: Lift what a model's 429 answers taught.
        model [MODEL]: Which one.

    Examples:
        botticelli budget
        botticelli budget forget gemini-3.5-flash-lite
    """
    if not action:
        with env.database() as conn:
            return budget_report(
                conn, models=env.config.models, multipliers=env.config.budget, clock=env.clock
            )
    if action != "forget" or not model:
        raise UsageError("that cannot be meant", hint="write botticelli budget forget MODEL")
    env.writes = True
    with env.database() as conn:
        keys = ledger.forget(conn, model)
    if not keys:
        raise UsageError(f"no call to '{model}' is on record", hint="see botticelli budget")
    line = f"forgotten: what refusals taught of {', '.join(keys)}"
    return Done(line=line, facts={"forgotten": keys})


@render.register
def _(report: BudgetReport, console: Console) -> None:
    if not report.models:
        console.line("no model with limits is configured or was used")
    else:
        console.table(
            ("model", "limit", "used", "reserved", "left", "of", "by", "free again (UTC)"),
            [row for model in report.models for row in _rows(model)],
            right=("used", "reserved", "left", "of"),
        )
    for model in report.models:
        if not list(_rows(model)):
            console.line(f"{model.model}: limits: {model.limits}")
        if model.held_until is not None:
            console.line(
                f"{model.model} is held until {_moment(model.held_until)} UTC"
                f" (a 429: {model.held_why}); botticelli budget forget {model.model} lifts it",
                style="yellow",
            )
        if model.dollars is not None:
            console.line(
                f"{model.model}: ${model.dollars.used:.4f} of ${model.dollars.allowed:.2f} today,"
                f" whole again at {_moment(model.dollars.frees_at)} UTC"
            )
        for server, settings in model.refused.items():
            console.line(
                f"{model.model} is asked without {' and '.join(settings)}:"
                f" {server or 'its server'} refuses that; botticelli budget forget {model.model}"
                " has it tried again"
            )
    for line in _money(report):
        console.line(line)


def _money(report: BudgetReport) -> Iterator[str]:
    for spend in report.spend:
        yield (
            f"{spend.provider}: ${spend.used:.4f} of ${spend.allowed:.2f} within 10 minutes,"
            f" the first of it free again at {_moment(spend.frees_at)} UTC"
        )
    for account, dollars in report.posts.items():
        yield f"posts to {account}: ${dollars:.3f} this month"
    today = _spent(report.today, report.cost_today_usd, report.cached_share_today)
    month = _spent(report.month, report.cost_month_usd, report.cached_share_month)
    yield f"cost today {today}, this month {month}; days and months in UTC"


def _spent(models: Sequence[ModelCost], cost: Decimal, cached: float) -> str:
    calls = counted(sum(one.calls for one in models), "call")
    share = f", {cached:.0%} of the input cached" if cached else ""
    return f"${cost:.4f} ({calls}{share})"


def _rows(model: ModelBudget) -> Iterator[tuple[object, ...]]:
    uses = (
        (model.minute_requests, model.window_frees_at),
        (model.minute_tokens, model.window_frees_at),
        (model.day_requests, model.day_ends_at),
        (model.day_tokens, model.day_ends_at),
    )
    name = model.model
    for (rate, words), (use, frees_at) in zip(RATES.items(), uses, strict=True):
        if use.allowed is None and not use.used + use.reserved:
            continue
        moment = None if frees_at is None else _moment(frees_at)
        of = (use.allowed, model.sources[rate])
        left = Styled("0", "red") if use.left == 0 else use.left
        yield name, words, use.used, use.reserved, left, *of, moment
        name = ""


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
