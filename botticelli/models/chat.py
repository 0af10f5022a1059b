"""The chat-completions form of a request and of an answer, as many servers speak it."""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from botticelli.models.base import (
    Finish,
    Message,
    Part,
    PermanentError,
    Reply,
    Request,
    Usage,
    cached_tokens,
)
from botticelli.text import mapped

_FINISHES = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "eos_token": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "end_turn": Finish.STOP,
    "length": Finish.LENGTH,
    "content_filter": Finish.BLOCKED,
}
MP3: Final = frozenset(("audio/mpeg", "audio/mp3"))


def body_of(request: Request) -> dict[str, Any]:
    """Return messages, temperature and response format; the token ceiling is the caller's.

    Raises:
        PermanentError: A part has no form in this protocol.
    """
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages += [{"role": m.role, "content": _content(m)} for m in request.messages]
    body: dict[str, Any] = {"messages": messages}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.schema is not None:
        schema = {"name": "answer", "schema": plain(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def reply_of(answer: Mapping[str, Any]) -> Reply | None:
    """Return the first choice of an answer; None if it has none."""
    choices = answer.get("choices")
    if not choices:
        return None
    message = choices[0].get("message") or {}
    detail = str(choices[0].get("finish_reason") or "")
    refused = message.get("refusal")
    return Reply(
        text=_said(message.get("content")),
        finish=Finish.BLOCKED if refused else _FINISHES.get(detail, Finish.OTHER),
        finish_detail="refusal" if refused else detail,
        usage=_usage(answer.get("usage")),
        model_version=str(answer.get("model") or ""),
        request_id=str(answer.get("id") or ""),
    )


# What a reasoning model thinks aloud where its server does not set it apart; the opening mark may
# stand in the prompt's template. Without an end there is no answer.
_THOUGHTS = re.compile(
    r"\A\s*(?:<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|(?:(?!<think).)*?</think>)\s*", re.DOTALL
)


def _said(content: Any) -> str:
    """Return the text of an answer: some servers give it in pieces, thoughts among them."""
    if isinstance(content, list):
        pieces = [one for one in content if isinstance(one, Mapping)]
        content = "".join(
            str(one.get("text") or "")
            for one in pieces
            if one.get("type") in {"text", "output_text"}
        )
    return _THOUGHTS.sub("", str(content or ""))


def _usage(told: Mapping[str, Any] | None) -> Usage | None:
    if not told or told.get("prompt_tokens") is None:
        return None
    details = told.get("prompt_tokens_details") or {}
    thoughts = (told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    output = told.get("completion_tokens") or 0
    return Usage(
        input=told["prompt_tokens"],
        # OpenAI and its kin; Moonshot; DeepSeek; gateways to Anthropic
        cached=cached_tokens(
            details.get("cached_tokens"),
            told.get("cached_tokens"),
            told.get("prompt_cache_hit_tokens"),
            told.get("cache_read_input_tokens"),
            sent=told["prompt_tokens"],
        ),
        output=output - thoughts if output >= thoughts else output,  # some count them apart
        thoughts=thoughts,
    )


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Return plain text where it is only that: small servers know no other form."""
    if all(part.text is not None for part in message.parts):
        return message.text
    return [_part(part) for part in message.parts]


def _part(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    mime = part.mime or ""
    encoded = base64.b64encode(part.data or b"").decode()
    inline = f"data:{mime};base64,{encoded}"
    if part.data is not None and mime.startswith("audio/"):
        form = "mp3" if mime in MP3 else mime.removeprefix("audio/").removeprefix("x-")
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": form}}
    if part.data is not None and mime.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": inline}}
    if part.data is not None and mime == "application/pdf":
        return {"type": "file", "file": {"filename": "document.pdf", "file_data": inline}}
    if part.data is not None and (mime.startswith("text/") or mime == "application/json"):
        return {"type": "text", "text": part.data.decode(errors="replace")}
    raise PermanentError(
        f"an OpenAI-compatible model takes no {mime or 'such part'}",
        where="chat completions",
        hint="use a gemini-* model for it",
    )


def plain(value: Any) -> Any:
    """Return a schema as dicts and lists, which is all that JSON can hold."""
    return mapped(value, lambda one: one)
