"""What no message may contain: every rule's result for a text. Pure.

A post that fails a rule is held for a person and the next one is taken; nothing is ever repaired
here, because the text that goes out is the column's, byte for byte.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from botticelli.config.leaks import find_leak
from botticelli.config.model import Destination
from botticelli.config.operations import Guard
from botticelli.errors import ConfigError
from botticelli.platforms.base import Attachment
from botticelli.platforms.rules.splitting import Unsplittable, split
from botticelli.platforms.rules.text_reading import TextReading, disallowed_host
from botticelli.records import record
from botticelli.text import counted, shorten, utf16_length

OFFLINE_MODEL: Final = "offline"
MOST_PARTS: Final = 20  # messages; what is longer is no post but a mistake
SCHEME_NEEDED: Final = frozenset({"discord", "outbox"})  # no link without https:// or the like


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
    """A post and where it wants to go.

    Args:
        text: All of it; with `parts`, these joined.
        parts: The texts of its messages where it is cut; empty: it is one text.
        title, link, attachments: What else is sent.
        source: Address of what it was made of: then other hosts are foreign; empty: it has none;
            None: it was made of nothing from outside.
        most_attachments: How many of them the platform takes.
        max_length: The platform's, as `length` counts.
        length: Returns how long the platform finds a text, in its own form.
        real: Whether people read there; False: an outbox.
        model: Which one wrote it, if known.
        repeats: The recent post there that says the same; empty if none.
        secrets: What no text may give away.
    """

    text: str
    destination: Destination
    max_length: int
    real: bool
    length: Callable[[str], int] = utf16_length
    model: str = ""
    repeats: str = ""
    secrets: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    title: str = ""
    link: str = ""
    attachments: tuple[Attachment, ...] = ()
    most_attachments: int = 0
    source: str | None = None

    @property
    def guard(self) -> Guard:
        """The destination's rules."""
        return self.destination.guard

    @cached_property
    def reading(self) -> TextReading:
        """What the text shows."""
        return self._read(self.text)

    @cached_property
    def shown(self) -> TextReading:
        """What the post shows in all: its title, link and the words for its pictures, too."""
        others = (self.title, self.link, *(one.alt for one in self.attachments))
        return self._read("\n".join((self.text, *filter(None, others))))

    def _read(self, text: str) -> TextReading:
        names = self.destination.platform not in SCHEME_NEEDED
        return TextReading(text, links_names=names)


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
    hidden = facts.shown.hidden_character
    return f"it holds a control or hidden character ({hidden})" if hidden else ""


def _length(facts: PostFacts) -> str:
    for number, part in enumerate(facts.parts, start=1):
        if why := _length_of(part, facts):
            return f"part {number}: {why}"
    return "" if facts.parts else _length_of(facts.text, facts)


def _length_of(text: str, facts: PostFacts) -> str:
    length, most = facts.length(text), facts.max_length
    if length <= most:
        return ""
    if facts.destination.too_long != "split":
        return f"{length} characters, {most} are allowed (too_long = 'split' would cut it)"
    if length <= most * MOST_PARTS:
        try:
            length = len(split(text, most, length=facts.length)) * most
        except Unsplittable as error:
            return str(error)
    if length <= most * MOST_PARTS:
        return ""
    return f"{facts.length(text)} characters, {most * MOST_PARTS} are allowed in {MOST_PARTS} parts"


def _attachments(facts: PostFacts) -> str:
    count, most = len(facts.attachments), facts.most_attachments
    if count > most:
        return f"{counted(count, 'picture')}, {most or 'none'} are taken there"
    silent = [n for n, one in enumerate(facts.attachments, start=1) if not one.alt.strip()]
    if not silent or facts.destination.alt == "none":
        return ""
    return f"picture {silent[0]} has no words for who does not see it (`edit ID --alt TEXT`)"


def _mentions(facts: PostFacts) -> str:
    for mention in facts.shown.mentions:
        if mention.strip("<@!&>") not in facts.guard.allowed_mentions:
            return f"{mention} is not among the allowed mentions"
    return ""


