"""What holds on every platform, from an approved post in the database to what its server has."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from botticelli.platforms.base import Refused
from botticelli.platforms.open import wanted_by
from botticelli.platforms.requests import Requests
from botticelli.stages.post.edit import edit_post, withdraw_post
from botticelli.store.connection import connect as connect_to
from botticelli.store.delivery import schedule
from tests.contracts.peers import BROKEN, BUSY, FAULTS, LOST, PEERS, UNSENT, agrees, attach
from tests.database import approved
from tests.posting import PostStage

PARTS = ("one of the roses", "two of the tulips", "three of the oaks")
LONG_AFTER = timedelta(hours=30)  # no once-key of any server lives as long


@pytest.fixture(params=PEERS)
def peer(request, clock, tmp_path):
    with PEERS[request.param](clock, tmp_path) as peer:
        yield peer


@pytest.fixture
def stage(db, db_url, clock, peer):
    places = [peer.destination()]
    return PostStage(db, lambda: connect_to(db_url), clock, places, limit=9)


@pytest.fixture
def misbehaving(peer):
    if not peer.faults:
        pytest.skip("it always answers")
    return peer


def thread(db, parts=PARTS):
    return approved(db, "\n\n---\n\n".join(parts), parts=list(parts))


def retrying(stage, count):
    post = stage.config.post
    stage.config = replace(
        stage.config, post=replace(post, retry=replace(post.retry, max_retries=count))
    )


def settle(stage):
    """Let time pass and run until nothing is left to do."""
    for _ in range(12):
        if {one.state for one in stage().results} == {"nothing"}:
            return
        stage.clock.advance(timedelta(minutes=11))
    pytest.fail("it never comes to rest")


def delivery(stage):
    return stage.db.execute("SELECT id FROM deliveries").fetchone()[0]


def test_a_post_and_a_thread_with_a_picture_are_there_once(db, stage, peer):
    approved(db, "A rose is a rose.")
    settle(stage)
    attach(db, thread(db))

    settle(stage)

    agrees(db, peer, ["A rose is a rose.", *PARTS])
    assert peer.pictures() == [0, 1, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", range(3))
def test_whatever_becomes_of_a_request_its_message_is_there_once(
    stage, misbehaving, at, fault, retries
):
    post = stage.config.post
    stage.config = replace(
        stage.config, post=replace(post, retry=replace(post.retry, max_retries=retries))
    )
    misbehaving.break_next(*["ok"] * at, fault, fault)
    thread(stage.db)

    settle(stage)

    agrees(stage.db, misbehaving, list(PARTS))


@pytest.mark.slow
@pytest.mark.parametrize("fault", [LOST, BROKEN, UNSENT])
def test_hours_later_what_was_lost_is_looked_for_before_anything_is_sent(stage, misbehaving, fault):
    thread(stage.db)
    misbehaving.break_next("ok", *[fault] * 5)
    stage()
    misbehaving.mend()
    misbehaving.forget_keys()
    stage.clock.advance(LONG_AFTER)

    settle(stage)

    agrees(stage.db, misbehaving, list(PARTS))


@pytest.mark.slow
def test_a_server_that_wants_us_to_wait_is_left_alone_for_so_long(db, stage, misbehaving):
    approved(db, "A rose")
    misbehaving.break_next(BUSY)

    [first] = stage().results
    assert first.state == "put back"
    stage.clock.advance(timedelta(seconds=5))
    assert stage().results[0].state == "waiting"
    assert misbehaving.texts() == []
    stage.clock.advance(timedelta(seconds=60))
    settle(stage)

    agrees(db, misbehaving, ["A rose"])


@pytest.mark.slow
def test_an_upload_that_fails_publishes_nothing_and_leaves_nothing_open(db, stage, peer):
    if not peer.uploads:
        pytest.skip("nothing is uploaded on its own")
    attach(db, approved(db, "A rose"))
    retrying(stage, 0)
    peer.break_upload()

    assert [one.state for one in stage().results] == ["put back"]
    assert peer.texts() == []
    stage.clock.advance(timedelta(minutes=5))
    settle(stage)

    agrees(db, peer, ["A rose"])
    assert peer.pictures() == [1]


@pytest.mark.slow
def test_what_is_withdrawn_is_gone_with_all_of_its_thread(db, stage, peer):
    thread(db)
    settle(stage)

    withdraw_post(stage.context, delivery(stage), by="ann")

    assert peer.texts() == []


@pytest.mark.slow
def test_an_edit_changes_the_message_or_says_that_nothing_can(db, stage, peer):
    approved(db, "teh rose")
    settle(stage)

    if peer.edits:
        edit_post(stage.context, delivery(stage), text="the rose", by="ann")
        assert peer.texts() == ["the rose"]
    else:
        with pytest.raises(Refused):
            edit_post(stage.context, delivery(stage), text="the rose", by="ann")
        assert peer.texts() == ["teh rose"]


@pytest.mark.slow
def test_what_is_too_long_is_held_or_cut_by_the_platforms_own_count(db, stage, peer):
    platform = stage.context.open(peer.destination()).platform
    most, sentence = platform.limits.length, "The rose of garden {} is red. "
    sentences = [sentence.format(1000 + number) for number in range(most // 10)]
    count = next(
        count
        for count in range(1, len(sentences), 1 + most // 1000)
        if platform.length("".join(sentences[:count])) > most * 1.3
    )
    text = "".join(sentences[:count])
    approved(db, text.strip())
    assert stage().results[0].state == "held"
    assert peer.texts() == []

    stage.change("place", too_long="split")
    db.execute("DELETE FROM deliveries")
    db.execute("UPDATE approved_discord_posts SET review_status = 'pending'")
    settle(stage)

    assert len(peer.texts()) == 2
    assert " ".join(" ".join(peer.texts()).split()) == text.strip()
    assert all(platform.length(one) <= most for one in peer.texts())


@pytest.mark.slow
def test_the_dry_run_shows_what_the_run_then_asks_for(db, stage, peer, monkeypatch):
    attach(db, approved(db, "A rose, https://a.example/b"))
    asked, settings = [], Requests._settings

    def watched(self, request, **more):
        if request.method != "GET":
            asked.append(request.shown(self.base_url))
        return settings(self, request, **more)

    monkeypatch.setattr(Requests, "_settings", watched)
    schedule.plan(db, [wanted_by(peer.destination())])
    [shown] = stage.dry_run().previews
    assert (peer.texts(), asked) == ([], [])

    settle(stage)

    assert peer.texts() != []
    assert "A rose" in str(shown.requests[-1])
    if peer.faults:
        paths = [one["url"].rpartition("/")[0] for one in shown.requests]
        asked = [one for one in asked if "Session" not in one["url"]]
        assert [one["url"].rpartition("/")[0] for one in asked] == paths


@pytest.fixture
def five(clock, tmp_path):
    names = ("discord", "mastodon", "bluesky", "matrix", "feed")
    with ExitStack() as stack:
        yield {name: stack.enter_context(PEERS[name](clock, tmp_path)) for name in names}


OWN_FORMS = {
    "discord": "**Roses** are [red](https://a.example/roses).",
    "mastodon": "Roses are red (https://a.example/roses).",
    "bluesky": "Roses are red.",
    "matrix": "**Roses** are [red](https://a.example/roses).",
    "feed": "Roses are red.",
}


def test_one_post_goes_to_five_platforms_at_once_to_each_in_its_own_form_once(
    db, db_url, clock, five
):
    places = [replace(peer.destination(), name=name) for name, peer in five.items()]
    stage = PostStage(db, lambda: connect_to(db_url), clock, places)
    attach(db, approved(db, OWN_FORMS["discord"], title="Roses"))
    five["bluesky"].break_next(LOST)
    five["matrix"].break_next(BROKEN)

    [first, *_] = [stage(), settle(stage)]

    assert {one.destination for one in first.results} == set(five)
    assert {name: peer.texts() for name, peer in five.items()} == {
        name: [text] for name, text in OWN_FORMS.items()
    }
    assert {name: peer.pictures() for name, peer in five.items()} == {name: [1] for name in five}
    known = db.execute("SELECT destination, remote_id FROM deliveries").fetchall()
    assert dict(known) == {name: peer.ids()[0] for name, peer in five.items()}
    assert db.execute("SELECT review_status FROM approved_discord_posts").fetchall() == [
        ("posted",)
    ]
