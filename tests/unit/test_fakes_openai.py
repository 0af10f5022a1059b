"""The fake OpenAI server keeps the published protocol, as OpenAI's own library sees it."""

import json

import jsonschema
import openai
import pytest

from tests.fakes.openai import FakeOpenAI

SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["calm", "wild"]},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["score", "mood"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "post", "strict": True, "schema": SCHEMA}}


def client_of(server, *, key="test-key", timeout=60.0):
    return openai.OpenAI(
        api_key=key,
        base_url=server.url + "/v1",
        max_retries=0,
        timeout=timeout,
    )


def ask(server, *, prompt="Say hello", model="test-model", timeout=60.0, **more):
    messages = [{"role": "user", "content": prompt}]
    with client_of(server, timeout=timeout) as client:
        return client.chat.completions.create(model=model, messages=messages, **more)


def test_the_same_prompt_gets_the_same_text_with_usage_that_adds_up():
    with FakeOpenAI() as server:
        first, again = ask(server), ask(server)

    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens
    assert first.id != again.id


def test_structured_output_satisfies_its_schema_and_json_mode_is_json():
    with FakeOpenAI() as server:
        made = ask(server, response_format=FORMAT).choices[0].message.content
        loose = ask(server, response_format={"type": "json_object"}).choices[0].message.content

    jsonschema.validate(json.loads(made), SCHEMA)
    assert isinstance(json.loads(loose), dict)


def test_max_tokens_cuts_and_says_so():
    with FakeOpenAI() as server:
        choice = ask(server, max_tokens=3).choices[0]

    assert (choice.finish_reason, len(choice.message.content)) == ("length", 12)


def test_a_wrong_key_an_unknown_model_and_a_wrong_argument_are_refused():
    with FakeOpenAI() as server:
        with client_of(server, key="other") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        with pytest.raises(openai.NotFoundError) as unknown:
            ask(server, model="gpt-9")
        with pytest.raises(openai.BadRequestError):
            ask(server, extra_body={"grammar": "x"})
        with pytest.raises(openai.BadRequestError):
            ask(server, response_format={"type": "json_schema", "json_schema": {"name": "x"}})

    assert unknown.value.code == "model_not_found"


def test_a_local_server_needs_no_key_and_takes_its_own_arguments():
    with FakeOpenAI(key=None, strict=False) as server:
        assert ask(server, extra_body={"grammar": "x"}).choices


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("429:quota", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("html-502", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
        ("close", openai.APIConnectionError),
        ("hang", openai.APITimeoutError),
    ],
)
def test_a_scripted_fault_comes_once(fault, error):
    with FakeOpenAI() as server:
        server.script.add(fault)

        with pytest.raises(error):
            ask(server, timeout=0.5)
        assert ask(server).choices


@pytest.mark.parametrize(
    ("fault", "reason", "content"),
    [
        ("content-filter", "content_filter", ""),
        ("empty-text", "stop", ""),
        ("refusal", "stop", None),
    ],
)
def test_an_answer_may_end_badly(fault, reason, content):
    with FakeOpenAI() as server:
        server.script.add(fault)
        choice = ask(server).choices[0]

    assert (choice.finish_reason, choice.message.content) == (reason, content)


def test_usage_may_be_missing():
    with FakeOpenAI() as server:
        server.script.add("no-usage")

        assert ask(server).usage is None
