"""Which models there are and which request bodies they accept."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.gemini_errors import Refusal, unknown_field

Body = Mapping[str, Any]

_ALL = ("MINIMAL", "LOW", "MEDIUM", "HIGH")


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a model accepts; `levels` is empty where only a thinking budget is known."""

    name: str
    levels: tuple[str, ...] = _ALL
    level: str = "MEDIUM"  # when nothing is asked for
    draws: bool = False  # pictures, and then no JSON by a schema
    knobs_ignored: bool = False  # temperature, topP, topK: from 3.6 on silently without effect


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(name="gemini-2.5-pro", levels=()),
        Model(name="gemini-2.5-flash", levels=()),
        Model(name="gemini-2.5-flash-lite", levels=(), level="MINIMAL"),
        Model(name="gemini-3.1-flash-lite", level="MINIMAL"),
        Model(name="gemini-3.1-pro-preview", levels=_ALL[1:], level="HIGH"),
        Model(name="gemini-3.5-flash"),
        Model(name="gemini-3.5-flash-lite", level="MINIMAL"),
        Model(name="gemini-3.6-flash", knobs_ignored=True),
        Model(name="gemini-3.7-flash", levels=_ALL[1:], knobs_ignored=True),
        Model(name="gemini-3.8-flash", levels=_ALL[1:], knobs_ignored=True),
        Model(name="gemini-nano-banana-2.1", draws=True, knobs_ignored=True),
        Model(name="gemini-3-pro-image", draws=True, knobs_ignored=True),
        Model(name="gemini-4-argon", levels=(*_ALL, "XHIGH"), knobs_ignored=True),
    )
}
IMAGE_TOKENS = {"1K": 1120, "2K": 1680, "4K": 2520}
_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
RETIRED = ("gemini-1.", "gemini-2.0-", "gemini-pro")  # 404 since 2026-06-01 at the latest
ROUTED_FROM_DECEMBER: Mapping[str, str] = {  # 2026-12-01: served and billed as another model
    "gemini-2.5-pro": "gemini-3.8-flash",
    "gemini-2.5-flash": "gemini-3.5-flash-lite",
}
ALIASES: Mapping[str, str] = {  # on v1beta only
    "gemini-flash-latest": "gemini-3.8-flash",
    "gemini-flash-lite-latest": "gemini-3.5-flash-lite",
}

_TOP = frozenset(
    [
        "contents",
        "systemInstruction",
        "generationConfig",
        "safetySettings",
        "tools",
        "toolConfig",
        "cachedContent",
        "serviceTier",
        "store",
        "continuationToken",
        "model",
    ]
)
_CONFIG = frozenset(
    [
        "temperature",
        "topP",
        "topK",
        "candidateCount",
        "maxOutputTokens",
        "stopSequences",
        "responseLogprobs",
        "logprobs",
        "presencePenalty",
        "frequencyPenalty",
        "seed",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "mediaResolution",
        "speechConfig",
        "thinkingConfig",
        "imageConfig",
        "enableEnhancedCivicAnswers",
        "outputConfig",
        "responseFormat",
    ]
)
_PARTS = frozenset(
    [
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
    ]
)
_PART_EXTRAS = frozenset(
    [
        "thought",
        "thoughtSignature",
        "videoMetadata",
        "mediaResolution",
        "partMetadata",
        "mediaProcessing",
    ]
)
_THINKING = frozenset(("includeThoughts", "thinkingBudget", "thinkingLevel"))
_MIME_TYPES = frozenset(("text/plain", "application/json", "text/x.enum"))
_TIERS = frozenset(("unspecified", "flex", "standard", "priority"))
_CATEGORIES = frozenset(
    f"HARM_CATEGORY_{name}"
    for name in (
        ["HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY"]
    )
)
_THRESHOLDS = frozenset(
    [
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
        "BLOCK_NONE",
        "BLOCK_ONLY_HIGH",
        "BLOCK_MEDIUM_AND_ABOVE",
        "BLOCK_LOW_AND_ABOVE",
        "OFF",
    ]
)