def _invites(facts: PostFacts) -> str:
    if facts.guard.allow_invites:
        return ""
    found = next((one for one in facts.shown.links if one.is_invite), None)
    return f"a link to {found.host} invites to a server" if found else ""


def _links(facts: PostFacts) -> str:
    if facts.link and not facts.link.lower().startswith(("https://", "http://")):
        return f"{shorten(facts.link, 80)} is no address of the web"
    allowed = facts.guard.allowed_links
    if facts.source is not None:  # it may hold what others have put into their pages
        allowed = (*(allowed or ()), urlsplit(facts.source).hostname or "")
    if allowed is None:
        return ""
    others = (one for one in facts.shown.links if not one.is_invite)  # see _invites
    host = disallowed_host(others, allowed)
    return f"{host} is not among the allowed links" if host else ""


def _secrets(facts: PostFacts) -> str:
    how = find_leak(facts.shown.text, facts.secrets)
    return f"it would give away a secret ({how})" if how else ""


def _forbidden(facts: PostFacts) -> str:
    for pattern in facts.guard.forbidden:
        try:
            forbidden = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            raise ConfigError(
                f"'{pattern}' is not a valid regular expression ({error})",
                where=f"destinations.{facts.destination.name}.guard.forbidden",
            ) from error
        for spelling in facts.shown.spellings:
            if found := forbidden.search(spelling):
                return f"'{found[0]}' is forbidden"
    return ""


def _offline(facts: PostFacts) -> str:
    if not facts.real or facts.model.casefold() != OFFLINE_MODEL:
        return ""
    return "the offline model wrote it, which is for dry runs and demos only"


# -- text that is not a post yet: unfinished marks, wrappings, excuses -----------------------------
#
# These rules hold a post for a person, so they must know what people write: TODO apps, dates that
# are to be decided, JSON in a gotcha. Code is looked at only where a whole text is made of it.
# Every pattern takes linear time: what it repeats is bounded, or stops where the next match begins.

