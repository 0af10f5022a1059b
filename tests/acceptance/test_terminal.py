"""What a terminal of 80 columns shows: whole words, columns that fit, a review to work with."""

import asyncio
import io
import re
from datetime import timedelta

import pytest

from botticelli.cli.review.decide import View
from botticelli.cli.review.screen import ReviewApp
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, fitting
from botticelli.text import span, wrapped
from tests.database import candidate

WORDS = "Everybody who waits at the counter sees `botticelli deliveries mark-posted 4` first"
TEXT = "Newcomers judge a choir within twelve minutes. What do they see?"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("line", [WORDS, "  " + WORDS, "  - " + WORDS * 3, "short", ""])
def test_a_line_breaks_between_words(width, line):
    shown = wrapped(line, width)

    assert shown.split() == line.split()
    assert all(len(each) <= width for each in shown.splitlines())


def test_messages_break_between_words_on_a_terminal_and_not_in_a_pipe(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    streams = Terminal(), io.StringIO()
    for stream in streams:
        env = Environment(environ={}, cwd=tmp_path, stdout=io.StringIO(), stderr=stream)
        env.complain(WORDS)

    shown, piped = (each.getvalue() for each in streams)
    assert piped == f"botticelli: {WORDS}\n"
    assert shown.split() == piped.split()
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("days", "words"), [(2, "2 days"), (729, "729 days"), (730, "2 years"), (3650, "10 years")]
)
def test_a_long_time_is_told_in_years(days, words):
    assert span(timedelta(days=days)) == words


def test_an_address_stays_whole():
    url = "https://example.org/" + "a" * 90

    assert url in wrapped(f"see {url} for it", 80)


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_table_breaks_no_word(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [("d4", "p5", "announcements", "uncertain", 3, "11-30 09:15", WORDS)] * 2
    out = Terminal()

    Console(out, colour=False).table(("id", "post", "to", "state", "tries", "posted", "why"), rows)

    shown = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    for word in (*WORDS.split(), "announcements", "uncertain", "11-30"):
        assert shown.count(word) >= 2, f"{word} in\n{shown}"
    assert all(len(each.rstrip()) <= width for each in shown.splitlines())


def test_columns_take_the_room_that_there_is():
    rows = [("aaaa", "b b b b b b"), ("a", "b")]

    assert fitting(("x", "y"), rows, width=15) == [4, 11]
    assert fitting(("x", "y"), rows, width=9) == [4, 5]
    assert fitting(("x", "y"), rows, width=4) is None


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_review_shows_list_and_text(botticelli, db, size):
    for n in range(30):
        candidate(db, f"{n} {TEXT}", review_status="held", curation_score=40)
    env = Environment(
        environ=botticelli.environ, cwd=botticelli.cwd, stdout=io.StringIO(), stderr=io.StringIO()
    )

    async def work():
        app = ReviewApp(env, view=View.OPEN, limit=200)
        async with app.run_test(size=size) as pilot:
            lines = [""]
            # The footer comes last; pytest's timeout ends it.
            while "quit" not in lines[-1] or not any(TEXT in line for line in lines):
                await pilot.pause(0.05)
                strips = app.screen._compositor.render_strips()
                lines = ["".join(part.text for part in strip) for strip in strips]
            return lines

    screen = asyncio.run(work())

    assert sum("held" in line for line in screen) >= 5, "and the list"
    for key in ("approve", "reject", "hold", "edit", "undo", "quit", "A/R/H note"):
        assert key in screen[-1]


@pytest.mark.parametrize(
    "group", ["approvals", "content", "state", "models", "locks", "deliveries"]
)
def test_a_bare_group_lists_what_is_there(botticelli, db, group):
    bare, named = botticelli(f"{group} --json"), botticelli(f"{group} list --json")

    assert (bare.code, bare.out) == (0, named.out)
    assert botticelli(group).out == botticelli(f"{group} list").out != ""
