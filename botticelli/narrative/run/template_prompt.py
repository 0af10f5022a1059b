"""The prompt of an act in template mode: a table's columns in words around the author's own text.

A prompt that speaks of fields or a schema itself is left alone (docs/dialect.md §11.3).
"""

from collections.abc import Callable
from typing import Final

from botticelli.store.connection import Connection
from botticelli.store.tables.columns import Column, columns_of

SPEAKS_OF_FIELDS: Final = (
    "required fields", "optional fields", "json object", "critical output", "schema", "data type",
)  # fmt: skip
KINDS: Final = {
    "smallint": "whole number", "integer": "whole number", "bigint": "whole number",
    "numeric": "number", "real": "number", "double precision": "number",
    "boolean": "true or false", "jsonb": "JSON", "json": "JSON", "uuid": "UUID", "date": "date",
    "timestamp with time zone": "ISO 8601 time with zone",
    "timestamp without time zone": "ISO 8601 time",
}  # fmt: skip
HINTS: Final = {
    "_id": "a Discord id: 17 to 19 digits",
    "_at": "such as 2025-01-31T12:00:00Z",
    "_url": "a complete address",
    "_count": "not below zero",
}
RULES: Final = """Rules for the answer:
- JSON only: no remarks before or after it, no code fences.
- The first character is { and the last one }.
- Every required field is there, with a value of its kind.
- Values are realistic and fit together."""


def assembled(conn: Connection, template: str, *, text: str, warn: Callable[[str], None]) -> str:
    """Return a prompt that asks for an object with the template's columns.

    The text alone if it says already what is wanted, or, with a warning, if there is no such table.
    """
    lower = text.lower()
    if any(phrase in lower for phrase in SPEAKS_OF_FIELDS):
        return text
    columns = columns_of(conn, template)
    if not columns:
        warn(f"there is no table '{template}', so no prompt says which fields are wanted")
        return text
    required = [_line(column) for column in columns.values() if column.is_required]
    optional = [f"{_line(c)} (optional)" for c in columns.values() if not c.is_required]
    blocks = []
    if template.startswith("discord_"):
        blocks.append("The answer describes something on Discord, a chat platform.")
    if required:
        blocks.append("Required columns:\n" + "\n".join(required))
    if optional:
        blocks.append("Further columns:\n" + "\n".join(optional))
    return "\n\n".join([*blocks, text, RULES])


def _line(column: Column) -> str:
    hint = next((hint for ending, hint in HINTS.items() if column.name.endswith(ending)), "")
    return f"- {column.name}: {_kind(column)}" + (f", {hint}" if hint else "")


def _kind(column: Column) -> str:
    if column.labels:
        return "one of " + ", ".join(column.labels)
    if column.base.endswith("[]"):
        return "list of texts"
    size = column.type.partition("(")[2].rstrip(")")
    if column.base == "character varying" and size:
        return f"text of at most {size} characters"
    return KINDS.get(column.base, "text")
