"""The figures of analytics and `report`: what is counted, and how it is drawn."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from psycopg.types.json import Jsonb

from botticelli.config.model import Config, DatabaseConfig, Destination
from botticelli.config.operations import ExperimentConfig
from botticelli.reports import charts
from botticelli.reports.analytics import to_html, to_page
from botticelli.reports.insights import read_insights
from botticelli.store.reads.figures import read_figures
from tests.clock import NOON, at
from tests.database import approved, candidate, insert

DAY = timedelta(days=1)


@pytest.fixture
def written(db):
    """Five candidates of this week and one of last year."""
    at(db, NOON)
    rows = [
        ("a", "n1", "m", "posted", 40, "anna", 0),
        ("b", "n1", "m", "rejected", 40, "anna", 1),
        ("c", "n1", "m", "rejected", 20, "bob", 1),
        ("d", "n2 <b>", None, "rejected", 20, "auto", 2),
        ("e", None, "m", "pending", None, None, 6),
        ("f", "old", "m", "posted", 50, "anna", 365),
    ]
    for text, narrative, model, status, score, by, days in rows:
        db.execute(
            "INSERT INTO potential_discord_posts (text_content, source_narrative,"
            " generation_model, review_status, curation_score, decided_by, generated_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (text, narrative, model, status, score, by, NOON - days * DAY),
        )
    return db


def insights_of(db, days=7, **more):
    place = Destination(name="news <b>", platform="outbox", channel="x")
    config = Config(
        database=DatabaseConfig(url="", folder=Path("unused")),
        destinations={place.name: place},
        **more,
    )
    return read_insights(db, config, days=days)


def figures_of(db, days=7, zone="UTC"):
    return read_figures(db, days=days, zone=zone, threshold=35)


def test_the_funnel_counts_what_was_written_in_these_days_by_narrative_and_model(written):
    found = {
        (one.by, one.name): (one.written, one.judged, one.approved, one.posted)
        for one in figures_of(written).funnels
    }

    assert found == {
        ("all", ""): (5, 4, 1, 1),
        ("narrative", "n1"): (3, 3, 1, 1),
        ("narrative", "n2 <b>"): (1, 1, 0, 0),
        ("narrative", ""): (1, 0, 0, 0),
        ("model", "m"): (4, 3, 1, 1),
        ("model", ""): (1, 1, 0, 0),
    }


def test_the_judge_is_held_against_people_and_not_against_itself(written):
    found = {
        (one.name, one.is_enough): (one.written, one.taken, one.refused)
        for one in figures_of(written).scores
    }

    assert found == {("40", True): (2, 1, 1), ("20", False): (2, 0, 1)}
    assert "as the judge would have in 2 (67%)" in to_html(insights_of(written))


def test_every_day_is_there_and_begins_at_its_own_midnight(written):
    written.execute(
        "INSERT INTO model_calls (narrative, act_name, sequence_number, inputs_digest, state,"
        " response, cost_usd, created_at) VALUES ('n', 'a', 0, 'x', 'done', 'y', 0.5, %s)",
        (NOON.replace(hour=23, minute=30) - DAY,),
    )

    utc, vienna = (figures_of(written, zone=zone).days for zone in ("UTC", "Europe/Vienna"))

    assert [one.day for one in utc] == [(NOON - n * DAY).date() for n in range(6, -1, -1)]
    assert [one.written for one in utc] == [1, 0, 0, 0, 1, 2, 1]
    assert [one.cost_usd for one in utc][-2:] == [0.5, 0]
    assert [one.cost_usd for one in vienna][-2:] == [0, 0.5]


def test_hours_are_local(db):
    at(db, NOON)
    post = approved(db, "x")
    insert(db, "deliveries", post_id=post, destination="a", state="posted", posted_at=NOON)

    found = figures_of(db, zone="Asia/Kathmandu").hours

    assert [(one.weekday, one.hour, one.posts) for one in found] == [(2, 17, 1)]


@pytest.mark.parametrize("days", [1, 7, 366])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_report_is_whole_and_shows_nothing_as_markup(db, days, is_empty):
    at(db, NOON)
    if not is_empty:
        candidate(db, "x")
        db.execute("UPDATE potential_discord_posts SET source_narrative = '<script>x</script>'")

    page = to_page(insights_of(db, days=days), project="A <b> & שלום")

    assert_well_formed(page)
    assert not re.search(r"<script|<b>|https?://|style=|\bon\w+=|None|nan|inf|E-\d", page)


@pytest.mark.parametrize(("count", "words"), [(0, "0 of 10"), (7, "7 of 10"), (40, "")])
def test_what_readers_did_is_shown_once_there_is_enough_of_it(db, count, words):
    at(db, NOON)
    for n in range(count):
        post = approved(db, "What? " if n % 2 else "x", theme="<b>advent</b>")
        sent = {"post_id": post, "destination": "news <b>", "state": "posted"}
        sent["posted_at"] = NOON - (n + 2) * DAY
        counts = Jsonb({"likes": 20 if n % 2 else 2, "replies": 1})
        delivery = insert(db, "deliveries", **sent)
        insert(db, "engagement", delivery_id=delivery, age="24h", counts=counts)

    page = to_page(insights_of(db), project="x")

    assert ("Not enough data" in page) == bool(words)
    assert words in page
    assert_well_formed(page)
    assert "<b>" not in page
    if not words:
        assert "question: yes" in page
        assert "helps" in page
        assert "20 likes, 1 replies" in page


def test_experiments_are_shown_with_their_arms_and_what_they_need(db):
    at(db, NOON)
    found = insights_of(db, experiments={"hook <b>": ExperimentConfig(arms=("plain", "question"))})

    page = to_page(found, project="x")

    assert_well_formed(page)
    assert "hook &lt;b&gt;" in page
    assert "question" in page
    assert found.experiments[0]["result"] in page.replace("&#x27;", "'")


def assert_well_formed(page):
    class Tags(HTMLParser):
        open, empty = [], ("meta", "br", "link")

        def handle_starttag(self, tag, attrs):
            if tag not in self.empty:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    for svg in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(svg)


@pytest.mark.parametrize("top", [0, 1, 3, 7, 0.0042, 99, 101, 1_234_567])
def test_a_chart_reaches_its_greatest_value_and_stays_in_its_frame(top):
    drawn = charts.lines("x", ["a", "b"], {"s": [0, top]})

    for svg in re.findall(r'<svg class="(?:wide|narrow)".*?</svg>', drawn):
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
        points = re.search(r'class="line s0" d="M(.*?)"', svg)[1].split("L")
        for point in points:
            x, y = map(float, point.split())
            assert 0 < x < width
            assert charts.TOP - 0.1 <= y <= height - charts.BOTTOM + 0.1
        if top:
            assert float(points[1].split()[1]) < (height - charts.BOTTOM) * 0.6


@pytest.mark.parametrize("count", [1, 7, 30, 366])
def test_labels_do_not_touch_at_either_width(count):
    drawn = charts.lines("x", [f"{n:05}" for n in range(count)], {"s": [1] * count})

    for svg in re.findall(r'<svg class="(?:wide|narrow)".*?</svg>', drawn):
        places = [float(x) for x in re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="mid', svg)]
        assert places
        assert all(right - left >= 40 for left, right in pairwise(places))
