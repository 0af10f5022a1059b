"""A request as text: for people, and for digests."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from botticelli.models.base import Message, Part, Request
from botticelli.text import mapped


def readable(request: Request) -> str:
    """Return what is asked as a person would read it; bytes are named, not shown."""
    turns = [f"[system]\n{request.system}"] if request.system else []
    alone = len(request.messages) == 1 and not turns
    for message in request.messages:
        text = "\n".join(_part_text(part) for part in message.parts)
        turns.append(text if alone else f"[{message.role}]\n{text}")
    return "\n\n".join(turns)


def digest(request: Request, *, models: Sequence[str]) -> str:
    """Return a sha256 over all that decides the answer: whoever asks the same may reuse it."""
    facts = {
        "models": list(models),
        "system": request.system,
        "messages": [[m.role, *(_part_facts(part) for part in m.parts)] for m in request.messages],
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "schema": request.schema,
        "thinking": request.thinking,
    }
    if request.image is not None:
        facts["image"] = vars(request.image)
    written = json.dumps(facts, sort_keys=True, ensure_ascii=False, default=dict)
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()


def last_user_text(messages: Sequence[Message]) -> str:
    """Return the text of the newest message of the user; empty if there is none."""
    return next((m.text for m in reversed(messages) if m.role == "user"), "")


def plain(value: Any) -> Any:
    """Return a schema as dicts and lists, which is all that JSON can hold."""
    return mapped(value, lambda one: one)


def _part_text(part: Part) -> str:
    if part.text is not None:
        return part.text
    if part.data is not None:
        return f"[{part.mime}, {len(part.data)} bytes]"
    return f"[{part.mime or 'file'} at {part.uri}]"


def _part_facts(part: Part) -> list[str | None]:
    data = hashlib.sha256(part.data).hexdigest() if part.data is not None else None
    return [part.text, data, part.uri, part.mime]
