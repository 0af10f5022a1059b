"""Words for pictures: written once by a model that looks at them, and bound to the post."""

import base64
import hashlib
from dataclasses import replace

import pytest

from botticelli.errors import Exit
from botticelli.stages.adapt.stage import adapt
from tests.database import approved, candidate
from tests.fakes.pictures import png
from tests.pipeline import WRITER
from tests.posting import delivery_of, stage_before
from tests.stages.test_post_pictures import Wall, held, showing

SEEN = {"contains_text": "", "people": False, "risky": "", "alt": "A cat asleep on a wall."}


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def posting(db, db_url, clock, wall, stages):
    stages.settings("models", default=(WRITER,))
    return stage_before(wall, db, db_url, clock, alt="generate")


@pytest.fixture
def run(db, stages, posting, gemini):
    gemini.responder = lambda _: SEEN

    def start():
        stages.config = replace(stages.config, destinations=posting.config.destinations)
        return adapt(stages.context(db), posting.context.open)

    return start


def words(db):
    return db.execute("SELECT alt, origin FROM post_media ORDER BY id").fetchall()


def approve_as_it_is(db):
    db.execute(
        "UPDATE approved_discord_posts SET approved_hash ="
        " botticelli_post_hash(text_content, title, link, language, parts, attached)"
    )


def test_a_picture_without_words_gets_them_and_then_goes_out(db, run, posting, wall, gemini):
    post = showing(db, png("cat"), alt="")
    approve_as_it_is(db)
    posting()
    assert "no words" in held(db, post)

    report = run()
    posting()

    assert report.exit_code == Exit.DONE
    [one] = report.adapted
    assert (one.post, one.picture, one.text) == (post, 1, "A cat asleep on a wall.")
    assert [sent.alt for sent in wall.sent] == ["A cat asleep on a wall."]
    [(_, origin)] = words(db)
    assert origin["alt_by"] == f"model {WRITER}"
    assert len(origin["alt_prompt"]) == 64
    assert (origin["people"], origin["risky"]) == (False, "")
    assert delivery_of(db, post, "wall")[0] == "posted"
    [call] = gemini.calls
    shown, asked = call.body["contents"][0]["parts"]
    assert base64.urlsafe_b64decode(shown["inlineData"]["data"]) == png("cat")
    assert "look" in asked["text"]


def test_each_picture_is_looked_at_once(db, run, gemini):
    showing(db, png("cat"), alt="")
    assert len(run().adapted) == 1
    assert run().adapted == ()
    db.execute("UPDATE post_media SET alt = '', origin = '{}'")
    run()  # as after a kill between the answer and the words
    assert len(gemini.calls) == 1
    assert words(db)[0][0] == SEEN["alt"]


def test_words_of_a_person_are_left_alone(db, run, gemini):
    showing(db, png("cat"), alt="mine")
    assert run().adapted == ()
    assert not gemini.calls


def test_nothing_is_asked_where_no_destination_wants_it(db, run, posting, gemini):
    posting.change("wall", alt="required")
    showing(db, png("cat"), alt="")
    assert run().adapted == ()
    assert not gemini.calls


def test_what_was_changed_after_the_approval_is_not_approved_by_that(db, run, posting, wall):
    post = showing(db, png("cat"), alt="")
    approve_as_it_is(db)
    db.execute("UPDATE approved_discord_posts SET text_content = 'other'")
    run()
    posting()
    assert wall.sent == []
    assert "approved" in held(db, post)


def test_a_picture_that_the_model_warns_of_is_held_until_a_person_has_looked(
    db, run, posting, wall, gemini
):
    gemini.responder = lambda _: SEEN | {"risky": "it shows a brand"}
    post = showing(db, png("cat"), alt="")
    approve_as_it_is(db)
    run()
    posting()
    assert "warns: it shows a brand" in held(db, post)
    db.execute("""UPDATE post_media SET origin = origin || '{"alt_by": "ann"}'""")
    db.execute("UPDATE deliveries SET state = 'pending'")
    db.execute("UPDATE approved_discord_posts SET review_status = 'pending'")
    posting()
    assert len(wall.sent) == 1


@pytest.mark.parametrize("fault", ["safety", "bad-json", "text"])
def test_what_cannot_be_described_is_not_asked_about_for_ever(db, run, gemini, fault):
    if fault == "text":
        gemini.responder = lambda _: "I see a cat."
    else:
        gemini.script.add(fault)
    showing(db, png("cat"), alt="")
    [one] = run().adapted
    assert (one.state, one.text) == ("held", "")
    assert words(db)[0][1]["alt_error"]
    assert run().adapted == ()
    assert len(gemini.calls) == 1


def test_a_spent_quota_leaves_it_for_the_next_run(db, run, gemini):
    gemini.script.add("429:day")
    showing(db, png("cat"), alt="")
    report = run()
    assert report.exit_code == Exit.TRY_LATER
    assert words(db) == [("", {})]


def test_a_person_who_decides_sees_the_words(db, run, gemini):
    id_ = candidate(db, "a post", review_status="held", judging='{"proposed": {}}')
    db.execute(
        "INSERT INTO media (sha256, mime, content) VALUES (%s, 'image/png', %s)",
        (hashlib.sha256(png("x")).hexdigest(), png("x")),
    )
    db.execute("INSERT INTO post_media (candidate_id, sha256) SELECT %s, sha256 FROM media", [id_])
    [one] = run().adapted
    assert (one.post, one.text) == (id_, SEEN["alt"])


def test_offline_words_are_there_too(db, run, stages):
    stages.settings("models", only=("offline",))
    showing(db, png("cat"), alt="")
    [one] = run().adapted
    assert one.text.startswith("Filler text for a picture")
    assert approved(db, "x")
