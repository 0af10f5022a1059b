"""Where the rows of a narrative end up: by mode, act and target (docs/dialect.md §11, §16.18)."""

import pytest

from tests.narrative.scripted import stage

THREE = """
[narrative]
name = "Three Acts"
%s
[toc]
order = ["a", "b", "c"]
[acts]
a = "A"
b = "B"
[acts.c]
%s
[[acts.c.input]]
content = "C"
"""


def stored(db, narrative="", act="", answers=('{"n": 1}', '{"n": 2}', '{"n": 3}')):
    run = stage(db, THREE % (narrative, act), answers=list(answers))
    return run, run.run()


def tables(execution):
    return [(output.table, output.act) for output in execution.outputs]


def test_without_a_template_the_last_act_is_stored_under_the_narratives_name(db):
    _, execution = stored(db)

    assert tables(execution) == [("three_acts", "c")]
    assert db.execute("SELECT n, source_act FROM three_acts").fetchall() == [(3, "c")]


def test_with_a_template_every_act_is_stored(db):
    db.execute("CREATE TABLE shape (id bigint, n int)")
    _, execution = stored(db, 'template = "shape"')

    assert tables(execution) == [("three_acts", act) for act in "abc"]
    assert db.execute("SELECT n FROM three_acts ORDER BY id").fetchall() == [(1,), (2,), (3,)]
    assert db.execute("SELECT count(*) FROM shape").fetchone() == (0,)


def test_a_target_beats_the_name(db):
    _, execution = stored(db, 'target = "elsewhere"')

    assert tables(execution) == [("elsewhere", "c")]


@pytest.mark.parametrize(
    ("narrative", "act"),
    [
        ("skip_content_generation = true", ""),
        ("", "skip_content_generation = true"),
        ("", "extract_output = false"),
    ],
)
def test_what_shall_not_be_stored_is_not(db, narrative, act):
    assert tables(stored(db, narrative, act)[1]) == []


def test_an_inner_act_can_be_stored(db):
    text = """
[narrative]
name = "n"
skip_content_generation = false
[toc]
order = ["a", "b"]
[acts]
b = "prose"
[acts.a]
extract_output = true
[[acts.a.input]]
content = "A"
"""
    run = stage(db, text, answers=['{"n": 1}', "prose"])

    assert tables(run.run()) == [("n", "a")]


def test_a_list_is_as_many_rows(db):
    stored(db, answers=["x", "y", '[{"n": 1}, {"n": 2, "m": true}]'])

    assert db.execute("SELECT n, m FROM three_acts ORDER BY id").fetchall() == [
        (1, None),
        (2, True),
    ]


def test_a_prompt_in_template_mode_gets_the_tables_columns(db):
    db.execute("CREATE TABLE discord_shape (id bigint NOT NULL, name varchar(9) NOT NULL, at date)")
    run, _ = stored(db, 'template = "discord_shape"')

    prompt = run.caller.asked[0][0].messages[-1].text
    assert "- name: text of at most 9 characters" in prompt
    assert "- at: date (optional)" in prompt
    assert "\n\nA\n\n" in prompt
    assert "Discord" in prompt


def test_a_prompt_that_speaks_of_fields_itself_is_left_alone(db):
    db.execute("CREATE TABLE shape (name text)")
    text = (THREE % ('template = "shape"', "")).replace('a = "A"', 'a = "A JSON object, please"')
    run = stage(db, text, answers=['{"name": "x"}'] * 3)
    run.run()

    assert run.caller.asked[0][0].messages[-1].text == "A JSON object, please"
