"""The desk in a real Chromium: accessible, quiet, and right however fast somebody is."""

import random
import re
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.pictures.reading import Picture
from botticelli.store import media
from botticelli.store.curation import reviews
from botticelli.store.media import NewPicture
from tests.clock import NOON
from tests.database import approved, candidate, insert
from tests.fakes.pictures import png

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN_AXE = f"axe.run(document, {{runOnly: {RULES}}}).then(found => found.violations)"
LONG = "Donaudampfschifffahrtsgesellschaftskapitaen" * 4
RIGHT_TO_LEFT = "שלום לכולם, מה שלומכם היום? **חשוב**: ראו https://a.example/b"
PAGES = ("/review", "/review?view=approved", "/review?view=posted", "/posts/c1", "/calendar",
         "/analytics", "/stages", "/themes", "/login?token=x", "/nothing")  # fmt: skip


@pytest.fixture
def axe():
    if not AXE.exists():
        pytest.skip("npm ci in tests/browser brings axe-core")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def lived(db):
    """A database with something of everything, long words and right-to-left text among it."""
    picture = Picture(content=png("a cat"), mime="image/png", width=1, height=1)
    media.keep(db, picture)
    texts = [f"A text with **weight**\n- one\n- two\n> said\n`code` {LONG}", RIGHT_TO_LEFT, "short"]
    for number, text in enumerate(texts * 2):
        status = ("held", "pending", "rejected")[number % 3]
        id_ = candidate(
            db, f"{text} {number}", review_status=status, curation_score=number * 7,
            judge_model="gemini", curation_notes="clear", source_narrative=LONG,
        )  # fmt: skip
        media.attach(db, [id_], [NewPicture(sha256=picture.sha256, origin={}, alt="A cat")])
    reviews.decide(db, [1], "approve", by="ada")
    for number in range(30):
        post = approved(db, f"posted {number} {LONG}", review_status="posted", curation_score=40)
        insert(
            db, "deliveries", post_id=post, destination="discord", state="posted",
            posted_at=NOON - timedelta(hours=7 * number), remote_id=str(number),
        )  # fmt: skip
    held = approved(db, RIGHT_TO_LEFT)
    insert(db, "deliveries", post_id=held, destination="discord", state="held", last_error=LONG)
    return db


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_fits_and_is_quiet(lived, browse, axe, width, scheme):
    page = browse("admin", width=width, scheme=scheme)
    session = page.context.new_cdp_session(page)
    wrong = {}
    for path in PAGES:
        page.goto(path)
        session.send("Runtime.evaluate", {"expression": axe})  # past the page's own policy
        found = session.send(
            "Runtime.evaluate",
            {"expression": RUN_AXE, "awaitPromise": True, "returnByValue": True},
        )["result"]["value"]
        wrong |= {
            f"{path}: {one['id']}": [each["html"][:120] for each in one["nodes"]][:3]
            for one in found
        }
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if over > 0:
            wrong[f"{path}: too wide"] = over
    browse.heard[:] = [line for line in browse.heard if "404" not in line]
    assert wrong == {}


def until(page, expression):
    """Wait until something is true in the page, whose policy lets nothing be evaluated there."""
    for _ in range(500):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"it never was true: {expression}")


def decided(db):
    return dict(db.execute("SELECT id, review_status FROM potential_discord_posts").fetchall())


@pytest.mark.parametrize("seed", range(50))
def test_keys_decide_about_the_card_that_is_shown_however_fast(db, browse, seed):
    chance = random.Random(seed)
    ids = [candidate(db, f"text {n}", curation_score=40 - n) for n in range(8)]
    page = browse("approver")
    page.goto("/review")
    at, said = 0, {id_: [] for id_ in ids}
    keys = ["j", "a", "r", "j", "a", "h", *chance.choices("jkarh", k=6)]
    for key in keys if seed else "jarjah":
        page.keyboard.press(key)
        if key in "jk":
            at = max(0, min(len(ids) - 1, at + (1 if key == "j" else -1)))
        else:
            said[ids[at]].append({"a": "approved", "r": "rejected", "h": "held"}[key])
            at = min(len(ids) - 1, at + 1)
        if chance.random() < 0.3:
            page.wait_for_timeout(chance.uniform(0, 60))
    until(page, "!document.querySelector('.card[aria-busy]')")
    for id_, status in decided(db).items():
        # A second decision about a card whose first one is on its way is not taken.
        assert status in (said[id_] or ["pending"]), (keys, said)


