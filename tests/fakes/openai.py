"""An OpenAI-compatible server over loopback: chat completions and models.

    with FakeOpenAI() as server:
        client = openai.OpenAI(api_key=server.key, base_url=server.url + "/v1")

Scripted faults: a status ("500"), "429" or "429:SECONDS", "429:quota", "hang", "reset", "close",
"html-200", "html-502", "length", "content-filter", "refusal", "empty-text", "bad-json",
"no-usage", "slow:N"; of pictures "moderation", "empty", "blank-image", "half-image", "no-png".
"""

import base64
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.fakes.gemini_answers import tokens_in
from tests.fakes.loopback import (
    Answer,
    LoopbackServer,
    Request,
    answer_html,
    answer_json,
)
from tests.fakes.pictures import png, spoiled
from tests.fakes.schema_values import text_for, value_for
from tests.fakes.windows import Arrivals

_KNOWN = frozenset(
    (
        *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n"),
        *("stop", "seed", "user", "response_format", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "reasoning_effort", "metadata", "store"),
        *("service_tier", "stream", "verbosity", "tools", "tool_choice", "parallel_tool_calls"),
    )
)
_OF_PICTURES = frozenset(
    (
        *("model", "prompt", "n", "size", "quality", "output_format", "output_compression"),
        *("background", "moderation", "user"),
    )
)
_OF_PICTURES_SPOILED = frozenset(("empty", "blank-image", "half-image", "no-png"))
_ROLES = frozenset(("system", "developer", "user", "assistant", "tool"))
_FORMATS = frozenset(("text", "json_object", "json_schema"))


@dataclass(frozen=True, kw_only=True)
class Call:
    """One chat completion asked for, as recorded and as handed to a responder."""

    number: int
    arrived: float  # monotonic seconds
    wall: float  # Unix seconds
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    prompt: str
    prompt_tokens: int
    status: int = 0

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema asked for, if any."""
        form = self.body.get("response_format") or {}
        schema: Mapping[str, Any] | None = (form.get("json_schema") or {}).get("schema")
        return schema


Responder = Callable[[Call], Any]


def default_responder(call: Call) -> Any:
    """Return what model and prompt alone decide: a value for a schema, else a short text."""
    seed = f"{call.body['model']}\n{call.prompt}"
    if call.schema is not None:
        return value_for(call.schema, seed=seed)
    kind = (call.body.get("response_format") or {}).get("type")
    return {"text": text_for(seed)} if kind == "json_object" else text_for(seed)


class Refusal(Exception):
    """A request that must be answered with an error."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self._body = {"message": message, "type": kind, "param": param, "code": code}
        self._status = status
        self._headers = headers

    def answer(self) -> Answer:
        """Return the error as it goes over the wire."""
        return answer_json({"error": self._body}, status=self._status, headers=self._headers)


