"""What readers' reactions say of kinds of posts, and how little a score may gain by it."""

import pytest

from botticelli.learning.effects import (
    Effect,
    Evidence,
    effects_of,
    feedback_for,
    shares,
)
from botticelli.learning.trials import chance_of


def evidence(n, *, better=0.0, days=1.0, spread=0.7, seed=1):
    """Posts of the angles a and b; those of b have more."""
    chance = chance_of("evidence", seed)
    return [
        Evidence(
            text=f"post {number}",
            residual=chance.gauss(better if number % 2 else 0.0, spread),
            days=days,
            kinds={"angle": "ab"[number % 2]},
        )
        for number in range(n)
    ]


def effect(factor, kind="b"):
    return Effect(feature="angle", kind=kind, factor=factor, low=factor, high=factor, n=22)


def test_a_young_channel_and_old_evidence_say_nothing():
    assert effects_of(evidence(9, better=2), ["angle"]) == {}
    assert effects_of(evidence(200, better=2, days=91), ["angle"]) == {}


def test_an_effect_is_found_shrunken_with_its_interval_and_fades_with_age():
    strong = effects_of(evidence(200, better=1.0), ["angle"])["angle", "b"]
    faded = effects_of(evidence(200, better=1.0, days=85), ["angle"])["angle", "b"]

    assert 1.3 < strong.factor < 1.66  # half of e: the mean of both is the baseline
    assert strong.low < strong.factor < strong.high
    assert strong.n == 100
    assert 1.0 < faded.factor < strong.factor


def test_kinds_that_differ_by_chance_alone_have_no_effect_on_average():
    factors = [
        one.factor
        for seed in range(60)
        for one in effects_of(evidence(60, seed=seed), ["angle"]).values()
    ]

    assert sum(abs(each - 1) for each in factors) / len(factors) < 0.05


@pytest.mark.parametrize(("factor", "bounded"), [(2.0, 1.1), (0.3, 0.9), (1.04, 1.04)])
def test_a_total_gains_or_loses_a_tenth_at_most_and_says_why(factor, bounded):
    told = feedback_for(
        1, {"angle": "b"}, {("angle", "b"): effect(factor)}, most=0.1, exploration=0.0
    )

    assert told.factor == bounded
    assert told.why == f"{100 * (bounded - 1):+.0f} % because angle = b, n = 22"


def test_what_nothing_is_known_of_stays_and_a_share_explores():
    effects = {("angle", "b"): effect(1.1)}
    found = [
        feedback_for(id_, {"angle": "b"}, effects, most=0.1, exploration=0.15)
        for id_ in range(2000)
    ]

    assert feedback_for(1, {"angle": "c"}, effects, most=0.1, exploration=0.15).why == ""
    free = [one for one in found if one.factor == 1.0]
    assert 0.12 < len(free) / 2000 < 0.18
    assert {one.why for one in free} == {"without feedback, to explore"}


@pytest.mark.parametrize(
    ("counts", "factors"),
    [
        ({"a": 5, "b": 5}, {"a": 0.1, "b": 9}),
        ({"a": 1, "b": 1, "c": 1}, {"a": 0.1, "b": 0.1, "c": 9}),
        ({"a": 4, "b": 4, "c": 2}, {}),
        ({**dict.fromkeys("abcdef", 1), "g": 4}, dict.fromkeys("abcdef", 0.1)),
        ({"a": 1}, {"a": 9}),
    ],
)
def test_shares_keep_the_number_of_posts_and_every_angle(counts, factors):
    given = shares(counts, factors)

    assert sum(given.values()) == sum(counts.values())
    assert all(max(1, 0.25 * counts[each]) <= given[each] for each in counts)
    if not factors:
        assert given == counts
