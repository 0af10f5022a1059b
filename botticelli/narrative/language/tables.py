"""Keys that are read from a narrative file but that no field of the model has."""

from typing import Any, Literal

from botticelli.config.keys import key
from botticelli.records import record

InputType = Literal[
    "text", "image", "audio", "video", "document", "bot_command", "table", "narrative", "source"
]


@record
class OutputTable:
    """Where the rows go, in the oldest form.

    Args:
        target: Table that receives the rows.
        mode: How the table is made.
        attach: As of an act, for the rows of all acts that name none themselves.
    """

    target: str = key("", name="target_table", also=("target",))
    mode: Literal["inference", "template"] = key("inference")
    attach: tuple[str, ...] = key((), single=True)


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
        type: generate, or image: the answer is a picture.
        aspect_ratio: Of a picture, width to height, such as "16:9".
        size: Of a picture: 1K, 2K or 4K (gemini-*), or pixels such as 1536x1024.
        quality: Of a picture: low, medium, high or auto (gpt-image-*).
        description: For readers.
    """

    prompt: str = key("", also=("text", "content", "user"))
    file: str = key("")
    config: Any = key(None, ref="settings")
    type: str = key("generate")
    aspect_ratio: str = key("", pattern="^[1-9][0-9]?:[1-9][0-9]?$")
    size: str = key("", pattern="^([124][Kk]|512|[1-9][0-9]{1,3}[xX][1-9][0-9]{1,3})$")
    quality: str = key("")
    description: Any = key(None, type="string")


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
class RowsTable:
    """What the table of a table input holds besides its fields.

    Args:
        alias: A further name for placeholders.
    """

    alias: str = key("")


@record
class SourceTable:
    """Items of a source: what `collect` found to write about.

    Args:
        name: NAME of [sources.NAME].
        limit: How many.
    """

    name: str = key("", name="source", also=("source_name",))
    limit: int = key(1, min=1, max=20)


@record
class StateTable:
    """Keep a field of the result in the state.

    Args:
        cache_key: Key in the state.
        extract_field: Field of the result; its id if left out.
    """

    cache_key: str = key("")
    extract_field: str = key("")
