"""Experiments over posts: which arm a slot gets, and what the results say. Pure, no database.

Counts of reactions spread far more than chance alone (variance = mean + mean^2 / k, k of 1 to 4),
so nothing here assumes a law of counts: arms are compared by permutation within strata (weekday
type and hour block of the posting), and the rule that ends an experiment is fixed before it begins.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from math import expm1, sqrt
from statistics import NormalDist, fmean, pvariance
from typing import Final, Literal

from botticelli.records import record

ALPHA: Final = 0.05  # false alarms of a whole experiment, however often it is looked at
BOUND: Final = 2.86  # of |z| at each of 12 looks: 4.6 % false alarms (simulated: 24 % without)
LOOKS: Final = 12
LEAST_BETWEEN: Final = 5  # posts of each arm between two looks
PERMUTATIONS: Final = 2000
LEAST_SHIFT: Final = 10  # posts of each arm before Thompson sampling prefers one
FLOOR: Final = 0.1  # least share of an arm
KEPT: Final = 0.985  # what a post's evidence is worth with each later post
HOURS: Final = (
    (18, "evening"), (14, "afternoon"), (11, "noon"), (6, "morning"), (0, "night"),
)  # fmt: skip

Rule = Literal["fixed", "sequential"]


@record
class ArmPost:
    """What became of a post of an experiment.

    Args:
        stratum: Weekday type and hour block in which it went out.
        y: log(1 + weighted reactions), at a fixed age.
    """

    arm: str
    stratum: str
    y: float


@record
class Verdict:
    """Where an experiment stands.

    Args:
        winner: The arm that is better than the others; empty: none, or not yet.
        is_over: Nothing that comes later changes the verdict.
        n: Posts with a result of the arm that has least of them, `wanted` at the end.
        z: Of the best arm against the others, at the look that decided or the last one.
        p: By permutation, where the rule asks for it.
    """

    winner: str
    is_over: bool
    n: int
    wanted: int
    z: float | None = None
    p: float | None = None

    @property
    def words(self) -> str:
        """The verdict in words, with what it rests on."""
        of = f"{self.n} of {self.wanted} posts of each arm"
        if not self.is_over:
            return f"no winner yet ({of}; {self.needed} to go)"
        facts = f"z = {self.z:.2f}, {'' if self.p is None else f'p = {self.p:.3f}, '}n = {self.n}"
        return f"{f'winner: {self.winner}' if self.winner else 'no winner'} ({facts})"

    @property
    def needed(self) -> int:
        """Posts of each arm that are still needed at most."""
        return 0 if self.is_over else self.wanted - self.n


def block_of(at: datetime) -> str:
    """Return weekday type and hours of a local instant, as botticelli_scores has them."""
    hours = next(name for first, name in HOURS if at.hour >= first)
    return f"{'weekend' if at.weekday() > 4 else 'weekday'} {hours}"


def chance_of(*names: object) -> random.Random:
    """Return chance that is the same for the same names, on every machine and in every run."""
    return random.Random(sha256(":".join(map(str, names)).encode()).digest())  # noqa: S311 - no secret


def balanced_arm(experiment: str, arms: Sequence[str], block: str, number: int) -> str:
    """Return the arm of the slot with that number (from 0) in a block.

    Each round of a block has every arm once, in an order drawn for it.
    """
    turn, place = divmod(number, len(arms))
    order = list(arms)
    chance_of(experiment, block, turn).shuffle(order)
    return order[place]


def tempted_arm(
    experiment: str, arms: Sequence[str], slot: int, posts: Sequence[ArmPost]
) -> str | None:
    """Return the arm that Thompson sampling gives a slot; None while it is too early to shift.

    Gamma posterior of the mean count, tempered by variance / mean, so that posts which spread more
    than Poisson's law convince less; older evidence fades. Each arm keeps FLOOR of the slots.

    Args:
        experiment: Its name.
        arms: All of them.
        slot: Number of the slot.
        posts: With results, in the order in which they went out.
    """
    counts = Counter(one.arm for one in posts)
    if min(counts[arm] for arm in arms) < LEAST_SHIFT:
        return None
    chance = chance_of(experiment, slot)
    if chance.random() < FLOOR * len(arms):
        return chance.choice(list(arms))
    seen: dict[str, list[tuple[float, float]]] = {arm: [] for arm in arms}
    for later, one in enumerate(reversed(posts)):
        if one.arm in seen:
            seen[one.arm].append((KEPT**later, expm1(one.y)))
    values = {arm: [count for _, count in each] for arm, each in seen.items()}
    means = {arm: fmean(each) for arm, each in values.items()}
    within = fmean(pvariance(each) for each in values.values())
    tempering = max(1.0, within / max(fmean(means.values()), 0.1))
    drawn = {
        arm: chance.gammavariate(
            0.5 + sum(weight * count for weight, count in each) / tempering,
            tempering / (0.05 + sum(weight for weight, _ in each)),
        )
        for arm, each in seen.items()
    }
    return max(drawn, key=drawn.__getitem__)


def verdict(
    experiment: str, arms: Sequence[str], posts: Sequence[ArmPost], *, wanted: int, rule: Rule
) -> Verdict:
    """Return where an experiment stands; however often it is asked, false alarms stay below ALPHA.

    "fixed": one test, by permutation, when every arm has `wanted` posts. "sequential": a look each
    time every arm has LEAST_BETWEEN (or a twelfth of `wanted`) more, with the bound of 12 looks.
    With three arms each is compared with the other two, and the bound is divided by three.

    Args:
        experiment: Its name: what the permutations are drawn by.
        arms: All of them.
        posts: With results, in the order in which they went out.
        wanted: Posts of each arm at the end.
        rule: As above.
    """
    tests = len(arms) if len(arms) > 2 else 1
    least = min(Counter(one.arm for one in posts)[arm] for arm in arms)
    between = max(LEAST_BETWEEN, -(-wanted // LOOKS))
    looks = [*range(between, wanted, between), wanted] if rule == "sequential" else [wanted]
    bound = NormalDist().inv_cdf(1 - (1 - NormalDist().cdf(BOUND)) / tests)
    best, z, p = "", None, None
    for look in (each for each in looks if each <= least):
        first = _first_of_each(arms, posts, look)
        best, z = max(((arm, _z(first, arm)) for arm in arms), key=lambda pair: pair[1])
        if rule == "fixed":
            p = permutation_p(first, best, chance=chance_of(experiment, "permutations"))
        if (p <= ALPHA / tests) if p is not None else (z >= bound):
            return Verdict(winner=best, is_over=True, n=least, wanted=wanted, z=z, p=p)
    return Verdict(winner="", is_over=least >= wanted, n=least, wanted=wanted, z=z, p=p)


def _first_of_each(arms: Sequence[str], posts: Sequence[ArmPost], most: int) -> list[ArmPost]:
    """Return the first posts of each arm: what comes later does not change an earlier look."""
    left = dict.fromkeys(arms, most)
    first = []
    for one in posts:
        if left.get(one.arm):
            left[one.arm] -= 1
            first.append(one)
    return first


def _strata(posts: Sequence[ArmPost], arm: str) -> list[tuple[list[float], int]]:
    """Return the deviations from the mean of each stratum with how many are of that arm.

    The arm's own come first. A stratum without the arm, or with nothing else, compares nothing.
    """
    found: defaultdict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for one in posts:
        found[one.stratum][one.arm != arm].append(one.y)
    strata = []
    for own, others in found.values():
        if own and others:
            mean = fmean([*own, *others])
            strata.append(([y - mean for y in (*own, *others)], len(own)))
    return strata


def _z(posts: Sequence[ArmPost], arm: str) -> float:
    """Return by how many spreads of the permutations an arm is better than the others."""
    strata = _strata(posts, arm)
    variance = sum(
        n * (len(each) - n) / (len(each) * (len(each) - 1)) * sum(y * y for y in each)
        for each, n in strata
    )
    return sum(sum(each[:n]) for each, n in strata) / sqrt(variance) if variance > 1e-12 else 0.0


def permutation_p(posts: Sequence[ArmPost], arm: str, *, chance: random.Random) -> float:
    """Return how often arms at random within the strata differ as much; two-sided."""
    strata = _strata(posts, arm)
    seen = abs(sum(sum(each[:n]) for each, n in strata)) - 1e-9
    as_far = sum(
        abs(sum(sum(chance.sample(each, n)) for each, n in strata)) >= seen
        for _ in range(PERMUTATIONS)
    )
    return (as_far + 1) / (PERMUTATIONS + 1)
