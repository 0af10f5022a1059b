"""What a judge's answer is worth, and which candidates it chooses: pure, no database, no model.

The judge gives whole numbers; totals and the choice are made here. An entry that cannot be taken at
its word is refused and asked for again, never guessed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from botticelli.stages.similarity import repeats, trigrams
from botticelli.store.judging import CRITERIA, Scores


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A judge's answer, taken apart.

    Args:
        scores: One for each candidate that was judged properly.
        refused: Candidate id -> why it has to be asked for again.
    """

    scores: tuple[Scores, ...]
    refused: Mapping[int, str]


def read_answer(answer: Any, *, ids: Collection[int]) -> Reading:
    """Read `{"scores": [{"id", "reasons", "engagement", ..., "notes"}]}` for the candidates `ids`.

    Every id must stand there exactly once with five whole numbers from 1 to 10; what is said
    about other ids is passed over.
    """
    entries = _entries(answer)
    counts = Counter(_id(entry) for entry in entries)
    scores: list[Scores] = []
    refused = {id_: "is missing from the answer" for id_ in ids if not counts[id_]}
    for entry in entries:
        id_ = _id(entry)
        if id_ is None or id_ not in ids:
            continue
        problem = "stands in the answer twice" if counts[id_] > 1 else _problem(entry)
        if problem:
            refused[id_] = problem
        else:
            scores.append(_scores(id_, entry))
    return Reading(scores=tuple(scores), refused=refused)


def _entries(answer: Any) -> list[Mapping[str, Any]]:
    entries = answer.get("scores") if isinstance(answer, Mapping) else answer
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _id(entry: Mapping[str, Any]) -> int | None:
    """Return the candidate's id; the schema asks for a string, some models answer a number."""
    value = entry.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _problem(entry: Mapping[str, Any]) -> str:
    for name in CRITERIA:
        points = entry.get(name)
        if isinstance(points, bool) or not isinstance(points, int | float):
            return f"has no number for {name}"
        if points not in range(1, 11):
            return f"has {points:g} for {name}, which is no whole number from 1 to 10"
    return ""


def _scores(id_: int, entry: Mapping[str, Any]) -> Scores:
    points = {name: int(entry[name]) for name in CRITERIA}
    return Scores(
        id=id_,
        points=points,
        total=sum(points.values()),
        notes=_line(entry.get("notes")),
        reasons=_line(entry.get("reasons")),
    )


def _line(value: Any) -> str:
    """Return a text that a database can store."""
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


T = TypeVar("T", bound="Ranked")


class Ranked(Protocol):
    """What the choice has to know of a judged candidate."""

    @property
    def id(self) -> int:
        """Older candidates have smaller ids."""

    @property
    def text_content(self) -> str:
        """The post."""

    @property
    def angle(self) -> str:
        """What kind of post it is; empty: unknown."""

    @property
    def rank(self) -> tuple[float, int, int]:
        """Total, engagement + value, -id: the greatest is the best."""


def choose(judged: Iterable[T], *, most: int, taken: Iterable[str]) -> tuple[T, ...]:
    """Return at most `most` of the candidates, best first.

    Higher total first; ties go to higher engagement + value, then to the older one. None that is
    nearly the same as a better one or as one of the `taken` texts, and no second one of the same
    angle while another angle is left.
    """
    ranked = sorted(judged, key=lambda one: one.rank, reverse=True)
    seen = [trigrams(text) for text in taken]
    chosen: list[T] = []
    for fresh_angles_only in (True, False):
        for one in ranked:
            if len(chosen) == most:
                break
            if one in chosen or (fresh_angles_only and one.angle in _angles(chosen)):
                continue
            text = trigrams(one.text_content)
            if not repeats(text, seen):
                chosen.append(one)
                seen.append(text)
    return tuple(sorted(chosen, key=lambda one: one.rank, reverse=True))


def _angles(chosen: Iterable[Ranked]) -> frozenset[str]:
    return frozenset(one.angle for one in chosen if one.angle)
