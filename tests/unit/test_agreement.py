"""Agreement: figures that scipy, statsmodels and the papers give, to the last digit shown."""

import random

import pytest

from botticelli.agreement import (
    Measured,
    ahead,
    apart,
    banded,
    fisher,
    kappa,
    ranks,
    rate,
    spearman,
)

# By random.Random(3): what scipy 1.17 and statsmodels 0.14 say of them stands below.
POINTS = [2, 5, 5, 2, 3, 5, 4, 6, 5, 1, 5, 1, 4, 3, 5, 2, 2, 6, 4, 5, 5, 4, 4, 6, 2, 2, 6, 2, 5, 4]
LABELS = [0, 1, 1, 0, 1, 1, 2, 2, 2, 1, 2, 1, 1, 1, 1, 0, 0, 2, 1, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.490162, 0.943318), (0, 7, 0.0, 0.354330), (7, 7, 0.645670, 1.0)],
)
def test_a_rate_has_wilsons_interval(successes, n, low, high):
    found = rate(successes, n)

    assert (found.value, found.n) == (successes / n, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


def test_ranks_of_equal_values_are_their_mean():
    assert ranks([10, 30, 20, 20, 5]) == [2, 5, 3.5, 3.5, 1]


def test_a_rank_correlation_is_spearmans():
    found = spearman(POINTS, LABELS)

    assert found.value == pytest.approx(0.5801310042)
    # Bonett and Wright: atanh(r) -+ 1.96 sqrt((1 + r^2 / 2) / (n - 3))
    assert (found.low, found.high) == pytest.approx((0.2496, 0.7896), abs=1e-4)


def test_kappa_is_weighted_by_squares():
    found = kappa([min(2, each // 2) for each in POINTS], LABELS, classes=3)

    assert (found.value, found.low, found.high) == pytest.approx(
        (0.5011876485, 0.3549371760, 0.6474381208)
    )


def test_agreement_in_all_or_in_nothing_has_its_figure_too():
    assert kappa([0, 1, 2, 2], [0, 1, 2, 2], classes=3).value == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]).value == pytest.approx(-1)
    assert spearman([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).low > 0.99


def test_without_a_difference_there_is_no_figure():
    assert rate(0, 0) is None
    assert spearman([1, 1, 1, 1], [0, 1, 0, 1]) is None
    assert spearman([1, 2], [1, 2]) is None
    assert kappa([], [], classes=3) is None
    assert kappa([2, 2], [2, 2], classes=3) is None


def test_two_judges_of_one_set_are_compared_as_meng_rosenthal_and_rubin_do():
    one, other = (Measured(value=value, low=0, high=0, n=15) for value in (0.63, -0.03))

    assert ahead(one, other, between=-0.19) == pytest.approx(1.68, abs=0.005)
    assert ahead(one, one, between=1.0) == 0


def test_two_sets_are_apart_by_fishers_z():
    one, other = (Measured(value=value, low=0, high=0, n=103) for value in (0.5, 0.2))

    errors = ((1 + 0.125) / 100 + (1 + 0.02) / 100) ** 0.5
    assert apart(one, other) == pytest.approx((fisher(0.5) - fisher(0.2)) / errors)


def test_classes_of_a_judge_have_the_shares_of_people():
    chance = random.Random(1)
    for _ in range(200):
        labels = [chance.randint(0, 2) for _ in range(chance.randint(1, 30))]
        totals = [chance.random() for _ in labels]
        assert sorted(banded(totals, labels)) == sorted(labels)
    assert banded([40, 10, 40, 10], [0, 2, 0, 2]) == [2, 0, 2, 0]


def test_chance_alone_is_outside_the_interval_in_one_of_twenty():
    chance, false = random.Random(5), 0
    for _ in range(1000):
        labels = [chance.randint(0, 2) for _ in range(40)]
        found = spearman([chance.random() for _ in labels], labels)
        false += not found.low <= 0 <= found.high
    assert false <= 75
