"""Calendar, analytics, themes and feeds of the desk: what they show, and what they change."""

import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.config.model import ActiveHours
from botticelli.config.operations import ThemeConfig
from botticelli.platforms.open import wanted_by
from botticelli.reports.calendar import calendar
from botticelli.schedule.due import next_due
from botticelli.store.connection import connect
from botticelli.store.delivery import posts, schedule
from botticelli.store.desk import keys
from botticelli.store.generation import themes
from tests.clock import NOON, at
from tests.database import approved, insert
from tests.posting import to_outbox

VIENNA = ZoneInfo("Europe/Vienna")
NASTY = 'A <script>alert(1)</script> & "quote" \u202e\x01 שלום'


@pytest.fixture
def desk_config(desk_config, tmp_path):
    place = to_outbox(
        tmp_path / "out",
        time_zone="Europe/Vienna",
        min_interval=timedelta(hours=2),
        quiet_dates=("12-24",),
    )
    advent = ThemeConfig(begins="12-01", ends="12-26", brief="Candles")
    return replace(desk_config, destinations={"file": place}, themes={"advent": advent})


@pytest.fixture
def visits(visits, db, db_url):
    """The desk on Tuesday, 24 November 2026, at 13:00 in Vienna."""
    visits.desk.connect = lambda: at(connect(db_url), NOON)
    at(db, NOON)
    return visits


@pytest.fixture
def editor(visits):
    return visits.as_role("editor", name="anna")


def form_of(page, post, **more):
    """Return the fields of the form of a post, as a browser would send them."""
    pattern = rf'<form[^>]*action="(/deliveries/\d+)">(?=\s*<input[^>]*value="{post}">)(.*?)</form>'
    found = re.search(pattern, page, re.DOTALL)
    fields = dict(re.findall(r'<input type="[a-z-]+" name="(\w+)" value="([^"]*)"', found[2]))
    fields.pop("anyway", None)
    return found[1], {**fields, **more}


def pinned(db):
    return db.execute(
        "SELECT post_id, scheduled_for, is_anyway, expires_at, pinned_by FROM deliveries"
        " WHERE scheduled_for IS NOT NULL ORDER BY post_id"
    ).fetchall()


def test_the_calendar_shows_what_was_posted_is_pinned_and_will_be(editor, db):
    old = approved(db, "Yesterday's news", review_status="posted", posted_at=NOON)
    yesterday = NOON - timedelta(days=1)
    insert(db, "deliveries", post_id=old, destination="file", state="posted", posted_at=yesterday)
    approved(db, NASTY)

    page = editor.get("/calendar").text

    days = dict(re.findall(r'<td data-day="([\d-]+)"(.*?)</td>', page, re.DOTALL))
    assert list(days) == [str(date(2026, 11, 23) + timedelta(days=n)) for n in range(35)]
    assert ">13:00</span>" in days["2026-11-23"]
    assert "~13:00" in days["2026-11-24"]
    assert "quiet" in days["2026-12-24"]
    assert "advent" in days["2026-12-01"]
    assert "advent" not in days["2026-11-30"]
    assert "<script>" not in page
    assert "&lt;script&gt;" in days["2026-11-24"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("from=2026-01-01", 200),
        ("from=9999-12-31", 400),
        ("from=0001-01-01", 400),
        ("from=<b>", 400),
        ("to=nowhere", 404),
        ("to=gone", 200),
        ("to=file", 200),
    ],
)
def test_what_is_asked_of_the_calendar(editor, db, asked, status):
    post = approved(db, "x", review_status="posted")
    insert(db, "deliveries", post_id=post, destination="gone", state="posted", posted_at=NOON)

    answer = editor.get(f"/calendar?{asked}")

    assert answer.status_code == status
    assert ("no longer in the settings" in answer.text) == (asked == "to=gone")


