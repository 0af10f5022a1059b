"""What a model thinks aloud in its answer: taken out, whatever family it is of.

Tags of Qwen, DeepSeek, GLM, Magistral, Kimi, EXAONE, Seed, Command A, Gemma, Granite ...; channels
of gpt-oss (harmony). A thought without an end has no answer behind it. A tag in a code span, a
fence or a JSON text is only spoken of.
"""

import json
import re
from typing import Final

_NAMES: Final = (
    r"(?:\w{1,20}[:_])?(?:think|thinking|thoughts?|thought_process|reasoning|reflection|scratchpad"
    r"|inner_monologue|internal_monologue)"
)
# Opening and closing marks, a family each.
_MARKS: Final = (
    (rf"<\s?{_NAMES}(?:\s[^<>]*)?>", rf"<\s?/\s?{_NAMES}\s?>"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|(?:START_THINKING|begin_of_thought)\|>", r"<\|(?:END_THINKING|end_of_thought)\|>"),
    (
        r"<\|(?:inner_prefix|think|thinking|thought)\|>",
        r"<\|(?:inner_suffix|/think\w*|/thought|end_think\w*)\|>",
    ),
    (r"<\|channel>\s*thoughts?\b", r"<channel\|>"),
)
_OPEN: Final = "|".join(opening for opening, _ in _MARKS)
_CLOSE: Final = "|".join(closing for _, closing in _MARKS)
_EITHER: Final = re.compile(
    rf"(?P<line>^[ \t]*)?(?P<open>{_OPEN})|(?P<close>{_CLOSE})", re.IGNORECASE | re.MULTILINE
)
_OPENS: Final = re.compile(rf"\s*(?:{_OPEN})", re.IGNORECASE)
_CODE: Final = re.compile(
    r"(?P<fence>`{3,}|~{3,}).*?(?:(?P=fence)|\Z)|(?P<tick>`+)[^`]+(?P=tick)", re.DOTALL
)
_CHANNEL: Final = re.compile(
    r"<\|channel\|>\s*(?P<name>\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(?P<text>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
# The same where the server has dropped the marks; Granite's form of old.
_BARE_CHANNELS: Final = re.compile(r"\A\s*analysis(?=\S).*?assistant\s*final(?!\s*\Z)", re.DOTALL)
_GRANITE: Final = re.compile(
    r"\A\s*Here(?:'s| is) my thought process:.*?(?:Here(?:'s| is) my response:|\Z)",
    re.DOTALL | re.IGNORECASE,
)
# What the answer itself is wrapped in beside thoughts, and marks that end a turn.
_WRAPPED: Final = re.compile(
    r"\A\s*(?:<(?P<tag>answer|response|output|solution)>|<\|(?:START_RESPONSE|begin_of_solution"
    r"|begin_of_box)\|>)(?P<text>.*?)(?:</(?P=tag)>|<\|(?:END_RESPONSE|end_of_solution"
    r"|end_of_box)\|>|\Z)\s*\Z",
    re.DOTALL,
)
_TURN_END: Final = re.compile(r"(?:<\|(?:im_end|eot_id|end|return|endoftext)\|>|</s>)\Z")


def without_thoughts(text: str) -> str:
    """Return a text without what was thought aloud; empty if there is nothing else."""
    if not re.search(r"[<\[◁]|\A\s*(?:analysis|here)", text, re.IGNORECASE) or _is_json(text):
        return text
    shown = _CODE.sub(lambda code: " " * len(code[0]), text)
    channels = list(_CHANNEL.finditer(shown))
    if channels:
        finals = [one for one in channels if one["name"].lower() == "final"]
        return text[slice(*finals[-1].span("text"))] if finals else ""
    for pattern in (_BARE_CHANNELS, _GRANITE):
        if found := pattern.match(text):
            return text[found.end() :].lstrip()
    answer = _cut(text, shown)
    if answer == text:
        return _ended(text)
    answer = _ended(answer.lstrip())
    wrapped = _WRAPPED.match(answer)
    return wrapped["text"].strip() if wrapped else answer


def _cut(text: str, shown: str) -> str:
    """Return `text` without its thoughts, whose marks are looked for in `shown`: code is blank."""
    marks = list(_EITHER.finditer(shown))
    if _OPENS.match(shown) and not any(mark["close"] for mark in marks):
        marks = list(_EITHER.finditer(text))  # what was thought may hold half of a code span
    last = max((mark.start() for mark in marks if mark["close"]), default=-1)
    kept: list[str] = []
    since = depth = 0
    for mark in marks:
        if mark["open"]:
            if not depth and mark["line"] is None and mark.start("open") > last:
                continue  # neither on a line of its own nor with an end: it is only spoken of
            kept += [] if depth else [text[since : mark.start("open")]]
            depth += 1
        elif depth:
            depth -= 1
        else:
            kept.clear()  # the opening mark stood in the prompt's template
        since = mark.end()
    return "".join(kept) + ("" if depth else text[since:])


def _ended(text: str) -> str:
    """Return a text without the marks that end a model's turn."""
    end = text.rstrip()
    while mark := _TURN_END.search(end[-16:]):
        text = end = end[: -len(mark[0])].rstrip()
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True
