"""`botticelli budget` and `botticelli models` as a user meets them."""

import json
import random
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from botticelli.config.model import Config, DatabaseConfig, Limits, Models, Multipliers
from botticelli.config.secrets import Secret
from botticelli.errors import TryLater
from botticelli.models.base import Message, Part, Request
from botticelli.narrative.answers.caller import LiveCaller
from botticelli.store.curation.judging import CRITERIA
from botticelli.store.generation.executions import ActKey
from botticelli.store.leases import Identity
from tests.clock import PinnedClock, pin

LITE = "gemini-3.5-flash-lite"


@pytest.fixture
def house(botticelli, db_url, gemini, tmp_path):
    """The command line with a pinned clock, this database and this server."""
    botticelli.clock = PinnedClock()
    botticelli.config = Config(
        database=DatabaseConfig(url=db_url, folder=tmp_path),
        models=Models(
            gemini_key=Secret("test-key"),
            gemini_base_url=gemini.url,
            limits={LITE: Limits(rpm=10, tpm=1000, rpd=100)},
        ),
        budget=Multipliers(rpm=0.8, tpm=0.5, rpd=1),
    )
    return botticelli


def ask(db, house):
    LiveCaller(
        pin(db, house.clock),
        models=house.config.models,
        budget=house.config.budget,
        identity=Identity(host="h", pid=1, owner="o"),
        clock=house.clock,
        chance=random.Random(1),
    ).ask(
        Request(model="", messages=(Message(role="user", parts=(Part(text="Hello?"),)),)),
        models=[LITE],
        key=ActKey(narrative="n", act_name="a", sequence_number=0),
    )


def test_budget_tells_what_is_used_and_left_and_when_it_is_free(db, house):
    ask(db, house)
    house.clock.advance(timedelta(seconds=10))

    report = json.loads(house("budget --json").out)

    writer, judge = report["models"]
    assert (writer["model"], judge["model"]) == (LITE, "gemini-3.8-flash")
    assert writer["minute_requests"] == {"used": 1, "reserved": 0, "allowed": 8, "left": 7}
    assert writer["minute_tokens"]["allowed"] == 500
    assert writer["day_requests"]["left"] == 99
    assert writer["window_frees_at"] == "2026-11-24T12:01:01+00:00"
    assert writer["day_ends_at"] == "2026-11-25T08:00:00+00:00"
    assert report["cost_today_usd"] == report["cost_month_usd"] > 0
    assert report["today"][0]["calls"] == 1


def test_nothing_is_left_of_a_day_that_a_429_has_closed(db, house, gemini):
    gemini.script.add("429:day")
    with pytest.raises(TryLater):
        ask(db, house)

    writer, _ = json.loads(house("budget --json").out)["models"]

    assert (writer["held_why"], writer["day_requests"]["left"]) == ("day", 0)
    assert writer["minute_requests"]["left"] > 0


def test_budget_tells_where_the_spend_limit_stands(db, house):
    house.config = replace(house.config, models=replace(house.config.models, spend_limit=0.5))
    ask(db, house)
    house.clock.advance(timedelta(seconds=10))

    (spend,) = json.loads(house("budget --json").out)["spend"]
    text = house("budget").out

    assert spend["provider"] == "gemini"
    assert 0 < spend["used"] < 0.01
    assert spend["left"] == pytest.approx(0.5 - spend["used"])
    assert spend["frees_at"] == "2026-11-24T12:10:01+00:00"
    assert "of $0.50 within 10 minutes" in text


def test_budget_tells_the_share_of_cached_tokens_and_bills_them_as_cached(db, house, gemini):
    usage = {"promptTokenCount": 1000, "cachedContentTokenCount": 750, "candidatesTokenCount": 10}
    answer = {"content": {"role": "model", "parts": [{"text": "Yes."}]}, "finishReason": "STOP"}
    gemini.responder = lambda _call: {"candidates": [answer], "usageMetadata": usage}
    ask(db, house)

    report = json.loads(house("budget --json").out)

    assert report["today"][0]["cached_tokens"] == 750
    assert report["cached_share_today"] == report["cached_share_month"] == 0.75
    # $0.30 for a million tokens, a tenth for cached ones, $2.50 for output
    assert report["cost_today_usd"] == pytest.approx((250 * 0.3 + 750 * 0.03 + 10 * 2.5) / 1e6)
    assert "(1 call, 75% of the input cached)" in house("budget").out


