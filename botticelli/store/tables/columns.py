"""A table's columns as the database has them, and which value of JSON fits into which."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, date, datetime, time
from decimal import Context, Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from botticelli.errors import BotticelliError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.text import BREAK, parts_of

DEEPEST: Final = 100  # lists and objects within each other
LONGEST_NAME: Final = 63  # bytes; PostgreSQL cuts longer names, so that two could become one
TRUE: Final = frozenset({"true", "t", "yes", "y", "1"})
FALSE: Final = frozenset({"false", "f", "no", "n", "0"})
INTEGERS: Final = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


# Tables that the product runs on: no answer of a model is ever stored there.
OPERATIONAL: Final = frozenset({
    "schema_version", "actor_server_state", "runs", "locks", "batches", "generation_items",
    "model_calls", "prompt_parts", "item_memory", "row_counts", "row_changes", "deliveries",
    "ledger", "ledger_grants", "ledger_waiters",
    "narrative_state", "command_approvals", "command_audit", "content_generation_tables",
    "content_generations", "row_leases", "engagement", "pruned_rows", "pruned_calls",
    "known_secrets", "known_terms", "known_texts", "ledger_alive", "botticelli_project",
    "destination_channels", "media", "post_media", "fitted_media", "renditions", "kept_sessions",
    "spending",
    "sources", "source_items", "desk_people", "desk_keys", "lessons", "house_rules",
    "experiment_slots",
    "themes",
})  # fmt: skip
GUARDED: Final = OPERATIONAL | {"act_executions"}  # with the view of the calls
# Columns that a model's JSON fills, of the tables that we read back as ours (and of those made like
# them). Any other key is kept in `extra`.
WRITTEN: Final = frozenset({
    "text_content", "content_type", "source", "tags", "rating", "title", "link", "language",
    "parts",
})  # fmt: skip
FILLED_BY_MODELS: Final[Mapping[str, frozenset[str]]] = {
    "potential_discord_posts": WRITTEN,
    # The scores of a narrative that approves for itself; only the user's settings let one do so.
    "approved_discord_posts": WRITTEN | {"curation_score", "curation_notes"},
}
_FITS: Final = {
    "title": re.compile(r".*\S.*"),
    "link": re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE),
    "language": re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*"),
}


def as_post(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keys of a model's JSON as a post has them, and those that fit no post.

    A post in parts has them all in its text, too, with lines of `---` between them: so they are
    judged, edited and compared. What such lines cut in a text are its parts.
    """
    post, rest = _with_poll(row), {}
    for key, pattern in _FITS.items():
        value = post.pop(key, None)
        if isinstance(value, str) and pattern.fullmatch(value.strip()):
            post[key] = value.strip()
        elif value:
            rest[key] = value
    text, given = post.get("text_content"), post.pop("parts", None)
    listed = isinstance(given, list) and all(isinstance(part, str) for part in given)
    if parts := [part.strip("\r\n") for part in given if part.strip()] if listed else []:
        post["text_content"] = BREAK.join(parts)
        rest |= {} if text in (None, post["text_content"]) else {"text_content": text}
    else:
        rest |= {} if given is None else {"parts": given}
        parts = (parts_of(text) if isinstance(text, str) else None) or []
    return post | ({"parts": parts} if len(parts) > 1 else {}), rest


