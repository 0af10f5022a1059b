"""What readers' reactions say of kinds of posts: shrunken effects, and what a score gains by them.

Pure. An effect is the mean of what posts have over their baseline, pulled towards none by as much
as such means differ by chance; evidence counts less with age, and nothing after 90 days.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import exp, sqrt
from statistics import fmean
from typing import Final

from botticelli.learning.trials import chance_of
from botticelli.records import record

LEAST_POSTS: Final = 10  # of a channel; fewer say nothing
LEAST_OF_KIND: Final = 5
PSEUDO_POSTS: Final = 6.0  # without any effect that each kind begins with
ESTIMATED_FROM: Final = 30  # posts: from there on the spread between kinds is estimated
DAYS: Final = 90.0  # after which evidence counts no more
Z80: Final = 1.2816  # of an interval of 80 %


@record
class Evidence:
    """A post with its reactions at a fixed age.

    Args:
        residual: y over what was to be expected, as botticelli_scores has it.
        days: Since it went out.
        kinds: Feature -> what it is of it: angle, theme, length.
    """

    text: str
    residual: float
    days: float
    kinds: Mapping[str, str]


@record
class Effect:
    """What is known of one kind.

    Args:
        factor: What the mean reactions are multiplied with, as far as is known.
        low, high: Its interval of 80 %.
        n: Posts that say so.
    """

    feature: str
    kind: str
    factor: float
    low: float
    high: float
    n: int


@record
class Feedback:
    """What a judge's total is multiplied with, and why."""

    factor: float = 1.0
    why: str = ""


def effects_of(
    posts: Sequence[Evidence], features: Collection[str]
) -> dict[tuple[str, str], Effect]:
    """Return (feature, kind) -> effect, of kinds with enough posts; none of a young channel."""
    fresh = [one for one in posts if one.days < DAYS]
    if len(fresh) < LEAST_POSTS:
        return {}
    weights = [1 - max(0.0, one.days) / DAYS for one in fresh]
    total = sum(weights)
    mean = sum(w * one.residual for w, one in zip(weights, fresh, strict=True)) / total
    found = {}
    for feature in features:
        groups: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for weight, one in zip(weights, fresh, strict=True):
            if kind := one.kinds.get(feature):
                groups[kind].append((weight, one.residual - mean))
        large = {kind: each for kind, each in groups.items() if len(each) >= LEAST_OF_KIND}
        if len(groups) > 1:
            pseudo, within = _shrinkage(list(large.values()))
            for kind, each in large.items():
                found[feature, kind] = _effect(feature, kind, each, pseudo=pseudo, within=within)
    return found


def _shrinkage(groups: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """Return how many posts without effect each kind begins with, and the spread within kinds.

    By moments: variance within kinds over variance between; where kinds differ no more than by
    chance, that is without bound, and there is no effect.
    """
    n = sum(map(len, groups))
    means = [fmean(value for _, value in each) for each in groups]
    rest = sum((y - mean) ** 2 for each, mean in zip(groups, means, strict=True) for _, y in each)
    within = max(rest / max(1, n - len(groups)), 1e-9)
    if n < ESTIMATED_FROM or len(groups) < 2:
        return PSEUDO_POSTS, within
    overall = sum(len(each) * mean for each, mean in zip(groups, means, strict=True)) / n
    squares = sum(len(g) * (m - overall) ** 2 for g, m in zip(groups, means, strict=True))
    usual = (n - sum(len(each) ** 2 for each in groups) / n) / (len(groups) - 1)
    between = (squares / (len(groups) - 1) - within) / usual
    return (max(PSEUDO_POSTS, within / between) if between > 0 else float("inf")), within


def _effect(
    feature: str,
    kind: str,
    values: Sequence[tuple[float, float]],
    *,
    pseudo: float,
    within: float,
) -> Effect:
    weight = sum(each for each, _ in values)
    mean = sum(each * value for each, value in values) / (weight + pseudo)
    spread = Z80 * sqrt(within / (weight + pseudo))
    low, middle, high = (exp(mean + side) for side in (-spread, 0, spread))
    return Effect(feature=feature, kind=kind, factor=middle, low=low, high=high, n=len(values))


def feedback_for(
    id_: int,
    kinds: Mapping[str, str],
    effects: Mapping[tuple[str, str], Effect],
    *,
    most: float,
    exploration: float,
) -> Feedback:
    """Return what a candidate's total is multiplied with.

    Args:
        id_: Of the candidate: a share of `exploration`, drawn by it, is chosen without.
        kinds: What it is.
        effects: By `effects_of`.
        most: Bound: 0.1 is from 0.9 to 1.1.
        exploration: That share.
    """
    known = (effects[pair] for pair in kinds.items() if pair in effects)
    told = [one for one in known if not one.low <= 1 <= one.high]
    if not told:
        return Feedback()
    if chance_of("exploration", id_).random() < exploration:
        return Feedback(why="without feedback, to explore")
    product = 1.0
    for one in told:
        product *= one.low if one.low > 1 else one.high
    factor = round(min(1 + most, max(1 - most, product)), 4)
    change = f"{100 * (factor - 1):+.0f} %"
    because = ", ".join(f"{one.feature} = {one.kind}, n = {one.n}" for one in told)
    return Feedback(factor=factor, why=f"{change} because {because}")


def shares(counts: Mapping[str, int], factors: Mapping[str, float]) -> dict[str, int]:
    """Return how many posts of each angle are written in place of `counts`; as many in all.

    None gets less than half of its own share or more than one and a half; each has at least one.

    Args:
        counts: Angle -> posts.
        factors: Angle -> the factor of its effect, where one is known.
    """
    wanted = {
        angle: count * min(1.5, max(0.5, factors.get(angle, 1.0)))
        for angle, count in counts.items()
    }
    total = sum(counts.values())
    scale = total / max(sum(wanted.values()), 1e-9)
    given = {angle: max(1, int(value * scale)) for angle, value in wanted.items()}

    def lacks(angle: str) -> float:
        return wanted[angle] * scale - given[angle]

    while sum(given.values()) < total:
        given[max(given, key=lacks)] += 1
    while sum(given.values()) > total:  # the floor of one gave too many
        given[min((one for one in given if given[one] > 1), key=lacks)] -= 1
    return given
