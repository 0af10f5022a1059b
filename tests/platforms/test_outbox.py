"""The outbox: the contract, and what a folder adds to it."""

import json
import os

import pytest

from botticelli.errors import ConfigError
from botticelli.platforms.base import Attachment, Refused
from botticelli.platforms.outbox import Outbox
from tests.contracts.platform_contract import PlatformContract, message


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "outbox"


@pytest.fixture
def platform(folder, clock):
    return Outbox("file", folder=folder, clock=clock)


@pytest.fixture
def published(folder):
    return lambda: [path.read_bytes().decode() for path in sorted(folder.glob("*.md"))]


@pytest.fixture
def lose_answers():
    return None


class TestOutbox(PlatformContract):
    pass


def test_a_file_is_named_by_its_time_and_nonce(platform, folder):
    receipt = platform.send(message(nonce="abc"))

    assert receipt.remote_id == "20261124T120000Z-abc.md"
    assert receipt.url == str(folder / receipt.remote_id)


def test_line_ends_and_blanks_stay_as_they_are(platform, folder):
    text = " a\r\nb\n\n"

    receipt = platform.send(message(text))

    assert (folder / receipt.remote_id).read_bytes() == text.encode()


def test_nothing_but_posts_is_left_in_the_folder(platform, folder):
    platform.send(message())

    assert [path.suffix for path in folder.iterdir()] == [".md"]


def test_a_file_in_the_way_is_a_matter_of_configuration(tmp_path, clock):
    (tmp_path / "file").write_text("")
    outbox = Outbox("file", folder=tmp_path / "file" / "outbox", clock=clock)

    with pytest.raises(ConfigError, match="cannot be written"):
        outbox.send(message())
    assert "cannot be written" in outbox.check()[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_somebody_elses_is_told(tmp_path, clock):
    tmp_path.chmod(0o500)
    try:
        assert "cannot be written" in Outbox("file", folder=tmp_path / "o", clock=clock).check()[0]
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "remote_id",
    [
        "../victim.md",
        "/etc/passwd",
        "../../20261124T120000Z-abc.md",
        "20261124T120000Z-../../victim.md",
        "20261124T120000Z-abc.md/../../victim.md",
        "20261124T120000Z-abc\n.md",
        "",
        ".",
        "notes.md",
    ],
)
def test_a_row_that_names_another_file_neither_changes_nor_removes_it(platform, folder, remote_id):
    folder.mkdir(parents=True)
    victims = [folder.parent / "victim.md", folder.parents[1] / "victim.md", folder / "notes.md"]
    for victim in victims:
        victim.write_text("mine")

    with pytest.raises(Refused):
        platform.edit(remote_id, message("theirs"))
    with pytest.raises(Refused):
        platform.delete(remote_id)

    assert [victim.read_text() for victim in victims] == ["mine"] * 3


def test_links_planted_in_the_outbox_are_not_written_through(platform, folder, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    receipt = platform.send(message())
    (folder / receipt.remote_id).unlink()
    (folder / receipt.remote_id).symlink_to(victim)
    (folder / f".{receipt.remote_id}.{os.getpid()}.half").symlink_to(victim)

    platform.edit(receipt.remote_id, message("new"))

    assert victim.read_text() == "mine"
    assert (folder / receipt.remote_id).read_text() == "new"
    assert not (folder / receipt.remote_id).is_symlink()


PICTURE = Attachment(sha256="ab" * 32, mime="image/png", content=b"\x89PNG", alt='a "cat"', width=1)


def test_what_a_post_has_besides_its_text_stands_in_front_and_beside_it(platform, folder):
    more = {"title": "Grüße: 1", "link": "https://a.example/", "attachments": (PICTURE, PICTURE)}

    for _ in range(2):
        receipt = platform.send(message("the text", **more))

    assert sorted(path.name for path in folder.iterdir()) == [
        "20261124T120000Z-0123456789abcdef012345678.md",
        f"{PICTURE.sha256}.png",
    ]
    assert (folder / f"{PICTURE.sha256}.png").read_bytes() == PICTURE.content
    _, front, text = (folder / receipt.remote_id).read_text().split("---\n")
    assert yaml_of(front) == {
        "title": "Grüße: 1",
        "link": "https://a.example/",
        "attachments": [{"file": f"{PICTURE.sha256}.png", "alt": 'a "cat"'}] * 2,
    }
    assert text == "\nthe text"


def yaml_of(front):
    """Read the little of YAML that we write."""
    found = {}
    for line in front.splitlines():
        key, _, value = line.strip().partition(": ")
        if line.startswith("  - "):
            found["attachments:"].append({"file": value})
        elif line.startswith("    "):
            found["attachments:"][-1][key] = json.loads(value)
        else:
            found[key] = json.loads(value) if value else []
    return {key.rstrip(":"): value for key, value in found.items()}


def test_the_preview_names_every_file(platform):
    shown = platform.preview(message("Look", attachments=(PICTURE,)))

    assert [one["method"] for one in shown] == ["WRITE", "WRITE"]
    assert shown[0]["files"]["alt"] == PICTURE.alt
    assert "Look" in shown[1]["json"]["content"]
