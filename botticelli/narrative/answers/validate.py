"""An answer as the JSON that was wanted: extracted, fitted to its schema, as rows to store."""

from collections.abc import Iterator, Mapping
from typing import Any

from botticelli.errors import BotticelliError
from botticelli.narrative.answers.json_extraction import NotJson, extract, mismatch, rows_of
from botticelli.records import record


class InvalidAnswer(BotticelliError):
    """An answer that cannot be used; the reason is kept with it."""


@record
class ParsedAnswer:
    """A usable answer.

    Args:
        value: Valid by the schema, if there is one.
        rows: The same as rows; empty if it is not made of objects.
        repaired: Whether it had to be repaired, or put into or out of a list.
    """

    value: Any
    rows: tuple[Mapping[str, Any], ...]
    repaired: bool


def read_answer(
    text: str, *, schema: Mapping[str, Any] | None = None, as_rows: bool = False
) -> ParsedAnswer:
    """Return what an answer says; `as_rows`: it has to be an object or a list of objects.

    Raises:
        InvalidAnswer: It is no JSON, not by the schema, or no rows.
    """
    try:
        found = extract(text)
        value, refitted = _fitted(found.value, schema)
        rows = _rows(value, is_wanted=as_rows)
    except NotJson as error:
        raise InvalidAnswer(error.what) from error
    return ParsedAnswer(value=value, rows=rows, repaired=found.repaired or refitted)


def _rows(value: Any, *, is_wanted: bool) -> tuple[Mapping[str, Any], ...]:
    try:
        return rows_of(value)
    except NotJson:
        if is_wanted:
            raise
        return ()


def _fitted(value: Any, schema: Mapping[str, Any] | None) -> tuple[Any, bool]:
    """A value that satisfies the schema; models give one object for a list of one, and back."""
    if schema is None:
        return value, False
    reason = mismatch(value, schema)
    if not reason:
        return value, False
    for other in _alternatives(value):
        if not mismatch(other, schema):
            return other, True
    raise InvalidAnswer(f"the answer does not fit its schema: {reason}")


def _alternatives(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield [value]
    elif isinstance(value, list) and len(value) == 1:
        yield value[0]
