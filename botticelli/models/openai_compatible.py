"""OpenAI's API and everything that speaks it: Ollama, llama.cpp, vLLM, LM Studio, OpenRouter ..."""

import re
import threading
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.models.base import PermanentError, QuotaError, Reply, Request, TransientError
from botticelli.models.chat import body_of, reply_of
from botticelli.models.prompts import input_tokens

if TYPE_CHECKING:
    import openai

_NO_KEY: Final = "none"  # servers of one's own want none, the library wants some
_LONGEST: Final = 200
_KEY = re.compile(r"\bsk-[\w*-]{8,}")


class OpenAICompatible:
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
                mend="run: pip install 'botticelli[openai]'",
            )
        if not key and not base_url:
            raise ConfigError(
                "OPENAI_API_KEY is not set", where="openai", mend="set it, or give a base_url"
            )
        self._key = key
        self._base_url = base_url
        self._timeout = timeout
        self._lock = threading.Lock()
        self._made: openai.OpenAI | None = None

    def generate(self, request: Request) -> Reply:
        """See Model."""
        import openai

        body = self._body(request)
        try:
            answer = self._client().chat.completions.create(model=request.model, **body)
        except openai.APIStatusError as error:
            raise _refused(error, model=request.model) from error
        except openai.APIConnectionError as error:  # a timeout is one, too
            raise TransientError(
                f"no answer ({type(error).__name__})", where=f"model {request.model}"
            ) from error
        except (openai.OpenAIError, ValueError) as error:
            raise _unreadable(request.model) from error
        return self._reply(answer, model=request.model)

    def prepare(self) -> None:
        """See Model."""
        self._client()

    def estimate(self, request: Request) -> int:
        """See Model."""
        return input_tokens(request)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    def _body(self, request: Request) -> dict[str, Any]:
        body = body_of(request)
        if request.max_tokens is not None:
            # OpenAI refuses the old name for newer models; other servers know only the old one.
            is_openai = not self._base_url or "api.openai.com" in self._base_url
            body["max_completion_tokens" if is_openai else "max_tokens"] = request.max_tokens
        if request.thinking:
            body["reasoning_effort"] = request.thinking
        return body

    def _reply(self, answer: Any, *, model: str) -> Reply:
        """Read an answer; one that is no JSON comes as plain text out of the library."""
        if not hasattr(answer, "model_dump"):
            raise _unreadable(model)
        try:
            reply = reply_of(answer.model_dump(warnings=False))
        except (TypeError, AttributeError, KeyError) as error:
            raise _unreadable(model) from error
        if reply is None:
            raise _unreadable(model)
        return reply

    def _client(self) -> "openai.OpenAI":
        with self._lock:
            if self._made is None:
                import openai

                self._made = openai.OpenAI(
                    api_key=self._key.reveal() or _NO_KEY,
                    base_url=self._base_url or None,
                    timeout=self._timeout.total_seconds(),
                    max_retries=0,  # a retry needs a grant of its own
                )
            return self._made


def _unreadable(model: str) -> TransientError:
    return TransientError("the answer is not a chat completion", where=f"model {model}")


def _refused(error: "openai.APIStatusError", *, model: str) -> BotticelliError:
    where, said = f"model {model}", _said(error)
    code = error.status_code
    if code == 429:
        return _quota(error, where=where, said=said)
    if code in {401, 403}:
        return PermanentError(
            f"the key is refused: {said}", where=where, mend="check the key", unrecoverable=True
        )
    if code == 404:
        return PermanentError(
            f"the server does not have this model: {said}",
            where=where,
            mend="check its name and the base_url",
            retired=True,
        )
    if code in {408, 409} or code >= 500:
        return TransientError(
            f"the server answers {code}: {said}", where=where, retry_after=_delay(error)
        )
    return PermanentError(f"the server refuses the request: {said}", where=where)


def _quota(error: "openai.APIStatusError", *, where: str, said: str) -> QuotaError:
    if error.code == "insufficient_quota":
        return QuotaError(f"the account has no credit: {said}", where=where, scope="none")
    is_day = re.search(r"per day|\bRP[D]\b|\bTPD\b", said) is not None
    is_tokens = re.search(r"\btokens? per|\bTP[MD]\b", said) is not None
    return QuotaError(
        f"a rate limit is reached: {said}",
        where=where,
        scope="day" if is_day else "minute",
        metric="tokens" if is_tokens else "requests",
        retry_after=_delay(error),
    )


def _delay(error: "openai.APIStatusError") -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        written = error.response.headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", written):
            return float(written) * unit
    return None


def _said(error: "openai.APIStatusError") -> str:
    return _KEY.sub("[key]", " ".join(str(error.message).split()))[:_LONGEST]
