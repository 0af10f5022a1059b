"""Every spelling of an act -> `Act` (docs/dialect.md §4.4), and `[[steps]]` -> acts (§4.11).

Consecutive context steps make one act, each command makes one. What `${steps[N]...}` and
`${prev...}` refer to is then an act like any other, so they are rewritten to its name.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from botticelli.config.keys import keys_of
from botticelli.models.base import ImageOptions
from botticelli.narrative.language.inputs import (
    PROMPTS,
    ReadInput,
    read_command,
    read_input,
    read_text,
)
from botticelli.narrative.language.model import Act, BotCommand, Input, Media, Settings, Text
from botticelli.narrative.language.resources import Resources, read_carousel, read_settings
from botticelli.narrative.language.table import Table
from botticelli.narrative.language.tables import ActTable
from botticelli.records import record
from botticelli.text import mapped, nearest
from botticelli.toml_lines import Key

# The whole string must be a reference: a sentence that begins "media.x is ..." is a prompt.
REFERENCE: Final = re.compile(r"(?:bots|tables|media|narratives|sources)\.\S+|narrative:[^\s:]\S*")
SECTIONS: Final = ("acts", "act")
_REFERENCE: Final = re.compile(r"(\$\{|\{\{)\s*(?:steps\[(\d+)\]|prev(?=[.}\s]))([^}]*)\}{1,2}")


@record
class ActSource:
    """An act as the file has it, and where."""

    name: str
    raw: Any
    key: Key


def act_sources(table: Table) -> list[ActSource]:
    """Return the acts in the order written: `acts` and `act`, as a map or a list."""
    found: list[ActSource] = []
    for section in SECTIONS:
        raw, key = table.take(section), (*table.key, section)
        if isinstance(raw, dict):
            found += [ActSource(name=name, raw=raw[name], key=(*key, name)) for name in raw]
        elif isinstance(raw, list):
            if not raw:
                table.wrong((section,), "there are no acts")
            found += _listed(Table({}, key=key, findings=table.findings), raw)
        elif raw is not None:
            table.wrong((section,), "must be a table or a list of tables")
    return found


def _listed(table: Table, items: list[Any]) -> Iterator[ActSource]:
    for index, item in enumerate(items):
        if isinstance(item, dict) and "name" not in item and (raw := _of_its_type(item)):
            yield ActSource(name=f"act_{index + 1}", raw=raw, key=(*table.key, index))
            continue
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and name:
            raw = {key: value for key, value in item.items() if key != "name"}
            yield ActSource(name=name, raw=raw, key=(*table.key, index))
        else:
            table.findings.error(
                (*table.key, index), "an act without a name", hint='add name = "..."'
            )


def _of_its_type(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return `type = "bot"` with a table `bot`, likewise narrative and generation, as an act.

    Such acts of the oldest files have no names. Empty: the item is none.
    """
    kind = item.get("type")
    inner = item.get(kind) if kind in ("bot", "narrative", "generation") else None
    if not isinstance(inner, dict):
        return {}
    rest = {key: value for key, value in item.items() if key not in ("type", kind)}
    if kind == "bot":
        return {**rest, "input": [{"type": "bot_command", **inner}]}
    if kind == "narrative":
        return {**rest, "input": [{"type": "narrative", **inner}]}
    return {**rest, **inner}


