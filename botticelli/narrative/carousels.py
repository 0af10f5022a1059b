"""Carousels and budget multipliers, wherever they stand (docs/dialect.md §4.5, §13)."""

from collections.abc import Mapping
from typing import Final

from botticelli.narrative.language.model import Carousel
from botticelli.narrative.language.table import Table

RATES: Final = ("rpm", "tpm", "rpd", "tpd")


def read_carousel(table: Table) -> Carousel | None:
    """Read the `carousel` of any table: how many times, or a table of its own."""
    raw = table.take("carousel")
    if not isinstance(raw, dict):
        iterations = table.integer("carousel", least=1)
        return None if iterations is None else Carousel(iterations=iterations)
    carousel = table.table("carousel")
    iterations = carousel.integer("iterations", least=1)
    if not carousel.has("iterations"):
        table.wrong(("carousel",), "has no iterations", hint="add iterations = 3 or so")
    estimate = carousel.integer("estimated_tokens_per_iteration", "estimated_tokens")
    found = Carousel(
        iterations=iterations or 1,
        estimated_tokens=1000 if estimate is None else estimate,
        continue_on_error=carousel.flag("continue_on_error"),
        budget=read_budget(carousel),
    )
    carousel.done()
    return found


def read_budget(table: Table) -> Mapping[str, float]:
    """Read the `budget` of a table: multipliers by rate. Unknown keys are mistakes here."""
    budget = table.table("budget")
    found: dict[str, float] = {}
    for rate in RATES:
        name = f"{rate}_multiplier"
        value = budget.number(name)
        if value is not None and not 0 < value <= 1:
            budget.wrong((name,), f"must be above 0 and at most 1, not {value:g}")
        elif value is not None:
            found[rate] = value
    budget.done(is_strict=True)
    return found
