"""The end of a curate run: ties, reserves, proposals."""

from collections import Counter

import pytest

from botticelli.stages.curate.stage import curate
from botticelli.store.curation.judging import CRITERIA
from tests.database import candidate

TEXTS = (
    "amber mosaic anvil", "birch nectar bellows", "cedar opal chisel", "delta pebble dowel",
    "ember quartz easel", "flint raven funnel", "grove saffron gimlet", "heron thistle hammer",
    "indigo umber ladle", "juniper violet mallet", "kelp willow needle", "larch yarrow oar",
)  # fmt: skip


def ids_in(call):
    schema = call.schema["properties"]
    if "order" in schema:
        return schema["order"]["items"]["enum"]
    return schema["scores"]["items"]["properties"]["id"]["enum"]


def judge(points=8, *, order=None):
    """A judge that gives everybody the same, and puts them in order by `order`."""

    def respond(call):
        if "order" in call.schema["properties"]:
            return {"order": sorted(ids_in(call), key=order)}
        return {
            "scores": [
                {"id": id_, "reasons": "r", **dict.fromkeys(CRITERIA, points), "notes": "n"}
                for id_ in ids_in(call)
            ]
        }

    return respond


@pytest.fixture
def run(db, stages, gemini, plain_codes):
    gemini.responder = judge(order=lambda id_: -int(id_))
    stages.settings("curate", batch=20)
    return lambda: curate(stages.context(db), drain=True)


@pytest.fixture
def pending(db):
    return [candidate(db, text, source_narrative=f"n{n}") for n, text in enumerate(TEXTS)]


def statuses(db):
    query = "SELECT review_status FROM potential_discord_posts"
    return Counter(row[0] for row in db.execute(query).fetchall())


def asked(gemini):
    return Counter("order" in call.schema["properties"] for call in gemini.calls)


def test_the_judge_puts_many_equals_in_order(db, run, gemini, pending):
    report = run()

    assert [one.id for one in report.approved] == pending[:-4:-1]
    assert (report.ranked, asked(gemini)) == (12, {False: 1, True: 6})
    query = "SELECT judging->'place' FROM potential_discord_posts WHERE id = %s"
    assert db.execute(query, (pending[-1],)).fetchone() == (1,)


def test_a_ranking_shows_texts_only(db, run, gemini, pending):
    run()

    [*_, call] = gemini.calls
    assert "anvil" in call.prompt or "oar" in call.prompt
    assert "n0" not in call.prompt


def test_few_equals_cost_nothing_more(db, run, gemini):
    for text in TEXTS[:7]:
        candidate(db, text)

    report = run()

    assert (report.ranked, report.calls) == (0, 1)


def test_scores_that_decide_need_no_ranking(run, gemini, pending):
    best = {str(id_) for id_ in pending[4:7]}

    def respond(call):
        return {
            "scores": [
                {
                    "id": id_,
                    "reasons": "r",
                    **dict.fromkeys(CRITERIA, 9 if id_ in best else 8),
                    "notes": "n",
                }
                for id_ in ids_in(call)
            ]
        }

    gemini.responder = respond

    report = run()

    assert {str(one.id) for one in report.approved} == best
    assert (report.ranked, report.calls) == (0, 1)


def test_ranking_may_be_turned_off(run, gemini, stages, pending):
    stages.settings("curate", ranking=False)

    assert run().calls == 1


def test_a_judge_without_a_usable_order_leaves_the_older_ones(run, gemini, stages, pending):
    gemini.responder = lambda call: (
        {"order": []} if "order" in call.schema["properties"] else judge()(call)
    )

    report = run()

    assert [one.id for one in report.approved] == pending[:3]
    assert any("a ranking is left out" in line for line in stages.said)


def test_the_reserve_waits_for_a_run_in_which_nothing_passes(db, run, gemini, stages, pending):
    stages.settings("curate", ranking=False, reserve=2)
    first = run()
    after_first = statuses(db)
    gemini.responder = judge(5)
    candidate(db, "something quite poor about oxen")

    second = run()

    assert (first.reserved, after_first) == (2, {"approved": 3, "pending": 2, "rejected": 7})
    assert [one.id for one in second.approved] == pending[3:5]
    assert second.reserved == 0


def test_the_reserve_does_not_compete_with_what_is_new(db, run, gemini, stages, pending):
    stages.settings("curate", ranking=False, reserve=2, approve_per_run=1)
    run()
    gemini.responder = judge(7)
    new = candidate(db, "something quite new about oxen")

    second = run()

    assert [one.id for one in second.approved] == [new]
    assert second.reserved == 2


def test_with_a_person_in_charge_the_best_are_proposed_and_nothing_is_approved(
    db, run, stages, pending
):
    stages.settings("curate", ranking=False, mode="human")

    report = run()

    assert [one.id for one in report.proposed] == pending[:3]
    assert (report.approved, report.rejected) == ((), 9)
    assert statuses(db) == {"held": 3, "rejected": 9}
    assert db.execute("SELECT count(*) FROM approved_discord_posts").fetchone() == (0,)
    query = (
        "SELECT judging->'proposed', decided_by FROM potential_discord_posts"
        " WHERE review_status = 'held' ORDER BY id"
    )
    assert db.execute(query).fetchall() == [(1, None), (2, None), (3, None)]
