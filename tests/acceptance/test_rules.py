"""House rules and the judge against people, as a user meets them."""

import json
from pathlib import Path

import pytest

from botticelli.agreement import spearman
from botticelli.reports.judge_agreement import judge_agreement
from botticelli.store.curation import house_rules, reviews
from tests.database import candidate
from tests.pipeline import JUDGE

CRITERIA = ("engagement", "clarity", "value", "tone", "polish")


def judged(db, total, *, decision, edited=False, **points):
    """Insert a judged candidate that a person has decided about."""
    given = {f"score_{name}": points.get(name, 5) for name in CRITERIA}
    id_ = candidate(
        db,
        f"worth {total}",
        judged_at="2026-01-01",
        judge_model=JUDGE,
        curation_score=total,
        **given,
    )
    if edited:
        reviews.edit(db, id_, text=f"now worth {total}", by="ada")
    reviews.decide(db, [id_], decision, by="ada")


class TestRules:
    def test_a_rule_is_added_edited_and_dropped(self, botticelli, db):
        assert "no house rules" in botticelli("rules").out
        assert "version 1" in botticelli(["rules", "add", "No hype."]).out
        assert botticelli(["rules", "edit", "1", "No hype, no praise.", "--by", "Bo"]).code == 0
        listed = json.loads(botticelli("rules list --json").out)
        assert listed["version"] == 2
        assert [(one["text"], one["decided_by"], one["since"]) for one in listed["rules"]] == [
            ("No hype, no praise.", "Bo", 2)
        ]
        assert botticelli("rules drop 2").code == 0
        everything = json.loads(botticelli("rules list --all --json").out)["rules"]
        assert [one["state"] for one in everything] == ["dropped", "dropped"]
        assert house_rules.current(db).text == ""

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            ("rules accept 9", "there is no rule 9"),
            (["rules", "add", " "], "a rule has 1 to 300 characters"),
            ("rules review", "nobody is there to decide"),
            ("rules show 9", "there is no rule 9"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, botticelli, db, words, why):
        ended = botticelli(words)

        assert ended.code == 2
        assert why in ended.err

    def test_the_effect_of_a_rule_is_said_from_ten_decisions_on(self, botticelli, db):
        botticelli(["rules", "add", "No hype."])
        old = [candidate(db, f"old {n}") for n in range(10)]
        new = [candidate(db, f"new {n}", rules_version=1) for n in range(10)]
        reviews.decide(db, [*old[:4], *new[:8]], "approve", by="ada")
        reviews.decide(db, [*old[4:], *new[8:9]], "reject", by="ada")
        assert "not enough data (9 of 10" in botticelli("rules").out
        reviews.decide(db, new[9:], "reject", by="ada")

        [rule] = json.loads(botticelli("rules list --json").out)["rules"]

        assert rule["approval"] == pytest.approx(
            {"value": 0.8, "low": 0.490162, "high": 0.943318, "n": 10}, abs=1e-6
        )
        assert rule["approval_before"]["value"] == 0.4
        shown = botticelli("rules").out
        assert "40% (17% to 69%, n = 10)" in shown
        assert "80% (49% to 94%, n = 10)" in shown

    def test_learn_says_what_is_missing_and_looking_writes_nothing(self, botticelli, db):
        assert "not enough data (0 of 5 new" in botticelli("learn --dry-run").out
        ids = [candidate(db, f"Buy our {n} things now") for n in range(5)]
        reviews.decide(db, ids, "reject", by="ada", note="an ad, not a post")

        ended = botticelli("learn --dry-run")

        assert "5 cases" in ended.out
        assert "1 call" in ended.out
        assert db.execute("SELECT count(*) FROM lessons").fetchone() == (0,)


class TestJudgeAgainstPeople:
    def test_too_few_decisions_are_an_answer(self, db):
        for total in range(7):
            judged(db, total, decision="approve")
        assert judge_agreement(db).reason == "not enough data (7 of 20 decisions)"
        for total in range(13):
            judged(db, total, decision="approve")
        assert judge_agreement(db).reason == "not enough data: all 20 were approved as it was"

    def test_a_judge_that_people_agree_with_is_told_from_one_by_chance(self, db):
        for number in range(60):
            good = number % 3 > 0
            judged(
                db,
                30 + number % 3 * 5,
                decision="approve" if good else "reject",
                edited=number % 3 == 1,
                value=3 + number % 3,
                tone=9 - number % 3,
                polish=5 + number // 3 % 2,
            )

        found = judge_agreement(db)

        assert [*found.labels.values()] == [20, 20, 20]
        assert found.kappa.value == found.rank.value == 1
        assert {one.name: one.verdict for one in found.criteria} == {
            "engagement": "nothing",
            "clarity": "nothing",
            "value": "predicts",
            "tone": "misleads",
            "polish": "nothing",
        }
        assert [one.rank.n for one in found.periods] == [20, 20, 20]
        assert found.drift == ""

    def test_a_judge_that_has_turned_shows_as_drift(self, db):
        for number in range(80):
            good = number % 2 == 0 if number < 60 else number % 4 < 2
            judged(db, 40 - number % 2 * 10, decision="approve" if good else "reject")

        found = judge_agreement(db)

        assert found.drift.startswith("it agrees less than before: 0.00")

    def test_the_figures_are_those_of_the_rows(self, db):
        for number in range(40):
            judged(db, number * 7 % 50, decision="approve" if number * 3 % 5 > 1 else "reject")

        rows = db.execute(
            "SELECT curation_score::float8, CASE review_status WHEN 'rejected' THEN 0 ELSE 2 END"
            "  FROM potential_discord_posts ORDER BY decided_at, id"
        ).fetchall()
        found = judge_agreement(db)

        assert found.rank == spearman([total for total, _ in rows], [label for _, label in rows])
        assert found.kappa.n == 40


def sql_of(heading):
    """Return the statement below a heading of docs/learning.md."""
    page = (Path(__file__).parents[2] / "docs/learning.md").read_text(encoding="utf-8")
    return page.partition(f"## {heading}\n")[2].partition("```sql\n")[2].partition("```")[0]


def test_the_sql_of_the_page_says_what_the_commands_say(botticelli, db):
    house_rules.decide(db, 0, "edit", by="ada", text="No hype.")
    for number in range(40):
        decision = "approve" if number * 3 % 5 > 1 else "reject"
        judged(db, number * 7 % 23, decision=decision, edited=number % 4 == 0)
    db.execute("UPDATE potential_discord_posts SET rules_version = 1 WHERE id % 40 > 25")

    n, rank, weighted = db.execute(sql_of("The judge against people")).fetchone()
    [(_, under, approved, before)] = db.execute(sql_of("House rules")).fetchall()

    found = judge_agreement(db)
    assert (n, float(rank), float(weighted)) == pytest.approx(
        (found.decisions, found.rank.value, found.kappa.value)
    )
    [rule] = json.loads(botticelli("rules list --json").out)["rules"]
    assert (under, float(approved)) == pytest.approx(
        (rule["approval"]["n"], rule["approval"]["value"])
    )
    assert float(before) == pytest.approx(rule["approval_before"]["value"])
