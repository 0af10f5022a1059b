"""Calibration: candidate judges over what people decided: which one says it best, at what cost.

The texts go to the very judge that `curate` uses, as they were written, with the models or the
narrative that are tried. No verdict is written. Every answer is kept and found again by what was
asked, so that nothing is paid for twice, whether a run was killed or is repeated.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import Any, Final

from botticelli.agreement import Measured, Z, ahead, spearman
from botticelli.errors import BotticelliError
from botticelli.narrative.answers.dry_run import estimate
from botticelli.narrative.run.context import RunContext
from botticelli.records import record
from botticelli.stages.aside import AsideDryRun, AsideReport, run_aside
from botticelli.stages.curate.batch import concerns_all
from botticelli.stages.curate.judge import Judge, find_judge
from botticelli.stages.curate.rubric import read_answer, total
from botticelli.stages.curate.stage import walk_batch
from botticelli.store.curation import house_rules
from botticelli.store.generation import executions
from botticelli.store.generation.executions import LASTING
from botticelli.store.reads.judge_agreement import (
    LabelledPost,
    class_kappa,
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
class CalibrateReport(AsideReport):
    """What a calibration of people's `decisions` found, the best judge first."""

    decisions: int = 0
    judges: tuple[JudgeTrialResult, ...] = ()

    @property
    def summary(self) -> Mapping[str, Any]:
        """What is stored with the run."""
        return {"calibrated": self.decisions}


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
    labelled = list_labelled(context.conn)[-most:]
    judges = _judges(context, models, prompts)
    for judge, _ in judges:  # what cannot judge is an error before anything is asked
        context.caller().require(judge.context.config.models.judge)
    work = partial(_calibrate, judges=judges, labelled=labelled)
    return run_aside(context, work, CalibrateReport)


def dry_run_calibrate(
    context: RunContext, *, models: Sequence[str], prompts: Sequence[str], most: int = MOST
) -> AsideDryRun:
    """Return how many calls a calibration takes, and their price. Nothing is spent or written."""
    labelled = list_labelled(context.conn)[-most:]
    idle = why_too_few(labelled)
    calls = [
        call
        for judge, _ in (() if idle else _judges(context, models, prompts))
        for batch in _batches(context, labelled)
        for call in walk_batch(
            judge.context, judge.file, judge.narrative, [each.candidate for each in batch]
        )
    ]
    return AsideDryRun(cases=len(labelled), idle=idle, **vars(estimate(calls)))


def _batches(context: RunContext, labelled: Sequence[LabelledPost]) -> list[Sequence[LabelledPost]]:
    size = context.config.curate.batch
    return [labelled[at : at + size] for at in range(0, len(labelled), size)]


def _judges(
    context: RunContext, models: Sequence[str], prompts: Sequence[str]
) -> list[tuple[Judge, JudgeTrialResult]]:
    """Return the judges that are to be tried, each model with each prompt, and who each is."""
    config, judges = context.config, []
    for model in dict.fromkeys(models or config.models.judge[:1]):
        for prompt in dict.fromkeys(prompts or [config.curate.narrative]):
            changed = replace(
                config,
                models=replace(config.models, judge=(model,)),
                curate=replace(config.curate, narrative=prompt),
            )
            file, narrative = find_judge(changed, cwd=context.cwd)
            place = sha256(f"{model}\0{file.path}\0{narrative.key}".encode()).hexdigest()[:16]
            judge = Judge(
                context=replace(context, config=changed),
                file=file,
                narrative=narrative,
                rules=house_rules.current(context.conn),
                place=f"{LASTING}calibrate/{place}/",
            )
            judges.append((judge, JudgeTrialResult(model=model, prompt=prompt)))
    return judges


def _calibrate(
    context: RunContext,
    *,
    judges: Sequence[tuple[Judge, JudgeTrialResult]],
    labelled: Sequence[LabelledPost],
) -> CalibrateReport:
    if idle := why_too_few(labelled):
        return CalibrateReport(decisions=len(labelled), idle=idle)
    then = {one.id: one.total for one in labelled if one.total is not None}
    found = [_result(JudgeTrialResult(model="as judged then", prompt=""), labelled, then, then)]
    for judge, result in judges:
        own = replace(judge.context, run_id=context.run_id, stop=context.stop)
        try:
            totals, answers = _totals(replace(judge, context=own), labelled)
        except BotticelliError as error:
            if concerns_all(error):
                raise
            found.append(replace(result, problem=str(error.problems[0])))
        else:
            cost = executions.cost_of(context.conn, answers)
            found.append(_result(replace(result, cost_usd=cost), labelled, totals, then))
    best = sorted(found, key=lambda one: one.rank.value if one.rank else -2.0, reverse=True)
    return CalibrateReport(decisions=len(labelled), judges=tuple(best))


def _totals(judge: Judge, labelled: Sequence[LabelledPost]) -> tuple[dict[int, float], list[int]]:
    """Return id -> total of 50, of those that the judge scored, and the ids of its answers.

    Whoever is missing from an answer is asked for once more.
    """
    context, found, answers = judge.context, dict[int, float](), list[int]()
    for batch in _batches(context, labelled) * PASSES:
        left = [one.candidate for one in batch if one.id not in found]
        if left:
            # Codes and order are the same for the same texts: so is the question.
            chance = random.Random(str([(one.id, one.text_content) for one in left]))  # noqa: S311
            said = replace(judge, context=replace(context, chance=chance))(context.conn, left)
            answers += [] if said.execution_id is None else [said.execution_id]
            for each in read_answer(said.value, codes=said.codes).scores:
                found[each.id] = total(each.points, weights=context.config.curate.weights)
    return found, answers


def _result(
    result: JudgeTrialResult,
    labelled: Sequence[LabelledPost],
    totals: Mapping[int, float],
    then: Mapping[int, float],
) -> JudgeTrialResult:
    """Return how these totals agree with the labels, and with how those did that judged then."""
    scored = [one for one in labelled if one.id in totals]
    labels, points = [one.label for one in scored], [totals[one.id] for one in scored]
    both = [(totals[one.id], then[one.id], one.label) for one in scored if one.id in then]
    return replace(
        result,
        scored=len(scored),
        kappa=class_kappa(points, labels),
        rank=spearman(points, labels),
        clearly=_clearly(both),
    )


def _clearly(both: Sequence[tuple[float, float, int]]) -> str:
    """Return whether the first totals rank labels better or worse than the second, if it shows."""
    new, old, labels = ([each[place] for each in both] for place in range(3))
    one, other, between = spearman(new, labels), spearman(old, labels), spearman(new, old)
    if one is None or other is None or between is None:
        return ""
    errors = ahead(one, other, between=between.value)
    return "" if abs(errors) < Z else "better" if errors > 0 else "worse"
