"""Which limits hold, and who says so: behind a gateway, in the file, after a 429."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from botticelli.budget.limits import allowance, limits_in_force
from botticelli.config.model import Limits, Models, Multipliers, NamedModel
from botticelli.store import ledger
from botticelli.store.ledger import Allowance, CallRequest, Lesson, Window
from tests.clock import PinnedClock, pin

LITE = "gemini-3.5-flash-lite"
GATEWAY = "https://gateway.example.com"
HERE = "http://127.0.0.1:4000"
FREE_TIER = "15 requests a minute, 250,000 tokens a minute, 500 requests a day (tier free)"


@pytest.mark.parametrize(
    ("models", "model", "words"),
    [
        (Models(), LITE, FREE_TIER),
        (Models(gemini_base_url=GATEWAY), LITE, FREE_TIER),
        (Models(gemini_base_url=HERE, tier="free"), LITE, FREE_TIER),
        (Models(gemini_base_url=HERE), LITE, "none (a server on this machine; set [models] tier"),
        (Models(gemini_base_url="http://[::1]:1"), LITE, "none (a server on this machine"),
        (Models(gemini_base_url=GATEWAY, tier="none"), LITE, 'none ([models] tier = "none")'),
        (Models(), "gpt-9", "none (no table for it)"),
        (
            Models(limits={LITE: Limits(rpm=3)}),
            LITE,
            "3 requests a minute, 250,000 tokens a minute, 500 requests a day (file, tier free)",
        ),
        (
            Models(gemini_base_url=HERE, limits={LITE: Limits(rpd=3)}),
            LITE,
            "3 requests a day (file)",
        ),
        (
            Models(
                named={"w": NamedModel(provider="openai", model=LITE, base_url=f"{GATEWAY}/v1")}
            ),
            "w",
            FREE_TIER,
        ),
        (
            Models(named={"w": NamedModel(provider="openai", model="qwen3", base_url=HERE)}),
            "w",
            "none (a server on this machine",
        ),
    ],
)
def test_the_limits_in_force_say_whence_they_are(models, model, words):
    assert str(limits_in_force(model, models)).startswith(words)


def test_every_place_that_shows_limits_says_the_same(botticelli, db, monkeypatch):
    botticelli.environ |= {"GEMINI_API_KEY": "k" * 20, "GOOGLE_GEMINI_BASE_URL": GATEWAY}
    (botticelli.cwd / "botticelli.toml").write_text(
        f'[models]\njudge = "{LITE}"\n[models.limits."{LITE}"]\nrpm = 7\n'
    )
    words = "7 requests a minute, 250,000 tokens a minute, 500 requests a day (file, tier free)"

    listed = json.loads(botticelli("models list --json").out)["models"][0]
    assert (listed["limits"]["rpm"], listed["limits_by"]) == (7, "file, tier free")
    assert "file, tier free" in botticelli("models list").out
    (used, *_) = json.loads(botticelli("budget --json").out)["models"]
    assert used["limits"] == words
    assert used["sources"] == {"rpm": "file", "tpm": "tier free", "rpd": "tier free", "tpd": "none"}
    assert f"limits: {words}" in botticelli("check").out
    assert f"limits of {LITE}: {words}" in botticelli("generate --dry-run").out


KEY = f"gemini/{LITE}"


def call(estimate=10):
    return CallRequest(key=KEY, waiter="w:1", owner="me", estimate=estimate)


def reserve(conn, models, estimate=10):
    allowed = allowance(LITE, models, provider="gemini", multipliers=Multipliers())
    return ledger.reserve(conn, call(estimate), allowance=allowed, window=Window())


def learn(conn, models, lesson):
    allowed = allowance(LITE, models, provider="gemini", multipliers=Multipliers())
    ledger.learn(conn, KEY, lesson=lesson, limits=allowed.limits)


DAY_IS_SPENT = Lesson(scope="day", wait=timedelta(0), rate="rpd", limit=3)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (Models(), "day"),
        (Models(max_attempts=9), "day"),
        (Models(tier="tier1"), "granted"),
        (Models(limits={LITE: Limits(rpd=9_000)}), "granted"),
        (Models(tier="none"), "granted"),
    ],
)
def test_what_a_429_taught_falls_when_the_configured_limits_change(db, changed, why):
    conn = pin(db, PinnedClock())
    assert reserve(conn, Models()).why == "granted"
    learn(conn, Models(), DAY_IS_SPENT)
    assert reserve(conn, Models()).why == "day"

    assert reserve(conn, changed).why == why
    if why == "granted":
        assert conn.execute("SELECT rpd FROM ledger").fetchone()[0] != 2, "3 x 0.8 was learned"
        learn(conn, changed, DAY_IS_SPENT)
        assert reserve(conn, changed).why == "day", "it is learned again"


@pytest.mark.parametrize("name", [LITE, KEY])
def test_budget_forget_lifts_a_hold_and_a_learned_limit(botticelli, db, name):
    botticelli.clock = PinnedClock()
    conn = pin(db, botticelli.clock)
    (botticelli.cwd / "botticelli.toml").write_text("")
    reserve(conn, Models())
    learn(conn, Models(), DAY_IS_SPENT)
    before = botticelli("budget").out
    assert "learned" in before
    assert f"botticelli budget forget {LITE} lifts it" in before.replace("\n", " ")

    assert botticelli(f"budget forget {name}").code == 0

    after = json.loads(botticelli("budget --json").out)["models"]
    (model,) = (each for each in after if each["model"] == LITE)
    assert model["held_until"] is None
    assert "learned" not in model["sources"].values()
    assert reserve(conn, Models()).why == "granted"


def test_budget_forget_of_an_unknown_model_is_an_error(botticelli, db):
    (botticelli.cwd / "botticelli.toml").write_text("")

    ended = botticelli("budget forget nobody")

    assert ended.code == 2
    assert "no call to 'nobody' is on record" in ended.err


@pytest.mark.parametrize(("estimate", "why"), [(1000, "granted"), (480, "granted"), (1001, "size")])
def test_a_day_that_holds_a_request_once_is_no_spent_day(db, estimate, why):
    """What is not known yet is reserved twice over, but never more than there is."""
    conn = pin(db, PinnedClock())

    booking = ledger.reserve(conn, call(estimate), allowance=Allowance(tpd=1000), window=Window())

    assert booking.why == why


def test_the_limits_are_there_without_the_words():
    models = Models(limits={LITE: Limits(rpm=3, time_zone="UTC")})

    limits = replace(Limits(rpm=3, tpm=250_000, rpd=500), time_zone="UTC")
    assert limits_in_force(LITE, models).limits == limits
