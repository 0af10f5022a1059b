"""How far two judges agree: rates, ranks and classes, each with its 95 % interval. Pure arithmetic.

Sources of the formulas: Wilson 1927 (rates); Spearman 1904, with the interval of Bonett and Wright
2000 (ranks); Cohen 1968, with the standard error of Fleiss, Cohen and Everitt 1969 (classes); Meng,
Rosenthal and Rubin 1992 (which of two judges of the same set ranks better).
"""

from collections.abc import Sequence
from itertools import groupby
from math import atanh, sqrt, tanh
from statistics import correlation
from typing import Final

from botticelli.records import record

Z: Final = 1.959963984540054  # of the normal distribution: 2.5 % lie above
NEARLY_ONE: Final = 1 - 1e-12  # of which atanh is finite


@record
class Measured:
    """A figure with its 95 % interval, of n cases."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return it in words: 0.62 (0.48 to 0.73, n = 40)."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}, n = {self.n})"

    @property
    def percent(self) -> str:
        """A share in words: 80% (49% to 94%, n = 10)."""
        return f"{self.value:.0%} ({self.low:.0%} to {self.high:.0%}, n = {self.n})"


def rate(successes: int, n: int) -> Measured | None:
    """Return a share with Wilson's interval; None of nothing."""
    if not n:
        return None
    share, shrunk = successes / n, 1 + Z**2 / n
    middle = (share + Z**2 / (2 * n)) / shrunk
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / shrunk
    return Measured(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half), n=n)


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 1; equal ones share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, place = [0.0] * len(values), 0
    for _, group in groupby(order, key=values.__getitem__):
        equal = list(group)
        for index in equal:
            found[index] = place + (len(equal) + 1) / 2
        place += len(equal)
    return found


def spearman(first: Sequence[float], second: Sequence[float]) -> Measured | None:
    """Return the rank correlation; None where one side is all the same, or fewer than 4."""
    n = len(first)
    if n < 4 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    value = correlation(ranks(first), ranks(second))
    middle, half = fisher(value), Z * sqrt((1 + value**2 / 2) / (n - 3))
    return Measured(value=value, low=tanh(middle - half), high=tanh(middle + half), n=n)


def fisher(correlation: float) -> float:
    """Return Fisher's z of a correlation, also of one that is 1."""
    return atanh(max(-NEARLY_ONE, min(NEARLY_ONE, correlation)))


def apart(one: Measured, other: Measured) -> float:
    """Return how many standard errors two rank correlations of different sets are apart."""
    errors = ((1 + each.value**2 / 2) / (each.n - 3) for each in (one, other))
    return (fisher(one.value) - fisher(other.value)) / sqrt(sum(errors))


def ahead(one: Measured, other: Measured, between: float) -> float:
    """Return by how many standard errors the first ranks the same set better than the second.

    `between`: the correlation of their two rankings.
    """
    mean = (one.value**2 + other.value**2) / 2
    if between >= 1 or mean >= 1:
        return 0.0
    factor = min(1.0, (1 - between) / (2 * (1 - mean)))
    spread = 2 * (1 - between) * (1 - factor * mean) / (1 - mean)
    return (fisher(one.value) - fisher(other.value)) * sqrt((one.n - 3) / spread)


def banded(values: Sequence[float], classes: Sequence[int]) -> list[int]:
    """Return classes for the values in the shares that `classes` have, the lowest value lowest.

    Equal values get the same class: that of the middle of their places.
    """
    ordered = sorted(classes)
    return [ordered[min(len(ordered) - 1, int(place - 0.5))] for place in ranks(values)]


def kappa(first: Sequence[int], second: Sequence[int], *, classes: int) -> Measured | None:
    """Return kappa with quadratic weights of two classings from 0 to below `classes`.

    None where chance alone would agree in all, or there is nothing.
    """
    n, span = len(first), range(classes)
    cells = [[0.0] * classes for _ in span]
    for row, column in zip(first, second, strict=True):
        cells[row][column] += 1 / n
    weights = [[1 - ((i - j) / (classes - 1)) ** 2 for j in span] for i in span]
    rows, columns = (
        [sum(row) for row in cells],
        [sum(column) for column in zip(*cells, strict=True)],
    )
    pairs = [(i, j) for i in span for j in span]
    seen = sum(weights[i][j] * cells[i][j] for i, j in pairs)
    chance = sum(weights[i][j] * rows[i] * columns[j] for i, j in pairs)
    if not n or chance > NEARLY_ONE:
        return None
    value = min(1.0, (seen - chance) / (1 - chance))
    by_row = [sum(columns[j] * weights[i][j] for j in span) for i in span]
    by_column = [sum(rows[i] * weights[i][j] for i in span) for j in span]
    spread = sum(
        cells[i][j] * (weights[i][j] - (by_row[i] + by_column[j]) * (1 - value)) ** 2
        for i, j in pairs
    )
    variance = (spread - (value - chance * (1 - value)) ** 2) / (n * (1 - chance) ** 2)
    half = Z * sqrt(max(0.0, variance))
    return Measured(value=value, low=max(-1.0, value - half), high=min(1.0, value + half), n=n)
