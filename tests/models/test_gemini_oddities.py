"""What stands between us and the Gemini API, and what it answers beside the usual."""

from datetime import timedelta

import pytest

from botticelli.config.secrets import Secret
from botticelli.models.base import (
    Finish,
    PermanentError,
    QuotaError,
    Request,
    TransientError,
    Usage,
)
from botticelli.models.gemini import Gemini
from tests.contracts.model_contract import user
from tests.fakes.canned import Canned
from tests.fakes.loopback import Answer, answer_html, answer_json


@pytest.fixture
def server(monkeypatch):
    with Canned() as running:
        yield running


@pytest.fixture
def ask(server):
    """Ask the server one thing and return the reply."""
    driver = Gemini(key=Secret("test-key"), base_url=server.url, timeout=timedelta(seconds=5))

    def made():
        return driver.generate(Request(model="gemini-3.5-flash-lite", messages=(user("Hello"),)))

    yield made
    driver.close()


def answer(*parts, finish="STOP", usage=None):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return {"candidates": [candidate]} | ({} if usage is None else {"usageMetadata": usage})


def refusal(code, status, message, *details):
    return {"error": {"code": code, "status": status, "message": message, "details": details}}


@pytest.mark.parametrize("value", [5, "text", True, None, [], {}, {"candidates": []}])
def test_a_200_that_holds_no_answer_is_a_failure_of_the_moment(server, ask, value):
    server.says(value)

    with pytest.raises(TransientError, match="neither a text nor a reason"):
        ask()


def test_half_an_answer_is_a_failure_of_the_moment(server, ask):
    server.answers = [Answer(body=b'{"candidates": [{"content": {"parts": [{"text": "Hel')]

    with pytest.raises(TransientError):
        ask()


def test_thoughts_and_pictures_are_no_text_and_pieces_are_joined(server, ask):
    server.says(
        answer(
            {"text": "Hm.", "thought": True},
            {"text": "Hello, "},
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
            {"text": "club!", "thoughtSignature": "AAAA"},
        )
    )

    assert ask().text == "Hello, club!"


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({}, None),
        ({"candidatesTokenCount": 7}, None),
        ({"promptTokenCount": 12}, Usage(input=12)),
        (
            {"promptTokenCount": 12, "thoughtsTokenCount": 30, "cachedContentTokenCount": 8},
            Usage(input=12, cached=8, thoughts=30),
        ),
        ({"promptTokenCount": 12, "cachedContentTokenCount": 13}, Usage(input=12)),
    ],
)
def test_usage_is_read_as_far_as_it_is_told(server, ask, usage, read):
    server.says(answer({"text": "Hello"}, usage=usage))

    assert ask().usage == read


@pytest.mark.parametrize(
    ("finish", "read"),
    [
        ("PROHIBITED_CONTENT", Finish.BLOCKED),
        ("SPII", Finish.BLOCKED),
        ("MAX_TOKENS", Finish.LENGTH),
        ("OTHER", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_only_a_whole_answer_ends_with_stop(server, ask, finish, read):
    server.says(answer({"text": "Half a sen"}, finish=finish))

    assert ask().finish is read


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (refusal(400, "INVALID_ARGUMENT", "API key not valid. Please pass one."), "the key"),
        (refusal(400, "INVALID_ARGUMENT", "API key expired. Please renew it."), "the key"),
        (refusal(400, "FAILED_PRECONDITION", "User location is not supported."), "this project"),
    ],
)
def test_what_no_other_request_can_escape_is_beyond_recovery(server, ask, body, words):
    server.says(body, status=400)

    with pytest.raises(PermanentError, match=f"refuses.* {words}") as caught:
        ask()

    assert caught.value.unrecoverable


def test_a_wrong_address_is_not_taken_for_a_retired_model(server, ask):
    server.answers = [answer_html(404, "Error 404 (Not Found)!!1")]

    with pytest.raises(PermanentError, match="no Gemini API at this address") as caught:
        ask()

    assert not caught.value.retired


def test_a_web_page_is_not_shown_to_the_user(server, ask):
    server.answers = [answer_html(502, "Bad Gateway")]

    with pytest.raises(TransientError, match="502: a web page"):
        ask()


def test_the_delay_of_a_header_counts_as_well(server, ask):
    server.answers = [
        answer_json(
            refusal(429, "RESOURCE_EXHAUSTED", "x"), status=429, headers=[("Retry-After", "90")]
        ),
        answer_json(refusal(503, "UNAVAILABLE", "x"), status=503, headers=[("Retry-After", "20")]),
    ]

    with pytest.raises(QuotaError) as quota:
        ask()
    with pytest.raises(TransientError) as busy:
        ask()

    assert (quota.value.retry_after, busy.value.retry_after) == (90.0, 20.0)
