"""From a name to a driver, and the catalogue behind it."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from botticelli.config.model import Limits, Models, NamedModel, Price
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.models import catalogue
from botticelli.models.base import QuotaError, Request, Usage
from botticelli.models.offline.scripted import Scripted
from botticelli.models.open import Drivers, route
from tests.contracts.model_contract import ModelContract, user

TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gemini-3.5-flash-lite", "gemini", "gemini-3.5-flash-lite"),
        ("models/gemini-3.8-flash", "gemini", "gemini-3.8-flash"),
        ("gpt-5-mini", "openai", "gpt-5-mini"),
        ("openai:qwen3:4b", "openai", "qwen3:4b"),
        ("offline", "offline", "offline"),
        ("local", "local", "local"),
        ("house", "openai", "llama-3.3"),
    ],
)
def test_a_name_finds_its_provider(name, provider, model):
    named = {"house": NamedModel(provider="openai", model="llama-3.3", base_url="http://x/v1")}

    way = route(name, Models(named=named))

    assert (way.provider, way.model) == (provider, model)


@pytest.mark.parametrize("name", ["claude-sonnet-5", "whisper-1", "gpl", "mistral-large"])
def test_a_model_without_a_driver_is_refused_with_the_mend(name):
    with pytest.raises(ConfigError, match="provider"):
        route(name, Models())


def test_threads_and_names_of_one_provider_share_one_client():
    drivers = Drivers(Models(gemini_key=Secret("k")))

    first, second = drivers.open("gemini-3.5-flash-lite"), drivers.open("gemini-3.8-flash")

    assert first.driver is second.driver
    assert second.name == "gemini-3.8-flash"


def test_a_limit_of_calls_at_once_is_shared():
    drivers = Drivers(Models(limits={"m": Limits(max_concurrent=1)}))

    assert drivers.slot("m") is drivers.slot("m")
    assert drivers.slot("other") is None


def test_offline_needs_no_key():
    assert Drivers(Models()).open("offline").provider == "offline"


@pytest.mark.parametrize(
    ("name", "day", "current"),
    [
        ("gemini-2.0-flash", TODAY, "gemini-3.5-flash-lite"),
        ("gemini-2.5-flash", TODAY, "gemini-2.5-flash"),
        ("gemini-2.5-flash", date(2026, 12, 1), "gemini-3.5-flash-lite"),
        ("gemini-2.5-pro", date(2026, 12, 1), "gemini-3.8-flash"),
        ("gemini-2.5-flash-lite", date(2027, 6, 1), "gemini-2.5-flash-lite"),
        ("old", TODAY, "new"),
    ],
)
def test_a_retired_name_is_followed_from_its_day_on(name, day, current):
    assert catalogue.current_name(name, Models(aliases={"old": "new"}), on=day) == current


def test_prices_hold_from_their_day_on():
    usage = Usage(input=1_000_000, cached=500_000, output=100_000, thoughts=100_000)

    costs = [
        catalogue.cost(usage, catalogue.price("gemini-3.8-flash", Models(), on=day))
        for day in (date(2026, 12, 31), date(2027, 1, 1))
    ]

    assert costs == [Decimal("1.1625"), Decimal("2.325")]  # half of the input for a tenth


def test_the_file_may_set_a_price():
    models = Models(prices={"m": (Price(input=1, output=2, cached=0.5),)})
    usage = Usage(input=1_000_000, cached=1_000_000, output=0)

    assert catalogue.cost(usage, catalogue.price("m", models, on=TODAY)) == Decimal("0.5")
    assert catalogue.price("unknown", models, on=TODAY) is None


class TestScripted(ModelContract):
    @pytest.fixture
    def model(self):
        return Scripted([{"when": "", "json": {"text_content": "x", "rating": 3, "tags": ["a"]}}])

    @pytest.fixture
    def name(self):
        return "scripted"


def test_a_script_may_fail_and_answer_by_prompt(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    lines = [{"error": "day", "limit": 20}, "second", {"when": "hello", "text": "hi"}]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    model = Drivers(Models()).open(f"scripted:{path}").driver

    def say(text):
        return model.generate(Request(model="", messages=(user(text),))).text

    with pytest.raises(QuotaError):
        say("a")
    assert say("well, hello") == "hi"
    assert say("b") == "second"


@pytest.mark.parametrize(
    ("names", "most"),
    [
        (["local"], 2),
        (["local", "local:x.gguf"], 2),
        (["local", "offline"], None),
        (["gpt-9"], None),
    ],
)
def test_a_local_model_is_worth_as_many_callers_as_it_has_slots(names, most):
    assert Drivers(Models()).at_once(names) == most