def find_model(name: str, *, version: str, method: str) -> Model:
    """Return the model of that name; Refusal 404 if it is unknown or retired."""
    asked = ALIASES.get(name, name) if version == "v1beta" else name
    if model := MODELS.get(asked):
        return model
    if name.startswith(RETIRED):
        raise Refusal(
            f"This model models/{name} is no longer available. Please update your code to use a "
            "newer model for the latest features and improvements.",
            status=404,
        )
    raise Refusal(
        f"models/{name} is not found for API version {version}, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods.",
        status=404,
    )


def camel(value: Any) -> Any:
    """Return a body with its own keys in lowerCamelCase: protobuf JSON takes both spellings.

    What stands below a schema or a function's arguments belongs to the caller and stays.
    """
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _camel(key): item if _camel(key) in _FOREIGN else camel(item) for key, item in value.items()
    }


_FOREIGN = frozenset(
    ("responseSchema", "responseJsonSchema", "functionCall", "functionResponse", "tools")
)


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


def check_generate(body: Any, model: Model) -> None:
    """Raise Refusal unless the body is a GenerateContentRequest that this model accepts."""
    if not isinstance(body, dict):
        raise Refusal(
            'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        )
    _only(body, _TOP, within="")
    check_contents(body.get("contents"))
    if system := body.get("systemInstruction"):
        _content(system, at="system_instruction")
    _safety(body.get("safetySettings") or [])
    if str(body.get("serviceTier", "standard")).lower() not in _TIERS:
        raise Refusal(f"Invalid value at 'service_tier': {body['serviceTier']!r}")
    _config(body.get("generationConfig") or {}, model)


def check_contents(contents: Any) -> None:
    """Raise Refusal unless there are contents with known roles and non-empty parts."""
    if not contents:
        raise Refusal("* GenerateContentRequest.contents: contents is not specified\n")
    if not isinstance(contents, list):
        contents = [contents]
    for place, content in enumerate(contents):
        _content(content, at=f"contents[{place}]")
    if len(contents) == 1 and contents[0].get("role") == "model":
        raise Refusal(
            "Please ensure that single turn requests end with a user role or the role field is "
            "empty."
        )


def _only(value: Any, known: Iterable[str], *, within: str) -> None:
    if not isinstance(value, dict):
        raise Refusal(f"Invalid value at '{within}' (type.googleapis.com), {value!r}")
    for name in value:
        if name not in known:
            raise unknown_field(name, within=within)


def _content(content: Any, *, at: str) -> None:
    _only(content, ("role", "parts"), within=at)
    if content.get("role", "user") not in {"user", "model", "function", "system"}:
        raise Refusal("Please use a valid role: user, model.")
    parts = content.get("parts")
    if not parts:
        raise Refusal(f"* GenerateContentRequest.{at}.parts: contents.parts must not be empty.\n")
    for place, part in enumerate(parts if isinstance(parts, list) else [parts]):
        _part(part, at=f"{at}.parts[{place}]")


def _part(part: Any, *, at: str) -> None:
    _only(part, _PARTS | _PART_EXTRAS, within=at)
    given = [name for name in part if name in _PARTS]
    if not given:
        raise Refusal(
            f"* GenerateContentRequest.{at}.data: required oneof field 'data' must have one "
            "initialized field\n"
        )
    if len(given) > 1:
        raise Refusal(
            f"Invalid value at '{at}' (oneof), oneof field 'data' is already set. Cannot set "
            f"'{given[1]}'"
        )
    if "text" in part and not isinstance(part["text"], str):
        raise Refusal(f"Invalid value at '{at}.text' (TYPE_STRING), {part['text']!r}")
    if "inlineData" in part:
        _inline(part["inlineData"], at=f"{at}.inline_data")


def _inline(blob: Any, *, at: str) -> None:
    _only(blob, ("mimeType", "data", "displayName"), within=at)
    if not blob.get("mimeType"):
        raise Refusal("Unable to process input image. Please specify a mime type.")
    try:
        text = str(blob.get("data", ""))
        base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        raise Refusal(
            f"Invalid value at '{at}.data' (TYPE_BYTES), Base64 decoding failed"
        ) from None


def _safety(settings: Any) -> None:
    for place, setting in enumerate(settings):
        at = f"safety_settings[{place}]"
        _only(setting, ("category", "threshold", "method"), within=at)
        for key, known in (("category", _CATEGORIES), ("threshold", _THRESHOLDS)):
            if setting.get(key) not in known:
                raise Refusal(f"Invalid value at '{at}.{key}': {setting.get(key)!r}")


def _config(config: Any, model: Model) -> None:
    _only(config, _CONFIG, within="generation_config")
    if config.get("candidateCount", 1) != 1:
        raise Refusal("Multiple candidates is not enabled for this model")
    if config.get("responseLogprobs") or config.get("logprobs"):
        raise Refusal(f"Logprobs is not enabled for models/{model.name}")
    if "maxOutputTokens" in config and not _whole(config["maxOutputTokens"], least=1):
        raise Refusal("max_output_tokens must be positive.")
    _drawing(config, model)
    _sampling(config, model)
    _schema(config)
    _thinking(config.get("thinkingConfig") or {}, model)


def _whole(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _drawing(config: Body, model: Model) -> None:
    wanted = {str(kind).upper() for kind in config.get("responseModalities", ())}
    if "IMAGE" in wanted and not model.draws:
        raise Refusal("This model does not support the requested response modalities: image")
    if model.draws and "responseJsonSchema" in config:
        raise Refusal("JSON mode is not enabled for this model")
    shape = config.get("imageConfig") or {}
    _only(shape, ("aspectRatio", "imageSize"), within="generation_config.image_config")
    if shape.get("aspectRatio", "1:1") not in _RATIOS:
        raise Refusal(f"Invalid value at 'image_config.aspect_ratio': {shape['aspectRatio']!r}")
    if shape.get("imageSize", "1K") not in IMAGE_TOKENS:
        raise Refusal(f"Invalid value at 'image_config.image_size': {shape['imageSize']!r}")


def _sampling(config: Body, model: Model) -> None:
    if model.knobs_ignored:
        return
    for key, most in (("temperature", 2), ("topP", 1)):
        value = config.get(key, 0)
        if not isinstance(value, int | float) or not 0 <= value <= most:
            raise Refusal(
                f"* GenerateContentRequest.generation_config.{key}: must be in [0, {most}]\n"
            )


def _schema(config: Body) -> None:
    kind = config.get("responseMimeType", "text/plain")
    if kind not in _MIME_TYPES:
        raise Refusal(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are "
            "`text/plain`, `application/json`, `application/xml`, `application/yaml` and "
            "`text/x.enum`.\n"
        )
    given = [key for key in ("responseSchema", "responseJsonSchema") if key in config]
    if len(given) == 2:
        raise Refusal("response_schema and response_json_schema cannot both be set")
    if given and kind == "text/plain":
        raise Refusal(
            f"* GenerateContentRequest.generation_config.{given[0]}: only allowed when "
            "response_mime_type is `application/json`.\n"
        )
    if given and not isinstance(config[given[0]], dict):
        raise Refusal(f"Invalid value at 'generation_config.{given[0]}'")


def _thinking(thinking: Any, model: Model) -> None:
    _only(thinking, _THINKING, within="generation_config.thinking_config")
    level = str(thinking.get("thinkingLevel", "THINKING_LEVEL_UNSPECIFIED")).upper()
    asked = level != "THINKING_LEVEL_UNSPECIFIED"
    if asked and "thinkingBudget" in thinking:
        raise Refusal("You can only set only one of thinking budget and thinking level.")
    if asked and not model.levels:
        raise Refusal("Thinking level is not supported for this model.")
    if asked and level not in model.levels:
        raise Refusal(
            f"Thinking level {level} is not supported for this model. Please retry with other "
            "thinking level."
        )
    if thinking.get("thinkingBudget") == 0 and model.name == "gemini-2.5-pro":
        raise Refusal("Budget 0 is invalid. This model only works in thinking mode.")
