"""The text of a new botticelli.toml: what most people need, then every other key as a comment.

Keys are written in full (post.limit = 1), so that a line means the same wherever it stands: any one
of the comments may be uncommented by itself.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botticelli.config.keys import Schema
from botticelli.config.load import OF_KINDS
from botticelli.config.structure import schema
from botticelli.platforms.open import ROOMS
from botticelli.records import record

Path = tuple[str, ...]
BARE: Final = re.compile(r"[A-Za-z0-9_-]+")  # a key of TOML that needs no quotes
HEAD: Final = """\
# Settings of Botticelli. These first lines are all that most people need. ABOUT.md says what posts
# are about, .env beside this file holds keys and tokens. botticelli check finds what is wrong.
"""
REST: Final = """\

# Everything else, as it is shipped or with an example. Remove the # of a key to change it: each
# line stands for itself. ${NAME} and ${NAME:-default} in a text become variables, also of .env."""
# Names for the tables that may have any name, and the keys that an entry is shown with; (): all.
EXAMPLES: Final[Mapping[Path, tuple[str, tuple[str, ...]]]] = {
    ("models",): ("my-model", ("provider", "model", "base_url")),
    ("models", "limits"): ("gemini-3.5-flash-lite", ()),
    ("models", "prices"): ("gemini-3.5-flash-lite", ("input", "output", "valid_from")),
}


# What most people look for, with examples for what was not chosen.
NEEDED: Final[Mapping[str, Mapping[Path, Any]]] = {
    "": {("project", "name"): "my-channel"},
    "Who writes, and who judges: gemini-..., local, offline (filler), or a model of your own": {
        ("models",): None
    },
    "Where posts go, and when: local hours, and the most posts on a day": {
        ("destinations",): None,
        ("destinations", "*", "time_zone"): "Europe/Berlin",
        ("destinations", "*", "active_hours"): "09:00-21:00",
        ("destinations", "*", "posts_per_day"): 6,
    },
    "How much is written at once, who approves (auto, or human), and seconds between two posts": {
        ("generate", "narrative"): "generation_carousel.batch_generate",
        ("generate", "iterations"): 10,
        ("curate", "mode"): "human",
        ("post", "schedule", "seconds"): 7200,
    },
}


@record
class Choices:
    """What a new project is given: values by key, and the name of the place that posts go to."""

    destination: str
    values: Mapping[Path, Any]


SHIPPED: Final = Choices(
    destination="discord",
    values={
        ("models", "default"): "gemini-3.5-flash-lite",
        ("models", "judge"): "gemini-3.8-flash",
        ("destinations", "discord", "platform"): "discord",
    },
)


def sample(choices: Choices = SHIPPED) -> str:
    """Return the text of a configuration that says what was chosen, and shows everything."""
    lines, seen = [HEAD.rstrip(), ""], set(choices.values)
    for comment, examples in NEEDED.items():
        lines += ["", f"# {comment}"] if comment else []
        for key, example in examples.items():
            own = tuple(choices.destination if part == "*" else part for part in key)
            if example is None:
                chosen = {k: v for k, v in choices.values.items() if k[:1] == own}
                lines += [f"{toml_key(k)} = {toml_value(v)}" for k, v in chosen.items()]
            elif own in choices.values:
                lines.append(f"{toml_key(own)} = {toml_value(choices.values[own])}")
            else:
                lines.append(f"# {toml_key(own)} = {toml_value(example)}")
            seen.add(own)
    rest = _rest(schema(platforms=tuple(ROOMS)), (), seen=seen, destination=choices.destination)
    return "\n".join([*lines, REST, *rest]) + "\n"


def _rest(rule: Schema, path: Path, *, seen: set[Path], destination: str) -> Iterator[str]:
    """Yield the lines of a table, its keys first and then the tables in it."""
    if path:
        yield from ("", f"# == {toml_key(path)}: {rule['description']}")
    inner = rule["properties"]
    skipped = {
        key for key, kinds in OF_KINDS.items() if "cron" in inner and "Interval" not in kinds
    }
    for name, value in inner.items():
        own = (*path, name)
        if value.get("type") != "object" and own not in seen and name not in skipped:
            choices = value.get("enum", ())
            choice = f" One of: {', '.join(choices)}." if len(choices) > 1 else ""
            example = value["default"] if "default" in value else value["examples"][0]
            yield f"# {value['description']}{choice}"
            yield f"# {toml_key(own)} = {toml_value(example)}"
    for kind in ("Daily", "Cron") if skipped else ():  # in one line: its keys need its type
        keys = {key: inner[key] for key, kinds in OF_KINDS.items() if kind in kinds}
        shown = {key: value["examples"][0] for key, value in keys.items()}
        yield from _whole(path, keys, {"type": kind, **shown})
    for name, value in inner.items():
        if value.get("type") == "object":
            yield from _rest(value, (*path, name), seen=seen, destination=destination)
    yield from _named(rule, path, seen=seen, destination=destination)
    for example in rule.get("examples", ()):
        yield from (
            f"# {toml_key((*path, name))} = {toml_value(each)}" for name, each in example.items()
        )


def _named(rule: Schema, path: Path, *, seen: set[Path], destination: str) -> Iterator[str]:
    """Yield an entry of a table whose names are free: a key a line, or all of it in one line."""
    name, keys = (destination, ()) if path == ("destinations",) else EXAMPLES.get(path, ("", ()))
    if not name:
        return
    entry = entry_of(rule)
    if not keys:
        yield from _rest(entry, (*path, name), seen=seen, destination=destination)
        return
    yield from ("", f"# == {toml_key((*path, 'NAME'))}: {entry['description']}")
    shown = {key: entry["properties"][key]["examples"][0] for key in keys}
    yield from _whole((*path, name), entry["properties"], shown)


def _whole(path: Path, keys: Schema, shown: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table in one line, below what its keys mean."""
    yield from (f"#   {key}: {value['description']}" for key, value in keys.items())
    pairs = ", ".join(f"{key} = {toml_value(value)}" for key, value in shown.items())
    yield f"# {toml_key(path)} = {{ {pairs} }}"


def entry_of(rule: Schema) -> Schema:
    """Return the rule of the tables of a table whose names are free."""
    entry: Schema = rule["additionalProperties"]
    return entry["anyOf"][0] if "anyOf" in entry else entry


def toml_value(value: Any) -> str:
    """Write a text, a number, a truth or a list of them as TOML."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(path: Path) -> str:
    """Write a key path as TOML."""
    return ".".join(part if BARE.fullmatch(part) else json.dumps(part) for part in path)
