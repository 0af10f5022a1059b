"""OpenAI's API and everything that speaks it: Ollama, llama.cpp, vLLM, LM Studio, OpenRouter ..."""

import json
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.models import openai_errors
from botticelli.models.base import Part, Reply, Request, TransientError
from botticelli.models.chat import body_of, plain, reply_of
from botticelli.models.driver import Driver
from botticelli.models.openai_errors import Refusal

if TYPE_CHECKING:
    import openai

_NO_KEY: Final = "none"  # self-hosted servers need none, but the library does
_FORMATS: Final = ("json_schema", "json_object", "")
"""How a schema is asked for: the next one where a server refuses one; "": in words alone."""


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
            raise ConfigError(
                "OPENAI_API_KEY is not set", where="openai", hint="set it, or give a base_url"
            )
        super().__init__()
        self._key = key
        self._base_url = base_url
        self._timeout = timeout
        self._refused: dict[str, int] = {}  # model -> how many of _FORMATS it does not take

    def generate(self, request: Request) -> Reply:
        """See Model."""
        import openai

        body = self._body(request)
        try:
            answer = self._client().chat.completions.create(model=request.model, **body)
        except openai.APIStatusError as error:
            raise self._meaning(openai_errors.refusal_of_status(error), request) from error
        except openai.APIConnectionError as error:  # a timeout is one, too
            raise TransientError(
                f"no answer ({type(error).__name__})",
                where=f"model {request.model}",
                hint=f"check that a server runs at {self._base_url}"
                if self._base_url
                else "check the network",
            ) from error
        except (openai.OpenAIError, ValueError) as error:
            raise _unreadable(request.model) from error
        return self._reply(answer, request=request)

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
        refusal = openai_errors.refusal_inside(facts)
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
            return openai_errors.mapped(refusal, model=request.model)
        self._refused[request.model] = level + 1
        return TransientError(
            f"the server takes no {_FORMATS[level]}; the schema is asked for otherwise",
            where=f"model {request.model}",
        )

    def _make(self) -> "openai.OpenAI":
        import openai

        return openai.OpenAI(
            api_key=self._key.reveal() or _NO_KEY,
            base_url=self._base_url or None,
            timeout=self._timeout.total_seconds(),
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
