"""ABOUT.md: the project's own page is what every shipped narrative speaks of."""

import json
from pathlib import Path

import pytest

from botticelli.narrative.files import about
from botticelli.narrative.files.lookup import find_file, folders_of
from botticelli.narrative.language.load import load_file, shipped_narratives
from botticelli.narrative.language.model import Text
from tests.commandline import Botticelli

SHIPPED = {path.stem: load_file(path) for path in sorted(shipped_narratives().glob("*.toml"))}
OLD = Path(__file__).parent / "old_context.md"
CHESS = "# About\n\nA chess club in Leeds. We write about openings and Thursday evenings.\n"


def first_acts():
    """Every act of a shipped narrative that begins a conversation with a model.

    Not those that say an approved post in other words: what the channel is about they have from it.
    """
    for name, file in SHIPPED.items():
        if name in ("adapt", "recycle"):
            continue
        for narrative in file.narratives.values():
            act = narrative.acts[0]
            if any(isinstance(given, Text) for given in act.inputs):
                yield pytest.param(file, act, id=f"{name}.{narrative.key}")


@pytest.mark.parametrize(("file", "act"), list(first_acts()))
def test_what_a_shipped_narrative_asks_begins_with_the_projects_page(file, act, tmp_path):
    (tmp_path / about.NAME).write_text(CHESS)

    first = next(given for given in act.inputs if isinstance(given, Text))

    found = find_file(first.file, folders=folders_of(file.path, None, environ={}, cwd=tmp_path))
    assert found.read_text() == CHESS


def test_nothing_shipped_speaks_of_botticelli():
    texts = [
        given.content or ""
        for file in SHIPPED.values()
        for _, _, given in file.inputs()
        if isinstance(given, Text)
    ]
    pages = [path.read_text() for path in shipped_narratives().rglob("*.md")]

    assert len(texts) > 10
    assert len(pages) == 2
    assert not [text for text in [*texts, *pages] if "botticelli" in text.lower()]


def test_the_projects_page_goes_before_those_of_folders_and_beside_the_file(tmp_path):
    places = [tmp_path / name for name in ("project", "context", "own")]
    for place in places:
        place.mkdir()
        (place / about.NAME).write_text(place.name)
    environ = {"BOTTICELLI_CONTEXT_PATH": str(places[1])}

    seen = []
    for place in places:
        folders = folders_of(places[2] / "x.toml", None, environ=environ, cwd=places[0])
        seen.append(find_file(about.NAME, folders=folders).read_text())
        (place / about.NAME).unlink()

    assert seen == ["project", "context", "own"]
    assert find_file(about.NAME, folders=folders).parent == about.SHIPPED.resolve()


def test_no_other_file_is_read_from_the_working_directory(tmp_path):
    (tmp_path / "notes.md").write_text("private")
    file = shipped_narratives() / "short_posts.toml"

    folders = folders_of(file, None, environ={}, cwd=tmp_path)

    assert tmp_path not in folders.places("notes.md")


WRITTEN = about.page(who="The Leeds chess club, for its members.", what="Openings and endgames.")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (about.page(), ["ABOUT.md:5: is not filled in yet", "ABOUT.md:9: is not filled in yet"]),
        (about.page(who="The Leeds chess club."), ["ABOUT.md:9: is not filled in yet"]),
        (WRITTEN + "\n- [Fill in: a fact", ["ABOUT.md:20: is not filled in yet: [Fill in: a fact"]),
        ("# About this channel\n\n## What we write about\n\nChess.\n", ["ABOUT.md:1: says too"]),
        ("", ["ABOUT.md:1: says too little to write from"]),
        (OLD.read_text(), ["ABOUT.md: is about Botticelli itself"]),
        (None, ["ABOUT.md: not there"]),
        (WRITTEN, []),
        (CHESS, []),
    ],
)
def test_check_warns_until_the_page_is_written(botticelli, page, words):
    if page is not None:
        (botticelli.cwd / about.NAME).write_text(page)

    warnings = about_warnings(botticelli)

    assert len(warnings) == len(words), warnings
    for word, warning in zip(words, warnings, strict=True):
        assert word in warning


def test_check_reads_the_page_that_a_run_would_read(botticelli):
    (botticelli.cwd / "context").mkdir()
    (botticelli.cwd / "context" / about.NAME).write_text(CHESS)
    botticelli.environ["BOTTICELLI_CONTEXT_PATH"] = "context"

    assert about_warnings(botticelli) == []


def test_an_old_copy_of_the_page_about_botticelli_is_noticed(botticelli):
    folder = botticelli.cwd / "narratives"
    folder.mkdir()
    (folder / "old.toml").write_text(
        '[narrative]\nname = "old"\n[toc]\norder = ["a"]\n[[acts.a.input]]\ntype = "text"\n'
        'file = "BOTTICELLI_CONTEXT.md"\n'
    )
    (folder / "BOTTICELLI_CONTEXT.md").write_text(OLD.read_text())
    (botticelli.cwd / "botticelli.toml").write_text('[generate]\nnarrative = "old"\n')
    (botticelli.cwd / about.NAME).write_text(CHESS)

    assert [each.rpartition("/")[2] for each in about_warnings(botticelli)] == [
        "BOTTICELLI_CONTEXT.md: is about Botticelli itself"
    ]


def about_warnings(botticelli: Botticelli) -> list[str]:
    botticelli.environ["DATABASE_URL"] = "postgresql://127.0.0.1:1/none"  # not what is asked
    found = json.loads(botticelli("check --json").out)["findings"]
    return [f"{each['subject']}: {each['what']}" for each in found if each["level"] == "warning"]
