"""Each key of botticelli.toml stands once: as a field of the record that it fills.

`key` gives a field its default and its rule, the record's docstring says what it is for. All else
is made from that: the check of the file (structure.py), the record itself (load.py), the JSON
Schema for editors, the sample file (cli/setup/sample.py) and the reference page (tools/).

Texts with a form of their own have a function here that returns the value, or raises ValueError
with what is wrong and, as a second argument, how to fix it.
"""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, Field, field, fields
from datetime import date, time, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from botticelli import cron
from botticelli.records import record

Schema = Mapping[str, Any]
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
REST: Final = ("*",)
TYPES: Final[Mapping[Any, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    timedelta: "number",
}
WORDS: Final = {"min": "minimum", "max": "maximum", "over": "exclusiveMinimum"}
HELP: Final = re.compile(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", re.MULTILINE)


class Key(NamedTuple):
    """What is known of a key.

    Args:
        field: The field that it fills.
        type: Type of the field without its `None`.
        default: The shipped value; MISSING: the key must be there.
        path: Where it stands in its table. Empty: the keys of the field's own record stand in this
            table. `REST`: every key that no other field has.
        also: Other names of the key.
        unit: Unit of a time span: seconds, minutes or days.
        parse: Makes the value of a string; raises ValueError(what is wrong, how to fix it).
        rule: JSON Schema over that of the type, where `min`, `max` and `over` are bounds, `eg` is
            an example, `each` is for the values in a list or table, and `single` allows one value
            in place of a list.
    """

    field: str
    type: Any
    default: Any
    path: tuple[str, ...]
    also: tuple[str, ...]
    unit: str
    parse: Callable[[str], Any] | None
    rule: Schema


def key(
    default: Any = MISSING,
    /,
    *,
    name: str | None = None,
    also: tuple[str, ...] = (),
    unit: str = "",
    parse: Callable[[str], Any] | None = None,
    **rule: Any,
) -> Any:
    """Return a field that is read from the file; without a default the key must be there.

    Args:
        default: The shipped value.
        name: Where the key stands (`Key.path`, dotted), if not under the field's name.
        also: As in `Key`.
        unit: Unit of a time span, added to the field's name; a `name` ends with it as well.
        parse: As in `Key`.
        rule: As in `Key`.
    """
    path = None if name is None else tuple(filter(None, name.split(".")))
    metadata = {"path": path, "also": also, "unit": unit, "parse": parse, "rule": rule}
    if default.__class__.__hash__ is None:  # dataclasses take no default that could be changed
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@cache
def keys_of(kind: type) -> tuple[Key, ...]:
    """Return the keys of a table: the fields of its record that are read from the file."""
    return tuple(_key_of(each) for each in fields(kind) if each.metadata)


def _key_of(each: Field[Any]) -> Key:
    path, also, unit, parse, rule = each.metadata.values()
    if path is None:
        path = (f"{each.name}_{unit}" if unit else each.name,)
    return Key(
        field=each.name,
        type=get_args(each.type)[0] if get_origin(each.type) is UnionType else each.type,
        default=each.default if each.default_factory is MISSING else each.default_factory(),
        path=path,
        also=also,
        unit=unit or "".join(path[-1:]).rpartition("_")[2],
        parse=parse,
        rule=rule,
    )


def is_table(kind: Any) -> bool:
    """Return whether a type is a record that is a table of the file."""
    return hasattr(kind, "__dataclass_fields__") and bool(keys_of(kind))


def helps_of(kind: type) -> tuple[str, Mapping[str, str]]:
    """Return what the docstring of a record says of its table, and of each of its fields."""
    first, _, rest = (kind.__doc__ or "").partition("\n")
    return first, {name: re.sub(r"\s+", " ", text) for name, text in HELP.findall(rest)}


def schema_of(
    kind: type, known: Any = None, *, wanted: Container[str] | None = None
) -> dict[str, Any]:
    """Return the JSON Schema of a table.

    Args:
        kind: Class of its record.
        known: A record that holds the defaults; None: the ones of the class.
        wanted: Keys to describe, for speed; the others are only named. None: all.
    """
    first, helps = helps_of(kind)
    table = _table(first)
    for each in keys_of(kind):
        default = each.default if known is None else getattr(known, each.field)
        if each.path == REST:
            table["additionalProperties"] = schema_of(get_args(each.type)[1])
        elif not each.path:
            table["properties"] |= schema_of(each.type, default)["properties"]
        else:
            *outer, name = each.path
            place = table
            for part in outer:
                place = place["properties"].setdefault(part, _table(helps[part]))
            is_wanted = wanted is None or each.path[0] in wanted
            about = _key(each, default, helps.get(each.field, "")) if is_wanted else {}
            place["properties"][name] = about
            if default is MISSING:
                place.setdefault("required", []).append(name)
    return table


def _table(about: str) -> dict[str, Any]:
    return {"type": "object", "description": about, "properties": {}, "additionalProperties": False}


def _key(key: Key, default: Any, text: str) -> dict[str, Any]:
    rule = _rule(key.type, key.rule, None if default is MISSING else default)
    if text:
        rule["description"] = text
    if "examples" not in rule and rule.get("type") != "object":
        rule.setdefault("default", _written(default, key.unit))
    return rule


def _rule(kind: Any, given: Schema, default: Any = None) -> dict[str, Any]:
    """Return the JSON Schema of a type, with what is given over it."""
    rule = {WORDS.get(name, name): value for name, value in given.items()}
    each, single = rule.pop("each", NOTHING), rule.pop("single", False)
    if "eg" in rule:
        rule["examples"] = [rule.pop("eg")]
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return {"type": "string", "enum": list(inner)} | rule
    if get_origin(kind) is tuple:
        one = _rule(inner[0], each)
        many = {"type": "array", "items": one}
        return ({"anyOf": [one, many | {"minItems": 1}]} if single else many) | rule
    if get_origin(kind) is not None:  # a mapping
        values = {} if inner[1] is Any else _rule(inner[1], each or {"single": True})
        return {"type": "object", "properties": {}, "additionalProperties": values or True} | rule
    if is_table(kind):
        return schema_of(kind, default)
    return {"type": TYPES.get(kind, "string")} | rule


def _written(value: Any, unit: str) -> Any:
    """Return a default as the file would have it."""
    if isinstance(value, timedelta):
        number = value / timedelta(**{unit: 1})
        return int(number) if number.is_integer() else number
    if isinstance(value, tuple):
        return [_written(each, unit) for each in value]
    return str(value) if isinstance(value, Path) else value


@record
class ActiveHours:
    """When a destination may be written to, in local time; `end` may be before `start` (night)."""

    start: time
    end: time


def active_hours(text: str) -> ActiveHours:
    """Return "09:00-21:00" as two local times; "24:00" is midnight."""
    start, end = (part.strip() for part in text.split("-"))
    if start == end:
        raise ValueError(f"'{text}' begins where it ends", "leave it out for any hour")
    return ActiveHours(start=_time_of_day(start), end=_time_of_day(end))


def _time_of_day(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    try:
        return time(0) if (hour, minute) == (24, 0) else time(hour, minute)
    except ValueError:
        raise ValueError(f"'{text}' is not a valid time") from None


def slot(text: str) -> str:
    """Return "mon-fri 09:00" if it is a time of some days."""
    cron.parse_slot(text)
    return text


def day_or_none(text: str) -> str:
    """Return a day as `quiet_date` does, or "" for none."""
    return quiet_date(text) if text else ""


def quiet_date(text: str) -> str:
    """Return "12-25" or "2026-12-25" if the calendar has it, in a leap year if no year is given."""
    full = text if len(text) > 5 else f"2000-{text}"
    try:
        if date.fromisoformat(full).isoformat() == full:  # not 20261225, which is compared to none
            return text
    except ValueError:
        pass
    raise ValueError(f"'{text}' is not a valid date")


def time_zone(name: str) -> str:
    """Return the name of a time zone if this machine knows it."""
    if name != "UTC":
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = "use a name such as 'Europe/Berlin'"
            raise ValueError(f"there is no time zone '{name}'", hint) from None
    return name


def pattern(text: str) -> str:
    """Return a regular expression if it is a valid one."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(str(error), "fix the regular expression") from None
    return text