def _with_poll(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose poll, {"question": ..., "answers": [...]}, stands at its text's end."""
    post, poll = dict(row), row.get("poll")
    text = row.get("text_content", "")
    if not isinstance(poll, dict) or "parts" in row or not isinstance(text, str):
        return post
    question, answers = poll.get("question"), poll.get("answers")
    lines = [question, *answers] if isinstance(answers, list) else []
    if len(lines) < 3 or not all(isinstance(one, str) and one.strip() for one in lines):
        return post
    first, *others = (" ".join(one.split()) for one in lines)
    listed = "\n".join((f"{first.rstrip('?')}?", *(f"- {one}" for one in others)))
    del post["poll"]
    return post | {"text_content": f"{text.rstrip()}\n\n{listed}".strip()}


# PostgreSQL's own columns of every table.
SYSTEM_COLUMNS: Final = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


class TableError(BotticelliError):
    """A table is not there, or cannot be used in this way."""


@record
class Column:
    """One column.

    Args:
        type: As format_type says it: "bigint", "character varying(100)", "text[]".
        base: The same without its modifier: "character varying", "numeric".
        is_required: NOT NULL and nothing fills it by itself.
        labels: What an enum may hold; empty if it is not an enum.
        key_position: From 1 if it belongs to the primary key, else 0.
    """

    name: str
    type: str
    base: str
    is_required: bool
    labels: list[str]
    key_position: int


COLUMNS: Final = """
    SELECT a.attname AS name,
           format_type(a.atttypid, a.atttypmod) AS type,
           format_type(a.atttypid, NULL) AS base,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS is_required,
           ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = a.atttypid
                  ORDER BY e.enumsortorder) AS labels,
           coalesce((SELECT array_position(i.indkey::int2[], a.attnum) + 1
                       FROM pg_index AS i
                      WHERE i.indrelid = a.attrelid AND i.indisprimary), 0) AS key_position
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
     WHERE a.attrelid = to_regclass(quote_ident(%(table)s))
       AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
       AND a.attnum > 0
       AND NOT a.attisdropped
       AND a.attgenerated = ''
     ORDER BY a.attnum
"""


def columns_of(conn: Connection, table: str) -> dict[str, Column]:
    """Return the columns of a table by name, in order; empty if there is no such table."""
    if not is_table_name(table):
        return {}
    with conn.cursor(row_factory=class_row(Column)) as cursor:
        cursor.execute(COLUMNS, {"table": table})
        return {column.name: column for column in cursor}


def identifier(name: str) -> sql.Composable:
    """Return a name quoted for a statement that takes parameters."""
    return sql.Identifier(name.replace("%", "%%"))


def is_table_name(name: str) -> bool:
    """Return whether `name` may be a table: letters, digits and underscores, at most 63 bytes."""
    return bool(re.fullmatch(r"[^\W\d]\w*", name)) and len(name.encode()) <= LONGEST_NAME


def table_name(text: str) -> str:
    """Return the table that a narrative of this name is stored in.

    Raises:
        TableError: Nothing of the name can be used.
    """
    name = re.sub(r"\W+", "_", text.strip()).strip("_").lower()
    name = f"t_{name}" if name[:1].isdecimal() else name
    name = _cut(name)
    if not is_table_name(name):
        raise TableError(f"no table can be called '{text}'", hint="give the narrative a target")
    return name


def answers_table(*, target: str, narrative: str) -> str:
    """Return the table that a narrative's rows go to: its target, else one that has its name.

    Raises:
        TableError: It would be a table that the product runs on, or can be none.
    """
    table = table_name(target or narrative)
    if table not in OPERATIONAL:
        return table
    if not target:
        return f"{table}_rows"
    raise TableError(
        f"'{table}' is a table of Botticelli's own; no answer can be stored there",
        hint="give the narrative another target",
    )


def column_name(key: str) -> str:
    """Return the column that a JSON key gets in a table of ours; empty if it can have none."""
    name = re.sub(r"\W+", "_", snake(key)).strip("_").lower()
    name = f"_{name}" if name[:1].isdecimal() else name
    is_possible = re.fullmatch(r"[^\W\d]\w*", name) and name not in SYSTEM_COLUMNS
    return name if is_possible and len(name.encode()) <= LONGEST_NAME else ""


def _cut(name: str) -> str:
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")


def snake(key: str) -> str:
    """Return `fullText` as `full_text`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()


def match(key: str, columns: Mapping[str, Any]) -> str | None:
    """Return the column that a JSON key means: as it is, lower, snake_case, camelCase."""
    head, *rest = snake(key).split("_")
    camel = head + "".join(word.capitalize() for word in rest)
    choices = (key, key.lower(), snake(key), column_name(key), camel)
    return next((choice for choice in choices if choice and choice in columns), None)


@record
class Fit:
    """A value as a column takes it.

    Args:
        is_exact: Reading the column gives the very value back; else it should be kept elsewhere.
    """

    value: Any
    is_exact: bool = True


def fit(value: Any, column: Column) -> Fit | None:
    """Return `value` as `column` can hold it; None if it cannot."""
    if value is None:
        return None if column.is_required else Fit(value=None)
    if column.base.endswith("[]"):
        return _array(value, column)
    if column.labels:
        return Fit(value=value) if value in column.labels else None
    rule = _RULES.get(column.base)
    if rule is not None:
        return rule(value, column)
    return Fit(value=value) if isinstance(value, str) else None


def clean(value: Any, *, depth: int = DEEPEST) -> Any:
    """Return a JSON value without what PostgreSQL can hold in no text or JSON.

    NUL and lone surrogates become other characters; NaN and infinity, which JSON has not, null;
    what lies deeper than `depth` lists and objects is left out.
    """
    if not depth or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, str):
        text = value.replace("\x00", "\ufffd")
        has_surrogates = any("\ud800" <= character <= "\udfff" for character in text)
        return text.encode(errors="replace").decode() if has_surrogates else text
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(inner, depth=depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner, depth=depth - 1) for inner in value]
    return value


def as_text(value: Any) -> str:
    """Return a value as a text column shows it: strings as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Any, column: Column) -> Fit | None:
    text = as_text(value)
    size = re.search(r"\((\d+)\)", column.type)
    if size and len(text) > int(size[1]):
        return None
    return Fit(value=text, is_exact=isinstance(value, str))


