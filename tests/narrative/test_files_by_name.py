"""Files that a narrative names: regular ones inside its folders, never keys, settings or state."""

import json
import os
import socket
import threading

import pytest

from botticelli import files
from botticelli.config.sources import read_text
from botticelli.errors import ConfigError
from botticelli.narrative.files.lookup import Folders, find_file, read_file
from botticelli.narrative.language.load import load_file, resolve_nested


@pytest.fixture
def project(tmp_path):
    """A project with secrets beside its narratives, and somebody's files around it."""
    root = tmp_path / "project"
    (root / "narratives" / "sub").mkdir(parents=True)
    (root / "state" / "data" / "base").mkdir(parents=True)
    (root / "state" / "data" / "PG_VERSION").write_text("18")
    (root / "state" / "data" / "base" / "rows").write_text("secret")
    (root / ".git").mkdir()
    for name in (
        "botticelli.toml", ".env", ".env.local", ".git/config", "deep.env", "env.prod", "id_rsa",
        "id_ed25519.bak", "server.pem", "tls.KEY", "credentials.json", "Secrets.yaml", "secret",
        "Botticelli.TOML", "botticellı.txt", "vault.kdbx",
    ):  # fmt: skip
        (root / name).write_text("secret")
    (root / "ｂotticelli.toml").write_text("secret")  # full-width
    (root / "narratives" / "notes.md").write_text("fine")
    (tmp_path / "outside.md").write_text("secret")
    return root


