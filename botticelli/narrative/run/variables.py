"""What a name in a placeholder means in a run; first hit wins (docs/dialect.md §6.3)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botticelli.narrative.answers.json_extraction import value_in
from botticelli.narrative.language.template import Style, Unresolved, Value, meant
from botticelli.narrative.run.results import ActResult, ActState
from botticelli.records import record

ENVIRONMENT_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
SEGMENT: Final = re.compile(r"[^.\[\]]+")


class ActNotDone(Unresolved):
    """A placeholder names an act that failed or was skipped: what uses it is skipped, too."""


@record
class TableText:
    """Rows that an input read, as the prompt shows them.

    Args:
        values: Of the first one, by column: `{{NAME.COLUMN}}`; only of a source's items.
    """

    text: str
    rows: int
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Variables:
    """The names of one run of one narrative; a Scope.

    Args:
        acts: All act names of the narrative, for messages.
        given: `--input` values, over [narrative.context].
        state: Reads the state store.
        kept: Keys of the state that the narrative itself names: `${KEY}` will do for them.
        results: Executed acts, oldest first; grows.
        tables: Name -> rows that were read under it; grows.
    """

    acts: Sequence[str]
    given: Mapping[str, str]
    environ: Mapping[str, str]
    state: Callable[[str], str | None]
    warn: Callable[[str], None]
    kept: frozenset[str] = frozenset()
    results: list[ActResult] = field(default_factory=list)
    tables: dict[str, TableText] = field(default_factory=dict)

    def find(self, name: str, *, style: Style) -> Value:
        """See Scope."""
        prefix, colon, key = name.partition(":")
        if colon and prefix in ("env", "state", "STATE"):
            return self._environment(key) if prefix == "env" else self._stored(key)
        if name in ("previous", "prev", "previous_output", "json") and self.results:
            return self._value(self.results[-1], "")
        head, path = self.split(name)
        found = self.executed(head)
        if found is not None:
            return self._value(found, path)
        return self._other(name, style)

    def executed(self, name: str) -> ActResult | None:
        """Return the latest execution that `name` (an act, or the end of its name) stands for."""
        if name in ("previous", "prev"):
            return self.results[-1] if self.results else None
        exact = [result for result in self.results if result.name == name]
        if exact:
            return exact[-1]
        if name in self.tables:
            return None
        ending = [result for result in self.results if result.name.endswith(f"_{name}")]
        if len({result.name for result in ending}) > 1:
            self.warn(f"'{name}' could be several acts; the latest, '{ending[-1].name}', is meant")
        return ending[-1] if ending else None

    def split(self, name: str) -> tuple[str, str]:
        """Return act and path; act names may hold dots and brackets themselves."""
        acts = [result.name for result in self.results]
        found = meant(name, acts) if name not in self.tables else ""
        if found and name.startswith(found):
            return found, name[len(found) :]
        if found.endswith(f"_{name}"):
            return name, ""
        head = re.split(r"[.\[]", name, maxsplit=1)[0]
        return head, name[len(head) :]

    def _other(self, name: str, style: Style) -> Value:
        head, _, column = name.partition(".")
        if column and head in self.tables and column in self.tables[head].values:
            return _of(self.tables[head].values[column])
        if name in self.tables:
            table = self.tables[name]
            return Value(value=table.text, text=table.text, truth=table.rows > 0)
        if name in self.given:
            return _of(self._variable(name))
        if style == "dollar" and name in self.kept and not self.environ.get(name):
            return self._stored(name)
        if style == "dollar" and ENVIRONMENT_NAME.fullmatch(name):
            return self._environment(name)
        raise Unresolved(f"nothing is called '{name}' here", hint=self._known())

    def _variable(self, name: str) -> str:
        """The value "{previous_output}" stands for the answer before, or for what was piped in."""
        text = self.given[name]
        if text.strip() != "{previous_output}" or name == "previous_output":
            return text
        if self.results:
            return self.results[-1].text
        return self.given.get("previous_output", text)

    def _known(self) -> str:
        executed = dict.fromkeys(result.name for result in self.results)
        known = [*executed, *self.tables, *self.given]
        if not known:
            return "no act has run and no table was read yet"
        return "known: " + ", ".join(known)

    def _environment(self, name: str) -> Value:
        if not self.environ.get(name):
            raise Unresolved(f"environment variable {name} is not set", hint=f"set {name}")
        return _of(self.environ[name])

    def _stored(self, key: str) -> Value:
        text = self.state(key)
        if text is None:
            raise Unresolved(f"the state has no '{key}'")
        return _of(text)

    def _value(self, result: ActResult, path: str) -> Value:
        if result.state is not ActState.DONE:
            raise ActNotDone(f"act '{result.name}' is {result.state}: {result.reason}")
        if not path:
            return _of(result.text)
        segments = SEGMENT.findall(path)
        for value, noun in _documents(result):
            found = _reach(value, segments, noun=noun)
            if found is not _NOWHERE:
                return _of(found)
        if segments[0] in ("result", "text", "response") and len(segments) <= 2:
            return _of(result.text)  # steps[0].result.text: the answer itself
        raise Unresolved(f"act '{result.name}' has no '{'.'.join(segments)}' in its result")


_NOWHERE: Final = object()


def _documents(result: ActResult) -> list[tuple[Any, str]]:
    """What a path may lead into, latest command first: several results are one list, too."""
    if result.values:
        single = list(zip(result.values, result.nouns, strict=True))[::-1]
        return single if len(single) == 1 else [*single, (list(result.values), "")]
    return [(value, "") for value in value_in(result.text)]


def _reach(value: Any, segments: Sequence[str], *, noun: str) -> Any:
    for segment in segments:
        if isinstance(value, Mapping):
            value = _field(value, segment, noun=noun)
        elif isinstance(value, list) and segment.isdecimal() and int(segment) < len(value):
            value = value[int(segment)]
        else:
            return _NOWHERE
        if value is _NOWHERE:
            return _NOWHERE
    return value


def _field(value: Mapping[str, Any], key: str, *, noun: str) -> Any:
    """A created channel's `id` answers to `channel_id`, too, and the other way round."""
    if key in value:
        return value[key]
    if noun and key == f"{noun}_id" and "id" in value:
        return value["id"]
    if noun and key == "id" and f"{noun}_id" in value:
        return value[f"{noun}_id"]
    return _NOWHERE


def _of(value: Any) -> Value:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Value(
        value=value, text=text, truth=bool(value.strip() if isinstance(value, str) else value)
    )


def dig(value: Any, path: str, *, noun: str = "") -> Any:
    """Return what a JSON path ("$.channel.id", "items[0].id") leads to; None if to nothing.

    `noun` says what the value is: the id of a "channel" answers to `channel_id`, too.
    """
    segments = SEGMENT.findall(path.removeprefix("$"))
    found = _reach(value, segments, noun=noun)
    return None if found is _NOWHERE else found