def test_a_post_is_pinned_moved_freed_and_let_go_next(editor, db):
    post = approved(db, "One")
    before = db.execute("SELECT count(*) FROM deliveries").fetchone()
    where, fields = form_of(editor.get("/calendar").text, post, at="2026-12-01T09:30")
    assert db.execute("SELECT count(*) FROM deliveries").fetchone() == before, (
        "looking writes nothing"
    )

    answer = editor.post(where, data={**fields, "do": "pin", "expires": "2026-12-01T20:00"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/calendar?from=2026-11-23&to=#p{post}",
    )
    instant = datetime(2026, 12, 1, 9, 30, tzinfo=VIENNA)
    assert pinned(db) == [(post, instant, False, instant.replace(hour=20, minute=0), "anna")]

    where, fields = form_of(editor.get("/calendar").text, post, at="2026-12-02T09:30", do="pin")
    assert fields["expires"] == "2026-12-01T20:00"
    assert editor.post(where, data=fields).status_code == 400, "it would expire"
    assert editor.post(where, data={**fields, "expires": ""}).status_code == 303
    assert [(row[1].day, row[3]) for row in pinned(db)] == [(2, None)]
    where, fields = form_of(editor.get("/calendar").text, post)
    assert editor.post(where, data={**fields, "do": "unpin"}).status_code == 303
    assert pinned(db) == []
    where, fields = form_of(editor.get("/calendar").text, post)
    assert editor.post(where, data={**fields, "do": "next"}).status_code == 303
    assert [row[1] for row in pinned(db)] == [NOON]


def test_who_saw_an_older_one_moves_nothing_and_sees_why(editor, db):
    post = approved(db, "One")
    where, fields = form_of(editor.get("/calendar").text, post, at="2026-12-01T09:30", do="pin")
    assert editor.post(where, data=fields).status_code == 303

    late = editor.post(where, data={**fields, "at": "2026-12-05T09:30"})

    assert late.status_code == 409
    assert f"post {post} was changed meanwhile" in late.text
    assert 'value="2026-12-05T09:30"' in late.text, "what was wanted is kept"
    assert [row[1].day for row in pinned(db)] == [1]


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"at": "2027-03-28T02:30"}, 400, "leave out 02:30"),
        ({"at": "2026-11-24T12:59"}, 400, "is over"),
        ({"at": "2026-12-24T09:00"}, 400, "quiet date"),
        ({"at": ""}, 400, "is no time"),
        ({"at": "2026-12-05T09:00", "to": "elsewhere"}, 400, "no longer in the settings"),
        ({"at": "2026-12-05T09:00", "zone": "Asia/Tokyo"}, 409, "time zone is Europe/Vienna now"),
        ({"at": "2026-12-05T09:00", "fence": "x"}, 400, "not said"),
        ({"at": "2026-12-05T09:00", "do": "explode"}, 400, "is no decision"),
        ({"at": "2026-12-05T09:00", "post": "999999"}, 400, "no approved post"),
    ],
)
def test_a_pin_that_means_nothing_is_refused_with_the_reason(editor, db, more, status, said):
    post = approved(db, "One")
    where, fields = form_of(editor.get("/calendar").text, post, do="pin")

    answer = editor.post(where, data={**fields, **more})

    assert answer.status_code == status
    assert said in answer.text
    assert pinned(db) == []


def test_an_hour_that_comes_twice_is_asked_about(editor, db):
    post = approved(db, "One")
    where, fields = form_of(editor.get("/calendar").text, post, at="2027-10-31T02:30", do="pin")

    answer = editor.post(where, data=fields)

    assert (answer.status_code, pinned(db)) == (400, [])
    instants = re.findall(r'<button name="at" value="([^"]*)"', answer.text)
    assert "02:30 CEST" in answer.text
    assert "02:30 CET" in answer.text
    assert editor.post(where, data={**fields, "at": instants[1]}).status_code == 303
    assert [row[1].isoformat() for row in pinned(db)] == ["2027-10-31T01:30:00+00:00"]


def test_an_hour_outside_of_the_rules_is_pinned_if_it_is_said(visits, editor, db):
    place = visits.desk.config.destinations["file"]
    hours = ActiveHours(start=time(9), end=time(10))
    night = replace(place, active_hours=hours)
    visits.desk.config = replace(visits.desk.config, destinations={"file": night})
    post = approved(db, "One")
    where, fields = form_of(editor.get("/calendar").text, post, at="2026-12-05T23:00", do="pin")

    assert editor.post(where, data=fields).status_code == 400
    assert editor.post(where, data={**fields, "anyway": "yes"}).status_code == 303
    assert [row[2] for row in pinned(db)] == [True]


def test_a_viewer_sees_no_form(visits, db):
    approved(db, "One")
    page = visits.as_role("viewer").get("/calendar").text

    assert "One" in page
    assert "/deliveries/" not in page


def test_feeds_are_opened_by_a_key_and_by_nothing_else(visits, db):
    old = approved(db, NASTY, review_status="posted", posted_at=NOON)
    yesterday = NOON - timedelta(days=1)
    insert(db, "deliveries", post_id=old, destination="file", state="posted", posted_at=yesterday)
    approved(db, "Next")
    key = keys.make_key(db, "feed", person="anna", role="viewer")
    session = keys.make_key(db, "session", person="anna", role="admin")
    client = visits.client()

    for path in ("/calendar.ics", "/posts.atom"):
        for wrong in ("", "?key=", f"?key={key}x", f"?key={session}"):
            assert client.get(path + wrong).status_code == 401
        assert client.get(f"{path}?key={key}").status_code == 200
    events = icalendar.Calendar.from_ical(client.get(f"/calendar.ics?key={key}").text).events
    assert sorted(str(one["STATUS"]) for one in events) == ["CONFIRMED", "TENTATIVE"]
    feed = ET.fromstring(client.get(f"/posts.atom?key={key}").content)
    [entry] = feed.findall("{*}entry")
    assert entry.find("{*}content").text == NASTY.replace("\x01", "").replace("\u202e", "")
    assert client.get("/review", params={"key": key}).status_code == 303, "it opens no page"
    keys.revoke(db, person="anna")
    assert client.get(f"/calendar.ics?key={key}").status_code == 401


