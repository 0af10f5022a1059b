"""The calendar in a real browser: by hand, by dragging, and without JavaScript."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from botticelli.store.connection import connect
from tests.clock import at
from tests.database import approved, insert
from tests.posting import to_outbox

pytestmark = [pytest.mark.slow, pytest.mark.browser]
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2027, 3, 24, 12, tzinfo=VIENNA)  # Wednesday; on Sunday the clocks are set forward
LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenhalterung" * 3


@pytest.fixture
def desk_config(desk_config, tmp_path):
    place = to_outbox(tmp_path / "out", time_zone="Europe/Vienna", min_interval=timedelta(hours=20))
    other = replace(place, name="a-place-with-a-very-long-name-indeed", time_zone="Asia/Tokyo")
    return replace(desk_config, destinations={"file": place, other.name: other})


@pytest.fixture
def visits(visits, db, db_url):
    visits.desk.connect = lambda: at(connect(db_url), NOW)
    at(db, NOW)
    return visits


@pytest.fixture
def post(db):
    """A post that is pinned to Friday, 09:00."""
    made = approved(db, "Good morning")
    pinned = datetime(2027, 3, 26, 9, tzinfo=VIENNA)
    insert(
        db, "deliveries", post_id=made, destination="file", state="pending", scheduled_for=pinned
    )
    return made


def pinned(db, post):
    statement = "SELECT scheduled_for FROM deliveries WHERE post_id = %s AND destination = 'file'"
    [found] = db.execute(statement, (post,)).fetchone()
    return found.astimezone(VIENNA).isoformat() if found else None


def test_a_drag_changes_the_day_and_keeps_the_time_also_over_summer_time(browse, db, post):
    page = browse("editor")
    page.goto("/calendar")

    for day, then in (("30", "2027-03-30T09:00:00+02:00"), ("27", "2027-03-27T09:00:00+01:00")):
        with page.expect_navigation():
            page.drag_and_drop("li.pinned", f'td[data-day="2027-03-{day}"]')
        assert pinned(db, post) == then
        there = page.locator(f'td[data-day="2027-03-{day}"] li.pinned .time')
        assert there.inner_text() == "!09:00"

    with page.expect_navigation():
        page.drag_and_drop("li.pinned", 'td[data-day="2027-03-23"]')
    assert "is over" in page.get_by_role("alert").inner_text()
    assert pinned(db, post) == "2027-03-27T09:00:00+01:00"
    browse.heard.clear()  # the browser notes the status 400


def test_an_hour_that_the_clocks_leave_out_is_refused_when_it_is_dropped_there(browse, db, post):
    db.execute("UPDATE deliveries SET scheduled_for = '2027-03-26 02:30 Europe/Vienna'")
    page = browse("editor")
    page.goto("/calendar")

    with page.expect_navigation():
        page.drag_and_drop("li.pinned", 'td[data-day="2027-03-28"]')

    assert "leave out 02:30 on 2027-03-28" in page.get_by_role("alert").inner_text()
    assert pinned(db, post) == "2027-03-26T02:30:00+01:00"
    browse.heard.clear()


def test_what_lies_in_another_zone_than_the_page_is_not_dragged(browse, db, post):
    page = browse("editor")
    page.goto("/calendar")
    assert page.locator("li.forecast").count() >= 1
    assert page.locator("li.forecast[draggable]").count() == 0

    page.goto("/calendar?to=a-place-with-a-very-long-name-indeed")
    assert page.locator("li.forecast[draggable]").count() == page.locator("li.forecast").count()


@pytest.mark.parametrize("width", [1280, 390])
def test_all_of_it_works_without_javascript(browse, db, post, width):
    page = browse("editor", width=width, js=False)
    page.goto("/calendar?to=file")

    page.locator("li.pinned summary").click()
    page.locator("li.pinned input[name=at]").fill("2027-04-01T17:45")
    page.get_by_role("button", name="Move").click()
    assert pinned(db, post) == "2027-04-01T17:45:00+02:00"
    page.locator("li.pinned summary").click()
    page.get_by_role("button", name="Unpin").click()
    assert pinned(db, post) is None


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["/calendar", "/calendar?to=file", "/analytics", "/themes"])
def test_no_page_scrolls_sideways_and_no_text_is_tiny(browse, db, post, path, width):
    for text in (LONG, "שלום " * 40, "https://example.org/" + "a" * 200, "<b>x</b>"):
        approved(db, text)
    db.execute(
        "INSERT INTO potential_discord_posts (text_content, source_narrative, curation_score,"
        " generated_at) SELECT 'x', %s, i %% 50, botticelli_now() FROM generate_series(1, 60) AS i",
        (LONG,),
    )
    db.execute(
        "INSERT INTO themes (name, begins, ends, brief) VALUES (%s, '03-01', '04-30', %s)",
        (LONG, LONG),
    )
    page = browse(width=width)
    page.goto(path)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        """[...document.querySelectorAll('svg')].filter(one => one.getClientRects().length)
            .map(one => one.getBoundingClientRect().width / (one.viewBox.baseVal?.width || 1))"""
    )
    assert all(size >= 0.9 for size in sizes), "what is drawn is not made smaller"
