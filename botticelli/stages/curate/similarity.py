"""Whether a text says what another one says: pure, no database.

Nearness is pg_trgm's measure, computed here: the same on every server. Terms are what the index
(`store/curation/duplicates.py`) finds texts by that are worth a closer look.
"""

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice, pairwise
from sys import intern
from typing import Final, Literal

from botticelli.records import record
from botticelli.store.curation.duplicates import LONGEST, KnownText, Nearest
from botticelli.text import normalise

RUN: Final = 3  # words; characters, where a script has no blanks
RUNS: Final = 12  # of a text: with a third in common, one in 130 pairs shares none
STEMS: Final = 16  # of a text, of its longest words: they are rare, and a retelling keeps some
STEM: Final = 6  # characters

FEW: Final = 5  # stems
INSIDE: Final = 0.8  # of the shorter one's trigrams and stems: it says nothing of its own
PERHAPS: Final = 0.5  # of the shorter one's trigrams and stems
NEAREST: Final = 2
LEAST: Final = 0.2  # of trigrams or of meaning: below it a text is not shown to the judge
SAME_HEAD: Final = 0.8  # of the trigrams of two heads without their numbers
SAME_BODY: Final = 0.5  # of the shorter body's trigrams; reworded sentences have more in common
BODY: Final = 0.2  # of a text, at least, is a body of its own

# Thai, Lao, Burmese, Khmer, kana and Chinese characters: words are not told apart by blanks.
_DENSE: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    r"\U00020000-\U0003ffff"
)
# Vowel signs of Indic scripts are no letters to Python, but parts of words.
_INNER: Final = r"\w\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_WORD: Final = re.compile(rf"[{_INNER}{_DENSE}]+")
# Where sentences, heads and lines end; not within "no. 7" and "7. Mai".
_ENDS: Final = re.compile(
    r"(?<=[!?:;\u2026])\s+|(?<=\.)(?<!\b\d\.)(?<!\b\d\d\.)\s+(?!\d)|[\n\u3002\uff01\uff1f\uff1a]+"
)
# What counts the issues of a series: numbers, versions, dates.
_COUNTED: Final = re.compile(
    r"\d+(?:[.,:/-]\d+)*|\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april"
    r"|may|june|july|august|september|october|november|december)\b"
)
_TOKEN: Final = re.compile(rf"[{_DENSE}]|(?:(?![{_DENSE}])[{_INNER}])+")


_normal = lru_cache(maxsize=256)(normalise)


@lru_cache(maxsize=256)
def trigrams(text: str) -> frozenset[str]:
    """Return the trigrams of the words of a text, as pg_trgm makes them."""
    return frozenset().union(*map(_of_word, _WORD.findall(_normal(text[:LONGEST]))))


@lru_cache(maxsize=8192)
def _of_word(word: str) -> frozenset[str]:
    padded = f"  {word} "
    return frozenset(intern(padded[start : start + 3]) for start in range(len(padded) - 2))


def _tokens(text: str) -> list[str]:
    words = _normal(text[:LONGEST])
    return (_WORD if words.isascii() else _TOKEN).findall(words)


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of trigrams that two texts have in common, 0 to 1."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if one or other else 1.0


def terms(text: str) -> tuple[int, ...]:
    """Return a few numbers, of which texts with words in common share some: 32 bits, signed.

    Of runs of words those with the least hashes, of words the longest: the same in both texts.
    """
    words = _tokens(text)
    runs = set(zip(*(words[start:] for start in range(RUN)), strict=False)) or {tuple(words)}
    longest = sorted({word for word in words if len(word) > RUN})
    longest.sort(key=len, reverse=True)
    stems = list(dict.fromkeys(word[:STEM] for word in longest))
    pairs = {a + b for a, b in pairwise(words) if len(a) == len(b) == 1}
    hashed = sorted(map(_hash, filter(None, map(" ".join, runs))))[:RUNS]
    hashed += map(_hash, stems[:STEMS])
    hashed += sorted(map(_hash, pairs))[:STEMS]
    return tuple(dict.fromkeys(hashed))


def _hash(term: str) -> int:
    return zlib.crc32(term.encode()) - 2**31