WRONG = (("from", "13-13"), ("to", ""), ("weight", "0"), ("weight", "x"), ("weight", "nan"))


def theme(**more):
    given = {"name": "Fasching", "from": "02-01", "to": "02-17", "weight": "40", "fence": "0"}
    return {**given, "tags": "a, b,", "brief": NASTY, "do": "save", **more}


def test_a_theme_is_added_changed_and_paused(visits, db):
    admin = visits.as_role("admin", name="eva")
    assert admin.post("/themes", data=theme()).status_code == 303
    [one] = themes.list_themes(db)
    assert (one.begins, one.ends, one.tags, one.changed_by) == ("02-01", "02-17", ["a", "b"], "eva")
    assert one.weight == pytest.approx(0.4)
    page = admin.get("/themes").text
    assert "Fasching" in page
    assert "<script>alert" not in page
    assert "advent" in page

    assert admin.post("/themes", data=theme(fence="1", do="pause")).status_code == 303
    late = admin.post("/themes", data=theme(fence="1", brief="Mine"))
    assert late.status_code == 409
    assert "Mine" in late.text
    assert not themes.list_themes(db)[0].is_active


def test_a_theme_of_the_file_is_paused_and_resumed(visits, db):
    admin = visits.as_role("admin")
    files, bare = visits.desk.config.themes, {"name": "advent"}
    assert admin.post("/themes", data={**bare, "fence": "0", "do": "pause"}).status_code == 303
    assert themes.known(db, files) == {}
    assert "paused" in admin.get("/themes").text
    assert admin.post("/themes", data={**bare, "fence": "1", "do": "resume"}).status_code == 303
    assert themes.known(db, files) == dict(files)


@pytest.mark.parametrize(
    "wrong",
    [{name: text} for name, text in (*WRONG, ("name", ""), ("fence", "x"))],
)
def test_a_theme_that_means_nothing_is_refused_and_kept_in_the_form(visits, db, wrong):
    answer = visits.as_role("admin").post("/themes", data=theme(**wrong))

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert themes.list_themes(db) == []


@pytest.mark.parametrize(
    ("days", "status"),
    [("7", 200), ("365", 200), ("0", 400), ("367", 400), ("x", 400), ("9" * 5000, 400)],
)
def test_analytics_of_so_many_days(editor, days, status):
    assert editor.get(f"/analytics?days={days}").status_code == status


def test_a_post_is_scheduled_from_its_own_page(editor, db):
    post = approved(db, "One")
    where, fields = form_of(editor.get(f"/posts/p{post}").text, post, at="2026-12-01T09:30")

    assert editor.post(where, data={**fields, "do": "pin"}).status_code == 303

    assert [row[1] for row in pinned(db)] == [datetime(2026, 12, 1, 9, 30, tzinfo=VIENNA)]
    assert 'value="2026-12-01T09:30"' in editor.get(f"/posts/p{post}").text


@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(st.integers(1, 25), st.integers(0, 18 * 60)), max_size=4, unique_by=lambda p: p[0]
    )
)
def test_what_is_pinned_at_the_desk_is_due_then_and_stands_in_every_calendar(visits, db, places):
    """calendar -> pins -> due: whatever is pinned to days of its own goes out to the minute."""
    db.execute("TRUNCATE approved_discord_posts CASCADE")
    client, config = visits.as_role("editor"), visits.desk.config
    place, wanted = config.destinations["file"], {}
    for day, minute in places:
        wall = datetime(2026, 11, 25, 3, 30) + timedelta(days=day, minutes=minute)  # noqa: DTZ001
        if wall.date() == date(2026, 12, 24):
            continue
        post = approved(db, f"for {wall}")
        where, fields = form_of(client.get("/calendar").text, post, at=wall.isoformat()[:16])
        assert client.post(where, data={**fields, "do": "pin"}).status_code == 303
        wanted[post] = wall.replace(tzinfo=VIENNA)
    found = {one.post: one.at for one in calendar(db, config, weeks=5).entries}
    key = keys.make_key(db, "feed", person="x", role="viewer")
    feed = icalendar.Calendar.from_ical(client.get(f"/calendar.ics?key={key}").text)
    page = client.get("/calendar").text

    assert found == wanted
    assert sorted(one.decoded("DTSTART") for one in feed.events) == sorted(wanted.values())
    for post, instant in wanted.items():
        cell = page.partition(f'data-day="{instant:%Y-%m-%d}"')[2].partition("</td>")[0]
        assert f'id="p{post}"' in cell
        assert f"!{instant:%H:%M}" in cell
    if wanted:
        first = min(wanted.values())
        for moment, is_due in ((first - timedelta(minutes=1), False), (first, True)):
            at(db, moment)
            due = next_due(
                posts.read_queues(db, [wanted_by(place)])["file"], schedule.rhythm(place)
            )
            assert (due.is_now, due.is_pin) == (is_due, True)
        at(db, NOON)