def test_budget_is_readable_before_anything_was_asked(house):
    ended = house("budget")

    assert ended.code == 0
    assert LITE in ended.out
    assert "cost today $0.0000 (0 calls)" in ended.out


def test_models_are_listed_with_limits_prices_and_fate(house):
    report = json.loads(house("models list --json").out)
    text = house("models list").out

    by_name = {model["name"]: model for model in report["models"]}
    assert by_name[LITE]["use"] == "writes"
    assert by_name[LITE]["limits"]["rpm"] == 10
    assert by_name[LITE]["price"]["output"] == 2.5
    assert by_name["gemini-2.5-flash"]["becomes_on"] == "2026-12-01"
    assert "gemini-3.8-flash from 2026-12-01" in text


def test_a_model_is_tried_with_one_counted_call(db, house, gemini):
    ended = house(f"models test {LITE}")

    assert ended.code == 0, ended.err
    assert LITE in ended.out
    assert len(gemini.calls) == 1
    assert db.execute("SELECT count(*) FROM ledger_grants").fetchone() == (1,)


def test_a_family_without_a_driver_is_told_before_anything_starts(house):
    ended = house("models test claude-sonnet-5")

    assert ended.code == 78
    assert "no driver for this family" in ended.err


def test_only_known_models_can_be_pulled(house):
    ended = house("models pull everything")

    assert ended.code == 2
    assert "smollm2" in ended.err


BAD = ("AMAZING", "Sure!", "important", "As an AI", "lol ok")
SEES_ALL = 1_000_000


def judging(*, good=8, bad=3, window=SEES_ALL, scores=None):
    """A responder that judges planted posts, of a server that reads that many last characters."""

    def respond(call):
        prompt = call.prompt[-window:]
        if "scores" not in json.dumps(call.body["generationConfig"]):
            return {"word": "periwinkle" if "PERIWINKLE" in prompt else "none"}
        if scores is not None:
            return scores
        rows = json.loads(re.search(r"\[\s*\{.*?\}\s*\](?=\s)", call.prompt, re.DOTALL)[0])
        entries = []
        for row in rows:
            is_bad = any(word in row["text_content"] for word in BAD)
            points = dict.fromkeys(CRITERIA, bad if is_bad else good)
            checks = dict.fromkeys(["answerable", "one_idea", "usable", "personal", "clean"], True)
            entries.append({"id": row["id"], "reasons": "r", "notes": "n", **points, **checks})
        return {"scores": entries}

    return respond


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (judging(), []),
        (judging(good=6, bad=6), ["does not tell good from bad: right in 0 of 5 pairs"]),
        (judging(good=3, bad=8), ["does not tell good from bad: right in 0 of 5 pairs"]),
        (judging(window=4000), ["does not see the beginning of a batch of 10"]),
        (judging(scores={"scores": []}), ["does not fit the schema: one entry is missing"]),
        (judging(scores="I like them all."), ["does not fit the schema"]),
        (
            judging(good=5, bad=5, window=4000),
            ["does not tell good from bad", "does not see the beginning"],
        ),
    ],
)
def test_a_model_shows_whether_it_can_judge(db, house, gemini, judge, words):
    gemini.responder = judge
    house.config = replace(house.config, models=replace(house.config.models, limits={}))

    ended = house(f"models test --judge {LITE} --json")

    report = json.loads(ended.out)
    assert ended.code == bool(words), ended.err
    assert len(report["problems"]) == len(words), report
    for word, problem in zip(words, report["problems"], strict=True):
        assert word in problem
    calls = len(gemini.calls)
    assert calls >= 2
    assert db.execute("SELECT count(*) FROM ledger_grants").fetchone() == (calls,)
    assert db.execute("SELECT count(*) FROM potential_discord_posts").fetchone() == (0,)


def test_the_verdict_on_a_judge_is_plain(db, house, gemini):
    gemini.responder = judging()

    ended = house("models test --judge")

    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "gemini-3.8-flash can judge"
    assert "the good one ahead in 5 of 5 pairs, by 25 of 50" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 110


def test_the_offline_model_is_no_judge(house):
    ended = house("models test offline --judge")

    assert ended.code == 1
    assert "offline is not fit to judge" in ended.out


def test_a_trial_without_a_model_is_told_how(house):
    ended = house("models test")

    assert ended.code == 2
    assert "--judge" in ended.err
