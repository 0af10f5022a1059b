"""OpenAI-compatible servers as the openai library speaks to them, over loopback."""

from datetime import timedelta

import pytest

from botticelli.config.secrets import Secret
from botticelli.models.base import (
    Finish,
    Message,
    Part,
    PermanentError,
    QuotaError,
    Request,
    TransientError,
)
from botticelli.models.chat import body_of
from botticelli.models.openai_compatible import OpenAICompatible
from tests.contracts.model_contract import SCHEMA, ModelContract, user
from tests.fakes.openai import FakeOpenAI


@pytest.fixture
def server():
    with FakeOpenAI() as running:
        yield running


@pytest.fixture
def model(server):
    driver = driver_of(server)
    yield driver
    driver.close()


@pytest.fixture
def name():
    return "test-model"


def driver_of(server, *, key="test-key", timeout=60.0):
    return OpenAICompatible(
        key=Secret(key), base_url=server.url + "/v1", timeout=timedelta(seconds=timeout)
    )


def ask(**settings):
    return Request(model="test-model", messages=(user("Say hello"),), **settings)


class TestOpenAICompatible(ModelContract):
    pass


def test_a_schema_goes_out_as_response_format(server, model):
    model.generate(ask(schema=SCHEMA, max_tokens=50))

    body = server.calls[0].body
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["max_tokens"] == 50


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("length", Finish.LENGTH),
        ("content-filter", Finish.BLOCKED),
        ("refusal", Finish.BLOCKED),
    ],
)
def test_an_answer_that_is_no_content_says_so(server, model, fault, finish):
    server.script.add(fault)

    assert model.generate(ask()).finish is finish


@pytest.mark.parametrize("fault", ["500", "503", "hang", "reset", "close", "html-200", "html-502"])
def test_a_failure_of_the_moment_is_transient_and_sends_nothing_more(server, fault):
    model = driver_of(server, timeout=1.0)
    server.script.add(fault)

    with pytest.raises(TransientError):
        model.generate(ask())
    model.close()

    assert len(server.calls) == 1


def test_a_429_carries_the_delay_of_its_header(server, model):
    server.script.add("429:7")

    with pytest.raises(QuotaError) as caught:
        model.generate(ask())

    assert (caught.value.scope, caught.value.retry_after) == ("minute", 7.0)


def test_an_account_without_credit_is_not_waited_for(server, model):
    server.script.add("429:quota")

    with pytest.raises(QuotaError) as caught:
        model.generate(ask())

    assert caught.value.scope == "none"


def test_a_wrong_key_is_beyond_recovery(server):
    model = driver_of(server, key="sk-wrongwrong")

    with pytest.raises(PermanentError) as caught:
        model.generate(ask())
    model.close()

    assert caught.value.unrecoverable
    assert "wrongwrong" not in str(caught.value)


def test_a_model_that_is_not_there_is_told_as_such(model):
    with pytest.raises(PermanentError) as caught:
        model.generate(Request(model="other", messages=(user("x"),)))

    assert caught.value.retired


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            Part(data=b"png", mime="image/png"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        ),
        (
            Part(data=b"wav", mime="audio/wav"),
            {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
        ),
        (
            Part(data=b"mp3", mime="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "bXAz", "format": "mp3"}},
        ),
        (
            Part(data=b"pdf", mime="application/pdf"),
            {
                "type": "file",
                "file": {
                    "filename": "document.pdf",
                    "file_data": "data:application/pdf;base64,cGRm",
                },
            },
        ),
        (Part(data=b"# Notes", mime="text/markdown"), {"type": "text", "text": "# Notes"}),
    ],
)
def test_media_go_out_in_the_form_of_the_protocol(part, sent):
    message = Message(role="user", parts=(Part(text="Look."), part))
    body = body_of(Request(model="m", messages=(message,)))

    assert body["messages"][0]["content"] == [{"type": "text", "text": "Look."}, sent]


@pytest.mark.parametrize(
    "part", [Part(data=b"x", mime="video/mp4"), Part(uri="gs://b/a.png", mime="image/png")]
)
def test_what_the_protocol_cannot_carry_is_refused(part):
    with pytest.raises(PermanentError, match="takes no"):
        body_of(Request(model="m", messages=(Message(role="user", parts=(part,)),)))
