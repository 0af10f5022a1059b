"""The JSON Schema of a narrative file for editors, printed from the keys of its records.

It shows what a schema can: wrong types, unknown words, what is missing. What refers to what is
checked when the file is read.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin

from botticelli.config.keys import TYPES, WORDS, Key, helps_of, keys_of
from botticelli.narrative.language import tables
from botticelli.narrative.language.model import (
    Act,
    BotCommand,
    Carousel,
    Media,
    Narrative,
    Nested,
    Retention,
    Settings,
    TableRead,
    Text,
)

Schema = dict[str, Any]

ADDRESS: Final = (
    "https://raw.githubusercontent.com/crumplecup/botticelli/main/"
    "botticelli/narrative/dialect.schema.json"
)
SHAPES: Final = ("narrative", "narration", "narratives", "steps", "acts", "act")
TEXT: Final = {"type": "string"}
DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}
TYPES_OF_INPUT: Final = (
    *("text", "image", "audio", "video", "document"),
    *("bot_command", "table", "narrative"),
)
ACTS_NEED: Final = (
    *("input", "inputs", "content", "text", "prompt", "user", "file"),
    *("narrative", "narrative_ref"),
)
INPUTS_NEED: Final = (
    *("content", "text", "prompt", "user", "ref", "url", "base64", "file", "table_name"),
    *("command", "narrative", "path", "name", "source"),
)
ONE_PLACE: Final = [
    {"required": two} for two in (["url", "file"], ["url", "base64"], ["base64", "file"])
]
# The parts of the reference page, with the records whose keys they have.
PARTS: Final[Mapping[str, tuple[type, ...]]] = {
    "narrative": (Narrative, tables.NotesTable),
    "settings of a narrative, an act, `[shared]`, `[config.PROVIDER]` or the file": (Settings,),
    "`toc`": (tables.TocTable,),
    "`carousel`": (Carousel,),
    "`budget`": (tables.BudgetTable,),
    "act": (Act, tables.ActTable),
    "input": (tables.InputTable,),
    "input of type text": (Text,),
    "input of type image, audio, video or document, `[media.NAME]`": (Media, tables.MediaTable),
    "input of type table, `[tables.NAME]`": (TableRead, tables.RowsTable),
    "input of type bot_command, `[bots.NAME]`": (BotCommand,),
    "`state` of a bot command": (tables.StateTable,),
    "input of type narrative, `[narratives.NAME]`": (Nested,),
    "`[[steps]]`": (tables.StepTable,),
    "`context` of a step": (tables.StepContext,),
    "`[metadata]` of a file without [narrative]": (tables.MetadataTable,),
    "`[security.policy]`": (tables.Policy,),
    "`[security.constraints]`": (tables.Constraints,),
    "`[security.content]`": (tables.ContentRules,),
}
ONE_FILTER: Final = {"required": ["where", "where_clause"]}


def printed() -> str:
    """Return the text of dialect.schema.json."""
    return json.dumps(schema(), ensure_ascii=False, separators=(",", ":")) + "\n"


def schema() -> Schema:
    """Return the JSON Schema of a narrative file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ADDRESS,
        "title": "Botticelli narrative",
        "description": "A narrative file: acts that run in order, with what goes into them."
        " docs/narratives.md teaches it by example.",
        "type": "object",
        "anyOf": _some_of(SHAPES),
        "properties": _sections(),
        "$defs": _definitions(),
    }


def _sections() -> Schema:
    """Return the rules of the keys at the root of a file."""
    single, several = _ref("single"), _ref("several")
    return {
        "narrative": _any(
            single,
            several,
            _list(single, minItems=1),
            about="One narrative (it has a name), several by name, or a list of narratives.",
        ),
        "narration": _any(single, several, about="The old name of narrative."),
        "narratives": _named(
            _any(TEXT, _ref("nested"), _ref("narrative")),
            about="Nested files by name, or narratives in the old form.",
        ),
        **{name: _ref(name) for name in ("toc", "acts", "security", "carousel")},
        "act": _ref("acts"),
        "steps": _list(_ref("step"), description="Prompts and commands, one after the other."),
        "bots": _named(
            _table(BotCommand, but=("args",), required=["platform", "command"], state=True),
            about="Commands by name, for bots.NAME; what is no option is an argument.",
        ),
        "tables": _named(
            _table(TableRead, tables.RowsTable, required=["table_name"]) | {"not": ONE_FILTER},
            about="Table inputs by name, for tables.NAME and placeholders.",
        ),
        "media": _named(
            _table(Media, tables.MediaTable) | {"not": {"anyOf": ONE_PLACE}},
            about="Media by name, for media.NAME.",
        ),
        "schemas": _named(
            _table(tables.SchemaTable),
            about="JSON Schemas by name, written here or in a JSON file.",
        ),
        "config": _named(
            _any(_ref("settings"), {"type": ["string", "number", "array"]}),
            about="Defaults by provider.",
        ),
        "shared": _ref("settings"),
        "metadata": _table(tables.MetadataTable),
        **_keys(Narrative, only=("name", "description")),
        **_keys(Settings),
    }


