"""What a narrative and all that it runs need, found before its first call is paid for."""

from collections.abc import Iterator

from botticelli.errors import ConfigError, Problem
from botticelli.models import catalogue
from botticelli.narrative.answers.answer import Caller
from botticelli.narrative.checks.asks import reached
from botticelli.narrative.files.lookup import find_file
from botticelli.narrative.language.model import Media, Narrative, NarrativeFile, Text
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.context import RunContext, RunOptions


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


def why_closed(context: RunContext, name: str) -> tuple[Problem, ...]:
    """Return what keeps a model from being asked, as far as that shows without asking it."""
    today = context.clock.now().date()
    try:
        context.drivers.open(catalogue.current_name(name, context.config.models, on=today))
    except ConfigError as error:
        return error.problems
    return ()


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
