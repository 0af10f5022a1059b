"""A poll made of the question that a text ends with, and the list of answers below it. Pure.

Source: docs.discord.com/developers/resources/poll: lengths, number of answers, hours.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from botticelli.platforms.markdown import text_of
from botticelli.text import utf16_length

LONGEST_QUESTION: Final = 300  # characters
LONGEST_ANSWER: Final = 55
_POLL: Final = re.compile(
    r"(?:\A|\n)(?P<question>[^\n]*\?[*_ \t]*)\n(?:[ \t]*\n)?"
    r"(?P<answers>(?:[ \t]*(?:[-*+\u2022]|\d{1,2}[.)])[ \t]+[^\n]*\S[^\n]*(?:\n|\Z)){2,10})\s*\Z"
)
_MARK: Final = re.compile(r"^[ \t]*(?:[-*+\u2022]|\d{1,2}[.)])[ \t]+")


def poll_of(text: str, *, hours: int) -> tuple[str, dict[str, Any]]:
    """Return what a text says before its poll, and the poll; the whole text and {} without one.

    Args:
        text: Its last lines are a question and two to ten answers, if there is a poll.
        hours: That it is open; 0: no polls are made.
    """
    found = _POLL.search(text) if hours else None
    if not found:
        return text, {}
    question = text_of(found["question"]).strip()
    answers = [text_of(_MARK.sub("", one)) for one in found["answers"].strip().splitlines()]
    fits = utf16_length(question) <= LONGEST_QUESTION and all(
        0 < utf16_length(one) <= LONGEST_ANSWER for one in answers
    )
    if not (fits and question):
        return text, {}
    poll = {
        "question": {"text": question},
        "answers": [{"poll_media": {"text": one}} for one in answers],
        "duration": hours,
        "allow_multiselect": False,
    }
    return text[: found.start()].rstrip(), poll


def words_of(text: str, *, hours: int) -> str:
    """Return by which words a message is known: those before its poll, else its question."""
    before, poll = poll_of(text, hours=hours)
    return before if before.strip() or not poll else str(poll["question"]["text"])


def are_alike(there: Any, poll: Mapping[str, Any]) -> bool:
    """Whether a message has that poll; {}: none."""
    if not (there and poll):
        return not there and not poll
    return _words(there) == _words(poll)


def _words(poll: Mapping[str, Any]) -> list[Any]:
    answers = [one.get("poll_media", {}).get("text") for one in poll.get("answers", ())]
    return [poll.get("question", {}).get("text"), *answers]
