"""The judge against people: how far they agree, since when, and which criteria say something."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from botticelli.agreement import Measured, Z, apart, spearman
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation.judging import CRITERIA
from botticelli.store.reads.judge_agreement import (
    LABELS,
    LEAST,
    LabelledPost,
    class_kappa,
    list_labelled,
    why_too_few,
)

PERIOD: Final = 20  # decisions of a period at least
PERIODS: Final = 6  # at most
ENOUGH: Final = 50  # decisions; a criterion that shows nothing in so many predicts nothing


@record
class RankedPart:
    """A criterion, or a period of decisions, with its rank correlation.

    Args:
        verdict: Of a criterion: predicts, misleads, nothing or unclear.
    """

    name: str
    rank: Measured | None
    verdict: str = ""


@record
class JudgeAgreement:
    """How far the judge's totals agree with what people decided.

    Args:
        decisions: Of people, about candidates that were judged before; `labels`: of each kind.
        needed: From how many on anything is said.
        reason: Why nothing can be said; empty: something can.
        kappa: Weighted, of the kinds of LABELS. The judge's are cut where people's shares are.
        rank: Rank correlation of the total with these kinds.
        criteria: Each by its own rank correlation.
        periods: Oldest first; they are of like length.
        drift: What changed from the earlier periods to the last one; empty: nothing that shows.
    """

    decisions: int
    labels: dict[str, int]
    needed: int = LEAST
    reason: str = ""
    kappa: Measured | None = None
    rank: Measured | None = None
    criteria: tuple[RankedPart, ...] = ()
    periods: tuple[RankedPart, ...] = ()
    drift: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What a person reads."""
        if self.reason:
            return (self.reason,)
        kinds = ", ".join(f"{count} {label}" for label, count in self.labels.items())
        return (
            f"{self.decisions} decisions: {kinds}",
            f"weighted kappa {self.kappa}, rank correlation {self.rank}",
            *(f"{one.name} {WORDS[one.verdict]}: {one.rank or 'always the same'}"
              for one in self.criteria),
            f"drift: {self.drift or 'none that shows'}",
        )  # fmt: skip


WORDS: Final = {
    "predicts": "predicts what people decide",
    "misleads": "points the wrong way",
    "nothing": "predicts nothing",
    "unclear": "is unclear so far",
}


def judge_agreement(conn: Connection) -> JudgeAgreement:
    """Return how far the judge agrees with people's last decisions. Reads only."""
    labelled = [one for one in list_labelled(conn) if one.total is not None]
    labels, totals = [one.label for one in labelled], [one.total or 0.0 for one in labelled]
    kinds = {name: labels.count(number) for number, name in enumerate(LABELS)}
    if reason := why_too_few(labelled):
        return JudgeAgreement(decisions=len(labels), labels=kinds, reason=reason)
    count = min(PERIODS, len(labelled) // PERIOD)
    cuts = [len(labelled) * number // count for number in range(count + 1)]
    return JudgeAgreement(
        decisions=len(labels),
        labels=kinds,
        kappa=class_kappa(totals, labels),
        rank=spearman(totals, labels),
        criteria=tuple(_criterion(name, labelled) for name in CRITERIA),
        periods=tuple(_period(labelled[first:last]) for first, last in pairwise(cuts)),
        drift=_drift(labelled[: cuts[-2]], labelled[cuts[-2] :]),
    )


def _criterion(name: str, labelled: Sequence[LabelledPost]) -> RankedPart:
    scored = [one for one in labelled if name in one.points]
    rank = spearman([one.points[name] for one in scored], [one.label for one in scored])
    verdict = "nothing" if len(scored) >= ENOUGH else "unclear"
    if rank and not rank.low <= 0 <= rank.high:
        verdict = "predicts" if rank.low > 0 else "misleads"
    return RankedPart(name=name, rank=rank, verdict=verdict)


def _rank(labelled: Sequence[LabelledPost]) -> Measured | None:
    return spearman([one.total or 0.0 for one in labelled], [one.label for one in labelled])


def _period(labelled: Sequence[LabelledPost]) -> RankedPart:
    first, last = labelled[0].decided_at, labelled[-1].decided_at
    return RankedPart(name=f"{first:%Y-%m-%d} to {last:%Y-%m-%d}", rank=_rank(labelled))


def _drift(earlier: Sequence[LabelledPost], last: Sequence[LabelledPost]) -> str:
    """Return how the last decisions differ from the earlier ones, beyond chance."""
    before, now = _rank(earlier), _rank(last)
    errors = apart(now, before) if before and now else 0.0
    if abs(errors) < Z:
        return ""
    return f"it agrees {'better' if errors > 0 else 'less'} than before: {now}, it was {before}"
