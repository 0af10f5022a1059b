"""Gemini by google-genai: exactly one request for each `generate`.

Everything by which the library would send more than was asked is turned off: retries, automatic
continuation, function calling. Facts about the API and the library: docs/models.md.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError, Problem
from botticelli.models import catalogue
from botticelli.models.base import (
    LARGEST_ANSWER,
    Capabilities,
    Finish,
    Message,
    Part,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    TransientError,
    Usage,
)
from botticelli.models.driver import Driver
from botticelli.models.prompts import plain
from botticelli.models.refusals import (
    LOOK_SECONDS,
    no_answer,
    redirected,
    retry_after,
    said,
    span,
    spoken,
    stranger,
)
from botticelli.models.refused import adapted, objection
from botticelli.models.usage import cached_tokens, count
from botticelli.web_bounds import bounded, guarded

if TYPE_CHECKING:
    from google import genai

_BLOCKED: Final = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "MODEL_ARMOR",
    }
)
# Models before 3 count thinking in tokens: 0 is off where that can be had (not in 2.5-pro).
_BUDGETS: Final = {"minimal": 0, "low": 1024, "medium": 8192, "high": 24576}
_LEAST_PRO_BUDGET: Final = 128

_LIMIT_ZERO = re.compile(r"limit: 0\b(?!\.)")
_BAD_KEY = re.compile(r"API_KEY_INVALID|API key (?:not valid|expired)", re.IGNORECASE)


class Gemini(Driver["genai.Client"]):
    """See Model. One client, made with the first call and shared by all threads.

    Args:
        base_url: Root of the API without its version; empty: Google's.
        timeout: For one answer.
    """

    provider = "gemini"

    def __init__(self, *, key: Secret, base_url: str = "", timeout: timedelta) -> None:
        if not key:
            what = "GEMINI_API_KEY is not set"
            hint = "set it (or GEMINI_API_KEY_FILE), or try --offline, which needs no key"
            raise ConfigError.of([Problem(what=what, where="gemini", hint=hint, is_unset=True)])
        super().__init__()
        self._key = key
        self._base_url = base_url
        self._timeout = timeout

    def generate(self, request: Request) -> Reply:
        """See Model."""
        from google.genai import types

        config = settings(request, catalogue.known(request.model).capabilities)
        contents = [_content(message) for message in adapted(request).messages]
        with self._asking(request) as client:
            response = client.models.generate_content(
                model=request.model,
                contents=contents,
                config=types.GenerateContentConfig(**config),
            )
            assert response.sdk_http_response is not None, "settings() ask for it"
            reply = read(json.loads(response.sdk_http_response.body or ""))
        if reply is None:
            raise _unreadable(request.model)
        return reply

    def look_up(self, model: str) -> str:
        """See CanLookUp: the model's description, which Google counts as no call."""
        try:
            with self._asking(Request(model=model, messages=()), seconds=LOOK_SECONDS) as client:
                found: Any = client.models.get(model=model).name
        except Unreadable as error:
            found = getattr(error.__cause__, "doc", "{}")  # of one that is no JSON
        if not str(found).endswith(model):
            api, at = "the Gemini API", self._base_url or "Google's address"
            raise stranger(
                "{}" if found is None else str(found), api, at=at, where=f"model {model}"
            )
        return ""

    @contextmanager
    def _asking(
        self, request: Request, *, seconds: float | None = None
    ) -> "Iterator[genai.Client]":
        """Yield the client for one request; what the library raises becomes an error of ours."""
        import httpx2
        from google.genai import errors

        client = self._client()
        longest = min(self._timeout.total_seconds(), seconds or float("inf"))
        try:
            with bounded(seconds=longest, size=LARGEST_ANSWER):
                yield client
        except errors.APIError as error:
            raise _meaning(error, request) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            where, server = f"model {request.model}", self._base_url
            raise no_answer(error, where=where, server=server, seconds=longest) from error
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            # A body that is no JSON, or not the API's.
            raise _unreadable(request.model) from error

    def _make(self) -> "genai.Client":
        """Make the client. The first import takes half a second, a client 50 ms."""
        import httpx2
        from google import genai
        from google.genai import types

        return genai.Client(
            api_key=self._key.reveal(),
            enterprise=False,  # an environment variable would switch to another service
            http_options=types.HttpOptions(
                base_url=self._base_url or None,
                httpx_client=guarded(httpx2.Client),
                timeout=round(self._timeout.total_seconds() * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )


def settings(request: Request, capabilities: Capabilities) -> dict[str, Any]:
    """Return the generation settings: what the model no longer takes, or refuses, is left out."""
    settings: dict[str, Any] = {
        "automatic_continuation": False,
        "automatic_function_calling": {"disable": True},
        # The library's reading refuses an answer whose token counts are not whole numbers.
        "should_return_http_response": True,
    }
    left_out, request = request.without, adapted(request)
    if (wished := request.image) is not None:
        shape = {"aspect_ratio": wished.aspect_ratio, "image_size": wished.size.upper()}
        settings["response_modalities"] = ["IMAGE"]
        settings["image_config"] = {name: value for name, value in shape.items() if value}
    if request.system:
        settings["system_instruction"] = request.system
    if request.max_tokens is not None and "max_tokens" not in left_out:
        settings["max_output_tokens"] = request.max_tokens
    if request.temperature is not None and capabilities.sampling:
        settings["temperature"] = request.temperature
    if request.schema is not None and "json_object" not in left_out:
        settings["response_mime_type"] = "application/json"
    if request.schema is not None and "json_schema" not in left_out:
        settings["response_json_schema"] = plain(request.schema)
    if request.thinking and capabilities.thinking:
        settings["thinking_config"] = _thinking(request, capabilities)
    return settings


def read(answer: Any) -> Reply | None:
    """Return what an answer of the API holds; None if neither a text nor a reason for none."""
    if not isinstance(answer, Mapping):
        return None
    given = answer.get("candidates")
    candidate = given[0] if isinstance(given, list) and given else None
    if isinstance(candidate, Mapping):
        detail = str(candidate.get("finishReason") or "")
        parts = _parts(candidate.get("content"))
        text, image, finish = _text(parts), _image(parts), _finish(detail)
    else:
        about = answer.get("promptFeedback")
        blocked = about.get("blockReason") if isinstance(about, Mapping) else None
        if not blocked:
            return None
        text, image, finish, detail = "", b"", Finish.BLOCKED, f"prompt: {blocked}"
    return Reply(
        text=text,
        image=image,
        finish=finish,
        finish_detail=detail,
        usage=_usage(answer.get("usageMetadata")),
        model_version=str(answer.get("modelVersion") or ""),
        request_id=str(answer.get("responseId") or ""),
    )


def _parts(content: Any) -> list[Mapping[str, Any]]:
    """Return the parts of an answer; thoughts, and pictures drafted in them, are none of it."""
    parts = content.get("parts") if isinstance(content, Mapping) else None
    given = parts if isinstance(parts, list) else []
    return [part for part in given if isinstance(part, Mapping) and not part.get("thought")]


def _text(parts: Sequence[Mapping[str, Any]]) -> str:
    texts = (part.get("text") for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def _image(parts: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the last picture of an answer; empty if there is none. Raises ValueError."""
    given = (part.get("inlineData") for part in reversed(parts))
    data = (one.get("data") for one in given if isinstance(one, Mapping))
    return base64.b64decode(next((one for one in data if isinstance(one, str)), ""))


def _content(message: Message) -> Any:
    from google.genai import types

    return types.Content(
        role="user" if message.role == "user" else "model",
        parts=[_part(part) for part in message.parts],
    )


def _part(part: Part) -> Any:
    from google.genai import types

    if part.text is not None:
        return types.Part.from_text(text=part.text)
    if part.data is not None:
        return types.Part.from_bytes(data=part.data, mime_type=part.mime or "image/png")
    if part.uri is None:
        raise PermanentError("a part of the prompt is empty", where="gemini")
    return types.Part.from_uri(file_uri=part.uri, mime_type=part.mime)


def _thinking(request: Request, capabilities: Capabilities) -> dict[str, Any]:
    if re.match(r"gemini-[12]\.", request.model):
        budget = _BUDGETS.get(request.thinking, _BUDGETS["medium"])
        least = _LEAST_PRO_BUDGET if "-pro" in request.model else 0
        return {"thinking_budget": max(least, budget)}
    is_known = request.thinking in capabilities.thinking
    return {"thinking_level": request.thinking if is_known else capabilities.thinking[0]}


def _usage(told: Any) -> Usage | None:
    facts = told if isinstance(told, Mapping) else {}
    read = count(facts.get("promptTokenCount"))
    if read is None:
        return None
    read += count(facts.get("toolUsePromptTokenCount")) or 0
    return Usage(
        input=read,
        cached=cached_tokens(facts.get("cachedContentTokenCount"), sent=read),
        output=(output := count(facts.get("candidatesTokenCount")) or 0),
        image=min(output, _image_tokens(facts.get("candidatesTokensDetails"))),
        thoughts=count(facts.get("thoughtsTokenCount")) or 0,
    )


def _image_tokens(details: Any) -> int:
    """Return how many tokens of an answer are a picture, as far as it says."""
    listed = [each for each in details or () if isinstance(each, Mapping)]
    counts = (count(each.get("tokenCount")) for each in listed if each.get("modality") == "IMAGE")
    return sum(one or 0 for one in counts)


def _finish(detail: str) -> Finish:
    if detail in _BLOCKED:
        return Finish.BLOCKED
    return {"STOP": Finish.STOP, "MAX_TOKENS": Finish.LENGTH}.get(detail, Finish.OTHER)


def _meaning(error: Any, request: Request) -> BotticelliError:
    """Return what an APIError of the library means: wait, another day, another model, or a fix.

    Source: recorded answers (quotaId names the period; its delays were often wrong for daily
    limits), error table of ai.google.dev/gemini-api/docs/troubleshooting.
    """
    code = int(error.code or 0)
    where = f"model {request.model}"
    words = _said(error)
    if code == 429:
        return _quota(error, where=where)
    if 300 <= code < 400:
        return redirected(where, setting="GOOGLE_GEMINI_BASE_URL, or base_url in [models.NAME],")
    if code in {408, 409, 499} or code >= 500 or code < 300:
        return TransientError(
            f"Gemini answers {code}: {words}", where=where, retry_after=_delay(error)
        )
    permanent = _permanent(error, code, where=where, said=words)
    is_about_us = permanent.unrecoverable or permanent.retired
    refused = None if is_about_us else objection(request, code, words, ceiling="max_tokens")
    return refused or permanent


def _permanent(error: Any, code: int, *, where: str, said: str) -> PermanentError:
    details = error.details if isinstance(error.details, Mapping) else {}
    is_from_api = isinstance(details.get("error"), Mapping)  # what stands before it sends pages
    is_bad_key = code == 400 and _BAD_KEY.search(f"{error.details} {said}")
    if code in {401, 403} or is_bad_key:
        what = f"Gemini refuses the key: {said}"
        hint = "check GEMINI_API_KEY and what its project may use"
    elif code == 400 and error.status == "FAILED_PRECONDITION":  # the country, or no billing
        what = f"Gemini refuses to serve this project: {said}"
        hint = "see the project's plan and billing in AI Studio"
    elif code == 404 and not is_from_api:
        what = "there is no Gemini API at this address"
        hint = "check GOOGLE_GEMINI_BASE_URL, or base_url in [models.NAME]"
    elif code == 404:
        what = "Gemini does not serve this model (any more)"
        hint = "name another model, or map it in [models.aliases]"
        return PermanentError(what, where=where, hint=hint, retired=True)
    else:
        return PermanentError(f"Gemini refuses the request: {said}", where=where)
    return PermanentError(what, where=where, hint=hint, unrecoverable=True)


class Unreadable(TransientError):
    """An answer has the form of none."""


def _unreadable(model: str) -> Unreadable:
    return Unreadable(
        "Gemini's answer holds neither a text nor a reason for none", where=f"model {model}"
    )


def _quota(error: Any, *, where: str) -> QuotaError:
    violations = _violations(error)
    ids = [str(one.get("quotaId", "")) for one in violations]
    values = [one.get("quotaValue") for one in violations]
    message = str(error.message or "")
    scope = _scope(ids, values, message=message)
    # A day's violation is the one that counts when a minute's stands beside it.
    chosen = next((n for n, id_ in enumerate(ids) if "PerDay" in id_), 0)
    is_tokens = bool(ids) and re.search(r"token", ids[chosen], re.IGNORECASE) is not None
    value = str(values[chosen]) if values and values[chosen] is not None else ""
    return QuotaError(
        _WORDS[scope],
        where=where,
        scope=scope,
        metric="tokens" if is_tokens else "requests",
        retry_after=_delay(error),
        limit=int(value) if value.isdigit() and scope != "none" else None,
    )


Scope = Literal["minute", "day", "spend", "none"]
_WORDS: Mapping[Scope, str] = {
    "minute": "Gemini's quota per minute is used up",
    "day": "Gemini's quota per day is used up",
    "spend": "Gemini has no capacity for us just now, or a spend limit is reached",
    "none": "this project has no Gemini quota for the model",
}


def _scope(ids: Sequence[str], values: Sequence[Any], *, message: str) -> Scope:
    if not ids:
        return "none" if _LIMIT_ZERO.search(message) else "spend"
    if any(str(value) == "0" or value is None for value in values) and (
        _LIMIT_ZERO.search(message) or all(str(value) == "0" for value in values)
    ):
        return "none"
    return "day" if any("PerDay" in id_ for id_ in ids) else "minute"


def _items(error: Any) -> list[Mapping[str, Any]]:
    body = error.details
    inner = body.get("error", body) if isinstance(body, Mapping) else {}
    details = inner.get("details") if isinstance(inner, Mapping) else None
    return [item for item in details or [] if isinstance(item, Mapping)]


def _violations(error: Any) -> list[Mapping[str, Any]]:
    return [
        violation
        for item in _items(error)
        if str(item.get("@type", "")).endswith("QuotaFailure")
        for violation in item.get("violations") or []
    ]


def _delay(error: Any) -> float | None:
    """Return the seconds to wait: of RetryInfo, message and header the largest, for they differ."""
    delays = [
        span(str(item.get("retryDelay", "")))
        for item in _items(error)
        if str(item.get("@type", "")).endswith("RetryInfo")
    ]
    headers = {k.lower(): v for k, v in (getattr(error.response, "headers", None) or {}).items()}
    delays += [spoken(str(error.message or "")), retry_after(headers)]
    return max((delay for delay in delays if delay is not None), default=None)


def _said(error: Any) -> str:
    return said(str(error.message or error.status or "")).rstrip(".")
