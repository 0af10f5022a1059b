"""Gemini by google-genai: exactly one request for each `generate`.

Everything by which the library would send more than was asked is turned off: retries, automatic
continuation, function calling. Facts about the API and the library: docs/models.md.
"""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.models import catalogue, gemini_errors
from botticelli.models.base import (
    Capabilities,
    Finish,
    Message,
    Part,
    PermanentError,
    Reply,
    Request,
    TransientError,
    Usage,
)
from botticelli.models.chat import plain
from botticelli.models.driver import Driver

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
        "MODEL_ARMOR",
    }
)
# Models before 3 count thinking in tokens: 0 is off where that can be had (not in 2.5-pro).
_BUDGETS: Final = {"minimal": 0, "low": 1024, "medium": 8192, "high": 24576}
_LEAST_PRO_BUDGET: Final = 128


class Gemini(Driver["genai.Client"]):
    """See Model. One client, made with the first call and shared by all threads.

    Args:
        base_url: Root of the API without its version; empty: Google's.
        timeout: For one answer.
    """

    provider = "gemini"

    def __init__(self, *, key: Secret, base_url: str = "", timeout: timedelta) -> None:
        if not key:
            raise ConfigError(
                "GEMINI_API_KEY is not set",
                where="gemini",
                hint="set it (or GEMINI_API_KEY_FILE), or try --offline, which needs no key",
            )
        super().__init__()
        self._key = key
        self._base_url = base_url
        self._timeout = timeout

    def generate(self, request: Request) -> Reply:
        """See Model."""
        import httpx2
        from google.genai import errors, types

        config = settings(request, catalogue.known(request.model).capabilities)
        contents = [_content(message) for message in request.messages]
        try:
            response = self._client().models.generate_content(
                model=request.model,
                contents=contents,
                config=types.GenerateContentConfig(**config),
            )
        except errors.APIError as error:
            raise gemini_errors.mapped(error, model=request.model) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise self._unreached(error, model=request.model) from error
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            # A body that is no JSON, or not the API's: the library trips over a bare number. And
            # over an answer to a schema that is nested a thousand levels deep.
            raise gemini_errors.unreadable(request.model) from error
        return read(response, model=request.model)

    def look_up(self, model: str) -> None:
        """See CanLookUp: the model's description, which Google counts as no call."""
        import httpx2
        from google.genai import errors

        try:
            self._client().models.get(model=model)
        except errors.APIError as error:
            raise gemini_errors.mapped(error, model=model) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise self._unreached(error, model=model) from error
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise gemini_errors.unreadable(model) from error

    def _unreached(self, error: Exception, *, model: str) -> TransientError:
        at = f" and whether {self._base_url} is right" if self._base_url else ""
        return TransientError(
            f"no answer from Gemini ({type(error).__name__})",
            where=f"model {model}",
            hint=f"check the network{at}",
        )

    def _make(self) -> "genai.Client":
        """Make the client. The first import takes half a second, a client 50 ms."""
        from google import genai
        from google.genai import types

        return genai.Client(
            api_key=self._key.reveal(),
            enterprise=False,  # an environment variable would switch to another service
            http_options=types.HttpOptions(
                base_url=self._base_url or None,
                timeout=round(self._timeout.total_seconds() * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )


def settings(request: Request, capabilities: Capabilities) -> dict[str, Any]:
    """Return the generation settings: what the model no longer takes is left out."""
    settings: dict[str, Any] = {
        "automatic_continuation": False,
        "automatic_function_calling": {"disable": True},
    }
    if request.system:
        settings["system_instruction"] = request.system
    if request.max_tokens is not None:
        settings["max_output_tokens"] = request.max_tokens
    if request.temperature is not None and capabilities.sampling:
        settings["temperature"] = request.temperature
    if request.schema is not None:
        settings["response_mime_type"] = "application/json"
        settings["response_json_schema"] = plain(request.schema)
    if request.thinking and capabilities.thinking:
        settings["thinking_config"] = _thinking(request, capabilities)
    return settings


def read(response: Any, *, model: str) -> Reply:
    """Return the answer that a GenerateContentResponse holds.

    Raises:
        TransientError: It holds neither an answer nor a reason for none.
    """
    usage = _usage(response.usage_metadata)
    version, id_ = response.model_version or "", response.response_id or ""
    if not response.candidates:
        blocked = response.prompt_feedback and response.prompt_feedback.block_reason
        if not blocked:
            raise gemini_errors.unreadable(model)
        return Reply(
            text="",
            finish=Finish.BLOCKED,
            finish_detail=f"prompt: {_word(blocked)}",
            usage=usage,
            model_version=version,
            request_id=id_,
        )
    candidate = response.candidates[0]
    parts = (candidate.content and candidate.content.parts) or []
    detail = _word(candidate.finish_reason)
    return Reply(
        text="".join(part.text for part in parts if part.text and not part.thought),
        finish=_finish(detail),
        finish_detail=detail,
        usage=usage,
        model_version=version,
        request_id=id_,
    )


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


def _usage(metadata: Any) -> Usage | None:
    if metadata is None or metadata.prompt_token_count is None:
        return None
    return Usage(
        input=metadata.prompt_token_count + (metadata.tool_use_prompt_token_count or 0),
        cached=metadata.cached_content_token_count or 0,
        output=metadata.candidates_token_count or 0,
        thoughts=metadata.thoughts_token_count or 0,
    )


def _finish(detail: str) -> Finish:
    if detail in _BLOCKED:
        return Finish.BLOCKED
    return {"STOP": Finish.STOP, "MAX_TOKENS": Finish.LENGTH}.get(detail, Finish.OTHER)


def _word(value: Any) -> str:
    return str(getattr(value, "value", value) or "")
