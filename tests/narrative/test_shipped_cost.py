"""What a post of the shipped carousel costs, whatever its angle."""

import itertools
import json
from pathlib import Path

import pytest

from botticelli.models.prompts import readable
from botticelli.narrative.checks.needs import calls_per_run
from botticelli.narrative.language.load import load_file, shipped_narratives
from botticelli.stages.generate.plan import plan_items
from tests.narrative.scripted import stage

FILE = load_file(Path(shipped_narratives()) / "generation_carousel.toml")
BEFORE = load_file(Path(__file__).parents[2] / "benchmarks" / "conversation_carousel.toml")
DRAFT = "A draft that says something. " * 37
POINTS = "1. Say it shorter, and say why. " * 34
ANGLES = [name for name in FILE.narratives if name != "batch_generate"]
POST = json.dumps(
    {
        "text_content": "Nobody likes an empty channel. " * 15 + "What do you do?",
        "content_type": "feature",
        "source": "generation_carousel",
        "tags": ["channel", "rhythm"],
    }
)


def nothing_nested(_file, nested):
    raise AssertionError(f"{nested.name} is called")


@pytest.mark.parametrize("angle", ANGLES)
def test_a_good_post_has_five_acts_and_costs_three_calls(db, angle):
    shipped = stage(db, "", file=FILE, answers=["A draft.", "1. Shorter.", POST])

    execution = shipped.run(angle)

    assert [key.act_name for _, key in shipped.caller.asked] == [
        f"{angle}_generate",
        "critique",
        "refine",
    ]
    assert [act.name for act in execution.acts] == [
        f"{angle}_generate",
        "critique",
        "refine",
        "format_json",
        "audit_json",
    ]
    assert {act.state for act in execution.acts} == {"done"}
    assert calls_per_run(FILE, FILE.narratives[angle], resolve=nothing_nested).least == 3
    found = db.execute("SELECT source_narrative, source_act FROM potential_discord_posts")
    assert found.fetchall() == [(angle, "audit_json")]


def test_json_that_only_had_to_be_mended_costs_no_further_call(db):
    fenced = f"Here you are:\n```json\n{POST[:-1]},}}\n```"
    shipped = stage(db, "", file=FILE, answers=["A draft.", "1. Shorter.", fenced])

    shipped.run("feature")

    assert len(shipped.caller.asked) == 3
    assert db.execute("SELECT count(*) FROM potential_discord_posts").fetchone() == (1,)


def prompts_of(db, *, round_, draft=DRAFT, points=POINTS, angle="feature", file=FILE):
    """Return what the three calls of a post ask, by act."""
    recent = "\n".join(
        f"- The opening of post {round_ * 100 + n}".ljust(90, ".") for n in range(20)
    )
    variables = {"iteration": str(round_), "recent_posts": recent}
    shipped = stage(db, "", file=file, answers=[draft, points, POST], variables=variables)
    shipped.run(angle)
    return {key.act_name.rpartition("_")[2]: request for request, key in shipped.caller.asked}


def beginning(one, other):
    """Return what both texts begin with."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in pairs)


@pytest.mark.parametrize("angle", ANGLES)
def test_what_changes_stands_at_the_end_of_each_prompt(db, angle):
    first = prompts_of(db, round_=1, angle=angle)
    second = prompts_of(db, round_=2, angle=angle, draft="Another draft.", points="2. Longer.")

    same = {act: beginning(readable(first[act]), readable(second[act])) for act in first}

    assert same["generate"].endswith("which yours must not resemble:\n- The opening of post ")
    assert same["critique"].endswith("The draft:\n\nA")
    assert same["refine"].endswith("The draft:\n\nA")
    assert all(same[act].startswith("# About this channel") for act in ("generate", "critique"))


def test_editor_and_writer_get_what_they_need_and_no_more(db):
    asked = {act: readable(request) for act, request in prompts_of(db, round_=1).items()}

    assert "The opening of post" not in asked["critique"] + asked["refine"]
    assert DRAFT in asked["critique"]
    assert DRAFT in asked["refine"]
    assert POINTS in asked["refine"]
    assert 'content_type is "feature"' in asked["refine"]
    assert {len(request.messages) for request in prompts_of(db, round_=1).values()} == {1}


def test_a_post_costs_at_most_six_tenths_of_what_the_conversation_did(db):
    then, now = (
        sum(len(readable(request)) for request in prompts_of(db, round_=1, file=file).values())
        for file in (BEFORE, FILE)
    )

    assert now / then <= 0.6


def test_ten_rounds_are_fifty_posts():
    batch = FILE.narratives["batch_generate"]

    items = plan_items(FILE, batch, iterations=10)

    assert (len(ANGLES), len(items), len(set(items))) == (5, 50, 50)
