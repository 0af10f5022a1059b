"""What a narrative and all that it runs need, and how many model calls they make.

All of it is found before the first call is paid for, and calls are counted nowhere else.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from botticelli.budget.limits import allowance, too_large
from botticelli.config.model import Limits, Models, Multipliers
from botticelli.errors import ConfigError, Problem
from botticelli.models import local
from botticelli.models.open import FREE, route
from botticelli.narrative.answers.answer import Caller
from botticelli.narrative.answers.dry_run import PlannedCall
from botticelli.narrative.checks.asks import reached
from botticelli.narrative.files.lookup import find_file
from botticelli.narrative.language.cycles import Resolve, called_by
from botticelli.narrative.language.model import (
    Act,
    Carousel,
    Media,
    Narrative,
    NarrativeFile,
    Text,
)
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.records import record

Counts = Callable[[Narrative, Act], bool]


def models_asked(
    context: RunContext, file: NarrativeFile, narrative: Narrative, options: RunOptions
) -> Iterator[tuple[str, ...]]:
    """Yield the models that each act asks in turn, of the narrative and of all that it runs."""
    for _, each in reached(file, narrative, context.resolve):
        for act in each.acts:
            if act_facts.asks(act):
                yield options.models_for(each, act, known=context.config.models)
            if each is narrative and act.name == options.until:
                break


def refuse_lacking(
    context: RunContext,
    file: NarrativeFile,
    narrative: Narrative,
    *,
    caller: Caller,
    options: RunOptions,
) -> None:
    """Find before the first call is paid for that a later act cannot be done.

    An act may ask none of its models, or a nested narrative's file may be missing; the run itself
    reads those of its own.

    Raises:
        ConfigError: Carries everything that is lacking.
    """
    problems: list[Problem] = []
    for names in dict.fromkeys(models_asked(context, file, narrative, options)):
        try:
            caller.require(names)
        except ConfigError as error:
            problems += error.problems
    for own, each in reached(file, narrative, context.resolve):
        problems += _missing_files(context, own, each) if each is not narrative else ()
    if problems:
        raise ConfigError.of(tuple(dict.fromkeys(problems)))


def _missing_files(
    context: RunContext, file: NarrativeFile, narrative: Narrative
) -> Iterator[Problem]:
    folders = context.folders(file)
    for _, given in narrative.inputs():
        if isinstance(given, Text | Media) and given.file:
            try:
                find_file(given.file, folders=folders)
            except ConfigError as error:
                yield from error.problems


def never_sent(
    calls: Sequence[PlannedCall], models: Models, multipliers: Multipliers
) -> Iterator[Problem]:
    """Yield why the calls of one post, or of one batch of the judge, cannot be made on any day."""
    by_model: dict[str, list[PlannedCall]] = defaultdict(list)
    for call in calls:
        by_model[call.model].append(call)
    for name, planned in by_model.items():
        way = route(planned[0].asked, models)
        # Gemini counts input only.
        outputs = [0 if way.provider == "gemini" else call.output_tokens for call in planned]
        sizes = [call.input_tokens + out for call, out in zip(planned, outputs, strict=True)]
        where, largest = f"model {name}", max(sizes)
        own = models.limits.get(name, Limits()).context_window
        window = local.CONTEXT if way.provider == "local" else own
        if window is not None and largest > window:
            what = f"a prompt needs about {largest} tokens, and {window} are read"
            hint = "shorten its inputs, lower [curate] batch, or choose another model"
            yield Problem(where=where, what=what, hint=hint)
        if way.provider in FREE:
            continue
        allowed = allowance(name, models, provider=way.provider, multipliers=multipliers)
        hint = f'raise it in [models.limits."{name}"], or leave acts out'
        if largest > min(one for one in (allowed.tpm, allowed.tpd, largest) if one is not None):
            yield too_large(name, allowed, tokens=largest)
        elif allowed.tpd is not None and sum(sizes) > allowed.tpd:
            what = f"a post needs about {sum(sizes)} tokens, and {allowed.tpd} a day may be used"
            yield Problem(where=where, what=what, hint=hint)
        if allowed.rpd is not None and len(planned) > allowed.rpd:
            what = f"a post needs {len(planned)} calls, and {allowed.rpd} a day may be used"
            yield Problem(where=where, what=what, hint=hint)


@record
class Calls:
    """Model calls, if every answer is valid.

    Args:
        least: If every act that may be skipped is skipped (skip_if_valid).
        most: If none is.
    """

    least: int
    most: int

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(least=self.least + other.least, most=self.most + other.most)

    def times(self, carousel: Carousel | None) -> "Calls":
        """Return the calls of all rounds of the carousel."""
        rounds = carousel.iterations if carousel else 1
        return Calls(least=self.least * rounds, most=self.most * rounds)


NO_CALLS = Calls(least=0, most=0)


def _all(_narrative: Narrative, _act: Act) -> bool:
    return True


def calls_per_run(
    file: NarrativeFile, narrative: Narrative, *, resolve: Resolve, counts: Counts = _all
) -> Calls:
    """Return the calls of a run: all rounds of the carousel, and everything that they run.

    `counts` says which acts are counted. Narratives that run each other in a circle have to be
    found before (`check_nested`).

    Raises:
        ConfigError: A nested file is missing or holds mistakes.
    """
    one = calls_per_round(file, narrative, resolve=resolve, counts=counts)
    return one.times(narrative.carousel)


def calls_per_round(
    file: NarrativeFile, narrative: Narrative, *, resolve: Resolve, counts: Counts = _all
) -> Calls:
    """Return the calls of one round: what one item of `generate` takes. See calls_per_run."""
    calls = NO_CALLS
    for position, act in enumerate(narrative.acts):
        for called in called_by(file, act, resolve=resolve):
            inner = calls_per_run(*called, resolve=resolve, counts=counts)
            calls += inner.times(act.carousel)
        if act_facts.asks(act) and counts(narrative, act):
            calls += _own(act, is_first=position == 0)
    return calls


def _own(act: Act, *, is_first: bool) -> Calls:
    """The act's own calls. Its first round cannot be skipped if no answer came before it."""
    rounds = act.carousel.iterations if act.carousel else 1
    may_be_skipped = act.skip_if_valid and act.schema is not None
    return Calls(least=int(is_first) if may_be_skipped else rounds, most=rounds)
