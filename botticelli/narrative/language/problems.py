"""What is wrong with a file: collected while it is read, reported all at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from botticelli.errors import ConfigError, Problem
from botticelli.toml_lines import Key, key_lines, line_of, spell


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
