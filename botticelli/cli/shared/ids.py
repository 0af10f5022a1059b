"""Ids as people write them: 12 of the kind a command is about, else c12, p5, d7, or a message."""

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import typer

from botticelli.errors import UsageError
from botticelli.records import record

Kind = Literal["candidate", "post", "delivery"]
KINDS: Final[dict[str, Kind]] = {"c": "candidate", "p": "post", "d": "delivery"}
SNOWFLAKE: Final = 15  # digits: no id of ours is as long, every one of Discord's is longer
MOST: Final = 2**63 - 1  # what an id of ours can be

_NAMED: Final = re.compile(r"(?:(c|p|d|candidate|post|delivery)[: #]?)?#?(\d+)", re.IGNORECASE)


@record
class Id:
    """An id of ours."""

    kind: Kind
    number: int


def read_id(text: str, *, plain: Kind) -> Id | None:
    """Return the id that a text is; a number alone is one of the kind `plain`. None: it is none."""
    named = _NAMED.fullmatch(text.strip())
    if named is None or int(named[2]) > MOST or (not named[1] and len(named[2]) >= SNOWFLAKE):
        return None
    return Id(kind=KINDS[named[1][0].lower()] if named[1] else plain, number=int(named[2]))


def parser_of(*kinds: Kind) -> Callable[[str], Id]:
    """Return what reads an argument that is of one of these kinds; a number is of the first.

    Raises:
        UsageError: It is no id, or of another kind.
    """

    def parse(text: str) -> Id:
        found = read_id(text, plain=kinds[0])
        letter = kinds[0][0]
        if found is None:
            raise UsageError(
                f"'{text}' is not the id of a {kinds[0]}", hint=f"write it as 12 or {letter}12"
            )
        if found.kind not in kinds:
            raise UsageError(
                f"'{text}' is a {found.kind}, not a {kinds[0]}",
                hint=f"`botticelli trace {text}` names its {kinds[0]} ({letter}...)",
            )
        return found

    return parse


def number_of(kind: Kind) -> Callable[[str], int]:
    """Return what reads an argument of this kind alone, as a number. Raises as `parser_of`."""
    parse = parser_of(kind)
    return lambda text: parse(text).number


def argument(parser: Callable[[str], Any], text: str, *, metavar: str = "ID") -> Any:
    """Return an argument that is read by one of those; `text` is its help."""
    return typer.Argument(metavar=metavar, parser=parser, help=text)
