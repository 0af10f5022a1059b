"""OpenAI's API and everything that speaks it: Ollama, llama.cpp, vLLM, LM Studio, OpenRouter ..."""

import json
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError, Problem
from botticelli.models.base import (
    LARGEST_ANSWER,
    Finish,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    TransientError,
    UnusableAnswer,
    Usage,
)
from botticelli.models.chat import body_of, parsed, reply_of
from botticelli.models.driver import Driver
from botticelli.models.images import generations
from botticelli.models.refusals import (
    LOOK_SECONDS,
    no_answer,
    number,
    redirected,
    retry_after,
    said,
    spoken,
    stranger,
    until_reset,
)
from botticelli.models.refused import objection
from botticelli.records import record
from botticelli.web_bounds import bounded, guarded

if TYPE_CHECKING:
    import openai

SHOWN: Final = 5  # models of a server that are named
_NO_KEY: Final = "none"  # self-hosted servers need none, but the library does
# OpenAI refuses the old name for newer models, Azure as well; other servers know only the old one.
_CEILINGS: Final = ("max_tokens", "max_completion_tokens")
_NEW_ONES: Final = re.compile(
    r"api\.openai\.com|\.openai\.azure\.com|\.cognitiveservices\.azure\.com"
)

_PER_DAY = re.compile(r"per[ -]day|\b[RT]PD\b", re.IGNORECASE)
_PER_TOKEN = re.compile(r"\btokens? per|\bTP[MD]\b")
_NO_SUCH_MODEL = re.compile(r"not a valid model|model_not_found|model identifier", re.IGNORECASE)


