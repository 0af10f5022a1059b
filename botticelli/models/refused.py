"""Settings that a server takes no request with: told from its refusal, and left out from then on.

Sources: error answers of OpenAI and Azure (param, unsupported_parameter, unsupported_value), vLLM
(extra_forbidden, System role not supported), LiteLLM (UnsupportedParamsError), Groq, Mistral,
OpenRouter, xAI, DeepSeek, llama.cpp (grammar, templates), Ollama (does not support thinking) and
Gemini (too many states, Unknown name, is not enabled for, is not supported).
"""

import json
import re
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
    "response_format": r"response_format",
    "quality": r"\bquality\b",
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


def objection(
    request: Request, status: int, words: str, *, ceiling: str, param: str = ""
) -> ModelError | None:
    """Return what of `request` a refusal is about, a setting or its length; None: something else.

    A refusal that names nothing is taken to mean the schema, if there is one: it is remembered
    only if the server answers without it. `ceiling` is what max_tokens is called in the request,
    empty if it is not sent; `param` the setting that the server names, if it does.
    """
    if status not in _STATUSES or _FAILED_ONCE.search(words):
        return None
    where = f"model {request.model}"
    if _CONTEXT.search(words):
        what = f"the prompt is too long for this model: {words}"
        return PermanentError(what, where=where, hint=WINDOW)
    image = request.image
    sent = {
        "response_format": None if image is None else "",
        "quality": None if image is None else image.quality or None,
        ceiling: request.max_tokens,
        "temperature": request.temperature,
        "thinking": request.thinking or None,
        "system": request.system or None,
        **dict.fromkeys(SCHEMA, request.schema),
    }
    names = [name for name, value in sent.items() if name and value is not None]
    names = [name for name in names if name not in request.without]
    found = (
        name
        for text in (param, words)
        for name in names
        if text and re.search(_NAMES[name], text, re.IGNORECASE)
    )
    is_unnamed = status in {400, 404, 422} and _UNNAMED.search(words)
    name = next(found, SCHEMA[0] if is_unnamed else "")
    if name in SCHEMA:  # both are called response_format
        name = next((form for form in SCHEMA if form in names), "")
    what = f"the server takes no {name}: {words}"
    return SettingRefused(what, where=where, setting=name) if name else None


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
