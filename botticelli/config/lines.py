"""In which line of a TOML file does a key stand? Good enough to send a person there."""

import re
from collections.abc import Sequence
from typing import Final

HEADER: Final = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?\s*(?:#.*)?$")
ASSIGNMENT: Final = re.compile(r"""\s*((?:[A-Za-z0-9_.\-\s]|"[^"]*"|'[^']*')+?)\s*=""")
PART: Final = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_\-]+)""")


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Return the number (from 1) of the line where the key of that path stands.

    If it is only there as part of something larger (an inline table, a list), the line of that; a
    table's own line if the key is missing altogether; None if nothing of the path is there.
    """
    wanted = [key for key in path if isinstance(key, str)]
    table: list[str] = []
    best, depth = None, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = HEADER.match(line)
        if header:
            here = table = _parts(header[1])
        else:
            assignment = ASSIGNMENT.match(line)
            if assignment is None:
                continue
            here = [*table, *_parts(assignment[1])]
        if len(here) > depth and here == wanted[: len(here)]:
            best, depth = number, len(here)
    return best


def _parts(dotted: str) -> list[str]:
    return [one or two or three for one, two, three in PART.findall(dotted)]