@record
class Refusal:
    """An error as a server reports it.

    Args:
        status: Of HTTP, or what the body says in its place.
        said: The server's own words, short and without keys.
        code: Its word for the error (insufficient_quota ...), or empty.
        param: The setting that it names, or empty.
        is_moderation: The prompt was refused, not the key.
        headers: In lower case.
    """

    status: int
    said: str
    code: str = ""
    param: str = ""
    is_moderation: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class OpenAICompatible(Driver["openai.OpenAI"]):
    """See Model. One client, made with the first call and shared by all threads.

    Args:
        base_url: Root of the API with its version (http://localhost:11434/v1); empty: OpenAI's.
        timeout: For one answer.
        response_format: Of a picture; empty: b64_json where a server has to be told.
    """

    provider = "openai"

    def __init__(
        self, *, key: Secret, base_url: str = "", timeout: timedelta, response_format: str = ""
    ) -> None:
        if find_spec("openai") is None:
            raise ConfigError(
                "the openai library is not installed",
                where="openai",
                hint="run: pip install 'botticelli[openai]'",
            )
        if not key and not base_url:
            what, hint = "OPENAI_API_KEY is not set", "set it, or give a base_url"
            raise ConfigError.of([Problem(what=what, where="openai", hint=hint, is_unset=True)])
        super().__init__()
        self._key = key
        self._base_url = base_url
        self._timeout = timeout
        self._is_openai = not base_url or _NEW_ONES.search(base_url) is not None
        self._response_format = response_format or ("" if self._is_openai else "b64_json")

    def generate(self, request: Request) -> Reply:
        """See Model."""
        import openai

        ceiling = self._ceiling(request)
        try:
            with bounded(seconds=self._timeout.total_seconds(), size=LARGEST_ANSWER):
                answer = self._answer(request, ceiling=ceiling)
                reply = self._reply(request, answer)
        except openai.APIStatusError as error:
            headers = {name.lower(): value for name, value in error.response.headers.items()}
            refusal = _read(error.body, status=error.status_code, headers=headers)
            if request.image is not None and refusal.code in generations.BLOCKED:
                detail = f"{refusal.code}: {refusal.said}"
                return Reply(text="", finish=Finish.BLOCKED, finish_detail=detail, usage=Usage())
            raise _mapped(refusal, request, ceiling=ceiling) from error
        except (openai.APIConnectionError, OSError) as error:  # a timeout is one, too
            raise self._silent(error, request.model, self._timeout.total_seconds()) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _unreadable(request.model) from error
        refusal_inside = _refusal_inside(answer)
        if refusal_inside is not None:
            raise _mapped(refusal_inside, request, ceiling=ceiling)
        if reply is None:
            raise _unreadable(request.model)
        return reply

    def _answer(self, request: Request, *, ceiling: str) -> Any:
        if request.image is not None:
            drawing = generations.body_of(request, response_format=self._response_format)
            return self._client().post("/images/generations", body=drawing, cast_to=object)
        body = body_of(request) | ({ceiling: request.max_tokens} if ceiling else {})
        completions = self._client().chat.completions.with_raw_response
        return parsed(completions.create(model=request.model, **body).text)

    def _reply(self, request: Request, answer: Any) -> Reply | None:
        if request.image is None:
            return reply_of(answer)
        import openai

        def fetch(url: str) -> bytes:
            try:
                found = self._client().get(url, cast_to=openai.HttpxBinaryResponseContent)
            except openai.APIStatusError as error:
                what = f"the picture cannot be fetched: its address answers {error.status_code}"
                raise UnusableAnswer(what, where=f"model {request.model}") from error
            return bytes(found.content)

        return generations.reply_of(answer, base_url=self._base_url, fetch=fetch)

    def look_up(self, model: str) -> str:
        """See CanLookUp: the list of models, which costs nothing."""
        import openai

        where, longest = f"model {model}", min(LOOK_SECONDS, self._timeout.total_seconds())
        try:
            with bounded(seconds=longest, size=LARGEST_ANSWER):
                answer = self._client().get("/models", cast_to=object)
        except openai.APIStatusError as error:
            if error.status_code in {404, 405, 501}:
                return "its server has no list of models: only a call shows whether it serves it"
            refusal = _read(error.body, status=error.status_code, headers={})
            raise _mapped(refusal, Request(model=model, messages=()), ceiling="") from error
        except (openai.APIConnectionError, OSError) as error:
            raise self._silent(error, model, longest) from error
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            answer = getattr(error, "doc", getattr(error.__cause__, "doc", {}))
        listed = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(listed, list):
            body = answer if isinstance(answer, str) else json.dumps(answer)
            api, at = "an API of models", self._base_url or "OpenAI's address"
            raise stranger(body, api, at=at, where=where)
        names = [str(each.get("id")) for each in listed if isinstance(each, Mapping)]
        if names and not {model, f"{model}:latest"}.intersection(names):
            return f"its server does not list it, but {', '.join(names[:SHOWN])}"
        return ""

    def _silent(self, error: Exception, model: str, seconds: float) -> TransientError:
        return no_answer(error, where=f"model {model}", server=self._base_url, seconds=seconds)

    def _ceiling(self, request: Request) -> str:
        """Return what the server calls the most tokens of an answer; empty if it is not sent."""
        if request.max_tokens is None:
            return ""
        names = reversed(_CEILINGS) if self._is_openai else _CEILINGS
        return next((name for name in names if name not in request.without), "")

    def _make(self) -> "openai.OpenAI":
        import openai

        return openai.OpenAI(
            api_key=self._key.reveal() or _NO_KEY,
            base_url=self._base_url or None,
            timeout=self._timeout.total_seconds(),
            http_client=guarded(openai.DefaultHttpxClient),
            max_retries=0,  # a retry needs a grant of its own
        )


def _unreadable(model: str) -> TransientError:
    return TransientError("the answer is not a chat completion", where=f"model {model}")


def _refusal_inside(answer: Any) -> Refusal | None:
    """Return the error that stands in an answer, or in its first choice, in place of content."""
    if not isinstance(answer, Mapping):
        return None
    choices = answer.get("choices")
    inside = answer.get("error")
    if not inside and isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        inside = choices[0].get("error")
    if not inside:
        return None
    status = inside.get("code") if isinstance(inside, Mapping) else None
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 502
    return _read(inside, status=status, headers={})


