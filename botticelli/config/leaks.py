"""Whether a text gives a secret away, in any spelling that a reader could undo. Pure.

A secret is looked for as it is, in any case, with other characters between its own, backwards,
escaped, and in the encodings that models and people know. What cannot be told from an ordinary
word, such as the password "mountain", is only found as that very word. The time it takes grows
with the length of the text, not with the number of secrets.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from botticelli.text import LONG, UNSEEN

KEY: Final = 6  # characters by which a spelling is found
WINDOW: Final = 20  # so many characters of a longer secret give it away
SURE: Final = 8  # what is shorter, or a word, may stand in an innocent text by chance
LONGEST_WORD: Final = 16
# Everybody knows them: to name one gives nothing away.
PUBLIC: Final = frozenset({
    "postgres", "postgresql", "password", "secret", "botticelli", "changeme", "change-me",
    "example", "localhost", "username", "database", "testing", "default",
})  # fmt: skip
ROUNDS: Final = 3  # of escapes within escapes

_ESCAPES: Final = re.compile(
    r"(?P<bytes>(?:(?:%|=|\\x)[0-9a-f]{2})+)|(?P<octal>(?:\\[0-3][0-7]{2})+)"
    r"|\\u(?P<point>000[0-9a-f]{5}|0010[0-9a-f]{4}|[0-9a-f]{4}|\{0{0,4}[0-9a-f]{1,5}\})",
    re.IGNORECASE,
)
_TAGS: Final = {0xE0000 + code: code for code in range(0x20, 0x7F)}
_NOT_SQUEEZED: Final = re.compile(rf"[\W_{UNSEEN}]+")

Spelling = tuple[str, str]  # as it stands in a squeezed text; how a person would call it


def find_leak(text: str, secrets: Iterable[str]) -> str | None:
    """Return how `text` gives away one of the secrets ("as it is", "in base64"), if it does.

    Secrets of fewer than six characters are not looked for.
    """
    return _finder(tuple(secrets)).find(text) if text else None


def squeeze(text: str) -> str:
    """Return the letters and digits of a text alone, in small and plain forms."""
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text.translate(LONG))
    return _NOT_SQUEEZED.sub("", plain.casefold())


class _Finder:
    """Finds some secrets: all their spellings at once, by how each begins."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._index: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._words: dict[str, str] = {}
        for secret in secrets:
            if len(secret) >= KEY and secret.casefold() not in PUBLIC:
                self._add(secret)
        shown = map(re.escape, sorted(self._words, key=len, reverse=True))
        self._word = re.compile(rf"(?<!\w)(?:{'|'.join(shown)})(?!\w)" if self._words else r"(?!)")

    def _add(self, secret: str) -> None:
        squeezed, cases = squeeze(secret), (secret.lower(), secret.upper(), secret.capitalize())
        is_word = secret.isalpha() and secret in cases
        # Sure: no innocent text holds these characters in this order.
        is_sure = len(squeezed) >= (LONGEST_WORD if is_word or squeezed.isdigit() else SURE)
        if not is_sure:
            self._words |= {secret: "as it is", secret[::-1]: "backwards"}
        for spelling, how in _spellings(secret, is_sure=is_sure):
            for each, said in ((spelling, how), (spelling[::-1], f"{how}, backwards")):
                if len(each) >= KEY:
                    self._index[each[:KEY]].setdefault(each, said.removeprefix("as it is, "))

    def find(self, text: str) -> str | None:
        """Return how the text holds one of them."""
        found = (self._find(reading) for reading in _readings(text))
        return next(filter(None, found), None)

    def _find(self, reading: str) -> str | None:
        if found := self._word.search(reading):
            return self._words[found[0]]
        squeezed, index = squeeze(reading), self._index
        for start in range(len(squeezed) - KEY + 1):
            if (key := squeezed[start : start + KEY]) in index:
                for spelling, how in index[key].items():
                    if squeezed.startswith(spelling, start):
                        return how
        return None


_finder: Final = lru_cache(maxsize=8)(_Finder)


def _spellings(secret: str, *, is_sure: bool) -> Iterator[Spelling]:
    """Yield the spellings of a secret that a squeezed text may hold."""
    if is_sure:
        squeezed = squeeze(secret)
        yield squeezed, "as it is"
        yield squeezed.translate(_ROT13), "in ROT13"
        if not re.search(r"\s|://", secret):  # an address begins as many others do
            for start in range(1, len(squeezed) - WINDOW + 1):
                yield squeezed[start : start + WINDOW], "in part"
            yield squeezed[:WINDOW], "in part"
    for turned in (secret, secret[::-1]):
        raw = turned.encode("utf-8", "surrogatepass")
        yield "".join(map(str, raw)), "as character codes"
        yield "".join(f"{each:08b}" for each in raw), "in binary digits"
        for each in _aligned(raw, 6):
            yield from ((squeeze(twice), "in base64") for twice in _aligned(each.encode(), 6))
        for case in dict.fromkeys((turned, turned.lower(), turned.upper())):
            raw = case.encode("utf-8", "surrogatepass")
            yield raw.hex(), "in hexadecimal digits"
            yield from ((each.lower(), "in base32") for each in _aligned(raw, 5))
            for wide in (raw, case.encode("utf-16-le", "surrogatepass")):
                yield from ((squeeze(each), "in base64") for each in _aligned(wide, 6))


_ROT13: Final = {
    ord(c): chr((ord(c) - 97 + 13) % 26 + 97) for c in "abcdefghijklmnopqrstuvwxyz"
}  # fmt: skip


def _aligned(raw: bytes, bits: int) -> Iterator[str]:
    """Yield the characters of base64 (6 bits) or base32 (5) that these bytes alone decide.

    There is one for each place within a group at which the bytes may begin.
    """
    import base64

    encode, size = (base64.b64encode, 3) if bits == 6 else (base64.b32encode, 5)
    for shift in range(size):
        encoded = encode(bytes(shift) + raw).decode()
        first, end = -(-shift * 8 // bits), (shift + len(raw)) * 8 // bits
        yield encoded[first:end]


def _readings(text: str) -> Iterator[str]:
    """Yield a text as it is, and with the escapes undone that it is written in."""
    import html

    yield text
    for _ in range(ROUNDS):
        before, text = text, _ESCAPES.sub(_unescaped, html.unescape(text).translate(_TAGS))
        if text == before:
            return
        yield text


def _unescaped(found: re.Match[str]) -> str:
    if found["bytes"]:
        return bytes.fromhex(re.sub(r"%|=|\\x", "", found[0], flags=re.IGNORECASE)).decode(
            errors="replace"
        )
    if found["octal"]:
        return bytes(int(each, 8) for each in found[0].split("\\")[1:]).decode(errors="replace")
    return chr(int(found["point"].strip("{}"), 16))
