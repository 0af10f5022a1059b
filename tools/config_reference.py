"""The table of every key of botticelli.toml, for docs/configuration.md."""

import json
from collections.abc import Iterator

from botticelli.cli.setup.sample import entry_of
from botticelli.config.keys import Schema
from botticelli.config.structure import schema
from botticelli.platforms.open import ROOMS


def reference() -> str:
    """Return a Markdown table of every key, for docs/configuration.md."""
    head = ("| key | value | shipped | what for |", "| --- | --- | --- | --- |")
    return "\n".join((*head, *_rows(schema(platforms=tuple(ROOMS)), ""))) + "\n"


def _rows(rule: Schema, path: str) -> Iterator[str]:
    for key, value in rule["properties"].items():
        if value.get("type") == "object":
            yield from _table_rows(value, f"{path}{key}")
        else:
            shipped = f"`{json.dumps(value['default'])}`" if "default" in value else ""
            yield f"| `{path}{key}` | {_kind(value)} | {shipped} | {value['description']} |"


def _table_rows(rule: Schema, path: str) -> Iterator[str]:
    yield f"| **`[{path}]`** | | | {rule['description']} |"
    yield from _rows(rule, f"{path}.")
    free = rule["additionalProperties"]
    if isinstance(free, dict) and "properties" in entry_of(rule):
        yield from _table_rows(entry_of(rule), f"{path}.NAME")


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
