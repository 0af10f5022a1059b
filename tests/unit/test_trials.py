"""Experiments: which arm a slot gets, and that the rules keep their promise of false alarms."""

from collections import Counter
from datetime import datetime
from math import log1p

import pytest

from botticelli.learning.trials import (
    ArmPost,
    balanced_arm,
    block_of,
    chance_of,
    permutation_p,
    tempted_arm,
    verdict,
)

ARMS = ("a", "b")


def posts(seed, n, *, lift=1.0, arms=ARMS, k=2.0, mean=8.0):
    """Posts as engagement.md has them: counts gamma-Poisson, evenings worth 1.5 times."""
    chance = chance_of("posts", seed)
    made = []
    for number in range(n * len(arms)):
        arm = balanced_arm(f"e{seed}", arms, "x", number)
        stratum = chance.choice(["weekday noon", "weekday evening", "weekend noon"])
        level = mean * (1.5 if "evening" in stratum else 1) * (lift if arm == arms[-1] else 1)
        made.append(ArmPost(arm=arm, stratum=stratum, y=log1p(drawn(chance, level, k))))
    return made


def drawn(chance, mean, k=2.0):
    """A negative binomial count: Poisson of a gamma mean."""
    left, count = chance.gammavariate(k, mean / k), -1
    while left > 0:
        left -= chance.expovariate(1)
        count += 1
    return max(count, 0)


@pytest.mark.parametrize(
    ("at", "block"),
    [
        ("2027-01-04T09:00", "weekday morning"),
        ("2027-01-08T23:59", "weekday evening"),
        ("2027-01-09T00:00", "weekend night"),
    ],
)
def test_a_block_is_weekday_type_and_hours(at, block):
    assert block_of(datetime.fromisoformat(at)) == block


@pytest.mark.parametrize("arms", [ARMS, ("a", "b", "c")])
def test_each_round_of_a_block_has_every_arm_once_in_an_order_of_its_own(arms):
    rounds = [
        tuple(balanced_arm("e", arms, "x", turn * len(arms) + place) for place in range(len(arms)))
        for turn in range(60)
    ]

    assert {tuple(sorted(each)) for each in rounds} == {arms}
    assert len(set(rounds)) == (2 if len(arms) == 2 else 6)
    again = [balanced_arm("e", arms, "x", number) for number in range(9)]
    assert again == [balanced_arm("e", arms, "x", number) for number in range(9)]


def test_thompson_waits_for_ten_of_each_arm_then_prefers_the_better_and_keeps_a_floor():
    early = posts(1, 9, lift=2)
    late = posts(1, 60, lift=2)

    assert tempted_arm("e", ARMS, 1, early) is None
    counts = Counter(tempted_arm("e", ARMS, slot, late) for slot in range(400))

    assert counts["b"] > 250
    assert counts["a"] > 25
    assert tempted_arm("e", ARMS, 7, late) == tempted_arm("e", ARMS, 7, late)


def test_evidence_fades_so_that_a_change_is_followed():
    old, new = posts(2, 40, lift=4), posts(3, 120, lift=0.25)

    counts = Counter(tempted_arm("e", ARMS, slot, old + new) for slot in range(200))

    assert counts["a"] > 150


@pytest.mark.parametrize("rule", ["fixed", "sequential"])
def test_a_verdict_stays_and_says_how_many_posts_are_needed(rule):
    known = posts(5, 100, lift=3)

    early = verdict("e", ARMS, known[:8], wanted=40, rule=rule)
    found = verdict("e", ARMS, known, wanted=40, rule=rule)
    later = verdict("e", ARMS, known + posts(6, 500, lift=0.2), wanted=40, rule=rule)

    assert early.words == "no winner yet (4 of 40 posts of each arm; 36 to go)"
    assert found.words.startswith("winner: b (z = ")
    assert found.needed == 0
    assert (later.winner, later.z) == (found.winner, found.z)


@pytest.mark.parametrize("rule", ["fixed", "sequential"])
def test_equal_arms_end_without_a_winner(rule):
    same = [ArmPost(arm=arm, stratum="x", y=2.0) for arm in ARMS * 40]

    found = verdict("e", ARMS, same, wanted=40, rule=rule)

    assert (found.winner, found.is_over, found.z) == ("", True, 0.0)


def test_what_only_the_hour_explains_is_no_effect_of_an_arm():
    """Arm b has the good hours: a comparison without strata would call it better."""
    chance = chance_of("hours")
    mixed = [
        ArmPost(arm=arm, stratum=hour, y=log1p(drawn(chance, 30 if hour == "good" else 5, 20)))
        for hour, of_b in (("good", 16), ("bad", 4))
        for arm in "a" * (20 - of_b) + "b" * of_b
    ]
    blind = [ArmPost(arm=one.arm, stratum="", y=one.y) for one in mixed]

    assert permutation_p(blind, "b", chance=chance_of(1)) < 0.01
    assert permutation_p(mixed, "b", chance=chance_of(1)) > 0.05


def test_an_arm_without_company_in_its_stratum_compares_nothing():
    alone = [ArmPost(arm=arm, stratum=arm, y=y) for arm, y in (("a", 1.0), ("b", 9.0)) * 40]

    assert verdict("e", ARMS, alone, wanted=40, rule="fixed").words.startswith(
        "no winner (z = 0.00"
    )
