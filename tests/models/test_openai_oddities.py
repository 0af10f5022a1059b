"""What servers that speak OpenAI's protocol really answer: each as its documentation shows it."""

from datetime import timedelta

import pytest

from botticelli.config.secrets import Secret
from botticelli.models.base import (
    Finish,
    PermanentError,
    QuotaError,
    Request,
    SettingRefused,
    TransientError,
    Usage,
)
from botticelli.models.openai_compatible import OpenAICompatible
from botticelli.models.refused import SCHEMA as SCHEMA_FORMS
from tests.contracts.model_contract import SCHEMA, user
from tests.fakes.canned import Canned
from tests.fakes.loopback import answer_html, answer_json

NOW = "Sat, 28 Nov 2026 10:00:00 GMT"


@pytest.fixture
def server(monkeypatch):
    with Canned() as running:
        yield running


@pytest.fixture
def ask(server):
    """Ask the server one thing and return the reply."""
    driver = OpenAICompatible(
        key=Secret("sk-test"), base_url=server.url + "/v1", timeout=timedelta(seconds=5)
    )

    def made(**settings):
        return driver.generate(Request(model="m", messages=(user("Hello"),), **settings))

    yield made
    driver.close()


def completion(content, *, finish="stop", usage=None, **message):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": usage,
    }


def refusal(message="Slow down", **more):
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "Sat, 28 Nov 2026 10:02:05 GMT", "Date": NOW}, 125.0),
        ({"Retry-After": "Sat, 28 Nov 2026 09:00:00 GMT", "Date": NOW}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After-Ms": "350", "Retry-After": "1"}, 0.35),
        ({"x-ratelimit-reset-requests": "1m2.5s", "x-ratelimit-remaining-requests": "0"}, 62.5),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        (
            {
                "x-ratelimit-remaining-requests": "14",
                "x-ratelimit-reset-requests": "2h0m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7.66s",
            },
            7.66,
        ),
        ({"X-RateLimit-Reset": "1795860060000", "Date": NOW}, 60.0),
        ({"X-RateLimit-Reset": "1795860060", "Date": NOW}, 60.0),
        ({"X-RateLimit-Reset": "45"}, 45.0),
        ({}, None),
    ],
)
def test_the_delay_of_a_429_is_read_in_every_form(server, ask, headers, seconds):
    server.says(refusal(), status=429, headers=headers.items())

    with pytest.raises(QuotaError) as caught:
        ask()

    assert caught.value.retry_after == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("told", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 80}}, 80),  # OpenAI, OpenRouter, xAI, Groq
        ({"cached_tokens": 70}, 70),  # Moonshot
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),  # DeepSeek
        ({"cache_read_input_tokens": 60, "cache_creation_input_tokens": 9}, 60),  # Anthropic
        ({"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 64}, 64),
        ({"prompt_tokens_details": {"cached_tokens": 100}}, 100),
        ({"prompt_tokens_details": {"cached_tokens": 101}}, 0),  # more than was sent
        ({"prompt_tokens_details": {"cached_tokens": -5}}, 0),
        ({"prompt_tokens_details": None}, 0),
    ],
)
def test_cached_tokens_are_believed_where_they_can_be_true(server, ask, told, cached):
    server.says(completion("ok", usage={"prompt_tokens": 100, "completion_tokens": 2, **told}))

    assert ask().usage == Usage(input=100, cached=cached, output=2)


def test_a_delay_may_stand_in_the_words_alone(server, ask):
    server.says(refusal("Rate limit reached. Please try again in 1m26.4s."), status=429)

    with pytest.raises(QuotaError) as caught:
        ask()

    assert caught.value.retry_after == pytest.approx(86.4)


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (refusal("Rate limit reached on tokens per min (TPM)"), {}, ("minute", "tokens")),
        (refusal("Rate limit reached on requests per day (RPD)"), {}, ("day", "requests")),
        (refusal("Rate limit exceeded: free-models-per-day"), {}, ("day", "requests")),
        (refusal("Rate limit exceeded: free-models-per-min"), {}, ("minute", "requests")),
        (refusal(), {"x-ratelimit-remaining-tokens-day": "0"}, ("day", "tokens")),
        (refusal(), {"x-ratelimit-remaining-tokens-day": "90"}, ("minute", "requests")),
        (refusal(type="insufficient_quota"), {}, ("none", "requests")),
    ],
)
def test_a_429_tells_the_minute_from_the_day(server, ask, body, headers, told):
    server.says(body, status=429, headers=headers.items())

    with pytest.raises(QuotaError) as caught:
        ask()

    assert (caught.value.scope, caught.value.metric) == told


def test_no_credit_is_not_waited_for(server, ask):
    server.says(refusal("Insufficient credits", code=402), status=402)

    with pytest.raises(QuotaError) as caught:
        ask()

    assert caught.value.scope == "none"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 502, "message": "Provider returned error"}, TransientError),
        ({"code": 429, "message": "Rate limited upstream"}, QuotaError),
        ({"code": 401, "message": "No auth credentials found"}, PermanentError),
        ({"code": "server_error", "message": "x"}, TransientError),
        ("Unexpected endpoint or method. Returning 200 anyway", TransientError),
    ],
)
def test_an_error_inside_a_200_is_an_error(server, ask, error, kind):
    server.says({"error": error, "user_id": "u"})

    with pytest.raises(kind):
        ask()


def test_an_error_beside_half_an_answer_is_an_error(server, ask):
    broken = completion("Half a sen", finish="error")
    broken["choices"][0]["error"] = {"code": 502, "message": "Upstream idle timeout"}
    server.says(broken)

    with pytest.raises(TransientError, match="Upstream idle timeout"):
        ask()


