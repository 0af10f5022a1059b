"""What no message may contain: every rule's result for a text. Pure.

A post that fails a rule is held for a person and the next one is taken; nothing is ever repaired
here, because the text that goes out is the column's, byte for byte.
"""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Final

from botticelli import text as texts
from botticelli.config.model import Destination, Guard
from botticelli.errors import ConfigError
from botticelli.platforms.rules import unfinished_text
from botticelli.platforms.rules.text_reading import TextReading, disallowed_host
from botticelli.records import record

OFFLINE_MODEL: Final = "offline"


@record
class RuleResult:
    """One rule's result for a text; `why` is empty if it passes."""

    rule: str
    why: str = ""

    @property
    def passes(self) -> bool:
        """Whether this rule lets the text out."""
        return not self.why


@record
class PostFacts:
    """A text and where it wants to go.

    Args:
        max_length: The platform's, in UTF-16 units.
        real: Whether people read there; False: an outbox.
        model: Which one wrote it, if known.
        repeats: The recent post there that says the same; empty if none.
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

    @cached_property
    def reading(self) -> TextReading:
        """What the text shows."""
        return TextReading(self.text)


def verdicts(facts: PostFacts) -> tuple[RuleResult, ...]:
    """Return what each rule says, in a fixed order, up to the first one that refuses the text.

    Raises:
        ConfigError: A forbidden pattern is not a valid regular expression.
    """
    found: list[RuleResult] = []
    for name, rule in _RULES:
        found.append(RuleResult(rule=name, why=rule(facts)))
        if not found[-1].passes:
            break
    return tuple(found)


def objections(found: tuple[RuleResult, ...]) -> str:
    """Return in one line why a text may not go out; empty if it may."""
    return "; ".join(f"{one.rule}: {one.why}" for one in found if not one.passes)


def _content(facts: PostFacts) -> str:
    if not facts.text.strip():
        return "there is no text"
    if facts.reading.is_blank:
        return "the text shows nothing"
    control = facts.reading.control_character
    return f"it holds a control character ({control})" if control else ""


def _length(facts: PostFacts) -> str:
    length = facts.reading.length
    if length <= facts.max_length or facts.destination.too_long == "split":
        return ""
    return f"{length} characters, {facts.max_length} are allowed (too_long = 'split' would cut it)"


def _mentions(facts: PostFacts) -> str:
    for mention in facts.reading.mentions:
        if mention.strip("<@!&>") not in facts.guard.allowed_mentions:
            return f"{mention} is not among the allowed mentions"
    return ""


def _invites(facts: PostFacts) -> str:
    if facts.guard.allow_invites:
        return ""
    found = next((one for one in facts.reading.links if one.is_invite), None)
    return f"a link to {found.host} invites to a server" if found else ""


def _links(facts: PostFacts) -> str:
    allowed = facts.guard.allowed_links
    if allowed is None:
        return ""
    others = (one for one in facts.reading.links if not one.is_invite)  # see _invites
    host = disallowed_host(others, allowed)
    return f"{host} is not among the allowed links" if host else ""


def _forbidden(facts: PostFacts) -> str:
    for pattern in facts.guard.forbidden:
        try:
            forbidden = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            raise ConfigError(
                f"'{pattern}' is not a valid regular expression ({error})",
                where=f"destinations.{facts.destination.name}.guard.forbidden",
            ) from error
        for spelling in facts.reading.spellings:
            if found := forbidden.search(spelling):
                return f"'{found[0]}' is forbidden"
    return ""


def _unfinished(facts: PostFacts) -> str:
    found = unfinished_text.unfinished(facts.reading)
    return f"'{texts.shorten(found, 40)}' looks unfinished" if found else ""


def _leftovers(facts: PostFacts) -> str:
    return next(unfinished_text.machinery(facts.reading), "")


def _refusal(facts: PostFacts) -> str:
    found = unfinished_text.refusal(facts.reading)
    return f"'{texts.shorten(found, 60)}' sounds like a model's excuse" if found else ""


def _offline(facts: PostFacts) -> str:
    if not facts.real or facts.model.casefold() != OFFLINE_MODEL:
        return ""
    return "the offline model wrote it, which is for dry runs and demos only"


def _repeat(facts: PostFacts) -> str:
    return facts.repeats


_RULES: Final[tuple[tuple[str, Callable[[PostFacts], str]], ...]] = (
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
