"""The deck in a real browser: keys, drafts, undo and conflicts; nothing typed is lost."""

import random

import pytest

from botticelli.store.curation import reviews
from botticelli.store.desk import keys
from tests.database import candidate
from tests.web.test_review import status

pytestmark = [pytest.mark.slow, pytest.mark.browser]
INTO = {"a": "approved", "r": "rejected", "h": "held"}


@pytest.fixture
def ids(db):
    """Four candidates, in the order of the deck."""
    return [candidate(db, f"text {n}", curation_score=40 - n) for n in range(4)]


def settled(page):
    """Wait until no card waits for an answer."""
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")


def text_of(db, id_):
    return reviews.find_candidates(db, [id_])[0].text_content


def test_keys_decide_about_the_card_they_were_pressed_on_however_quickly(browse, db):
    page = browse("approver", width=390)
    for seed in range(50):
        db.execute("DELETE FROM potential_discord_posts")
        db.execute("DELETE FROM approved_discord_posts")
        ids = [candidate(db, f"text {n}", curation_score=40 - n) for n in range(8)]
        pressed, wanted, at = [], dict.fromkeys(ids, "pending"), 0
        chance = random.Random(seed)
        for key in ["j", "a", "r", "j", "a", "h"] if seed == 0 else chance.choices("jkarh", k=7):
            pressed.append(key)
            if key in INTO:
                wanted[ids[at]] = INTO[key]
            at = max(0, at - 1) if key == "k" else min(7, at + 1)
            if wanted[ids[at]] != "pending":  # where the hand stops: a card that is under way
                break
        page.goto("/review")

        for key in pressed:
            page.keyboard.press(key)
        settled(page)

        assert {id_: status(db, id_) for id_ in ids} == wanted, (seed, pressed)
        assert page.locator(".current").get_attribute("data-id") == str(ids[at])


def test_undo_waits_for_the_answer_and_goes_back_step_by_step(browse, db, ids):
    page = browse("approver")
    page.goto("/review")

    for key in "aru":
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelectorAll('article')[1].matches('.pending')")
    settled(page)
    assert [status(db, id_) for id_ in ids] == ["approved", "pending", "pending", "pending"]

    page.keyboard.press("u")
    page.wait_for_function("() => document.querySelectorAll('article')[0].matches('.pending')")
    assert {status(db, id_) for id_ in ids} == {"pending"}


def test_a_key_that_is_held_down_decides_once(browse, db, ids):
    page = browse("approver")
    page.goto("/review")

    for _ in range(4):
        page.keyboard.down("a")
    page.keyboard.up("a")
    settled(page)

    assert [status(db, id_) for id_ in ids].count("approved") == 1


def test_keys_are_off_while_typing_with_modifiers_and_when_they_are_switched_off(browse, db, ids):
    page = browse("approver")
    page.goto("/review")

    page.keyboard.press("/")
    page.keyboard.type("arh")
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+a")
    page.keyboard.press("Meta+r")
    page.keyboard.press("?")
    page.keyboard.press("a")
    page.get_by_label("Keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.reload()
    page.keyboard.press("r")
    settled(page)

    assert {status(db, id_) for id_ in ids} == {"pending"}


def write(page, text):
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


@pytest.mark.parametrize("how", ["over", "dead", "broken"])
def test_a_draft_outlives_a_session_a_dead_server_and_a_broken_one(browse, db, ids, how):
    page = browse("approver")
    page.goto("/review")
    write(page, "my words\nin two lines")
    if how == "over":
        db.execute("DELETE FROM desk_keys")
    elif how == "dead":
        page.context.set_offline(True)
    else:
        page.route("**/candidates/*", lambda route: route.fulfill(status=502, body="no"))

    page.keyboard.press("Control+s")
    page.wait_for_selector(".card .problem")

    assert text_of(db, ids[0]) == "text 0"
    focused = "document.activeElement.tagName + document.activeElement.name"
    assert page.evaluate(focused) == "TEXTAREAtext"
    page.context.set_offline(False)
    page.unroute_all()
    key = keys.make_key(db, "session", person="approver", role="approver")
    page.context.add_cookies([{"name": "botticelli", "value": key, "url": page.url}])
    page.reload()
    area = page.locator(f"#c{ids[0]} .edit textarea")
    assert area.input_value() == "my words\nin two lines"
    area.focus()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"#c{ids[0]}.approved")
    assert text_of(db, ids[0]) == "my words\nin two lines"
    assert page.evaluate("sessionStorage.length") == 0
    browse.heard.clear()  # the browser notes what failed


