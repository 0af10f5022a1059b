"""What keeps a stage from starting, found as the stage itself finds it: by its own functions.

For `check`, `doctor` and `health`. Nothing is written, sent or asked of anybody outside.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from botticelli.cli.shared.command_guard import missing_trust
from botticelli.cli.shared.runners import run_context
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import STAGES, StageName
from botticelli.errors import BotticelliError, ConfigError, Problem
from botticelli.records import record

if TYPE_CHECKING:
    from botticelli.narrative.language.model import Narrative, NarrativeFile
    from botticelli.narrative.run.context import RunContext, RunOptions
    from botticelli.store.connection import Connection


@record
class Use:
    """A narrative that a stage runs."""

    file: "NarrativeFile"
    narrative: "Narrative"
    options: "RunOptions"


def context_of(env: Environment, conn: "Connection | None" = None) -> "RunContext":
    """Return the world that a stage's narratives would see; for looking, no database is needed."""
    return run_context(env, cast("Connection", conn))


def uses(context: "RunContext", stage: StageName) -> list[Use]:
    """Return the narratives that a stage runs, those that they run left out.

    Raises:
        ConfigError: There is none of that name, its file holds mistakes, or it cannot judge.
    """
    from botticelli.narrative.run.context import RunOptions
    from botticelli.stages.curate.judge import RANKING, find_judge

    config = context.config
    if stage == "generate":
        file, narrative = context.find(config.generate.narrative)
        options = RunOptions(models=config.models.default)
        return [Use(file=file, narrative=narrative, options=options)]
    if stage == "curate":
        file, judge = find_judge(config, cwd=context.cwd)
        rank = file.narratives.get(RANKING) if config.curate.ranking else None
        options = RunOptions(models=config.models.judge)
        both = filter(None, (judge, rank))
        return [Use(file=file, narrative=each, options=options) for each in both]
    return []


def files_of(context: "RunContext", used: Iterable[Use]) -> Iterator[Path]:
    """Yield the files of narratives and of all that they run."""
    from botticelli.narrative.checks.asks import files_run

    for each in used:
        yield from (file.path for file in files_run(each.file, context.resolve))


def models_of(context: "RunContext", used: Use) -> Iterator[str]:
    """Yield the models that the acts of a narrative and of all that it runs ask."""
    from botticelli.narrative.checks.needs import models_asked

    for names in models_asked(context, used.file, used.narrative, used.options):
        yield from names


def obstacles(
    env: Environment, stage: StageName, conn: "Connection | None" = None
) -> Iterator[Problem]:
    """Yield what keeps a stage from starting, but for its models and destinations."""
    context = context_of(env, conn)
    try:
        for used in uses(context, stage):
            if refusal := missing_trust(
                context, used.file, used.narrative, stores=stage == "generate"
            ):
                yield from refusal.problems
        if stage == "post":
            from botticelli.stages.post.target import PostRequest

            PostRequest().destinations(env.config)
    except ConfigError as error:
        yield from error.problems


def closed(env: Environment, stage: StageName) -> Iterator[Problem]:
    """Yield why models or destinations of a stage cannot be opened."""
    from botticelli.narrative.checks.needs import why_closed

    if stage == "post":
        from botticelli.platforms.discord.open import missing

        for place in env.config.destinations.values():
            yield from missing(place)
        return
    context = context_of(env)
    try:
        names = dict.fromkeys(
            name for used in uses(context, stage) for name in models_of(context, used)
        )
    except ConfigError:
        return  # told by `obstacles`
    for name in names:
        yield from why_closed(context, name)


def never_sent(env: Environment, conn: "Connection") -> Iterator[Problem]:
    """Yield why the calls of a stage could not be made on any day, by walking through them dry."""
    from botticelli.budget.limits import layered
    from botticelli.narrative.checks import needs
    from botticelli.stages.curate.stage import calls_of_a_batch
    from botticelli.stages.generate.plan import calls_of_a_post

    config, context = env.config, replace(context_of(env, conn), note=lambda _: None)
    for stage in STAGES:
        try:
            for used in uses(context, stage)[:1]:
                plan = calls_of_a_post if stage == "generate" else calls_of_a_batch
                budget = layered(config.budget, used.narrative.budget)
                for calls in plan(context, used.file, used.narrative):
                    yield from needs.never_sent(calls, config.models, budget)
        except ConfigError as error:
            yield from error.problems
        except BotticelliError:
            continue  # what it read may be there when it runs
