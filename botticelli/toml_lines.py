"""TOML text: parsed with errors that say where, and the line of each key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botticelli.errors import ConfigError

Key = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
# Whatever can stand in a value: strings (long ones first), comments, brackets, newlines.
_SIGN = (
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[{]|[\]}]|\n"
)


# What the parser says -> how to fix what usually is the reason.
_HINTS: Final = {
    r"Illegal character '\n'": 'close the text with ", or write """ around several lines',
    "Invalid value": "a text needs quotes, and true and false are written small",
    "Unclosed array": "a list ends with ]",
    "Expected '=' after a key": "write key = value, or # before a remark",
    "twice": "merge the two tables",
    "Cannot overwrite a value": "the key is there twice: take one out",
    "Invalid statement": "write key = value, [table] or # remark",
}


def parse(text: str, name: str) -> dict[str, Any]:
    """Return the tables of a TOML text that errors call `name`.

    Raises:
        ConfigError: It is not TOML.
    """
    import tomli

    try:
        return tomli.loads(text)
    except RecursionError:
        raise ConfigError("is nested too deeply", where=name) from None
    except tomli.TOMLDecodeError as error:
        where = f"{name}:{error.lineno}:{error.colno}"
        what = f"broken TOML: {error.msg[:1].lower()}{error.msg[1:]}"
        hint = next((hint for words, hint in _HINTS.items() if words in error.msg), "")
        raise ConfigError(what, where=where, hint=hint) from error


def spell(key: Key) -> str:
    """Write a key path as a person would: acts.refine.input[0].type."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return "".join(parts).removeprefix(".")


def key_lines(text: str) -> Mapping[Key, int]:
    """Return the line (from 1) of every table header and every key of a valid TOML text.

    Keys inside an inline table or a list have no entry of their own: ask `line_of`.
    """
    lines: dict[Key, int] = {}
    lists: dict[Key, int] = {}
    here: Key = ()
    for position, header, names in _statements(text):
        line = text.count("\n", 0, position) + 1
        if header:
            here = _open(names, lists=lists, is_list=header == 2)
            lines.setdefault(here, line)
        else:
            lines.setdefault((*here, *names), line)
    return lines


def line_of(key: Key, lines: Mapping[Key, int]) -> int | None:
    """Return the line of the key, of the first key in it, or of the nearest table around it.

    None: the whole file.
    """
    for length in range(len(key), 0, -1):
        if (line := lines.get(key[:length])) is not None:
            return line
        inner = [line for each, line in lines.items() if each[:length] == key[:length]]
        if inner:
            return min(inner)
    return None


def _open(names: Key, *, lists: dict[Key, int], is_list: bool) -> Key:
    """Return the full key of a header, with the index of each list of tables in it."""
    here: Key = ()
    for depth, name in enumerate(names, start=1):
        here = (*here, name)
        if is_list and depth == len(names):
            lists[here] = lists.get(here, -1) + 1
        if here in lists:
            here = (*here, lists[here])
    return here


def _statements(text: str) -> Iterator[tuple[int, int, Key]]:
    """Yield (position, brackets of the header or 0, names) for each header and each key."""
    dotted_name = re.compile(_DOTTED)  # not at import: a run without a mistake needs no lines
    position = 0
    while position < len(text):
        start = position
        while position < len(text) and text[position] in " \t\r\n":
            start = position = position + 1
        header = 0
        while position < len(text) and text[position] in "[ \t":
            header += text[position] == "["
            position += 1
        if dotted := dotted_name.match(text, position):
            yield start, header, _names(dotted.group())
            position = dotted.end()
        position = _end_of_statement(text, start if header else position, is_header=bool(header))


def _names(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _end_of_statement(text: str, position: int, *, is_header: bool) -> int:
    """Return where the next statement begins: behind the first newline outside of brackets."""
    depth = 0
    for token in re.compile(_SIGN, re.DOTALL).finditer(text, position):
        sign = token.group()
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "\n" and (depth <= 0 or is_header):
            return token.end()
    return len(text)
