"""Whether a text says what another one says: pure, no database.

Nearness is pg_trgm's measure, computed here: the same on every server. Terms are what the index
(`store/curation/duplicates.py`) finds texts by that are worth a closer look.
"""

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from typing import Final, Literal

from botticelli.config.curation import Similarity
from botticelli.records import record
from botticelli.store.curation.duplicates import LONGEST, KnownText
from botticelli.text import fingerprint, normalise

RUN: Final = 3  # words; characters, where a script has no blanks
RUNS: Final = 12  # of a text: with a third in common, one in 130 pairs shares none
STEMS: Final = 12  # of a text, of its longest words: they are rare, and a retelling keeps some
STEM: Final = 6  # characters

# Thai, Lao, Burmese, Khmer, kana and Chinese characters: words are not told apart by blanks.
_DENSE: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    r"\U00020000-\U0003ffff"
)
# Vowel signs of Indic scripts are no letters to Python, but parts of words.
_INNER: Final = r"\w\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_WORD: Final = re.compile(rf"[{_INNER}{_DENSE}]+")
_TOKEN: Final = re.compile(rf"[{_DENSE}]|(?:(?![{_DENSE}])[{_INNER}])+")


@lru_cache(maxsize=256)
def trigrams(text: str) -> frozenset[str]:
    """Return the trigrams of the words of a text, as pg_trgm makes them."""
    return frozenset(
        padded[start : start + 3]
        for word in _WORD.findall(normalise(text[:LONGEST]))
        for padded in (f"  {word} ",)
        for start in range(len(padded) - 2)
    )


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of trigrams that two texts have in common, 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


def terms(text: str) -> tuple[int, ...]:
    """Return a few numbers, of which texts with words in common share some: 32 bits, signed.

    Of runs of words those with the least hashes, of words the longest: the same in both texts.
    """
    words = _TOKEN.findall(normalise(text[:LONGEST]))
    runs = {" ".join(words[start : start + RUN]) for start in range(max(len(words) - RUN + 1, 1))}
    longest = sorted(
        {word for word in words if len(word) > RUN}, key=lambda word: (-len(word), word)
    )
    stems = list(dict.fromkeys(word[:STEM] for word in longest))
    pairs = {a + b for a, b in pairwise(words) if len(a) == len(b) == 1}
    hashed = nsmallest(RUNS, map(_hash, filter(None, runs)))
    hashed += map(_hash, stems[:STEMS])
    hashed += nsmallest(STEMS, map(_hash, pairs))
    return tuple(dict.fromkeys(hashed))


def _hash(term: str) -> int:
    return zlib.crc32(term.encode()) - 2**31


@record
class Match:
    """A known text that another one repeats. `share`: how near they are, 0 to 1."""

    known: KnownText
    how: Literal["exact", "near"]
    share: float = 1.0

    def __str__(self) -> str:
        """Return a note for a person."""
        return f"repeats {self.known}" + (
            f", nearly ({self.share:.2f})" if self.how == "near" else ""
        )


def find(text: str, known: Iterable[KnownText], settings: Similarity) -> Match | None:
    """Return the known text that this one repeats; None if it is new."""
    own, digest = trigrams(text), fingerprint(text)
    best: Match | None = None
    for one in known:
        if fingerprint(one.text) == digest:
            return Match(known=one, how="exact")
        share = overlap(own, trigrams(one.text)) if settings.near < 1 else 0.0
        if share >= settings.near and (best is None or share > best.share):
            best = Match(known=one, how="near", share=share)
    return best


def shares(text: str, others: Iterable[str]) -> list[float]:
    """Return the share of trigrams that a text has in common with each other one. For a few."""
    own = trigrams(text)
    return [overlap(own, trigrams(other)) for other in others]


def alike(text: str, others: Iterable[str], *, near: float) -> bool:
    """Tell whether a text is one of the others, or nearly so. For a chosen few."""
    return max(shares(text, others), default=-1.0) >= near
