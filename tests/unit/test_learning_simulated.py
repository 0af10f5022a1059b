"""Learning over many simulated channels: what is promised of false alarms, power and feedback.

Counts as they are in small communities: gamma-Poisson with k = 2, mean 8, evenings worth 1.5 times.
`python -m benchmarks.learning` prints the figures of docs/learning.md.
"""

from collections import Counter
from math import log1p
from statistics import fmean, stdev

import pytest

from botticelli.learning.effects import Evidence, effects_of, feedback_for
from botticelli.learning.trials import ArmPost, balanced_arm, chance_of, tempted_arm, verdict
from tests.unit.test_trials import drawn, posts

ARMS = ("a", "b")
ANGLES = {"news": 1.0, "tip": 1.0, "story": 1.0, "question": 1.0}
LIKED = {"news": 0.7, "tip": 1.0, "story": 1.0, "question": 1.6}


def won(seed, *, lift, rule, wanted, arms=ARMS):
    """Look after each post, as often as anybody could like; return who is ever called better."""
    known = posts(seed, wanted, lift=lift, arms=arms)
    ends = range(len(arms) * 5, len(known) + 1) if rule == "sequential" else [len(known)]
    for end in ends:
        found = verdict(f"e{seed}", arms, known[:end], wanted=wanted, rule=rule)
        if found.is_over:
            return found.winner
    return ""


def rate_of_winners(seeds, **options):
    return fmean(bool(won(seed, **options)) for seed in range(seeds))


def power(seeds, **options):
    return fmean(won(seed, **options) == "b" for seed in range(seeds))


def channel(seed, likes, *, on, rounds=60, candidates=8):
    """Return mean counts of the second half, and the share of each angle, of a simulated channel.

    In each round a judge scores some candidates, honestly but roughly, and one of them is posted.
    """
    chance, known, chosen = chance_of("channel", seed), [], []
    for number in range(rounds):
        effects = effects_of(known, ["angle"]) if on else {}
        drafts = []
        for place in range(candidates):
            angle, quality = chance.choice(list(likes)), chance.gauss(0, 0.2)
            told = feedback_for(
                number * candidates + place, {"angle": angle}, effects, most=0.1, exploration=0.15
            )
            score = (38 + 6 * quality + chance.gauss(0, 1.5)) * told.factor
            drafts.append((score, angle, quality))
        _, angle, quality = max(drafts)
        count = drawn(chance, 8 * likes[angle] * (1 + quality))
        chosen.append((angle, count))
        level = fmean(log1p(each) for _, each in chosen)
        known = [
            Evidence(text="", residual=log1p(each) - level, days=(number - at) / 1.5,
                     kinds={"angle": kind})
            for at, (kind, each) in enumerate(chosen)
        ]  # fmt: skip
    late = chosen[rounds // 2 :]
    return fmean(count for _, count in late), Counter(angle for angle, _ in late)


def gain(seeds, likes):
    """Return the gain of feedback with its standard error, and the least share of an angle."""
    off = [channel(seed, likes, on=False)[0] for seed in range(seeds)]
    both = [channel(seed, likes, on=True) for seed in range(seeds)]
    pairs = [new - old for (new, _), old in zip(both, off, strict=True)]
    angles = sum((each for _, each in both), Counter())
    error = stdev(pairs) / seeds**0.5 / fmean(off)
    return fmean(pairs) / fmean(off), error, min(angles[one] for one in likes) / angles.total()


def share_of_best(seed, *, slots=240):
    """Return the share of the better arm in the second half of an experiment by Thompson."""
    chance, known, given = chance_of("bandit", seed), [], []
    for slot in range(slots):
        arm = tempted_arm(f"e{seed}", ARMS, slot, known) if known else None
        arm = arm or balanced_arm(f"e{seed}", ARMS, "x", slot)
        given.append(arm)
        count = drawn(chance, 13 if arm == "b" else 10)
        known.append(ArmPost(arm=arm, stratum="x", y=log1p(count)))
    return fmean(arm == "b" for arm in given[slots // 2 :])


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "arms"), [
    ("fixed", ARMS), ("sequential", ARMS), ("fixed", ("a", "b", "c")),
])  # fmt: skip
def test_equal_arms_have_a_winner_in_six_of_a_hundred_at_most(rule, arms):
    assert rate_of_winners(300, lift=1.0, rule=rule, wanted=60, arms=arms) <= 0.06


@pytest.mark.slow
def test_a_real_lift_is_found_as_often_as_is_promised():
    assert power(100, lift=1.5, rule="fixed", wanted=80) >= 0.7
    assert power(100, lift=2.0, rule="sequential", wanted=60) >= 0.8


@pytest.mark.slow
def test_feedback_gains_where_readers_care_and_costs_nothing_where_they_do_not():
    gained, error, least = gain(60, LIKED)
    assert gained > 2 * error
    assert least > 0.02
    lost, error, least = gain(60, ANGLES)
    assert lost > -2.5 * error
    assert least > 0.1


@pytest.mark.slow
def test_thompson_sampling_gives_the_better_arm_more_and_both_a_floor():
    shares = [share_of_best(seed) for seed in range(30)]
    assert 0.6 < fmean(shares) < 0.95
