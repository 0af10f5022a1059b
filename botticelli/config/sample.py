"""botticelli.toml with every key in it, described and commented out: what `init` writes."""

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
        yield from _sample(entry_of(rule), named, active=path == ("destinations",))
    for example in rule.get("examples", ()):
        yield from (f"# {_name(key)} = {_value(value)}" for key, value in example.items())


def entry_of(rule: Schema) -> Schema:
    """Return the rule of the tables of a table whose names are free."""
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
