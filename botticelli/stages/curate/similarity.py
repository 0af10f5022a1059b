"""Whether a text says what another one says: word for word, nearly, or in other words.

Nearness is pg_trgm's measure, computed here: the same on every server, and without asking it about
every pair. Two near copies have runs of three words in common, so only texts that share one of the
few that are kept of each are compared (a MinHash sketch).
"""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from heapq import nsmallest
from typing import Final, Literal

from botticelli.config.curation import Similarity
from botticelli.models.meanings import Meanings
from botticelli.records import record
from botticelli.text import fingerprint, normalise

RUN: Final = 3  # words
KEPT: Final = 16  # runs kept of each text: with a third in common, one in 600 pairs shares none
COMPARED: Final = 20  # of the texts that share most runs: all posts of a series share some

_WORD: Final = re.compile(r"\w+")


@lru_cache(maxsize=1024)
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


def sketch(text: str) -> tuple[int, ...]:
    """Return a few numbers, of which two texts with much wording in common share some."""
    words = _WORD.findall(normalise(text))
    runs = {" ".join(words[start : start + RUN]) for start in range(max(len(words) - RUN + 1, 1))}
    return tuple(nsmallest(KEPT, (zlib.crc32(run.encode()) for run in runs)))


@record
class TextSource:
    """Where a known text comes from: a candidate, or an approved post."""

    id: int
    is_post: bool = False

    def __str__(self) -> str:
        """Return what a person finds it by."""
        return f"{'p' if self.is_post else 'c'}{self.id}"


@record
class Match:
    """A known text that another one repeats. `share`: how near they are, 0 to 1."""

    source: TextSource
    how: Literal["exact", "near", "reworded"]
    share: float = 1.0

    def __str__(self) -> str:
        """Return a note for a person."""
        words = {"exact": "", "near": ", nearly", "reworded": ", in other words"}[self.how]
        return f"repeats {self.source}{words}" + (f" ({self.share:.2f})" if words else "")


class KnownTexts:
    """The texts that are known, and whether another one repeats any of them.

    Memory grows with the texts, by some 2 kB each. Not for several threads at once.

    Args:
        meanings: Finds rewordings; None if they are not to be found.
    """

    def __init__(self, settings: Similarity, *, meanings: Meanings | None = None) -> None:
        self._near = settings.near
        self._reworded = settings.reworded
        self._meanings = meanings if settings.reworded < 1 else None
        self._exact: dict[str, TextSource] = {}
        self._sources: list[TextSource] = []
        self._texts: list[str] = []
        self._places: defaultdict[int, list[int]] = defaultdict(list)

    def know(self, source: TextSource, digest: str) -> None:
        """Remember a text by its fingerprint alone: only its exact copies are found."""
        self._exact.setdefault(digest, source)

    def add(self, source: TextSource, text: str) -> None:
        """Remember a text; of exact copies the first one counts."""
        self._exact.setdefault(fingerprint(text), source)
        place = len(self._sources)
        self._sources.append(source)
        self._texts.append(text)
        for run in sketch(text):
            self._places[run].append(place)
        if self._meanings:
            self._meanings.add(self._meanings.vector(text))

    def find(self, text: str) -> Match | None:
        """Return the known text that this one repeats; None if it is new."""
        exact = self._exact.get(fingerprint(text))
        if exact is not None:
            return Match(source=exact, how="exact")
        return self._find_near(text) or self._find_reworded(text)

    def _find_near(self, text: str) -> Match | None:
        if self._near >= 1:
            return None
        shared: Counter[int] = Counter()
        for run in sketch(text):
            shared.update(self._places.get(run, ()))
        own = trigrams(text)
        shares = [
            (overlap(own, trigrams(self._texts[place])), -place)
            for place, _ in shared.most_common(COMPARED)
        ]
        share, place = max(shares, default=(0.0, 0))
        if share < self._near:
            return None
        return Match(source=self._sources[-place], how="near", share=share)

    def _find_reworded(self, text: str) -> Match | None:
        if self._meanings is None:
            return None
        place, cosine = self._meanings.nearest(self._meanings.vector(text))
        if cosine < self._reworded:
            return None
        return Match(source=self._sources[place], how="reworded", share=cosine)


def shares(text: str, others: Iterable[str]) -> list[float]:
    """Return the share of trigrams that a text has in common with each other one. For a few."""
    own = trigrams(text)
    return [overlap(own, trigrams(other)) for other in others]


def alike(text: str, others: Iterable[str], *, near: float) -> bool:
    """Tell whether a text is one of the others, or nearly so. For a chosen few."""
    return max(shares(text, others), default=-1.0) >= near
