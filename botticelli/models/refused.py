"""Settings that a server takes no request with: told from its refusal, and left out from then on.

Sources: error answers of OpenAI and Azure (param, unsupported_parameter, unsupported_value), vLLM
(extra_forbidden, System role not supported), LiteLLM (UnsupportedParamsError), Groq, Mistral,
OpenRouter, xAI, DeepSeek, llama.cpp (grammar, templates), Ollama (does not support thinking) and
Gemini (too many states, Unknown name, is not enabled for, is not supported).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from botticelli.models.base import (
    Message,
    ModelError,
    Part,
    PermanentError,
    Request,
    SettingRefused,
)
from botticelli.models.prompts import plain
from botticelli.text import storable

# What is left out in turn where a server takes no schema: then it is asked for in words.
SCHEMA: Final = ("json_schema", "json_object")
_NAMES: Final = {
    "max_completion_tokens": r"max_completion_tokens",
    "max_tokens": r"\bmax_tokens\b|max_?output_?tokens",
    "temperature": r"temperature",
    "thinking": r"reasoning[_ .]?effort|thinking|reasoning",
    "system": r"(?:system|developer)['\"`]? (?:role|message|instruction|prompt)|system_?instruction"
    r"|role[^.]{0,40}['\"`]?system|roles must alternate",
    **dict.fromkeys(
        SCHEMA,
        r"json[_ ]?(?:schema|object|mode)|response_?(?:format|schema|mime_?type)|schema|structured"
        r"|grammar|too many states|\bformat\b",
    ),
}
_CONTEXT: Final = re.compile(
    r"context[_ ](?:length|window|size)|maximum context|prompt is too long|input token count"
    r"|too many (?:input )?tokens|exceeds? the (?:available|maximum) (?:context|number of)",
    re.IGNORECASE,
)
# The model has failed at the schema this time; the schema itself is taken.
_FAILED_ONCE: Final = re.compile(r"json_validate_failed|failed to generate json", re.IGNORECASE)
_UNNAMED: Final = re.compile(
    r"invalid argument|requested parameters|unsupported parameter|no reason given|bad request"
    r"|drop_params",
    re.IGNORECASE,
)
_STATUSES: Final = frozenset((400, 404, 413, 415, 422, 500, 501))
WINDOW: Final = (
    "raise the server's window (Ollama: num_ctx, llama.cpp: -c), shorten the inputs, or lower"
    " curate.batch"
)


def _sent(request: Request, ceiling: str) -> Iterator[str]:
    """Yield the settings that a request is sent with."""
    if request.max_tokens is not None and ceiling:
        yield ceiling
    if request.temperature is not None and "temperature" not in request.without:
        yield "temperature"
    if request.thinking and "thinking" not in request.without:
        yield "thinking"
    if request.system and "system" not in request.without:
        yield "system"
    if request.schema is not None:
        yield from (form for form in reversed(SCHEMA) if form not in request.without)


def objection(
    request: Request, status: int, words: str, *, ceiling: str, param: str = ""
) -> ModelError | None:
    """Return what of `request` a refusal is about, a setting or its length; None: something else.

    `ceiling`: What max_tokens is called in the request; empty if it is not sent.

    A refusal that names nothing is taken to mean the schema, if there is one: it is remembered
    only if the server answers without it.
    """
    if status not in _STATUSES or _FAILED_ONCE.search(words):
        return None
    if _CONTEXT.search(words):
        what = f"the prompt is too long for this model: {words}"
        return PermanentError(what, where=f"model {request.model}", hint=WINDOW)
    settings = list(_sent(request, ceiling))
    for said in (param, words):
        for name in settings:
            if said and re.search(_NAMES[name], said, re.IGNORECASE):
                return _refused(request, settings, name, words)
    form = next((name for name in SCHEMA if name in settings), "")
    is_unnamed = status in {400, 404, 422} and _UNNAMED.search(words)
    return _refused(request, settings, form, words) if form and is_unnamed else None


def _refused(request: Request, settings: list[str], name: str, words: str) -> SettingRefused:
    if name in SCHEMA:  # both are called response_format
        name = next(form for form in SCHEMA if form in settings)
    return SettingRefused(
        f"the server takes no {name}: {words}", where=f"model {request.model}", setting=name
    )


def adapted(request: Request) -> Request:
    """Return a request without what its server refuses, said in words where that can be.

    Half characters, which no JSON can carry, are question marks.
    """
    left_out = request.without
    messages = tuple(replace(m, parts=tuple(map(_whole, m.parts))) for m in request.messages)
    if request.schema is not None and "json_schema" in left_out:
        schema = json.dumps(plain(request.schema), ensure_ascii=False)
        words = f"Answer with JSON alone, that keeps to this JSON Schema:\n{schema}"
        last = messages[-1]
        messages = (*messages[:-1], replace(last, parts=(*last.parts, Part(text=words))))
    if request.system and "system" in left_out:
        first = messages[0] if messages else Message(role="user", parts=())
        first = replace(first, parts=(Part(text=storable(request.system)), *first.parts))
        messages = (first, *messages[1:])
    return replace(
        request,
        messages=messages,
        system="" if "system" in left_out else storable(request.system),
        temperature=None if "temperature" in left_out else request.temperature,
        thinking="" if "thinking" in left_out else request.thinking,
    )


def _whole(part: Part) -> Part:
    return part if part.text is None else replace(part, text=storable(part.text))
