"""A text in pieces that each mean what the whole means, as Discord's markdown has it. Pure.

It is cut at the end of a paragraph, else of a line, a sentence, a word, outside of every span
(bold, spoilers, code ...) if that is possible. A span that has to be cut is closed at the cut and
opened again behind it. Links, mentions, emoji, timestamps and what a reader sees as one character
are never cut. Everything here takes time in proportion to the length of the text.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final, NamedTuple

from botticelli.text import utf16_length

SHORTEST: Final = 32  # UTF-16 units; less leaves no room for a fence and a line
NO_CUT: Final = -1
PARAGRAPH, LINE, SENTENCE, WORD, SIGN, ANYWHERE = 6, 5, 4, 3, 2, 1

_MARKS_BEHIND: Final = r"[\"'\u2019\u201d\u00bb\u300d\u300f\uff09\u3011\u300b)\]*_~|]*"
_ENDS: Final = (
    (WORD, re.compile(r"[ \t\u200b\u3000]+|[\u3001\uff0c\uff1b\uff1a]")),
    (SENTENCE, re.compile(rf"[.!?\u2026]+{_MARKS_BEHIND}[ \t]+")),
    # Chinese, Japanese; Arabic, Urdu, Devanagari, Armenian, Ethiopic, Burmese, Khmer
    (SENTENCE, re.compile(
        r"[\u3002\uff01\uff1f\uff61\u061f\u06d4\u0964\u0965\u0589\u1362\u104b\u17d4]+"
        rf"{_MARKS_BEHIND}[ \t]*"
    )),
    (LINE, re.compile(r"\n")),
    (PARAGRAPH, re.compile(r"\n(?:[ \t]*\n)+")),
)  # fmt: skip
# No line of Chinese or Japanese begins with one of these: marks, small kana.
_NO_START: Final = re.compile(
    r"[\u3001-\u3002\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\u300d\u300f\u3011\u3009\u300b\u3015"
    r"\u30fc\u3005\u2025\u2026\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087"
    r"\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7]"
)

_FENCE: Final = re.compile(r"```(?:([a-z0-9_+\-.#]+)\n)?", re.IGNORECASE)
_TICKS: Final = re.compile(r"`+")
_WHOLE: Final = re.compile(
    r"\\[^\w\s]"
    r"|<(?:[^\s<>]{1,1900}|/[^<>\n]{1,200})>"
    r"|\[(?:[^\[\]\\\n]|\\.|\[[^\[\]\n]*\])*+\]\(\s*<?(?:[^\s()<>]|\([^\s()]*\))*+>?(?:\s+\"[^\"\n]*\")?\s*\)"
    r"|[a-z][a-z0-9+.\-]{1,20}://[^\s<\u3001-\u300f\uff01\uff0c\uff1f]+"
    r"|:\w{2,32}:"
    r"|\d[\d.,:/\u2019']*\d",
    re.IGNORECASE,
)
# A mark, and where it may open; longer marks first.
_MARKS: Final = (
    ("**", re.compile(r"\*\*")),
    ("__", re.compile(r"__")),
    ("~~", re.compile(r"~~(?=\S)")),
    ("||", re.compile(r"\|\|")),
    ("*", re.compile(r"\*(?=[^\s*])")),
    ("_", re.compile(r"(?<![^\W_])_(?=\S)")),
)
_RUN: Final = re.compile(r"\*+|_+|~+|\|+|`+")
_SPECIAL: Final = re.compile(r"[\\`<\[*_~|:]|(?<![a-z0-9])[a-z0-9]", re.IGNORECASE)
_QUOTE: Final = re.compile(r"^> ", re.MULTILINE)
_LONG_QUOTE: Final = re.compile(r"^>>> ", re.MULTILINE)
_HEAD: Final = re.compile(  # what no line is cut behind
    r"^[ \t]*(?:>>> |(?:> )?(?:[-*+] |\d+[.)] |#{1,3} |-# |> ))", re.MULTILINE
)


class Unsplittable(ValueError):
    """Something that means something only as a whole is longer than a piece."""


class MarkedSpan(NamedTuple):
    """What is opened and closed: its marks stand at `start` and `end`."""

    start: int
    inner: int
    end: int
    after: int
    opening: str
    closing: str
    is_code: bool = False


def split(text: str, limit: int, *, length: Callable[[str], int] = utf16_length) -> tuple[str, ...]:
    """Return the text in pieces of at most `limit`, as `length` counts, in reading order.

    Blanks at a cut are dropped, nothing else is. A text that fits is returned byte for byte.

    Raises:
        ValueError: The limit is less than `SHORTEST`.
        Unsplittable: A link, say, is longer than a piece.
    """
    if limit < SHORTEST:
        raise ValueError(f"a piece needs room for at least {SHORTEST} units")
    if length(text) <= limit:
        return (text,)
    return tuple(piece for piece in _Markdown(text, length).pieces(limit) if piece.strip())


class _Markdown:
    """A text whose spans are known."""

    def __init__(self, text: str, length: Callable[[str], int]) -> None:
        self.text = text
        self._length = length
        self.open_at: list[tuple[MarkedSpan, ...]] = [()] * (len(text) + 1)
        self.rank = [ANYWHERE] * (len(text) + 1)  # what ends there; NO_CUT: nothing may
        quote = _LONG_QUOTE.search(text)
        self._quoted_from = quote.end() if quote else len(text) + 1
        for rank, end in _ENDS:
            for match in end.finditer(text):
                behind = text[match.end() : match.end() + 1]
                if not (behind and (behind == "\u200d" or unicodedata.category(behind)[0] == "M")):
                    self.rank[match.end()] = rank
        for head in _HEAD.finditer(text):
            self._forbid(head.start() + 1, head.end() + 1)
        self._hopeless: set[tuple[str, int]] = set()
        self._read(0, len(text), ())

    # -- reading -----------------------------------------------------------------------------------

    @cached_property
    def _plain(self) -> str:
        """The text without the signs that a backslash makes plain."""
        return re.sub(r"\\[\s\S]", "\0\0", self.text)

    @cached_property
    def _mark_runs(self) -> dict[str, tuple[list[int], list[int]]]:
        """Where runs of one mark's sign begin and end, by the sign."""
        runs: dict[str, tuple[list[int], list[int]]] = {}
        for match in _RUN.finditer(self._plain):
            starts, ends = runs.setdefault(match[0][0], ([], []))
            starts.append(match.start())
            ends.append(match.end())
        return runs

    @cached_property
    def _runs(self) -> dict[int, list[int]]:
        """Where runs of backticks begin, by their length; a fence is closed by its first three."""
        runs: dict[int, list[int]] = {0: []}
        for match in _TICKS.finditer(self.text):
            length = len(match[0])
            runs.setdefault(length, []).append(match.start())
            runs[0] += range(match.start(), match.end() - 2, 3)
        return runs

    def _read(self, at: int, end: int, within: tuple[MarkedSpan, ...]) -> None:
        """Note the spans and wholes between two places, which lie within these spans."""
        while (found := _SPECIAL.search(self.text, at, end)) is not None:
            at = found.start()
            span = self._code(at, end) if found[0] == "`" else self._marked(at, end)
            if span is not None:
                self._note(span, within)
                at = span.after
            elif (whole := _WHOLE.match(self.text, at, end)) is not None:
                self._forbid(at + 1, whole.end())
                at = whole.end()
            else:  # what opens nothing is still one mark
                run = _RUN.match(self.text, at, end)
                self._forbid(at + 1, run.end() if run else at + 1)
                at = run.end() if run else at + 1

    def _note(self, span: MarkedSpan, within: tuple[MarkedSpan, ...]) -> None:
        inside = (*within, span)
        self.open_at[span.inner : span.end + 1] = [inside] * (span.end + 1 - span.inner)
        self._forbid(span.start + 1, span.inner + 1)
        self._forbid(span.end, span.after)
        if not span.is_code:
            self._read(span.inner, span.end, inside)
        elif span.closing.startswith("\n"):  # lines only: a blank in code may matter
            for place in range(span.inner + 1, span.end):
                self.rank[place] = LINE if self.text[place - 1] == "\n" else ANYWHERE

    def _forbid(self, start: int, end: int) -> None:
        self.rank[start:end] = [NO_CUT] * (end - start)

    def _code(self, at: int, end: int) -> MarkedSpan | None:
        run = _RUN.match(self.text, at, end)
        assert run is not None
        if len(run[0]) >= 3 and (fence := _FENCE.match(self.text, at, end)) is not None:
            close = _first(self._runs[0], fence.end() + 1, end - 2)
            if close is not None:
                return self._fence(fence, close)
        close = _first(self._runs.get(len(run[0]), []), run.end() + 1, end)
        if close is None:
            return None
        return MarkedSpan(at, run.end(), close, close + len(run[0]), run[0], run[0], is_code=True)

    def _fence(self, fence: re.Match[str], close: int) -> MarkedSpan:
        start = fence.start()
        line = self.text.rfind("\n", 0, start) + 1
        quote = "> " if _QUOTE.match(self.text, line) else ""
        opening, inner = f"```{fence[1] or ''}\n", fence.end()
        if not fence[1] and self.text.startswith("\n", inner):
            inner += 1
        body_end = close
        while body_end > inner and self.text[body_end - 1] == "\n":
            body_end -= 1
        return MarkedSpan(start, inner, body_end, close + 3, opening, f"\n{quote}```", is_code=True)

    def _marked(self, at: int, end: int) -> MarkedSpan | None:
        for mark, opening in _MARKS:
            if opening.match(self.text, at, end) and (mark, end) not in self._hopeless:
                inner = at + len(mark)
                close = self._close(mark, inner + 1, end)
                if close is not None:
                    return MarkedSpan(at, inner, close, close + len(mark), mark, mark)
                self._hopeless.add((mark, end))
        return None

    def _close(self, mark: str, start: int, end: int) -> int | None:
        """Return where a mark closes between two places: the first run of its sign that may."""
        starts, ends = self._mark_runs.get(mark[0], ([], []))
        for index in range(bisect_left(ends, start + len(mark)), len(starts)):
            first, last = max(starts[index], start), min(ends[index], end)
            if first >= end:
                break
            length = last - first
            if len(mark) == 2 and length >= 2:
                return first if mark == "||" else last - 2
            behind = self.text[last : min(last + 1, end)]
            may_end = not self.text[first - 1].isspace() and not (mark == "_" and behind.isalnum())
            if len(mark) == 1 and length % 2 and may_end:
                return last - 1
        return None

    # -- cutting -----------------------------------------------------------------------------------

    def pieces(self, limit: int) -> Iterator[str]:
        """Yield the pieces."""
        at = 0
        while at < len(self.text):
            cut = self._cut(at, limit)
            yield self._piece(at, cut).strip("\n")
            at = self._next(cut)

    def _next(self, at: int) -> int:
        """Return where the piece behind a cut begins: no blank, nor the end of a span."""
        while at < len(self.text):
            spans = self.open_at[at]
            if spans and spans[-1].end == at:
                at = spans[-1].after
            elif self.text[at] in ("\n" if not spans or spans[-1].is_code else " \t\n"):
                at += 1
            else:
                break
        return at

    def _cut(self, at: int, limit: int) -> int:
        """Return where the piece that begins at a place ends: as late as the best kind of place.

        Raises:
            Unsplittable: Nothing that may be cut off there fits.
        """
        last = len(self.text)
        far = self._far(at, limit)
        if far + 64 >= last and self._fits(at, last, limit):
            return last
        best, chosen = (False, NO_CUT), 0
        for place in range(min(far + 64, last - 1), at, -1):
            kind = (not self.open_at[place], self.rank[place])
            if kind > best and kind[1] >= WORD and self._fits(at, place, limit):
                best, chosen = kind, place
        return chosen or self._cut_word(at, far, limit)

    def _cut_word(self, at: int, far: int, limit: int) -> int:
        """Return where a word without end is cut: between two signs that each stand for themselves.

        The library knows the clusters of every script, and is kept up with Unicode.
        """
        import regex

        best, chosen = NO_CUT, 0
        # A flag is told from the one before it by counting, so all begins where the piece does.
        for match in regex.finditer(r"\X", self.text, pos=at, endpos=min(far + 64, len(self.text))):
            place = match.end()
            if self.rank[place] == NO_CUT or not self._fits(at, place, limit):
                continue
            around = self.text[place - 1], self.text[place : place + 1]
            is_sign = not _NO_START.match(around[1]) and not all(one.isascii() for one in around)
            kind = SIGN if is_sign else ANYWHERE
            if kind >= best:
                best, chosen = kind, place
        if not chosen:
            start = self.text[at : at + 40]
            raise Unsplittable(f"'{start}...' is longer than a message and cannot be cut")
        return chosen

    def _far(self, at: int, limit: int) -> int:
        """Return a place that little more than `limit` lies before; lengths need not add up."""
        step, far = limit, at
        while step:
            if far + step <= len(self.text) and self._length(self.text[at : far + step]) <= limit:
                far += step
            else:
                step //= 2
        return far

    def _fits(self, at: int, cut: int, limit: int) -> bool:
        return self._length(self._piece(at, cut)) <= limit

    def _is_in_code(self, place: int) -> bool:
        spans = self.open_at[place]
        return bool(spans) and spans[-1].is_code

    def _piece(self, at: int, cut: int) -> str:
        """Return the text between two places, with what is open there opened and closed again."""
        head, at = self._head(at)
        tail = "".join(span.closing for span in reversed(self.open_at[cut])) if cut else ""
        return f"{head}{self.text[at:cut].rstrip()}{tail if cut < len(self.text) else ''}"

    def _head(self, at: int) -> tuple[str, int]:
        """Return what a piece that begins at a place begins with, and where the text goes on."""
        if at == 0:
            return "", 0
        spans = self.open_at[at]
        marks = "".join(span.opening for span in spans)
        line = self.text.rfind("\n", 0, spans[-1].start if self._is_in_code(at) else at) + 1
        if at >= self._quoted_from:
            return f">>> {marks}", at
        quote = "> " if _QUOTE.match(self.text, line) else ""
        is_own = self.text.startswith(quote, at) and self.text[at - 1] == "\n"
        return quote + marks, at + len(quote) * (is_own and not self._is_in_code(at))


def _first(places: list[int], start: int, end: int) -> int | None:
    """Return the first of the places, which are in order, from `start` on and before `end`."""
    index = bisect_left(places, start)
    return places[index] if index < len(places) and places[index] < end else None
