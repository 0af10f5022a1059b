"""What the acts of a file share: resources, schemas, defaults (docs/dialect.md §4.7-4.10)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from botticelli.errors import ConfigError
from botticelli.narrative.files.lookup import Folders, is_file, read_file
from botticelli.narrative.language.inputs import (
    ReadInput,
    nested,
    read_command,
    read_media,
    read_rows,
    readings,
    source_read,
)
from botticelli.narrative.language.model import Carousel, Settings
from botticelli.narrative.language.table import Table
from botticelli.narrative.language.tables import BudgetTable
from botticelli.text import nearest
from botticelli.toml_lines import Key

HOTTEST: Final = 2.0
LARGEST_SCHEMA: Final = 1024 * 1024  # bytes
KINDS: Final = ("bots", "tables", "media")


def read_settings(table: Table) -> Settings:
    """Read model, temperature and max_tokens of any table, or of `[....model] name = ...`."""
    fields = table.read(Settings)
    _check_temperature(table, fields["temperature"])
    if not isinstance(table.values.get("model"), dict):
        return Settings(**fields | {"models": table.strings("model", "models")})
    model = table.table("model")
    inner = model.read(Settings, but=("models",)) | {"models": model.strings("name")}
    _check_temperature(model, inner["temperature"])
    model.done()
    return Settings(**fields | {"models": ()}).over(Settings(**inner))


def _check_temperature(table: Table, value: float | None) -> None:
    if value is not None and value > HOTTEST:
        table.odd(("temperature",), f"{value:g} is more than models take", hint="use 0 to 2")


def read_carousel(table: Table) -> Carousel | None:
    """Read the `carousel` of any table: how many times, or a table of its own."""
    raw = table.take("carousel")
    if not isinstance(raw, dict):
        iterations = table.integer("carousel", least=1)
        return None if iterations is None else Carousel(iterations=iterations)
    carousel = table.table("carousel")
    found = Carousel(**carousel.read(Carousel) | {"budget": read_budget(carousel)})
    if not carousel.has("iterations"):
        table.wrong(("carousel",), "has no iterations", hint="add iterations = 3 or so")
    carousel.done()
    return found


def read_budget(table: Table) -> Mapping[str, float]:
    """Read the `budget` of a table: multipliers by rate. Unknown keys are mistakes here."""
    budget = table.table("budget")
    found: dict[str, float] = {}
    for rate, value in budget.read(BudgetTable).items():
        if value is not None and not 0 < value <= 1:
            what = f"must be above 0 and at most 1, not {value:g}"
            budget.wrong((f"{rate}_multiplier",), what)
        elif value is not None:
            found[rate] = value
    budget.done(is_strict=True)
    return found


class Resources:
    """Everything an act can refer to. What nothing refers to is read forgivingly at the end.

    Args:
        root: The whole file.
        narratives: How composition may call the file's narratives -> their key.
    """

    def __init__(self, root: Table, *, narratives: Mapping[str, str]) -> None:
        self.findings = root.findings
        self.narratives = narratives
        self.nested = _read_nested(root)
        # The file's defaults: root keys, then [config.PROVIDER], [config], [shared].
        self.defaults = read_settings(root)
        config, shared = root.table("config"), root.table("shared")
        flat = read_settings(config)
        for name in config.unasked():
            provider = config.table(name)
            self.defaults = self.defaults.over(read_settings(provider))
            provider.done()
        self.defaults = self.defaults.over(flat).over(read_settings(shared))
        shared.done()
        self._sections = {kind: root.table(kind) for kind in KINDS}
        self._schemas = root.table("schemas")
        self._read: dict[Key, ReadInput | None] = {}
        self._read_schemas: dict[str, Mapping[str, Any] | None] = {}

    def has(self, text: str) -> bool:
        """Return whether "bots.x" is the very name of a resource, which may be of any script."""
        kind, _, name = text.partition(".")
        return kind in KINDS and name in self._sections[kind].values

    def reference(self, text: str, *, key: Key) -> ReadInput | None:
        """Return what "bots.x", "tables.x", "media.x", "narratives.x", "narrative:x" refers to."""
        kind, _, name = text.replace("narrative:", "narratives.", 1).partition(".")
        if kind == "narratives":
            return self.narrative(name, key=key)
        if kind == "sources" and name:
            return ReadInput(input=source_read(name), place=key)
        if kind in KINDS and name in self._sections[kind].values:
            return self._resource(kind, name)
        if kind not in KINDS:
            hint = nearest(kind, (*KINDS, "narratives")) or "write bots.NAME, tables.NAME ..."
            self.findings.error(key, f"'{text}' refers to nothing", hint=hint)
            return None
        hint = nearest(name, self._sections[kind].values) or f"add [{kind}.{name}]"
        self.findings.error(
            key, f"{kind[:-1] if kind != 'media' else kind} '{name}' is not defined", hint=hint
        )
        return None

    def schema(self, name: str, *, key: Key) -> Mapping[str, Any] | None:
        """Return the schema of that name, read from its file if it has one."""
        if name not in self._schemas.values:
            hint = nearest(name, self._schemas.values) or f"add [schemas.{name}]"
            self.findings.error(key, f"schema '{name}' is not defined", hint=hint)
            return None
        if name not in self._read_schemas:
            self._read_schemas[name] = _read_schema(self._schemas.table(name))
        return self._read_schemas[name]

    def finish(self) -> None:
        """Read what nothing refers to: its mistakes are only warnings."""
        with self.findings.forgiving():
            for kind, section in self._sections.items():
                for name in section.values:
                    self._resource(kind, name)
            for name in self._schemas.values:
                self.schema(name, key=self._schemas.key)

    def _resource(self, kind: str, name: str) -> ReadInput | None:
        table = self._sections[kind].table(name)
        if table.key not in self._read:
            self._read[table.key] = _read_resource(kind, table, name=name) if table.values else None
            if not table.values and isinstance(self._sections[kind].values[name], dict):
                self.findings.error(table.key, "is empty")
        return self._read[table.key]

    def narrative(self, name: str, *, key: Key) -> ReadInput | None:
        """Return the nested file of that name, a narrative of this file, or a file NAME.toml."""
        found = nested(name, self.nested.get(name, name))
        known = {*self.nested, *self.narratives}
        beside = [self.findings.path.parent / file for file, _ in readings(found.path)]
        is_there = any(is_file(path) or is_file(Path(f"{path}.toml")) for path in beside)
        if name not in known and (hint := nearest(name, known)) and not is_there:
            self.findings.error(key, f"narrative '{name}' is not defined", hint=hint)
            return None
        return ReadInput(input=found, place=key)


def _read_resource(kind: str, table: Table, *, name: str) -> ReadInput | None:
    if kind == "bots":
        return read_command(table, is_flat=True)
    table.ignore("type", "description")
    found = read_rows(table, name=name) if kind == "tables" else read_media(table, kind=None)
    table.done()
    return None if found is None else ReadInput(input=found, place=table.key)


def _read_nested(root: Table) -> Mapping[str, str]:
    """Return NAME -> path of every `[narratives.NAME] narrative = "path"`."""
    section = root.table("narratives")
    paths: dict[str, str] = {}
    for name, entry in section.values.items():
        if isinstance(entry, str):
            paths[name] = entry
        elif isinstance(entry, dict) and isinstance(entry.get("narrative"), str):
            table = section.table(name)
            paths[name] = table.text("narrative")
            table.ignore("description")
            table.done()
        elif not (isinstance(entry, dict) and "toc" in entry):
            hint = 'add a toc, or narrative = "PATH"'
            section.wrong((name,), "is neither a narrative nor a file", hint=hint)
    return {name: nested(name, path).path for name, path in paths.items()}


def _read_schema(table: Table) -> Mapping[str, Any] | None:
    """Return a schema: the table itself, or the JSON file that its only key `file` names."""
    file = table.values.get("file")
    if set(table.values) != {"file"} or not isinstance(file, str):
        return table.values
    folders = Folders(own=table.findings.path.parent)
    try:
        schema = json.loads(read_file(file, folders=folders, limit=LARGEST_SCHEMA))
    except ConfigError as error:
        table.wrong(("file",), error.what)
    except (ValueError, RecursionError) as error:
        table.wrong(("file",), f"{file} is not valid JSON: {error}")
    else:
        if isinstance(schema, dict):
            return schema
        table.wrong(("file",), f"{file} holds no JSON object")
    return None
