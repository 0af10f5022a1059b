"""The seven shapes of a narrative file -> `NarrativeFile` (docs/dialect.md §3).

The structure of a file decides what it is, never a trial: so a mistake is reported as what it is.
"""

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from botticelli.narrative.language.acts import (
    SECTIONS,
    ActReader,
    ActSource,
    act_sources,
    read_steps,
)
from botticelli.narrative.language.cycles import check_compositions
from botticelli.narrative.language.model import Act, Carousel, Narrative, NarrativeFile
from botticelli.narrative.language.resources import (
    Resources,
    read_budget,
    read_carousel,
    read_settings,
)
from botticelli.narrative.language.table import Findings, Table
from botticelli.narrative.language.tables import OutputTable
from botticelli.records import record
from botticelli.text import nearest
from botticelli.toml_lines import Key, spell


class Shape(Enum):
    """How a file says what its narratives are."""

    STEPS = "[[steps]]"
    LIST = "[[narrative]]"
    SINGLE = "[narrative]"
    MULTI = "[narrative.NAME]"
    ROOT = "name and acts at the root"
    OLD_MULTI = "[narratives.NAME]"
    NONE = "none"


# Tables of a narrative itself: `[narrative.toc]` does not make "toc" a narrative.
_OWN_TABLES: Final = frozenset(
    (
        *("toc", "acts", "act", "carousel", "budget"),
        *("context", "output", "security", "metadata", "model"),
    )
)
# Keys of the root that are read elsewhere, or mean something to editors alone.
_OF_THE_ROOT: Final = (
    *("$schema", "toc", "narrative", "steps", "acts", "act"),
    *("metadata", "shared", "config", "security"),
)
_OF_METADATA: Final = ("name", "description", "skip_content_generation", "target")
_NOTES: Final = ("title", "author", "version", "tags", "created", "updated", "license")
_OF_THE_CONFIG: Final = ("context", "providers", "budget", "destinations", "database")


def shape_of(document: Mapping[str, Any]) -> Shape:
    """Return the shape of a file; the first that fits."""
    narrative = document.get("narrative")
    steps = document.get("steps")
    if isinstance(steps, list) and steps and all(isinstance(each, dict) for each in steps):
        return Shape.STEPS
    if isinstance(narrative, list):
        return Shape.LIST
    if isinstance(narrative, dict):
        return Shape.MULTI if _holds_narratives(narrative) else Shape.SINGLE
    return _shape_without_narrative(document)


def read_document(document: Mapping[str, Any], *, findings: Findings) -> NarrativeFile:
    """Read a parsed file. Mistakes go to the findings; with any there, the result is unusable."""
    if "narration" in document and "narrative" not in document:
        document = {
            "narrative" if name == "narration" else name: value for name, value in document.items()
        }
    metadata = document.get("metadata")
    if shape_of(document) is Shape.ROOT and isinstance(metadata, dict):
        told = {name: metadata[name] for name in _OF_METADATA if name in metadata}
        document = {**told, **document}
    return _Reader(Table(document, key=(), findings=findings)).file()


