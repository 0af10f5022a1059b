"""The models one may name: who serves them, what they may use and what they cost."""

from datetime import date
from decimal import Decimal

from botticelli.budget.limits import limits_of
from botticelli.config.model import Limits, Models, Price
from botticelli.errors import ConfigError, Exit
from botticelli.models import catalogue
from botticelli.models.base import Usage
from botticelli.models.catalogue import CATALOGUE
from botticelli.models.local import bundled
from botticelli.models.open import FREE, route
from botticelli.records import record


@record
class ListedModel:
    """One model.

    Args:
        use: writes, judges, or empty.
        becomes: What is asked in its place, or will be from `becomes_on` on.
        price: Of today, in US dollars per million tokens.
        limits: As the provider gives them, before multipliers.
        trouble: Why it cannot be asked now; empty: it can, as far as we see.
    """

    name: str
    provider: str
    use: str
    becomes: str | None
    becomes_on: date | None
    price: Price | None
    limits: Limits
    inputs: tuple[str, ...]
    trouble: str


@record
class ModelsReport:
    """Configured models first, then those of the catalogue, then those without a key."""

    models: tuple[ListedModel, ...]
    tier: str
    exit_code: Exit = Exit.DONE


@record
class TrialReport:
    """One small call to one model."""

    asked: str
    served: str
    text: str
    seconds: float
    usage: Usage | None
    cost_usd: Decimal
    exit_code: Exit = Exit.DONE


def models_report(models: Models, *, on: date) -> ModelsReport:
    """Return every model that is configured or known. Opens none of them."""
    names = dict.fromkeys(
        [*models.default, *models.judge, *models.named, *CATALOGUE, "local", "offline"]
    )
    return ModelsReport(
        models=tuple(_listed(name, models, on=on) for name in names), tier=models.tier
    )


def _listed(name: str, models: Models, *, on: date) -> ListedModel:
    becomes, since = _becomes(name, models)
    try:
        way = route(name, models)
        provider, model, trouble = way.provider, way.model, ""
        if provider == "local" and way.path is None and bundled() is None:
            trouble = "run: botticelli models pull smollm2"
        if provider == "gemini" and not (way.api_key or models.gemini_key):
            trouble = "GEMINI_API_KEY is not set"
    except ConfigError as error:
        provider, model, trouble = "", name, error.what
    return ListedModel(
        name=name,
        provider=provider,
        use=_use(name, models),
        becomes=becomes,
        becomes_on=since,
        price=catalogue.price(model, models, on=on),
        limits=Limits() if provider in FREE else limits_of(model, models),
        inputs=("text",)
        if provider in FREE
        else tuple(sorted(catalogue.known(model).capabilities.inputs)),
        trouble=trouble,
    )


def _becomes(name: str, models: Models) -> tuple[str | None, date | None]:
    if name in models.aliases:
        return models.aliases[name], None
    retirement = catalogue.RETIRED.get(name)
    if retirement is None:
        return None, None
    return retirement.successor, None if retirement.since == date.max else retirement.since


def _use(name: str, models: Models) -> str:
    uses = [("writes", models.default), ("judges", models.judge)]
    return " and ".join(use for use, names in uses if name in names)
