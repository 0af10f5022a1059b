"""Calibration: candidate judges over what people decided: which one says it best, at what cost.

The texts go to the very judge that `curate` uses, as they were written, with the models or the
narrative that are tried. No verdict is written. Every answer is kept and found again by what was
asked, so that nothing is paid for twice, whether a run was killed or is repeated.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import Final

from botticelli.agreement import Measured, Z, ahead, banded, kappa, spearman
from botticelli.errors import BotticelliError, Exit
from botticelli.narrative.answers.dry_run import CallsEstimate, estimate
from botticelli.narrative.run.context import RunContext
from botticelli.records import record
from botticelli.stages.curate.batch import concerns_all
from botticelli.stages.curate.judge import Judge, find_judge
from botticelli.stages.curate.rubric import read_answer, total
from botticelli.stages.curate.stage import walk_batch
from botticelli.stages.supervise import supervised
from botticelli.stages.task import RunOutcome
from botticelli.store import runs
from botticelli.store.curation import house_rules
from botticelli.store.generation import executions
from botticelli.store.generation.executions import LASTING
from botticelli.store.reads.judge_agreement import (
    CLASSES,
    LabelledPost,
    list_labelled,
    why_too_few,
)

MOST: Final = 40  # decisions that are judged again: the last ones
PASSES: Final = 2  # whoever is missing from an answer is asked for once more


@record
class JudgeTrialResult:
    """How a judge's totals agree with what people decided.

    Args:
        model, prompt: Who judged, by which narrative; "as judged then": the scores that are there.
        scored: How many posts have a total.
        clearly: The judge ranks better than the one that judged then, or worse, beyond chance.
        cost_usd: Of its answers, in US dollars, whenever they were paid for.
        problem: Why it could not judge; empty: it did.
    """

    model: str
    prompt: str
    scored: int = 0
    kappa: Measured | None = None
    rank: Measured | None = None
    clearly: str = ""
    cost_usd: Decimal = Decimal(0)
    problem: str = ""


@record
class CalibrateReport(runs.RunUsage):
    """What a calibration found, the best judge first.

    Args:
        decisions: People's, that were judged again.
        idle: Why nothing was asked; empty: something was.
        skipped: "paused": nothing was done.
    """

    decisions: int = 0
    judges: tuple[JudgeTrialResult, ...] = ()
    idle: str = ""
    skipped: str = ""
    seconds: float = 0.0
    exit_code: Exit = Exit.DONE


@record
class CalibrateDryRun(CallsEstimate):
    """What a calibration would cost if no answer were there yet."""

    decisions: int
    judges: int
    idle: str = ""
    exit_code: Exit = Exit.DONE


@record
class TriedJudge:
    """A judge that is to be tried: the context makes its model the only one that judges."""

    context: RunContext
    model: str
    prompt: str
    judge: Judge

    def totals(self, labelled: Sequence[LabelledPost]) -> tuple[dict[int, float], list[int]]:
        """Return id -> its total of 50, of those that it scored, and the ids of its answers.

        Raises:
            TryLater, ModelError, ConfigError: It cannot be asked now.
        """
        weights, size = self.context.config.curate.weights, self.context.config.curate.batch
        found: dict[int, float] = {}
        answers: list[int] = []
        for start in range(0, len(labelled), size):
            for _ in range(PASSES):
                left = [
                    one.candidate for one in labelled[start : start + size] if one.id not in found
                ]
                if not left:
                    break
                # Codes and order are the same for the same texts: so is the question.
                chance = random.Random(str([(one.id, one.text_content) for one in left]))  # noqa: S311
                judge = replace(self.judge, context=replace(self.context, chance=chance))
                said = judge(self.context.conn, left)
                answers += [] if said.execution_id is None else [said.execution_id]
                for each in read_answer(said.value, codes=said.codes).scores:
                    found[each.id] = total(each.points, weights=weights)
        return found, answers


def calibrate(
    context: RunContext, *, models: Sequence[str], prompts: Sequence[str], most: int = MOST
) -> CalibrateReport:
    """Judge people's last decisions again, by each of the models with each of the prompts.

    None: those that are configured. Nothing is written but the calls.

    Raises:
        TryLater: The stage is locked, its breaker is open, or the budget of the day is spent; what
            was answered is found again.
        ConfigError: A narrative cannot judge.
    """
    with supervised("curate", context) as run:
        if run is None:
            return CalibrateReport(skipped="paused")
        began = context.clock.monotonic()
        mine = replace(context, run_id=run.id, stop=run.stop)
        report = _calibrate(mine, _judges(mine, models, prompts), most)
        used = runs.usage(context.conn, run.id)
        run.outcome = RunOutcome(
            exit_code=report.exit_code,
            summary=vars(used) | {"calibrated": report.decisions, "cost_usd": float(used.cost_usd)},
            threshold=context.config.supervision.failure_threshold,
        )
        return replace(report, seconds=context.clock.monotonic() - began, **vars(used))


def dry_run_calibrate(
    context: RunContext, *, models: Sequence[str], prompts: Sequence[str], most: int = MOST
) -> CalibrateDryRun:
    """Return how many calls a calibration takes, and their price. Nothing is spent or written."""
    labelled = list_labelled(context.conn)[-most:]
    judges = list(_judges(context, models, prompts))
    size, idle = context.config.curate.batch, why_too_few([one.label for one in labelled])
    batches = [labelled[at : at + size] for at in range(0, len(labelled), size)]
    calls = [
        call
        for one in (() if idle else judges)
        for batch in batches
        for call in walk_batch(
            one.context, one.judge.file, one.judge.narrative, [each.candidate for each in batch]
        )
    ]
    decisions = len(labelled)
    return CalibrateDryRun(
        decisions=decisions, judges=len(judges), idle=idle, **vars(estimate(calls))
    )


def _judges(
    context: RunContext, models: Sequence[str], prompts: Sequence[str]
) -> Iterator[TriedJudge]:
    """Yield the judges that are to be tried: each model with each prompt."""
    config, rules = context.config, house_rules.current(context.conn)
    for model in dict.fromkeys(models or config.models.judge[:1]):
        for prompt in dict.fromkeys(prompts or [config.curate.narrative]):
            changed = replace(
                config,
                models=replace(config.models, judge=(model,)),
                curate=replace(config.curate, narrative=prompt),
            )
            mine = replace(context, config=changed)
            file, narrative = find_judge(changed, cwd=context.cwd)
            place = sha256(f"{model}\0{file.path}\0{narrative.key}".encode()).hexdigest()[:16]
            judge = Judge(
                context=mine,
                file=file,
                narrative=narrative,
                rules=rules,
                place=f"{LASTING}calibrate/{place}/",
            )
            yield TriedJudge(context=mine, model=model, prompt=prompt, judge=judge)


def _calibrate(context: RunContext, judges: Iterator[TriedJudge], most: int) -> CalibrateReport:
    labelled = list_labelled(context.conn)[-most:]
    tried = list(judges)
    for one in tried:  # what cannot judge is an error before anything is asked
        context.caller().require([one.model])
    idle = why_too_few([one.label for one in labelled])
    if idle:
        return CalibrateReport(decisions=len(labelled), idle=idle)
    then = {one.id: one.total for one in labelled if one.total is not None}
    found = [_result(JudgeTrialResult(model="as judged then", prompt=""), labelled, then, then)]
    for one in tried:
        result = JudgeTrialResult(model=one.model, prompt=one.prompt)
        try:
            totals, answers = one.totals(labelled)
        except BotticelliError as error:
            if concerns_all(error):
                raise
            found.append(replace(result, problem=str(error.problems[0])))
        else:
            cost = executions.cost_of(context.conn, answers)
            found.append(_result(replace(result, cost_usd=cost), labelled, totals, then))
    best = sorted(found, key=lambda one: one.rank.value if one.rank else -2.0, reverse=True)
    return CalibrateReport(decisions=len(labelled), judges=tuple(best))


def _result(
    result: JudgeTrialResult,
    labelled: Sequence[LabelledPost],
    totals: dict[int, float],
    then: dict[int, float],
) -> JudgeTrialResult:
    """Return how these totals agree with the labels, and with how those did that judged then."""
    scored = [one for one in labelled if one.id in totals]
    labels, points = [one.label for one in scored], [totals[one.id] for one in scored]
    both = [one for one in scored if one.id in then]
    return replace(
        result,
        scored=len(scored),
        kappa=kappa(banded(points, labels), labels, classes=CLASSES),
        rank=spearman(points, labels),
        clearly=_clearly(
            [totals[one.id] for one in both],
            [then[one.id] for one in both],
            [one.label for one in both],
        ),
    )


def _clearly(new: Sequence[float], old: Sequence[float], labels: Sequence[int]) -> str:
    """Return whether the new totals rank the labels better or worse than the old, beyond chance."""
    one, other, between = spearman(new, labels), spearman(old, labels), spearman(new, old)
    if one is None or other is None or between is None:
        return ""
    errors = ahead(one, other, between=between.value)
    return "" if abs(errors) < Z else "better" if errors > 0 else "worse"
