"""The package that docs/plugins.md shows, installed and used."""

import re
import sys
from pathlib import Path

import pytest
import tomli

from tests.database import approved
from tests.posting import status_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "plugins.md"
NARRATIVE = """
[narrative]
name = "notes"
skip_content_generation = true
[toc]
order = ["add", "look", "say"]
[acts.add]
[[acts.add.input]]
type = "bot_command"
platform = "blackboard"
command = "notes.add"
required = true
args = { text = "buy ochre" }
[acts.look]
[[acts.look.input]]
type = "bot_command"
platform = "blackboard"
command = "notes.list"
[acts]
say = "Notes: {{look.notes.0}}"
"""


def files():
    """Every file that the document shows, by name."""
    pattern = r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$"
    return dict(re.findall(pattern, DOCUMENT.read_text(), re.MULTILINE | re.DOTALL))


def test_the_packages_build_ships_the_module_that_is_shown():
    """Without saying so, hatchling looks for a folder of the project's name and gives up."""
    shown = files()
    wheel = tomli.loads(shown["pyproject.toml"])["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert set(wheel["only-include"]) == {name for name in shown if name.endswith(".py")}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as an installer leaves it: its module, and its metadata beside it."""
    shown = files()
    project = tomli.loads(shown["pyproject.toml"])["project"]
    site = tmp_path / "site"
    metadata = site / "botticelli_blackboard-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "blackboard.py").write_text(shown["blackboard.py"])
    facts = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(facts)
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("blackboard", None)


@pytest.fixture
def user(installed, botticelli, db_url):
    """Somebody with the document's configuration."""
    (botticelli.cwd / "botticelli.toml").write_text(files()["botticelli.toml"])
    botticelli.environ["DATABASE_URL"] = db_url
    return botticelli


def test_posts_go_to_the_platform_of_a_plugin(user, db):
    post = approved(db, "hello board")

    ended = user("post")

    assert ended.code == 0, ended.err
    assert "hello board" in (user.cwd / "board.txt").read_text()
    assert status_of(db, post) == "posted"


def test_its_commands_are_listed_run_and_guarded(user):
    assert "blackboard notes.add" in user("commands blackboard").out
    refused = user(["command", "blackboard", "notes.wipe"])
    assert (refused.code, "no command 'notes.wipe'" in refused.err) == (1, True)

    ended = user(["command", "blackboard", "notes.add", "--text", "buy ochre"])

    assert ended.code == 0, ended.err
    assert (user.cwd / "notes.txt").read_text() == "buy ochre\n"
    assert "notes.add" in user("approvals log").out


def test_its_model_answers_and_its_commands_serve_narratives(user):
    (user.cwd / "notes.toml").write_text(NARRATIVE)
    assert user("trust notes.toml").code == 0

    ended = user("run notes.toml")

    assert ended.code == 0, ended.err
    assert ended.out.endswith("Notes: buy ochre\n")


def test_without_the_package_its_names_are_mistakes(botticelli, db_url):
    (botticelli.cwd / "botticelli.toml").write_text(files()["botticelli.toml"])

    ended = botticelli("status")

    assert ended.code == 78
    assert "destinations.board.platform" in ended.err
    assert "models.parrot.provider" in ended.err


def test_a_package_that_cannot_be_imported_is_named(user, installed):
    (installed / "blackboard.py").write_text("import nothing_of_that_name")

    ended = user("command blackboard notes.list")

    assert ended.code == 78
    assert "botticelli-blackboard cannot be loaded" in ended.err


def test_two_packages_of_the_same_name_are_not_chosen_from(user, installed):
    other = installed / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    points = "[botticelli.commands]\nblackboard = elsewhere:open"
    (other / "entry_points.txt").write_text(points)

    ended = user("command blackboard notes.list")

    assert ended.code == 78
    assert "botticelli-blackboard, other" in ended.err
