"""The fake Gemini keeps the published protocol, as Google's own library sees it."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest
import requests
from google import genai
from google.genai import errors, types

from tests.clock import NOON
from tests.fakes.gemini import FakeGemini, Limits, varying_responder

LITE = "gemini-3.5-flash-lite"
FLASH = "gemini-3.8-flash"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def client_of(fake, *, key="test-key", timeout=60_000, **http):
    options = types.HttpOptions(base_url=fake.url, timeout=timeout, **http)
    return genai.Client(api_key=key, enterprise=False, http_options=options)


def ask(fake, *, model=LITE, prompt="Say hello", config=None, **client):
    with client_of(fake, **client) as door:
        return door.models.generate_content(model=model, contents=prompt, config=config)


def error_of(fake, **question):
    with pytest.raises(errors.APIError) as caught:
        ask(fake, **question)
    return caught.value


def post(fake, *, body, path=f"/v1/models/{LITE}:generateContent", **headers):
    with requests.Session() as session:
        session.trust_env = False
        headers = {"x-goog-api-key": fake.key, **headers}
        return session.post(fake.url + path, json=body, headers=headers, timeout=60)


def stand_still(fake, at=NOON):
    """Let every request arrive at the same moment, noon UTC, plus what the fake advances."""
    fake.moment = lambda: (0.0, at.timestamp())


def test_the_same_prompt_gets_the_same_text_and_another_prompt_another():
    with FakeGemini() as gemini:
        first, again, other = ask(gemini), ask(gemini), ask(gemini, prompt="Say goodbye")

    assert first.text == again.text != other.text
    assert first.candidates[0].finish_reason == types.FinishReason.STOP
    assert first.model_version == LITE
    assert first.response_id != again.response_id


def test_usage_adds_up_with_thoughts():
    with FakeGemini() as gemini:
        usage = ask(gemini, model=FLASH, prompt="x" * 400).usage_metadata

    assert usage.prompt_token_count == 100
    assert usage.thoughts_token_count == 96
    assert usage.total_token_count == 100 + 96 + usage.candidates_token_count


def test_a_long_beginning_sent_twice_is_counted_as_cached():
    with FakeGemini() as gemini:
        first, again = (ask(gemini, prompt="x" * 20_000).usage_metadata for _ in range(2))

    assert first.cached_content_token_count is None
    assert again.cached_content_token_count == 4992  # 5,000 tokens in whole blocks of 128


def test_structured_output_satisfies_its_schema():
    schema = {
        "type": "object",
        "$defs": {"score": {"type": "integer", "minimum": 3, "maximum": 4}},
        "properties": {
            "title": {"type": "string"},
            "score": {"$ref": "#/$defs/score"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3},
        },
        "required": ["tags", "title", "score"],
    }
    config = {"response_mime_type": "application/json", "response_json_schema": schema}

    with FakeGemini() as gemini:
        answer = ask(gemini, config=config)

    jsonschema.validate(answer.parsed, schema)
    assert list(answer.parsed) == ["tags", "title", "score"]


def test_the_older_schema_spelling_works_too():
    config = {
        "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}},
    }

    with FakeGemini() as gemini:
        assert isinstance(json.loads(ask(gemini, config=config).text)["n"], int)


def test_a_responder_decides_what_is_said():
    with FakeGemini(responder=lambda call: {"echo": call.prompt}) as gemini:
        assert json.loads(ask(gemini, prompt="abc").text) == {"echo": "abc"}


def test_a_varying_model_says_something_else_each_time():
    with FakeGemini(responder=varying_responder) as gemini:
        assert ask(gemini).text != ask(gemini).text


def test_thinking_uses_up_the_tokens_of_the_answer():
    with FakeGemini() as gemini:
        nothing = ask(gemini, model=FLASH, config={"max_output_tokens": 50})
        little = ask(gemini, model=LITE, config={"max_output_tokens": 5})

    assert nothing.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert nothing.text is None
    assert nothing.usage_metadata.thoughts_token_count == 50
    assert little.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert len(little.text) == 20


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"candidate_count": 2}, "Multiple candidates"),
        ({"response_logprobs": True}, "Logprobs is not enabled"),
        ({"thinking_config": {"thinking_level": "minimal"}}, "Thinking level"),
        ({"response_json_schema": {"type": "object"}}, "response_mime_type"),
    ],
)
def test_what_the_model_does_not_do_is_refused(config, words):
    with FakeGemini() as gemini:
        caught = error_of(gemini, model=FLASH, config=config)

    assert (caught.code, caught.status) == (400, "INVALID_ARGUMENT")
    assert words in caught.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"contents": [{"parts": [{"text": "a"}]}], "prompt": 1}, 'Unknown name "prompt"'),
        ({"contents": [{"parts": [{"txt": "a"}]}]}, 'Unknown name "txt"'),
        ({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}, "valid role"),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"parts": []}]}, "must not be empty"),
        (
            {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"maxTokens": 1}},
            "'generation_config'",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "%"}}]}]},
            "Base64",
        ),
    ],
)
def test_a_malformed_body_is_refused(body, words):
    with FakeGemini() as gemini:
        answer = post(gemini, body=body)

    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_snake_case_is_taken_as_protobuf_does():
    body = {"contents": {"parts": {"text": "a"}}, "generation_config": {"max_output_tokens": 9}}

    with FakeGemini() as gemini:
        assert post(gemini, body=body).status_code == 200


def test_keys_and_models_are_checked():
    with FakeGemini() as gemini:
        wrong = error_of(gemini, key="other")
        retired = error_of(gemini, model="gemini-2.0-flash")
        unknown = error_of(gemini, model="gemini-9")
        missing = post(gemini, body={}, **{"x-goog-api-key": ""})

    assert wrong.code == 400
    assert wrong.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert (retired.code, retired.status) == (404, "NOT_FOUND")
    assert unknown.code == 404
    assert missing.status_code == 403


def test_an_alias_exists_on_v1beta_only_and_the_answer_names_the_model():
    with FakeGemini() as gemini:
        served = ask(gemini, model="gemini-flash-lite-latest", api_version="v1beta").model_version
        refused = error_of(gemini, model="gemini-flash-lite-latest")

    assert (served, refused.code) == (LITE, 404)


def test_a_model_is_described():
    with FakeGemini() as gemini, client_of(gemini) as door:
        one = door.models.get(model=LITE)

    assert one.name == f"models/{LITE}"
    assert not gemini.calls


def test_a_routed_model_is_served_and_counted_as_the_other():
    with FakeGemini(routed={"gemini-2.5-flash": LITE}) as gemini:
        answer = ask(gemini, model="gemini-2.5-flash")

    assert answer.model_version == LITE
    assert gemini.max_in_window(model=LITE)[0] == 1


def test_the_minute_is_refused_with_the_documented_details_and_frees_again():
    with FakeGemini(limits={LITE: Limits(rpm=2)}) as gemini:
        stand_still(gemini)
        ask(gemini), ask(gemini)
        gemini.advance(1)
        caught = error_of(gemini)
        gemini.advance(59)
        ask(gemini)

        help_, failure, retry = caught.details["error"]["details"]
        violation = failure["violations"][0]
        assert caught.code == 429
        assert caught.status == "RESOURCE_EXHAUSTED"
        assert help_["links"]
        assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
        assert violation["quotaValue"] == "2"
        assert violation["quotaDimensions"] == {"location": "global", "model": LITE}
        assert retry["retryDelay"] == "59s"
        assert gemini.max_in_window() == (3, 9)
        assert gemini.violations() == [f"{LITE}: 3 requests within 60 s, allowed 2"]


def test_tokens_and_days_have_their_own_quota():
    with FakeGemini(limits={LITE: Limits(tpm=100), FLASH: Limits(rpd=1)}) as gemini:
        stand_still(gemini)
        ask(gemini, prompt="x" * 300)
        tokens = error_of(gemini, prompt="x" * 300)
        ask(gemini, model=FLASH)
        gemini.advance(3600)
        day = error_of(gemini, model=FLASH)
        gemini.advance(24 * 3600)
        ask(gemini, model=FLASH)

    def id_of(caught):
        return caught.details["error"]["details"][1]["violations"][0]["quotaId"]

    assert id_of(tokens) == "GenerateContentInputTokensPerModelPerMinute-FreeTier"
    assert id_of(day) == "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("503", 503),
        ("500", 500),
        ("429:minute", 429),
        ("day", 429),
        ("tokens", 429),
        ("limit-0", 429),
        ("no-details", 429),
        ("html-502", 502),
    ],
)
def test_a_scripted_error_comes_once(fault, code):
    with FakeGemini() as gemini:
        gemini.script.add(fault)

        assert error_of(gemini).code == code
        assert ask(gemini).text


def test_a_scripted_fault_may_be_for_one_model():
    with FakeGemini() as gemini:
        gemini.script.add("503", to=FLASH)

        assert ask(gemini, model=LITE).text
        assert error_of(gemini, model=FLASH).code == 503


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("safety", "SAFETY"),
        ("recitation", "RECITATION"),
        ("max-tokens", "MAX_TOKENS"),
        ("empty-text", "STOP"),
    ],
)
def test_an_answer_may_end_badly(fault, reason):
    with FakeGemini() as gemini:
        gemini.script.add(fault)

        assert ask(gemini).candidates[0].finish_reason.value == reason


def test_a_blocked_prompt_has_no_candidates():
    with FakeGemini() as gemini:
        gemini.script.add("blocked-prompt")
        answer = ask(gemini)

    assert answer.candidates is None
    assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY


def test_a_continuation_makes_the_library_send_again_unless_told_not_to():
    with FakeGemini() as gemini:
        gemini.script.add("continuation", "ok", "continuation")
        ask(gemini)
        sent = len(gemini.calls)
        ask(gemini, config={"automatic_continuation": False})

    assert (sent, len(gemini.calls)) == (2, 3)


@pytest.mark.parametrize("fault", ["reset", "close", "hang", "html-200"])
def test_the_line_may_break(fault):
    with FakeGemini() as gemini:
        gemini.script.add(fault)

        with pytest.raises(Exception) as caught:  # noqa: PT011 - httpx2's or json's: what matters is below
            ask(gemini, timeout=300)

    assert not isinstance(caught.value, errors.APIError)
    assert len(gemini.calls) == 1


def test_an_empty_answer_has_no_candidates():
    with FakeGemini() as gemini:
        gemini.script.add("empty-200", "list-200", "error-200")

        assert [ask(gemini).candidates for _ in range(3)] == [None, None, None]


@pytest.mark.slow
def test_an_instant_burst_over_threads_is_counted_whole():
    with FakeGemini(limits=Limits(rpm=100)) as gemini:
        threads = [
            threading.Thread(target=lambda: [post(gemini, body={}) for _ in range(10)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert gemini.max_in_window()[0] == 80
        assert gemini.violations() == []


def test_it_runs_as_a_process_and_tells_what_it_saw():
    command = [sys.executable, "-m", "tests.fakes.gemini"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        base = json.loads(process.stdout.readline())["url"]
        with requests.Session() as session:
            session.trust_env = False
            body = {"contents": [{"parts": [{"text": "a"}]}]}
            url = f"{base}/v1beta/models/{LITE}:generateContent?key=test-key"
            code = session.post(url, json=body, timeout=60).status_code
            told = session.get(base + "/__calls", timeout=60).json()
        process.terminate()

    assert code == 200
    assert told["calls"] == told["max_requests"] == 1
    assert told["by_status"] == {"200": 1}
    assert [one["status"] for one in told["requests"]] == [200]