@record
class Likeness:
    """How much a text is like a known one.

    Args:
        share: Of the trigrams of both, 0 to 1.
        contained: Of the shorter one's trigrams, and of its stems, the lesser, 0 to 1.
        cosine: Of their meanings; 0 where they are not known.
    """

    text: str
    known: KnownText
    share: float
    contained: float
    cosine: float = 0.0

    @property
    def rank(self) -> float:
        """What puts known texts in order: the greatest is the nearest."""
        return self.share + self.contained / 2 + self.cosine

    @property
    def is_series(self) -> bool:
        """Whether they are issues of a series, and not the same again."""
        return is_series(self.text, self.known.text)


def compare(text: str, known: KnownText, *, cosine: float = 0.0) -> Likeness:
    """Return how much a text is like a known one."""
    own, other = trigrams(text), trigrams(known.text)
    stems, others = _stems(text), _stems(known.text)
    is_long = min(len(stems), len(others)) >= FEW  # "Good morning, everybody" is in many a text
    inside = min(_inside(own, other), _inside(stems, others)) if is_long else 0.0
    share = overlap(own, other)
    return Likeness(text=text, known=known, share=share, contained=inside, cosine=cosine)


def _inside(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / (min(len(one), len(other)) or 1)


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    words = _tokens(text)
    return frozenset(word[:STEM] for word in words if len(word) > RUN) or frozenset(words)


def is_series(one: str, other: str) -> bool:
    """Tell whether two texts that are alike are issues of a series.

    Their heads differ in numbers or dates only, or they frame bodies of their own alike.
    """
    texts = [_parts(one), _parts(other)]
    if not all(texts):
        return False
    counts = [_COUNTED.findall(parts[0]) for parts in texts]
    bare = [[_COUNTED.sub("", part) for part in parts] for parts in texts]
    if (
        counts[0] != counts[1]
        and len(counts[0]) == len(counts[1])
        and overlap(trigrams(bare[0][0]), trigrams(bare[1][0])) >= SAME_HEAD
    ):
        return True
    bodies = [
        " ".join(part for part in parts if part not in frame)
        for parts, frame in zip(bare, reversed(bare), strict=True)
    ]
    sizes = [len(body) / len(" ".join(parts)) for body, parts in zip(bodies, bare, strict=True)]
    return min(sizes) >= BODY and max(sizes) < 1 and _inside(*map(trigrams, bodies)) < SAME_BODY


def _parts(text: str) -> list[str]:
    """Return the sentences and lines of a text, normalized."""
    parts = (normalise(part) for part in _ENDS.split(text[:LONGEST]))
    return [part for part in parts if _WORD.search(part)]


@record
class Match:
    """A known text that another one repeats. `share`: how near they are, 0 to 1."""

    known: KnownText
    how: Literal["exact", "near", "inside"]
    share: float = 1.0

    def __str__(self) -> str:
        """Return a note for a person."""
        words = {"exact": "", "near": ", nearly", "inside": ", at another length"}[self.how]
        return f"repeats {self.known}{words}" + (f" ({self.share:.2f})" if words else "")


def find(text: str, likenesses: Iterable[Likeness], *, near: float) -> Match | None:
    """Return the known text that this one repeats; None if it is new."""
    own = _normal(text)
    best: Match | None = None
    for one in likenesses:
        if _normal(one.known.text) == own:
            return Match(known=one.known, how="exact")
        how: Literal["near", "inside"] = "near" if one.share >= near else "inside"
        share = one.share if how == "near" else one.contained
        least = max(best.share if best else 0, near if how == "near" else INSIDE)
        if near < 1 and share > least and not one.is_series:
            best = Match(known=one.known, how=how, share=share)
    return best


def nearest(likenesses: Iterable[Likeness], *, reworded: float) -> list[Nearest]:
    """Return the few known texts that a text may repeat in other words, or at another length."""
    ranked = sorted(likenesses, key=lambda one: one.rank, reverse=True)
    close = (
        one
        for one in ranked
        if max(one.share, one.contained, one.cosine) >= LEAST and not one.is_series
    )
    return [
        {
            ("post" if one.known.is_post else "candidate"): one.known.id,
            "share": round(max(one.contained, one.cosine), 2),
            "perhaps": one.contained >= PERHAPS or one.cosine >= reworded,
        }
        for one in islice(close, NEAREST)
    ]


def shares(text: str, others: Iterable[str]) -> list[float]:
    """Return the share of trigrams that a text has in common with each other one. For a few."""
    own = trigrams(text)
    return [overlap(own, trigrams(other)) for other in others]


def alike(text: str, others: Iterable[str], *, near: float) -> bool:
    """Tell whether a text is one of the others, or nearly so. For a chosen few."""
    return max(shares(text, others), default=-1.0) >= near
