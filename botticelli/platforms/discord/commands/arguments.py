"""Arguments of Discord commands: what a row of the table says about them, and their values.

A row writes an argument as `name`, `name!` (required), `name:type`, `name:type:least-most` and
`name>field` (its place in the body, dots lead inward). The type of `..._id` is id, else text.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from botticelli.errors import BotticelliError
from botticelli.records import record
from botticelli.text import utf16_length

KINDS: Final[Mapping[str, int]] = {
    "text": 0, "voice": 2, "category": 4, "announcement": 5, "news": 5, "announcement_thread": 10,
    "public_thread": 11, "private_thread": 12, "stage": 13, "directory": 14, "forum": 15,
    "media": 16,
}  # fmt: skip
KIND_NAMES: Final = {number: name for name, number in KINDS.items() if name != "news"}

_SPEC: Final = re.compile(
    r"(?P<name>\w+)(?P<required>!?)(?::(?P<type>[a-z]+))?(?::(?P<least>\d+)-(?P<most>\d+))?"
    r"(?:>(?P<field>[\w.]+))?"
)
_SNOWFLAKE: Final = re.compile(r"(?:<[#@][!&]?)?([0-9]{1,20})>?")
_EMOJI: Final = re.compile(r"<?a?:?(\w{1,32}:[0-9]{1,20})>?")
_TRUE: Final = frozenset(("true", "yes", "on", "1"))
_FALSE: Final = frozenset(("false", "no", "off", "0"))


class BadArgument(BotticelliError):
    """A command was given something it cannot use."""


@record
class Argument:
    """One argument of a command.

    Args:
        least, most: Bounds of a number, or of a text's length in UTF-16 units.
        field: Where it goes in the body.
    """

    name: str
    type: str
    required: bool
    least: int | None
    most: int | None
    field: str

    def value(self, given: Any) -> Any:
        """Return what is sent for what was given.

        Raises:
            BadArgument: It is not valid.
        """
        try:
            value = _READERS[self.type](given)
        except (TypeError, ValueError) as error:
            raise BadArgument(f"{self.name} {error}", where=self.name) from error
        size = utf16_length(value) if isinstance(value, str) else value
        if isinstance(size, int) and not self._holds(size):
            unit = " characters" if isinstance(value, str) else ""
            bounds = f"between {self.least} and {self.most}{unit}"
            raise BadArgument(f"{self.name} must be {bounds}", where=self.name)
        return value

    def _holds(self, size: int) -> bool:
        return (self.least is None or self.least <= size) and (
            self.most is None or size <= self.most
        )


@cache
def arguments(text: str) -> tuple[Argument, ...]:
    """Return the arguments that a row of the table describes."""
    return tuple(map(_argument, text.split()))


def _argument(text: str) -> Argument:
    match = _SPEC.fullmatch(text)
    if match is None or (match["type"] or "text") not in _READERS:
        raise ValueError(f"'{text}' describes no argument")
    name = match["name"]
    usual = "id" if name.endswith("_id") else "text"
    return Argument(
        name=name,
        type=match["type"] or usual,
        required=bool(match["required"]),
        least=int(match["least"]) if match["least"] else None,
        most=int(match["most"]) if match["most"] else None,
        field=match["field"] or name,
    )


def _id(given: Any) -> str:
    """Ids are strings in answers and may be numbers in files; nothing else gets into a path."""
    match = _SNOWFLAKE.fullmatch(str(given).strip())
    if isinstance(given, bool) or match is None:
        raise ValueError(f"is not a Discord id: {_shown(given)}; an id has 17 to 20 digits")
    return match[1]


def _ids(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [part for part in re.split(r"[\s,]+", given) if part]
    if not isinstance(given, list | tuple):
        raise TypeError("is not a list of Discord ids")
    return [_id(one) for one in given]


def _text(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise TypeError(f"is not text: {_shown(given)}")
    return str(given)


def _int(given: Any) -> int:
    if isinstance(given, bool) or (isinstance(given, float) and not given.is_integer()):
        raise ValueError(f"is not a whole number: {_shown(given)}")
    try:
        return int(given)
    except (TypeError, ValueError):
        raise ValueError(f"is not a whole number: {_shown(given)}") from None


def _color(given: Any) -> int:
    """A number, or hexadecimal as style sheets have it."""
    text = str(given).strip()
    try:
        return int(text.removeprefix("#"), 16) if text.startswith("#") else _int(given)
    except ValueError:
        raise ValueError(f"is not a color: {_shown(given)}; write #5865F2 or a number") from None


def _bool(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"is neither true nor false: {_shown(given)}")
    return word in _TRUE


def _kind(given: Any) -> int:
    word = str(given).strip().lower().removeprefix("guild_")
    if word.isdecimal() and int(word) in KIND_NAMES:
        return int(word)
    if word not in KINDS:
        words = "text, voice, category, announcement, stage, forum"
        raise ValueError(f"is not a kind of channel: {_shown(given)}; use one of {words}")
    return KINDS[word]


def _emoji(given: Any) -> str:
    """A unicode emoji as it stands, or name:id, also as messages show it: <:name:id>."""
    text = str(given).strip()
    match = _EMOJI.fullmatch(text)
    if match:
        return match[1]
    # Of ASCII only what keycaps are made of: no slash, no dot, nothing that could change a path.
    is_odd = any(sign.isascii() and sign not in "0123456789#*" for sign in text)
    if not text or text.isascii() or is_odd or len(text) > 32:
        raise ValueError(f"is not an emoji: {_shown(given)}; write the emoji itself or name:id")
    return text


def _time(given: Any) -> str:
    try:
        instant = datetime.fromisoformat(str(given).strip())
    except ValueError:
        raise ValueError(f"is not a time: {_shown(given)}; write 2026-12-24T18:00:00Z") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).isoformat()


def _code(given: Any) -> str:
    code = str(given).strip().rstrip("/").rpartition("/")[2]
    if not re.fullmatch(r"[A-Za-z0-9-]{2,64}", code):
        raise ValueError(f"is not an invite: {_shown(given)}")
    return code


def _shown(given: Any) -> str:
    return repr(given)[:60]


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "id": _id, "ids": _ids, "text": _text, "int": _int, "bool": _bool, "kind": _kind,
    "emoji": _emoji, "time": _time, "code": _code, "color": _color,
}  # fmt: skip
