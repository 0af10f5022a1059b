"""The bar of `generate` on a real terminal of 80 columns, as a terminal emulator shows it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from textwrap import dedent

import pyte
import pytest

from tests.commandline import isolated, run_installed
from tests.fakes.gemini import FakeGemini
from tests.pipeline import NARRATIVE

COLUMNS, LINES = 80, 24
SETTINGS = """
    [models]
    tier = "tier3"
    max_concurrent = 4
    [models.limits."gemini-3.5-flash-lite"]
    rpm = 100000
"""
LINE = ["generate", "carousel.batch", "--iterations", "4"]


@pytest.fixture
def latency():
    """Seconds before each answer of the model: the bar needs time to be seen."""
    return 0.6


@pytest.fixture
def environ(db_url, tmp_path, latency):
    (tmp_path / "carousel.toml").write_text(dedent(NARRATIVE))
    (tmp_path / "botticelli.toml").write_text(dedent(SETTINGS))
    with FakeGemini(latency=latency) as gemini:
        yield isolated(tmp_path) | {
            "DATABASE_URL": db_url,
            "GEMINI_API_KEY": gemini.key,
            "GOOGLE_GEMINI_BASE_URL": gemini.url,
            "TERM": "xterm-256color",
        }


def screens(environ, folder):
    """Run the line in a pseudo-terminal; return every screen it showed, as lines of text."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "botticelli", *LINE]
    process = subprocess.Popen(
        command, stdin=other, stdout=other, stderr=other, env=environ, cwd=folder
    )
    os.close(other)
    screen = pyte.Screen(COLUMNS, LINES)
    stream, seen = pyte.ByteStream(screen), []
    try:
        while True:
            select.select([own], [], [], 60)
            try:
                stream.feed(os.read(own, 65536))
            except OSError:  # the last writer has closed it
                break
            seen.append([line.rstrip() for line in screen.display if line.strip()])
    finally:
        os.close(own)
        assert process.wait(timeout=30) == 0
    return seen


@pytest.mark.slow
def test_the_bar_tells_posts_calls_tokens_and_the_time_left_on_one_line(environ, tmp_path):
    seen = screens(environ, tmp_path)

    bars = [lines for lines in seen if any(line.startswith("posts ") for line in lines)]
    assert bars, "no bar was shown"
    assert all(len(lines) == 1 for lines in bars), "a bar that wraps fills the screen"
    told = re.compile(
        r"posts \S+ (?P<done>[4-7])/8 \d:\d\d:\d\d \d+ (s|min) left, (?P=done) new,"
        r" (?P<calls>\d+) calls, [\d,]+ tokens"
    )
    matches = [match for lines in bars if (match := told.fullmatch(lines[0]))]
    assert matches, bars[-1]
    assert all(2 * int(found["done"]) <= int(found["calls"]) <= 16 for found in matches)
    assert seen[-1][0].startswith("carousel.batch: 8 posts planned, 8 new"), "the bar is gone"
    assert not any("posts ━" in line for line in seen[-1])


@pytest.mark.parametrize("latency", [0])
def test_in_a_pipe_there_is_no_bar(environ, tmp_path):
    ended = run_installed(LINE, environ=environ, cwd=tmp_path)

    assert ended.code == 0
    assert ended.err == ""
    assert len(ended.out.splitlines()) == 2
    assert "\x1b" not in ended.out + ended.err
