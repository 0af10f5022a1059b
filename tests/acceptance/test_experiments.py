"""Experiments and feedback, as a user meets them."""

import json

import pytest
from psycopg.types.json import Jsonb

from tests.database import candidate
from tests.stages.test_experiments import ARMS, seen

HEAD = """
[destinations.main]
platform = "outbox"
[destinations.other]
platform = "outbox"
"""
HOOK = f'[experiments.hook]\narms = ["{ARMS[0]}", "{ARMS[1]}"]\nposts = 10\n'
WRONG = {
    "one arm": ('[experiments.a]\narms = ["x"]', "experiments.a.arms: needs 2 or more"),
    "four arms": (
        '[experiments.a]\narms = ["x", "y", "z", "w"]',
        "experiments.a.arms: has 4, which is more than 3",
    ),
    "the same arm": (
        '[experiments.a]\narms = ["x", "x"]', "experiments.a.arms: names one of them twice"),
    "no such destination": (
        HOOK + 'to = "nowhere"', "experiments.hook.to: there is no destination 'nowhere'"),
    "no such arm": (HOOK + 'use = "z"', "experiments.hook.use: there is no arm 'z'"),
    "two at once": (
        HOOK + '[experiments.b]\narms = ["x", "y"]\nto = "main"',
        "experiments.b: 'main' has the experiment 'hook' already",
    ),
    "too bold": ("[learning]\nmost = 0.3", "learning.most: "),
    "no exploration": ("[learning]\nexploration = 0", "learning.exploration: "),
    "no day": ('[learning]\nfreeze = "soon"', "learning.freeze: "),
}  # fmt: skip


@pytest.fixture
def project(botticelli):
    def write(text):
        (botticelli.cwd / "botticelli.toml").write_text(HEAD + text)
        return botticelli

    return write


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_told(project, case):
    text, words = WRONG[case]

    ended = project(text)("experiments")

    assert ended.code == 78
    assert words in ended.err


def test_an_ended_experiment_leaves_its_destination_to_another(project, db):
    text = HOOK + f'use = "{ARMS[0]}"\n[experiments.b]\narms = ["x", "y"]'

    assert "over: 'a question' is used" in project(text)("experiments hook").out


def test_it_tells_where_each_stands(project, db):
    botticelli = project(HOOK)
    assert "there are no experiments" in project("")("experiments").out
    project(HOOK)
    assert "no winner yet (0 of 10 posts of each arm; 10 to go)" in botticelli("experiments").out
    for number in range(30):
        seen(db, f"t {number}", arm=ARMS[number % 2], reactions=(3, 30)[number % 2] + number % 3)

    found = json.loads(botticelli("experiments hook --json").out)["experiments"]

    assert [(one["arm"], one["posts"]) for one in found] == [(ARMS[0], 15), (ARMS[1], 15)]
    assert found[0]["winner"] == ARMS[1]
    assert (found[0]["needed"], found[0]["is_over"]) == (0, True)
    assert found[0]["p"] < 0.05
    assert found[1]["mean"] > 25
    unknown = botticelli("experiments nope")
    assert (unknown.code, "there is no experiment 'nope'; known: hook" in unknown.err) == (2, True)


def test_trace_and_review_say_what_readers_changed(botticelli, db):
    why = "+4 % because angle = tutorial, n = 22"
    told = Jsonb({"factor": 1.04, "why": why})
    id_ = candidate(db, "a post", curation_score=40, judged_at="now()", feedback=told)

    assert f"feedback: {why}" in botticelli(f"trace {id_}").out
