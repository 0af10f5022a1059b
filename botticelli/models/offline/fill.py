"""A value for any JSON Schema, for the offline model and for dry runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
Value = Callable[[str, Schema], Any]
"""(property name, its schema) -> a value, or None to have it filled by its type."""

_DEEPEST = 12  # a schema that refers to itself ends here, where it allows
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "uri": "https://example.invalid/",
    "email": "nobody@example.invalid",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fill(schema: Schema, *, value: Value = lambda _name, _schema: None) -> Any:
    """Return a value that satisfies `schema`: required and optional properties, least counts.

    `value` is asked first for each property and item of an array. What a `pattern` asks of a
    string is not honoured.
    """
    return _Filler(schema, value).fill("", schema, depth=0)


class _Filler:
    def __init__(self, root: Schema, value: Value) -> None:
        self._root = root
        self._value = value

    def fill(self, name: str, schema: Schema, *, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        given = self._value(name, schema)
        if given is not None or schema.get("enum"):
            return schema["enum"][0] if given is None else given
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth=depth)
        if kind == "array":
            return self._array(name, schema, depth=depth)
        return _scalar(kind, schema, name=name)

    def _resolved(self, schema: Schema) -> Schema:
        """Follow references, take the first of alternatives and join `allOf`."""
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                schema = _pointed_at(self._root, str(schema["$ref"]))
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
                schema = {**rest, **_first_choice(choices)}
            elif schema.get("allOf"):
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                schema = _joined([*schema["allOf"], rest], self._root)
            else:
                break
        return schema

    def _object(self, schema: Schema, *, depth: int) -> dict[str, Any]:
        properties: Schema = schema.get("properties") or {}
        required: Sequence[str] = schema.get("required") or ()
        names = [*required, *(name for name in properties if name not in required)]
        if depth >= _DEEPEST:
            names = [*required]
        return {
            name: self.fill(name, properties.get(name, {"type": "string"}), depth=depth + 1)
            for name in names
        }

    def _array(self, name: str, schema: Schema, *, depth: int) -> list[Any]:
        first = [self.fill(name, item, depth=depth + 1) for item in schema.get("prefixItems") or ()]
        least = int(schema.get("minItems", 0))
        wanted = max(least, 0 if depth >= _DEEPEST else 1)
        wanted = min(wanted, int(schema.get("maxItems", wanted)))
        items = schema.get("items")
        if not isinstance(items, Mapping):
            return first
        return [
            *first,
            *(self.fill(name, items, depth=depth + 1) for _ in range(wanted - len(first))),
        ]


def _pointed_at(root: Schema, reference: str) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#").split("/"):
        if step:
            found = found[step.replace("~1", "/").replace("~0", "~")]
    return dict(found)


def _first_choice(choices: Sequence[Schema]) -> Schema:
    """Return the first alternative that is not merely null."""
    return next((choice for choice in choices if choice.get("type") != "null"), choices[0])


def _joined(schemas: Sequence[Schema], root: Schema) -> Schema:
    joined: dict[str, Any] = {"properties": {}, "required": []}
    for part in schemas:
        schema = _pointed_at(root, str(part["$ref"])) if "$ref" in part else part
        joined["properties"].update(schema.get("properties") or {})
        joined["required"] += schema.get("required") or []
        joined.update({k: v for k, v in schema.items() if k not in {"properties", "required"}})
    if not joined["properties"]:
        del joined["properties"], joined["required"]
    return joined


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        return next((str(one) for one in kind if one != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _scalar(kind: str, schema: Schema, *, name: str) -> Any:
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    if kind in {"integer", "number"}:
        return _number(kind, schema)
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = (name or "text").replace("_", " ")
    text = text.ljust(int(schema.get("minLength", 0)), ".")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


def _number(kind: str, schema: Schema) -> int | float:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf", 1 if kind == "integer" else 0)
    if least is None and most is None:
        return step or 1
    number = least if least is not None else most
    if "exclusiveMinimum" in schema and least == number:
        number += step or 0.5
    elif least is None and "exclusiveMaximum" in schema:
        number -= step or 0.5
    if step:
        number = (-(-number // step) if least is not None else number // step) * step
    return int(number) if kind == "integer" else number