_NAMED: Final = (
    r"(?:name|link|url|date|time|topic|emoji|company|product|channel|server|community|event)"
)
_BLANKS_TO_FILL: Final = re.compile(
    # of template languages, left unfilled; ${HOME} is the shell's
    r"\{\{[^{}\n\w]*\w[^{}\n]*\}\}|\$\{(?!HOME|PATH|PWD|SHELL|TMPDIR|XDG_)\w[^}$\n]{0,200}\}"
    r"|<%[^%\n]*%>|\{%[^%\n]*%\}"
    rf"|(?<![\w{{]){{(?:\w+_)?{_NAMED}}}|(?<![\w{{]){{(?:username|title|insert\w*)}}"
    # [insert link here]; not [your guide](https://...), which is a link
    r"|[\[<](?:insert|placeholder|todo|tbd|fixme)\b[^\[\]<>\n]{0,60}[\]>](?!\()"
    r"|[\[<][^\[\]<>\n]{0,50}\bhere[\]>](?!\()"
    rf"|[\[<](?:your|the) [^\]>\n]{{0,20}}\b{_NAMED}[\]>](?!\()"
    rf"|\[(?:(?:{_NAMED}|user) ?)?{_NAMED}\](?!\()"
    r"|\blorem ipsum dolor\b"
    r"|\bX{2}:X{2}\b",
    re.IGNORECASE,
)
# Capitals at the head of a sentence, and a colon: not "a TODO app", "date TBD", "xxx".
_NOTE_TO_SELF: Final = re.compile(
    r"(?:^|[.!?:)\]]\s+|[(\[<])[*_~\s([-]{0,4}(?:TODO|FIXME|TBD|XXX)\b(?::|\(\w+\))"
    r"|\A\W*+(?:TODO|FIXME|TBD|XXX)\W*+\Z",
    re.MULTILINE,
)
_NOUN: Final = (
    r"(?:post|message|announcement|version|draft|json|revision|rewrite|text|output|response)"
)
_MADE: Final = (
    r"(?:revised|refined|rewritten|final(?:ised|ized)?|improved|updated|polished|corrected|edited"
    r"|requested|shortened|formatted)"
)
_LINE_ENDS: Final = r":[ \t*_]*(?:\n|\Z)"
_PREAMBLE: Final = re.compile(
    r"\A\W*+(?:"
    # a chat's answer: Certainly! Here are five tips ...
    r"(?:(?:certainly|absolutely|of course)\b[,!.]|sure(?: thing)?[!.])\s*here(?:'s| is| are)\b"
    rf"[^\n]{{0,80}}{_LINE_ENDS}"
    # Here's the post, with nothing behind it; a text editor comparison is another matter
    r"|(?:(?:sure|okay|ok|alright|got it)\b[,!.]?\s*)?(?:here(?:'s| is)|below is) "
    rf"(?:(?:a|an|the|your|my|one)\b ?)?(?:[\w,-]+ ){{0,4}}{_NOUN}"
    r"(?: (?:object|array|with|in|based on|as requested|you asked for)\b[^\n:]{0,60})?"
    rf"{_LINE_ENDS}"
    r"|here are [^\n:]{0,30}\b(?:versions|variations|drafts|revisions) of (?:the|your|this) "
    rf"[^\n:]{{0,30}}{_LINE_ENDS}"
    rf"|here(?:'s| is) (?:the|a|an|your|my) {_MADE}\b[\w ,-]{{0,30}}\b{_NOUN}"
    r"(?: (?:of|for) (?:the|your|this) (?:post|message|text|draft|announcement))?\W*:"
    r"|here(?:'s| is) (?:the|a|your) (?:[\w-]+ ){0,2}(?:discord|social media) post\b[^\n]{0,60}:"
    # a heading of its own
    rf"|(?:(?:the|your) )?(?:{_MADE} |discord )+{_NOUN}\W{{0,4}}{_LINE_ENDS}"
    rf"|{_MADE} (?:discord )?post\W{{0,4}}:"
    rf"|(?:post|draft|output)\W{{0,4}}{_LINE_ENDS}"
    r"|assistant\W{0,3}:|(?<=\*\*)(?:critique|strengths|suggestions for improvement)\W{0,2}\*\*"
    r")",
    re.IGNORECASE,
)
_CHANGE: Final = (
    r"(?:adjust|change|revise|modify|tweak|rewrite|refine|shorten|expand|edit|write|create|draft"
    r"|generate|make any)"
)
_AFTERWORD: Final = re.compile(
    r"\b(?:let me know if you(?:'d| would)? (?:like|want|need|prefer)|would you like) me to "
    rf"{_CHANGE}\b"
    r"|\blet me know if (?:you(?:'d| would)? (?:like|want|need)|there are) any "
    r"(?:other |further )?(?:changes|edits|adjustments|revisions|tweaks|modifications)\W*\Z"
    r"|\bfeel free to (?:adjust|modify|edit|customi[sz]e|tweak) (?:this|the) "
    r"(?:post|draft|message|template|text)\b"
    r"|\b(?:is there anything else|how can) I can? ?(?:help|assist)(?: you)?(?: with)?(?: today)?\?"
    r"|^[^\w\n]*(?:word|character) count\W{0,4}\d[\d,.]*(?: (?:words|characters))?\W*\Z"
    r"|\bthis (?:post|draft|version|message) (?:is|has been|was) (?:designed|crafted|written"
    r"|optimi[sz]ed|tailored) to "
    r"(?:be|engage|encourage|spark|drive|foster|invite|resonate|promote)\b"
    r"|\bI(?:'ve| have) (?:revised|rewritten|refined|edited|shortened|polished|reworked)"
    r" (?:the|this|your) (?:post|text|draft|message|content)"
    r"(?:\W*(?:\n|\Z)|[.,:;!]| (?:to|so|for) )"
    r"|\bI hope this (?:post|draft|version) (?:helps|works|meets)\b"
    r"|\bengagement:\W{0,3}\d{1,2}\b[^\n]{0,20}\n?\W*clarity:\W{0,3}\d",
    re.IGNORECASE | re.MULTILINE,
)
_MARKUP: Final = re.compile(
    r"</think(?:ing)?>|<\|[a-z_]{2,20}\|>|\[/?INST\]"
    r"|\A\s*<(?:post|output|answer|response|draft|think|thinking|reasoning|scratchpad)>"
    r"|^#{1,4} (?:Response|Instruction|Input):?\s*$|\[(?:end|start) of (?:post|message|response)\]"
    r"|\\n\\n|\w\\u[0-9a-fA-F]{4}\w",
    re.MULTILINE | re.IGNORECASE,
)
_HTML: Final = re.compile(
    r"<(?P<end>/?)(?P<name>pre|p|div|span|b|i|u|em|strong|h[1-6]|[uo]l|li|a|code|body|html|table)"
    r"\b[^<>\n]{0,200}>|(?P<br>(?<=\S)<br ?/?>|<br ?/?>$)",
    re.IGNORECASE | re.MULTILINE,
)
_BLOCKS: Final = frozenset({"pre", "html", "body", "div", "p"})
_SENTENCE: Final = re.compile(r"[^.!?\n\u2026\u3002\uff01\uff1f]+")
_NOTHING: Final = frozenset(
    {"null", "none", "undefined", "nan", "n/a", "[object object]", "{}", "[]"}
)
_OUR_KEY: Final = re.compile(r"\btext_content\b[\"']?\s*:")
_COMMON_KEY: Final = re.compile(r"\"(?:content_type|source|tags)\"\s*:")
_OPENS_OBJECT: Final = re.compile(r"\{\s*\"[\w ]+\"\s*:")
_OPENS_LIST: Final = re.compile(r"\[\s*\{\s*\"[\w ]+\"\s*:")
_QUOTED: Final = "\"'\u201c\u2018"
_APOSTROPHE: Final = str.maketrans("\u2019", "'")
_WORKS: Final = r"(?:posts?|content|messages?|texts?)"
_CANNOT: Final = r"(?:(?: can(?:'t|not)| won't)(?: be able to)?|(?: am|'m) (?:not able|unable) to)"
_THIS: Final = r"(?:that|this|it)(?: (?:request|topic|task|prompt|one))?\s*(?:[.!?,;\n]|\Z)"
# An excuse speaks of the request or the text: "I can't help but smile" does not.
_REFUSAL: Final = re.compile(
    rf"(?<![{_QUOTED}])\bas an? (?:ai|artificial intelligence|(?:large )?language model)"
    r"(?: (?:language )?(?:model|assistant))?,? I\b"
    rf"|(?<![{_QUOTED}])\bas an? (?:ai |large )?language model\b"
    rf"|(?<![{_QUOTED}])\bI(?:'m| am) (?:just |only )?an AI(?: (?:language )?(?:model|assistant))?"
    r"(?:[.,;]| and )"
    r"|\b(?:my knowledge cut-?off|as of my last (?:knowledge |training )?update)\b"
    r"|\b(?:I(?:'m| am) (?:sorry|afraid)|I apologi[sz]e|sorry|unfortunately),? (?:but )?"
    rf"I{_CANNOT} "
    r"(?:comply\b|assist\b|fulfil+\b"
    rf"|(?:help(?: you)?|do|continue)\b[^.!?\n]{{0,12}}\b{_THIS}"
    r"|(?:create|generate|write|provide|produce)\b[^.!?\n]{0,40}"
    rf"\b(?:{_WORKS}\b|requests?\b|{_THIS}))"
    rf"|\bI{_CANNOT} "
    r"(?:comply with\b|(?:assist|help)(?: you)? with your request\b"
    rf"|(?:assist|help)(?: you)? with {_THIS}"
    r"|fulfil+ (?:that|this|your)\b"
    r"|(?:create|generate|write|provide|produce)\b[^.!?\n]{0,40}\b(?:"
    rf"(?:this|that|such|the requested) {_WORKS}"
    rf"|{_WORKS}\b[^.!?\n]{{0,20}}\b(?:that|this|which)\b))"
    r"|\bI (?:do not|don't) have "
    r"(?:access to (?:real-time|the internet|current (?:data|information|events)"
    r"|external (?:data|websites|links|sources)|your (?:previous|earlier|conversation|chat))"
    r"|enough (?:information|context|details?) to (?:write|create|generate|produce|complete|make)"
    r"|personal (?:opinions|experiences|feelings))"
    r"|\bplease provide (?:me with )?(?:the|more|your) (?:text|topic|content|draft|post)\b"
    r"[^.!?\n]{0,40}\b(?:so I can|and I(?:'ll| will)|you(?:'d| would) like me)\b",
    re.IGNORECASE,
)


