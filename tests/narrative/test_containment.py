"""What a narrative may read: files of its project, addresses of the public net."""

from functools import partial

import pytest

from botticelli.errors import ConfigError
from botticelli.narrative.files.fetch import fetch
from botticelli.narrative.files.lookup import Folders, find_file
from botticelli.narrative.files.media import LARGEST
from botticelli.narrative.files.public_addresses import public_addresses
from tests.narrative.scripted import stage

TRICKS = [
    "/etc/passwd",
    "../../outside.md",
    "notes/../../../outside.md",
    "~/outside.md",
    "~root/.bashrc",
    "~nobody-at-all/x",
    "link.md",
    "folder/outside.md",
    ".env",
    "../.env",
    "../.git/config",
    "../botticelli.toml",
    "notes/.hidden",
    "a\0b",
    "file:///etc/passwd",
    "/proc/self/environ",
    "/dev/null",
    "x" * 300,
]


@pytest.fixture
def project(tmp_path):
    """A project in a folder that holds what is nobody's business."""
    root = tmp_path / "project"
    for name in ("narratives/notes/.hidden", ".git/config", ".env", "botticelli.toml"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    (tmp_path / "outside.md").write_text("secret")
    (root / "narratives" / "link.md").symlink_to(tmp_path / "outside.md")
    (root / "narratives" / "folder").symlink_to(tmp_path)
    (root / "narratives" / "notes" / "style.md").write_text("style")
    return root / "narratives"


@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_reads_what_is_nobodys_business(project, name):
    with pytest.raises(ConfigError):
        find_file(name, folders=Folders(own=project))


def test_what_belongs_to_the_narrative_is_read(project, tmp_path):
    assert find_file("notes/style.md", folders=Folders(own=project)).read_text() == "style"
    context = Folders(own=project, context=(tmp_path,))
    assert find_file("outside.md", folders=context).read_text() == "secret"


READS = """
[narrative]
name = "n"
skip_content_generation = true
[toc]
order = ["a"]
[[acts.a.input]]
type = "%s"
%s
[[acts.a.input]]
content = "Describe it."
"""


def test_no_model_sees_what_a_narrative_may_not_read(db, project):
    for name in ("../.env", "/etc/passwd"):
        reader = stage(db, READS % ("text", f'file = "{name}"'), folder=project)
        with pytest.raises(ConfigError):
            reader.run()
        assert reader.caller.asked == []


PRIVATE = [
    "http://localhost/x.png",
    "http://LOCALHOST./x.png",
    "http://127.0.0.1:8080/x.png",
    "http://127.1/x.png",
    "http://0x7f.1/x.png",
    "http://2130706433/x.png",
    "http://017700000001/x.png",
    "http://0.0.0.0/x.png",
    "http://10.1.2.3/x.png",
    "http://192.168.0.1/x.png",
    "http://169.254.169.254/latest/meta-data/x.png",
    "http://[::1]/x.png",
    "http://[::ffff:127.0.0.1]/x.png",
    "http://[fe80::1]/x.png",
    "http://[fd00::1]/x.png",
    "http://metadata.google.internal/x.png",
    "http://user@127.0.0.1/x.png",
    "http://example.org@127.0.0.1/x.png",
    "https://printer.local/x.png",
    "file:///etc/passwd",
    "ftp://example.org/x.png",
    "gopher://127.0.0.1/x.png",
    "//example.org/x.png",
    "http:///x.png",
    "http://example.org:99999/x.png",
    "http://example.org:0/x.png",
    "http://[::1/x.png",
    "http://127.0.0.1\\@example.org/x.png",
    "http://127.0.0.1\t@example.org/x.png",
    "http://[::127.0.0.1]/x.png",
    "http://[64:ff9b::7f00:1]/x.png",
    "http://[fec0::1]/x.png",
    "http://[2002:7f00:1::]/x.png",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_no_url_leads_into_the_neighbourhood(url):
    with pytest.raises(ConfigError):
        public_addresses(url)


def test_a_public_name_with_a_private_address_is_seen_through():
    with pytest.raises(ConfigError, match=r"private network \(10.0.0.7\)"):
        public_addresses(
            "https://example.org/x.png", resolve=lambda _: ["93.184.216.34", "10.0.0.7"]
        )


@pytest.mark.parametrize("url", ["https://example.org/x.png", "gs://bucket/x.png"])
def test_public_urls_pass(url):
    public_addresses(url, resolve=lambda _: ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])


def test_no_model_is_given_a_private_address(db):
    url = 'url = "http://169.254.169.254/x.png"'
    reader = stage(db, READS % ("image", url), fetch=partial(fetch, limit=LARGEST))

    with pytest.raises(ConfigError, match="private network"):
        reader.run()
    assert reader.caller.asked == []
