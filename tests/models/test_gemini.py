"""Gemini as Google's own library speaks it, over loopback."""

from datetime import timedelta

import pytest

from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.models.base import (
    Finish,
    Message,
    Part,
    PermanentError,
    QuotaError,
    Request,
    TransientError,
)
from botticelli.models.gemini import Gemini
from tests.contracts.model_contract import SCHEMA, ModelContract, user
from tests.fakes.gemini import FakeGemini

LITE = "gemini-3.5-flash-lite"
FLASH = "gemini-3.8-flash"


@pytest.fixture
def server():
    with FakeGemini() as running:
        yield running


@pytest.fixture
def model(server):
    driver = driver_of(server)
    yield driver
    driver.close()


@pytest.fixture
def name():
    return LITE


def driver_of(server, *, key="test-key", timeout=60.0):
    return Gemini(key=Secret(key), base_url=server.url, timeout=timedelta(seconds=timeout))


def ask(text="Say hello", *, model=LITE, **settings):
    return Request(model=model, messages=(user(text),), **settings)


class TestGemini(ModelContract):
    pass


def test_usage_is_what_the_provider_reported(server, model):
    reply = model.generate(ask(model=FLASH))

    assert reply.usage.input == server.calls[0].prompt_tokens
    assert reply.usage.output > 0
    assert reply.usage.thoughts > 0
    assert reply.model_version == FLASH
    assert reply.request_id


def test_cached_tokens_are_told(server, model):
    long = "A long beginning that every prompt shares. " * 500

    model.generate(ask(long))
    reply = model.generate(ask(long + "And an end."))

    assert reply.usage.cached == 5248  # 5,375 tokens in whole blocks of 128


def test_temperature_is_dropped_for_models_that_take_none(server, model):
    model.generate(ask(model=FLASH, temperature=0.5))
    model.generate(ask(model=LITE, temperature=0.5))

    assert "temperature" not in server.calls[0].config
    assert server.calls[1].config["temperature"] == 0.5


@pytest.mark.parametrize(
    ("model_name", "wanted", "sent"),
    [
        (LITE, "minimal", {"thinkingLevel": "MINIMAL"}),
        (FLASH, "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-2.5-flash-lite", "minimal", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "minimal", {"thinkingBudget": 128}),
    ],
)
def test_the_thinking_asked_for_is_put_as_the_model_takes_it(
    server, model, model_name, wanted, sent
):
    model.generate(ask(model=model_name, thinking=wanted))

    assert server.calls[0].config["thinkingConfig"] == sent


def test_a_schema_goes_out_as_json_schema(server, model):
    model.generate(ask(schema=SCHEMA))

    assert server.calls[0].config["responseMimeType"] == "application/json"
    assert server.calls[0].config["responseJsonSchema"] == SCHEMA


def test_bytes_go_out_with_their_media_type(server, model):
    parts = (Part(text="What is this?"), Part(data=b"\x89PNG", mime="image/png"))

    model.generate(Request(model=LITE, messages=(Message(role="user", parts=parts),)))

    sent = server.calls[0].body["contents"][0]["parts"][1]["inlineData"]
    assert sent["mimeType"] == "image/png"


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("safety", Finish.BLOCKED),
        ("recitation", Finish.BLOCKED),
        ("blocked-prompt", Finish.BLOCKED),
        ("max-tokens", Finish.LENGTH),
        ("continuation", Finish.OTHER),
    ],
)
def test_an_answer_that_is_no_content_says_so(server, model, fault, finish):
    server.script.add(fault)

    reply = model.generate(ask())

    assert reply.finish is finish
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "fault",
    [
        *("500", "502", "503", "504", "hang", "reset", "close"),
        *("html-200", "html-502", "empty-200", "list-200", "error-200"),
    ],
)
def test_a_failure_of_the_moment_is_transient_and_sends_nothing_more(server, fault):
    model = driver_of(server, timeout=1.0)
    server.script.add(fault)

    with pytest.raises(TransientError):
        model.generate(ask())
    model.close()

    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("429:minute", ("minute", "requests", 5)),
        ("429:day", ("day", "requests", 20)),
        ("429:tokens", ("minute", "tokens", 250_000)),
        ("429:paid-tokens", ("minute", "tokens", 3_000_000)),
        ("429:no-details", ("spend", "requests", None)),
        ("429:limit-0", ("none", "requests", None)),
    ],
)
def test_a_429_is_told_apart_by_its_quota(server, model, fault, told):
    server.script.add(fault)

    with pytest.raises(QuotaError) as caught:
        model.generate(ask())

    assert (caught.value.scope, caught.value.metric, caught.value.limit) == told


def test_of_two_delays_the_larger_counts(server, model):
    """RetryInfo says 21 s and the message 21.4 s."""
    server.script.add("429:minute")

    with pytest.raises(QuotaError) as caught:
        model.generate(ask())

    assert caught.value.retry_after == pytest.approx(21.4)


def test_a_wrong_key_is_beyond_recovery_and_stays_out_of_the_message(server):
    model = driver_of(server, key="AIzaSecretSecretSecretSecret")

    with pytest.raises(PermanentError) as caught:
        model.generate(ask())
    model.close()

    assert caught.value.unrecoverable
    assert "Secret" not in str(caught.value)


def test_a_retired_model_is_told_as_such(model):
    with pytest.raises(PermanentError) as caught:
        model.generate(ask(model="gemini-2.0-flash"))

    assert caught.value.retired


def test_without_a_key_the_mend_is_named():
    with pytest.raises(ConfigError, match="GEMINI_API_KEY is not set"):
        Gemini(key=Secret(""), timeout=timedelta(seconds=1))
