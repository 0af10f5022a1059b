"""docs/first-channel.md as a reader types it, and the pages beside it: what they show is there."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import tomli

from tests.configured import load
from tests.fakes.discord import FakeDiscord

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = (DOCS / "first-channel.md").read_text()
LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", TUTORIAL, re.DOTALL)
    for line in block.split("\n")
    if line
]
CHANNEL = re.search(r"--channel (\d+)", TUTORIAL)[1]


@pytest.mark.slow
@pytest.mark.usefixtures("db", "generous")
def test_every_command_of_the_tutorial_works_as_it_is_written(botticelli, gemini):
    with FakeDiscord(channel=CHANNEL) as discord:
        botticelli.environ |= {
            "GOOGLE_GEMINI_BASE_URL": gemini.url,
            "DISCORD_API_BASE": discord.api,
        }
        for line in LINES:
            follow(botticelli, line)
            if line.startswith("chmod"):  # "Open .env in an editor, and fill in ..."
                fill_in(botticelli.cwd / ".env", gemini.key, discord.token)

        assert len(LINES) >= 12
        (post,) = discord.world.messages[CHANNEL].values()
        assert "Post number" in post.data["content"]
    assert "Leeds chess club" in gemini.calls[0].prompt


def test_the_readme_leads_the_same_way():
    readme = (DOCS.parent / "README.md").read_text()
    (block,) = re.findall(r"## Your first post\n\n```sh\n(.*?)```", readme, re.DOTALL)
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]

    assert lines[1:3] == ["botticelli init chess", "cd chess"]
    assert len(lines) >= 10
    assert [line for line in lines[3:] if line not in LINES] == []


def follow(botticelli, line):
    words = shlex.split(line)
    if words[0] == "cd":
        botticelli.cwd /= words[1]
    elif words[0] == "botticelli":
        ended = botticelli(words[1:])
        assert ended.code == 0, f"{line}: {ended.out}{ended.err}"
    else:
        subprocess.run(words, cwd=botticelli.cwd, check=True)


def fill_in(file, key, token):
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    file.write_text(
        text.replace("GEMINI_API_KEY=", f"GEMINI_API_KEY={key}").replace(
            "DISCORD_TOKEN=", f"DISCORD_TOKEN={token}"
        )
    )


def test_the_settings_of_the_page_for_people_without_a_key_are_valid(tmp_path):
    page = (DOCS / "without-a-key.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "botticelli.toml"
    file.write_text(text)

    config = load(file, environ={}, cwd=tmp_path)

    assert tomli.loads(text)
    assert config.curate.batch == 5
    assert config.generate.narrative == "short_posts.batch"


@pytest.mark.parametrize("page", ["index.md", "first-channel.md", "without-a-key.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", (DOCS / page).read_text()):
        assert (DOCS / target).is_file(), target


def test_the_map_of_the_documentation_has_every_page():
    index = (DOCS / "index.md").read_text()

    assert [page.name for page in DOCS.glob("*.md") if f"({page.name})" not in index] == [
        "index.md"
    ]
