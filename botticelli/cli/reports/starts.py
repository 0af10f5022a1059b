"""What keeps a stage from starting, found as the stage itself finds it: by its own functions.

For `check`, `doctor` and `health`. Nothing is written, sent or asked of anybody outside.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from botticelli.cli.shared.command_guard import missing_trust
from botticelli.cli.shared.runners import run_context
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import StageName
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


@record
class Starts:
    """What the stages run, and what keeps them from starting, but for models and destinations."""

    context: "RunContext"
    used: Mapping[StageName, Sequence[Use]]
    problems: Mapping[StageName, Sequence[Problem]]

    def models(self, *stages: StageName) -> list[str]:
        """Return the models that the acts of these stages ask, and of what they run."""
        from botticelli.narrative.checks.needs import models_asked

        asked = (
            models_asked(self.context, each.file, each.narrative, each.options)
            for stage in stages
            for each in self.used.get(stage, ())
        )
        return [name for each in asked for names in each for name in names]

    @property
    def files(self) -> list["NarrativeFile"]:
        """The files of the stages' narratives and of all that they run."""
        from botticelli.narrative.checks.asks import files_run

        all_used = [each for used in self.used.values() for each in used]
        return [file for each in all_used for file in files_run(each.file, self.context.resolve)]


def look(env: Environment, conn: "Connection | None" = None) -> Starts:
    """Return what the stages run and would meet; without a database as far as that shows."""
    context = run_context(env, cast("Connection", conn))
    used: dict[StageName, Sequence[Use]] = {}
    problems: dict[StageName, Sequence[Problem]] = {}
    for stage in context.config.stages:
        try:
            used[stage], problems[stage] = _uses(context, stage), ()
        except ConfigError as error:
            used[stage], problems[stage] = (), error.problems
        for each in used[stage]:
            is_stored = stage == "generate"
            refusal = missing_trust(context, each.file, each.narrative, stores=is_stored)
            problems[stage] = refusal.problems if refusal else problems[stage]
    return Starts(context=context, used=used, problems=problems)


def _uses(context: "RunContext", stage: StageName) -> list[Use]:
    """Return the narratives that a stage runs, those that they run left out.

    Raises:
        ConfigError: There is none of that name, its file holds mistakes, or it cannot judge; or
            there is no destination.
    """
    from botticelli.narrative.run.context import RunOptions
    from botticelli.stages.collect.stage import require_readable
    from botticelli.stages.curate.judge import RANKING, find_judge
    from botticelli.stages.generate.occasion import occasion
    from botticelli.stages.post.target import PostRequest

    config = context.config
    if stage == "collect":
        require_readable(config.sources)
        return []
    if stage in ("post", "observe"):
        PostRequest().destinations(config)
        return []
    if stage == "generate":
        occasion(config, now=context.clock.now(), conn=None)  # themes that mean nothing
        file, narrative = context.find(config.generate.narrative)
        return [
            Use(file=file, narrative=narrative, options=RunOptions(models=config.models.default))
        ]
    file, judge = find_judge(config, cwd=context.cwd)
    rank = file.narratives.get(RANKING) if config.curate.ranking else None
    options = RunOptions(models=config.models.judge)
    found = [Use(file=file, narrative=each, options=options) for each in (judge, rank) if each]
    adapting = dict.fromkeys(one.adapt for one in config.destinations.values() if one.adapt)
    for file, narrative in map(context.find, adapting):
        options = RunOptions(models=config.models.default)
        found.append(Use(file=file, narrative=narrative, options=options))
    return found


def never_sent(starts: Starts) -> Iterator[Problem]:
    """Yield why the calls of a stage could not be made on any day, by walking through them dry."""
    from botticelli.budget.limits import layered
    from botticelli.narrative.checks import needs
    from botticelli.stages.curate.stage import calls_of_a_batch
    from botticelli.stages.generate.plan import calls_of_a_post

    context = replace(starts.context, note=lambda _: None)
    for stage, plan in (("generate", calls_of_a_post), ("curate", calls_of_a_batch)):
        try:
            for used in starts.used[cast("StageName", stage)][:1]:
                budget = layered(context.config.budget, used.narrative.budget)
                for calls in plan(context, used.file, used.narrative):
                    yield from needs.never_sent(calls, context.config.models, budget)
        except ConfigError as error:
            yield from error.problems
        except BotticelliError:
            continue  # what it read may be there when it runs
