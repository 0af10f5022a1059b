"""What readers did with posts, counted on every platform: once for each age, gone is not zero."""

from datetime import timedelta

import pytest

from botticelli.errors import Exit
from botticelli.stages.observe.stage import observe
from botticelli.store.connection import connect as connect_to
from tests.contracts.peers import PEERS
from tests.database import approved
from tests.posting import PostStage


@pytest.fixture(params=[name for name, kind in PEERS.items() if kind.observes])
def peer(request, clock, tmp_path):
    with PEERS[request.param](clock, tmp_path) as peer:
        yield peer


@pytest.fixture
def stage(db, db_url, clock, peer):
    return PostStage(db, lambda: connect_to(db_url), clock, [peer.destination()], limit=9)


def snapshots(db):
    return db.execute(
        "SELECT delivery_id, age, late, gone, counts ->> 'likes', replies"
        "  FROM engagement ORDER BY delivery_id, observed_at, due_at"
    ).fetchall()


def publish(db, stage, count):
    for number in range(count):
        approved(db, f"a text, number {number}: about the roses")
    for _ in range(count):
        stage()
        stage.clock.advance(timedelta(seconds=1))
    return [row[0] for row in db.execute("SELECT remote_id FROM deliveries ORDER BY id")]


def test_reactions_are_counted_once_for_each_age(db, stage, peer):
    ids = publish(db, stage, 2)
    peer.react(ids[0], likes=3, replies=2)
    assert observe(stage.context).results == (), "no age yet"

    stage.clock.advance(timedelta(hours=1, minutes=1))
    for _ in range(2):
        report = observe(stage.context)
    assert report.results == ()
    assert snapshots(db) == [(1, "1h", False, False, "3", 2), (2, "1h", False, False, "0", 0)]

    peer.react(ids[1], likes=5, replies=0)
    stage.clock.advance(timedelta(hours=26))
    observe(stage.context)
    later = [row[1:] for row in snapshots(db) if row[0] == 2]
    assert later[1:] == [("6h", True, False, "5", 0), ("24h", False, False, "5", 0)]
    stage.clock.advance(timedelta(days=20))
    assert observe(stage.context).results == (), "nobody looks at what is older"


def test_our_own_further_messages_are_no_replies(db, stage, peer):
    parts = ["About the roses.", "Cut them in March.", "Water them in May."]
    approved(db, "\n\n---\n\n".join(parts), parts=parts)
    stage()
    root = peer.ids()[0]
    own = bool(peer.parents())  # elsewhere they are no answers to each other
    peer.react(root, likes=2, replies=3 + own)
    stage.clock.advance(timedelta(hours=1, minutes=1))
    observe(stage.context)
    assert snapshots(db) == [(1, "1h", False, False, "2", 3)]


def test_what_is_gone_is_not_zero_and_is_not_asked_for_again(db, stage, peer):
    ids = publish(db, stage, 3)
    platform = stage.context.open(peer.destination()).platform
    for id_ in ids:
        platform.delete(id_)

    stage.clock.advance(timedelta(hours=1, minutes=1))
    [one] = observe(stage.context).results
    assert (one.counted, one.gone) == (0, 3)
    stage.clock.advance(timedelta(hours=6))
    assert observe(stage.context).results == ()
    assert {row[3] for row in snapshots(db)} == {True}


def test_a_server_that_is_away_costs_nothing_but_time(db, stage, peer):
    publish(db, stage, 1)
    stage.clock.advance(timedelta(hours=1, minutes=1))
    peer.server.__exit__(None, None, None)
    report = observe(stage.context)
    assert report.exit_code == Exit.UNAVAILABLE
    assert snapshots(db) == []
