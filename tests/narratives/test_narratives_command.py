"""`botticelli narratives`: what files and folders offer."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "examples"


def test_the_shipped_narratives_are_listed_with_acts_rounds_and_calls(botticelli):
    ended = botticelli("narratives")

    assert ended.code == 0
    line = next(each for each in ended.out.splitlines() if "carousel:batch_generate" in each)
    assert line.split()[-3:] == ["10", "150-250", "-"]


def test_a_file_is_listed_as_json_with_all_its_facts(botticelli):
    ended = botticelli(["narratives", str(FOLDER / "rules_content.toml"), "--json"])

    (offer,) = json.loads(ended.out)["files"][0]["narratives"]
    assert offer == {
        "reference": str(FOLDER / "rules_content"),
        "name": "rules_content",
        "description": "Three candidates for the rules",
        "acts": ["write"],
        "rounds": 3,
        "target": "rules_content",
        "calls_least": 3,
        "calls_most": 3,
    }


def test_what_is_listed_can_be_typed_as_it_stands(botticelli):
    (botticelli.cwd / "mine").mkdir()
    (botticelli.cwd / "mine" / "two.toml").write_text(
        '[narrative.a]\ntoc = ["x"]\n[narrative.b]\ntoc = ["x"]\n[acts]\nx = "Hi"\n'
    )

    ended = botticelli("narratives mine")

    assert "mine/two:a " in ended.out
    assert "mine/two:b " in ended.out


def test_broken_files_are_shown_and_others_are_left_out(botticelli):
    (botticelli.cwd / "broken.toml").write_text('[narrative]\nname = "x"\n[acts]\na = "Hi"\n')
    (botticelli.cwd / "pyproject.toml").write_text('[project]\nname = "x"\n')

    ended = botticelli("narratives .")

    assert ended.code == 78
    assert 'there is no toc; add [toc] order = ["a"]' in ended.out
    assert "pyproject" not in ended.out


def test_a_place_that_is_not_there_is_a_usage_error(botticelli):
    ended = botticelli("narratives nowhere")

    assert ended.code == 2
    assert "nowhere" in ended.err
