"""What comes out of the database as Python values, whoever has put it in there.

Rows may have been written by hand, by an older version or by a dump that somebody else has made.
A value that Python cannot hold is taken for the nearest one that it can, and JSON of another shape
than the one that a field asks for counts as empty: one odd row must not end what works on many.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, Self, TypeVar, get_args, get_origin

import psycopg
from psycopg import adapt
from psycopg.rows import BaseRowFactory, class_row
from psycopg.types.json import Jsonb, set_json_loads

Row = TypeVar("Row")

# Far from the bounds of datetime, so that zones and spans can be reckoned with.
EARLIEST: Final = datetime(1000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
# Parameters of statements that hold words about what happened.
TELLING: Final = frozenset({"error", "error_message", "note", "reason", "summary", "event"})
LONGEST_NUMBER: Final = 4000  # digits; a longer one becomes a float


def prepare(conn: "psycopg.Connection[Any]") -> None:
    """Let a connection read every row."""
    conn.cursor_factory = HidingCursor
    conn.adapters.register_loader("timestamptz", _Instant)
    conn.adapters.register_loader("numeric", _Number)
    set_json_loads(loads, conn)


def shaped(kind: type[Row]) -> BaseRowFactory[Row]:
    """Return a row factory that makes a `kind`; its fields of JSON have the shape they ask for."""
    make = class_row(kind)
    checks = _checks(kind)  # type: ignore[arg-type]
    if not checks:
        return make

    def factory(cursor: Any) -> Callable[[Sequence[Any]], Row]:
        made = make(cursor)
        names = [column.name for column in cursor.description or ()]
        places = [(names.index(name), check) for name, check in checks if name in names]

        def row(values: Sequence[Any]) -> Row:
            fitting = list(values)
            for place, check in places:
                fitting[place] = check(fitting[place])
            return made(fitting)

        return row

    return factory


@cache
def _checks(kind: Any) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    return tuple(
        (name, as_objects if _is(hint, Sequence) else as_object)
        for name, hint in kind.__annotations__.items()
        if _is(hint, Mapping) or (_is(hint, Sequence) and _is(get_args(hint)[0], Mapping))
    )


def _is(hint: Any, base: type) -> bool:
    """Return whether a generic annotation is of a kind: Sequence[..], tuple[..], Mapping[..]."""
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, base)


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; of anything else none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def loads(data: str | bytes) -> Any:
    """Return JSON as Python has it; None for what is too deep to be read."""
    try:
        return json.loads(data, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_NUMBER else float(digits)


class HidingCursor(psycopg.Cursor[Any]):
    """Stores no secret in what goes wrong: a provider may have repeated one in its error."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """See psycopg."""
        if not isinstance(query, str):  # of names that a user chose: such a table may change
            options["prepare"] = False
        if isinstance(params, Mapping) and (told := TELLING & params.keys()):
            params = {**params, **{name: _hidden(params[name]) for name in told}}
        return super().execute(query, params, **options)


def _hidden(value: Any) -> Any:
    from botticelli.config import hiding

    if isinstance(value, Jsonb):
        return Jsonb(hiding.current().hide_within(value.obj))
    return hiding.current().hide(value) if isinstance(value, str) and value else value


class _Lenient(adapt.Loader):
    """Asks psycopg's own loader first."""

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        known = psycopg.adapters.get_loader(oid, self.format)
        assert known is not None
        self._own = known(oid, context)


class _Instant(_Lenient):
    """Instants; those that Python does not know lie at the end of time, or at its beginning."""

    def load(self, data: Any) -> Any:
        """See Loader."""
        try:
            found = self._own.load(data)
        except psycopg.DataError:
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST
        return min(max(found, EARLIEST), LATEST)


class _Number(_Lenient):
    """Numbers; what is none counts as 0."""

    def load(self, data: Any) -> Any:
        """See Loader."""
        found = self._own.load(data)
        return found if found.is_finite() else Decimal(0)
