"""Repeats in other words: what the judge is asked, what it must prove, what is left to a person."""

import json
import re

import pytest

from botticelli.stages.curate import prefilter
from botticelli.stages.curate.stage import curate
from botticelli.store.curation import reviews
from botticelli.store.curation.judging import CRITERIA
from tests.database import approved, candidate

POST = (
    "Our server went quiet every Monday morning for two years. We moved the weekly question to"
    " Sunday night and replies doubled. When does your community wake up?"
)
RETOLD = (
    "For two years Monday mornings were dead on our server. Since the weekly question is asked the"
    " evening before, twice as many members answer. At what hour is your crowd awake?"
)
OTHER = "Bake along with us on Saturday: rye, no kneading, one bowl. Photographs are welcome."


def rows_of(call):
    found = re.search(r"\[\s*\{.*?\}\s*\](?=\s)", call.prompt, re.DOTALL)
    return json.loads(found[0])


def judge(*, fresh=None, quote="", points=8):
    """A judge that answers about those that have known posts beside them."""

    def respond(call):
        scores = []
        for row in rows_of(call):
            entry = {
                "id": row["id"],
                "reasons": "r",
                **dict.fromkeys(CRITERIA, points),
                "notes": "n",
            }
            if fresh is not None:
                is_fresh = fresh or "known" not in row
                entry |= {"fresh": is_fresh, "said_before": "" if is_fresh else quote}
            scores.append(entry)
        return {"scores": scores}

    return respond


@pytest.fixture
def run(db, stages, gemini):
    stages.settings("curate", ranking=False)
    stages.settings("similarity", reworded=0.45)
    return lambda: curate(stages.context(db), drain=True)


def state(db, id_):
    [one] = reviews.find_candidates(db, [id_])
    return one.review_status, one.why


def test_the_judge_sees_what_a_candidate_may_repeat_and_nothing_beside_the_others(db, run, gemini):
    approved(db, POST)
    retold, other = candidate(db, RETOLD), candidate(db, OTHER)
    gemini.responder = judge(fresh=True)

    run()

    [call] = gemini.calls
    known = {row["text_content"]: row.get("known") for row in rows_of(call)}
    assert known == {RETOLD: [POST], OTHER: None}
    assert (state(db, retold)[0], state(db, other)[0]) == ("approved", "approved")


def test_what_the_judge_proves_to_be_said_before_is_rejected_with_the_quote(db, run, gemini):
    post = approved(db, POST)
    retold = candidate(db, RETOLD)
    gemini.responder = judge(fresh=False, quote="We moved the weekly QUESTION to Sunday night")

    report = run()

    assert report.approved == ()
    assert state(db, retold) == (
        "rejected",
        f'says again what p{post} says: "We moved the weekly QUESTION to Sunday night"',
    )


@pytest.mark.parametrize("quote", ["", "Mondays", "words that stand in no known post at all"])
def test_what_the_judge_does_not_prove_is_left_to_a_person(db, run, gemini, quote):
    post = approved(db, POST)
    retold = candidate(db, RETOLD)
    gemini.responder = judge(fresh=False, quote=quote)

    report = run()

    status, why = state(db, retold)
    assert (status, list(report.perhaps), report.rejected) == ("held", [retold], 0)
    assert why.startswith(f"perhaps a repeat of p{post}")


def test_a_judge_of_ones_own_that_does_not_say_leaves_it_to_a_person_with_both_texts(
    db, run, gemini
):
    post = approved(db, POST)
    retold = candidate(db, RETOLD)
    gemini.responder = judge()

    run()

    [one] = reviews.find_candidates(db, [retold])
    assert (one.review_status, one.repeats, one.repeats_text) == ("held", f"p{post}", POST)
    assert one.why.startswith(f"perhaps a repeat of p{post} (0.")
    reviews.decide(db, [retold], "approve", by="ada")
    assert state(db, retold)[0] == "approved"


def test_of_two_retellings_that_wait_one_is_approved(db, run, gemini):
    first, second = candidate(db, POST), candidate(db, RETOLD)
    gemini.responder = judge()

    report = run()

    assert [one.id for one in report.approved] == [first]
    assert state(db, second)[0] == "held"


def test_the_better_one_of_two_is_approved_whichever_came_first(db, run, gemini):
    first, second = candidate(db, POST), candidate(db, RETOLD)
    low, high = judge(points=7), judge(points=9)

    def respond(call):
        scores = {row["id"]: row["text_content"] for row in rows_of(call)}
        return {
            "scores": [
                next(
                    e
                    for e in (high if scores[id_] == RETOLD else low)(call)["scores"]
                    if e["id"] == id_
                )
                for id_ in scores
            ]
        }

    gemini.responder = respond

    report = run()

    assert [one.id for one in report.approved] == [second]
    assert state(db, first) == ("held", f"perhaps a repeat of c{second}: compare both")


def test_a_retelling_of_what_is_turned_down_is_approved(db, run, gemini):
    """The one that it repeats is below the threshold: nothing was said before."""
    first, second = candidate(db, POST), candidate(db, RETOLD)
    good, bad = judge(points=9), judge(points=3)

    def respond(call):
        rows = rows_of(call)
        return {
            "scores": [
                (good if row["text_content"] == RETOLD else bad)(call)["scores"][n]
                for n, row in enumerate(rows)
            ]
        }

    gemini.responder = respond

    report = run()

    assert [one.id for one in report.approved] == [second]
    assert state(db, first)[0] == "rejected"


def test_what_is_kept_in_reserve_is_not_approved_after_its_retelling(db, run, gemini, stages):
    stages.settings("curate", approve_per_run=1, reserve=5, ranking=False)
    first, second = candidate(db, POST), candidate(db, RETOLD)
    gemini.responder = judge(fresh=False, quote="moved the weekly question")

    run()
    for _ in range(2):
        run()

    assert {state(db, id_)[0] for id_ in (first, second)} == {"approved", "rejected"}


def test_without_meanings_what_shares_words_is_shown_to_the_judge(db, run, gemini, monkeypatch):
    monkeypatch.setattr(prefilter, "open_meanings", lambda: None)
    approved(db, POST)
    candidate(db, RETOLD)
    gemini.responder = judge(fresh=True)

    run()

    assert [row.get("known") for row in rows_of(gemini.calls[0])] == [[POST]]