def _unfinished(facts: PostFacts) -> str:
    prose = facts.reading.prose
    found = _BLANKS_TO_FILL.search(prose) or _NOTE_TO_SELF.search(prose)
    return f"'{shorten(found[0].strip(), 40)}' looks unfinished" if found else ""


def _refusal(facts: PostFacts) -> str:
    found = _REFUSAL.search(facts.reading.prose.translate(_APOSTROPHE))
    return f"'{shorten(found[0], 60)}' sounds like a model's excuse" if found else ""


def _wrappings(reading: TextReading) -> Iterator[str]:
    """Yield the signs that a text is wrapped in something, or speaks about itself."""
    text = reading.text.strip().translate(_APOSTROPHE)
    prose = reading.prose.strip().translate(_APOSTROPHE)
    if text.casefold() in _NOTHING:
        yield "it is an empty value, not a post"
    if _is_json(text):
        yield "it is JSON, not a post"
    is_torn = prose.count("{") != prose.count("}")
    if _OUR_KEY.search(prose) or (is_torn and _COMMON_KEY.search(prose)):
        yield "JSON keys are left in it"
    if re.fullmatch(r"```[^\n]*\n.*\n```", text, re.DOTALL) and text.count("```") == 2:
        yield "all of it is one code block"
    if reading.has_open_code_block:
        yield "a code block is not closed"
    if found := _MARKUP.search(prose):
        yield f"'{shorten(found[0], 40)}' does not belong in a post"
    if found := _PREAMBLE.search(text) or _AFTERWORD.search(prose):
        yield f"'{shorten(found[0], 40)}' speaks about the post"