class _Reader:
    """Reads one file; holds what its narratives share."""

    def __init__(self, root: Table) -> None:
        self._root = root
        self._findings = root.findings
        self._stem = root.findings.path.stem
        self._shape = shape_of(root.values)
        self._tables = self._narrative_tables()
        self._resources = Resources(root, narratives=_call_names(self._tables))
        self._acts = ActReader(self._resources)
        self._unshared: list[ActSource] = []
        self._shared = [] if self._shape is Shape.STEPS else act_sources(root)

    def file(self) -> NarrativeFile:
        read = self._steps() if self._shape is Shape.STEPS else self._all()
        self._finish()
        if not self._tables and self._shape is not Shape.STEPS:
            hint = "add [narrative] with name, [toc] with order and [acts]"
            if "actor" in self._root.values:
                hint = "it describes an actor: `botticelli import` makes a configuration of it"
            self._findings.error((), "there is no narrative in this file", hint=hint)
        narratives = {narrative.key: narrative for narrative in read}
        places = {key: table.key for key, table in self._tables.items()}
        check_compositions(narratives, places=places, findings=self._findings)
        is_single = self._shape in (Shape.STEPS, Shape.SINGLE, Shape.ROOT)
        return NarrativeFile(
            path=self._findings.path,
            narratives=narratives,
            nested=self._resources.nested,
            default=next(iter(narratives), "") if is_single or len(narratives) == 1 else "",
            warnings=tuple(self._findings.warnings),
            text=self._findings.text,
        )

    def _narrative_tables(self) -> dict[str, Table]:
        """Return each narrative's table by its key."""
        root, found = self._root, dict[str, Table]()
        if not isinstance(root.values.get("narrative", {}), dict | list):
            root.wrong(("narrative",), "must be a table")
        if self._shape is Shape.SINGLE:
            found |= self._single(root.table("narrative"))
        elif self._shape is Shape.MULTI:
            found |= self._several(root.table("narrative"))
        elif self._shape is Shape.LIST:
            found |= self._listed()
        elif self._shape is Shape.ROOT:
            found[root.text("name") or self._stem] = root
        for name, table in self._old_multi():
            if name in found:
                self._findings.error(table.key, f"narrative '{name}' is defined twice")
            found[name] = table
        return found

    def _single(self, table: Table) -> dict[str, Table]:
        name = table.text("name")
        if not name:
            hint = f'add name = "{self._stem}"'
            self._findings.error(table.key, "the narrative has no name", hint=hint)
        return {name or self._stem: table}

    def _several(self, table: Table) -> dict[str, Table]:
        found = {}
        for name, value in table.values.items():
            if isinstance(value, dict):
                found[name] = table.table(name)
            else:
                what = "stands outside of any narrative, ignored"
                table.odd((name,), what, hint="[narrative] has no name, so it holds narratives")
        return found

    def _old_multi(self) -> list[tuple[str, Table]]:
        """Return the entries of `[narratives]` that are narratives, not files."""
        entries = _old_entries(self._root.values)
        section = self._root.table("narratives")
        return [(name, section.table(name)) for name in entries]

    def _listed(self) -> dict[str, Table]:
        found: dict[str, Table] = {}
        for index, raw in enumerate(self._root.take("narrative")):
            key = ("narrative", index)
            table = Table(raw if isinstance(raw, dict) else {}, key=key, findings=self._findings)
            name = table.text("name")
            if not name or name in found:
                what = f"narrative '{name}' is defined twice" if name else "it has no name"
                self._findings.error(key, what)
            found[name] = table
        return found

    def _all(self) -> list[Narrative]:
        return [self._narrative(key, table) for key, table in self._tables.items()]

    def _narrative(self, key: str, table: Table) -> Narrative:
        settings = read_settings(table).over(self._resources.defaults)
        is_root = table is self._root
        output = table.table("output")
        written = output.read(OutputTable)
        output.done()
        but = ("acts", "variables") if is_root else ("acts",)
        fields = table.read(Narrative, but=but, name=key)
        target = fields["target"] or written["target"]
        self._check_target(table, target)
        own = [] if is_root else act_sources(table)
        fields["attach"] = fields["attach"] or written["attach"]
        acts = self._in_order(table, own=own)
        self._check_attached(table, acts, fields["attach"])
        fields |= {
            "acts": acts,
            "target": target,
            "carousel": self._carousel(table),
            "budget": read_budget(table),
            "variables": _variables(fields.get("variables", {})),
            "security": self._security(table),
        }
        self._unshared += own
        table.ignore(*_NOTES)
        if not is_root:
            table.done()
        braces = "act" in self._root.values
        return Narrative(key=key, single_braces=braces, **fields, **vars(settings))

    def _check_attached(self, table: Table, acts: Sequence[Act], attach: Sequence[str]) -> None:
        """Note what is to be attached and is no act of this narrative that makes a picture."""
        if self._findings.problems:
            return  # it may be missing for that
        known = {act.name: act.image is not None for act in acts}
        wanted = [(table.key, attach), *((act.place, act.attach) for act in acts)]
        for place, name in ((place, name) for place, names in wanted for name in names):
            if not known.get(name):
                what = f"act '{name}' makes no picture" if name in known else f"no act is '{name}'"
                hint = 'add type = "image" to it' if name in known else nearest(name, known)
                self._findings.error((*place, "attach"), what, hint=hint)

    def _check_target(self, table: Table, target: str) -> None:
        from botticelli.store.tables.columns import GUARDED

        if target.strip().lower() in GUARDED:
            what = f"'{target}' is a table of Botticelli's own; no answer can be stored there"
            self._findings.error((*table.key, "target"), what, hint="name another table")

    def _in_order(self, table: Table, *, own: Sequence[ActSource]) -> tuple[Act, ...]:
        """Return the acts in the order of the toc, else of the list they stand in."""
        listed = [*self._shared, *own]
        toc = _read_toc(table) or _read_toc(self._root)
        known = {source.name: source for source in listed}
        known |= self._spelled_with_dots(toc, known) if toc else {}
        sources = listed if toc is None else self._named(toc, known)
        if toc is None and not self._has_order(table, listed):
            names = ", ".join(f'"{name}"' for name in known)
            hint = f"add [toc] order = [{names}]" if known else "add [toc] and [acts]"
            self._findings.error(table.key, "there is no toc", hint=hint)
        read = [self._acts.read(source) for source in sources]
        return tuple(act for act in read if act is not None)

    def _spelled_with_dots(
        self, toc: "_Toc", known: Mapping[str, ActSource]
    ) -> dict[str, ActSource]:
        """Return what the toc names besides acts: narratives of the file, and [acts.a.b] as a.b."""
        found: dict[str, ActSource] = {}
        for name in dict.fromkeys(toc.names):
            head, *path = name.split(".")
            outer = next((known[each] for each in [head] if path and each in known), None)
            raw: Any = outer.raw if outer else None
            for part in path:
                raw = raw.get(part) if isinstance(raw, dict) else None
            if name in known:
                continue
            if outer and isinstance(raw, dict | str | list):
                found[name] = ActSource(name=name, raw=raw, key=(*outer.key, *path))
            elif name in {*self._resources.narratives, *self._resources.nested}:
                found[name] = ActSource(name=name, raw={"narrative": name}, key=(*toc.key, name))
        return found

    def _named(self, toc: "_Toc", known: Mapping[str, ActSource]) -> list[ActSource]:
        for name in toc.names:
            if name not in known:
                hint = _misplaced(name, known) or nearest(name, known) or f"add [acts.{name}]"
                what = f"act '{name}' is in the toc but not defined"
                self._findings.error(toc.key, what, hint=hint)
        if toc.is_empty:
            self._findings.error(toc.key, "the toc is empty", hint="name the acts in their order")
        return [known[name] for name in toc.names if name in known]

    def _has_order(self, table: Table, acts: Sequence[ActSource]) -> bool:
        """Return whether the acts need no toc: a list, or a file from before there were tocs."""
        if acts and self._shape is Shape.ROOT:
            return True
        places = [each.values.get(section) for each in (table, self._root) for section in SECTIONS]
        return any(isinstance(place, list) for place in places)

    def _carousel(self, table: Table) -> Carousel | None:
        """Read the narrative's carousel, else the one in its toc, else the file's."""
        places = [table, table, self._root, self._root]
        for place, is_toc in zip(places, (False, True) * 2, strict=True):
            has_toc = isinstance(place.values.get("toc"), dict)
            if is_toc and not has_toc:
                continue
            if found := read_carousel(place.table("toc") if is_toc else place):
                return found
        return None

    def _security(self, table: Table) -> Mapping[str, Any]:
        return {**self._root.table("security").values, **table.table("security").values}

    def _steps(self) -> list[Narrative]:
        """Return the one narrative of a file of steps; it stores nothing unless it has a target."""
        table = self._root.table("narrative", "metadata")
        metadata = self._root.table("metadata")
        name = table.text("name") or self._root.text("name")
        name = name or metadata.text("title", "name") or self._stem
        target = table.text("target", "target_table")
        return [
            Narrative(
                key=name,
                name=name,
                description=table.text("description") or metadata.text("description"),
                acts=read_steps(self._root),
                target=target,
                skip_content_generation=not target,
                carousel=self._carousel(table),
                security=self._security(table),
                **vars(self._resources.defaults),
            )
        ]

    def _finish(self) -> None:
        """Read what nothing uses, and warn of unknown keys."""
        self._acts.finish([*self._shared, *self._unshared])
        self._resources.finish()
        for name in _OF_THE_CONFIG:
            if name in self._root.unasked():
                self._root.odd((name,), "belongs to botticelli.toml, ignored here")
                self._root.ignore(name)
        if not self._tables:
            self._root.ignore("actor")
        self._root.ignore(*_OF_THE_ROOT, *_NOTES)
        self._root.done()


