"""Rows as text for a prompt: json, markdown or csv (docs/dialect.md §8.2), properly escaped."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

from botticelli.text import mapped

Format = Literal["json", "markdown", "csv"]
NO_ROWS = "No data"


def format_rows(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], form: Format) -> str:
    """Return rows as a model reads them; values cannot be confused with their neighbors."""
    if form == "json":
        return json.dumps([plain(row) for row in rows], ensure_ascii=False, indent=2)
    if form == "csv":
        return _csv(rows, columns)
    return _markdown(rows, columns)


def plain(value: Any) -> Any:
    """Return a value of the database as JSON has it."""
    return mapped(value, _plain_scalar)


def _plain_scalar(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def _markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return NO_ROWS
    lines = [_line(columns), _line(["---"] * len(columns))]
    lines += [_line([_cell(row.get(name)) for name in columns]) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Any) -> str:
    text = _word(value, null="null")
    text = text.replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("\r\n", "<br>").replace("\n", "<br>").replace("\r", "<br>")


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_word(row.get(name), null="") for name in columns] for row in rows)
    return text.getvalue().rstrip("\n")


def _word(value: Any, *, null: str) -> str:
    if value is None:
        return null
    bare = plain(value)
    return bare if isinstance(bare, str) else json.dumps(bare, ensure_ascii=False)