def _html(facts: PostFacts) -> str:
    """Say of an element that is opened and closed, or opens the text, that it is one."""
    opened: set[str] = set()
    for found in _HTML.finditer(facts.reading.prose.lstrip()):
        name = (found["name"] or "br").lower()
        if found["end"]:
            is_element = name in opened
        else:
            is_element = name == "br" or (found.start() == 0 and name in _BLOCKS)
            opened.add(name)
        if is_element:
            return f"'{shorten(found[0], 40)}' is HTML, which nobody reads"
    return ""


def _repetition(facts: PostFacts) -> str:
    """Say that most of the text is one sentence, as of a model that has lost its way."""
    plain = " ".join(facts.reading.prose.casefold().split())
    unit = f"{plain} "[: (f"{plain} " * 2).find(f"{plain} ", 1)]
    is_all = len(unit) * 4 <= len(plain) + 1
    said = Counter(one.strip() for one in _SENTENCE.findall(plain))
    most, times = said.most_common(1)[0] if said else ("", 0)
    is_most = times >= 5 and len(most) * times * 2 > len(plain)
    found = unit if is_all else most if is_most else ""
    return f"'{shorten(found, 40)}' is said over and over" if len(found) >= 12 else ""


def _is_json(text: str) -> bool:
    """Whether a text is JSON, or the beginning of some; not prose that begins with an example."""
    if text[:1] not in {"{", "["}:
        return False
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        if _OPENS_LIST.match(text):
            return True
        behind = text.rpartition("}")[2] if "}" in text else ""
        return _OPENS_OBJECT.match(text) is not None and not re.search(r"\w", behind)
    return isinstance(value, dict | list) and not re.search(r"\w", text[end:])


_RULES: Final[tuple[tuple[str, Callable[[PostFacts], str]], ...]] = (
    ("content", _content),
    ("length", _length),
    ("mentions", _mentions),
    ("invites", _invites),
    ("links", _links),
    ("secrets", _secrets),
    ("forbidden words", _forbidden),
    ("unfinished", _unfinished),
    ("leftovers", lambda facts: next(_wrappings(facts.reading), "")),
    ("markup", _html),
    ("repetition", _repetition),
    ("refusal", _refusal),
    ("offline text", _offline),
    ("repeat", lambda facts: facts.repeats),
    ("attachments", _attachments),
)
