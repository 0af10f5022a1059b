"""Evergreens: the best post of long ago, said anew for one destination, a few times."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.config.operations import Recycle
from botticelli.stages.adapt.stage import adapt
from botticelli.store.curation import reviews
from tests.clock import NOON
from tests.database import approved, candidate, insert
from tests.pipeline import WRITER
from tests.posting import PostStage, to_discord

NARRATIVE = (Path(__file__).parents[2] / "narratives/recycle.toml").read_text()
OLD = "Roses want sun and deep soil. Water them in the morning, never on the leaves."
LATER = "generated_at = generated_at - interval '61 days'"
NEW = "Where does your rose stand? A place with light all day is worth more than any fertilizer."


@pytest.fixture
def posting(db, stages, discord, clock):
    stages.write(NARRATIVE, "recycle.toml")
    stages.settings("models", default=(WRITER,))
    rules = Recycle(after=timedelta(days=60), at_most=2)
    return PostStage(db, stages.connect, clock, [to_discord(discord, recycle=rules)])


@pytest.fixture
def run(db, stages, posting):
    def start():
        stages.config = replace(stages.config, destinations=posting.config.destinations)
        return adapt(stages.context(db), posting.context.open)

    return start


def old(db, text=OLD, *, days=100, **more):
    post = approved(db, text, review_status="posted", **more)
    insert(
        db, "deliveries", post_id=post, destination="news", state="posted", remote_id=str(post),
        posted_at=NOON - timedelta(days=days),
    )  # fmt: skip
    return post


def made(db):
    return db.execute(
        "SELECT recycled_from, only_to, text_content, review_status, decision_reason"
        "  FROM potential_discord_posts WHERE recycled_from IS NOT NULL ORDER BY id"
    ).fetchall()


def test_the_best_old_post_is_said_anew_for_its_destination_alone(db, run, gemini):
    old(db, "An average post about tulips and their bulbs.", curation_score=30)
    best = old(db, curation_score=45)
    old(db, "A post of last week about oaks.", days=7, curation_score=50)
    old(db, "Merry Christmas to all who garden.", curation_score=49, theme="christmas")
    gemini.responder = lambda _: {"text_content": NEW}

    [one] = run().recycled

    assert (one.post, one.destination, one.note) == (best, "news", "")
    assert made(db) == [(best, "news", NEW, "pending", None)]
    assert OLD in gemini.calls[0].prompt
    assert run().recycled == (), "it waits for the judge: nothing else is said anew"


def test_its_approved_post_goes_there_and_nowhere_else(db, run, posting, gemini, discord):
    old(db)
    gemini.responder = lambda _: {"text_content": NEW}
    [one] = run().recycled
    reviews.decide(db, [one.candidate], "approve", by="ada")
    other = replace(posting.config.destinations["news"], name="other", channel="999")
    places = [*posting.config.destinations.values(), other]
    posting.config = replace(posting.config, destinations={each.name: each for each in places})

    posting(ignoring_rhythm=True)

    found = db.execute(
        "SELECT destination FROM deliveries WHERE state <> 'posted' OR text_sent = %s", (NEW,)
    )
    assert found.fetchall() == [("news",)]
    assert discord.contents() == [NEW]


@pytest.mark.parametrize("status", ["pending", "judging"])
def test_it_waits_while_anything_fresh_does(db, run, gemini, status):
    old(db)
    candidate(db, "fresh", review_status=status)
    assert run().recycled == ()
    assert not gemini.calls


def test_never_word_for_word_and_never_with_a_new_link(db, run, gemini):
    post = old(db)
    answers = iter([OLD.replace("deep", "good"), NEW + " https://evil.example/x"])
    gemini.responder = lambda _: {"text_content": next(answers)}

    [one] = run().recycled

    assert one.note == "it links to evil.example, the old post does not"
    assert "too much like the old one" in gemini.calls[1].prompt
    assert made(db)[0][3:] == ("rejected", one.note)
    assert run().recycled == (), "that was one of its times"
    db.execute(
        "UPDATE potential_discord_posts SET generated_at = generated_at - interval '61 days'"
    )
    gemini.responder = lambda _: {"text_content": NEW}
    assert [each.post for each in run().recycled] == [post]
    db.execute(f"UPDATE potential_discord_posts SET review_status = 'rejected', {LATER}")
    assert run().recycled == (), "twice is enough"


def test_a_run_that_was_killed_behind_the_answer_pays_once(db, run, gemini):
    old(db)
    gemini.responder = lambda _: {"text_content": NEW}
    run()
    db.execute("DELETE FROM potential_discord_posts WHERE recycled_from IS NOT NULL")
    assert len(run().recycled) == 1
    assert len(gemini.calls) == 1
