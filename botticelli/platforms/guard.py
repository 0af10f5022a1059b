"""What no message may hold: every rule's verdict over a text. Pure.

A post that fails a rule is held for a person and the next one is taken; nothing is ever mended
here, because the text that goes out is the column's, byte for byte.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from botticelli import text as texts
from botticelli.config.model import Destination, Guard
from botticelli.errors import ConfigError
from botticelli.records import record

OFFLINE_MODEL: Final = "offline"

_MENTION: Final = re.compile(r"(?<![\w.+-])@(?:everyone|here)\b|<@[!&]?(\d+)>")
_INVITE: Final = re.compile(
    r"\b(?:discord(?:app)?\.com/invite|discord\.gg|discord\.me|dsc\.gg)/\S+", re.IGNORECASE
)
_LINK: Final = re.compile(r"\b(?:https?://|www\.)([^\s/?#)\]>\"']+)", re.IGNORECASE)
_TEMPLATE: Final = re.compile(
    r"\{\{.*?\}\}|\$\{\w+.*?\}|<%.*?%>|\{%.*?%\}"
    r"|\[(?:insert|your|add|link|name|company|todo|placeholder)\b[^\]]{0,60}\](?!\()"
    r"|\blorem ipsum\b|\bTODO\b|\bTBD\b|\bXXX\b",
    re.IGNORECASE | re.DOTALL,
)
_PREAMBLE: Final = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|okay|ok)\b[,!.]?\s*)?"
    r"(?:here(?:['\u2019]s| is| are)\b[^\n]{0,60}\b(?:post|version|draft|json|revision|text)\b"
    r"[^\n]{0,40}:)",
    re.IGNORECASE,
)
_JSON_KEY: Final = re.compile(r"\"(?:text_content|content_type|source|tags)\"\s*:")
# An excuse speaks of the request or the text: "I can't help but smile" does not.
_REFUSAL: Final = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)"
    r"(?: (?:language )?(?:model|assistant))?,? I\b"
    r"|\bas an? (?:ai |large )?language model\b"
    r"|\bI(?:['\u2019]m| am) (?:sorry|afraid),? (?:but )?I "
    r"(?:can(?:['\u2019]t|not)|am unable to|won['\u2019]t) "
    r"(?:assist|help|fulfil|comply|create|generate|write|provide|continue|do (?:that|this))"
    r"|\bI (?:can(?:['\u2019]t|not)|am (?:not able|unable) to) "
    r"(?:comply\b|(?:assist|help)(?: you)? with (?:that|this|your)\b|fulfil+ (?:that|this|your)\b"
    r"|(?:create|generate|write|provide|continue)\b[^.!?\n]{0,40}"
    r"\b(?:posts?|content|requests?|messages?|texts?)\b)"
    r"|\bI (?:do not|don(?:['\u2019]t)) have "
    r"(?:access to (?:real-time|current|live|the internet|external|your)"
    r"|enough (?:information|context) to)",
    re.IGNORECASE,
)


@record
class Verdict:
    """One rule's word on a text; `why` is empty if it may pass."""

    rule: str
    why: str = ""

    @property
    def passes(self) -> bool:
        """Whether this rule lets the text out."""
        return not self.why


@record
class Judged:
    """A text and where it wants to go.

    Args:
        max_length: The platform's, in UTF-16 units.
        real: Whether people read there; False: an outbox.
        model: Which one wrote it, if known.
        repeats: Who has said the same there lately; empty: nobody.
    """

    text: str
    destination: Destination
    max_length: int
    real: bool
    model: str = ""
    repeats: str = ""

    @property
    def guard(self) -> Guard:
        """The destination's rules."""
        return self.destination.guard


def verdicts(judged: Judged) -> tuple[Verdict, ...]:
    """Return what each rule says, in a fixed order.

    Raises:
        ConfigError: A forbidden pattern is no regular expression.
    """
    return tuple(Verdict(rule=name, why=rule(judged)) for name, rule in _RULES)