def _mapped(refusal: Refusal, request: Request, *, ceiling: str) -> BotticelliError:
    """Return what a refusal means.

    Sources: error pages of OpenAI, OpenRouter (errors inside a 200, `metadata.raw`), Groq and
    Cerebras (rate-limit headers by metric and by day); RFC 9110 for Retry-After.
    """
    where, words = f"model {request.model}", refusal.said
    refused = objection(
        request, refusal.status, f"{words} {refusal.code}", ceiling=ceiling, param=refusal.param
    )
    if refused is not None:
        return refused
    if refusal.status == 402 or refusal.code == "insufficient_quota":
        return QuotaError(f"the account has no credit: {words}", where=where, scope="none")
    if refusal.status == 429:
        return _quota(refusal, where=where)
    if (
        refusal.status in {408, 409, 425}
        or refusal.status >= 500
        or refusal.code == "json_validate_failed"  # this time, at a schema that is taken
    ):
        return TransientError(
            f"the server answers {refusal.status}: {words}",
            where=where,
            retry_after=_delay(refusal),
        )
    return _permanent(refusal, where=where)


def _permanent(refusal: Refusal, *, where: str) -> PermanentError:
    words, status = refusal.said, refusal.status
    if 300 <= status < 400:
        return redirected(where, setting="OPENAI_BASE_URL, or base_url in [models.NAME],")
    if status in {401, 403} and not refusal.is_moderation:
        what, hint = f"the key is refused: {words}", "check the key"
        return PermanentError(what, where=where, hint=hint, unrecoverable=True)
    if status == 404 or _NO_SUCH_MODEL.search(f"{refusal.code} {words}"):
        what, hint = f"the server does not have this model: {words}", "check its name and base_url"
        return PermanentError(what, where=where, hint=hint, retired=True)
    return PermanentError(f"the server refuses the request: {words}", where=where)


def _read(body: Any, *, status: int, headers: Mapping[str, str]) -> Refusal:
    facts = body if isinstance(body, Mapping) else {"message": body}
    about = facts.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    within = about.get("headers")
    if isinstance(within, Mapping):  # a router hands on what its provider said
        headers = {**headers, **{str(k).lower(): str(v) for k, v in within.items()}}
    words = (facts.get("message"), facts.get("detail"), about.get("raw"))
    codes = f"{facts.get('code') or ''} {facts.get('type') or ''}".split()
    return Refusal(
        status=status,
        said=said(" ".join(str(one) for one in words if one)),
        code="insufficient_quota" if "insufficient_quota" in codes else " ".join(codes[:1]),
        param=str(facts.get("param") or ""),
        is_moderation="reasons" in about,
        headers=headers,
    )


def _quota(refusal: Refusal, *, where: str) -> QuotaError:
    spent = _spent(refusal.headers)
    is_day = _PER_DAY.search(refusal.said) or any("day" in suffix for suffix in spent)
    is_tokens = _PER_TOKEN.search(refusal.said) or (
        spent and all("token" in suffix for suffix in spent)
    )
    return QuotaError(
        f"a rate limit is reached: {refusal.said}",
        where=where,
        scope="day" if is_day else "minute",
        metric="tokens" if is_tokens else "requests",
        retry_after=_delay(refusal),
    )


def _delay(refusal: Refusal) -> float | None:
    """Return the seconds to wait: said outright, until what is spent is reset, or in words."""
    headers = refusal.headers
    asked = retry_after(headers)
    if asked is not None:
        return asked
    resets = {name: value for name, value in headers.items() if name.startswith(_RESET)}
    spent = _spent(headers)
    known = [
        seconds
        for name, value in resets.items()
        if not spent or name.removeprefix(_RESET) in spent
        if (seconds := until_reset(value, headers)) is not None
    ]
    return max(known, default=spoken(refusal.said))


_RESET: Final = "x-ratelimit-reset"
_REMAINING: Final = "x-ratelimit-remaining"


def _spent(headers: Mapping[str, str]) -> set[str]:
    """Return what nothing is left of: suffixes of the headers ("-requests", "-tokens-day" ...)."""
    return {
        name.removeprefix(_REMAINING)
        for name, value in headers.items()
        if name.startswith(_REMAINING) and number(value.removeprefix("-")) is not None
        if value.startswith("-") or number(value) == 0
    }
