"""Keys of a narrative file that no field of the model has: of older forms, steps, notes, rules.

Like the records of the model they say what each key is for; the editor's schema is printed from
both (editor.py).
"""

from collections.abc import Mapping
from typing import Any, Literal

from botticelli.config.keys import NOTHING, key
from botticelli.records import record

InputType = Literal[
    "text", "image", "audio", "video", "document", "bot_command", "table", "narrative"
]
IDS: Mapping[str, Any] = {
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\s*[0-9]+\s*$"}]
}
SOME_IDS: list[Any] = [*IDS["anyOf"], {"type": "array", "minItems": 1, "items": IDS}]


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
class OutputTable:
    """Where the rows go, in the oldest form.

    Args:
        target: Table that receives the rows.
        mode: How the table is made.
    """

    target: str = key("", name="target_table", also=("target",))
    mode: Literal["inference", "template"] = key("inference")


@record
class TocTable:
    """Names of the acts in the order in which they run; a name may stand twice.

    Args:
        order: Names of the acts in their order.
    """

    order: tuple[str, ...] = key((), type="array", items={"type": "string"}, minItems=1)
    carousel: Any = key(None, ref="carousel")


@record
class BudgetTable:
    """Shares of the provider's limits.

    Args:
        rpm: Share of the limit of requests a minute that may be used: above 0, at most 1.
        tpm: Share of the limit of tokens a minute that may be used: above 0, at most 1.
        rpd: Share of the limit of requests a day that may be used: above 0, at most 1.
        tpd: Share of the limit of tokens a day that may be used: above 0, at most 1.
    """

    rpm: float | None = key(None, name="rpm_multiplier", over=0, max=1)
    tpm: float | None = key(None, name="tpm_multiplier", over=0, max=1)
    rpd: float | None = key(None, name="rpd_multiplier", over=0, max=1)
    tpd: float | None = key(None, name="tpd_multiplier", over=0, max=1)


@record
class ActTable:
    """What the table of an act holds besides the fields of an act.

    Args:
        prompt: The prompt.
        file: Text file with the prompt.
        config: Settings of the act, weaker than those beside it.
        type: generate.
        description: For readers.
    """

    prompt: str = key("", also=("text", "content", "user"))
    file: str = key("")
    config: Any = key(None, ref="settings")
    type: str = key("generate")
    description: Any = key(None, type="string")


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
class InputTable:
    """An input: what of the keys counts depends on the type.

    Args:
        type: Kind of input; text if left out.
        ref: bots.NAME, tables.NAME, media.NAME or narratives.NAME; nothing else counts then.
    """

    type: InputType = key("text")
    ref: str = key("")


@record
class MediaPlace:
    """Where the media is, in older files: url, base64 or file.

    Args:
        url: Where the media is.
        base64: The media itself; needs mime.
        file: A media file.
    """

    url: str = key("")
    base64: str = key("")
    file: str = key("")


@record
class MediaTable:
    """What the table of a medium holds besides its fields."""

    source: Any = key(None, ref="source")


@record
class RowsTable:
    """What the table of a table input holds besides its fields.

    Args:
        alias: A further name for placeholders.
    """

    alias: str = key("")


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
class StateTable:
    """Keep a field of the result in the state.

    Args:
        cache_key: Key in the state.
        extract_field: Field of the result; its id if left out.
    """

    cache_key: str = key("")
    extract_field: str = key("")


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