class FakeOpenAI(LoopbackServer):
    """The server; see the module. `key` None asks for no key, as local servers do.

    `strict` refuses unknown arguments as OpenAI does; local servers take their own. `picture_at`:
    where pictures are to be fetched ("{url}/out/1.png"); empty: they are in the answer, in base64.
    """

    def __init__(
        self,
        *,
        key: str | None = "test-key",
        models: tuple[str, ...] = ("test-model",),
        responder: Responder = default_responder,
        latency: float = 0.0,
        strict: bool = True,
        picture_at: str = "",
        keep: int | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.key = key
        self.models = models
        self.responder = responder
        self.latency = latency
        self._strict = strict
        self.picture_at = picture_at
        self._keep = keep
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget calls, counts and scripts."""
        with self._lock:
            self.calls: deque[Call] = deque(maxlen=self._keep)
            self.arrivals = Arrivals()
            self._numbers = itertools.count(1)
        self.script.clear()

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        try:
            return self._route(request)
        except Refusal as refusal:
            return refusal.answer()

    def _route(self, request: Request) -> Answer:
        self._check_key(request)
        if request.method == "POST" and request.path.endswith("/v1/chat/completions"):
            return self._complete(request)
        if request.method == "POST" and request.path.endswith("/v1/images/generations"):
            return self._draw(request)
        if request.method == "GET" and request.path.startswith("/out/"):
            return Answer(body=png(request.path), content_type="image/png")
        if request.method == "GET" and "/v1/models/" in request.path:
            return answer_json(_described(self._known(request.path.partition("/v1/models/")[2])))
        if request.method == "GET" and request.path.endswith("/v1/models"):
            listed = [_described(model) for model in self.models]
            return answer_json({"object": "list", "data": listed})
        raise Refusal(f"Invalid URL ({request.method} {request.path})", status=404)

    def _check_key(self, request: Request) -> None:
        if self.key is None or request.headers.get("authorization") == f"Bearer {self.key}":
            return
        given = request.headers.get("authorization", "")
        if not given:
            raise Refusal("You didn't provide an API key.", status=401)
        raise Refusal(
            "Incorrect API key provided: ****. You can find your API key in your account.",
            status=401,
            code="invalid_api_key",
        )

    def _known(self, model: Any) -> str:
        if model not in self.models:
            words = f"The model `{model}` does not exist or you do not have access to it."
            raise Refusal(words, status=404, code="model_not_found")
        return str(model)

    def _complete(self, request: Request) -> Answer:
        body = _body(request, strict=self._strict)
        prompt = "\n".join(_text_of(one) for one in body["messages"])
        tokens = tokens_in(prompt) + 4 * len(body["messages"])
        with self._lock:
            call = Call(
                number=next(self._numbers),
                arrived=request.arrived,
                wall=request.wall,
                body=body,
                headers=request.headers,
                prompt=prompt,
                prompt_tokens=tokens,
            )
            self.arrivals.add(request.arrived, tokens)
        try:
            answer = self._attempt(call)
        except Refusal as refusal:
            answer = refusal.answer()
        with self._lock:
            self.calls.append(replace(call, status=0 if answer.ending else answer.status))
        return answer

    def _draw(self, request: Request) -> Answer:
        body = request.json()
        known = _OF_PICTURES | (frozenset() if self._strict else {"response_format"})
        for name in body:
            if name not in known:
                words = f"Unknown parameter: '{name}'."
                raise Refusal(words, param=name, code="unknown_parameter")
        prompt = str(body.get("prompt") or "")
        if not 0 < len(prompt) <= 32_000:
            raise Refusal("Invalid 'prompt'.", param="prompt", code="invalid_value")
        model = self._known(body.get("model"))
        with self._lock:
            call = Call(
                number=next(self._numbers),
                arrived=request.arrived,
                wall=request.wall,
                body=body,
                headers=request.headers,
                prompt=prompt,
                prompt_tokens=tokens_in(prompt),
                status=200,
            )
            self.calls.append(call)
        fault = self.script.take("")
        if fault == "moderation":
            words = "Your request was rejected by the safety system."
            raise Refusal(words, kind="image_generation_user_error", code="moderation_blocked")
        if fault and fault not in _OF_PICTURES_SPOILED:
            return _broken(fault)
        picture: dict[str, Any] = {"b64_json": base64.b64encode(spoiled(fault, prompt)).decode()}
        if self.picture_at:
            picture = {"url": self.picture_at.format(url=self.url)}
        usage = {"input_tokens": tokens_in(prompt), "output_tokens": 1756}
        answer = {"created": 1767225600, "data": [] if fault == "empty" else [picture]}
        told = {"usage": usage, "model": model} if self._strict else {}
        return answer_json(answer | told)

    def _attempt(self, call: Call) -> Answer:
        self._known(call.body["model"])
        fault, delay = self.script.take(""), self.latency
        if fault.startswith("slow:"):
            fault, delay = "", float(fault[5:])
        if fault and fault not in _SPOILERS:
            return replace(_broken(fault), delay=delay)
        completion = _completion(call, said=self.responder(call), fault=fault)
        return answer_json(completion, headers=_request_id(call), delay=delay)


def _body(request: Request, *, strict: bool) -> Mapping[str, Any]:
    try:
        body = request.json()
    except ValueError:
        raise Refusal("We could not parse the JSON body of your request.") from None
    for name in body if strict else ():
        if name not in _KNOWN:
            raise Refusal(f"Unrecognized request argument supplied: {name}")
    for name in ("model", "messages"):
        if not body.get(name):
            raise Refusal(f"Missing required parameter: '{name}'.", param=name)
    _check_roles(body["messages"])
    _check_format(body.get("response_format") or {"type": "text"})
    if body.get("stream"):
        raise Refusal("Streaming is not supported here.", param="stream")
    return dict(body)


def _check_roles(messages: list[Any]) -> None:
    for place, message in enumerate(messages):
        if message.get("role") not in _ROLES:
            words = f"Invalid value: '{message.get('role')}'."
            raise Refusal(words, param=f"messages[{place}].role", code="invalid_value")


def _check_format(form: Mapping[str, Any]) -> None:
    if form.get("type") not in _FORMATS:
        words = f"Invalid value: '{form.get('type')}'."
        raise Refusal(words, param="response_format.type", code="invalid_value")
    if form["type"] != "json_schema":
        return
    about = form.get("json_schema") or {}
    for name in ("name", "schema"):
        if not about.get(name):
            at = f"response_format.json_schema.{name}"
            raise Refusal(f"Missing required parameter: '{at}'.", param=at)


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)


def _completion(call: Call, *, said: Any, fault: str) -> dict[str, Any]:
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    most = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    reason = "stop"
    if most is not None and tokens_in(text) > most:
        text, reason = text.encode()[: most * 4].decode(errors="ignore"), "length"
    content, reason, refusal = _SPOILERS.get(fault, _as_is)(text, reason)
    spent = tokens_in(content) if content else 0
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    completion = {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.body["model"],
        "choices": [{**choice, "index": place} for place in range(call.body.get("n") or 1)],
    }
    if fault == "no-usage":
        return completion
    usage = {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": spent,
        "total_tokens": call.prompt_tokens + spent,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    return {**completion, "usage": usage}


def _as_is(text: str, reason: str) -> tuple[str | None, str, str | None]:
    return text, reason, None


_SPOILERS: Mapping[str, Callable[[str, str], tuple[str | None, str, str | None]]] = {
    "length": lambda text, _reason: (text[: len(text) // 2], "length", None),
    "content-filter": lambda _text, _reason: ("", "content_filter", None),
    "refusal": lambda _text, reason: (None, reason, "I can't help with that."),
    "empty-text": lambda _text, reason: ("", reason, None),
    "bad-json": lambda text, reason: (text[: len(text) // 2], reason, None),
    "no-usage": _as_is,
}


def _described(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 1767225600, "owned_by": "house"}


def _request_id(call: Call) -> tuple[tuple[str, str], ...]:
    return (("x-request-id", f"req_{call.number}"),)


def _limited(seconds: float, *, headers: tuple[tuple[str, str], ...] = ()) -> Refusal:
    whole = str(max(1, -int(-seconds // 1)))
    milliseconds = str(int(seconds * 1000))
    return Refusal(
        f"Rate limit reached for requests. Please try again in {seconds:.3f}s.",
        status=429,
        kind="requests",
        code="rate_limit_exceeded",
        headers=(("retry-after", whole), ("retry-after-ms", milliseconds), *headers),
    )


def _broken(fault: str) -> Answer:
    """Return what a scripted fault sends instead of an answer."""
    if fault in {"hang", "reset", "close"}:
        return Answer(ending=fault)
    if fault.startswith("html-"):
        return answer_html(int(fault[5:]), "Sign in", server="nginx")
    if fault == "429:quota":
        words = "You exceeded your current quota, please check your plan and billing details."
        quota = Refusal(words, status=429, kind="insufficient_quota", code="insufficient_quota")
        return quota.answer()
    if fault.startswith("429"):
        return _limited(float(fault.partition(":")[2] or 0.5)).answer()
    words = "The server had an error while processing your request. Sorry about that!"
    return Refusal(words, status=int(fault), kind="server_error").answer()
