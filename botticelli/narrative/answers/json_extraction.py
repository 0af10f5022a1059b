"""JSON out of what models really write (docs/dialect.md §12), and whether it is what was asked for.

The whole answer is tried first, so that a code fence inside a string is just text; a cut list is
never taken for a short one; what had to be repaired says so.
"""

import ast
import html
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any, Final, NoReturn

from botticelli.errors import BotticelliError
from botticelli.records import record
from botticelli.text import mapped, shorten

FENCE: Final = re.compile(
    r"\A(?:```+|~~~+)[\w+-]*[ \t]*\n?(?P<body>.*?)(?:\n?[ \t]*(?:```+|~~~+)[ \t]*\Z|\Z)", re.DOTALL
)
LAST_FENCE: Final = re.compile(r"\A(?:```+)[\w+-]*[ \t]*\n(?P<body>.*)\n[ \t]*```+", re.DOTALL)
HEADLESS: Final = re.compile(r'\A"[^"\n]{1,80}"\s*:')
# An opening bracket that begins JSON rather than a remark in brackets.
OPENING: Final = re.compile(
    r"\{\s*(?=[\"'\u201c\u2018}]|\w+\s*:)|\[\s*(?=[\[{\"'\]\d-]|true|false|null)"
)
# Brackets, and strings with what is in them; a string without its end reaches to the end.
STRUCTURE: Final = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
# What differs when a text is quoted, be it inside a JSON string.
SPACING: Final = re.compile(r"\\+[nrt]|[\s\\]+")
# "One " + "text": a text that was written in two.
CONCATENATED: Final = re.compile(r'(?<!\\)"\s*\+\s*"')
NO_ESCAPE: Final = re.compile(r"\\[^\\'\"abfnrtvxuUN0-7\n]")  # Python would warn of it, aloud
LONGEST_LITERAL: Final = 100_000  # characters that may be read as Python
DEEPEST: Final = 200  # levels; what comes after recurses
MOST_OPENINGS: Final = 400  # each may cost a pass over the text


class InvalidAnswer(BotticelliError):
    """An answer that holds no JSON that can be used; the reason is kept with it."""


@record
class Extracted:
    """A JSON value, the text it was read from, and whether that had to be repaired."""

    value: Any
    repaired: bool = False
    source: str = ""


class _Cut(Exception):
    """The text ends before the value does."""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float | str:
    """A number beyond what a float holds stays as it was written."""
    number = float(digits)
    return number if math.isfinite(number) else digits


# Raw line breaks inside strings are common in answers and harmless.
_DECODER: Final = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite)


def extract(text: str, *, prompt: str = "") -> Extracted:
    """Return the JSON value that an answer holds.

    Of several, the largest, or all of one kind; what the answer only quotes from its `prompt` is
    passed over while it holds anything else.

    Raises:
        InvalidAnswer: There is none, or the answer is cut off inside it.
    """
    whole = text.strip().removeprefix("\ufeff").strip()
    if not whole:
        raise InvalidAnswer("the answer is empty")
    if _is_too_deep(whole):
        raise InvalidAnswer(f"the JSON in the answer is nested more than {DEEPEST} levels deep")
    for body in _bodies(whole):
        exact = _exact(body)
        if exact is not None:
            return exact
    if HEADLESS.match(body):
        return _headless(body)
    try:
        found = _unquoted(_scan(body), prompt)
    except _Cut:
        return _close(body)
    return _join(found) if found else _disguised(body)


def value_in(text: str) -> list[Any]:
    """Return the JSON value that a text holds as the only item; nothing if it holds none."""
    try:
        return [extract(text).value]
    except InvalidAnswer:
        return []


def values_in(text: str) -> list[Extracted]:
    """Return every object and list of objects that stands in an answer, in order.

    Raises:
        InvalidAnswer: There is none, or the answer is cut off inside one.
    """
    try:
        found = _scan(text)
    except _Cut:
        found = []
    return found if len(found) > 1 else [extract(text)]  # the usual case: extract can repair it


def read_verdict(text: str, *, key: str) -> Mapping[str, Any]:
    """Return the only object with `key` that an answer holds.

    A judge may quote a text that holds a verdict of its own making: which of two is the judge's
    nobody can tell, so neither is believed.

    Raises:
        InvalidAnswer: There is none, there are several, or it names a key twice.
    """
    values = values_in(text)
    listed = [one.value if isinstance(one.value, list) else [one.value] for one in values]
    found = [one for one in chain(*listed) if isinstance(one, dict) and key in one]
    if len(found) != 1:
        number = "no object" if not found else f"{len(found)} objects"
        raise InvalidAnswer(f"the answer holds {number} with '{key}', where exactly one is wanted")
    twice = next(filter(None, (_key_twice(one.source) for one in values)), "")
    if twice:
        raise InvalidAnswer(f"the answer names '{twice}' twice in one object")
    verdict: Mapping[str, Any] = found[0]
    return verdict