def reference() -> str:
    """Return a Markdown table of every key, for docs/narratives.md."""
    rows = ["| key | value | what for |", "| --- | --- | --- |"]
    definitions = _definitions()
    for about, kinds in PARTS.items():
        rows.append(f"| **{about}** | | |")
        for kind in kinds:
            rows += _rows(kind, definitions)
    return "\n".join(rows) + "\n"


def _rows(kind: type, definitions: Schema) -> Iterator[str]:
    helps = helps_of(kind)[1]
    for key in keys_of(kind):
        names = ", ".join(f"`{name}`" for name in (key.path[0], *key.also))
        values = " or ".join(dict.fromkeys(_words(_rule(key), definitions)))
        text = helps.get(key.field) or definitions[key.rule["ref"]]["description"]
        yield f"| {names} | {values} | {text} |"


def _words(rule: Schema, definitions: Schema) -> Iterator[str]:
    """Yield the words for what a value may be."""
    if "$ref" in rule:
        rule = definitions[rule["$ref"].rpartition("/")[2]]
    if "anyOf" in rule and "type" not in rule:
        for each in rule["anyOf"]:
            yield from _words(each, definitions)
    elif words := rule.get("enum", rule.get("examples")):
        yield from (f"`{each}`" for each in words)
    else:
        kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
        yield from (str({"array": "list", "object": "table"}.get(kind, kind)) for kind in kinds)


def _definitions() -> Schema:
    return {
        "model": _any(TEXT, _list(TEXT, minItems=1), about=helps_of(Settings)[1]["models"]),
        "models": _any(
            _ref("model"),
            _ref("model_table"),
            about="The model, or [...model] with name, temperature and max_tokens.",
        ),
        "model_table": _table(tables.ModelTable, additionalProperties=False),
        "settings": _table(Settings),
        "retention": {
            "type": "string",
            "description": helps_of(Retention)[0],
            "enum": [each.value for each in Retention],
            "default": "full",
        },
        "toc": _any(
            _list(TEXT, minItems=1), _table(tables.TocTable), about=helps_of(tables.TocTable)[0]
        ),
        "budget": _table(tables.BudgetTable, additionalProperties=False),
        "carousel": _any(
            _digits(1), _table(Carousel, required=["iterations"]), about=helps_of(Carousel)[0]
        ),
        **_narratives(),
        **_acts(),
        "input": _input(),
        "source": _table(tables.MediaPlace),
        "state": _table(tables.StateTable),
        **_steps(),
        **_security(),
    }


def _narratives() -> Schema:
    narrative = _table(Narrative, Settings, tables.NotesTable)
    narrative["properties"] |= {"toc": _ref("toc"), "output": _table(tables.OutputTable)}
    scalar = {"type": ["string", "number", "boolean", "array"]}
    nameless = {"not": {"required": ["name"], "properties": {"name": TEXT}}}
    return {
        "narrative": narrative | {"required": ["toc"]},
        "single": narrative | {"required": ["name"]},
        "several": {
            **_named(_any(narrative, scalar), about="Several narratives by name."),
            "allOf": [nameless, {"not": {"additionalProperties": scalar}}],
        },
        "nested": _table(Nested, tables.Described, required=["narrative"]),
    }


def _acts() -> Schema:
    act = _table(Act, Settings, tables.ActTable)
    inputs = _any(TEXT, _ref("input"))
    named = {"required": ["name"], "anyOf": _some_of(ACTS_NEED)}
    typed = {
        "required": ["type"],
        "properties": {"type": {"enum": ["bot", "generation", "narrative"]}},
    }
    listed = _table(tables.ListedAct, Act, Settings, tables.ActTable)
    return {
        "inputs": _any(TEXT, _ref("input"), _list(inputs, minItems=1)),
        "acts": _any(
            _named(_ref("act")),
            _list(_ref("listed_act"), minItems=1),
            about="The acts: a table by name, or a list in their order.",
        ),
        "act": _any(
            TEXT | {"pattern": "\\S"},
            _list(inputs, minItems=1),
            act | {"anyOf": _some_of(ACTS_NEED)},
        ),
        "listed_act": listed | {"anyOf": [named, typed]},
    }


