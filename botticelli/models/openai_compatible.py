"""OpenAI's API and everything that speaks it: Ollama, llama.cpp, vLLM, LM Studio, OpenRouter ..."""

import json
import re
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError, Problem
from botticelli.models.base import (
    LARGEST_ANSWER,
    Part,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    TransientError,
)
from botticelli.models.chat import body_of, plain, reply_of
from botticelli.models.driver import Driver
from botticelli.models.refusals import (
    LOOK_SECONDS,
    number,
    redirected,
    retry_after,
    said,
    spoken,
    stranger,
    until_reset,
)
from botticelli.records import record
from botticelli.web import bounded, guarded

if TYPE_CHECKING:
    import openai

SHOWN: Final = 5  # models of a server that are named
_NO_KEY: Final = "none"  # self-hosted servers need none, but the library does
_FORMATS: Final = ("json_schema", "json_object", "")
"""How a schema is asked for: the next one where a server refuses one; "": in words alone."""

_PER_DAY = re.compile(r"per[ -]day|\b[RT]PD\b", re.IGNORECASE)
_PER_TOKEN = re.compile(r"\btokens? per|\bTP[MD]\b")
_NO_SUCH_MODEL = re.compile(r"not a valid model|model_not_found|model identifier", re.IGNORECASE)
_NO_FORMAT = re.compile(
    r"response_format|json[ _]schema|json_object|structured|grammar", re.IGNORECASE
)


@record
class Refusal:
    """An error as a server reports it.

    Args:
        status: Of HTTP, or what the body says in its place.
        said: The server's own words, short and without keys.
        code: Its word for the error (insufficient_quota ...), or empty.
        is_moderation: The prompt was refused, not the key.
        headers: In lower case.
    """

    status: int
    said: str
    code: str = ""
    is_moderation: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_of_format(self) -> bool:
        """Whether it may be the response format that is not taken."""
        return self.status in {400, 422, 500, 501} and bool(_NO_FORMAT.search(self.said))


class OpenAICompatible(Driver["openai.OpenAI"]):
    """See Model. One client, made with the first call and shared by all threads.

    Args:
        base_url: Root of the API with its version (http://localhost:11434/v1); empty: OpenAI's.
        timeout: For one answer.
    """

    provider = "openai"

    def __init__(self, *, key: Secret, base_url: str = "", timeout: timedelta) -> None:
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
        self._refused: dict[str, int] = {}  # model -> how many of _FORMATS it does not take

    def generate(self, request: Request) -> Reply:
        """See Model."""
        import openai

        body = self._body(request)
        client = self._client()
        try:
            with bounded(seconds=self._timeout.total_seconds(), size=LARGEST_ANSWER):
                answer = client.chat.completions.create(model=request.model, **body)
        except openai.APIStatusError as error:
            headers = {name.lower(): value for name, value in error.response.headers.items()}
            refusal = _read(error.body, status=error.status_code, headers=headers)
            raise self._meaning(refusal, request) from error
        except (openai.APIConnectionError, OSError) as error:  # a timeout is one, too
            raise self._silent(error, request.model) from error
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            raise _unreadable(request.model) from error
        return self._reply(answer, request=request)

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
            raise _mapped(
                _read(error.body, status=error.status_code, headers={}), model=model
            ) from error
        except (openai.APIConnectionError, OSError) as error:
            raise self._silent(error, model) from error
        except (openai.OpenAIError, ValueError, RecursionError):
            answer = {}
        listed = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(listed, list):
            body = answer if isinstance(answer, str) else json.dumps(answer)
            api, at = "an API of models", self._base_url or "OpenAI's address"
            raise stranger(body, api, at=at, where=where)
        names = [str(each.get("id")) for each in listed if isinstance(each, Mapping)]
        if names and not {model, f"{model}:latest"}.intersection(names):
            return f"its server does not list it, but {', '.join(names[:SHOWN])}"
        return ""

    def _body(self, request: Request) -> dict[str, Any]:
        form = _FORMATS[self._refused.get(request.model, 0)]
        body = body_of(request if form == "json_schema" else _in_words(request))
        if request.schema is not None and form == "json_object":
            body["response_format"] = {"type": form}
        if request.max_tokens is not None:
            # OpenAI refuses the old name for newer models; other servers know only the old one.
            is_openai = not self._base_url or "api.openai.com" in self._base_url
            body["max_completion_tokens" if is_openai else "max_tokens"] = request.max_tokens
        if request.thinking:
            body["reasoning_effort"] = request.thinking
        return body

    def _reply(self, answer: Any, *, request: Request) -> Reply:
        """Read an answer; one that is no JSON comes as plain text out of the library."""
        if not hasattr(answer, "model_dump"):
            raise _unreadable(request.model)
        facts = answer.model_dump(warnings=False)
        refusal = _refusal_inside(facts)
        if refusal is not None:
            raise self._meaning(refusal, request)
        try:
            reply = reply_of(facts)
        except (TypeError, AttributeError, KeyError) as error:
            raise _unreadable(request.model) from error
        if reply is None:
            raise _unreadable(request.model)
        return reply

    def _meaning(self, refusal: Refusal, request: Request) -> BotticelliError:
        """Return what a refusal means; that of a response format is remembered for next time."""
        level = self._refused.get(request.model, 0)
        if request.schema is None or not refusal.is_of_format or level + 1 == len(_FORMATS):
            return _mapped(refusal, model=request.model)
        self._refused[request.model] = level + 1
        return TransientError(
            f"the server takes no {_FORMATS[level]}; the schema is asked for otherwise",
            where=f"model {request.model}",
        )

    def _silent(self, error: Exception, model: str) -> TransientError:
        at = self._base_url
        hint = f"check that a server runs at {at}" if at else "check the network"
        what = f"no answer ({type(error).__name__})"
        return TransientError(what, where=f"model {model}", hint=hint)

    def _make(self) -> "openai.OpenAI":
        import openai

        return openai.OpenAI(
            api_key=self._key.reveal() or _NO_KEY,
            base_url=self._base_url or None,
            timeout=self._timeout.total_seconds(),
            http_client=guarded(openai.DefaultHttpxClient),
            max_retries=0,  # a retry needs a grant of its own
        )


