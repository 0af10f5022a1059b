"""What a post of the shipped carousel costs, whatever its angle."""

import json
from pathlib import Path

import pytest

from botticelli.narrative.checks.call_count import calls_per_run
from botticelli.narrative.language.load import load_file, shipped_narratives
from botticelli.stages.generate.plan import plan_items
from tests.narrative.scripted import stage

FILE = load_file(Path(shipped_narratives()) / "generation_carousel.toml")
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

    assert [key.act for _, key in shipped.caller.asked] == [
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


def test_ten_rounds_are_fifty_posts():
    batch = FILE.narratives["batch_generate"]

    items = plan_items(FILE, batch, iterations=10)

    assert (len(ANGLES), len(items), len(set(items))) == (5, 50, 50)