def test_a_router_tells_what_its_provider_said(server, ask):
    about = {"raw": "model is overloaded", "headers": {"X-RateLimit-Reset": "1795860060000"}}
    body = {"error": {"code": 429, "message": "Provider returned error", "metadata": about}}
    server.says(body, status=429, headers=[("Date", NOW)])

    with pytest.raises(QuotaError, match="model is overloaded") as caught:
        ask()

    assert caught.value.retry_after == 60.0


def test_a_prompt_that_is_refused_is_not_a_refused_key(server, ask):
    about = {"reasons": ["violence"], "flagged_input": "..."}
    body = {"error": {"code": 403, "message": "Your input was flagged", "metadata": about}}
    server.says(body, status=403)

    with pytest.raises(PermanentError) as caught:
        ask()

    assert not caught.value.unrecoverable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refusal("foo is not a valid model ID", code=400)),
        (400, refusal("Invalid model identifier 'm'", code="model_not_found", param="model")),
        (404, {"object": "error", "message": "The model `m` does not exist.", "code": 404}),
        (404, refusal("model 'm' not found, try pulling it first", type="api_error")),
    ],
)
def test_a_model_that_is_not_there_is_told_as_such(server, ask, status, body):
    server.says(body, status=status)

    with pytest.raises(PermanentError) as caught:
        ask()

    assert caught.value.retired


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": "maximum context length is 4096 tokens", "code": 400},
        {"error": "the request is too long"},
        {"detail": [{"msg": "field required"}]},
    ],
)
def test_a_400_in_any_form_is_permanent_and_says_why(server, ask, body):
    server.says(body, status=400)

    with pytest.raises(PermanentError, match=r"maximum context|too long|field required") as caught:
        ask()

    assert not caught.value.unrecoverable


def test_a_web_page_is_not_shown_to_the_user(server, ask):
    server.answers = [answer_html(502, "Bad Gateway")]

    with pytest.raises(TransientError, match="502: a web page"):
        ask()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<think>The user wants a greeting.\nFine.</think>\n\nHello, club!", "Hello, club!"),
        ("The user wants a greeting.</think>\n\nHello, club!", "Hello, club!"),
        ("<think>\n\n</think>\n\nHello, club!", "Hello, club!"),
        ("<think>I never come to an end", ""),
        ("Hello, club!", "Hello, club!"),
        ("I think <b>chess</b> is fun", "I think <b>chess</b> is fun"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                {"type": "text", "text": "Hello, club!"},
            ],
            "Hello, club!",
        ),
        ([{"type": "text", "text": "Hello, "}, {"type": "text", "text": "club!"}], "Hello, club!"),
        (None, ""),
    ],
)
def test_what_a_model_thinks_aloud_is_never_content(server, ask, content, text):
    server.says(completion(content, reasoning_content="Hm.", reasoning="Hm."))

    assert ask().text == text


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 9, "total_tokens": 9}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": 4}, Usage(input=9, output=4)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 40,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(input=9, output=10, thoughts=30),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 30},
                "total_tokens": 49,
            },
            Usage(input=9, output=10, thoughts=30),
        ),
    ],
)
def test_usage_is_read_as_far_as_it_is_told(server, ask, usage, read):
    server.says(completion("Hello", usage=usage))

    assert ask().usage == read


@pytest.mark.parametrize(
    ("finish", "read"),
    [
        ("stop", Finish.STOP),
        ("eos_token", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.BLOCKED),
        ("abort", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_only_a_whole_answer_ends_with_stop(server, ask, finish, read):
    server.says(completion("Hello", finish=finish))

    assert ask().finish is read


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "Input should be 'text' or 'json_object'"),
        (400, "'response_format.type' must be 'json_schema' or 'text'"),
        (400, "This response_format type is unavailable now"),
        (422, "Unsupported parameter: response_format"),
        (400, "JSON schema error at #: unrecognized type"),
    ],
)
def test_a_schema_that_is_not_taken_is_asked_for_in_another_way(server, ask, status, words):
    server.answers = [
        answer_json(refusal(words), status=status),
        answer_json(refusal(words), status=status),
        answer_json(completion("{}")),
    ]
    without = frozenset()
    for setting in SCHEMA_FORMS:
        with pytest.raises(SettingRefused) as raised:
            ask(schema=SCHEMA, without=without)
        assert raised.value.setting == setting
        without |= {setting}

    assert ask(schema=SCHEMA, without=without).text == "{}"
    ask()
    forms = [(body.get("response_format") or {}).get("type") for body in server.bodies]
    assert forms == ["json_schema", "json_object", None, None]
    said = [body["messages"][-1]["content"] for body in server.bodies]
    assert ['"maximum": 10' in text for text in said] == [False, True, True, False]


def test_a_server_that_does_not_run_is_told_with_its_address():
    driver = OpenAICompatible(
        key=Secret(""), base_url="http://127.0.0.1:9/v1", timeout=timedelta(seconds=5)
    )
    with pytest.raises(TransientError, match=r"that a server runs at http://127\.0\.0\.1:9/v1"):
        driver.generate(Request(model="m", messages=(user("Hello"),)))
    driver.close()


def test_a_format_that_no_way_helps_with_is_an_error(server, ask):
    server.says(refusal("json_schema is too deep for the grammar"), status=400)

    with pytest.raises(PermanentError, match="too deep"):
        ask(schema=SCHEMA, without=frozenset(SCHEMA_FORMS))
