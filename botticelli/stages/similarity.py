"""Whether two posts say the same: pure text, no database, no model. For a chosen few."""

import re
from collections.abc import Iterable
from typing import Final

from botticelli.text import normalise

# Share of common trigrams. Short posts with one number changed have 0.76, the same fact in other
# words has 0.23-0.42 (facts on pg_trgm's measure); long unrelated posts in one language reach 0.4.
NEAR: Final = 0.6

_WORD: Final = re.compile(r"\w+")


def trigrams(text: str) -> frozenset[str]:
    """Return the trigrams of the words of a text, as pg_trgm makes them."""
    return frozenset(
        padded[start : start + 3]
        for word in _WORD.findall(normalise(text))
        for padded in (f"  {word} ",)
        for start in range(len(padded) - 2)
    )


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of trigrams that two texts have in common, 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


def repeats(text: frozenset[str], others: Iterable[frozenset[str]]) -> bool:
    """Tell from its trigrams whether a text is one of the others, or nearly so."""
    return any(overlap(text, other) >= NEAR for other in others)