NAMES = [
    "../../outside.md", "sub/../../../outside.md", "/etc/passwd", "~/.bashrc", "../../etc/passwd",
    "../botticelli.toml", "botticelli.toml", "../.env", ".env", "../.env.local", "../.git/config",
    "../deep.env", "deep.env", "../env.prod", "../id_rsa", "id_rsa", "../id_ed25519.bak",
    "../server.pem", "../tls.KEY", "../credentials.json", "../Secrets.yaml", "../secret",
    "../Botticelli.TOML", "../ｂotticelli.toml", "../vault.kdbx", "../state/data/base/rows", "rows",
    "../state/data/PG_VERSION", "/proc/self/environ", "/proc/self/fd/0", "/dev/zero", "/dev/stdin",
    "", ".", "..", "\0", "a\0b", "./", "x" * 5000, "//etc/passwd", "sub",
    "~root/.bashrc", "~nobody-of-that-name/x", "$HOME/.bashrc", "${HOME}", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_to_no_secret_and_not_outside(project, name):
    with pytest.raises((ConfigError, ValueError)) as caught:
        read_file(name, folders=Folders(own=project / "narratives"), limit=1000)

    assert isinstance(caught.value, ConfigError) or "null" in str(caught.value)


LINKS = [
    "../../outside.md", "/etc/passwd", "../.env", "../botticelli.toml", "/proc/self/environ",
    "/dev/zero", "link.md", "../state/data/base/rows", "/", "..",
]  # fmt: skip


@pytest.mark.parametrize("target", LINKS)
def test_links_lead_to_none_either(project, target):
    (project / "narratives" / "link.md").symlink_to(target)

    with pytest.raises(ConfigError):
        read_file("link.md", folders=Folders(own=project / "narratives"), limit=1000)


def test_a_linked_folder_leads_to_none_either(project, tmp_path):
    (project / "narratives" / "up").symlink_to(tmp_path)

    with pytest.raises(ConfigError):
        read_file("up/outside.md", folders=Folders(own=project / "narratives"), limit=1000)


@pytest.mark.parametrize("secret", ["botticelli.toml", ".env", ".env.local"])
def test_a_second_name_of_the_settings_is_not_read(project, secret):
    os.link(project / secret, project / "narratives" / "hard.md")

    with pytest.raises(ConfigError, match="another name of a file with keys"):
        read_file("hard.md", folders=Folders(own=project / "narratives"), limit=1000)


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder"])
def test_what_is_no_regular_file_keeps_nobody_waiting(project, kind):
    path = project / "narratives" / "odd.md"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        server = socket.socket(socket.AF_UNIX)
        os.chdir(path.parent)
        server.bind(path.name)
        server.close()
    folders = Folders(own=project / "narratives")

    for name in ("odd.md", "./odd.md"):
        with pytest.raises(ConfigError):
            read_file(name, folders=folders, limit=1000)
    with pytest.raises(OSError, match=r"regular|No such device"):
        files.read(path, limit=1000)
    with pytest.raises(ConfigError):
        read_text(path, "odd.md")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/self/mem"])
def test_a_device_eats_no_memory(path):
    from pathlib import Path

    with pytest.raises((OSError, ConfigError)):
        read_text(Path(path), "x")


def test_a_file_that_grows_or_says_that_it_is_empty_is_bounded(project):
    (project / "narratives" / "big.md").write_bytes(b"x" * 1001)
    folders = Folders(own=project / "narratives")

    with pytest.raises(ConfigError, match="larger than"):
        read_file("big.md", folders=folders, limit=1000)
    with pytest.raises(OSError, match="larger than"):
        files.read(files.Path("/proc/self/status"), limit=10)
    assert read_file("notes.md", folders=folders, limit=4) == b"fine"


def test_a_folder_that_is_swapped_for_a_link_meanwhile_is_not_followed(project, tmp_path):
    """Between the look and the reading: the way is walked again, and no link is followed."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("secret")
    sub = project / "narratives" / "sub"
    (sub / "a.md").write_text("fine")
    found = find_file("sub/a.md", folders=Folders(own=project / "narratives"))
    sub.rename(project / "gone")
    sub.symlink_to(other)

    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        files.read(found, limit=1000, below=(project / "narratives").resolve())


def test_no_swap_at_any_moment_gets_through(project, tmp_path):
    """A thread swaps file and link as fast as it can while another reads."""
    own = project / "narratives"
    secret, good, name = tmp_path / "outside.md", own / "good", own / "swap.md"
    good.write_text("fine")
    ends = threading.Event()

    def swap():
        while not ends.is_set():
            for made in (lambda p: p.symlink_to(secret), lambda p: os.link(good, p)):
                half = own / "half"
                made(half)
                half.replace(name)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    for _ in range(300):
        try:
            seen.add(read_file("swap.md", folders=Folders(own=own), limit=1000))
        except ConfigError:
            continue
    ends.set()
    thread.join()

    assert seen <= {b"fine"}


OUTER = """
toc = ["say"]
[narrative]
name = "outer"
[acts]
say = "narratives.it"
[narratives.it]
narrative = "PATH"
"""


@pytest.mark.parametrize("path", ["../../../victim", "/tmp/victim", "up/victim"])
def test_a_nested_narrative_stays_in_the_project(project, tmp_path, path):
    victim = tmp_path / "victim.toml"
    victim.write_text(OUTER.replace('"narratives.it"', '"Hi"'))
    (project / "narratives" / "sub" / "up").symlink_to(tmp_path)
    path = path.replace("/tmp/victim", str(victim))
    outer = project / "narratives" / "sub" / "outer.toml"
    outer.write_text(OUTER.replace("PATH", path))
    file = load_file(outer)
    nested = file.narratives["outer"].acts[0].inputs[0]

    with pytest.raises(ConfigError, match="outside the project"):
        resolve_nested(file, nested, cwd=project)


@pytest.mark.parametrize(
    "name", ["../../outside.json", "/etc/hostname", "../.env", "../credentials.json"]
)
def test_a_schema_is_read_from_the_project_only(project, tmp_path, name):
    (tmp_path / "outside.json").write_text(json.dumps({"type": "object"}))
    path = project / "narratives" / "n.toml"
    path.write_text(
        f'toc = ["a"]\n[narrative]\nname = "n"\n[acts.a]\nprompt = "x"\nschema = "s"\n'
        f'[schemas.s]\nfile = "{name}"\n'
    )

    with pytest.raises(ConfigError, match=r"outside|no file"):
        load_file(path)
