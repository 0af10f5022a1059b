"""Renditions: made once after the approval, by the rules, and sent in the post's place."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from botticelli.config.operations import Guard
from botticelli.errors import Exit, UsageError
from botticelli.models.base import TransientError
from botticelli.stages.adapt.stage import adapt, adapt_waiting, dry_run_adapt
from botticelli.stages.curate.stage import curate
from botticelli.store.delivery import decisions, renditions
from botticelli.store.reads import doctor
from botticelli.store.reads.status import read_status
from tests.database import approved
from tests.pipeline import WRITER
from tests.posting import PostStage, delivery_of, to_discord

NARRATIVE = (Path(__file__).parents[2] / "narratives/adapt.toml").read_text()
# Discord takes 2,000 characters.
LONG = "It is all at https://a.example/b. " + " ".join(f"Word {n:02} follows." for n in range(139))
SHORT = "A short story."


def answer(text, **more):
    return {"text_content": text, **more}


@pytest.fixture
def posting(db, stages, discord, clock):
    stages.write(NARRATIVE, "adapt.toml")
    stages.settings("models", default=(WRITER,))
    return PostStage(db, stages.connect, clock, [to_discord(discord, adapt="adapt.shorten")])


@pytest.fixture
def run(db, stages, posting):
    def start(do=adapt, **options):
        stages.config = replace(stages.config, destinations=posting.config.destinations)
        return do(stages.context(db), posting.context.open, **options)

    return start


def rendition(db):
    query = "SELECT state, text_content, note, model FROM renditions"
    return db.execute(query).fetchone()


def test_a_post_that_is_too_long_waits_for_its_rendition_which_is_sent(
    db, run, posting, gemini, discord
):
    post = approved(db, LONG)
    other = approved(db, "fits")
    gemini.responder = lambda _: answer(SHORT)
    first = posting()
    assert delivery_of(db, post, "news")[:2] == ("pending", 0)
    assert delivery_of(db, other, "news")[0] == "posted"
    assert [one.state for one in first.results] == ["waiting", "posted"]

    report = run()

    assert [(one.post, one.state, one.text) for one in report.adapted] == [(post, "ready", SHORT)]
    assert (report.calls, report.exit_code) == (1, Exit.DONE)
    assert rendition(db) == ("ready", SHORT, None, WRITER)
    assert "At most 2000 characters" in gemini.calls[0].prompt
    posting(ignoring_rhythm=True)
    assert delivery_of(db, post, "news")[0] == "posted"
    assert discord.contents() == ["fits", SHORT]
    assert run().adapted == ()
    assert len(gemini.calls) == 1


def test_what_fits_costs_no_call(db, run, gemini):
    approved(db, "fits")

    assert run().adapted == ()
    assert not gemini.calls


def test_one_that_will_not_do_is_tried_once_more_with_the_reason(db, run, gemini):
    approved(db, LONG)
    answers = [answer(LONG), answer(SHORT)]
    gemini.responder = lambda _: answers.pop(0)

    run()

    assert rendition(db)[:2] == ("ready", SHORT)
    first, second = (call.prompt for call in gemini.calls)
    assert f"length: part 1: {len(LONG)} characters, 2000 are allowed" in second
    assert "earlier version" not in first


REFUSED = {
    "too long": (answer(LONG), {}, f"length: part 1: {len(LONG)} characters, 2000 are allowed"),
    "the guard": (
        answer("a giveaway"), {"guard": Guard(forbidden=("giveaway",))}, "forbidden words: "
    ),
    "a foreign link": (
        answer("see https://evil.example"), {}, "it links to evil.example, the post does not"
    ),
    "nothing": (answer(" "), {}, "content: there is no text"),
    "everyone": (answer("hi @everyone"), {}, "mentions: @everyone"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_will_not_do_twice_is_held_with_the_reason(db, run, posting, gemini, what):
    said, rules, why = REFUSED[what]
    posting.change("news", **rules)
    post = approved(db, LONG)
    gemini.responder = lambda _: said

    report = run()

    assert [one.state for one in report.adapted] == ["held"]
    assert rendition(db)[0] == "held"
    assert rendition(db)[2].startswith(why)
    assert len(gemini.calls) == 2
    posting()
    state, attempts, _ = delivery_of(db, post, "news")
    assert (state, attempts) == ("held", 0)
    [[note]] = db.execute("SELECT last_error FROM deliveries").fetchall()
    assert why in note

    renditions.edit(db, post, "news", text=SHORT, by="ann")
    assert delivery_of(db, post, "news")[0] == "pending"
    assert [one.state for one in posting(ignoring_rhythm=True).results] == ["posted"]
    assert len(gemini.calls) == 2


def test_where_a_thread_is_allowed_it_stands_in_for_what_could_not_be_adapted(
    db, run, posting, gemini
):
    posting.change("news", too_long="split")
    post = approved(db, LONG)
    gemini.responder = lambda _: answer(LONG)

    run()

    posting()
    assert delivery_of(db, post, "news")[0] == "posted"


def test_a_rendition_may_be_parts(db, run, posting, gemini):
    approved(db, LONG)
    gemini.responder = lambda _: {"text_content": "", "parts": ["one", "two"]}

    run()

    parts = db.execute("SELECT text_content, parts FROM renditions").fetchone()
    assert parts == ("one\n\n---\n\ntwo", ["one", "two"])


def test_a_narrative_may_answer_with_the_bare_text(db, run, posting, gemini, stages):
    stages.write(
        '[narrative]\nname = "own"\n[toc]\norder = ["say"]\n[acts]\nsay = "Say {{text}} in a word"',
        "own.toml",
    )
    posting.change("news", adapt="own")
    approved(db, LONG)
    gemini.responder = lambda _: "word"

    assert run().problems == ()

    assert rendition(db)[:2] == ("ready", "word")


def test_an_edited_post_is_adapted_anew(db, run, posting, gemini):
    post = approved(db, LONG)
    gemini.responder = lambda _: answer(SHORT)
    run()
    db.execute("UPDATE approved_discord_posts SET text_content = text_content || 'More. '")
    assert posting.context.open(posting.config.destinations["news"]).content(post).rendition == ""

    gemini.responder = lambda _: answer("Another.")
    run()

    assert rendition(db)[:2] == ("ready", "Another.")
    assert (
        posting.context.open(posting.config.destinations["news"]).content(post).text == "Another."
    )


def test_what_a_person_writes_is_kept(db, run, gemini):
    post = approved(db, LONG)
    renditions.edit(db, post, "news", text="By hand\n---\nin two", by="ann")

    assert run().adapted == ()
    assert db.execute("SELECT parts, decided_by FROM renditions").fetchone() == (
        ["By hand", "in two"], "ann",
    )  # fmt: skip
    assert renditions.text_for(db, post, "news") == "By hand\n---\nin two"
    assert not gemini.calls


def test_what_is_out_is_not_adapted_by_hand(db, posting):
    post = approved(db, "fits")
    posting()

    with pytest.raises(UsageError, match="it is posted there"):
        renditions.edit(db, post, "news", text="late", by="ann")


def test_without_a_model_the_post_waits_and_the_command_says_why(db, run, gemini, stages):
    approved(db, LONG)
    gemini.script.add(*["503"] * 10)

    report = run()

    assert report.adapted == ()
    assert report.exit_code == TransientError.exit_code
    assert report.problems[0].startswith("news: ")
    assert rendition(db)[0] == "open"


def test_an_answer_is_paid_for_once_though_the_run_is_killed_before_it_is_used(
    db, run, gemini, monkeypatch
):
    approved(db, LONG)
    gemini.responder = lambda _: answer(SHORT)

    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(renditions, "settle", die)
        with pytest.raises(Killed):
            run()
    assert rendition(db)[0] == "open"
    db.execute("UPDATE locks SET expires_at = botticelli_now()")

    run()

    assert rendition(db)[:2] == ("ready", SHORT)
    assert len(gemini.calls) == 1


def test_curate_adapts_at_its_end(db, stages, posting, gemini):
    stages.config = replace(stages.config, destinations=posting.config.destinations)
    approved(db, LONG)
    gemini.responder = lambda _: answer(SHORT)

    report = curate(
        stages.context(db), drain=True, adapt=lambda c: adapt_waiting(c, posting.context.open)
    )

    assert [one.state for one in report.adapted.adapted] == ["ready"]
    assert report.calls == 1
    [[summary]] = db.execute("SELECT summary FROM runs WHERE stage = 'curate'").fetchall()
    assert summary["adapted"] == 1


def test_a_dry_run_spends_and_changes_nothing(db, run, gemini):
    post = approved(db, LONG)

    report = run(dry_run_adapt)

    assert [one.post for one in report.wanted] == [post]
    assert report.calls == 1
    assert (len(gemini.calls), rendition(db)) == (0, None)


def test_people_see_it(db, run, gemini):
    post = approved(db, LONG)
    gemini.responder = lambda _: answer(SHORT)
    run()

    [[shown]] = db.execute("SELECT botticelli_renditions(%s)", (post,)).fetchall()

    assert [(one["destination"], one["state"], one["text"]) for one in shown] == [
        ("news", "ready", SHORT)
    ]
    db.execute("UPDATE approved_discord_posts SET link = 'https://a.example'")
    [[shown]] = db.execute("SELECT botticelli_renditions(%s)", (post,)).fetchall()
    assert shown[0]["state"] == "stale"
    assert json.dumps(shown)


def test_reports_say_what_waits_to_be_adapted(db, posting):
    post = approved(db, LONG)
    posting()

    [delivery] = decisions.list_deliveries(db, post_id=post, limit=1)
    assert delivery.last_error == "it is too long there and to be adapted: `botticelli adapt`"
    assert read_status(db, posting.config, timers={}).to_adapt == {"news": 1}
    found = [one for one in doctor.cleanup_findings(db) if one.kind == "adapting"]
    assert [(one.count, one.reason) for one in found] == [(1, "news")]

    renditions.edit(db, post, "news", text=SHORT, by="ann")
    [delivery] = decisions.list_deliveries(db, post_id=post, limit=1)
    assert (delivery.text, delivery.last_error) == (SHORT, None)


def test_what_a_post_says_is_no_placeholder(db, run, gemini):
    approved(db, LONG + " {{length}} ${HOME} {{reason}}")
    gemini.responder = lambda _: answer(SHORT)

    run()

    assert "{{length}} ${HOME} {{reason}}" in gemini.calls[0].prompt


def test_retrying_its_delivery_has_a_held_rendition_made_anew(db, run, posting, gemini):
    post = approved(db, LONG)
    gemini.responder = lambda _: answer(LONG)
    run()
    posting()
    [delivery] = decisions.list_deliveries(db, post_id=post, limit=1)
    assert delivery.state == "held"

    decisions.decide(db, delivery.id, "retry", by="ann")
    gemini.responder = lambda _: answer(SHORT)
    run()

    assert rendition(db)[:2] == ("ready", SHORT)
    assert len(gemini.calls) == 3
    assert [one.state for one in posting(ignoring_rhythm=True).results] == ["posted"]
