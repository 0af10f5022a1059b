"""From the checked tables of the file to records: what needs more than its structure checked."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin

from botticelli import cron
from botticelli.config.curation import Weights
from botticelli.config.keys import REST, Key, is_table, keys_of
from botticelli.config.model import Destination, Schedule
from botticelli.config.secrets import Secret
from botticelli.config.structure import Mistake, Place

Table = Mapping[str, Any]

# The kinds of schedule that a key belongs to.
OF_KINDS: Final = {
    "seconds": ("Interval",),
    "jitter_percent": ("Interval",),
    "at": ("Daily",),
    "cron": ("Cron",),
    "time_zone": ("Daily", "Cron"),
    "jitter_minutes": ("Daily", "Cron"),
}


@dataclass(kw_only=True)
class Builder:
    """Makes records of tables and collects what is wrong on the way.

    Args:
        base: Folder that relative paths start from.
        mistakes: What has been found so far.
    """

    base: Path
    mistakes: list[Mistake] = field(default_factory=list)

    def record(
        self, kind: Any, table: Table, known: Any = None, place: Place = (), **more: Any
    ) -> Any:
        """Return the record of a table; what the table leaves out is as in `known`.

        Args:
            kind: Class of the record.
            table: Keys and values of the file, of the right structure.
            known: A record with the defaults; None: the ones of the class.
            place: Where the table stands in the file.
            more: Fields that no key fills.
        """
        keys = keys_of(kind)
        for key in keys:
            default = key.default if known is None else getattr(known, key.field)
            if not key.path:
                more[key.field] = self.record(key.type, table, default, place)
            elif key.path == REST:
                named = {each.path[0] for each in keys}
                others = {name: value for name, value in table.items() if name not in named}
                more[key.field] = self._value(key, key.type, others, place)
            else:
                more[key.field] = self._key(key, table, default, place)
        return self._finished(kind(**more), table, place)

    def _key(self, key: Key, table: Table, default: Any, place: Place) -> Any:
        found: Any = table
        for part in key.path:
            found = found.get(part, MISSING)
            if found is MISSING:
                break
        place = (*place, *key.path)
        if is_table(key.type):
            return self.record(key.type, {} if found is MISSING else found, default, place)
        if found is MISSING or (key.type is Path and not found):
            return self._located(default)
        return self._value(key, key.type, found, place)

    def _value(self, key: Key, kind: Any, value: Any, place: Place) -> Any:
        """Return a value of the file as a field of that type holds it."""
        if get_origin(kind) is tuple:
            return self._values(key, get_args(kind)[0], value, place)
        if get_origin(kind) is Mapping:
            entry = partial(self._entry, key, get_args(kind)[1])
            return MappingProxyType({name: entry(value[name], (*place, name)) for name in value})
        if is_table(kind):
            return self.record(kind, value, place=place)
        try:
            return self._scalar(key, kind, value)
        except ValueError as error:
            self._wrong(error, place)
            return None

    def _values(self, key: Key, kind: Any, value: Any, place: Place) -> tuple[Any, ...]:
        """Return a list, or a single value as a list of one, without empty values."""
        if not isinstance(value, list):
            return (self._value(key, kind, value, place),) if value else ()
        return tuple(
            self._value(key, kind, each, (*place, index))
            for index, each in enumerate(value)
            if each or "single" not in key.rule
        )

    def _entry(self, key: Key, kind: Any, value: Any, place: Place) -> Any:
        """Return an entry of a table with free names; a destination knows its own."""
        if kind is Destination:
            return self.record(kind, value, place=place, name=place[-1])
        return self._value(key, kind, value, place)

    def _scalar(self, key: Key, kind: Any, value: Any) -> Any:
        if key.parse:
            return key.parse(value)
        if kind is timedelta:
            return _span(value, key.unit)
        if kind is Path:
            return self.base / Path(value).expanduser()
        # An id may be written as a number, a whole number as 2.0.
        return kind(value) if kind in (str, int, Secret) else value

    def _wrong(self, error: ValueError, place: Place) -> None:
        what, *hint = map(str, error.args)
        self.mistakes.append(Mistake(path=place, what=what, hint="".join(hint)))

    def _located(self, default: Any) -> Any:
        """Return a default; a path in it starts from the base."""
        if isinstance(default, tuple):
            return tuple(map(self._located, default))
        return self.base / default if isinstance(default, Path) else default

    def _finished(self, made: Any, table: Table, place: Place) -> Any:
        """Return a record whose keys fit each other."""
        if isinstance(made, Schedule):
            return self._schedule(made, table, place)
        if isinstance(made, Weights) and not any(vars(made).values()):
            self.mistakes.append(Mistake(path=place, what="no criterion counts anything"))
        return made

    def _schedule(self, made: Schedule, table: Table, place: Place) -> Schedule:
        for name in table:
            if made.kind not in OF_KINDS.get(name, (made.kind,)):
                what = f"'{name}' means nothing to type = \"{made.kind}\""
                self.mistakes.append(Mistake(path=(*place, name), what=what, hint="remove it"))
        if made.kind == "Interval":
            return made
        needed = "at" if made.kind == "Daily" else "cron"
        if needed not in table:
            self.mistakes.append(Mistake(path=place, what=f"'{needed}' is missing"))
        return replace(made, interval=self._longest_gap(made.cron, place), jitter_percent=0)

    def _longest_gap(self, line: str, place: Place) -> timedelta:
        """Return how far apart two rounds of a Daily or Cron schedule are at most."""
        try:
            return cron.longest_gap(cron.parse(line)) if line else timedelta(days=1)
        except ValueError as error:
            self._wrong(error, (*place, "cron"))
            return timedelta(days=1)


def _span(value: float, unit: str) -> timedelta:
    try:
        return timedelta(**{unit: value})
    except OverflowError:
        raise ValueError(f"{value} {unit} are too many") from None
