"""SQL text split into statements, line by line, in time linear in its length."""

import re
from collections.abc import Iterator
from typing import Final

from botticelli.errors import UsageError
from botticelli.records import record

LONGEST: Final = 4 * 1024 * 1024  # bytes of one statement, and of a part of a line
SHORT: Final = 80  # characters of a statement that a person is shown
END_OF_DATA: Final = b"\\."

# Where something begins that a semicolon may stand in. An identifier may hold a dollar sign.
_OPENING: Final = re.compile(
    r"(?P<e>(?<![\w$])[eE]')|(?P<s>')|(?P<i>\")|(?P<c>--)|(?P<b>/\*)"
    r"|(?P<d>(?<![\w$])\$(?:[A-Za-z_\x80-\U0010ffff]\w*)?\$)|(?P<end>;)"
)
_CLOSING: Final = {
    "e": re.compile(r"'|\\."),
    "s": re.compile("'"),
    "i": re.compile('"'),
    "c": re.compile("\n"),
    "b": re.compile(r"/\*|\*/"),
}
_BARE: Final = {"i": '"', "c": " ", "b": " "}
NAME: Final = r'(?:(?:"(?:[^"]|"")+"|\w+)\.)?(?:"(?:[^"]|"")+"|\w+)'  # with its schema
ROWS: Final = re.compile(rf"COPY {NAME} \([^()]*\) FROM stdin")
_GUARD: Final = re.compile(r"\\(?:un)?restrict \w+\s*\Z")  # pg_dump's, against commands of psql


@record
class Statement:
    """One statement.

    Args:
        text: As it is written, without its semicolon.
        bare: The same in one line, without comments, with '' in place of each string.
    """

    text: str
    bare: str

    @property
    def short(self) -> str:
        """What a person reads of it."""
        return self.bare if len(self.bare) <= SHORT else f"{self.bare[: SHORT - 3]}..."

    @property
    def takes_rows(self) -> bool:
        """Whether rows follow it."""
        return ROWS.fullmatch(self.bare) is not None


def split(lines: Iterator[bytes]) -> Iterator[tuple[Statement, Iterator[bytes]]]:
    """Yield each statement with the lines of rows that follow it, which may be left unread.

    Raises:
        UsageError: It is not text that pg_dump writes: commands of psql, no UTF-8, no end.
    """
    splitter = _Splitter()
    for raw in lines:
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise UsageError("the text is not UTF-8", where="db restore") from None
        if line.startswith("\\") and splitter.is_between:
            if not _GUARD.match(line):
                raise UsageError("the text holds a command of psql", where="db restore")
            continue
        for statement in splitter.feed(line):
            rows = _rows(lines) if statement.takes_rows else iter(())
            yield statement, rows
            for _ in rows:
                pass
    if not splitter.is_between:
        raise UsageError("the text ends within a statement", where="db restore")


def _rows(lines: Iterator[bytes]) -> Iterator[bytes]:
    is_whole = True
    for line in lines:
        if is_whole and line.rstrip(b"\r\n") == END_OF_DATA:
            return
        is_whole = line.endswith(b"\n")
        yield line


class _Splitter:
    def __init__(self) -> None:
        self._text: list[str] = []
        self._bare: list[str] = []
        self._within = ""  # what is open: a group of _OPENING, or a dollar quote
        self._depth = 0  # of comments within comments
        self._size = 0

    @property
    def is_between(self) -> bool:
        """Whether no statement is under way."""
        return not self._within and not any(map(str.strip, self._bare))

    def feed(self, line: str) -> Iterator[Statement]:
        """Yield the statements that end in this line.

        Raises:
            UsageError: One of them is longer than any of ours.
        """
        self._size += len(line)
        if self._size > LONGEST:
            raise UsageError("the text holds a statement without end", where="db restore")
        at = 0
        while at < len(line):
            if self._within:
                at = self._inside(line, at)
                continue
            found = _OPENING.search(line, at)
            end = found.start() if found else len(line)
            self._add(line[at:end], line[at:end])
            at = found.end() if found else end
            if found and found.lastgroup == "end":
                yield self._take(rest=len(line) - at)
            elif found:
                self._open(found)

    def _open(self, found: re.Match[str]) -> None:
        group = str(found.lastgroup)
        self._within = found[0] if group == "d" else group
        self._depth = 1
        self._add(found[0], _BARE.get(group, "''"))

    def _inside(self, line: str, at: int) -> int:
        """Go on within what is open; return where in the line that ends."""
        closing = _CLOSING.get(self._within) or re.compile(re.escape(self._within))
        found = closing.search(line, at)
        end = found.end() if found else len(line)
        self._add(line[at:end], line[at:end] if self._within == "i" else "")
        if found and not found[0].startswith("\\"):
            self._depth += 1 if found[0] == "/*" else -1
            self._within = self._within if self._depth else ""
        return end

    def _add(self, text: str, bare: str) -> None:
        self._text.append(text)
        self._bare.append(bare)

    def _take(self, *, rest: int) -> Statement:
        bare = re.sub("(?:'')+", "''", " ".join("".join(self._bare).split()))
        statement = Statement(text="".join(self._text), bare=bare)
        self._text, self._bare, self._size = [], [], rest
        return statement
