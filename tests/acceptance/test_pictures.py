"""Pictures before a person: in words everywhere, drawn where the terminal can, saved to files."""

import base64
import hashlib
import io
import json
import os
import pty
import re
import threading
import tty

import pytest

from botticelli.cli.shared.pictures import drawn
from botticelli.pictures.reading import read_picture
from tests.database import candidate
from tests.fakes.pictures import png
from tests.pictures.test_reading import drawn as noise

POSTS = "potential_discord_posts"
ORIGIN = {
    "model": "gemini-nano-banana-2.1",
    "version": "gemini-nano-banana-2.1-001",
    "prompt": "a cat",
    "risky": "a brand",
}


@pytest.fixture
def shown(db):
    id_ = candidate(db, "look")
    content = png("cat")
    sha = hashlib.sha256(content).hexdigest()
    db.execute(
        "INSERT INTO media (sha256, mime, width, height, content)"
        " VALUES (%s, 'image/png', 96, 96, %s)",
        (sha, content),
    )
    db.execute(
        "INSERT INTO post_media (candidate_id, sha256, alt, origin) VALUES (%s, %s, %s, %s)",
        (id_, sha, "A cat", json.dumps(ORIGIN)),
    )
    return id_


@pytest.mark.parametrize("words", [f"content show {POSTS} 1", "trace c1 --full"])
def test_what_is_attached_is_said_in_words(botticelli, shown, words):
    ended = botticelli(words)
    assert ended.code == 0, ended.err
    by = "by gemini-nano-banana-2.1 gemini-nano-banana-2.1-001"
    assert re.search(rf"picture 1: PNG, 96 x 96, \d+ kB, {by}", ended.out)
    for line in ("shows: A cat", "warns: a brand", "was asked for by: a cat"):
        assert f"picture 1 {line}" in ended.out
    assert "\x1b_G" not in ended.out  # nobody sees it there


def test_pictures_are_saved_as_files(botticelli, shown, tmp_path):
    ended = botticelli(f"content show {POSTS} 1 --save {tmp_path}/out")
    assert ended.code == 0, ended.err
    assert (tmp_path / "out/candidate-1-1.png").read_bytes() == png("cat")
    (tmp_path / "file").write_text("")
    ended = botticelli(f"content show {POSTS} 1 --save {tmp_path}/file")
    assert (ended.code, ended.err.count("\n")) == (2, 1)


class Terminal(io.StringIO):
    def isatty(self):
        return True


PICTURE = read_picture(png("cat"))


@pytest.mark.parametrize(
    "environ",
    [
        {"TERM": "xterm-kitty"},
        {"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"},
        {"TERM": "xterm", "KITTY_WINDOW_ID": "1"},
        {"TERM": "xterm", "TERM_PROGRAM": "WezTerm"},
    ],
)
def test_kitty_gets_the_png_in_pieces(environ):
    picture = read_picture(noise("JPEG", (200, 200)))
    for one in (PICTURE, picture):
        text = drawn(one, on=Terminal(), environ=environ)
        pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
        assert all(len(data) <= 4096 for _, data in pieces)
        assert [keys[-1] for keys, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
        content = base64.b64decode("".join(data for _, data in pieces))
        assert read_picture(content).width == one.width


def pixels_of(sixels):
    """Draw sixels as a terminal would: (x, y) -> the number of the color."""
    body = sixels.partition('"')[2].removesuffix("\x1b\\\n")
    found, x, top, color = {}, 0, 0, 0
    token = re.compile(r"#(\d+)(;[\d;]+)?|!(\d+)([?-~])|([?-~])|(\$)|(-)|[\d;]+")
    for match in token.finditer(body):
        number, rgb, count, many, one, back, down = match.groups()
        if number and not rgb:
            color = int(number)
        elif many or one:
            for _ in range(int(count or 1)):
                for bit in range(6):
                    if (ord(many or one) - 63) >> bit & 1:
                        found[x, top + bit] = color
                x += 1
        elif back or down:
            x, top = 0, top + 6 * bool(down)
    return found


def test_sixels_are_the_picture():
    text = drawn(PICTURE, on=Terminal(), environ={"TERM": "foot"})
    assert text.startswith('\x1bPq"1;1;96;96')
    found = pixels_of(text)
    assert found.keys() == {(x, y) for x in range(96) for y in range(96)}
    assert all(len({found[x, y] for x in range(96)}) == 1 for y in range(96))  # its stripes
    assert len(set(found.values())) > 30


@pytest.mark.parametrize(
    ("on", "environ"),
    [
        (io.StringIO(), {"TERM": "xterm-kitty"}),
        (Terminal(), {"TERM": "dumb"}),
        (Terminal(), {}),
        (Terminal(), {"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}),
        (Terminal(), {"TERM": "linux"}),
    ],
)
def test_nothing_is_drawn_where_nobody_would_see_it(on, environ):
    assert drawn(PICTURE, on=on, environ=environ) == ""
    assert on.getvalue() == ""


@pytest.mark.parametrize(
    ("answer", "is_drawn"),
    [(b"\x1b[?62;4;22c", True), (b"\x1b[?62;22c", False), (b"\x1b[?14;24c", False), (b"", False)],
)
def test_an_unknown_terminal_is_asked_and_not_waited_for_long(monkeypatch, answer, is_drawn):
    ours, theirs = pty.openpty()
    tty.setraw(theirs)

    def reply():
        asked = b""
        while b"[c" not in asked:
            asked += os.read(ours, 64)
        os.write(ours, answer)

    threading.Thread(target=reply, daemon=True).start()
    with os.fdopen(os.dup(theirs), "w") as out, os.fdopen(theirs) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        text = drawn(PICTURE, on=out, environ={"TERM": "xterm-256color"})
    assert text.startswith("\x1bPq") is is_drawn
