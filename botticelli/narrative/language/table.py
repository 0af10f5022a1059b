"""Typed reading of a TOML table that notes every mistake and every key that was not read.

What is wrong with a file is collected while it is read, and reported all at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from botticelli.config.keys import Key as FileKey
from botticelli.config.keys import keys_of
from botticelli.errors import ConfigError, Problem
from botticelli.narrative.language.model import Retention
from botticelli.text import nearest
from botticelli.toml_lines import Key, key_lines, line_of, spell

_NAMES: Final = {
    bool: "true or false",
    str: "a string",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


class Findings:
    """Mistakes (the file must not be run) and warnings (it does less than its author hopes).

    Args:
        path: The file, as messages name it.
        text: Its text, to find the lines in.
    """

    def __init__(self, *, path: Path, text: str) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._suspects: list[Problem] = []
        self.text = text
        self._is_forgiving = False

    def error(self, key: Key, what: str, *, hint: str = "") -> None:
        """Note a mistake at that key."""
        if self._is_forgiving:
            return self.warn(key, what, hint=hint)
        problem = Problem(what=what, where=self.where(key), hint=hint)
        if problem not in self.problems:
            self.problems.append(problem)
        return None

    def warn(self, key: Key, what: str, *, hint: str = "") -> None:
        """Note something that loads, but is probably not what is meant."""
        line = str(Problem(what=what, where=self.where(key), hint=hint))
        if line not in self.warnings:
            self.warnings.append(line)

    def suspect(self, key: Key, what: str, *, hint: str) -> None:
        """Warn of a key that looks like a slip; beside a mistake it may well be the reason."""
        self.warn(key, what, hint=hint)
        if not self._is_forgiving:
            self._suspects.append(Problem(what=what, where=self.where(key), hint=hint))

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Turn mistakes into warnings: for parts of the file that nothing uses."""
        before, self._is_forgiving = self._is_forgiving, True
        try:
            yield
        finally:
            self._is_forgiving = before

    def where(self, key: Key) -> str:
        """Return FILE:LINE: KEY, as far as they are known."""
        line = line_of(key, self._lines)
        place = str(self.path) if line is None else f"{self.path}:{line}"
        return f"{place}: {spell(key)}" if key else place

    def raise_problems(self) -> None:
        """Raise one ConfigError with every mistake, if there is any, and every likely reason."""
        if self.problems:
            raise ConfigError.of([*self.problems, *self._suspects])

    @cached_property
    def _lines(self) -> Mapping[Key, int]:
        return key_lines(self.text)


