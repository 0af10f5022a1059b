"""What is printed from the keys of botticelli.toml: a sample file, and the reference page."""

import json
from collections.abc import Iterator
from typing import Any, Final

from botticelli.config.keys import Schema
from botticelli.config.structure import schema

HEAD: Final = """\
# Botticelli's settings. Every key is here with its shipped value or an example; remove the # of
# those you want to change. ${NAME} and ${NAME:-default} in strings become environment variables,
# also from a .env beside this file. What is wrong is found by: botticelli check
"""
# Names for the tables that may have any name.
NAMES: Final = {
    ("models",): "my-model",
    ("models", "limits"): "gemini-3.5-flash-lite",
    ("models", "prices"): "gemini-3.5-flash-lite",
    ("destinations",): "discord",
}


def sample() -> str:
    """Return the text of a configuration that changes nothing and shows everything."""
    return HEAD + "\n".join(_sample(schema(), ())) + "\n"


def _sample(rule: Schema, path: tuple[str, ...], *, active: bool = True) -> Iterator[str]:
    """Yield the lines of a table, its keys first and then the tables in it."""
    if path:
        yield ""
        yield f"# {rule['description']}"
        yield f"{'' if active else '# '}[{'.'.join(map(_name, path))}]"
    inner = rule["properties"]
    for key, value in inner.items():
        if value.get("type") != "object":
            yield from _pair(key, value, active=active and key in rule.get("required", ()))
    for key, value in inner.items():
        if value.get("type") == "object":
            yield from _sample(value, (*path, key), active=active)
    if path in NAMES:
        named = (*path, NAMES[path])
        yield from _sample(_entry(rule), named, active=path == ("destinations",))
    for example in rule.get("examples", ()):
        yield from (f"# {_name(key)} = {_value(value)}" for key, value in example.items())


def _entry(rule: Schema) -> Schema:
    entry: Schema = rule["additionalProperties"]
    return entry["anyOf"][0] if "anyOf" in entry else entry


def _pair(key: str, rule: Schema, *, active: bool) -> Iterator[str]:
    choice = f" One of: {', '.join(rule['enum'])}." if len(rule.get("enum", ())) > 1 else ""
    yield f"# {rule['description']}{choice}"
    value = rule["default"] if "default" in rule else rule["examples"][0]
    yield f"{'' if active else '# '}{key} = {_value(value)}"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _name(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'


def reference() -> str:
    """Return a Markdown table of every key, for docs/configuration.md."""
    head = ("| key | value | shipped | what for |", "| --- | --- | --- | --- |")
    return "\n".join((*head, *_rows(schema(), ""))) + "\n"


def _rows(rule: Schema, path: str) -> Iterator[str]:
    for key, value in rule["properties"].items():
        if value.get("type") == "object":
            yield from _table_rows(value, f"{path}{key}")
        else:
            shipped = f"`{_value(value['default'])}`" if "default" in value else ""
            yield f"| `{path}{key}` | {_kind(value)} | {shipped} | {value['description']} |"


def _table_rows(rule: Schema, path: str) -> Iterator[str]:
    yield f"| **`[{path}]`** | | | {rule['description']} |"
    yield from _rows(rule, f"{path}.")
    free = rule["additionalProperties"]
    if isinstance(free, dict) and "properties" in _entry(rule):
        yield from _table_rows(_entry(rule), f"{path}.NAME")


def _kind(rule: Schema) -> str:
    """Return the type of a value with its bounds, for a cell of the table."""
    if "anyOf" in rule:
        return " or ".join(map(_kind, rule["anyOf"]))
    if "enum" in rule:
        return ", ".join(f"`{each}`" for each in rule["enum"])
    if rule["type"] == "array":
        return f"list of {_kind(rule['items'])}s"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    bounds = "".join(f" {word} {rule[name]}" for name, word in words.items() if name in rule)
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    return " or ".join(kinds) + bounds