def _integer(value: Any, column: Column) -> Fit | None:
    number = _number(value)
    if number is None or number != int(number):
        return None
    bound = INTEGERS[column.base]
    whole = int(number)
    if not -bound <= whole < bound:
        return None
    return Fit(value=whole, is_exact=_is_number(value))


def _numeric(value: Any, column: Column) -> Fit | None:
    number = _number(value)
    if number is None:
        return None
    exact = Decimal(str(number))
    size = re.search(r"\((\d+),(\d+)\)", column.type)
    if not size:
        return Fit(value=exact, is_exact=_is_number(value))
    digits, scale = int(size[1]), int(size[2])
    if abs(exact) >= Decimal(10) ** (digits - scale):
        return None
    rounded = exact.quantize(Decimal(1).scaleb(-scale), context=Context(prec=digits + 2))
    return Fit(value=rounded, is_exact=rounded == exact and _is_number(value))


def _floating(value: Any, column: Column) -> Fit | None:
    number = _number(value)
    try:
        floating = float(number) if number is not None else math.inf
    except OverflowError:
        return None
    if not math.isfinite(floating) or (column.base == "real" and abs(floating) > 3e38):
        return None
    return Fit(value=floating, is_exact=_is_number(value) and floating == number)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> int | float | None:
    """A finite number, also one that a model put into quotes."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, str) or not re.fullmatch(r"\s*[+-]?\d{1,40}(\.\d+)?\s*", value):
        return None
    return float(value) if "." in value else int(value)


def _boolean(value: Any, _column: Column) -> Fit | None:
    if isinstance(value, bool):
        return Fit(value=value)
    if _is_number(value) and value in (0, 1):
        return Fit(value=bool(value), is_exact=False)
    word = value.strip().lower() if isinstance(value, str) else ""
    return Fit(value=word in TRUE, is_exact=False) if word in TRUE | FALSE else None


def _json(value: Any, _column: Column) -> Fit:
    return Fit(value=Jsonb(value))


def _parsed(parse: Callable[[str], Any]) -> Callable[[Any, Column], Fit | None]:
    def rule(value: Any, _column: Column) -> Fit | None:
        try:
            found = parse(value) if isinstance(value, str) else None
        except ValueError:
            return None
        # What lies at the very end of time cannot be read back in every zone.
        is_odd = found is None or getattr(found, "year", MINYEAR + 1) in (MINYEAR, MAXYEAR)
        return None if is_odd else Fit(value=found)

    return rule


def _array(value: Any, column: Column) -> Fit | None:
    """A list into an array; one value alone becomes a list of one."""
    from dataclasses import replace

    inner = replace(
        column, type=column.type[:-2], base=column.base[:-2], is_required=False, labels=[]
    )
    items: Sequence[Any] = value if isinstance(value, list) else [value]
    fits = [fit(item, inner) for item in items]
    whole = [each for each in fits if each is not None]
    if len(whole) < len(fits):
        return None
    is_exact = isinstance(value, list) and all(each.is_exact for each in whole)
    return Fit(value=[each.value for each in whole], is_exact=is_exact)


_RULES: Final[Mapping[str, Callable[[Any, Column], Fit | None]]] = {
    "text": _text,
    "character varying": _text,
    "character": _text,
    "smallint": _integer,
    "integer": _integer,
    "bigint": _integer,
    "numeric": _numeric,
    "real": _floating,
    "double precision": _floating,
    "boolean": _boolean,
    "jsonb": _json,
    "json": _json,
    "uuid": _parsed(UUID),
    "date": _parsed(date.fromisoformat),
    "time without time zone": _parsed(time.fromisoformat),
    "timestamp without time zone": _parsed(datetime.fromisoformat),
    "timestamp with time zone": _parsed(datetime.fromisoformat),
}
