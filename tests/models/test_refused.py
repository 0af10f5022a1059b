"""What the servers of this world say of a setting they do not take."""

import pytest

from botticelli.models.base import PermanentError, Request, SettingRefused
from botticelli.models.refused import adapted, objection
from tests.contracts.model_contract import SCHEMA, user

# Who -> (status, its words, the setting that it names, what is left out).
SAID = {
    "OpenAI, reasoning": (400, "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.", "temperature", "temperature"),  # noqa: E501
    "OpenAI, ceiling": (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "max_tokens", "max_tokens"),  # noqa: E501
    "Azure": (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "", "max_tokens"),  # noqa: E501
    "OpenAI, o1-mini": (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model.", "messages[0].role", "system"),  # noqa: E501
    "OpenAI, schema": (400, "Invalid schema for response_format 'answer': In context=(), 'required' is required", "response_format", "json_schema"),  # noqa: E501
    "vLLM, extra": (400, "[{'type': 'extra_forbidden', 'loc': ('body', 'reasoning_effort'), 'msg': 'Extra inputs are not permitted'}]", "", "thinking"),  # noqa: E501
    "vLLM, roles": (400, "System role not supported", "", "system"),
    "vLLM, grammar": (400, "Grammar error: Unimplemented keys: [\"minItems\"]", "", "json_schema"),
    "LiteLLM": (400, "litellm.UnsupportedParamsError: openai does not support parameters: {'temperature': 0.2}, for model=o1", "", "temperature"),  # noqa: E501
    "LiteLLM, format": (400, "litellm.UnsupportedParamsError: ollama does not support parameters: ['response_format']", "", "json_schema"),  # noqa: E501
    "Groq": (400, "This model does not support response format `json_schema`. See supported models", "response_format", "json_schema"),  # noqa: E501
    "Groq, effort": (400, "`reasoning_effort` is not supported with this model", "", "thinking"),
    "Mistral": (422, "[{'type': 'extra_forbidden', 'loc': ['body', 'max_completion_tokens']}] max_tokens", "", "max_tokens"),  # noqa: E501
    "DeepSeek": (400, "This response_format type is unavailable now", "", "json_schema"),
    "xAI": (400, "Argument not supported on this model: reasoning_effort", "", "thinking"),
    "OpenRouter": (404, "No endpoints found that can handle the requested parameters.", "", "json_schema"),  # noqa: E501
    "llama.cpp": (400, "JSON schema conversion failed: Unrecognized schema", "", "json_schema"),
    "llama.cpp, template": (500, "Value is not callable: system role not supported", "", "system"),
    "Ollama": (400, '"llama3.2" does not support thinking', "", "thinking"),
    "Gemini, states": (400, "The specified schema produces a constraint that has too many states for serving.", "", "json_schema"),  # noqa: E501
    "Gemini, name": (400, 'Invalid JSON payload received. Unknown name "responseJsonSchema"', "", "json_schema"),  # noqa: E501
    "Gemini, no words": (400, "Request contains an invalid argument.", "", "json_schema"),
    "Gemma, system": (400, "Developer instruction is not enabled for models/gemma-3-27b-it", "", "system"),  # noqa: E501
    "Gemma, JSON": (400, "JSON mode is not enabled for models/gemma-3-27b-it", "", "json_schema"),
    "Gemini, thinking": (400, "Thinking level is not supported for this model.", "", "thinking"),
}  # fmt: skip


def full(**more):
    given = {"max_tokens": 100, "temperature": 0.7, "thinking": "low", "system": "Be kind."}
    return Request(model="m", messages=(user("Hello"),), schema=SCHEMA, **(given | more))


@pytest.mark.parametrize("who", SAID)
def test_the_setting_that_is_refused_is_known(who):
    status, words, param, setting = SAID[who]

    found = objection(full(), status, words, ceiling="max_tokens", param=param)

    assert isinstance(found, SettingRefused)
    assert found.setting == setting


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Your prompt was flagged by our usage policy"),
        (401, "temperature"),
        (429, "max_tokens: rate limit"),
        (503, "json_schema"),
        (400, "Failed to generate JSON. Please adjust your prompt. json_validate_failed"),
        (404, "The model `m` does not exist"),
    ],
)
def test_other_refusals_are_about_no_setting(status, words):
    assert objection(full(), status, words, ceiling="max_tokens") is None


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens",
        "'max_tokens' is too large: 8000. This model's maximum context length is 4096 tokens",
        "the request exceeds the available context size, try increasing it",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ],
)
def test_a_prompt_that_is_too_long_is_not_a_setting(words):
    found = objection(full(), 400, words, ceiling="max_tokens")
    assert isinstance(found, PermanentError)
    assert "num_ctx" in found.hint


def test_what_was_not_sent_was_not_refused():
    bare = Request(model="m", messages=(user("Hello"),))
    for status, words, param, _ in SAID.values():
        assert objection(bare, status, words, ceiling="", param=param) is None


def test_what_is_left_out_is_said_in_words_where_that_can_be():
    left_out = frozenset({"temperature", "thinking", "system", "json_schema"})

    request = adapted(full(without=left_out))

    assert (request.temperature, request.thinking, request.system) == (None, "", "")
    text = request.messages[0].text
    assert text.startswith("Be kind.\nHello\nAnswer with JSON alone")
    assert adapted(full()).messages[0].text == "Hello"


def test_half_characters_are_not_sent():
    request = adapted(Request(model="m", system="a\ud83d", messages=(user("b\udc80\0"),)))
    assert (request.system, request.messages[0].text) == ("a?", "b?")
