"""The one typed form that every spelling of a narrative file becomes; the runner knows only this.

`document.py` reads the spellings (docs/dialect.md §3-4), `load.py` finds files. A field made with
`spelled` is read from the file; its docstring is what editors and docs/narratives.md show.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from botticelli.config.keys import NOTHING
from botticelli.config.keys import key as spelled
from botticelli.models.base import ImageOptions
from botticelli.records import record
from botticelli.toml_lines import Key

MediaKind = Literal["image", "audio", "video", "document"]


class Retention(StrEnum):
    """What later acts still see of an input: all, a one-line note, or nothing."""

    FULL = "full"
    SUMMARY = "summary"
    DROP = "drop"


@record
class Text:
    """A prompt. Inline text is a template; what a file holds is taken as it stands.

    Exactly one of `content` and `file` is given; `file` is looked up by docs/dialect.md §9.2 when
    the act runs.

    Args:
        content: The prompt. {{act}} stands for that act's answer.
        file: Text or media file.
    """

    content: str | None = spelled(None, also=("text", "prompt", "user"))
    file: str | None = spelled(None)
    retention: Retention = spelled(Retention.FULL, name="history_retention", ref="retention")


@record
class Media:
    """An image, sound, film or document; exactly one of `url`, `base64` and `file` is given.

    Args:
        url: Where the media is.
        base64: The media itself; needs mime.
        file: A media file; opened when the act runs.
        mime: MIME type; derived from the file's suffix if left out.
        filename: Name to show, for documents.
    """

    kind: MediaKind
    url: str | None = spelled(None)
    base64: str | None = spelled(None)
    file: str | None = spelled(None)
    mime: str | None = spelled(None)
    filename: str | None = spelled(None)
    retention: Retention = spelled(Retention.FULL, name="history_retention", ref="retention")


@record
class TableRead:
    """Rows of a table as an input.

    Args:
        table: Table to read; it may be missing unless required.
        names: Under which placeholders find it: the `[tables.NAME]` key, its alias.
        columns: Columns to read, ["*"] for all; left out: those that carry content.
        where: Filter: one boolean SQL expression, such as review_status = 'pending'.
        order_by: Columns with ASC or DESC.
        limit: Most rows; left out: all, up to the runner's cap.
        offset: Rows to skip.
        sample: Take this many rows at random.
        format: How the rows are written in the prompt.
        pull_and_delete: Remove the rows together with storing what was made of them.
        required: The table must exist.
        source: Name of the [sources.NAME] whose items these are; empty: rows of any table.
    """

    source: str = ""
    table: str = spelled("", name="table_name", pattern="^\\S+$")
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = spelled(())
    where: str = spelled("", also=("where_clause",))
    order_by: str = spelled("")
    limit: int | None = spelled(None)
    offset: int = spelled(0)
    sample: int | None = spelled(None, min=1)
    format: Literal["json", "markdown", "csv"] = spelled("json")
    pull_and_delete: bool = spelled(False)
    required: bool = spelled(False)
    retention: Retention = spelled(Retention.FULL, name="history_retention", ref="retention")


@record
class BotCommand:
    """A bot command. Its arguments are templates.

    Args:
        platform: discord or database.
        command: Such as messages.send or update_table.
        args: Arguments of the command; placeholders are filled in.
        required: Its failure ends the run.
        store_as: Key under which the result's id is kept in the state.
        cache_seconds: Seconds that the same answer may be used again within a run, for reads.
    """

    platform: str = spelled("")
    command: str = spelled("")
    args: Mapping[str, Any] = spelled(NOTHING)
    required: bool = spelled(False)
    store_as: str = spelled("")
    cache_seconds: int = spelled(0, name="cache_duration")
    retention: Retention = spelled(Retention.FULL, name="history_retention", ref="retention")


@record
class Nested:
    """Another narrative file, run for its effects (docs/dialect.md §4.9).

    Args:
        name: NAME in `narratives.NAME` or `narrative:NAME`.
        path: Narrative file, for type narrative; .toml may be left out.
    """

    name: str
    path: str = spelled("", name="narrative")


Input = Text | Media | TableRead | BotCommand | Nested


@record
class Carousel:
    """A narrative or an act that is repeated.

    Args:
        iterations: How often.
        estimated_tokens: What one iteration is expected to use, for the dry run.
        continue_on_error: Go on after a failed iteration.
        budget: Multipliers by rate (rpm, tpm, rpd, tpd); stronger than the narrative's.
    """

    iterations: int = spelled(1, min=1)
    estimated_tokens: int | None = spelled(
        None, name="estimated_tokens_per_iteration", also=("estimated_tokens",)
    )
    continue_on_error: bool = spelled(False)
    budget: Mapping[str, float] = spelled(NOTHING, ref="budget")


@record
class Settings:
    """Model settings; empty and None: nothing said.

    Args:
        models: Model, or several that are asked in this order until one answers.
        temperature: How freely the model writes; 0 is the most predictable.
        max_tokens: Most tokens of an answer.
    """

    models: tuple[str, ...] = spelled((), name="model", also=("models",), ref="models")
    temperature: float | None = spelled(None, min=0)
    max_tokens: int | None = spelled(None, min=1)

    def over(self, weaker: "Settings") -> "Settings":
        """Return these settings, filled up with the weaker ones."""
        return Settings(
            models=self.models or weaker.models,
            temperature=weaker.temperature if self.temperature is None else self.temperature,
            max_tokens=weaker.max_tokens if self.max_tokens is None else self.max_tokens,
        )


@record
class Act:
    """One step.

    Args:
        inputs: A prompt, a reference such as "tables.posts", an input table, or a list of these.
        narrative: Run this narrative of the same file, or this file, as the act.
        models: Asked in this order; empty: the narrative's.
        extract_output: Store this act's JSON, or do not; left out: as the narrative's mode says.
        skip_content_generation: Never store this act's JSON.
        state_capture: Key in the state -> JSON path into the result, such as $.channel_id.
        schema: JSON Schema the answer must satisfy: a name of [schemas.NAME], or the schema itself.
        skip_if_valid: Call no model if the answer before satisfies the schema already.
        history: Send what was asked and answered before along; false: only the act's own inputs.
        system: Standing instruction for this act's call.
        attach: Acts of type image whose pictures the rows of this act get, in this order.
        image: How the picture of an act of type image shall be; None for all others.
        place: Key path of the act in its file.
        input_places: Key path of each input; of the resource, if it refers to one.
    """

    name: str
    inputs: tuple[Input, ...] = spelled((), name="input", also=("inputs",), ref="inputs")
    narrative: str = spelled("", also=("narrative_ref",))
    models: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    carousel: Carousel | None = spelled(None, ref="carousel")
    extract_output: bool | None = spelled(None)
    skip_content_generation: bool = spelled(False)
    state_capture: Mapping[str, str] = spelled(NOTHING, additionalProperties={"type": "string"})
    schema: Mapping[str, Any] | None = spelled(None, type=["string", "object"])
    skip_if_valid: bool = spelled(False)
    history: bool = spelled(True)
    system: str = spelled("")
    attach: tuple[str, ...] = spelled((), single=True)
    image: ImageOptions | None = None
    place: Key = field(default=(), repr=False, compare=False)
    input_places: tuple[Key, ...] = field(default=(), repr=False, compare=False)


@record
class Narrative:
    """A named list of acts.

    Args:
        key: How the file calls it; `name` is what is stored as source_narrative.
        name: Name of the narrative; rows say which narrative they are from.
        description: What it is for.
        acts: The acts, by name or in a list; here in the order of the toc, repeated as it says.
        models, temperature, max_tokens: Defaults for acts that say nothing; the file's own
            defaults ([config.PROVIDER], [shared]) are merged in already.
        template: An existing table whose columns are the schema of what is written.
        target: Table that receives the rows; the narrative's name if left out.
        attach: As of an act, for the rows of all acts that name none themselves.
        skip_content_generation: Store no JSON.
        preserve_source: Never remove rows that were read.
        variables: Values for placeholders: {{name}}.
        single_braces: Whether {name} is a placeholder, too (the oldest form only,
            docs/dialect.md §6.3).
        security: What commands of this file may do, as written.
    """

    key: str
    name: str = spelled("")
    description: str = spelled("")
    acts: tuple[Act, ...] = spelled((), also=("act",), ref="acts")
    models: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    template: str = spelled("")
    target: str = spelled("", also=("target_table",))
    attach: tuple[str, ...] = spelled((), single=True)
    skip_content_generation: bool = spelled(False)
    preserve_source: bool = spelled(False)
    carousel: Carousel | None = spelled(None, ref="carousel")
    budget: Mapping[str, float] = spelled(NOTHING, ref="budget")
    variables: Mapping[str, str] = spelled(NOTHING, name="context")
    single_braces: bool = False
    security: Mapping[str, Any] = spelled(NOTHING, ref="security")

    def inputs(self) -> Iterator[tuple[Act, Input]]:
        """Yield each input with its act, in order."""
        return ((act, each) for act in self.acts for each in act.inputs)


@record
class NarrativeFile:
    """One file: its narratives by key, in the order written.

    Args:
        path: Where it was read; bare file names in it are looked up beside it first.
        nested: NAME -> path of `[narratives.NAME] narrative = "path"`.
        default: Key of the narrative that runs if none is named; empty: one must be named.
        text: The file itself, for the lines of what is found later.
        warnings: What loads but will not do what its author hoped (unknown keys ...).
    """

    path: Path
    narratives: Mapping[str, Narrative]
    nested: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    default: str = ""
    warnings: tuple[str, ...] = ()
    text: str = field(default="", repr=False, compare=False)

    def inputs(self) -> Iterator[tuple[Key, Act, Input]]:
        """Yield each input of each act once, with the key path where it stands."""
        listed = [act for narrative in self.narratives.values() for act in narrative.acts]
        for act in {act.place: act for act in listed}.values():
            for place, given in zip(act.input_places, act.inputs, strict=True):
                yield place, act, given