class ActReader:
    """Reads each act of a file once, however many narratives share it."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._findings = resources.findings
        self._read: dict[Key, Act | None] = {}

    def read(self, source: ActSource) -> Act | None:
        """Return the act; None: it is wrong, and that is noted."""
        if source.key not in self._read:
            self._read[source.key] = self._act(source)
        return self._read[source.key]

    def finish(self, sources: list[ActSource]) -> None:
        """Read acts that no toc names: their mistakes are only warnings."""
        with self._findings.forgiving():
            for source in sources:
                self.read(source)

    def _act(self, source: ActSource) -> Act | None:
        raw = source.raw
        if isinstance(raw, dict):
            return self._table_act(source.name, self._table(raw, key=source.key))
        if not isinstance(raw, str | list):
            self._findings.error(source.key, "must be a string, a list or a table")
            return None
        inputs = self._inputs(raw, key=source.key)
        if not inputs:
            return None
        return Act(
            name=source.name,
            state_capture=_captures(inputs),
            place=source.key,
            **_inputs_of(inputs),
        )

    def _table_act(self, name: str, table: Table) -> Act | None:
        settings = read_settings(table)
        config = table.table("config")
        settings = settings.over(read_settings(config))
        captured = table.table("state_capture")
        paths = {key: captured.text(key) for key in captured.values}
        config.done()
        calls, inputs = self._called(table)
        fields = table.read(Act) | {
            **_inputs_of(inputs),
            "place": table.key,
            "narrative": calls,
            "carousel": read_carousel(table),
            "state_capture": {**_captures(inputs), **paths},
            "schema": self._schema(table),
        }
        act = Act(name=name, image=_image(table), **fields, **vars(settings))
        _check(act, table)
        return act if calls or inputs else None

    def _called(self, table: Table) -> tuple[str, list[ReadInput]]:
        """Return the narrative of this file that the act runs, or its inputs."""
        called = table.text("narrative", "narrative_ref")
        if not called:
            return "", self._own_inputs(table)
        if table.has("input", "inputs", "prompt", "text", "content"):
            table.odd(("narrative", "narrative_ref"), "wins over the act's inputs")
        known = self._resources.narratives
        if called in known:
            return known[called], []
        key = (*table.key, table.named(("narrative", "narrative_ref")))
        source = self._resources.narrative(called, key=key)
        return "", [] if source is None else [source]

    def _own_inputs(self, table: Table) -> list[ReadInput]:
        found: list[ReadInput] = []
        if table.has(*PROMPTS, "file") and (text := read_text(table)):
            place = (*table.key, table.named((*PROMPTS, "file")))
            found.append(ReadInput(input=text, place=place))
        if table.has("input", "inputs"):
            name = table.named(("input", "inputs"))
            found += self._inputs(table.take("input", "inputs"), key=(*table.key, name))
        elif not table.has(*PROMPTS, "file"):
            hint = "give it a prompt, an input or a narrative"
            self._findings.error(table.key, "an act without input", hint=hint)
        return found

    def _inputs(self, raw: Any, *, key: Key) -> list[ReadInput]:
        """Read a string, a table or a list of both."""
        if not isinstance(raw, list):
            found = self._input(raw, key=key)
            return [] if found is None else [found]
        if not raw:
            self._findings.error(key, "an act without input", hint="give it one or more inputs")
        items = {(*key, index): item for index, item in enumerate(raw)}
        blank = [place for place, item in items.items() if _is_blank(item)]
        if len(blank) < len(items):  # beside others, a prompt without text only does nothing
            for place in blank:
                self._findings.warn(place, "a prompt without text, ignored")
                del items[place]
        each = (self._input(item, key=place) for place, item in items.items())
        return [source for source in each if source is not None]

    def _input(self, raw: Any, *, key: Key) -> ReadInput | None:
        if isinstance(raw, dict):
            return self._table_input(self._table(raw, key=key))
        if not isinstance(raw, str):
            self._findings.error(key, "must be a string or a table")
            return None
        if REFERENCE.fullmatch(raw) or self._resources.has(raw):
            return self._resources.reference(raw, key=key)
        if not raw.strip():
            self._findings.error(key, "a prompt without text")
            return None
        return ReadInput(input=Text(content=raw), place=key)

    def _table_input(self, table: Table) -> ReadInput | None:
        if not table.has("ref"):
            return read_input(table)
        table.ignore("type")
        for name in table.unasked():
            table.odd((name,), "is ignored beside ref", hint="set it where the resource is defined")
        return self._resources.reference(table.text("ref"), key=(*table.key, "ref"))

    def _schema(self, table: Table) -> Mapping[str, Any] | None:
        raw = table.take("schema")
        if isinstance(raw, str):
            return self._resources.schema(raw, key=(*table.key, "schema"))
        if raw is not None and not isinstance(raw, dict):
            table.wrong(("schema",), "must be the name of a [schemas.NAME] or a table")
            return None
        return raw

    def _table(self, raw: Mapping[str, Any], *, key: Key) -> Table:
        return Table(raw, key=key, findings=self._findings)


def _check(act: Act, table: Table) -> None:
    """Note what is wrong with the act as a whole, and the unread keys."""
    if act.skip_if_valid and not table.has("schema"):
        hint = 'add schema = "NAME"'
        table.wrong(("skip_if_valid",), "there is no schema to be valid against", hint=hint)
    kind = table.read(ActTable)["type"] or "generate"
    if act.image is not None:
        for name in ("schema", "extract_output", "attach", "max_tokens"):
            if table.has(name):
                table.odd((name,), "is ignored: the answer is a picture")
        if act.inputs and not any(map(_may_show, act.inputs)):
            hint = "say what is to be seen, or give it an image"
            table.findings.error(table.key, "a picture of nothing", hint=hint)
    elif kind not in ("generate", "text"):
        table.odd(("type",), f"an act's type '{kind}' is not known, ignored")
    table.ignore("title", "name")
    table.done()


def _image(table: Table) -> ImageOptions | None:
    """Return what an act of type image wants; None if its answer is a text."""
    fields = table.read(ActTable)
    kind, wanted = fields["type"], {name: fields[name] for name in vars(ImageOptions())}
    for name, value in wanted.items():
        rule = next(each.rule for each in keys_of(ActTable) if each.field == name)
        if value and not re.fullmatch(rule.get("pattern", ".*"), value):
            table.wrong((name,), f"'{value}' is no {name.replace('_', ' ')} of a picture")
        elif value and kind != "image":
            table.odd((name,), "is ignored: the act makes no picture", hint='add type = "image"')
    return ImageOptions(**wanted) if kind == "image" else None


def _may_show(given: Input) -> bool:
    return isinstance(given, Text) or (isinstance(given, Media) and given.kind == "image")


def _is_blank(item: Any) -> bool:
    """Return whether an input is a prompt that holds nothing but blanks."""
    if isinstance(item, dict):
        is_text = item.get("type", "text") == "text" and not item.keys() & {"ref", "file"}
        item = next((item[key] for key in PROMPTS if key in item), None)
        return is_text and isinstance(item, str) and not item.strip()
    return isinstance(item, str) and not item.strip()


def _inputs_of(inputs: list[ReadInput]) -> dict[str, Any]:
    """Return the fields of an act for its inputs."""
    return {
        "inputs": tuple(each.input for each in inputs),
        "input_places": tuple(each.place for each in inputs),
    }


def _captures(inputs: list[ReadInput]) -> dict[str, str]:
    return {name: path for source in inputs for name, path in source.capture.items()}


@dataclass(kw_only=True)
class _Group:
    """What will be one act, while its steps are read."""

    name: str
    place: Key
    settings: Settings = field(default_factory=Settings)
    system: list[str] = field(default_factory=list)
    user: list[str] = field(default_factory=list)
    command: ReadInput | None = None


@record
class _Names:
    """Which acts a step became: the one that answered in text, and all."""

    texts: Mapping[int, str]
    acts: Mapping[int, Sequence[str]]

    def of(self, index: int, path: str, *, own: str) -> str | None:
        """Return the act that `steps[index]` means to the act `own`: the last one before it."""
        if path == ".text" and index in self.texts:
            return self.texts[index]
        acts = list(self.acts.get(index, ()))
        before = acts[: acts.index(own)] if own in acts else []
        return next(reversed(before or acts), None)


def read_steps(root: Table) -> tuple[Act, ...]:
    """Return the acts that the steps of the file are meant to be."""
    groups: list[_Group] = []
    texts: dict[int, str] = {}
    acts: dict[int, list[str]] = {}
    for index, raw in enumerate(root.take("steps")):
        step = Table(raw, key=("steps", index), findings=root.findings)
        name = step.text("name", "id") or f"step_{index}"
        settings = read_settings(step)
        begin = len(groups)
        if _read_contexts(step, name=name, groups=groups):
            groups[-1].settings = settings.over(groups[-1].settings)
            texts[index] = groups[-1].name
            begin = len(groups) - 1
        _read_actions(step, name=name, groups=groups)
        acts[index] = [group.name for group in groups[begin:]]
        step.ignore("description")
        step.done()
    names = _Names(texts=texts, acts=acts)
    return tuple(_act(group, names=names) for group in groups)


def _read_contexts(step: Table, *, name: str, groups: list[_Group]) -> bool:
    """Add the step's prompts to the group before it, or to a new one; return whether it has any."""
    parts = [(part.text("role", default="user").lower(), part) for part in _tables(step, "context")]
    if step.has("prompt", "content", "text"):
        parts.append(("user", step))
    for role, part in parts:
        text = part.text("content", "text", "prompt")
        if not text.strip():
            part.findings.error(part.key, "a step without text", hint='add content = "..."')
        if not groups or groups[-1].command:
            groups.append(_Group(name=_free(name, groups), place=step.key))
        if role == "system":
            groups[-1].system.append(text)
        else:
            groups[-1].user.append(text)
        if role not in ("system", "user"):
            hint = nearest(role, ("system", "user")) or "use system or user"
            part.odd(("role",), f"role '{role}' is taken as user", hint=hint)
        if part is not step:
            part.done()
    return bool(parts)