def test_deciding_about_a_card_does_not_drop_what_is_typed_there(browse, db, ids):
    page = browse("approver")
    page.goto("/review")
    write(page, "better")
    page.keyboard.press("Escape")

    page.keyboard.press("a")
    page.wait_for_selector(f"#c{ids[0]}.approved")
    page.reload()
    page.goto("/review?view=approved")

    assert page.locator(f"#c{ids[0]} .edit textarea").input_value() == "better"
    page.locator(f"#c{ids[0]} .edit").get_by_role("button", name="Save", exact=True).click()
    page.wait_for_function("() => sessionStorage.length === 0")
    assert text_of(db, ids[0]) == "better"


@pytest.mark.parametrize("answer", ["Save mine over it", "Drop mine"])
def test_a_conflict_shows_both_also_after_the_page_was_left(browse, db, ids, answer):
    page = browse("approver")
    page.goto("/review")
    write(page, "mine")
    reviews.edit(db, ids[0], text="theirs", by="berta")
    page.keyboard.press("Control+s")
    page.wait_for_selector(".conflict")
    page.reload()
    page.locator(f"#c{ids[0]} .edit").get_by_role("button", name="Save", exact=True).click()

    conflict = page.locator(".conflict")
    assert "berta" in conflict.inner_text()
    assert [conflict.locator(each).inner_text() for each in ("del", "ins")] == ["theirs", "mine"]
    page.get_by_role("button", name=answer).click()
    conflict.wait_for(state="detached")

    assert text_of(db, ids[0]) == ("mine" if answer.startswith("Save") else "theirs")
    assert page.evaluate("sessionStorage.length") == 0
    browse.heard.clear()  # the browser notes the status 409


def test_several_that_are_selected_are_decided_about_at_once(browse, db, ids):
    page = browse("approver", width=390)
    page.goto("/review")

    for key in "xjjx":
        page.keyboard.press(key)
    with page.expect_navigation():
        page.locator("#bulk").get_by_role("button", name="Hold").click()

    assert [status(db, id_) for id_ in ids] == ["held", "pending", "held", "pending"]


def test_without_javascript_all_of_it_works(browse, db, ids):
    page = browse("approver", js=False)
    page.goto("/review")
    card = page.locator(f"#c{ids[0]}")
    card.locator(".edit summary").click()
    card.locator("textarea").fill("a line\nand </textarea> \u05e9\u05dc\u05d5\u05dd \U0001f3a8")

    with page.expect_navigation():
        card.get_by_role("button", name="Save and approve").click()
    page.goto("/review?view=approved")

    assert text_of(db, ids[0]) == "a line\nand </textarea> \u05e9\u05dc\u05d5\u05dd \U0001f3a8"
    with page.expect_navigation():
        card.get_by_role("button", name="Undo").click()
    assert status(db, ids[0]) == "pending"


TEXTS = (
    "W" * 600,
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd " * 30,
    "# Head\n||hidden **words**|| __under__ <@123> @everyone\n-# small\n> quote\n```\n"
    + "x " * 300,
    "https://example.com/" + "path/" * 100,
)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_text_makes_the_page_scroll_sideways(browse, db, tmp_path, width, scheme):
    for text in TEXTS:
        candidate(db, text, title="T" * 200, link="https://example.com/" + "l" * 300)
    page = browse("approver", width=width, scheme=scheme)
    for path in ("/review", "/posts/c1"):
        page.goto(path)
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0