def _variables(context: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in context.items()
    }


@record
class _Toc:
    """The names of acts in order, and where they stand."""

    names: Sequence[str]
    key: Key
    is_empty: bool


def _misplaced(name: str, acts: Mapping[str, ActSource]) -> str:
    """Return where the act stands, if it was written below the header of another one."""
    for act in acts.values():
        if isinstance(act.raw, dict) and isinstance(act.raw.get(name), str | list | dict):
            return f"it stands in [{spell(act.key)}]; move it up, above all [acts.NAME]"
    return ""


def _read_toc(table: Table) -> _Toc | None:
    """Read `toc = [...]` or `[toc] order = [...]` of any table; None: there is none."""
    raw = table.take("toc")
    if isinstance(raw, list):
        return _Toc(names=table.strings("toc"), key=(*table.key, "toc"), is_empty=not raw)
    if raw is None:
        return None
    toc = table.table("toc")
    found = None
    if toc.has("order"):
        is_empty = not toc.values["order"]
        found = _Toc(names=toc.strings("order"), key=(*toc.key, "order"), is_empty=is_empty)
    toc.ignore("carousel", "description")
    toc.done()
    return found


def _shape_without_narrative(document: Mapping[str, Any]) -> Shape:
    if isinstance(document.get("acts"), list) and isinstance(document.get("name"), str):
        return Shape.ROOT
    if _old_entries(document):
        return Shape.OLD_MULTI
    return Shape.ROOT if document.keys() & {"acts", "act"} else Shape.NONE


def _holds_narratives(narrative: Mapping[str, Any]) -> bool:
    """Return whether the table is a map of narratives: no name, but tables of its own."""
    if isinstance(narrative.get("name"), str):
        return False
    tables = [(name, value) for name, value in narrative.items() if isinstance(value, dict)]
    return any(name not in _OWN_TABLES or "toc" in value for name, value in tables)


def _old_entries(document: Mapping[str, Any]) -> list[str]:
    section = document.get("narratives")
    entries = section if isinstance(section, dict) else {}
    return [name for name, entry in entries.items() if isinstance(entry, dict) and "toc" in entry]


def _call_names(tables: Mapping[str, Table]) -> Mapping[str, str]:
    """Return how the narratives may be called: inline names and keys (which win) -> key."""
    names = [(table.values.get("name"), key) for key, table in tables.items()]
    inline = {name: key for name, key in names if isinstance(name, str)}
    return {**inline, **{key: key for key in tables}}