def objections(found: tuple[Verdict, ...]) -> str:
    """Return in one line why a text may not go out; empty if it may."""
    return "; ".join(f"{one.rule}: {one.why}" for one in found if not one.passes)


def _content(judged: Judged) -> str:
    return "" if judged.text.strip() else "there is no text"


def _length(judged: Judged) -> str:
    length = texts.utf16_length(judged.text)
    if length <= judged.max_length or judged.destination.too_long == "split":
        return ""
    return f"{length} characters, {judged.max_length} are allowed (too_long = 'split' would cut it)"


def _mentions(judged: Judged) -> str:
    prose = texts.without_code(judged.text)
    for match in _MENTION.finditer(prose):
        if match[1] not in judged.guard.allowed_mentions:
            return f"{match[0]} is not among the allowed mentions"
    return ""


def _invites(judged: Judged) -> str:
    found = _INVITE.search(judged.text)
    if found is None or judged.guard.allow_invites:
        return ""
    return f"{found[0]} invites to a server"


def _links(judged: Judged) -> str:
    allowed = judged.guard.allowed_links
    if allowed is None:
        return ""
    for match in _LINK.finditer(judged.text):
        host = match[1].rpartition("@")[2].partition(":")[0].casefold().strip(".,;!")
        host = host.removeprefix("www.")
        if not any(_is_within(host, one.casefold()) for one in allowed):
            return f"{host} is not among the allowed links"
    return ""


def _is_within(host: str, allowed: str) -> bool:
    name = allowed.removeprefix("www.")
    return host == name or host.endswith(f".{name}")


def _forbidden(judged: Judged) -> str:
    for pattern in judged.guard.forbidden:
        try:
            found = re.search(pattern, judged.text, re.IGNORECASE)
        except re.error as error:
            raise ConfigError(
                f"'{pattern}' is no regular expression ({error})",
                where=f"destinations.{judged.destination.name}.guard.forbidden",
            ) from error
        if found:
            return f"'{found[0]}' is forbidden"
    return ""


def _template(judged: Judged) -> str:
    found = _TEMPLATE.search(texts.without_code(judged.text))
    return f"'{texts.shorten(found[0], 40)}' looks unfinished" if found else ""


def _leftovers(judged: Judged) -> str:
    return next(_signs_of_machinery(judged.text.strip()), "")


def _signs_of_machinery(text: str) -> Iterator[str]:
    if text[:1] in "{[" and _is_json(text):
        yield "it is JSON, not a post"
    if _JSON_KEY.search(text) and texts.without_code(text).count('"') >= 4:
        yield "JSON keys are left in it"
    if re.fullmatch(r"```[^\n]*\n.*\n```", text, re.DOTALL) and text.count("```") == 2:
        yield "all of it is one code block"
    if texts.has_open_fence(text):
        yield "a code block is not closed"
    if found := _PREAMBLE.search(text):
        yield f"'{texts.shorten(found[0], 40)}' speaks about the post"


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return text.startswith('{"')


def _refusal(judged: Judged) -> str:
    found = _REFUSAL.search(judged.text)
    return f"'{texts.shorten(found[0], 60)}' sounds like a model's excuse" if found else ""


def _offline(judged: Judged) -> str:
    if not judged.real or judged.model.casefold() != OFFLINE_MODEL:
        return ""
    return "the offline model wrote it, which is for rehearsals only"


def _repeat(judged: Judged) -> str:
    return judged.repeats


_RULES: Final[tuple[tuple[str, Callable[[Judged], str]], ...]] = (
    ("content", _content),
    ("length", _length),
    ("mentions", _mentions),
    ("invites", _invites),
    ("links", _links),
    ("forbidden words", _forbidden),
    ("unfinished", _template),
    ("leftovers", _leftovers),
    ("refusal", _refusal),
    ("offline text", _offline),
    ("repeat", _repeat),
)
