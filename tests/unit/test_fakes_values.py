"""What the fakes share: values for a schema, windows of time."""

import contextlib
import socket

import jsonschema
import pytest

from tests.fakes.loopback import Answer, LoopbackServer
from tests.fakes.schema_values import text_for, value_for
from tests.fakes.windows import Arrivals, SlidingLimit

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 10},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS = {
    "a tree": TREE,
    "numbers": {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 7, "maximum": 7},
            "b": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "c": {"type": "integer", "maximum": -3},
            "d": {"type": "integer", "minimum": 3, "maximum": 20, "multipleOf": 5},
            "e": {"type": "integer", "minimum": 1000},
        },
        "required": ["a", "b", "c", "d", "e"],
    },
    "choices": {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "b": {"type": ["string", "null"], "minLength": 200},
            "c": {"oneOf": [{"const": "x"}, {"type": "boolean"}]},
            "d": {"enum": [1, "two", None]},
            "e": {
                "allOf": [
                    {"type": "object", "properties": {"f": {"type": "null"}}},
                    {"required": ["f"]},
                ]
            },
        },
        "required": ["a", "b", "c", "d", "e"],
        "additionalProperties": False,
    },
    "arrays": {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "string"}, "minItems": 4, "maxItems": 4},
            "b": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]},
            "c": {"type": "array", "items": {"enum": ["x", "y"]}, "uniqueItems": True},
            "d": {"type": "array", "items": {"type": "string"}, "maxItems": 1},
        },
    },
    "formats": {"type": "array", "items": {"type": "string", "format": "date-time"}, "minItems": 1},
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_a_value_satisfies_its_schema_and_only_the_seed_decides(name, seed):
    schema = SCHEMAS[name]

    value = value_for(schema, seed=seed)

    jsonschema.validate(value, schema)
    assert value == value_for(schema, seed=seed)


def test_required_properties_come_first_and_in_that_order():
    schema = {
        "properties": {name: {"type": "string"} for name in "abc"},
        "required": ["c", "b"],
    }

    assert list(value_for(schema, seed="1")) == ["c", "b", "a"]


def test_an_array_of_verdicts_speaks_of_every_id_once():
    item = {"properties": {"id": {"enum": ["k", "q", "z"]}, "score": {"type": "integer"}}}
    verdicts = {"type": "array", "items": item, "minItems": 3, "maxItems": 3}
    ranking = {"type": "array", "items": {"enum": ["k", "q", "z"]}}

    assert sorted(one["id"] for one in value_for(verdicts, seed="1")) == ["k", "q", "z"]
    assert sorted(value_for(ranking, seed="1")) == ["k", "q", "z"]


def test_texts_differ_by_seed():
    assert len({text_for(str(number)) for number in range(1000)}) == 1000


def test_the_fullest_window_is_found_whatever_the_order_of_notes():
    arrivals = Arrivals()
    for at, weight in ((0.0, 1), (61.0, 10), (59.9, 5), (60.0, 1)):
        arrivals.add(at, weight)

    assert arrivals.max_in_window(60) == (3, 16)
    assert arrivals.max_in_window(0.5) == (2, 10)


def test_two_arrivals_a_whole_window_apart_are_not_in_one():
    arrivals = Arrivals()
    arrivals.add(0.0, 1)
    arrivals.add(60.0, 1)

    assert arrivals.max_in_window(60) == (1, 1)
    assert arrivals.max_in_window(60.001) == (2, 2)


def test_a_limit_tells_when_the_next_one_fits():
    limit = SlidingLimit(allowed=10, seconds=60)
    limit.take(0.0, 6)
    limit.take(10.0, 4)

    assert limit.wait_for(20.0, 6) == 40.0
    assert limit.wait_for(20.0, 7) == 50.0
    assert limit.wait_for(60.0, 6) == 0.0


class Ending(LoopbackServer):
    """Answers with the ending that the path names, or what the path says went wrong."""

    def reply(self, request):
        if request.path == "/bug":
            raise RuntimeError("a bug in a fake")
        return Answer(ending=request.path[1:])


def first_byte(server, path):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return line.recv(1)


def test_a_reset_is_a_reset_and_a_hang_up_is_not():
    with Ending() as server:
        with pytest.raises(ConnectionResetError):
            first_byte(server, "/reset")
        assert first_byte(server, "/close") == b""


def test_a_bug_in_a_fake_fails_the_test_and_does_not_pass_for_a_500():
    with pytest.raises(AssertionError, match="a bug in a fake"), Ending() as server:
        first_byte(server, "/bug")


def test_closing_does_not_wait_for_those_who_hang():
    with Ending() as server:
        host, port = server.url.removeprefix("http://").split(":")
        line = socket.create_connection((host, int(port)), timeout=60)
        line.sendall(b"GET /hang HTTP/1.1\r\n\r\n")

    with line, contextlib.suppress(ConnectionResetError):  # where the server had not read it yet
        assert line.recv(1) == b""
