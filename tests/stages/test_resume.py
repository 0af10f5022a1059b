"""An item that is resumed goes on where it was, whatever its narrative runs within itself."""

import pytest

from botticelli.errors import Exit
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.store.generation import batches, executions
from botticelli.store.generation.executions import ActKey
from tests import narratives_within as within
from tests.pipeline import WRITER


@pytest.fixture
def stories(db, stages, gemini, tmp_path):
    within.write(tmp_path)
    within.fill(db, rows=9)
    gemini.responder = within.answer
    stages.settings("models", max_concurrent=1, default=(WRITER,))
    context, discord = within.with_discord(stages.context(db))

    def run():
        db.execute("DELETE FROM ledger_grants")
        db.execute("DELETE FROM ledger")
        return generate(context, request=GenerateRequest(narrative="stories.story", iterations=2))

    return run, discord


def answered(gemini):
    return [call.prompt for call in gemini.calls if call.status == 200]


@pytest.mark.slow
@pytest.mark.parametrize("call", range(within.CALLS))
def test_whatever_act_it_stops_at_nothing_is_asked_sent_stored_or_consumed_twice(
    db, stories, gemini, call
):
    run, discord = stories
    for _ in range(call):
        gemini.script.add("")
    gemini.script.add("429:day")

    stopped = run()
    resumed = run()

    assert (stopped.exit_code, resumed.exit_code) == (Exit.TRY_LATER, Exit.DONE)
    prompts = answered(gemini)
    assert len(set(prompts)) == len(prompts) == 2 * within.CALLS
    assert len(discord.calls) == 4  # once in each round of `dig`
    for name, (left, made) in within.whereabouts(db).items():
        assert made == [f"{name} {n}" for n in (1, 2, 3, 4)]
        assert left == [f"{name} {n}" for n in (5, 6, 7, 8, 9)]
    assert db.execute("SELECT count(*) FROM potential_discord_posts").fetchone() == (2,)
    nothing_is_held(db)


def test_it_asks_the_same_though_the_tables_have_changed_meanwhile(db, stories, gemini):
    run, _ = stories
    for _ in range(1):
        gemini.script.add("")
    gemini.script.add("429:day")
    run()
    db.execute("INSERT INTO ideas VALUES (-1, 'an earlier one')")

    run()

    assert "an earlier one" not in answered(gemini)[1]
    assert len(set(answered(gemini))) == len(answered(gemini))


def test_rows_that_somebody_else_took_meanwhile_are_not_consumed_twice(db, stories, gemini):
    run, _ = stories
    gemini.script.add("")
    gemini.script.add("429:day")
    run()
    db.execute("DELETE FROM ideas WHERE id = 1")  # what it had read is gone

    report = run()

    assert report.exit_code == Exit.DONE
    left, made = within.whereabouts(db)["ideas"]
    assert made == [f"ideas {n}" for n in (2, 3, 4, 5)]
    assert left == [f"ideas {n}" for n in (6, 7, 8, 9)]


def nothing_is_held(db):
    for table in ("item_memory", "row_leases"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_an_item_that_fails_for_good_holds_nothing_back(db, stories, gemini):
    run, _ = stories
    gemini.responder = lambda call: "no JSON" if "as JSON" in call.prompt[-40:] else "thoughts"

    report = run()

    assert report.failed == 2
    nothing_is_held(db)
    assert within.whereabouts(db)["ideas"] == ([f"ideas {n}" for n in range(1, 10)], [])


def test_a_batch_that_is_given_up_holds_nothing_back(db, stories, gemini):
    run, _ = stories
    gemini.script.add("")
    gemini.script.add("429:day")
    run()
    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (1,)

    assert batches.abandon(db, "stories.story") == 2
    nothing_is_held(db)


def test_a_narrative_within_is_known_by_its_place_not_by_its_name(db, stories):
    run, _ = stories
    run()

    places = db.execute(
        "SELECT DISTINCT place FROM act_executions WHERE item_id = (SELECT min(id) FROM"
        " generation_items) ORDER BY 1"
    ).fetchall()

    assert [place for (place,) in places] == [
        "", "1/dig#1/", "1/dig#2/", "2.0/aside#1/", "2.0/aside#2/",
    ]  # fmt: skip
    [(item_id, digest)] = db.execute(
        "SELECT item_id, inputs_digest FROM act_executions WHERE place = '1/dig#1/'"
        " AND act_name = 'look' ORDER BY id LIMIT 1"
    ).fetchall()
    key = {"item_id": item_id, "narrative": "", "act_name": "", "sequence_number": 1}
    found = {
        place: executions.find_finished(db, ActKey(**key, place=place), digest=digest)
        for place in ("", "1/dig#1/", "1/dig#2/")
    }
    assert [place for place, each in found.items() if each] == ["1/dig#1/"]
