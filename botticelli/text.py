"""Pure text: its length as platforms count it, shortened, compared; time in words."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_MARKUP: Final = re.compile(r"[*_~`|>#\\]+")
_BLANKS: Final = re.compile(r"\s+")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
BREAK: Final = "\n\n---\n\n"  # between the parts of a post, where they stand in one text
# Shown as nothing, or as a blank: formats, fillers, selectors of variants, tags; line ends are not.
UNSEEN: Final = (
    "\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e"
    "\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff"
)
LONG: Final = {0xFDFA: " ", 0xFDFB: " "}  # one character that compatibility forms make 18 of


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'X'?" for the known word that is most like `word`, or ""."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 units, the larger of the ways Discord may count.

    Discord's "2000 characters" (Message resource, Create Message) does not say of which kind.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def graphemes(text: str) -> int:
    """Return the number of what a reader sees as one character each (UAX #29)."""
    import regex

    return len(regex.findall(r"\X", text))


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return the count with its noun: "1 call", "2,000 calls", "3 batches"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago `then` was, in its largest unit and the next."""
    return f"{span(now - then)} ago"


def until(then: datetime, now: datetime) -> str:
    """Return in how long `then` will be; "overdue" if it has passed."""
    return f"in {span(then - now)}" if then > now else "overdue"


def minute_face(instant: datetime | None) -> str:
    """Return an instant as "2026-01-31 09:00 UTC"; empty if there is none."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if instant else ""


def span(duration: timedelta) -> str:
    """Return how long something takes, in its largest unit and the next."""
    seconds = max(0, int(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = hours // 24
    return counted(days, "day") if days < 2 * 365 else counted(days // 365, "year")


def visible(text: str) -> str:
    """Return a text that cannot speak to the terminal: no control character, none that turns it."""
    return text if text.isascii() and text.isprintable() else text.translate(_SPEAKING)


# C0 but for line ends and tabs, C1, line separators, marks of the direction of writing
_SPEAKING: Final = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F),
     *range(0x2066, 0x206A)} - {0x09, 0x0A},
    "\N{MIDDLE DOT}",
)  # fmt: skip


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value as JSON can hold it; all but tables and lists is changed, keys included."""
    if isinstance(value, Mapping):
        return {change(key): mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mapped(inner, change) for inner in value]
    return change(value)


def storable(text: str) -> str:
    """Return a text without NUL and half characters, which neither PostgreSQL nor JSON takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def exposed(text: str) -> str:
    """Return JSON in which no sign hides or turns the line: a person decides on what it says."""
    import json

    hidden = {c for c in text if unicodedata.category(c) in ("Cf", "Cc") and c != "\n"}
    return "".join(json.dumps(c)[1:-1] if c in hidden else c for c in text)


def wrapped(line: str, width: int, indent: int | None = None) -> str:
    """Return a line in lines of at most `width` columns; no word is broken.

    All but the first begin with `indent` blanks; by default two more than the line itself.
    """
    import textwrap

    blanks = len(line) - len(line.lstrip()) + 2 if indent is None else indent
    return (
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * min(blanks, width // 2),
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            expand_tabs=False,
        )
        if len(line) > width
        else line
    )


def shorten(text: str, limit: int) -> str:
    """Return one line of at most `limit` characters, cut at a word where that is possible."""
    line = _BLANKS.sub(" ", text).strip()
    if len(line) <= limit:
        return line
    head = line[: max(limit - 1, 0)]
    at_word = head.rsplit(" ", 1)[0]
    return (at_word if len(at_word) * 2 >= limit else head).rstrip() + "…"


def parts_of(text: str) -> list[str] | None:
    """Return the parts of a post that lines of nothing but `---` cut; None if there is but one.

    A line within a code block cuts nothing.
    """
    parts, fence = [""], ""
    for line in text.splitlines(keepends=True):
        if line.rstrip() == "---" and not fence:
            parts.append("")
            continue
        parts[-1] += line
        if found := _FENCE.match(line):
            closes = fence and found[1].startswith(fence) and not line[found.end() :].strip()
            fence = "" if closes else fence or found[1]
    found_parts = [part.strip("\r\n") for part in parts if part.strip()]
    return found_parts if len(found_parts) > 1 else None


def normalise(text: str) -> str:
    """Return what is left of a text that a platform or an editor may have touched up.

    Two texts that differ in case, blanks, markup, compatibility forms (NFKC), or in control and
    zero-width characters come out the same; use it to compare, never to publish.
    """
    seen = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if not seen.isprintable():
        seen = "".join(c for c in seen if unicodedata.category(c) not in _NOT_SHOWN)
    return " ".join(_MARKUP.sub("", seen).split())


def alike(one: str, other: str) -> bool:
    """Return whether two texts are the same but for their dress; of marks alone it is all."""
    if bare := normalise(one):
        return bare == normalise(other)
    return bool(one.strip()) and one.strip() == other.strip()


_NOT_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def fingerprint(text: str) -> str:
    """Return the SHA-256 of the normalised text in hexadecimal digits."""
    from hashlib import sha256

    return sha256(normalise(text).encode()).hexdigest()
