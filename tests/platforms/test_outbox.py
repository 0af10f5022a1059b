"""The outbox: the contract, and what a folder adds to it."""

import os

import pytest

from botticelli.errors import ConfigError
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
