"""botticelli.toml with every key in it, described and commented out: what `init` writes."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botticelli.config.structure import schema

Schema = Mapping[str, Any]

HEAD: Final = """\
# Botticelli's settings. Every key is here with its shipped value or an example; remove the # of
# those you want to change. ${NAME} and ${NAME:-default} in strings become environment variables,
# also from a .env beside this file. What is wrong is found by: botticelli check
"""
# Names for the tables that may be called as you like.
NAMES: Final = {
    ("models",): "my-model",
    ("models", "limits"): "gemini-3.5-flash-lite",
    ("models", "prices"): "gemini-3.5-flash-lite",
    ("destinations",): "discord",
}
# What stands in tables whose keys may be called as you like.
PAIRS: Final = {
    ("models", "aliases"): 'writer = "gemini-3.5-flash-lite"',
    ("security", "rate_limits"): '"messages.send" = "5/minute"',
}


def sample() -> str:
    """Return the text of a configuration that changes nothing and shows everything."""
    return HEAD + "\n".join(_table(schema(), ())) + "\n"


def _table(rule: Schema, path: tuple[str, ...], *, active: bool = True) -> Iterator[str]:
    """Yield the lines of a table, its keys first and then the tables in it."""
    if path:
        yield ""
        yield f"# {rule['description']}"
        yield f"{'' if active else '# '}[{'.'.join(map(_key, path))}]"
    inner = rule.get("properties", {})
    for key, value in inner.items():
        if not _is_table(value):
            yield from _pair(key, value, active=active and key in rule.get("required", ()))
    for key, value in inner.items():
        if _is_table(value):
            yield from _table(value, (*path, key), active=active)
    if path in NAMES:
        named = (*path, NAMES[path])
        yield from _table(_entry(rule), named, active=path == ("destinations",))
    elif path in PAIRS:
        yield f"# {PAIRS[path]}"


def _entry(rule: Schema) -> Schema:
    entry: Schema = rule["additionalProperties"]
    return entry["anyOf"][0] if "anyOf" in entry else entry


def _is_table(rule: Schema) -> bool:
    return bool(rule.get("type") == "object")


def _pair(key: str, rule: Schema, *, active: bool) -> Iterator[str]:
    value = rule["default"] if "default" in rule else rule["examples"][0]
    choice = f" One of: {', '.join(rule['enum'])}." if len(rule.get("enum", ())) > 1 else ""
    yield f"# {rule['description']}{choice}"
    yield f"{'' if active else '# '}{key} = {json.dumps(value, ensure_ascii=False)}"


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'
