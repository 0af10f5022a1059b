"""What a model would say: the text, how it ended and what it cost in tokens."""

import base64
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.gemini_rules import IMAGE_TOKENS, Model
from tests.fakes.pictures import png, spoiled
from tests.fakes.schema_values import text_for, value_for

_THOUGHTS = {"MINIMAL": 0, "LOW": 24, "MEDIUM": 96, "HIGH": 256, "XHIGH": 512}
_IMAGE_TOKENS = 258
CACHED_FROM = 4096  # tokens of a common beginning, as Gemini 3 has it; OpenAI: 1,024
_BLOCK = 128  # tokens; what is cached is a whole number of blocks
_HARMLESS = [
    {"category": f"HARM_CATEGORY_{name}", "probability": "NEGLIGIBLE"}
    for name in ("SEXUALLY_EXPLICIT", "HATE_SPEECH", "HARASSMENT", "DANGEROUS_CONTENT")
]
_ids = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One generateContent request, as recorded and as handed to a responder."""

    number: int
    arrived: float  # monotonic seconds
    wall: float  # Unix seconds
    model: str  # as asked for
    served: str  # as answered by
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    prompt: str
    prompt_tokens: int
    fault: str = ""
    status: int = 0

    @property
    def config(self) -> Mapping[str, Any]:
        """The generationConfig, empty if none was sent."""
        return self.body.get("generationConfig") or {}

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The schema asked for in either spelling."""
        return self.config.get("responseJsonSchema") or self.config.get("responseSchema")


Responder = Callable[[Call], Any]


def default_responder(call: Call) -> Any:
    """Return what the prompt alone decides: a value for a schema, else a short text."""
    seed = f"{call.served}\n{call.prompt}"
    return text_for(seed) if call.schema is None else value_for(call.schema, seed=seed)


def varying_responder(call: Call) -> Any:
    """Return another answer each time, as a model does that is asked the same again."""
    seed = f"{call.number}\n{call.prompt}"
    return text_for(seed) if call.schema is None else value_for(call.schema, seed=seed)


def tokens_in(text: str) -> int:
    """Return Google's rule of thumb: four bytes a token, at least one."""
    return max(1, -(-len(text.encode(errors="replace")) // 4))


def prompt_of(body: Mapping[str, Any]) -> tuple[str, int]:
    """Return all the text of a request, system instruction first, and its tokens with images."""
    contents = body.get("contents") or []
    contents = contents if isinstance(contents, list) else [contents]
    texts, images = [], 0
    for content in (
        [body["systemInstruction"]] if body.get("systemInstruction") else []
    ) + contents:
        parts = content.get("parts") or [] if isinstance(content, dict) else []
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, dict):
                texts.append(str(part.get("text", "")))
                images += "inlineData" in part or "fileData" in part
    text = "\n".join(texts)
    return text, tokens_in(text) + images * _IMAGE_TOKENS


def thoughts_of(call: Call, model: Model) -> int:
    """Return how many tokens this model thinks at the level or budget asked for."""
    thinking = call.config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and not model.levels:
        budget = int(thinking["thinkingBudget"])
        return _THOUGHTS["MEDIUM"] if budget < 0 else min(budget, _THOUGHTS["HIGH"])
    level = str(thinking.get("thinkingLevel", model.level)).upper()
    return _THOUGHTS.get(level, _THOUGHTS[model.level])


class Prefixes:
    """Remembers beginnings of prompts, block by block: the implicit cache.

    Args:
        least: Tokens of a common beginning that are worth remembering.
    """

    def __init__(self, least: int = CACHED_FROM) -> None:
        self._least = least
        self._seen: set[bytes] = set()

    def cached(self, prompt: str) -> int:
        """Return the tokens of a beginning that was sent before, and remember this one."""
        data, digest, found = prompt.encode(errors="replace"), hashlib.sha256(), 0
        for end in range(_BLOCK * 4, len(data) + 1, _BLOCK * 4):
            digest.update(data[end - _BLOCK * 4 : end])
            if digest.digest() in self._seen:
                found = end // 4
            self._seen.add(digest.digest())
        return found if found >= self._least else 0


def respond(call: Call, model: Model, *, said: Any, cached: int) -> dict[str, Any]:
    """Return the GenerateContentResponse for what a responder said and for the fault in play."""
    if isinstance(said, dict) and ({"candidates", "promptFeedback"} & said.keys()):
        return {**_frame(call), "usageMetadata": _usage(call, 0, 0, cached), **said}
    if call.fault == "blocked-prompt":
        feedback = {"promptFeedback": {"blockReason": "SAFETY"}}
        return {**feedback, "usageMetadata": _usage(call, 0, 0, 0), **_frame(call)}
    if "IMAGE" in call.config.get("responseModalities", ()):
        return _drawing(call)
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    candidate, spent, thought = _candidate(call, said=text, thoughts=thoughts_of(call, model))
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(call, spent, thought, cached),
        **_frame(call),
    }