def _key_twice(source: str) -> str:
    """Return a key that an object in `source` names twice: JSON lets the last one win, silently."""
    twice: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        counts = Counter(key for key, _ in pairs)
        twice.extend(key for key, count in counts.items() if count > 1)

    with suppress(ValueError, RecursionError):
        json.loads(source, strict=False, object_pairs_hook=note)
    return twice[0] if twice else ""


def _is_too_deep(text: str) -> bool:
    depth = 0
    for match in STRUCTURE.finditer(text):
        mark = match[0][0]
        if mark != '"':
            depth = depth + 1 if mark in "[{" else max(0, depth - 1)
            if depth > DEEPEST:
                return True
    return False


def _bodies(whole: str) -> Iterator[str]:
    yield whole
    if whole.startswith(("```", "~~~")):
        for pattern in (LAST_FENCE, FENCE):
            match = pattern.match(whole)
            if match:
                yield match["body"].strip()


def _exact(text: str) -> Extracted | None:
    """The text as one value, or as one object a line."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        pass
    else:
        is_quoted = isinstance(value, str) and OPENING.match(value.lstrip())
        if is_quoted:
            return replace(extract(value), repaired=True)
        return Extracted(value=value, source=text)
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        values = [_DECODER.decode(line.strip().removesuffix(",")) for line in lines]
    except (ValueError, RecursionError):
        return None
    rows = [each for each in values if isinstance(each, dict) and not _is_schema(each)]
    is_lines = len(values) > 1 and len(rows) == len(values)
    return Extracted(value=values) if is_lines else None


def _headless(body: str) -> Extracted:
    """An object without its opening brace; the lists inside it are not the answer."""
    for whole in ("{" + body, "{" + body + "}", "{" + body.rstrip().rstrip(",") + "}"):
        try:
            return Extracted(value=_DECODER.decode(whole), repaired=True)
        except (ValueError, RecursionError):
            continue
    raise InvalidAnswer("the answer is an object without its opening brace, and broken besides")


def _scan(text: str) -> list[Extracted]:
    """Return the objects and lists of objects that stand in the text, in order.

    Raises:
        _Cut: One of them has no end.
    """
    found: list[Extracted] = []
    position = 0
    for _ in range(MOST_OPENINGS):
        match = OPENING.search(text, position)
        if not match:
            break
        one = _decode_at(text, match.start())
        position = match.start() + (len(one.source) if one else 1)
        if one and _is_payload(one.value):
            found.append(one)
    return found


def _unquoted(found: list[Extracted], prompt: str) -> list[Extracted]:
    """Return those that are no schema and stand not in the prompt, if there are any; else all."""
    found = [one for one in found if not _is_schema(one.value)] or found
    if len(found) < 2 or not prompt:
        return found
    known = SPACING.sub("", prompt)
    return [one for one in found if SPACING.sub("", one.source) not in known] or found


def _is_schema(value: Any) -> bool:
    """Return whether a value is a JSON Schema of an object: small models repeat it first."""
    is_object = isinstance(value, dict) and value.get("type") == "object"
    return is_object and isinstance(value.get("properties"), dict)


def _join(found: Sequence[Extracted]) -> Extracted:
    """Return the largest value, or a list of all that have its keys."""
    largest = max(found, key=lambda one: len(one.source))
    keys = largest.value.keys() if isinstance(largest.value, dict) else None
    alike = [one for one in found if isinstance(one.value, dict) and one.value.keys() == keys]
    if len(alike) < 2:
        return largest
    repaired = any(one.repaired for one in alike)
    return Extracted(value=[one.value for one in alike], repaired=repaired)


def _decode_at(text: str, start: int) -> Extracted | None:
    """What begins here: as it stands, or repaired, for what is inside it is not the answer.

    Raises:
        _Cut: It has no end.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except ValueError as error:
        over = _end_of(text, start)
        if over is None:
            raise _Cut from error
        value, source = _repaired(text[start:over]), text[start:over]
        return Extracted(value=value, repaired=True, source=source) if value else None
    except RecursionError:
        return None
    return Extracted(value=value, source=text[start:end])


def _end_of(text: str, start: int) -> int | None:
    """Where the value that begins here ends; None if the text ends before it."""
    depth = 0
    for match in STRUCTURE.finditer(text, start):
        mark = match[0]
        if mark[0] == '"':
            if len(mark) == 1 or mark[-1] != '"':
                return None
        elif mark in "[{":
            depth += 1
        else:
            depth -= 1
            if depth <= 0:
                return match.end()
    return None


