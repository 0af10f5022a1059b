"""The JSON Schema of narrative files for editors, and the table of their keys for the docs.

Printed from the keys of the records that files are read into (narrative/language/), and of those
below, which nothing but an editor needs.

It shows what a schema can: wrong types, unknown words, what is missing. What refers to what is
checked when the file is read.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin

from botticelli.config.keys import NOTHING, TYPES, WORDS, Key, helps_of, key, keys_of
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
from botticelli.narrative.language.tables import InputType
from botticelli.records import record

Schema = dict[str, Any]

IDS: Mapping[str, Any] = {
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\s*[0-9]+\s*$"}]
}
SOME_IDS: list[Any] = [*IDS["anyOf"], {"type": "array", "minItems": 1, "items": IDS}]

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


@record
class NotesTable:
    """For readers of the file only.

    Args:
        title: For readers.
        author: For readers.
        version: For readers.
        tags: For readers.
    """

    title: str = key("")
    author: str = key("")
    version: str = key("")
    tags: tuple[Any, ...] = key((), type="array")


@record
class ListedAct:
    """What an act of a list holds besides that.

    Args:
        name: Name of the act.
        bot: The command of an act with type = "bot" and no name.
        generation: Model and inputs of an act with type = "generation" and no name.
        narrative: Run this narrative of the same file, or this file, as the act.
    """

    name: str = key("")
    narrative: Any = key(
        "",
        anyOf=[{"type": "string"}, {"type": "object", "properties": {"path": {"type": "string"}}}],
    )
    bot: Mapping[str, Any] = key(NOTHING)
    generation: Mapping[str, Any] = key(NOTHING)


@record
class MediaTable:
    """What the table of a medium holds besides its fields."""

    source: Any = key(None, ref="source")


@record
class SchemaTable:
    """A JSON Schema, or the file that holds it.

    Args:
        file: A JSON file with the schema, beside this file.
    """

    file: str = key("")


@record
class Described:
    """A note to what stands beside it.

    Args:
        description: For readers.
    """

    description: str = key("")


@record
class ModelTable:
    """The model and its settings in one table.

    Args:
        models: Model, or several that are asked in this order until one answers.
        temperature: How freely the model answers.
        max_tokens: Longest answer, in tokens.
    """

    models: tuple[str, ...] = key((), name="name", ref="model")
    temperature: float | None = key(None, min=0)
    max_tokens: int | None = key(None, type="integer", min=1)


@record
class MetadataTable:
    """Name and description of a file of steps, or of one without [narrative].

    Args:
        title: Name of a file of steps.
        description: What it is for.
        name: Name of the narrative.
        skip_content_generation: Store nothing of what the models say.
        target: Table that receives the rows.
        version: For readers.
        author: For readers.
    """

    title: str = key("")
    description: str = key("")
    name: str = key("")
    skip_content_generation: bool = key(False)
    target: str = key("")
    version: str = key("")
    author: str = key("")


@record
class Policy:
    """What may run.

    Args:
        allowed_commands: Only these commands may run, reads included; * stands for anything.
        denied_commands: These commands may not run.
        require_confirmation: true, or the commands that wait until a person confirms them.
        rate_limits: Command -> how often it may run, such as "5/hour".
    """

    allowed_commands: tuple[str, ...] = key(())
    denied_commands: tuple[str, ...] = key(())
    require_confirmation: Any = key(
        False,
        anyOf=[
            *({"type": "boolean"}, {"type": "string"}),
            {"type": "array", "items": {"type": "string"}},
        ],
    )
    rate_limits: Mapping[str, str] = key(NOTHING, additionalProperties={"type": "string"})


@record
class Constraints:
    """Where it may run.

    Args:
        guild_id: Only on this server, or these.
        channel_ids: Only in these channels, or categories of channels.
        channel_prefix: Only in channels whose name begins so.
    """

    guild_id: Any = key(None, anyOf=SOME_IDS)
    channel_ids: Any = key(None, anyOf=SOME_IDS)
    channel_prefix: str = key("")


@record
class ContentRules:
    """What texts may hold.

    Args:
        max_length: Most UTF-16 units of a text.
        max_mentions: Most mentions in a text.
        max_links: Most links in a text.
        allowed_links: Hosts that may be linked.
    """

    max_length: int | None = key(None, type="integer", min=0)
    max_mentions: int | None = key(None, type="integer", min=0)
    max_links: int | None = key(None, type="integer", min=0)
    allowed_links: tuple[str, ...] = key(())


@record
class TocTable:
    """Names of the acts in the order in which they run; a name may stand twice.

    Args:
        order: Names of the acts in their order.
    """

    order: tuple[str, ...] = key((), type="array", items={"type": "string"}, minItems=1)
    carousel: Any = key(None, ref="carousel")


@record
class StepTable:
    """A prompt or a command of a file of steps.

    Args:
        name: Name of the act that it becomes.
        description: For readers.
        processor: bot.
        context: Part of a prompt; steps with a context in a row make one call.
        prompt: A prompt.
        bot_commands: One or more commands.
    """

    name: str = key("", also=("id",))
    description: str = key("")
    processor: str = key("bot")
    context: Any = key(None, ref="step_contexts")
    prompt: str = key("", also=("content", "text"))
    bot_commands: Any = key(None, also=("bot_command",), ref="step_commands")


@record
class StepContext:
    """Part of the prompt of a step.

    Args:
        role: system or user.
        content: The text.
    """

    role: str = key("user")
    content: str = key("", also=("text", "prompt"))


@record
class InputTable:
    """An input: what of the keys counts depends on the type.

    Args:
        type: Kind of input; text if left out.
        ref: bots.NAME, tables.NAME, media.NAME or narratives.NAME; nothing else counts then.
    """

    type: InputType = key("text")
    ref: str = key("")


# The parts of the reference page, with the records whose keys they have.
PARTS: Final[Mapping[str, tuple[type, ...]]] = {
    "narrative": (Narrative, NotesTable),
    "settings of a narrative, an act, `[shared]`, `[config.PROVIDER]` or the file": (Settings,),
    "`toc`": (TocTable,),
    "`carousel`": (Carousel,),
    "`budget`": (tables.BudgetTable,),
    "act": (Act, tables.ActTable),
    "input": (InputTable,),
    "input of type text": (Text,),
    "input of type image, audio, video or document, `[media.NAME]`": (Media, MediaTable),
    "input of type table, `[tables.NAME]`": (TableRead, tables.RowsTable),
    "input of type bot_command, `[bots.NAME]`": (BotCommand,),
    "`state` of a bot command": (tables.StateTable,),
    "input of type narrative, `[narratives.NAME]`": (Nested,),
    "`[[steps]]`": (StepTable,),
    "`context` of a step": (StepContext,),
    "`[metadata]` of a file without [narrative]": (MetadataTable,),
    "`[security.policy]`": (Policy,),
    "`[security.constraints]`": (Constraints,),
    "`[security.content]`": (ContentRules,),
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
            _table(Media, MediaTable) | {"not": {"anyOf": ONE_PLACE}},
            about="Media by name, for media.NAME.",
        ),
        "schemas": _named(
            _table(SchemaTable),
            about="JSON Schemas by name, written here or in a JSON file.",
        ),
        "config": _named(
            _any(_ref("settings"), {"type": ["string", "number", "array"]}),
            about="Defaults by provider.",
        ),
        "shared": _ref("settings"),
        "metadata": _table(MetadataTable),
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
    for each in keys_of(kind):
        names = ", ".join(f"`{name}`" for name in (each.path[0], *each.also))
        values = " or ".join(dict.fromkeys(_words(_rule(each), definitions)))
        text = helps.get(each.field) or definitions[each.rule["ref"]]["description"]
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
        "model_table": _table(ModelTable, additionalProperties=False),
        "settings": _table(Settings),
        "retention": {
            "type": "string",
            "description": helps_of(Retention)[0],
            "enum": [each.value for each in Retention],
            "default": "full",
        },
        "toc": _any(_list(TEXT, minItems=1), _table(TocTable), about=helps_of(TocTable)[0]),
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
    narrative = _table(Narrative, Settings, NotesTable)
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
        "nested": _table(Nested, Described, required=["narrative"]),
    }


def _acts() -> Schema:
    act = _table(Act, Settings, tables.ActTable)
    inputs = _any(TEXT, _ref("input"))
    named = {"required": ["name"], "anyOf": _some_of(ACTS_NEED)}
    typed = {
        "required": ["type"],
        "properties": {"type": {"enum": ["bot", "generation", "narrative"]}},
    }
    listed = _table(ListedAct, Act, Settings, tables.ActTable)
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
    table = _table(InputTable, Text, Media, MediaTable, TableRead, tables.RowsTable)
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
            StepTable,
            BotCommand,
            Settings,
            but=("cache_duration", "history_retention"),
            anyOf=_some_of(needs),
        ),
        "step_contexts": _any(context, _list(context)),
        "step_commands": _any(command, _list(command)),
        "step_context": _table(StepContext, required=["content"]),
        "step_command": _table(BotCommand, required=["command"], state=True),
    }


def _security() -> Schema:
    rules = {
        "policy": Policy,
        "constraints": Constraints,
        "content": ContentRules,
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
    for each in keys_of(kind):
        name, rule = each.path[0], _rule(each)
        if name in but or (only and name not in only):
            continue
        about = helps.get(each.field)
        found[name] = rule | ({"description": about} if about else {})
        for other in each.also:
            found[other] = rule | {"description": f"Another name for {name}."}
    return found


def _rule(key: Key) -> Schema:
    """Return the rule of a key's value, by the type of its field."""
    given = {WORDS.get(name, name): value for name, value in key.rule.items()}
    if "ref" in given:
        return _ref(given.pop("ref"))
    if "anyOf" in given or "type" in given:
        return given
    return _rule_of_type(key, given)


def _rule_of_type(key: Key, given: dict[str, Any]) -> Schema:
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
