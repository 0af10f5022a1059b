"""JSON as models really write it, and what is never taken for it."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.narrative.answers.json_extraction import (
    InvalidAnswer,
    extract,
    mismatch,
    read_answer,
    rows_of,
)

POST = {"text": "use ```python\nprint([1])\n``` so", "tags": ["a", "b"]}
BARE = json.dumps(POST)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (BARE, POST),
        (f"```json\n{BARE}\n```", POST),
        (f"```\n{BARE}\n```\n", POST),
        (f"```json\n{BARE}\n```\nI hope this helps!", POST),
        (f"Here is [the result], as asked:\n{BARE}", POST),
        (f"Here it is:\n```json\n{BARE}\n```\nDone.", POST),
        (f"{BARE}\nThat is {{all}}.", POST),
        ("\ufeff" + BARE, POST),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('First: {"a": 1} and then: {"a": 2}', [{"a": 1}, {"a": 2}]),
        ('```json\n{"a": 1}\n```\n\n```json\n{"a": 2}\n```', [{"a": 1}, {"a": 2}]),
        ('{"small": 1} but really {"a": 1, "b": [1, 2]}', {"a": 1, "b": [1, 2]}),
        ('{"text": "line one\nline two"}', {"text": "line one\nline two"}),
        ("[]", []),
        ("42", 42),
    ],
)
def test_json_is_found_as_it_stands(text, value):
    found = extract(text)

    assert found.value == value
    assert not found.repaired


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": [1, 2,],}', {"a": 1, "b": [1, 2]}),
        ("{'a': 'it is'}", {"a": "it is"}),
        ("{\u201ca\u201d: \u201cx\u201d}", {"a": "x"}),
        ('{a: 1, b: "x"}', {"a": 1, "b": "x"}),
        ('"title": "x", "tags": ["a", "b"]}', {"title": "x", "tags": ["a", "b"]}),
        ('"title": "x", "tags": ["a", "b"]', {"title": "x", "tags": ["a", "b"]}),
        ('{"a": "x", "b": {"c": "y"}', {"a": "x", "b": {"c": "y"}}),
        ('{"a": True, "b": None}', {"a": True, "b": None}),
    ],
)
def test_what_can_be_mended_is_and_says_so(text, value):
    found = extract(text)

    assert found.value == value
    assert found.repaired


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "I would rather not.",
        "[the result] is {unclear}",
        "Prose with a list: [1, 2, 3]",
        '[{"a": 1}, {"a": 2}, {"a',
        '[{"a": 1}, {"a": 2}',
        '```json\n[{"a": 1}, {"a": 2},\n```',
        'Here: [{"a": 1}, {"a": 2}',
        '{"a": "this text is cut of',
        '{"tags": ["a", "b"',
        '{"posts": [{"a": 1}, {"a": 2}',
        '{"a": 1, "b": ',
    ],
)
def test_nothing_half_is_taken_for_a_whole(text):
    with pytest.raises(InvalidAnswer):
        extract(text)


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
objects = st.dictionaries(st.text(min_size=1), json_value, min_size=1, max_size=4)


@given(value=objects | st.lists(objects, min_size=1, max_size=3))
def test_any_json_in_a_fence_or_alone_comes_back(value):
    for text in (json.dumps(value), f"```json\n{json.dumps(value, indent=1)}\n```"):
        found = extract(text)
        assert found.value == value
        assert not found.repaired


@given(rows=st.lists(objects, min_size=2, max_size=3), data=st.data())
def test_a_list_that_is_cut_anywhere_is_never_a_shorter_list(rows, data):
    whole = json.dumps(rows)
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    with pytest.raises(InvalidAnswer):
        extract(cut)


@given(text=st.text(alphabet=st.sampled_from('{}[]":,\\ab1`\n ')) | st.text())
def test_no_text_is_too_odd(text):
    with suppress(InvalidAnswer):
        extract(text)


def test_deep_nesting_is_refused_not_fatal():
    with pytest.raises(InvalidAnswer):
        extract("[" * 100_000)


def test_what_no_database_can_hold_is_not_passed_on_as_it_is():
    found = extract('{"a": NaN, "b": [Infinity]}')
    assert (found.value, found.repaired) == ({"a": None, "b": [None]}, True)
    assert extract('{"a": 1e999}').value == {"a": "1e999"}


def test_what_is_inside_a_broken_value_is_not_taken_for_the_answer():
    assert extract('[{"a": 1}, {"a": 2 3}, {"a": 4}]').repaired
    assert len(extract('[{"a": 1}, {"a": "x" "y"}, {"a": 4}]').value) == 3
    assert extract('{"posts": [{"a": 1}, {"a": oops}]}').value.keys() == {"posts"}


def test_a_python_literal_warns_nobody(recwarn):
    extract("{'path': 'C:\\quite', 'x': None}")
    assert not recwarn.list


def test_rows():
    assert rows_of({"a": 1}) == ({"a": 1},)
    assert rows_of([{"a": 1}, {}]) == ({"a": 1},)
    assert rows_of([]) == ()
    for value in ("x", 5, [1], [{"a": 1}, 2], {}):
        with pytest.raises(InvalidAnswer):
            rows_of(value)


SCHEMA = {
    "type": "object",
    "required": ["a"],
    "properties": {"a": {"type": "string", "maxLength": 3}},
}


def test_a_mismatch_names_the_place():
    assert mismatch({"a": "x"}, SCHEMA) == ""
    assert mismatch({"a": "long"}, SCHEMA).startswith("['a']: ")
    assert "'a' is a required property" in mismatch({}, SCHEMA)


def test_a_mismatch_says_what_is_wrong_with_a_whole_post():
    told = mismatch({"a": "A post about oars. " * 50}, SCHEMA)

    assert told.endswith("is too long")
    assert len(told) < 100


def test_one_object_and_a_list_of_one_stand_for_each_other():
    assert read_answer('[{"a": "x"}]', schema=SCHEMA).value == {"a": "x"}
    listed = {"type": "array", "items": SCHEMA}
    assert read_answer('{"a": "x"}', schema=listed).value == [{"a": "x"}]
    with pytest.raises(InvalidAnswer, match="does not fit"):
        read_answer('[{"a": "x"}, {"a": "y"}]', schema=SCHEMA)


TEXT = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
ECHO = json.dumps(TEXT)
EXAMPLE = '{"a": "an example of the prompt, longer than any answer"}'
QUOTED = json.dumps({"candidates": [EXAMPLE, '{"a":\n  "in a text"}']})
PROMPT = f"Answer like {EXAMPLE}. These are the texts: {QUOTED}"


@pytest.mark.parametrize(
    "answer",
    [
        'Draft: {"a": "a first draft, and a long one"} Final: {"a": "x"}',
        f'As in your example {EXAMPLE}: {{"a": "x"}}',
        f'{{"a": "x"}} (I did not take {EXAMPLE})',
        'Text 2 holds {"a": "in a text"}. Mine: {"a": "x"}. Text 2 held {"a":\n"in a text"}.',
        f'{ECHO}\n{{"a": "x"}}',
        f'{{"a": "x"}}\n{ECHO}',
        'First {"a": 7, "why": "of another type, and longer than the answer"}, no: {"a": "x"}',
        '{"a": "x"} and {"b": "nothing that was asked for, but very much of it"}',
        '```json\n{"a": "a draft"}\n```\nBetter:\n```json\n{"a": "x"}\n```',
        '```json\n{"a": "a draft"}\n```\nBetter: {"a": "x"}',
    ],
)
def test_of_several_objects_the_last_that_fits_and_is_no_quotation_counts(answer):
    assert read_answer(answer, schema=TEXT, prompt=PROMPT).value == {"a": "x"}


def test_what_is_repeated_on_purpose_counts():
    same = '{"a": "in a text"}'

    assert read_answer(same, schema=TEXT, prompt=same).value == {"a": "in a text"}
    assert read_answer(f"Valid already: {same}", schema=TEXT, prompt=same).rows


def test_rows_that_a_prompt_gave_as_examples_are_no_rows():
    answer = f'As in {EXAMPLE}:\n{{"a": "x"}}\n{{"a": "y"}}'

    assert read_answer(answer, as_rows=True, prompt=PROMPT).rows == ({"a": "x"}, {"a": "y"})
    listed = {"type": "array", "items": TEXT}
    assert len(read_answer(answer, schema=listed, prompt=PROMPT).rows) == 2


ECHO = {"type": "object", "required": ["text_content"], "properties": {"text_content": {}}}


@pytest.mark.parametrize("schema", [ECHO, {"type": "object"}, None])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_echoed_schema_never_wins_over_the_answer(schema, is_first):
    answer, echo = '{"text_content": "Hi"}', json.dumps(ECHO | {"title": "x" * 200})
    text = f"{echo}\n{answer}" if is_first else f"{answer}\n\n```json\n{echo}\n```"

    assert read_answer(text, schema=schema, as_rows=True).rows == ({"text_content": "Hi"},)
