"""A feed: the contract, what the formats ask for, and that no entry is lost or doubled."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from botticelli.clock import SystemClock
from botticelli.config.model import Destination
from botticelli.errors import ConfigError
from botticelli.platforms.base import Attachment, NotSent
from botticelli.platforms.feed import MOST_ENTRIES, Feed
from botticelli.platforms.open import missing, open_platform
from tests.contracts.platform_contract import PlatformContract, message

ATOM = "{http://www.w3.org/2005/Atom}"


def picture(content=b"png", **more):
    sha256 = hashlib.sha256(content).hexdigest()
    facts = {"mime": "image/png", "alt": 'A "rose" & more', "name": "rose.png", **more}
    return Attachment(sha256=sha256, content=content, **facts)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "www" / "feed"


def feed_at(folder, clock, **changes):
    facts = {"title": "Garden", "link": "https://garden.example", "base_url": "", **changes}
    return Feed("feed", folder=folder, clock=clock, **facts)


@pytest.fixture
def platform(folder, clock):
    return feed_at(folder, clock)


def items(folder):
    return json.loads((folder / "feed.json").read_text())["items"]


def entries(folder):
    return ET.parse(folder / "atom.xml").getroot().findall(f"{ATOM}entry")


@pytest.fixture
def published(folder):
    """Return the texts of the feed, from its Atom, once it is sure that both files agree."""

    def read():
        if not folder.exists():
            return []
        both = [one["content_html"] for one in items(folder)]
        assert [one.findtext(f"{ATOM}content") for one in entries(folder)] == both
        return [_text(one) for one in reversed(both)]

    return read


def _text(html):
    from html import unescape

    for tag, mark in (("<p>", ""), ("</p>", ""), ("strong>", ""), ("</", "**"), ("<", "**")):
        html = html.replace(tag, mark)
    return unescape(html).replace("'quoted'", "'quoted'").replace("🎨\n", "🎨\n\n")


@pytest.fixture
def lose_answers():
    return None


class TestFeed(PlatformContract):
    pass


def test_every_element_that_atom_asks_for_is_there(folder, clock):
    feed = feed_at(folder, clock, base_url="https://garden.example/feed")
    feed.send(
        message("# Spring\n\n*It* <blooms> & so on", link="https://a.example/1?b&c", language="en")
    )
    feed.send(message("Summer", nonce="2", title="The title"))

    root = ET.parse(folder / "atom.xml").getroot()
    assert root.tag == f"{ATOM}feed"
    assert [len(root.findall(ATOM + tag)) for tag in ("id", "title", "updated", "author")] == [
        1
    ] * 4
    assert root.find(f"{ATOM}author/{ATOM}name").text == "Garden"
    links = {one.get("rel"): one.get("href") for one in root.findall(f"{ATOM}link")}
    assert links == {
        "self": "https://garden.example/feed/atom.xml",
        "alternate": "https://garden.example",
    }
    summer, spring = root.findall(f"{ATOM}entry")
    for one in (summer, spring):
        assert [len(one.findall(ATOM + tag)) for tag in ("id", "title", "updated")] == [1] * 3
        assert one.findtext(f"{ATOM}id").startswith("urn:uuid:")
        assert datetime.fromisoformat(one.findtext(f"{ATOM}updated")).tzinfo
    assert [one.findtext(f"{ATOM}title") for one in (summer, spring)] == ["The title", "Spring"]
    content = spring.find(f"{ATOM}content")
    assert content.get("type") == "html"
    assert content.text == "<h1>Spring</h1>\n<p><em>It</em> &lt;blooms&gt; &amp; so on</p>"
    assert spring.find(f"{ATOM}link").attrib == {
        "rel": "alternate", "href": "https://a.example/1?b&c",
    }  # fmt: skip
    assert spring.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"


def test_what_json_feed_asks_for_is_there(folder, clock):
    feed = feed_at(folder, clock, base_url="https://garden.example/feed")
    feed.send(message("Spring", link="https://a.example/1", title="T", attachments=(picture(),)))

    whole = json.loads((folder / "feed.json").read_text())
    (item,) = whole["items"]
    assert whole["version"] == "https://jsonfeed.org/version/1.1"
    assert whole["title"] == "Garden"
    assert whole["feed_url"] == "https://garden.example/feed/feed.json"
    assert (item["url"], item["title"]) == ("https://a.example/1", "T")
    name = f"{picture().sha256}.png"
    assert item["attachments"] == [
        {
            "url": f"https://garden.example/feed/media/{name}",
            "mime_type": "image/png",
            "title": 'A "rose" & more',
            "size_in_bytes": 3,
        }
    ]
    assert (folder / "media" / name).read_bytes() == b"png"
    assert 'alt="A &quot;rose&quot; &amp; more"' in item["content_html"]
    enclosure = entries(folder)[0].findall(f"{ATOM}link")[1]
    assert enclosure.attrib == {
        "rel": "enclosure",
        "href": f"https://garden.example/feed/media/{name}",
        "title": 'A "rose" & more',
        "type": "image/png",
        "length": "3",
    }


def test_characters_that_xml_cannot_hold_are_left_out(platform, folder):
    platform.send(message("a\x0bbc\ufffe" + "d", title="t\x1bt"))

    assert entries(folder)[0].findtext(f"{ATOM}title") == "tt"
    assert items(folder)[0]["content_html"] == "<p>abcd</p>"


def test_an_edit_says_when_and_keeps_picture_and_date(platform, folder, clock):
    receipt = platform.send(message("teh", attachments=(picture(),)))
    first = items(folder)[0]
    clock.advance(timedelta(hours=2))

    platform.edit(receipt.remote_id, message("the"))
    edited = items(folder)[0]
    clock.advance(timedelta(seconds=60))
    platform.edit(receipt.remote_id, message("the"))

    assert edited["date_published"] == first["date_published"]
    assert (
        edited["date_modified"]
        == (datetime.fromisoformat(first["date_modified"]) + timedelta(hours=2)).isoformat()
    )
    assert edited["attachments"] == first["attachments"]
    assert edited["content_html"] == first["content_html"].replace("teh", "the")
    assert items(folder)[0] == edited


def test_the_oldest_leave_the_feed_with_their_pictures(platform, folder):
    own = folder / "media" / "mine.png"
    first = platform.send(message("0", nonce="0", attachments=(picture(),)))
    own.write_bytes(b"of the user")
    for number in range(1, MOST_ENTRIES + 1):
        platform.send(message(str(number), nonce=str(number)))

    assert [one["content_html"] for one in items(folder)][-1] == "<p>1</p>"
    assert len(items(folder)) == len(entries(folder)) == MOST_ENTRIES
    assert list((folder / "media").iterdir()) == [own]
    platform.delete(first.remote_id)


def test_a_picture_of_two_entries_stays_until_both_are_gone(platform, folder):
    one = platform.send(message("1", nonce="1", attachments=(picture(),)))
    two = platform.send(message("2", nonce="2", attachments=(picture(),)))

    platform.delete(one.remote_id)
    assert len(list((folder / "media").iterdir())) == 1
    platform.delete(two.remote_id)
    assert list((folder / "media").iterdir()) == []


def test_what_a_kill_left_in_the_atom_alone_is_not_there_and_comes_once(platform, folder, clock):
    platform.send(message("whole", nonce="1"))
    before = (folder / "feed.json").read_bytes()
    platform.send(message("half", nonce="2"))
    ids = [one.findtext(f"{ATOM}id") for one in entries(folder)]
    (folder / "feed.json").write_bytes(before)

    assert platform.find(message("half", nonce="2"), since=clock.now()).receipt is None
    platform.send(message("half", nonce="2"))

    assert platform.find(message("half", nonce="2"), since=clock.now()).receipt
    assert ids == [one.findtext(f"{ATOM}id") for one in entries(folder)]
    assert ids == [one["id"] for one in items(folder)]


@pytest.mark.parametrize("content", ["{", "[]", '{"items": [{}]}', '{"items": 3}', "[" * 100_000])
def test_a_file_that_is_no_feed_is_not_written_over(platform, folder, content):
    folder.mkdir(parents=True)
    (folder / "feed.json").write_text(content)

    with pytest.raises(ConfigError, match="not a JSON feed"):
        platform.send(message())

    assert (folder / "feed.json").read_text() == content
    assert "not a JSON feed" in platform.check()[0]


def test_a_folder_that_cannot_be_made_is_a_matter_of_configuration(tmp_path, clock):
    (tmp_path / "file").write_text("")
    feed = feed_at(tmp_path / "file" / "feed", clock)

    with pytest.raises(ConfigError, match="cannot be written"):
        feed.send(message())
    assert "cannot be written" in feed.check()[0]


def test_who_writes_for_long_is_waited_for_only_so_long(platform, folder, clock):
    import fcntl

    folder.mkdir(parents=True)
    with (folder / ".feed.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NotSent, match="somebody else"):
            platform.send(message())
    platform.send(message())


def test_what_is_missing_is_said_before(tmp_path, clock):
    bare = Destination(name="feed", platform="feed", link="garden.example")

    assert [one.where.rpartition(".")[2] for one in missing(bare)] == ["link"]
    fine = Destination(name="feed", platform="feed", folder=tmp_path)
    assert open_platform(fine, clock=clock).send(message()).url == str(tmp_path / "feed.json")


WRITER = """
import sys
from pathlib import Path
from botticelli.clock import SystemClock
from botticelli.platforms.base import OutgoingMessage
from botticelli.platforms.feed import Feed
feed = Feed("feed", folder=Path(sys.argv[1]), title="T", link="", base_url="", clock=SystemClock())
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    feed.send(OutgoingMessage(text=f"{sys.argv[2]} {number}", nonce=f"{sys.argv[2]}{number}"))
    print(number, flush=True)
"""


def _writer(folder, name, start, end):
    command = [sys.executable, "-c", WRITER, str(folder), name, str(start), str(end)]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_at_once_lose_no_entry(folder):
    writers = [_writer(folder, name, 0, 20) for name in "ab"]

    assert [one.wait(60) for one in writers] == [0, 0]
    assert len(items(folder)) == len(entries(folder)) == 40
    for one in writers:
        one.stdout.close()


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_feed_and_every_entry_that_was_promised(folder):
    """A hundred kills: what a writer said is there is there, and both files can be read."""
    written = 0
    for kill in range(100):
        writer = _writer(folder, "a", 0, 80)
        writer.stdout.readline()
        time.sleep(0.0005 * (kill % 40))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        said = [int(line) for line in writer.stdout if line.strip()]
        writer.stdout.close()
        written = max([written, *(one + 1 for one in said)])
        ids = [one["id"] for one in items(folder)]
        assert len(ids) == len(set(ids)) >= written
        assert len(entries(folder)) in {len(ids), len(ids) + 1}
    Feed("feed", folder=folder, title="T", link="", base_url="", clock=SystemClock()).send(
        message()
    )
    assert not list(folder.glob(".*.partial"))
