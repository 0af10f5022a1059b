"""A post of parts, with pictures, a link, a rendition; on a platform where threads are replies."""

import hashlib
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from botticelli.config.model import Destination
from botticelli.errors import Exit
from botticelli.platforms.base import (
    Looked,
    MessageLimits,
    NotSent,
    Platform,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.stages.post.edit import edit_post
from botticelli.store.curation.reviews import decide
from tests.clock import NOON
from tests.database import approved, candidate
from tests.fakes.pictures import png
from tests.posting import delivery_of, id_of, stage_before

PICTURE = png("a cat")
SHA = hashlib.sha256(PICTURE).hexdigest()


class Wall(Platform):
    """Messages in a list, in capitals; the answers that `script` says, then receipts."""

    name = "wall"
    idempotency_seconds = 100.0
    limits = MessageLimits(length=100, attachments=2)

    def __init__(self):
        self.asked = []
        self.out = {}
        self.script = []

    def render(self, markdown):
        return markdown.replace("**", "").upper()

    def price(self, message):
        return Decimal("0.20") if message.link else Decimal("0.015")

    def preview(self, message):
        uploads = [{"method": "PUT", "url": "wall:media", "files": one.shown}
                   for one in message.attachments]  # fmt: skip
        body = {"text": message.text, "reply": [one.remote_id for one in message.previous]}
        return [*uploads, {"method": "POST", "url": "wall:", "json": body}]

    def send(self, message):
        self.asked.append(message)
        error = self.script.pop(0) if self.script else None
        if not isinstance(error, Refused):
            self.out.setdefault(message.nonce, message)
        if error:
            raise error
        return self.receipt(message)

    def receipt(self, message):
        number = list(self.out).index(message.nonce) + 1
        return Receipt(remote_id=f"m{number}", url=f"wall:m{number}")

    def find(self, message, *, since, known=()):
        there = message.nonce in self.out
        return Looked(receipt=self.receipt(message) if there else None, certain=True)

    @property
    def texts(self):
        return [one.text for one in self.out.values()]


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def stage(db, db_url, clock, wall):
    return stage_before(wall, db, db_url, clock)


def picture(db, post_id, position=1, alt="a cat"):
    db.execute(
        "INSERT INTO media (sha256, mime, content, width, height)"
        " VALUES (%s, 'image/png', %s, 3, 2) ON CONFLICT DO NOTHING",
        (SHA, PICTURE),
    )
    db.execute(
        "INSERT INTO post_media (post_id, position, sha256, alt) VALUES (%s, %s, %s, %s)",
        (post_id, position, SHA, alt),
    )


def thread(db, parts=("one", "**two**", "three"), **more):
    return approved(db, "\n\n---\n\n".join(parts), parts=list(parts), **more)


def rendition(db, post_id, text, state="ready", source="same"):
    if source == "same":
        source = db.execute(
            "SELECT botticelli_post_hash(text_content, title, link, language, parts, attached)"
            "  FROM approved_discord_posts WHERE id = %s",
            (post_id,),
        ).fetchone()[0]
    db.execute(
        "INSERT INTO renditions (post_id, destination, state, text_content, source_hash, note)"
        " VALUES (%s, 'wall', %s, %s, %s, 'the model would not')",
        (post_id, state, text, source),
    )


def test_parts_are_a_chain_of_replies(db, stage, wall):
    thread(db)

    assert [one.state for one in stage().results] == ["posted"]

    first, second, third = wall.asked
    assert [one.text for one in wall.asked] == ["ONE", "TWO", "THREE"]
    assert len({one.nonce for one in wall.asked}) == 3
    assert [one.remote_id for one in third.previous] == ["m1", "m2"]
    assert [one.remote_id for one in second.previous] == ["m1"]
    assert first.previous == ()
    assert {one.planned_at for one in wall.asked} == {NOON.astimezone(UTC)}
    assert all(one.begun_at is not None for one in wall.asked)
    receipts = db.execute("SELECT parts, messages FROM deliveries").fetchone()
    assert [one["remote_id"] for one in receipts[0]] == ["m1", "m2", "m3"]
    assert receipts[1] is None


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("later", [10, 4000])
def test_a_lost_answer_breaks_no_chain_and_doubles_nothing(stage, wall, lost, later):
    thread(stage.db)
    wall.script = [None] * lost + [Unconfirmed("lost")] * 9
    find, wall.find = wall.find, lambda *_, **__: Looked(why="closed")
    stage()
    begun = wall.asked[-1].begun_at
    wall.script, wall.find = [], find
    wall.render = str.title  # what was asked for is asked for again, whatever renders it now

    stage.clock.advance(timedelta(seconds=later))
    report = stage()

    assert [one.state for one in report.results] == ["posted"]
    assert wall.texts == ["ONE", "TWO", "THREE"]
    again = [one for one in wall.asked if one.text == wall.texts[lost]]
    assert {one.begun_at for one in again} == {begun}


def test_an_open_outcome_whose_pictures_are_broken_is_held_not_a_crash(db, stage, wall):
    post = approved(db, "look")
    picture(db, post)
    wall.script = [Unconfirmed("lost")] * 9
    wall.find = lambda *_, **__: Looked(why="closed")
    stage()
    broken = b"no picture"
    db.execute(
        "INSERT INTO media (sha256, mime, content) VALUES (%s, 'image/png', %s)",
        (hashlib.sha256(broken).hexdigest(), broken),
    )
    db.execute("UPDATE post_media SET sha256 = %s", (hashlib.sha256(broken).hexdigest(),))
    stage.clock.advance(timedelta(minutes=5))

    [result] = [one for one in stage().results if one.delivery]

    assert result.state == "held"
    assert "its pictures cannot be prepared" in result.note


def test_a_part_that_is_refused_stops_the_chain_and_says_what_is_out(db, stage, wall):
    post = thread(db)
    wall.script = [None, Refused("no politics here")]

    report = stage()

    assert report.results[0].state == "held"
    assert report.results[0].note == "1 message of 3 sent (wall:m1), then: no politics here"
    assert wall.texts == ["ONE"]
    assert delivery_of(db, post, "wall")[0] == "held"


def test_pictures_title_and_link_go_with_the_first_message(db, stage, wall):
    post = thread(db, title="News", link="https://a.example/", language="de")
    picture(db, post)

    stage()

    first, second, _ = wall.asked
    assert first.text == "ONE\n\nHTTPS://A.EXAMPLE/"
    assert (first.title, first.link, first.language) == ("News", "https://a.example/", "de")
    assert [(one.content, one.alt, one.width) for one in first.attachments] == [
        (PICTURE, "a cat", 96)
    ]
    assert (second.attachments, second.title, second.link) == ((), "", "")


def test_more_pictures_than_are_taken_are_held(db, stage, wall):
    post = approved(db, "look")
    for position in (1, 2, 3):
        picture(db, post, position)

    assert "3 pictures, 2 are taken there" in stage().results[0].note
    assert wall.asked == []


def test_what_changed_after_the_approval_is_held_be_it_a_picture(db, stage, wall):
    chosen = candidate(db, "look")
    decide(db, [chosen], "approve", by="ann")
    post = db.execute("SELECT id FROM approved_discord_posts").fetchone()[0]
    picture(db, post)

    assert "changed after it was approved" in stage().results[0].note
    assert wall.asked == []


def test_a_rendition_is_sent_in_place_of_the_text(db, stage, wall):
    post = approved(db, "the long one")
    rendition(db, post, "the short one")

    stage()

    assert wall.texts == ["THE SHORT ONE"]


def test_a_rendition_of_an_earlier_text_is_none(db, stage, wall):
    post = approved(db, "the new text")
    rendition(db, post, "of the old text", source="0" * 64)

    stage()

    assert wall.texts == ["THE NEW TEXT"]


def test_an_edit_of_a_rendition_leaves_the_post_as_it_is_for_everywhere_else(db, stage, wall):
    post = approved(db, "the long one")
    rendition(db, post, "the short one")
    stage()
    wall.edit = lambda remote_id, message: wall.receipt(message)

    edit_post(stage.context, id_of(db, post, "wall"), text="the brief one", by="ann")

    query = "SELECT r.text_content, r.decided_by, p.text_content FROM renditions AS r"
    row = db.execute(f"{query} JOIN approved_discord_posts AS p ON p.id = r.post_id").fetchone()
    assert row == ("the brief one", "ann", "the long one")


@pytest.fixture
def adapting(stage):
    stage.change("wall", adapt="adapt.shorten", too_long="split")
    return stage


def test_what_does_not_fit_waits_for_its_rendition_and_keeps_nobody_waiting(db, adapting, wall):
    long = approved(db, "long " * 30)
    approved(db, "short")

    report = adapting()

    assert [(one.state, one.post) for one in report.results][:1] == [("waiting", long)]
    assert "botticelli adapt" in report.results[0].note
    assert report.exit_code == Exit.DONE
    assert wall.texts == ["SHORT"]
    assert db.execute("SELECT post_id, state FROM renditions").fetchall() == [(long, "open")]
    assert "to be adapted" in adapting(ignoring_rhythm=True).results[0].note
    assert wall.texts == ["SHORT"]

    db.execute("UPDATE renditions SET state = 'ready', text_content = 'now short'")
    adapting(ignoring_rhythm=True)

    assert wall.texts == ["SHORT", "NOW SHORT"]


def test_what_could_not_be_adapted_is_a_thread_or_held(db, adapting, wall):
    post = approved(db, "long " * 30)
    rendition(db, post, None, state="held")

    adapting()
    assert len(wall.texts) == 2

    other = approved(db, "far too long " * 30)
    rendition(db, other, None, state="held")
    adapting.change("wall", too_long="refuse")
    report = adapting(ignoring_rhythm=True)

    assert report.results[0].state == "held"
    assert "it could not be adapted (the model would not)" in report.results[0].note


def test_the_dry_run_shows_every_request_its_count_and_its_price(db, stage, wall):
    post = thread(db, parts=("one", "two"), link="https://a.example/")
    picture(db, post)

    [shown] = stage.dry_run().previews

    assert [(one.length, one.most, one.dollars) for one in shown.messages] == [
        (23, 100, Decimal("0.20")),
        (3, 100, Decimal("0.015")),
    ]
    assert [one["url"] for one in shown.requests] == ["wall:media", "wall:", "wall:"]
    assert shown.requests[0]["files"]["sha256"] == SHA
    assert shown.requests[2]["json"] == {"text": "TWO", "reply": ["<message 1>"]}
    assert wall.asked == []


def test_the_dry_run_shows_the_rendition_and_what_waits_for_one(db, adapting, wall):
    post = approved(db, "long " * 30)
    [shown] = adapting.dry_run().previews
    assert shown.post is None
    assert "botticelli adapt" in shown.held[0].why
    assert db.execute("SELECT count(*) FROM renditions").fetchone() == (0,)

    rendition(db, post, "short")
    [shown] = adapting.dry_run().previews
    assert (shown.rendition, shown.messages[0].text) == ("ready", "SHORT")


def test_a_server_that_does_not_say_its_limits_costs_the_others_nothing(db, stage, wall):
    approved(db)

    class Mute(Wall):
        limits = property(lambda _: _raise(NotSent("it does not answer")), lambda *_: None)

    mute = Mute()
    places = {"mute": mute, "wall": wall}
    stage.config = replace(
        stage.config,
        destinations={name: Destination(name=name, platform=name, channel="1") for name in places},
    )
    stage._open = lambda destination: places[destination.name]

    report = stage()

    assert [(one.destination, one.state) for one in report.results] == [
        ("mute", "failed"),
        ("wall", "posted"),
    ]
    assert report.exit_code == Exit.UNAVAILABLE


def _raise(error):
    raise error