def _drawing(call: Call) -> dict[str, Any]:
    """Return an answer with a picture: thoughts with a draft, words, the picture; or why none."""
    kinds = {"no-image": "NO_IMAGE", "image-safety": "IMAGE_SAFETY", "text-only": "STOP"}
    usage = _usage(call, 0, 0, 0)
    if call.fault in kinds:
        parts = [{"text": "I cannot draw that."}] if call.fault == "text-only" else []
    else:
        size = str((call.config.get("imageConfig") or {}).get("imageSize", "1K"))
        tokens = IMAGE_TOKENS[size]
        usage |= {"candidatesTokenCount": tokens + 4, "thoughtsTokenCount": 20}
        usage["candidatesTokensDetails"] = [
            {"modality": "IMAGE", "tokenCount": tokens},
            {"modality": "TEXT", "tokenCount": 4},
        ]
        draft, final = png("draft"), spoiled(call.fault, call.prompt)
        parts = [
            {"text": "Thinking.", "thought": True},
            {"inlineData": {"mimeType": "image/png", "data": _b64(draft)}, "thought": True},
            {"text": "Here it is."},
            {"inlineData": {"mimeType": "image/png", "data": _b64(final)}},
        ]
    content = {"content": {"parts": parts, "role": "model"}} if parts else {}
    candidate = {**content, "finishReason": kinds.get(call.fault, "STOP"), "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, **_frame(call)}


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _frame(call: Call) -> dict[str, Any]:
    number = hashlib.sha256(f"{time.time_ns()} {next(_ids)}".encode()).hexdigest()[:22]
    return {"modelVersion": call.served, "responseId": number}


def _usage(call: Call, spent: int, thought: int, cached: int) -> dict[str, Any]:
    usage: dict[str, Any] = {"promptTokenCount": call.prompt_tokens}
    if cached:
        usage["cachedContentTokenCount"] = cached
    if spent:
        usage["candidatesTokenCount"] = spent
    if thought:
        usage["thoughtsTokenCount"] = thought
    usage["totalTokenCount"] = call.prompt_tokens + spent + thought
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": call.prompt_tokens}]
    return usage


def _candidate(call: Call, *, said: str, thoughts: int) -> tuple[dict[str, Any], int, int]:
    most = call.config.get("maxOutputTokens")
    whole, reason, thoughts = _within(most, said, thoughts)
    text, reason = _FAULTS.get(call.fault, _as_is)(whole, reason)
    content: dict[str, Any] = {"role": "model"}
    if text is not None:
        content = {"parts": [{"text": text}], "role": "model"}
    candidate: dict[str, Any] = {"content": content, "finishReason": reason, "index": 0}
    if call.fault in {"safety", "recitation"}:
        del candidate["content"]  # a blocked answer has no content at all
        candidate["finishMessage"] = "The response was blocked."
    if call.fault == "safety":
        risk = {
            "category": "HARM_CATEGORY_DANGEROUS_CONTENT",
            "probability": "HIGH",
            "blocked": True,
        }
        candidate["safetyRatings"] = [*_HARMLESS[:3], risk]
    if call.fault == "continuation":
        candidate["continuationToken"] = "Y29udGludWU="
    return candidate, tokens_in(text) if text else 0, thoughts


def _within(most: int | None, text: str, thoughts: int) -> tuple[str | None, str, int]:
    """Cut to maxOutputTokens, which thinking uses up first: then there may be no text at all."""
    if most is None or thoughts + tokens_in(text) <= most:
        return text, "STOP", thoughts
    if thoughts >= most:
        return None, "MAX_TOKENS", most
    kept = text.encode(errors="replace")[: (most - thoughts) * 4].decode(errors="ignore")
    return kept, "MAX_TOKENS", thoughts


def _half(text: str | None) -> str | None:
    return text and text[: len(text) // 2]


def _as_is(text: str | None, reason: str) -> tuple[str | None, str]:
    return text, reason


_FAULTS: Mapping[str, Callable[[str | None, str], tuple[str | None, str]]] = {
    "safety": lambda _text, _reason: (None, "SAFETY"),
    "recitation": lambda _text, _reason: (None, "RECITATION"),
    "max-tokens": lambda text, _reason: (_half(text), "MAX_TOKENS"),
    "continuation": lambda text, _reason: (_half(text), "CONTINUATION"),
    "empty-text": lambda _text, reason: ("", reason),
    "no-parts": lambda _text, reason: (None, reason),
    "bad-json": lambda text, reason: (_half(text), reason),
    "fenced-json": lambda text, reason: (f"Here you are:\n```json\n{text}\n```", reason),
}
_OF_PICTURES = ("no-image", "image-safety", "text-only", "blank-image", "half-image", "no-png")
BODY_FAULTS = frozenset((*_FAULTS, "blocked-prompt", *_OF_PICTURES))
