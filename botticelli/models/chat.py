"""The chat-completions form of a request and of an answer, as many servers speak it."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from botticelli.models.base import Finish, Message, Part, PermanentError, Reply, Request, Usage
from botticelli.models.prompts import plain
from botticelli.models.refused import adapted
from botticelli.models.thoughts import without_thoughts
from botticelli.models.usage import cached_tokens, count

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

    Settings that the server refuses are left out.

    Raises:
        PermanentError: A part has no form in this protocol.
    """
    request = adapted(request)
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages += [{"role": m.role, "content": _content(m)} for m in request.messages]
    body: dict[str, Any] = {"messages": messages}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.thinking:
        body["reasoning_effort"] = request.thinking
    if request.schema is not None and "json_schema" not in request.without:
        schema = {"name": "answer", "schema": plain(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.schema is not None and "json_object" not in request.without:
        body["response_format"] = {"type": "json_object"}
    return body


def reply_of(answer: Any) -> Reply | None:
    """Return the first choice of an answer; None if it has none."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        return None
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    detail = str(choice.get("finish_reason") or "")
    refused = message.get("refusal")
    return Reply(
        text=_said(message.get("content")),
        finish=Finish.BLOCKED if refused else _FINISHES.get(detail, Finish.OTHER),
        finish_detail="refusal" if refused else detail,
        usage=_usage(answer.get("usage")),
        model_version=str(answer.get("model") or ""),
        request_id=str(answer.get("id") or ""),
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
    return without_thoughts(content) if isinstance(content, str) else ""


def _usage(told: Any) -> Usage | None:
    facts = told if isinstance(told, Mapping) else {}
    read = count(facts.get("prompt_tokens"))
    if read is None:
        return None

    def detail(within: str, name: str) -> Any:
        inner = facts.get(within)
        return inner.get(name) if isinstance(inner, Mapping) else None

    thoughts = count(detail("completion_tokens_details", "reasoning_tokens")) or 0
    output = count(facts.get("completion_tokens")) or 0
    return Usage(
        input=read,
        # OpenAI and its kin; Moonshot; DeepSeek; gateways to Anthropic
        cached=cached_tokens(
            detail("prompt_tokens_details", "cached_tokens"),
            facts.get("cached_tokens"),
            facts.get("prompt_cache_hit_tokens"),
            facts.get("cache_read_input_tokens"),
            sent=read,
        ),
        output=output - thoughts if output >= thoughts else output,  # some count them apart
        thoughts=thoughts,
    )


def parsed(body: str) -> Any:
    """Return an answer as its server wrote it: one object, or a stream that nobody asked for.

    Raises:
        ValueError: It is neither.
    """
    lines = [line.strip().removeprefix("data:").strip() for line in body.splitlines()]
    if not body.lstrip().startswith(("data:", "event:", ":")):
        return json.loads(body)
    events = [json.loads(line) for line in lines if line.startswith("{")]
    if not events:
        raise ValueError("a stream without events")
    whole, text, finish = dict(events[-1]), "", None
    for event in events:
        whole |= {name: event[name] for name in ("error", "usage") if event.get(name)}
        for choice in (event.get("choices") or [])[:1]:
            said = choice.get("delta") or choice.get("message") or {}
            text += said.get("content") or ""
            finish = choice.get("finish_reason") or finish
    return whole | {"choices": [{"message": {"content": text}, "finish_reason": finish}]}


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
