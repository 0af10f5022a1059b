"""Values that satisfy a JSON Schema, and texts, both decided by a seed alone.

Covers what Gemini and OpenAI document for structured output, in JSON Schema and in Gemini's older
spelling (upper-case types, `nullable`, numbers as strings). `pattern` is left to the caller, as
Gemini leaves it.
"""

import math
import random
from collections.abc import Mapping
from typing import Any, cast

Schema = Mapping[str, Any]

_DEEP = 8  # from here on only what is required, so that a schema that refers to itself ends
_WORDS = (  # noqa: SIM905 - a list of them would be two hundred lines
    "amber anchor autumn bakery balcony barley beacon blossom bridge brush candle canvas cedar "
    "chorus cinder clover cobalt comet coral cricket crystal dawn delta ember engine falcon "
    "fennel ferry fiddle flint forest fossil garden ginger glacier granite harbour harvest "
    "hazel heron honey indigo island ivory jasmine juniper kettle kiln lagoon lantern lavender "
    "ledger lemon lichen linen magnet mango maple marble meadow mercury mirror mortar mosaic "
    "nectar nettle nickel nutmeg ochre olive onion orbit orchard otter oyster paddle paper "
    "pebble pepper pigment pillar plaster plum pollen poplar prism quarry quartz quill quince "
    "radish raven reef ribbon river saddle saffron sail sandal satin sienna signal silver "
    "sketch sparrow spruce stencil stone summit tallow tempera thistle thunder timber tulip "
    "umber valley velvet vessel violet walnut weaver willow window winter wool yarrow zephyr "
    "zinc"
).split()
_OPENINGS = (
    "Today we learned:",
    "A small thing:",
    "Who knew?",
    "Try this:",
    "Question of the day:",
    "Look closer:",
    "From the workshop:",
    "Once more:",
)


def text_for(seed: str, *, sentences: int = 3) -> str:
    """Return a short text that only this seed gives."""
    chance = random.Random(seed)
    return f"{chance.choice(_OPENINGS)} {' '.join(_sentence(chance) for _ in range(sentences))}"


def value_for(schema: Schema, *, seed: str) -> Any:
    """Return a value that satisfies the schema; the same for the same seed."""
    return _Maker(schema, random.Random(seed)).make(schema, depth=0, turn=None)


def _sentence(chance: random.Random) -> str:
    return " ".join(chance.sample(_WORDS, chance.randint(6, 12))).capitalize() + "."


class _Maker:
    def __init__(self, root: Schema, chance: random.Random) -> None:
        self._root = root
        self._chance = chance

    def make(self, schema: Schema, *, depth: int, turn: int | None) -> Any:
        """Return a value; `turn` is the place within an array and walks through an enum."""
        schema = self._resolve(schema, depth=depth)
        if "const" in schema:
            return schema["const"]
        if options := schema.get("enum"):
            return (
                options[turn % len(options)] if turn is not None else self._chance.choice(options)
            )
        kind = _kind_of(schema)
        if kind == "object":
            return self._object(schema, depth=depth, turn=turn)
        if kind == "array":
            return self._array(schema, depth=depth)
        return self._scalar(schema, kind)

    def _resolve(self, schema: Schema, *, depth: int) -> Schema:
        for _ in range(50):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._follow(schema["$ref"]), **rest}
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                rest = {
                    key: value for key, value in schema.items() if key not in {"anyOf", "oneOf"}
                }
                schema = {**rest, **_branch(branches, deep=depth >= _DEEP)}
            elif parts := schema.get("allOf"):
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                schema = _merged([self._resolve(part, depth=depth) for part in parts] + [rest])
            else:
                return schema
        raise ValueError("the schema refers to itself without end")

    def _follow(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return cast("Schema", found)

    def _object(self, schema: Schema, *, depth: int, turn: int | None) -> dict[str, Any]:
        properties: Schema = schema.get("properties", {})
        required = [name for name in schema.get("required", []) if name in properties]
        names = schema.get("propertyOrdering") or [
            *required,
            *(name for name in properties if name not in required),
        ]
        if depth >= _DEEP:
            names = [name for name in names if name in required]
        return {name: self.make(properties[name], depth=depth + 1, turn=turn) for name in names}

    def _array(self, schema: Schema, *, depth: int) -> list[Any]:
        prefix = [
            self.make(item, depth=depth + 1, turn=None) for item in schema.get("prefixItems", [])
        ]
        items = schema.get("items")
        if not isinstance(items, Mapping):
            return prefix
        if options := self._resolve(items, depth=depth).get("enum"):
            return prefix + self._permutation(schema, options)
        count = self._length(schema, self._options_within(items, depth=depth), depth=depth)
        return prefix + [
            self.make(items, depth=depth + 1, turn=place) for place in range(count - len(prefix))
        ]

    def _permutation(self, schema: Schema, options: list[Any]) -> list[Any]:
        """Return each choice once, in some order: what a ranking should be."""
        shuffled = self._chance.sample(options, len(options))
        count = max(
            int(schema.get("minItems", 0)), min(len(options), int(schema.get("maxItems", 99)))
        )
        return [shuffled[place % len(shuffled)] for place in range(count)]

    def _options_within(self, items: Schema, *, depth: int) -> int:
        """Return how many ids the items of an array may speak about, 0 if they have none."""
        properties = self._resolve(items, depth=depth).get("properties", {})
        return max((len(part.get("enum", ())) for part in properties.values()), default=0)

    def _length(self, schema: Schema, options: int, *, depth: int) -> int:
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        wish = least if depth >= _DEEP else options or max(least, 2)
        return max(least, wish if most is None else min(wish, int(most)))

    def _scalar(self, schema: Schema, kind: str) -> Any:
        if kind == "string":
            return self._string(schema)
        if kind == "boolean":
            return self._chance.random() < 0.5
        if kind == "null":
            return None
        return self._number(schema, whole=kind == "integer")

    def _number(self, schema: Schema, *, whole: bool) -> int | float:
        step = schema.get("multipleOf") or (1 if whole else 0.25)
        low, high = _bounds(schema, margin=step)
        first, last = math.ceil(low / step), math.floor(high / step)
        if first > last:
            return low
        value = self._chance.randint(first, last) * step
        return int(value) if whole else value

    def _string(self, schema: Schema) -> str:
        if form := _FORMS.get(schema.get("format", "")):
            return form.format(self._chance.randint(10, 28))
        least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 2000))
        text = _sentence(self._chance)
        while len(text) < least:
            text = f"{text} {_sentence(self._chance)}"
        text = text[:most]
        return text if text == text.strip() else text[:-1] + "."


_FORMS = {
    "date-time": "2026-11-{}T12:00:00Z",
    "date": "2026-11-{}",
    "time": "12:00:{}Z",
    "email": "painter{}@example.com",
    "uri": "https://example.com/{}",
    "uuid": "00000000-0000-4000-8000-0000000000{}",
}


def _kind_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind:
        return str(kind).lower()
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _branch(branches: list[Schema], *, deep: bool) -> Schema:
    if not deep:
        return branches[0]
    return next((one for one in branches if "$ref" not in one), branches[0])


def _merged(parts: list[Schema]) -> Schema:
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged[key] = value
    return merged


def _bounds(schema: Schema, *, margin: float) -> tuple[float, float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if (above := schema.get("exclusiveMinimum")) is not None:
        low = above + margin
    if (below := schema.get("exclusiveMaximum")) is not None:
        high = below - margin
    if low is None:
        low = 0 if high is None or high >= 0 else high - 10
    return low, low + 10 if high is None else high
