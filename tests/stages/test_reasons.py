"""Every rejection has a reason, and so has a run that did nothing."""

import pytest
from psycopg.types.json import Jsonb

from botticelli.stages.curate.approval_choice import choose_approvals
from botticelli.stages.curate.judge import Judge, find_judge
from botticelli.stages.curate.stage import curate
from botticelli.store.curation import reviews
from tests.database import approved, candidate
from tests.stages.test_selection import TEXTS, judge

LONG = "A lantern for the long way home, and a map of every bench on it"


@pytest.fixture
def choose(db, stages):
    """Choose among what is judged; return id -> why it is where it is."""

    def run(**settings):
        stages.settings("curate", ranking=False, **settings)
        db.execute("UPDATE potential_discord_posts SET judged_at = now()")
        context = stages.context(db)
        file, narrative = find_judge(context.config, cwd=context.cwd)
        choose_approvals(Judge(context=context, file=file, narrative=narrative))
        ids = [row[0] for row in db.execute("SELECT id FROM potential_discord_posts").fetchall()]
        return {one.id: one.why for one in reviews.find_candidates(db, ids)}

    return run


def scored(db, text, score, **columns):
    return candidate(db, text, curation_score=score, **columns)


def test_each_outcome_of_the_choice_says_why(db, choose):
    post = approved(db, LONG)
    best, second, third, low = (
        scored(db, text, score, source_narrative="n")
        for text, score in zip(TEXTS[:4], (45, 44, 43, 20), strict=True)
    )
    repeat = scored(db, LONG + "!", 42, source_narrative="m")
    copy = scored(db, TEXTS[0] + ".", 41, source_narrative="o")
    failed = scored(db, TEXTS[5], 40, judging=Jsonb({"fails": ["clean"]}))

    why = choose(approve_per_run=1, reserve=1, require_checks=True)

    assert why == {
        best: "chosen: place 1 of 5",
        second: "kept in reserve: place 2 of 5",
        third: "not among the best 1: place 3 of 5",
        repeat: f"nearly repeats p{post} (1.00)",
        copy: f"nearly repeats c{best} (1.00)",
        low: "below the threshold of 35 of 50",
        failed: 'the judge answered no: ["clean"]',
    }


def test_a_second_one_of_a_kind_gives_way_and_says_so(db, choose):
    first, second, other = (
        scored(db, text, score, source_narrative=name)
        for text, score, name in zip(TEXTS[:3], (45, 44, 43), ("tips", "tips", "news"), strict=True)
    )

    why = choose(approve_per_run=2, reserve=0)

    assert why[second] == "place 2 of 3, but another one of 'tips' was chosen"
    assert [why[one][:7] for one in (first, other)] == ["chosen:"] * 2


def test_what_never_reached_the_judge_says_why(db, stages, gemini):
    gemini.responder = judge()
    first = candidate(db, TEXTS[0])
    again, empty = candidate(db, TEXTS[0]), candidate(db, " ")

    report = curate(stages.context(db), drain=True)

    found = reviews.find_candidates(db, [again, empty])
    assert [one.why for one in found] == [f"repeats c{first}", "has no text"]
    assert report.set_aside == 2


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "no candidate is pending"),
        (
            {"review_status": "held"},
            "no candidate is pending (1 held for you: `botticelli review`)",
        ),
        ({"review_status": "judging", "lease": True}, "another run is judging 1 candidate"),
    ],
)
def test_a_run_that_did_nothing_says_why(db, stages, state, words):
    if state:
        id_ = candidate(db, TEXTS[0], review_status=state["review_status"])
        if "lease" in state:
            db.execute(
                "UPDATE potential_discord_posts SET lease_owner = 'x',"
                " lease_expires_at = now() + '1 h' WHERE id = %s",
                (id_,),
            )

    report = curate(stages.context(db), drain=True)

    assert report.idle == words


def test_a_judge_whose_answers_are_refused_is_not_nothing_to_do(db, stages, gemini):
    """A word is not believed; "no candidate is pending" would be a lie."""
    gemini.responder = judge("eight")
    id_ = candidate(db, TEXTS[0])

    report = curate(stages.context(db), drain=True)

    assert report.idle == ""
    assert "has no number for engagement" in report.missing[id_]
    [found] = reviews.find_candidates(db, [id_])
    assert "has no number for engagement" in found.why


def test_the_reasons_are_in_the_report_and_in_the_row(db, stages, gemini):
    gemini.responder = judge(5)
    ids = [candidate(db, text) for text in TEXTS[:2]]

    report = curate(stages.context(db), drain=True)

    why = "25 of 50, below the threshold of 35 of 50"
    assert dict(report.rejections) == dict.fromkeys(ids, why)
    query = "SELECT DISTINCT decision_reason FROM potential_discord_posts"
    assert db.execute(query).fetchall() == [("below the threshold of 35 of 50",)]
