"""Scores by plain rules that anybody can check: the offline model's stand-in for taste."""

import re
from typing import Any

CRITERIA = ("engagement", "clarity", "value", "tone", "polish")
# The shipped rubric's questions, and the criterion whose score answers them: LEAST means yes.
CHECKS = {
    "answerable": "engagement",
    "one_idea": "clarity",
    "usable": "value",
    "personal": "tone",
    "clean": "polish",
}
LEAST = 3
_HYPE = re.compile(
    r"\b(amazing|revolutionary|game.?changer|unlock|incredible|exciting|boost)", re.IGNORECASE
)
_CONCRETE = re.compile(
    r"`[^`]+`|\*\*|\b\d+|\b(minutes|seven|nine|ten|twelve|twenty|thirty|forty)\b"
)
_LEFTOVER = re.compile(
    r"\{\{|\}\}|\[[A-Z][a-z]+ ?[a-z]*\]|^(sure|here is (the|your)( \w+)? (post|draft))",
    re.IGNORECASE,
)


def judge(text: str) -> dict[str, Any]:
    """Return integers from 1 to 10 for each criterion, with the reasons they rest on."""
    words = re.findall(r"[\w'-]+", text.lower())
    sentences = [one for one in re.split(r"(?<=[.!?])\s+", text.strip()) if one]
    pace = len(words) / max(1, len(sentences))
    scores = {
        "engagement": _engagement(text, words),
        "clarity": 9 - _steps(pace, 11, 14, 17, 21, 26) - (len(text) > 1200),
        "value": _value(text, words),
        "tone": _tone(text, words),
        "polish": _polish(text, words),
    }
    bounded = {name: min(10, max(1, score)) for name, score in scores.items()}
    asks = "asks the reader something" if "?" in text else "asks nothing"
    reasons = (
        f"{len(text)} characters, {pace:.0f} words a sentence, {asks}; scored by rules, not read"
    )
    weakest = min(bounded, key=lambda name: bounded[name])
    checks = {name: bounded[of] >= LEAST for name, of in CHECKS.items()}
    return {"reasons": reasons, **bounded, **checks, "notes": f"Weakest point by rule: {weakest}."}


def _engagement(text: str, words: list[str]) -> int:
    speaks_to = sum(word in {"you", "your", "yours"} for word in words)
    return 4 + 2 * text.rstrip().endswith("?") + ("?" in text) + min(speaks_to, 3)


def _value(text: str, words: list[str]) -> int:
    concrete = len(_CONCRETE.findall(text))
    long_enough = _steps(len(words), 20, 45, 70, 95)
    return 2 + long_enough + min(concrete, 4)


def _tone(text: str, words: list[str]) -> int:
    speaks = any(word in {"we", "our", "us", "i"} for word in words)
    return 7 + speaks - 2 * len(_HYPE.findall(text)) - 2 * (text.count("!") > 1)


def _polish(text: str, words: list[str]) -> int:
    varied = len(set(words)) / max(1, len(words))
    ends = text.rstrip().endswith((".", "?", "!", "…", ")"))
    return (
        6
        + (varied > 0.7)
        + (varied > 0.78)
        + ends
        - 5 * bool(_LEFTOVER.search(text))
        - 3 * (not text)
    )


def _steps(number: float, *bounds: float) -> int:
    """Return how many of the bounds the number exceeds."""
    return sum(number > bound for bound in bounds)