def _read_actions(step: Table, *, name: str, groups: list[_Group]) -> None:
    """Make a group of the step's commands, in either spelling."""
    processor = step.text("processor", default="bot")
    commands = [
        read_command(table, is_flat="args" not in table.values, platform="discord", required=True)
        for table in _tables(step, "bot_commands", "bot_command")
    ]
    if step.has("command"):
        flat = {
            key: step.take(key)
            for key in ("platform", "command", "args", "required", "store_as")
            if step.has(key)
        }
        own = Table(flat, key=step.key, findings=step.findings)
        commands.append(read_command(own, is_flat=False, platform="discord", required=True))
    elif not (commands or step.values.keys() & {"context", "prompt", "content", "text"}):
        hint = "give it a context, bot_commands or a command"
        step.findings.error(step.key, "a step that does nothing", hint=hint)
    if processor != "bot" and commands:
        step.odd(("processor",), f"processor '{processor}' is taken as bot")
    for command in commands:
        groups.append(_Group(name=_free(name, groups), place=command.place, command=command))


def _free(name: str, groups: list[_Group]) -> str:
    """Return the name, with a number behind it if another act of the file has it."""
    taken = {group.name for group in groups}
    numbered = (f"{name}_{number}" for number in range(2, len(groups) + 2))
    return next(each for each in (name, *numbered) if each not in taken)


