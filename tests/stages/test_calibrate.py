"""Calibration: judges over loopback, compared with what people decided; nothing is paid twice."""

import re

import pytest

from botticelli.errors import ConfigError
from botticelli.stages.curate.calibrate import calibrate, dry_run_calibrate
from botticelli.stages.curate.rubric import read_answer
from botticelli.stages.curate.stage import curate
from botticelli.store.curation import reviews
from botticelli.store.curation.judging import CRITERIA
from tests.database import candidate
from tests.pipeline import JUDGE, WRITER

WORTH = re.compile(r'"id": "(\d+)",\s*"text_content": "worth (\d+)')


def wise(call):
    """Every text says what it is worth."""
    entries = [
        {"id": code, "reasons": "r", **dict.fromkeys(CRITERIA, int(worth)), "notes": "n"}
        for code, worth in WORTH.findall(call.prompt)
    ]
    return {"scores": entries}


def foolish(call):
    """And this one says the contrary."""
    found = wise(call)
    for each in found["scores"]:
        each |= {name: 10 - each[name] for name in CRITERIA}
    return found


@pytest.fixture
def decided(db):
    """Thirty decisions; the judge of that time knew nothing."""
    for number in range(30):
        worth = 2 + number % 3 * 3
        id_ = candidate(
            db, f"worth {worth}, as number {number} of all", curation_score=20 + number * 7 % 20,
            judged_at="2026-01-01", judge_model=WRITER,
        )  # fmt: skip
        if worth == 5:
            reviews.edit(db, id_, text=f"edited {number}", by="ada")
        reviews.decide(db, [id_], "approve" if worth > 2 else "reject", by="ada")


@pytest.fixture
def run(db, stages):
    stages.settings("curate", batch=10)
    return lambda *models, prompts=(): calibrate(stages.context(db), models=models, prompts=prompts)


@pytest.fixture
def broken_off(db, monkeypatch):
    """Break a calibration off after so many answers, the last one stored and not read."""

    def broken_off(answers, run):
        left = [*range(answers)]
        with monkeypatch.context() as patch:
            patch.setattr(
                "botticelli.stages.curate.calibrate.read_answer",
                lambda *given, **more: (left.pop() and read_answer(*given, **more)) or 1 / 0,
            )
            with pytest.raises(ZeroDivisionError):
                run(JUDGE)
        db.execute("DELETE FROM locks")

    return broken_off


def verdicts(db):
    return db.execute(
        "SELECT id, review_status, curation_score, judging, judge_model, judged_at, history, fence"
        "  FROM potential_discord_posts ORDER BY id"
    ).fetchall()


def test_the_better_judge_comes_first_and_no_verdict_is_written(db, decided, run, gemini):
    gemini.responder = lambda call: wise(call) if call.model == JUDGE else foolish(call)
    before = verdicts(db)

    report = run(WRITER, JUDGE)

    assert [one.model for one in report.judges] == [JUDGE, "as judged then", WRITER]
    best, then, worst = report.judges
    assert (best.scored, best.kappa.value, best.rank.value) == (30, 1, pytest.approx(1))
    assert worst.rank.value == pytest.approx(-1)
    assert -0.5 < then.rank.value < 0.5
    assert (best.clearly, then.clearly, worst.clearly) == ("better", "", "worse")
    assert report.calls == 6
    assert best.cost_usd > worst.cost_usd > 0
    assert verdicts(db) == before


def test_what_was_answered_is_not_paid_for_again(db, decided, run, gemini, broken_off):
    gemini.responder = wise
    broken_off(2, run)

    report = run(JUDGE)

    assert report.judges[0].rank.value == pytest.approx(1)
    assert report.calls == 1
    assert len(gemini.calls) == 3
    assert run(JUDGE).calls == 0
    assert db.execute(
        "SELECT count(*) - count(DISTINCT (place, inputs_digest)) FROM model_calls"
        " WHERE state = 'done'"
    ).fetchone() == (0,)


def test_who_is_missing_is_asked_for_once_more(db, decided, run, gemini):
    gemini.responder = lambda call: {"scores": wise(call)["scores"][1:]}

    report = run(JUDGE)

    found = next(one for one in report.judges if one.model == JUDGE)
    assert (found.scored, report.calls) == (27, 6)


def test_a_prompt_is_tried_by_its_file(db, decided, run, stages, gemini):
    gemini.responder = wise
    stages.write(
        """
        [narrative]
        name = "strict"
        description = "d"
        toc = ["score"]
        [acts.score]
        schema = "scores"
        input = ["Be strict.", "tables.candidates"]
        [schemas.scores]
        type = "object"
        [schemas.scores.properties.scores]
        type = "array"
        [schemas.scores.properties.scores.items]
        type = "object"
        [schemas.scores.properties.scores.items.properties.id]
        type = "string"
        [tables.candidates]
        table_name = "potential_discord_posts"
        format = "json"
        """,
        "strict.toml",
    )

    report = run(prompts=("strict.toml", "curate_and_approve"))

    assert {one.prompt for one in report.judges} == {"", "strict.toml", "curate_and_approve"}
    assert sum("Be strict." in call.prompt for call in gemini.calls) == 3
    with pytest.raises(ConfigError):
        run(prompts=("nowhere.toml",))


def test_a_judge_that_refuses_costs_the_others_nothing(db, decided, run, gemini):
    gemini.responder = lambda call: wise(call) if call.model == JUDGE else "I would rather not."

    report = run(WRITER, JUDGE)

    assert report.judges[0].rank.value == pytest.approx(1)
    assert "JSON" in report.judges[-1].problem
    asked = len(gemini.calls)
    with pytest.raises(ConfigError, match="nothing is known about this model"):
        run(JUDGE, "no-such-model-at-all")
    assert len(gemini.calls) == asked


def test_too_few_decisions_are_an_answer(db, run, gemini):
    for number in range(7):
        reviews.decide(db, [candidate(db, f"worth {number}")], "approve", by="ada")

    assert run(JUDGE).idle == "not enough data (7 of 20 decisions)"
    assert not gemini.calls


def test_the_dry_run_says_calls_and_price(db, decided, stages, gemini):
    stages.settings("curate", batch=10)

    dry = dry_run_calibrate(stages.context(db), models=(JUDGE, WRITER), prompts=())

    assert (dry.cases, dry.calls) == (30, 6)
    assert dry.cents > 0
    assert not gemini.calls


@pytest.mark.usefixtures("decided")
def test_curate_never_takes_an_answer_of_a_calibration_for_its_own(
    db, run, stages, gemini, broken_off
):
    gemini.responder = wise
    broken_off(1, run)
    db.execute(
        "UPDATE potential_discord_posts SET review_status = 'pending', judged_at = NULL,"
        " judging = '{}', text_content = 'worth 2, as number 0 of all' WHERE id = 1"
    )
    gemini.responder = lambda call: {"scores": []}
    before = len(gemini.calls)

    curate(stages.context(db), drain=False)

    assert len(gemini.calls) > before
    assert db.execute("SELECT judged_at FROM potential_discord_posts WHERE id = 1").fetchone() == (
        None,
    )
