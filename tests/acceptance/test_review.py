"""`review`, `approve`, `reject` and `hold` as a person meets them."""

import asyncio
import io
import json

import pytest
from psycopg.types.json import Jsonb

from botticelli.cli.review.decide import View
from botticelli.cli.review.screen import ReviewApp, visible
from botticelli.cli.shell.environment import Environment
from botticelli.store.curation import reviews
from tests.database import candidate

POINTS = {f"score_{name}": 8 for name in ("engagement", "clarity", "value", "tone", "polish")}
JUDGING = {"reasons": "it quotes a number", "fails": ["clean"], "samples": [{}]}


@pytest.fixture
def command(botticelli, db):
    botticelli.environ["LOGNAME"] = "ann"
    return botticelli


@pytest.fixture
def three(db):
    """A proposal, one that was judged, one that was not."""
    return [
        candidate(
            db,
            "Proposed: lighthouses",
            review_status="held",
            curation_score=40,
            curation_notes="a good one",
            judging=Jsonb(JUDGING | {"proposed": 1}),
            **POINTS,
        ),
        candidate(db, "Judged: bread", curation_score=38, judging=Jsonb(JUDGING), **POINTS),
        candidate(db, "New: \x1b[31mtrains"),
    ]


@pytest.fixture
def screen(command, db):
    """`screen(keys, ...)` opens the review, presses keys and returns what the app is then."""

    def use(*keys, between=None, scrolled=False):
        env = Environment(
            environ=command.environ, cwd=command.cwd, stdout=io.StringIO(), stderr=io.StringIO()
        )

        async def work():
            app = ReviewApp(env, view=View.OPEN, limit=200)
            async with app.run_test(size=(110, 36)) as pilot:
                await pilot.pause()
                for key in keys:
                    if key is between:
                        key()
                    else:
                        await pilot.press(key)
                await pilot.pause()
                title, text = app.query_one("#title"), app.query_one("#text")
                notices = [one.message for one in app._notifications]
                place = app.query_one("#detail").scroll_offset.y
                return str(title.content), str(text.content), place if scrolled else notices

        return asyncio.run(work())

    return use


def status(db, id_):
    return reviews.find_candidates(db, [id_])[0].review_status


# -- on the whole terminal -----------------------------------------------------------------------


def test_the_proposal_comes_first_with_all_that_is_known_of_it(screen, three):
    title, text, _ = screen()

    assert title == "to decide: 1 of 3"
    assert text.startswith(f"candidate {three[0]}  proposed  40 of 50\n\nProposed: lighthouses")
    for fact in ("engagement   8 ", "notes: a good one", "reasons: it quotes", "fails: clean"):
        assert fact in text


def test_a_key_decides_and_the_next_one_is_shown(db, screen, three):
    title, text, _ = screen("a", "r", "h")

    assert [status(db, id_) for id_ in three] == ["approved", "rejected", "held"]
    assert title == "to decide: 3 of 3"
    assert "hold: " in text
    assert "by ann@" in text
    query = "SELECT candidate_id, approved_by LIKE 'ann@%' FROM approved_discord_posts"
    assert db.execute(query).fetchall() == [(three[0], True)]


def test_who_thinks_again_goes_back_and_decides_otherwise(db, screen, three):
    screen("a", "p", "r")

    assert status(db, three[0]) == "rejected"
    query = "SELECT review_status FROM approved_discord_posts"
    assert db.execute(query).fetchall() == [("withdrawn",)]


def test_a_decision_may_have_a_reason(db, screen, three):
    _, text, _ = screen("R", *"dull", "enter", "p")

    assert status(db, three[0]) == "rejected"
    assert "note: dull" in text


def test_a_reason_that_is_called_off_decides_nothing(db, screen, three):
    screen("A", "x", "escape")

    assert status(db, three[0]) == "held"


def test_a_text_is_changed_and_then_approved(db, screen, three):
    screen("e", "end", "!", "ctrl+s", "a")

    query = "SELECT text_content FROM approved_discord_posts"
    assert db.execute(query).fetchall() == [("Proposed: lighthouses!",)]
    events = [each["event"] for each in reviews.find_candidates(db, [three[0]])[0].history]
    assert events == ["edit", "approve"]


def test_an_edit_that_is_called_off_changes_nothing(db, screen, three):
    screen("e", "!", "escape")

    assert reviews.find_candidates(db, [three[0]])[0].text_content == "Proposed: lighthouses"


def test_the_other_lists_are_a_key_away(screen, three):
    title, text, _ = screen("r", "tab", "tab")

    assert title == "rejected: 1 of 1"
    assert f"candidate {three[0]}" in text


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_decided(db, screen, three):
    def meanwhile():
        reviews.edit(db, three[0], text="quite another text", by="bob@desk")

    _, text, [notice] = screen(meanwhile, "a", between=meanwhile)

    assert "changed meanwhile" in notice
    assert "quite another text" in text
    assert status(db, three[0]) == "held"


def test_a_long_text_is_scrolled_with_the_space_bar(db, screen):
    candidate(db, "\n".join(f"line {n}" for n in range(80)))

    *_, here = screen("space", scrolled=True)
    *_, back = screen("space", "space", "space", scrolled=True)

    assert here > 20
    assert back == 0


def test_an_empty_list_says_what_to_do(screen):
    title, text, _ = screen("a", "r", "e", "n")

    assert title == "to decide: 0 of 0"
    assert text.startswith("no candidates")


def test_a_text_cannot_speak_to_the_terminal():
    assert visible("\x1b[2Jhi\r\n\tthere\x9b") == "·[2Jhi·\n\tthere·"


# -- as a command --------------------------------------------------------------------------------


def test_a_pipe_gets_a_list(command, three):
    ended = command("review")

    lines = ended.out.splitlines()
    assert ended.code == 0, ended.err
    assert lines[0].split() == ["id", "status", "score", "from", "text"]
    assert [line.split()[:3] for line in lines[1:]] == [
        [f"c{three[0]}", "proposed", "40"],
        [f"c{three[1]}", "pending", "38"],
        [f"c{three[2]}", "pending", "-"],
    ]


def test_the_list_as_json_holds_the_reasons(command, three):
    report = json.loads(command("review --json").out)

    assert report["candidates"][0]["judging"]["reasons"] == "it quotes a number"


def test_other_lists_by_option(command, three):
    assert command("review --view rejected").out == "no candidate is rejected\n"


def test_approve_reject_and_hold_tell_what_became_of_each(command, db, three):
    approved = command(["approve", str(three[1]), str(three[0]), "--note", "for Monday"])
    rejected = command(f"reject {three[1]}")
    held = command(f"hold {three[2]}")

    assert approved.out.splitlines() == [
        f"approved c{three[1]} as p1: Judged: bread",
        f"approved c{three[0]} as p2: Proposed: lighthouses",
    ]
    assert (rejected.code, held.code) == (0, 0)
    assert [status(db, id_) for id_ in three] == ["approved", "rejected", "held"]
    [event, _] = reviews.find_candidates(db, [three[1]])[0].history
    assert (event["note"], event["by"].partition("@")[0]) == ("for Monday", "ann")


def test_a_decision_about_nobody_is_refused_in_one_line(command, three):
    ended = command("approve 987")

    assert ended.code == 2
    assert ended.err == (
        "botticelli: there is no candidate 987; see `botticelli content list"
        " potential_discord_posts`\n"
    )


def test_a_decision_as_json(command, three):
    report = json.loads(command(f"reject {three[0]} --json").out)

    assert (report["decision"], report["candidates"][0]["review_status"]) == ("reject", "rejected")
