"""A narrative is found by what a user calls it; files that run each other are followed."""

from pathlib import Path

import pytest

from botticelli.errors import ConfigError
from botticelli.narrative.checks.needs import calls_per_run
from botticelli.narrative.language.load import find_narrative, load_file, resolve_nested
from botticelli.narrative.language.model import Nested

FOLDER = Path(__file__).parent / "examples"

SINGLE = """
toc = ["say"]
[narrative]
name = "own_name"
[acts]
say = "Hello."
"""


@pytest.fixture
def project(tmp_path):
    """Write files into a folder; return the function that does it."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def calling(path):
    return SINGLE.replace(
        'say = "Hello."', f'say = "narratives.it"\n[narratives.it]\nnarrative = "{path}"'
    )


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("generation_carousel.batch_generate", "batch_generate"),
        ("generation_carousel:feature", "feature"),
        ("generation_carousel.toml:feature", "feature"),
        ("curate_and_approve", "curate_content"),
        ("curate_and_approve.curate_content", "curate_content"),
        ("model_options", "Model Options Demo"),
        ("model_options.model_options", "Model Options Demo"),
        ("model_options:Model Options Demo", "Model Options Demo"),
        (str(FOLDER / "rules_content.toml"), "rules_content"),
        (str(FOLDER / "rules_content"), "rules_content"),
    ],
)
def test_a_reference_is_a_file_and_perhaps_a_name(reference, key, tmp_path):
    file, narrative = find_narrative(reference, folders=[FOLDER], cwd=tmp_path)

    assert narrative.key == key
    assert file.path.parent == FOLDER


def test_the_working_directory_goes_before_folders_and_shipped_narratives(project):
    cwd = project(curate_and_approve=SINGLE)

    file, narrative = find_narrative("curate_and_approve", folders=[FOLDER], cwd=cwd)

    assert (file.path.parent, narrative.name) == (cwd, "own_name")


def test_shipped_narratives_are_found_from_anywhere(tmp_path):
    _, narrative = find_narrative("generation_carousel.batch_generate", folders=[], cwd=tmp_path)

    assert narrative.name == "batch_generate"


def test_an_unknown_file_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'generation_carousel'"):
        find_narrative("generation_carrousel", folders=[], cwd=tmp_path)


def test_an_unreadable_name_is_no_crash(tmp_path):
    for reference in ("x" * 5000, "a\0b", "", ".", "..", ":", ".:."):
        with pytest.raises(ConfigError):
            find_narrative(reference, folders=[], cwd=tmp_path)


@pytest.mark.parametrize("path", ["inner", "inner.toml", "./deep/inner", "inner:own_name"])
def test_a_nested_file_is_looked_for_beside_its_caller(project, path):
    folder = project(outer=calling(path), inner=SINGLE, deep__inner=SINGLE)

    _, narrative = find_narrative(str(folder / "outer"), folders=[], cwd=folder / "elsewhere")

    assert narrative.name == "own_name"


def test_a_nested_file_is_found_from_the_projects_root(project):
    folder = project(narratives__outer=calling("./shared/inner"), shared__inner=SINGLE)
    (folder / "botticelli.toml").touch()
    file = load_file(folder / "narratives" / "outer.toml")
    nested = file.narratives["own_name"].acts[0].inputs[0]

    inner, _ = resolve_nested(file, nested, cwd=Path("/"))

    assert inner.path == folder / "shared" / "inner.toml"


def test_a_nested_name_of_the_same_file_is_meant_before_a_file():
    file = load_file(FOLDER / "nested_by_name.toml")

    inner, narrative = resolve_nested(file, Nested(name="inner", path="inner.toml"), cwd=FOLDER)

    assert (inner, narrative.key) == (file, "inner")


def test_a_missing_nested_file_is_told_before_anything_runs(project):
    folder = project(outer=calling("nowhere"))

    with pytest.raises(ConfigError, match=r"there is no file nowhere\.toml"):
        find_narrative("outer", folders=[], cwd=folder)


def test_files_that_run_each_other_are_an_error_with_the_chain(project):
    folder = project(a=calling("b"), b=calling("c"), c=calling("a"))

    with pytest.raises(ConfigError) as caught:
        find_narrative("a", folders=[], cwd=folder)

    assert "a.toml:own_name -> b.toml:own_name -> c.toml:own_name -> a.toml:own_name" in str(
        caught.value
    )


def test_two_ways_to_one_file_are_no_circle(project):
    twice = SINGLE.replace('say = "Hello."', 'say = ["narrative:b", "narrative:b", "narrative:c"]')
    folder = project(a=twice, b=calling("c"), c=SINGLE)

    _, narrative = find_narrative("a", folders=[], cwd=folder)

    assert len(narrative.acts[0].inputs) == 3


@pytest.mark.parametrize(
    ("reference", "least", "most"),
    [
        ("generation_carousel.batch_generate", 3 * 9, 3 * 9),
        ("json_extraction_test.run_all_tests", 5 * 4, 5 * 4),
        ("publish_rules", 3 + 2, 3 + 2),
        ("structured", 2, 3),
        ("carousels_everywhere", 3 * 3, 3 * 3),
        ("discord_poster", 1, 1),
        ("server_setup", 0, 0),
        ("daily_showcase", 1, 1),
        ("table_references", 3, 3),
    ],
)
def test_calls_are_counted_with_carousels_and_all_that_is_run(reference, least, most):
    file, narrative = find_narrative(reference, folders=[FOLDER], cwd=FOLDER)

    calls = calls_per_run(
        file, narrative, resolve=lambda where, nested: resolve_nested(where, nested, cwd=FOLDER)
    )

    assert (calls.least, calls.most) == (least, most)
