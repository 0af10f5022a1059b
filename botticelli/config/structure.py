"""Is a value what a schema says? The part of JSON Schema that our file needs, and no more.

The jsonschema package costs 60 to 90 ms at import, too much for a timer tick that finds nothing to
do; tests/unit/test_structure.py holds this module and the package together.
"""

import json
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from botticelli.config.keys import Schema, schema_of
from botticelli.config.model import Config, DatabaseConfig
from botticelli.records import record

Place = tuple[str | int, ...]

TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "object": (dict, "a table"),
    "array": (list, "a list"),
    "string": (str, "text in quotes"),
    "integer": (int, "a whole number"),
    "number": (int | float, "a number"),  # type: ignore[dict-item]  # isinstance takes a union
    "boolean": (bool, "true or false"),
}


@record
class Mistake:
    """One thing that is wrong in a file, and the key it is wrong in."""

    path: Place
    what: str
    hint: str = ""


def schema(wanted: Container[str] | None = None, *, platforms: Sequence[str] = ()) -> Schema:
    """Return the JSON Schema of botticelli.toml; see `schema_of`.

    `platforms`: what a destination may be on; empty: anything.
    """
    shipped = Config(database=DatabaseConfig(folder=Path()))
    made = schema_of(Config, shipped, wanted=wanted)
    if platforms and (destinations := made["properties"].get("destinations")):
        entry = destinations["additionalProperties"]["properties"]
        entry["platform"] = {**entry["platform"], "enum": list(platforms)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "botticelli.toml",
        **made,
    }


def mistakes(value: Any, rule: Schema, path: Place = ()) -> Iterator[Mistake]:
    """Yield everything in `value` that `rule` does not allow, in the order of the value."""
    if "anyOf" in rule:
        yield from _any_of(value, rule["anyOf"], path)
        return
    kinds = _kinds(rule)
    if kinds and not any(_is(value, kind) for kind in kinds):
        words = " or ".join(TYPES[kind][1] for kind in kinds)
        yield Mistake(path=path, what=f"must be {words}, not {_shown(value)}")
        return
    if isinstance(value, dict):
        yield from _table(value, rule, path)
    elif isinstance(value, list):
        yield from _list(value, rule, path)
    else:
        yield from _scalar(value, rule, path)


def _kinds(rule: Schema) -> tuple[str, ...]:
    kind = rule.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind][0])


def _any_of(value: Any, rules: list[Schema], path: Place) -> Iterator[Mistake]:
    """Hold `value` against the alternative of its own type, so that the message fits it."""
    for rule in rules:
        if any(_is(value, kind) for kind in _kinds(rule)):
            yield from mistakes(value, rule, path)
            return
    words = " or ".join(TYPES[kind][1] for rule in rules for kind in _kinds(rule))
    yield Mistake(path=path, what=f"must be {words}, not {_shown(value)}")


def _table(value: dict[str, Any], rule: Schema, path: Place) -> Iterator[Mistake]:
    known: Schema = rule.get("properties", {})
    others = rule.get("additionalProperties", True)
    # Beside tables of free names a key that is no table was meant to be one of the known ones.
    is_mixed = bool(known) and others not in (True, False) and others.get("type") == "object"
    for key, inner in value.items():
        if key in known:
            yield from mistakes(inner, known[key], (*path, key))
        elif others is False or (is_mixed and not isinstance(inner, dict)):
            yield _unknown(key, (*path, key), known)
        elif others is not True:
            yield from mistakes(inner, others, (*path, key))
    for key in rule.get("required", ()):
        if key not in value:
            yield Mistake(path=path, what=f"'{key}' is missing", hint=_hint(key, known[key]))


def _unknown(key: str, path: Place, known: Schema) -> Mistake:
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(known))}"
    return Mistake(path=path, what=f"unknown key '{key}'", hint=hint)


def _hint(key: str, rule: Schema) -> str:
    if "enum" in rule:
        return f"add {key} = {' or '.join(json.dumps(word) for word in rule['enum'])}"
    return f"add {key} = ..."


def _list(value: list[Any], rule: Schema, path: Place) -> Iterator[Mistake]:
    least, most = rule.get("minItems", 0), rule.get("maxItems", len(value))
    if len(value) < least:
        what = "must not be empty" if least == 1 else f"needs {least} or more"
        yield Mistake(path=path, what=what)
    if len(value) > most:
        yield Mistake(path=path, what=f"has {len(value)}, which is more than {most}")
    if rule.get("uniqueItems") and any(each in value[:place] for place, each in enumerate(value)):
        yield Mistake(path=path, what="names one of them twice")
    for index, inner in enumerate(value):
        yield from mistakes(inner, rule.get("items", {}), (*path, index))


def _scalar(value: Any, rule: Schema, path: Place) -> Iterator[Mistake]:
    what = ""
    if "enum" in rule and value not in rule["enum"]:
        what = f"must be {' or '.join(map(_shown, rule['enum']))}, not {_shown(value)}"
    elif isinstance(value, str):
        what = _text(value, rule)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        what = _number(value, rule)
    if what:
        yield Mistake(path=path, what=what)


def _text(value: str, rule: Schema) -> str:
    if len(value) < rule.get("minLength", 0):
        return "must not be empty"
    if "pattern" in rule and not re.search(rule["pattern"], value):
        return (
            f"{_shown(value)} is not of the right form ({rule.get('description', rule['pattern'])})"
        )
    return ""


def _number(value: float, rule: Schema) -> str:
    if not math.isfinite(value):
        return f"must be a finite number, not {value}"
    if "minimum" in rule and value < rule["minimum"]:
        return f"must be at least {rule['minimum']}, not {value}"
    if "exclusiveMinimum" in rule and value <= rule["exclusiveMinimum"]:
        return f"must be more than {rule['exclusiveMinimum']}, not {value}"
    if "maximum" in rule and value > rule["maximum"]:
        return f"must be at most {rule['maximum']}, not {value}"
    return ""


def _shown(value: Any) -> str:
    """Return the value as a person would write it; never the inside of a table or list."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)
