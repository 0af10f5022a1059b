"""Which repeats are caught, and what else is: `python -m benchmarks.repeats`.

200 copies, near copies and paraphrases of 25 posts, against those posts and 25 others on the same
subjects, which must not be taken for repeats. The texts are in benchmarks/planted.toml.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli

from botticelli.config.curation import Similarity
from botticelli.stages.curate.similarity import Match, compare, find
from botticelli.store.curation.duplicates import KnownText

Post = Mapping[str, Any]

PLANTED: Final[tuple[Post, ...]] = tuple(
    tomli.loads(Path(__file__).with_name("planted.toml").read_text(encoding="utf-8"))["posts"]
)


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


def gate(text: str, known: list[KnownText], settings: Similarity) -> Match | None:
    """Return what curate rejects a text for, before any judge sees it."""
    return find(text, [compare(text, one) for one in known], near=settings.near)


@dataclass(frozen=True, kw_only=True)
class Caught:
    """What a gate caught of the planted texts.

    Args:
        by_kind: Kind -> how many of the 25 were traced back to the right post.
        wrong: Texts that were taken for repeats and are none, or of the wrong post.
    """

    by_kind: Mapping[str, int]
    wrong: int

    @property
    def recall(self) -> float:
        """Share of the planted texts that was caught."""
        return sum(self.by_kind.values()) / (len(self.by_kind) * len(PLANTED))

    @property
    def precision(self) -> float:
        """Share of what was caught that was planted."""
        right = sum(self.by_kind.values())
        return right / (right + self.wrong) if right else 1.0


def measure(settings: Similarity) -> Caught:
    """Return what a gate of these settings catches."""
    posts = [mixed(post, 0) for post in PLANTED] + [str(post["other"]) for post in PLANTED]
    random.Random(1).shuffle(posts)
    known: list[KnownText] = []
    wrong = 0
    for number, text in enumerate(posts):
        wrong += gate(text, known, settings) is not None
        known.append(KnownText(id=number, is_post=False, text=text))
    by_kind = dict.fromkeys(KINDS, 0)
    for post in PLANTED:
        meant = posts.index(mixed(post, 0))
        for kind, change in KINDS.items():
            match = gate(change(post), known, settings)
            by_kind[kind] += match is not None and match.known.id == meant
            wrong += match is not None and match.known.id != meant
    return Caught(by_kind=by_kind, wrong=wrong)


def main() -> None:
    """Print a table: kinds of repeats by gates."""
    shipped = Similarity()
    gates = {
        "hash": Similarity(near=1, reworded=1),
        "+ trigrams": Similarity(reworded=1),
        "+ meanings": shipped,
    }
    found = {name: measure(settings) for name, settings in gates.items()}
    print(f"caught of {len(PLANTED)} each, near {shipped.near}, reworded {shipped.reworded}")
    print(f"{'':34}" + "".join(f"{name:>12}" for name in gates))
    for kind in KINDS:
        print(f"{kind:34}" + "".join(f"{one.by_kind[kind]:12}" for one in found.values()))
    for name in ("recall", "precision"):
        print(f"{name:34}" + "".join(f"{getattr(one, name):12.1%}" for one in found.values()))
    for near in (0.45, 0.5, 0.55, 0.6, 0.7):
        show(f"trigrams alone, near {near}", measure(Similarity(near=near, reworded=1)))
    for reworded in (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85):
        show(f"both, reworded {reworded}", measure(Similarity(reworded=reworded)))


def show(what: str, one: Caught) -> None:
    """Print a line of the sweep."""
    print(f"{what:34} recall {one.recall:6.1%}  precision {one.precision:6.1%}")


if __name__ == "__main__":
    main()
