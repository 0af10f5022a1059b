"""Discord's answers, cut down to what a command gives.

A row writes a field as `key`, `key=path.in.answer`, `key=$argument` or `key=!true`; `|filter`
behind it says how the value is shown.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from botticelli.platforms.discord.commands.arguments import KIND_NAMES
from botticelli.platforms.discord.commands.table import Row

ABSENT: Final = object()


def shape(row: Row, answer: Any, values: Mapping[str, Any]) -> Any:
    """Return the result of a command for an answer and the arguments it was given."""
    if row.inside and isinstance(answer, Mapping):
        answer = answer.get(row.inside) or []
    if not isinstance(answer, list):
        return _one(row.gives, answer, values)
    entries = [_one(row.gives, one, values) for one in answer]
    return {row.wrap: entries, "count": len(entries)} if row.wrap else entries


def dig(value: Any, path: str) -> Any:
    """Return what a dotted path leads to; ABSENT if it leads nowhere."""
    for step in path.split("."):
        value = value.get(step, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def _one(gives: str, answer: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the answer has; an absent one is left out, a null stays null."""
    found: dict[str, Any] = {}
    for token in gives.split():
        key, _, rest = token.partition("=")
        source, _, name = (rest or key).partition("|")
        if source.startswith("!"):
            value: Any = source == "!true"
        elif source.startswith("$"):
            value = values.get(source[1:], ABSENT)
        else:
            value = dig(answer, source)
        if value is not ABSENT:
            found[key] = _FILTERS[name](value) if name and value is not None else value
    return found


def _user(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": value.get("id"),
        "name": value.get("username"),
        "bot": bool(value.get("bot", False)),
    }


def _reactions(value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"emoji": dig(one, "emoji.name"), "count": one.get("count")} for one in value]


_FILTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": lambda number: KIND_NAMES.get(number, str(number)),
    "count": len,
    "user": _user,
    "reactions": _reactions,
    "invite": "https://discord.gg/{}".format,
    "target": lambda number: "member" if number == 1 else "role",
}
