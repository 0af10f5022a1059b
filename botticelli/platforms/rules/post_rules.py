"""What no message may hold: every rule's verdict over a text. Pure.

A post that fails a rule is held for a person and the next one is taken; nothing is ever repaired
here, because the text that goes out is the column's, byte for byte.
"""

import re
from collections.abc import Callable
from typing import Final

from botticelli import text as texts
from botticelli.config.model import Destination, Guard
from botticelli.errors import ConfigError
from botticelli.platforms.rules import unfinished_text
from botticelli.records import record

OFFLINE_MODEL: Final = "offline"

_MENTION: Final = re.compile(r"(?<![\w.+-])@(?:everyone|here)\b|<@[!&]?(\d+)>")
_INVITE: Final = re.compile(
    r"\b(?:discord(?:app)?\.com/invite|discord\.gg|discord\.me|dsc\.gg)/\S+", re.IGNORECASE
)
# A backslash ends a host as a slash does: browsers read it so.
_LINK: Final = re.compile(r"\b(?:https?://|www\.)([^\s/\\?#)\]<>\"'*~|`,]+)", re.IGNORECASE)


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
        host = match[1].rpartition("@")[2].partition(":")[0].casefold()
        host = re.sub(r"[\W_]+$", "", host).removeprefix("www.")
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


def _unfinished(judged: Judged) -> str:
    found = unfinished_text.unfinished(judged.text)
    return f"'{texts.shorten(found, 40)}' looks unfinished" if found else ""


def _leftovers(judged: Judged) -> str:
    return next(unfinished_text.machinery(judged.text), "")


def _refusal(judged: Judged) -> str:
    found = unfinished_text.refusal(judged.text)
    return f"'{texts.shorten(found, 60)}' sounds like a model's excuse" if found else ""


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
    ("unfinished", _unfinished),
    ("leftovers", _leftovers),
    ("refusal", _refusal),
    ("offline text", _offline),
    ("repeat", _repeat),
)
