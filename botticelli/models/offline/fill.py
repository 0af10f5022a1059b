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

    def filled(name: str, schema: Schema, depth: int) -> Any:
        schema = _resolved(schema, root)
        is_fixed = "const" in schema
        choices = [schema["const"]] if is_fixed else schema.get("enum")
        given = None if is_fixed else value(name, schema)
        if choices or given is not None:
            return choices[0] if choices and given is None else given
        kind = _kind(schema)
        if kind == "object":
            properties: Schema = schema.get("properties") or {}
            names = [*(schema.get("required") or ()), *(properties if depth < _DEEPEST else ())]
            return {
                each: filled(each, properties.get(each, {}), depth + 1)
                for each in dict.fromkeys(names)
            }
        if kind != "array":
            return _scalar(kind, schema, name=name)
        rules = [*(schema.get("prefixItems") or ())]
        count = max(int(schema.get("minItems", 0)), int(depth < _DEEPEST))
        count = min(count, int(schema.get("maxItems", count)))
        if isinstance(schema.get("items"), Mapping):
            rules += [schema["items"]] * (count - len(rules))
        return [filled(name, rule, depth + 1) for rule in rules]

    root = schema
    return filled("", schema, 0)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follow references, take the first of alternatives that is not null and join `allOf`."""
    for _ in range(_DEEPEST):
        if "$ref" in schema:
            found: Any = root
            for step in filter(None, str(schema["$ref"]).removeprefix("#").split("/")):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            schema = found
        elif choices := schema.get("anyOf") or schema.get("oneOf"):
            first = next((each for each in choices if each.get("type") != "null"), choices[0])
            rest = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
            schema = {**rest, **first}
        elif parts := schema.get("allOf"):
            rest = {k: v for k, v in schema.items() if k != "allOf"}
            schema = _joined([*(_resolved(part, root) for part in parts), rest])
        else:
            break
    return schema


def _joined(schemas: Sequence[Schema]) -> Schema:
    joined: dict[str, Any] = {}
    for schema in schemas:
        properties = {**joined.get("properties", {}), **schema.get("properties", {})}
        required = [*joined.get("required", ()), *schema.get("required", ())]
        joined |= {
            **schema,
            "required": required,
            **({"properties": properties} if properties else {}),
        }
    return joined


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        return next((str(one) for one in kind if one != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _scalar(kind: str, schema: Schema, *, name: str) -> Any:
    if kind in {"boolean", "null"}:
        return True if kind == "boolean" else None
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
