"""The judge against people: how far they agree, since when, and which criteria say something."""

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from botticelli.agreement import Measured, Z, apart, banded, kappa, spearman
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation.judging import CRITERIA
from botticelli.store.reads.judge_agreement import (
    CLASSES,
    LEAST,
    LabelledPost,
    list_labelled,
    why_too_few,
)

PERIOD: Final = 20  # decisions of a period at least
PERIODS: Final = 6  # at most
ENOUGH: Final = 50  # decisions; a criterion that shows nothing in so many predicts nothing


@record
class CriterionWorth:
    """What a criterion tells of people's decisions: predicts, misleads, nothing or unclear."""

    name: str
    rank: Measured | None
    verdict: str


@record
class AgreementPeriod:
    """A stretch of decisions: `total` is the judge's mean, `approved` people's share."""

    first: datetime
    last: datetime
    n: int
    rank: Measured | None
    total: float
    approved: float


@record
class JudgeAgreement:
    """How far the judge's totals agree with what people decided.

    Args:
        decisions: Of people, about candidates that were judged before.
        needed: From how many on anything is said.
        reason: Why nothing can be said; empty: something can.
        kappa: Weighted, of three classes: rejected, approved after an edit, approved as it was. The
            judge's classes are cut where people's shares are.
        rank: Rank correlation of the total with these classes.
        criteria: Each by its own rank correlation.
        periods: Oldest first; they are of like length.
        drift: What changed from the earlier periods to the last one; empty: nothing that shows.
    """

    decisions: int
    needed: int
    rejected: int
    edited: int
    approved: int
    reason: str = ""
    kappa: Measured | None = None
    rank: Measured | None = None
    criteria: tuple[CriterionWorth, ...] = ()
    periods: tuple[AgreementPeriod, ...] = ()
    drift: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What a person reads."""
        if self.reason:
            return (self.reason,)
        useless = [one.name for one in self.criteria if one.verdict == "nothing"]
        misleading = [one.name for one in self.criteria if one.verdict == "misleads"]
        labels = f"{self.approved} approved, {self.edited} edited, {self.rejected} rejected"
        return (
            f"{self.decisions} decisions: {labels}",
            f"weighted kappa {self.kappa}, rank correlation {self.rank}",
            *(f"{one.name}: {one.verdict}, {one.rank}" for one in self.criteria),
            *([f"predicts nothing: {', '.join(useless)}"] if useless else ()),
            *([f"points the wrong way: {', '.join(misleading)}"] if misleading else ()),
            f"drift: {self.drift or 'none that shows'}",
        )


def judge_agreement(conn: Connection) -> JudgeAgreement:
    """Return how far the judge agrees with people's last decisions. Reads only."""
    return agreement_of([one for one in list_labelled(conn) if one.total is not None])


def agreement_of(labelled: Sequence[LabelledPost]) -> JudgeAgreement:
    """Return how far the totals agree with the labels, which are in the order of decisions."""
    labels = [one.label for one in labelled]
    found = JudgeAgreement(
        decisions=len(labels),
        needed=LEAST,
        rejected=labels.count(0),
        edited=labels.count(1),
        approved=labels.count(2),
        reason=why_too_few(labels),
    )
    if found.reason:
        return found
    totals = [one.total or 0.0 for one in labelled]
    periods = _periods(labelled)
    return JudgeAgreement(
        **{
            **vars(found),
            "kappa": kappa(banded(totals, labels), labels, classes=CLASSES),
            "rank": spearman(totals, labels),
            "criteria": tuple(_worth(name, labelled) for name in CRITERIA),
            "periods": tuple(map(_period, periods)),
            "drift": _drift(periods),
        }
    )


def _worth(name: str, labelled: Sequence[LabelledPost]) -> CriterionWorth:
    pairs = [(one.points[name], one.label) for one in labelled if name in one.points]
    rank = spearman([points for points, _ in pairs], [label for _, label in pairs])
    if rank is None:  # all got the same points
        return CriterionWorth(
            name=name, rank=None, verdict="nothing" if len(pairs) >= ENOUGH else "unclear"
        )
    unclear = "nothing" if rank.n >= ENOUGH else "unclear"
    verdict = "predicts" if rank.low > 0 else "misleads" if rank.high < 0 else unclear
    return CriterionWorth(name=name, rank=rank, verdict=verdict)


def _rank(labelled: Sequence[LabelledPost]) -> Measured | None:
    return spearman([one.total or 0.0 for one in labelled], [one.label for one in labelled])


def _mean(labelled: Sequence[LabelledPost], of: Callable[[LabelledPost], float]) -> float:
    return sum(map(of, labelled)) / len(labelled)


def _periods(labelled: Sequence[LabelledPost]) -> list[Sequence[LabelledPost]]:
    count = min(PERIODS, len(labelled) // PERIOD)
    cuts = [len(labelled) * number // count for number in range(count + 1)]
    return [labelled[first:last] for first, last in itertools.pairwise(cuts)]


def _period(labelled: Sequence[LabelledPost]) -> AgreementPeriod:
    return AgreementPeriod(
        first=labelled[0].decided_at,
        last=labelled[-1].decided_at,
        n=len(labelled),
        rank=_rank(labelled),
        total=round(_mean(labelled, lambda one: one.total or 0.0), 2),
        approved=round(_mean(labelled, lambda one: float(one.label > 0)), 3),
    )


def _drift(periods: Sequence[Sequence[LabelledPost]]) -> str:
    """Return how the last period differs from the earlier ones, beyond chance."""
    earlier = [one for period in periods[:-1] for one in period]
    before, now = _rank(earlier), _rank(periods[-1])
    if before is None or now is None:
        return ""
    errors = apart(now, before)
    if abs(errors) < Z:
        return ""
    return f"it agrees {'better' if errors > 0 else 'less'} than before: {now}, it was {before}"
