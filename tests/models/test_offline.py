"""The stand-in: honest, different for different prompts, and able to fill any form."""

import json
from itertools import combinations, pairwise

import jsonschema
import pytest

from botticelli.config.operations import Similarity
from botticelli.models.base import Message, Part, Request
from botticelli.models.offline.driver import CRITERIA, Offline
from botticelli.stages.curate.similarity import overlap, trigrams
from tests.contracts.model_contract import ModelContract, user

POST = {
    "type": "object",
    "required": ["text_content", "content_type", "source", "tags"],
    "properties": {
        "text_content": {"type": "string"},
        "content_type": {"type": "string"},
        "source": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
}
ANGLES = (
    "introduces ONE feature",
    "tells ONE situation",
    "teaches ONE thing",
    "opens a conversation",
    "names ONE problem",
)


@pytest.fixture
def model():
    return Offline()


@pytest.fixture
def name():
    return "offline"


class TestOffline(ModelContract):
    pass


def write(angle, *, number, seen=()):
    prompt = f"Write one Discord post that {angle}. Round {number}.\nRecent:\n" + "\n".join(seen)
    request = Request(model="offline", messages=(user(prompt),), schema=POST)
    return json.loads(Offline().generate(request).text)


def test_posts_of_five_angles_and_two_rounds_all_differ():
    texts = {write(angle, number=n)["text_content"] for angle in ANGLES for n in (1, 2)}

    assert len(texts) == 10
    assert all(200 <= len(text) <= 600 for text in texts)


def test_a_second_demo_repeats_no_post_of_the_first():
    first = [write(angle, number=1)["text_content"] for angle in ANGLES]

    second = [write(angle, number=1, seen=first)["text_content"] for angle in ANGLES]

    assert not set(first) & set(second)
    for earlier, later in pairwise([*first, *second]):
        assert not set(earlier.split("\n\n")) & set(later.split("\n\n"))


def test_the_same_prompt_gets_the_same_answer():
    assert write(ANGLES[0], number=3) == write(ANGLES[0], number=3)


def test_it_never_passes_for_more_than_it_is():
    reply = Offline().generate(Request(model="offline", messages=(user("Write a post"),)))

    assert reply.model_version == "offline"
    assert write(ANGLES[0], number=1)["source"] == "offline"


def test_a_refined_post_keeps_the_draft():
    draft = write(ANGLES[0], number=1)["text_content"]
    messages = (
        user("Write one Discord post."),
        Message(role="assistant", parts=(Part(text=draft),)),
        user("You are the editor. Say what is weak."),
        Message(role="assistant", parts=(Part(text="1. The opening is slow."),)),
        user("Write the final version."),
    )

    reply = Offline().generate(Request(model="offline", messages=messages, schema=POST))

    assert json.loads(reply.text)["text_content"] == draft


def scores_schema(ids):
    criteria = {name: {"type": "integer", "minimum": 1, "maximum": 10} for name in CRITERIA}
    item = {
        "type": "object",
        "required": ["id", "reasons", *CRITERIA, "notes"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "enum": ids},
            "reasons": {"type": "string"},
            **criteria,
            "notes": {"type": "string"},
        },
    }
    scores = {"type": "array", "items": item}
    return {"type": "object", "required": ["scores"], "properties": {"scores": scores}}


def judged(texts):
    rows = [{"id": str(n), "text_content": text} for n, text in enumerate(texts)]
    schema = scores_schema([row["id"] for row in rows])
    prompt = f"Judge these:\n{json.dumps(rows, indent=1)}\nScore from 1 to 10."
    request = Request(model="offline", messages=(user(prompt),), schema=schema)
    answer = json.loads(Offline().generate(request).text)
    jsonschema.validate(answer, schema)
    return answer["scores"]


def test_it_judges_nothing_and_says_so():
    texts = [write(ANGLES[0], number=1)["text_content"], "Which opening beat you?", "WOW!!! {{x}}"]

    scores = judged(texts)

    assert [sum(score[name] for name in CRITERIA) for score in scores] == [35, 35, 35]
    assert all("not judged" in score["reasons"] + score["notes"] for score in scores)


def test_what_it_writes_says_that_it_is_filler():
    for angle in ANGLES:
        assert write(angle, number=1)["text_content"].startswith("Filler text for a ")
    topic = Request(model="offline", messages=(user("Write a post about endgames."),))
    assert "post about endgames: " in Offline().generate(topic).text


def test_no_two_fillers_count_as_repeats():
    texts = [write(angle, number=n)["text_content"] for angle in ANGLES for n in range(12)]

    sets = [trigrams(text) for text in texts]
    assert max(overlap(one, other) for one, other in combinations(sets, 2)) < Similarity().near


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": ["null", "number"], "minimum": 0.5}, "minItems": 3},
        {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"const": 3}}},
        {"allOf": [{"properties": {"a": {"enum": ["x"]}}, "required": ["a"]}, {"type": "object"}]},
        {"type": "string", "minLength": 90, "maxLength": 100},
        *(
            {
                "type": "object",
                "properties": {"text_content": {"type": "string", "maxLength": most}},
            }
            for most in (1, 60, 400)
        ),
        {"type": "object", "properties": {"b": {"type": "boolean"}, "d": {"format": "date"}}},
        {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5},
        {
            "$ref": "#/$defs/node",
            "$defs": {
                "node": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    },
                }
            },
        },
    ],
)
def test_any_schema_is_filled(schema):
    reply = Offline().generate(Request(model="o", messages=(user("Fill"),), schema=schema))

    jsonschema.validate(json.loads(reply.text), schema)
