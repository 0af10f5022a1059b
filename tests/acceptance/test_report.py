"""`report` as a user meets it: a file of the figures, or one line that says why there is none."""

import os

import pytest

from tests.clock import NOON
from tests.clock import at as pinned
from tests.database import candidate


@pytest.fixture
def command(botticelli, db, db_url, clock):
    botticelli.clock = clock
    botticelli.environ["DATABASE_URL"] = db_url
    pinned(db, NOON)
    candidate(db, "x", source_narrative="feature")
    return botticelli


def test_a_report_is_one_file_with_the_figures(command):
    ended = command("report month.html --days 7")

    assert (ended.code, ended.out) == (0, "")
    assert "the figures of 7 days are in" in ended.err
    page = (command.cwd / "month.html").read_text(encoding="utf-8")
    assert "feature" in page
    assert "2026-11-18 to 2026-11-24" in page
    assert [one.name for one in command.cwd.glob("*.html")] == ["month.html"]


@pytest.mark.parametrize("line", ["report {}", "calendar --ics {}"])
@pytest.mark.parametrize("place", ["missing/x.html", "."])
def test_a_place_that_cannot_be_written_is_one_line(command, line, place):
    ended = command(line.format(place))

    assert ended.code == 78
    assert ended.err.count("\n") == 1
    assert "cannot be written" in ended.err


def test_a_pipe_gets_the_report(command):
    pipe = command.cwd / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert command("report pipe --days 1").code == 0
        assert os.read(reader, 15) == b"<!doctype html>"
    finally:
        os.close(reader)


def test_too_many_days_are_refused(command):
    ended = command("report x.html --days 367")

    assert (ended.code, ended.err) == (2, "botticelli: --days: 367 days are too many; say 366\n")
