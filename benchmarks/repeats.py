"""Which repeats are caught, and what else is: `python -m benchmarks.repeats`.

Two sets of posts, each against its own posts and innocent neighbors on the same subjects: the one
that thresholds were chosen on (planted.toml: 200 repeats of 25 posts), and one that they were not
(unseen.toml: 48 repeats of 12 posts, other posts on the same subjects, next issues of series).
"""

import argparse
import random
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli

from botticelli.config.operations import Similarity
from botticelli.models.meanings import Meanings, open_meanings
from botticelli.stages.curate.similarity import Likeness, Match, compare, find, nearest
from botticelli.store.curation.duplicates import KnownText

Post = Mapping[str, Any]


def _read(name: str) -> tuple[Post, ...]:
    path = Path(__file__).with_name(name)
    return tuple(tomli.loads(path.read_text(encoding="utf-8"))["posts"])


PLANTED: Final = _read("planted.toml")
UNSEEN: Final = _read("unseen.toml")


def mixed(post: Post, reworded: int) -> str:
    """Return the post with that many of its sentences reworded."""
    return " ".join((*post["reworded"][:reworded], *post["first"][reworded:]))


KINDS: Final[Mapping[str, Callable[[Post], str]]] = {
    "copy, other case, markup, blanks": lambda post: f"**{'  '.join(post['first']).upper()}**\n",
    "tags and a greeting added": lambda post: f"Good morning! {mixed(post, 0)} #community #tips",
    "sentences in another order": lambda post: " ".join(post["first"][::-1]),
    "a sentence left out": lambda post: " ".join(post["first"][:2]),
    "one sentence of three reworded": lambda post: mixed(post, 1),
    "two sentences of three reworded": lambda post: mixed(post, 2),
    "all lightly reworded": lambda post: mixed(post, 3),
    "told quite differently": lambda post: str(post["told"]),
}
UNSEEN_KINDS: Final[Mapping[str, Callable[[Post], str]]] = {
    "lightly reworded": lambda post: str(post["light"]),
    "a third of the length": lambda post: str(post["short"]),
    "drawn out": lambda post: str(post["long"]),
    "told quite differently": lambda post: str(post["told"]),
}


def likenesses(
    text: str, known: Sequence[KnownText], meanings: Meanings | None = None
) -> list[Likeness]:
    """Return how a text is like each known one."""
    cosines = [0.0] * len(known)
    if meanings:
        vectors = [meanings.vector(one.text) for one in known]
        cosines = meanings.cosines(meanings.vector(text), vectors)
    return [compare(text, one, cosine=each) for one, each in zip(known, cosines, strict=True)]


def gate(text: str, known: Sequence[KnownText], settings: Similarity) -> Match | None:
    """Return what curate rejects a text for, before any judge sees it."""
    return find(text, likenesses(text, known), near=settings.near)


@dataclass(frozen=True, kw_only=True)
class Caught:
    """What was caught of planted texts.

    Args:
        by_kind: Kind -> how many were traced back to the right post.
        planted: How many there are of each kind.
        wrong: Texts that were taken for repeats and are none, or of the wrong post.
    """

    by_kind: Mapping[str, int]
    planted: int
    wrong: int

    @property
    def recall(self) -> float:
        """Share of the planted texts that was caught."""
        return sum(self.by_kind.values()) / (len(self.by_kind) * self.planted)

    @property
    def precision(self) -> float:
        """Share of what was caught that was planted."""
        right = sum(self.by_kind.values())
        return right / (right + self.wrong) if right else 1.0


Look = Callable[[str, Sequence[KnownText]], Sequence[int]]
"""A text and what is known -> the ids of what it is taken for a repeat of."""


def _measure(
    posts: Sequence[Post],
    firsts: Sequence[str],
    innocent: Sequence[str],
    kinds: Mapping[str, Callable[[Post], str]],
    look: Look,
) -> Caught:
    texts = [*firsts, *innocent]
    random.Random(1).shuffle(texts)
    known: list[KnownText] = []
    wrong = 0
    for number, text in enumerate(texts):
        wrong += bool(look(text, known))
        known.append(KnownText(id=number, is_post=False, text=text))
    by_kind = dict.fromkeys(kinds, 0)
    for post, first in zip(posts, firsts, strict=True):
        meant = texts.index(first)
        for kind, change in kinds.items():
            found = look(change(post), known)
            by_kind[kind] += meant in found
            wrong += bool(found) and meant not in found
    return Caught(by_kind=by_kind, planted=len(posts), wrong=wrong)


def planted(look: Look) -> Caught:
    """Return what is caught of the set that thresholds were chosen on."""
    firsts = [mixed(post, 0) for post in PLANTED]
    return _measure(PLANTED, firsts, [str(post["other"]) for post in PLANTED], KINDS, look)


def unseen(look: Look) -> Caught:
    """Return what is caught of the set that they were not chosen on."""
    firsts = [str(post["text"]) for post in UNSEEN]
    innocent = [text for post in UNSEEN for text in (post["other"], *post["series"])]
    return _measure(UNSEEN, firsts, innocent, UNSEEN_KINDS, look)


def measure(settings: Similarity) -> Caught:
    """Return what is rejected of the planted set before any judge sees it."""
    return planted(rejecting(settings))


def rejecting(settings: Similarity) -> Look:
    """Return what curate rejects for."""

    def look(text: str, known: Sequence[KnownText]) -> Sequence[int]:
        match = gate(text, known, settings)
        return [match.known.id] if match else []

    return look


def doubting(settings: Similarity, meanings: Meanings | None, *, asks: bool = False) -> Look:
    """Return what curate rejects or holds for without the judge's word; `asks`: shows the judge."""

    def look(text: str, known: Sequence[KnownText]) -> Sequence[int]:
        found = likenesses(text, known, meanings)
        if match := find(text, found, near=settings.near):
            return [match.known.id]
        near = nearest(found, reworded=settings.reworded)
        return [each["candidate"] for each in near if asks or each["perhaps"]]

    return look


def main() -> None:
    """Print a table for each set: kinds of repeats by what is done about them; and the curves."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    shipped = Similarity()
    meanings = open_meanings()
    looks = {
        "hash": rejecting(Similarity(near=1)),
        "rejected": rejecting(shipped),
        "or held": doubting(shipped, meanings),
        "or shown": doubting(shipped, meanings, asks=True),
        "no model": doubting(shipped, None, asks=True),
    }
    for name, take in (("planted", planted), ("unseen", unseen)):
        found = {how: take(look) for how, look in looks.items()}
        print(f"\n{name}: caught of {found['hash'].planted} each")
        print(f"{'':34}" + "".join(f"{how:>10}" for how in looks))
        for kind in found["hash"].by_kind:
            print(f"{kind:34}" + "".join(f"{one.by_kind[kind]:10}" for one in found.values()))
        for what in ("recall", "precision"):
            print(f"{what:34}" + "".join(f"{getattr(one, what):10.1%}" for one in found.values()))
        for near in (0.45, 0.5, 0.55, 0.6, 0.7):
            show(f"rejected, near {near}", take(rejecting(Similarity(near=near))))
        for reworded in (0.35, 0.4, 0.45, 0.5, 0.6):
            settings = Similarity(reworded=reworded)
            show(f"or held, reworded {reworded}", take(doubting(settings, meanings)))
    print(f"\nmemory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most")


def show(what: str, one: Caught) -> None:
    """Print a line of a curve."""
    print(f"{what:34} recall {one.recall:6.1%}  precision {one.precision:6.1%}")


if __name__ == "__main__":
    main()