class Table:
    """One table of the file. Keys that are asked for are known; `done` warns of all others."""

    def __init__(self, values: Mapping[str, Any], *, key: Key, findings: Findings) -> None:
        self.values = values
        self.key = key
        self.findings = findings
        self._known: set[str] = set()

    def read(self, kind: type, *, but: Sequence[str] = (), **defaults: Any) -> dict[str, Any]:
        """Return the values of a record's keys by field, and know these keys.

        What needs more than its type is returned as written: see `FileKey.rule`.

        Args:
            kind: Class of the record.
            but: Fields whose keys are left alone.
            defaults: Values of fields whose keys are not there, over the record's own.
        """
        return {
            each.field: self._value(each, defaults.get(each.field, each.default))
            for each in keys_of(kind)
            if each.field not in but
        }

    def _value(self, key: FileKey, default: Any) -> Any:
        names = (*key.path, *key.also)
        if key.type is Retention:
            return self._retention(names)
        if get_origin(key.type) is Literal:
            return self.choice(*names, options=get_args(key.type), default=default)
        if key.rule.keys() & {"ref", "type", "anyOf"} or key.type is Any:
            return self.take(*names)
        if get_origin(key.type) is Mapping:
            return self.table(*names).values
        found: Any
        if get_origin(key.type) is tuple:
            found = self.strings(*names)
        elif key.type is int:
            found = self.integer(*names, least=key.rule.get("min", 0))
        else:
            found = self.number(*names) if key.type is float else self._typed(names, key.type)
        return default if found is None or (found == "" and default is None) else found

    def _retention(self, names: Sequence[str]) -> Retention:
        """Return how long an input is kept in the history; an unknown word means full."""
        word = self.text(*names, default="full").lower()
        known = [each.value for each in Retention]
        if word in known:
            return Retention(word)
        hint = nearest(word, known) or f"use one of {', '.join(known)}"
        self.odd(names, f"'{word}' is unknown, taken as full", hint=hint)
        return Retention.FULL

    def take(self, *names: str) -> Any:
        """Return the value of the first of these synonyms that is there; None: none is."""
        self._known.update(names)
        return next((self.values[name] for name in names if name in self.values), None)

    def has(self, *names: str) -> bool:
        """Return whether one of these keys is there; asking makes them known."""
        self._known.update(names)
        return any(name in self.values for name in names)

    def text(self, *names: str, default: str = "") -> str:
        """Return a string."""
        value = self._typed(names, str)
        return default if value is None else value

    def integer(self, *names: str, least: int = 0) -> int | None:
        """Return a whole number, also from a string of digits; None: not given."""
        value = self.take(*names)
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < 19:
            value = int(value)
        if value is None:
            return None
        if _is(value, int) and value >= least:
            return int(value)
        self.wrong(names, f"must be a whole number from {least} on, not {_show(value)}")
        return None

    def number(self, *names: str, least: float = 0.0) -> float | None:
        """Return a number, whole or not; None: not given."""
        value = self.take(*names)
        if value is None:
            return None
        if _is(value, float) and least <= value < float("inf"):
            return float(value)
        self.wrong(names, f"must be a number from {least:g} on, not {_show(value)}")
        return None

    def choice(self, *names: str, options: Sequence[str], default: str) -> str:
        """Return one of the options, in any case."""
        value = self.text(*names, default=default)
        if value.lower() in options:
            return value.lower()
        listed = ", ".join(options)
        hint = nearest(value.lower(), options)
        self.wrong(names, f"'{value}' is not one of {listed}", hint=hint)
        return default

    def strings(self, *names: str) -> tuple[str, ...]:
        """Return a list of strings; a single string is a list of one."""
        value = self.take(*names)
        values = [value] if isinstance(value, str) else value or []
        if isinstance(values, list) and all(isinstance(each, str) for each in values):
            return tuple(values)
        self.wrong(names, f"must be a string or a list of strings, not {_show(value)}")
        return ()

    def table(self, *names: str) -> "Table":
        """Return a table below this one; an empty one if it is not there."""
        return self.below(self.named(names), self._typed(names, dict) or {})

    def below(self, name: str | int, values: Mapping[str, Any]) -> "Table":
        """Return a table below this one."""
        return Table(values, key=(*self.key, name), findings=self.findings)

    def named(self, names: Sequence[str]) -> str:
        """Return the synonym that the file uses, or the first."""
        return next((name for name in names if name in self.values), names[0])

    def wrong(self, names: Sequence[str], what: str, *, hint: str = "") -> None:
        """Note a mistake in that key."""
        self.findings.error((*self.key, self.named(names)), what, hint=hint)

    def odd(self, names: Sequence[str], what: str, *, hint: str = "") -> None:
        """Warn of that key."""
        self.findings.warn((*self.key, self.named(names)), what, hint=hint)

    def ignore(self, *names: str) -> None:
        """Know these keys without a use for them."""
        self._known.update(names)

    def unasked(self) -> list[str]:
        """Return the unread keys, in the order written."""
        return [name for name in self.values if name not in self._known]

    def done(self, *, is_strict: bool = False) -> None:
        """Warn of each unread key; `is_strict`: it is a mistake."""
        for name in self.unasked():
            hint = nearest(name, self._known)
            if is_strict:
                self.wrong((name,), "unknown key", hint=hint)
            elif hint:
                self.findings.suspect((*self.key, name), "unknown key, ignored", hint=hint)
            else:
                self.odd((name,), "unknown key, ignored")

    def _typed(self, names: Sequence[str], kind: type) -> Any:
        value = self.take(*names)
        if value is None or _is(value, kind):
            return value
        self.wrong(names, f"must be {_NAMES[kind]}, not {_show(value)}")
        return None


def _is(value: Any, kind: type) -> bool:
    """Return whether the value is of that TOML type; a whole number is a number, true is none."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _show(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