def _input() -> Schema:
    """Return the rule of an input table, whose keys depend on its type."""
    table = _table(tables.InputTable, Text, Media, tables.MediaTable, TableRead, tables.RowsTable)
    command = _table(BotCommand, Nested, state=True)
    table["properties"] = command["properties"] | table["properties"]
    needs = {"table": ["table_name"], "bot_command": ["platform", "command"]}
    return table | {
        "not": {"anyOf": [ONE_FILTER, *ONE_PLACE]},
        "anyOf": _some_of(INPUTS_NEED),
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": _any_case(kind)}},
                "then": {"anyOf": [{"required": keys}, {"required": ["ref"]}]},
            }
            for kind, keys in needs.items()
        ],
    }


def _steps() -> Schema:
    context, command = _ref("step_context"), _ref("step_command")
    needs = ("context", "bot_commands", "bot_command", "command", "prompt", "content", "text")
    return {
        "step": _table(
            tables.StepTable,
            BotCommand,
            Settings,
            but=("cache_duration", "history_retention"),
            anyOf=_some_of(needs),
        ),
        "step_contexts": _any(context, _list(context)),
        "step_commands": _any(command, _list(command)),
        "step_context": _table(tables.StepContext, required=["content"]),
        "step_command": _table(BotCommand, required=["command"], state=True),
    }


def _security() -> Schema:
    rules = {
        "policy": tables.Policy,
        "constraints": tables.Constraints,
        "content": tables.ContentRules,
    }
    return {
        "security": {
            "type": "object",
            "description": "What commands of this file may do; an unknown rule lets nothing run.",
            "additionalProperties": False,
            "properties": {
                name: _table(kind, additionalProperties=False) for name, kind in rules.items()
            },
        }
    }


def _table(*kinds: type, but: tuple[str, ...] = (), state: bool = False, **more: Any) -> Schema:
    """Return the rule of a table with the keys of these records."""
    properties: Schema = {}
    for kind in kinds:
        properties = _keys(kind, but=but) | properties
    if state:
        properties["state"] = _ref("state")
    about = {"description": helps_of(kinds[0])[0]}
    return {"type": "object", **about, "properties": properties, **more}


def _keys(kind: type, *, only: tuple[str, ...] = (), but: tuple[str, ...] = ()) -> Schema:
    """Return the rule of every spelling of the keys of a record."""
    helps, found = helps_of(kind)[1], {}
    for key in keys_of(kind):
        name, rule = key.path[0], _rule(key)
        if name in but or (only and name not in only):
            continue
        about = helps.get(key.field)
        found[name] = rule | ({"description": about} if about else {})
        for other in key.also:
            found[other] = rule | {"description": f"Another name for {name}."}
    return found


def _rule(key: Key) -> Schema:
    """Return the rule of a key's value, by the type of its field."""
    given = {WORDS.get(name, name): value for name, value in key.rule.items()}
    if "ref" in given:
        return _ref(given.pop("ref"))
    if "anyOf" in given or "type" in given:
        return given
    if get_origin(key.type) is Literal:
        return _any_case(*get_args(key.type)) | {"default": key.default}
    if key.type is int:
        return _digits(given.get("minimum", 0))
    if get_origin(key.type) is tuple:
        return _any(TEXT, _list(TEXT))
    kind = "object" if get_origin(key.type) is Mapping else TYPES.get(key.type, "string")
    return {"type": kind, **given}


def _digits(least: int) -> Schema:
    """Return the rule of a whole number, which may be a string of digits."""
    return _any({"type": "integer", "minimum": least}, DIGITS)


def _any_case(*words: str) -> Schema:
    spelled = "|".join(re.sub("[a-z]", lambda c: f"[{c[0]}{c[0].upper()}]", each) for each in words)
    return {"type": "string", "pattern": f"^({spelled})$", "examples": list(words)}


def _any(*rules: Schema, about: str = "") -> Schema:
    return ({"description": about} if about else {}) | {"anyOf": list(rules)}


def _named(values: Schema, about: str = "") -> Schema:
    return {
        "type": "object",
        **({"description": about} if about else {}),
        "additionalProperties": values,
    }


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _some_of(names: Iterable[str]) -> list[Schema]:
    """Return the rule that one of these keys is there."""
    return [{"required": [name]} for name in names]
