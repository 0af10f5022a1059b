"""What a judge's answer is worth, and which candidates it chooses: pure, no database, no model.

The judge gives whole numbers; totals and the choice are made here. An entry that cannot be taken at
its word is refused and asked for again, never guessed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from botticelli.config.operations import Similarity, Weights
from botticelli.records import record
from botticelli.stages.curate.similarity import alike
from botticelli.store.curation.choice import JudgedCandidate
from botticelli.store.curation.duplicates import NearText
from botticelli.store.curation.judging import CRITERIA, Scored
from botticelli.text import normalise

FRESH, SAID_BEFORE = (
    "fresh",
    "said_before",
)  # of a judge's answer: is it new, and what proves that not
GROUNDED, GROUNDS = "grounded", "source_quotes"  # does its source say so, and in which words
LEAST_QUOTE: Final = 12  # characters; "the channel" proves nothing
LEAST_TIED: Final = 8  # fewer are not worth a ranking: the fixed rules decide
MOST_TIED: Final = 30


Repeats = Callable[[JudgedCandidate, Sequence[JudgedCandidate]], str]
"""Candidate, those that are chosen -> what of these, or of what is out, it says again, or ""."""


@record
class Sample:
    """What one pass of a judge says about one candidate.

    Args:
        points: 1 to 10 for each of CRITERIA.
        checks: Question -> yes or no.
        said_before: What it quotes of a known text that the candidate repeats.
        grounds: What it quotes of the source that the candidate was made of.
    """

    id: int
    points: Mapping[str, int]
    checks: Mapping[str, bool]
    reasons: str
    notes: str
    said_before: str = ""
    grounds: tuple[str, ...] = ()


@record
class JudgeAnswer:
    """A judge's answer, taken apart.

    Args:
        scores: One for each candidate that was judged properly.
        refused: Candidate id -> why it has to be asked for again.
    """

    scores: tuple[Sample, ...]
    refused: Mapping[int, str]


def read_answer(answer: Any, *, codes: Mapping[str, int]) -> JudgeAnswer:
    """Read `{"scores": [{"id", "reasons", "engagement", ..., "notes"}]}` for some candidates.

    Each code (what a candidate was called in this call -> its id) must stand there exactly once
    with five whole numbers from 1 to 10; what is said about others is passed over. Whatever else
    is answered with true or false is a check.
    """
    entries = _entries(answer)
    counts = Counter(_code(entry) for entry in entries)
    scores: list[Sample] = []
    refused = {id_: "is missing from the answer" for code, id_ in codes.items() if not counts[code]}
    for entry in entries:
        code = _code(entry)
        if code not in codes:
            continue
        problem = "stands in the answer twice" if counts[code] > 1 else _problem(entry)
        if problem:
            refused[codes[code]] = problem
        else:
            scores.append(_sample(codes[code], entry))
    return JudgeAnswer(scores=tuple(scores), refused=refused)


def _entries(answer: Any) -> list[Mapping[str, Any]]:
    entries = answer.get("scores") if isinstance(answer, Mapping) else answer
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _code(entry: Mapping[str, Any]) -> str:
    """Return what an entry calls its candidate; some models answer a number for the string."""
    value = entry.get("id")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1_000_000:
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def is_sample(stored: Mapping[str, Any]) -> bool:
    """Return whether what is stored of an earlier pass is what `combine` needs."""
    points, checks = stored.get("points"), stored.get("checks")
    return (
        isinstance(points, Mapping)
        and all(isinstance(each, int | float) for each in points.values())
        and not _problem(points)
        and isinstance(checks, Mapping)
        and all(isinstance(each, bool) for each in checks.values())
        and all(isinstance(stored.get(name), str) for name in ("reasons", "notes"))
        and isinstance(stored.get("execution"), int | None)
    )


def _problem(entry: Mapping[str, Any]) -> str:
    for name in CRITERIA:
        points = _points(entry.get(name))
        if points is None:
            return f"has no number for {name}"
        if points not in range(1, 11):
            shown = f"{points:g}" if abs(points) < 1e9 else "something"
            return f"has {shown} for {name}, which is not a whole number from 1 to 10"
    return ""


def _points(value: Any) -> float | None:
    """Return a number; small models write it as text ("8") and would do so every time."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value) if len(value) < 9 else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sample(id_: int, entry: Mapping[str, Any]) -> Sample:
    return Sample(
        id=id_,
        points={name: int(entry[name]) for name in CRITERIA},
        checks={_line(name): value for name, value in entry.items() if isinstance(value, bool)},
        reasons=_line(entry.get("reasons")),
        notes=_line(entry.get("notes")),
        said_before=_line(entry.get(SAID_BEFORE)),
        grounds=_lines(entry.get(GROUNDS)),
    )


def grounded(sample: Sample, source_text: str) -> dict[str, bool]:
    """Return the checks of a sample; `grounded` is a yes only with words that the source has.

    Without a source, or where the judge was not asked, there is no such check.
    """
    checks = {name: says_yes for name, says_yes in sample.checks.items() if name != GROUNDED}
    if not source_text or GROUNDED not in sample.checks:
        return checks
    said, quotes = normalise(source_text), [normalise(each) for each in sample.grounds]
    is_quoted = bool(quotes) and all(len(each) >= LEAST_QUOTE and each in said for each in quotes)
    return checks | {GROUNDED: sample.checks[GROUNDED] and is_quoted}