def _is_payload(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _close(body: str) -> Extracted:
    """Close an object that lacks nothing but its last braces; a cut list or text is a failure."""
    match = OPENING.search(body)
    text = body[match.start() :].rstrip() if match else ""
    for missing in ("}", "}}", "}}}"):
        if text.startswith("{") and text.endswith(('"', "}", "]")):
            try:
                return Extracted(value=_DECODER.decode(text + missing), repaired=True)
            except (ValueError, RecursionError):
                continue
    raise InvalidAnswer("the answer is cut off in the middle of its JSON")


def _disguised(body: str) -> Extracted:
    """JSON that was written for a place where it had to be escaped; else what can be repaired."""
    if not OPENING.search(body):
        for plain in (html.unescape(body), body.replace('\\"', '"')):
            if plain != body and OPENING.search(plain):
                return replace(extract(plain), repaired=True)
        raise InvalidAnswer("there is no JSON in the answer")
    return _repair(body)


def _repair(body: str) -> Extracted:
    match = OPENING.search(body)
    assert match is not None, "looked for before"
    text = body[match.start() :]
    value = _repaired(text)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)  # what an open list would have held is missing
    if value is None or outside.count("[") > outside.count("]"):
        raise InvalidAnswer("the JSON in the answer cannot be repaired")
    return Extracted(value=value, repaired=True)


def _repaired(text: str) -> Any:
    """What is probably meant by broken JSON, or by a Python literal; None if it is not clear."""
    import json_repair

    value = _python(text)
    if value is None:
        try:
            value = json_repair.loads(CONCATENATED.sub("", text))
        except (ValueError, RecursionError):
            return None
    # NaN and Infinity are not numbers in JSON or in a table: they become None.
    return mapped(value, _finite_or_none) if _is_payload(value) else None


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _python(text: str) -> Any:
    if len(text) > LONGEST_LITERAL or NO_ESCAPE.search(text):
        return None
    try:
        return json.loads(json.dumps(ast.literal_eval(text), allow_nan=False))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def rows_of(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Return a value as rows: an object is one, a list of objects as many as it holds.

    Raises:
        InvalidAnswer: It is neither.
    """
    if isinstance(value, dict) and value:
        return (value,)
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return tuple(one for one in value if one)
    raise InvalidAnswer(f"the answer is {_kind(value)}, not an object or a list of objects")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {str: "a text", bool: "true or false", list: "a list of other things", dict: "empty"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "a number")


def mismatch(value: Any, schema: Mapping[str, Any]) -> str:
    """Return how `value` breaks a JSON Schema, in one line; empty if it does not.

    Raises:
        BotticelliError: The schema itself is not a JSON Schema.
    """
    import jsonschema

    try:
        validator = jsonschema.validators.validator_for(schema)(schema)
        first = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except jsonschema.SchemaError as error:
        raise BotticelliError(f"the schema is broken: {error.message}") from error
    if first is None:
        return ""
    place = "".join(f"[{part!r}]" for part in first.absolute_path)
    # What is wrong stands behind the value, which may be a whole post.
    value_shown = repr(first.instance)
    message = first.message.replace(value_shown, shorten(value_shown, 60))
    return f"{place or 'the answer'}: {message[:300]}"


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
    text: str, *, schema: Mapping[str, Any] | None = None, as_rows: bool = False, prompt: str = ""
) -> ParsedAnswer:
    """Return what an answer says; `as_rows`: it has to be an object or a list of objects.

    Of several objects that fit the schema the last counts: what comes before are drafts, examples
    and quotations of the `prompt`.

    Raises:
        InvalidAnswer: It is not JSON, does not fit the schema, or holds no rows.
    """
    found = extract(text, prompt=prompt)
    value, refitted = _fitted(found, schema, text=text, prompt=prompt)
    rows = _rows(value, is_wanted=as_rows)
    return ParsedAnswer(value=value, rows=rows, repaired=found.repaired or refitted)


def _rows(value: Any, *, is_wanted: bool) -> tuple[Mapping[str, Any], ...]:
    try:
        return rows_of(value)
    except InvalidAnswer:
        if is_wanted:
            raise
        return ()


def _fitted(
    found: Extracted, schema: Mapping[str, Any] | None, *, text: str, prompt: str
) -> tuple[Any, bool]:
    """A value that satisfies the schema; models give one object for a list of one, and back."""
    value = found.value
    if schema is None:
        return value, False
    reason = mismatch(value, schema)
    values = _unquoted(values_in(text), prompt)
    if _is_schema(value) and not _is_schema(values[-1].value):
        reason = "it repeats the schema"
    if not reason and (len(values) < 2 or not found.source):  # it has none if it is all of them
        return value, False
    for one in reversed(values):
        if not mismatch(one.value, schema):
            return one.value, one.repaired
    single = value[0] if isinstance(value, list) and len(value) == 1 else None
    other = [value] if isinstance(value, dict) else single
    if other is not None and not mismatch(other, schema):
        return other, True
    raise InvalidAnswer(f"the answer does not fit its schema: {reason or 'it repeats the prompt'}")