def _in_words(request: Request) -> Request:
    """Return the request with its schema at the end of the prompt, as words."""
    if request.schema is None:
        return request
    words = "Answer with JSON alone, that keeps to this JSON Schema:\n" + json.dumps(
        plain(request.schema), ensure_ascii=False
    )
    last = request.messages[-1]
    last = replace(last, parts=(*last.parts, Part(text=words)))
    return replace(request, schema=None, messages=(*request.messages[:-1], last))


def _unreadable(model: str) -> TransientError:
    return TransientError("the answer is not a chat completion", where=f"model {model}")


def _refusal_inside(answer: Mapping[str, Any]) -> Refusal | None:
    """Return the error that stands in an answer, or in its first choice, in place of content."""
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


def _mapped(refusal: Refusal, *, model: str) -> BotticelliError:
    """Return what a refusal means.

    Sources: error pages of OpenAI, OpenRouter (errors inside a 200, `metadata.raw`), Groq and
    Cerebras (rate-limit headers by metric and by day); RFC 9110 for Retry-After.
    """
    where = f"model {model}"
    if refusal.status == 402 or refusal.code == "insufficient_quota":
        return QuotaError(f"the account has no credit: {refusal.said}", where=where, scope="none")
    if refusal.status == 429:
        return _quota(refusal, where=where)
    if refusal.status in {408, 409, 425} or refusal.status >= 500:
        return TransientError(
            f"the server answers {refusal.status}: {refusal.said}",
            where=where,
            retry_after=_delay(refusal),
        )
    return _permanent(refusal, where=where)


def _permanent(refusal: Refusal, *, where: str) -> PermanentError:
    words = refusal.said
    if 300 <= refusal.status < 400:
        return redirected(where, setting="OPENAI_BASE_URL, or base_url in [models.NAME],")
    if refusal.status in {401, 403} and not refusal.is_moderation:
        return PermanentError(
            f"the key is refused: {words}", where=where, hint="check the key", unrecoverable=True
        )
    if refusal.status == 404 or _NO_SUCH_MODEL.search(f"{refusal.code} {words}"):
        return PermanentError(
            f"the server does not have this model: {words}",
            where=where,
            hint="check its name and the base_url",
            retired=True,
        )
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