def proven(sample: Sample, near: Sequence[NearText]) -> NearText | None:
    """Return the known text that a sample says is repeated, if it quotes that text's own words."""
    quote = normalise(sample.said_before)
    if sample.checks.get(FRESH) is not False or len(quote) < LEAST_QUOTE:
        return None
    return next((one for one in near if quote in normalise(one.text)), None)


def repeats(
    samples: Sequence[Mapping[str, Any]], near: Sequence[NearText], fails: Sequence[str]
) -> dict[str, Any] | None:
    """Return what a candidate repeats after these passes, as it is stored; None if nothing.

    With a `quote`: the judge says so, and its words stand there. Without: perhaps, for a person to
    decide, where the judge was not asked, did not answer, or proved nothing.
    """
    said = [each["repeats"] for each in samples if isinstance(each.get("repeats"), Mapping)]
    if FRESH in fails and said:
        return dict(said[-1])
    if any(each["checks"].get(FRESH) for each in samples):
        return None
    is_doubted = any(each.get("repeats") is False for each in samples)
    perhaps = [one for one in near if one.perhaps or is_doubted]
    return {**source_of(perhaps[0]), "share": perhaps[0].share} if perhaps else None


def source_of(near: NearText) -> dict[str, int]:
    """Return what a known text is, as it is stored with a judgement."""
    return {"post": near.post} if near.post else {"candidate": near.candidate or 0}


def _lines(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    return tuple(line for line in map(_line, given) if line)


def _line(value: Any) -> str:
    """Return a text that a database can store."""
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def combine(
    id_: int, text: str, samples: Sequence[Mapping[str, Any]], *, weights: Weights, wanted: int
) -> Scored:
    """Return a candidate's scores after these passes of the judge over `text`, as they are stored.

    Each sample has `points`, `checks`, `reasons` and `notes`. The total of 50 is made of the means;
    `spread` is the distance between the least and the greatest total of a single pass. A check
    fails if half of the passes or more say no.
    """
    means = {name: fmean(each["points"][name] for each in samples) for name in CRITERIA}
    totals = [total(each["points"], weights=weights) for each in samples]
    mean = total(means, weights=weights)
    answers = (answer for each in samples for answer in each["checks"].items())
    noes = Counter(name for name, says_yes in answers if not says_yes)
    typical = min(zip(samples, totals, strict=True), key=lambda pair: abs(pair[1] - mean))[0]
    return Scored(
        id=id_,
        text=text,
        points={name: int(points + 0.5) for name, points in means.items()},
        total=mean,
        notes=typical["notes"],
        judging={
            "reasons": typical["reasons"],
            "fails": [name for name in dict.fromkeys(noes) if noes[name] * 2 >= len(samples)],
            "spread": round(max(totals) - min(totals), 2),
            "samples": list(samples),
        },
        is_done=len(samples) >= wanted,
    )


def total(points: Mapping[str, float], *, weights: Weights) -> float:
    """Return the weighted total of 50."""
    shares = {name: float(getattr(weights, name)) for name in CRITERIA}
    weighted = sum(share * points[name] for name, share in shares.items())
    return round(5 * weighted / sum(shares.values()), 2)


def choose(
    judged: Iterable[JudgedCandidate],
    *,
    most: int,
    taken: Iterable[str],
    places: Mapping[int, int] | None = None,
    near: float = Similarity().near,
    repeats: Repeats = lambda *_: "",
) -> tuple[JudgedCandidate, ...]:
    """Return at most `most` of the candidates, best first.

    Higher total first; ties go by the `places` of a ranking, then to higher engagement + value,
    then to the older one. None that is nearly the same as a better one or as one of the `taken`
    texts, none that `repeats` something in other words, and no second one of the same angle while
    another angle is left.
    """
    ranked = sorted(judged, key=lambda one: rank_key(one, places or {}), reverse=True)
    seen = list(taken)
    chosen: list[JudgedCandidate] = []
    for fresh_angles_only in (True, False):
        for one in ranked:
            if len(chosen) == most:
                break
            angles = {each.angle for each in chosen if each.angle}
            if one in chosen or (fresh_angles_only and one.angle in angles):
                continue
            if not repeats(one, chosen) and not alike(one.text_content, seen, near=near):
                chosen.append(one)
                seen.append(one.text_content)
    return tuple(sorted(chosen, key=lambda one: rank_key(one, places or {}), reverse=True))


def tied(
    judged: Iterable[JudgedCandidate], *, chosen: Sequence[JudgedCandidate], most: int
) -> tuple[JudgedCandidate, ...]:
    """Return those between which only a ranking can decide well; empty if the scores do.

    They have the total of the last one chosen, and there are many of them for the places left.
    """
    if len(chosen) < most:
        return ()
    last = chosen[-1].rank[0]
    equals = tuple(one for one in judged if one.rank[0] == last)
    places = sum(1 for one in chosen if one.rank[0] == last)
    return equals[:MOST_TIED] if len(equals) >= max(LEAST_TIED, places + 1) else ()


def rank_key(one: JudgedCandidate, places: Mapping[int, int]) -> tuple[float, int, int, int]:
    """Return what puts candidates in order: the greatest is the best."""
    points, favour, age = one.rank
    return (points, -places.get(one.id, len(places) + 1), favour, age)
