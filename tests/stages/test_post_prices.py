"""Posts that cost money: never above the ceiling, never twice, and a lost answer is paid."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier, Thread

import pytest

from botticelli.config.model import Destination
from botticelli.config.operations import Guard
from botticelli.config.secrets import Secret
from botticelli.store import spending
from botticelli.store.connection import connect as connect_to
from tests.clock import pin
from tests.database import approved
from tests.fakes.x import FakeX
from tests.posting import PostStage, delivery_of


@pytest.fixture
def server(clock):
    with FakeX(now=lambda: clock.now().timestamp()) as fake:
        yield fake


@pytest.fixture
def stage_for(db, db_url, clock, server):
    def make(**rules):
        keys = {key: Secret(value) for key, value in server.keys.items()}
        facts = {"platform": "x", "base_url": server.url, "min_interval": timedelta(minutes=5)}
        destination = Destination(name="x", **{**facts, **keys, **rules})
        return PostStage(db, lambda: connect_to(db_url), clock, [destination])

    return make


def spent(db):
    return db.execute("SELECT coalesce(sum(dollars), 0) FROM spending").fetchone()[0]


def test_a_post_is_counted_at_its_price(db, server, stage_for):
    approved(db, "plain words")

    stage_for()()

    assert server.texts() == ["plain words"]
    assert spent(db) == Decimal("0.015")


def test_nothing_is_sent_above_the_ceiling_and_the_reason_is_said(db, server, stage_for, clock):
    for text in ("first", "second", "third"):
        approved(db, text)
    stage = stage_for(dollars_a_month=0.031)

    reports = []
    for _ in range(3):
        reports.append(stage())
        clock.advance(timedelta(hours=2))

    assert server.texts() == ["first", "second"]
    assert len([one for one in server.requests if one.method == "POST"]) == 2
    (last,) = reports[-1].results
    assert last.state == "put back"
    assert "it costs $0.015, with $0.030 of $0.03 spent this month" in last.note
    assert spent(db) == Decimal("0.030")
    clock.advance(datetime(2026, 12, 1, 0, 30, tzinfo=UTC) - clock.now())
    stage()
    assert server.texts() == ["first", "second", "third"]


def test_a_thread_that_cannot_be_paid_whole_is_not_begun(db, server, stage_for):
    post = approved(db, "word " * 150)

    stage_for(dollars_a_month=0.03, too_long="split")()

    assert server.texts() == []
    assert delivery_of(db, post, "x")[0] == "pending"
    assert spent(db) == 0


def test_a_lost_answer_counts_as_paid_and_is_looked_up(db, server, stage_for, clock):
    post = approved(db, "once")
    server.script.add("lose", to="post")
    server.late = 1
    stage = stage_for()

    stage()
    assert delivery_of(db, post, "x")[0] == "sending"
    server.late = 0
    clock.advance(timedelta(minutes=10))
    stage()

    assert delivery_of(db, post, "x")[0] == "posted"
    assert server.texts() == ["once"]
    assert spent(db) == Decimal("0.015")


def test_what_never_arrived_is_sent_again_and_counted_each_time(db, server, stage_for, clock):
    post = approved(db, "at last")
    server.script.add("hang up", to="post")
    stage = stage_for()

    for _ in range(4):
        stage()
        clock.advance(timedelta(minutes=10))

    assert delivery_of(db, post, "x")[0] == "posted"
    assert server.texts() == ["at last"]
    assert spent(db) == Decimal("0.030")


@pytest.mark.parametrize("fault", ["401", "403:Reply is not allowed", "429:3000"])
def test_what_was_refused_costs_nothing(db, server, stage_for, fault):
    approved(db, "no")
    server.script.add(fault, to="post")

    stage_for()()

    assert server.texts() == []
    assert spent(db) == 0


def test_a_link_that_is_allowed_costs_what_links_cost(db, server, stage_for):
    approved(db, "see https://docs.python.org/3/")

    stage_for(guard=Guard(allowed_links=("docs.python.org",)))()

    assert spent(db) == Decimal("0.200")


def test_the_dry_run_shows_what_it_costs_and_what_is_left(db, stage_for):
    approved(db, "word " * 100)
    stage = stage_for(dollars_a_month=0.05, too_long="split")

    (shown,) = stage.dry_run().previews

    assert [one.dollars for one in shown.messages] == [Decimal("0.015")] * 2
    assert shown.price == "$0.030, with $0.000 of $0.05 spent this month"
    assert spent(db) == 0
    stage.change("x", dollars_a_month=0.02)
    assert stage.dry_run().previews[0].price.endswith("above dollars_a_month, so it waits")


def test_two_at_once_do_not_spend_the_same_dollar(db_url, clock):
    start, fits = Barrier(4), []

    def pay():
        with connect_to(db_url) as conn:
            pin(conn, clock)
            start.wait()
            for _ in range(5):
                price = Decimal("0.1")
                fits.append(spending.book(conn, "x:1", price, needed=price, most=Decimal("1.05")))

    payers = [Thread(target=pay) for _ in range(4)]
    for one in payers:
        one.start()
    for one in payers:
        one.join()

    assert fits.count(True) == 10
