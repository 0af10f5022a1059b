"""`[[steps]]` files -> acts (docs/dialect.md §4.11).

Consecutive context steps make one act, each command makes one. What `${steps[N]...}` and
`${prev...}` refer to is then an act like any other, so they are rewritten to its name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from botticelli.narrative.language.inputs import ReadInput, read_command
from botticelli.narrative.language.model import Act, BotCommand, Settings, Text
from botticelli.narrative.language.resources import read_settings
from botticelli.narrative.language.table import Table
from botticelli.records import record
from botticelli.text import nearest
from botticelli.toml_lines import Key

_REFERENCE: Final = re.compile(r"(\$\{|\{\{)\s*(?:steps\[(\d+)\]|prev(?=[.}\s]))([^}]*)\}{1,2}")


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
    args = _rewritten_all(dict(source.input.args), rewritten)
    return replace(source, input=replace(source.input, args=args))


def _rewritten_all(value: Any, rewritten: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return rewritten(value)
    if isinstance(value, dict):
        return {key: _rewritten_all(each, rewritten) for key, each in value.items()}
    if isinstance(value, list):
        return [_rewritten_all(each, rewritten) for each in value]
    return value


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
