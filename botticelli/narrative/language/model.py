"""The one typed form that every spelling of a narrative file becomes; the runner knows only this.

`shapes.py` reads the spellings (docs/dialect.md §3-4), `load.py` finds files and reports mistakes.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from botticelli.records import record

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Retention(StrEnum):
    """What later acts still see of an input (docs/dialect.md §10)."""

    FULL = "full"
    SUMMARY = "summary"
    DROP = "drop"


@record
class Text:
    """A prompt. Inline text is a template; what a file holds is taken as it stands.

    Exactly one of `content` and `file` is given; `file` is looked up by docs/dialect.md §9.2 when
    the act runs.
    """

    content: str | None = None
    file: str | None = None
    retention: Retention = Retention.FULL


@record
class Media:
    """An image, sound, film or document; exactly one of `url`, `base64` and `file` is given."""

    kind: Literal["image", "audio", "video", "document"]
    url: str | None = None
    base64: str | None = None
    file: str | None = None
    mime: str | None = None
    filename: str | None = None
    retention: Retention = Retention.FULL


@record
class TableRead:
    """Rows of a table as an input.

    Args:
        table: Name of the table; it may be missing unless `required`.
        names: Under which placeholders find it: the `[tables.NAME]` key, its alias.
        where: A single boolean expression, checked at load; empty: all rows.
        order_by: Columns with ASC/DESC/NULLS, checked at load.
        limit: Most rows; None: all, up to the runner's cap.
        sample: Take this many at random.
        pull_and_delete: Lease the rows, and remove them with the result (docs/dialect.md §8.3).
    """

    table: str
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    where: str = ""
    order_by: str = ""
    limit: int | None = None
    offset: int = 0
    sample: int | None = None
    format: Literal["json", "markdown", "csv"] = "json"
    pull_and_delete: bool = False
    required: bool = False
    retention: Retention = Retention.FULL


@record
class Command:
    """A bot command. Its arguments are templates; `required`: its failure ends the run.

    Args:
        platform: discord or database.
        command: The command's current name (aliases are resolved at load).
        store_as: Key under which the result's id is kept in the state.
        cache_seconds: For reads: how long the same answer may be used again within a run.
    """

    platform: str
    command: str
    args: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    required: bool = False
    store_as: str = ""
    cache_seconds: int = 0
    retention: Retention = Retention.FULL


@record
class Nested:
    """Another narrative file, run for its effects (docs/dialect.md §4.9).

    Args:
        name: NAME in `narratives.NAME` or `narrative:NAME`.
        path: The file as written, ".toml" appended if it was missing.
    """

    name: str
    path: str


Input = Text | Media | TableRead | Command | Nested


@record
class Carousel:
    """A narrative or an act that is repeated.

    Args:
        iterations: At least 1.
        estimated_tokens: What one iteration is expected to use; for the forecast.
        continue_on_error: Go on after a failed iteration.
        budget: Multipliers by rate (rpm, tpm, rpd, tpd); stronger than the narrative's.
    """

    iterations: int
    estimated_tokens: int = 1000
    continue_on_error: bool = False
    budget: Mapping[str, float] = field(default_factory=lambda: NOTHING)


@record
class Act:
    """One step.

    Args:
        inputs: In the order written; empty for a composition.
        narrative: Name of a narrative of the same file that is run as this act.
        models: Asked in this order; empty: the narrative's.
        extract_output: Store this act's JSON; None: as the narrative's mode says.
        skip_content_generation: Never store this act's JSON.
        state_capture: State key -> JSON path into the act's result.
        schema: JSON Schema that the answer must satisfy; None: free text.
        skip_if_valid: Call no model if the previous answer satisfies the schema already.
        system: Standing instruction for this act's call.
    """

    name: str
    inputs: tuple[Input, ...] = ()
    narrative: str = ""
    models: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    carousel: Carousel | None = None
    extract_output: bool | None = None
    skip_content_generation: bool = False
    state_capture: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    schema: Mapping[str, Any] | None = None
    skip_if_valid: bool = False
    system: str = ""


@record
class Narrative:
    """A named list of acts.

    Args:
        key: How the file calls it; `name` is what is stored as source_narrative.
        acts: In the order of the toc; a name that the toc repeats stands here as often.
        models, temperature, max_tokens: Defaults for acts that say nothing; the file's own
            defaults ([config.PROVIDER], [shared]) are merged in already.
        template: Table whose columns are the schema of what is stored.
        target: Table that receives the rows; empty: the narrative's name.
        variables: [narrative.context] values.
        single_braces: Whether {name} is a placeholder, too (the oldest form only,
            docs/dialect.md §6.3).
        security: [security.*] of the file, as written.
    """

    key: str
    name: str
    description: str = ""
    acts: tuple[Act, ...]
    models: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    template: str = ""
    target: str = ""
    skip_content_generation: bool = False
    preserve_source: bool = False
    carousel: Carousel | None = None
    budget: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    variables: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    single_braces: bool = False
    security: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@record
class NarrativeFile:
    """One file: its narratives by key, in the order written.

    Args:
        path: Where it was read; bare file names in it are looked up beside it first.
        nested: NAME -> path of `[narratives.NAME] narrative = "path"`.
        default: Key of the narrative that runs if none is named; empty: one must be named.
        warnings: What loads but will not do what its author hoped (unknown keys ...).
    """

    path: Path
    narratives: Mapping[str, Narrative]
    nested: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    default: str = ""
    warnings: tuple[str, ...] = ()