def _tables(step: Table, *names: str) -> list[Table]:
    """Return the tables under that key: one, or a list of them."""
    raw = step.take(*names)
    name = step.named(names)
    if isinstance(raw, dict):
        return [step.below(name, raw)]
    if raw is not None and not (isinstance(raw, list) and all(isinstance(x, dict) for x in raw)):
        step.wrong(names, "must be a table or a list of tables")
        return []
    return [
        Table(item, key=(*step.key, name, index), findings=step.findings)
        for index, item in enumerate(raw or [])
    ]


def _act(group: _Group, *, names: _Names) -> Act:
    rewritten = partial(_rewritten, names=names, own=group.name)
    system = "\n\n".join(map(rewritten, group.system))
    user = list(map(rewritten, group.user))
    if system and not user:  # no question: the instruction is the question
        user, system = [system], ""
    commands = [_with_args(group.command, rewritten)] if group.command else []
    return Act(
        name=group.name,
        system=system,
        inputs=(*(Text(content=text) for text in user), *(each.input for each in commands)),
        place=group.place,
        input_places=(group.place,) * (len(user) + len(commands)),
        models=group.settings.models,
        temperature=group.settings.temperature,
        max_tokens=group.settings.max_tokens,
        state_capture={name: path for each in commands for name, path in each.capture.items()},
    )


def _with_args(source: ReadInput, rewritten: Callable[[str], str]) -> ReadInput:
    assert isinstance(source.input, BotCommand)
    args = mapped(source.input.args, lambda one: rewritten(one) if isinstance(one, str) else one)
    return replace(source, input=replace(source.input, args=args))


def _rewritten(text: str, *, names: _Names, own: str) -> str:
    """Return the text with ${steps[0].result.text} as ${step_0}, ${prev.id} as ${previous.id}."""

    def name_act(match: re.Match[str]) -> str:
        opening, index, path = match.groups()
        closing = "}}" if opening == "{{" else "}"
        if index is None:
            return f"{opening}previous{path.strip()}{closing}"
        path = re.sub(r"^\.result(?=\.|$)", "", path.strip())
        name = names.of(int(index), path, own=own)
        if name is None:
            return match.group()
        return f"{opening}{name}{'' if path == '.text' else path}{closing}"

    return _REFERENCE.sub(name_act, text)