def test_the_last_decision_is_taken_back(db, browse):
    one = candidate(db, "text")
    page = browse("approver")
    page.goto("/review")
    page.keyboard.press("a")
    page.keyboard.press("u")
    until(page, "document.querySelector('.card button[value=undo]') !== null")  # it has a past
    until(page, "document.querySelector('.card').dataset.status === 'pending'")
    [seen] = reviews.find_candidates(db, [one])
    assert [each["event"] for each in seen.history] == ["approve", "undo"]
    assert seen.review_status == "pending"


def test_a_draft_outlives_a_session_that_is_over(db, browse):
    one = candidate(db, "the old text")
    page = browse("editor")
    page.goto("/review")
    page.keyboard.press("e")
    page.locator(".edit textarea").first.fill("my own words")
    db.execute("UPDATE desk_keys SET expires_at = botticelli_now()")
    page.keyboard.press("Control+s")
    page.locator(".problem").first.wait_for()
    assert "log in" in page.locator(".problem").first.inner_text()
    assert page.locator(".edit textarea").first.input_value() == "my own words"
    db.execute("UPDATE desk_keys SET expires_at = NULL")
    page.reload()
    assert page.locator(".edit textarea").first.input_value() == "my own words"
    page.locator(".edit textarea").first.focus()
    page.keyboard.press("Control+s")
    until(page, "document.querySelector('.post').innerText.includes('my own words')")
    page.reload()
    assert reviews.find_candidates(db, [one])[0].text_content == "my own words"
    browse.heard[:] = [line for line in browse.heard if "401" not in line]


def test_a_draft_outlives_a_dead_server(db, browse):
    candidate(db, "the old text")
    page = browse("editor")
    page.goto("/review")
    page.keyboard.press("e")
    page.locator(".edit textarea").first.fill("my own words")
    page.context.set_offline(True)
    page.keyboard.press("Control+s")
    page.locator(".problem").first.wait_for()
    page.context.set_offline(False)
    page.reload()
    assert page.locator(".edit textarea").first.input_value() == "my own words"
    browse.heard[:] = [line for line in browse.heard if "ERR_INTERNET" not in line]


def test_who_is_slower_sees_both_texts_and_may_save_his(db, browse):
    one = candidate(db, "the old text")
    page = browse("editor")
    page.goto("/review")
    page.keyboard.press("e")
    page.locator(".edit textarea").first.fill("the old words")
    reviews.edit(db, one, text="the new text", by="bob")
    page.keyboard.press("Control+s")
    page.locator(".conflict").wait_for()
    assert "bob changed it meanwhile" in page.locator(".conflict").inner_text()
    page.locator(".conflict button[value=save]").click()
    until(page, "!document.querySelector('.conflict')")
    assert reviews.find_candidates(db, [one])[0].text_content == "the old words"
    browse.heard[:] = [line for line in browse.heard if "409" not in line]


def test_keys_can_be_switched_off_and_are_off_while_somebody_writes(db, browse):
    candidate(db, "text")
    page = browse("approver")
    page.goto("/review")
    page.keyboard.press("/")
    page.keyboard.type("arh")
    assert page.locator("input[name=q]").input_value() == "arh"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator("#keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_timeout(200)
    assert set(decided(db).values()) == {"pending"}


def test_everything_works_without_a_script(db, browse):
    one = candidate(db, "text", review_status="held")
    page = browse("approver", js=False)
    page.goto("/review")
    page.get_by_text("Edit", exact=True).click()
    page.locator(".edit textarea").fill("better text")
    page.get_by_role("button", name="Save and approve").click()
    assert re.search(r"/review\?view=open", page.url)
    assert decided(db) == {one: "approved"}
    page.goto("/review?view=approved")
    assert "better text" in page.locator(".post").inner_text()
    page.locator(".decide button[value=undo]").click()
    assert decided(db) == {one: "held"}
