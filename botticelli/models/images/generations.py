"""The images API of OpenAI, as other servers speak it too: a request, and what an answer holds."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from botticelli.models.base import (
    Finish,
    ImageOptions,
    Message,
    PermanentError,
    Reply,
    Request,
    Usage,
)
from botticelli.models.usage import count

OPENAI: Final = "https://api.openai.com/v1"
# Codes of a refusal that is about the picture, not about us: asked again it is the same.
BLOCKED: Final = frozenset(("moderation_blocked", "content_policy_violation", "content_filter"))
_BY_RATIO: Final = {"wide": "1536x1024", "high": "1024x1536", "square": "1024x1024"}


def prompt_of(messages: tuple[Message, ...], system: str) -> str:
    """Return what is to be drawn, as one text.

    Raises:
        PermanentError: A picture is among the inputs, which this API has another call for.
    """
    if any(part.text is None for message in messages for part in message.parts):
        raise PermanentError(
            "this model draws from words alone",
            where="openai",
            hint="take the pictures out of the act's inputs, or use a gemini-* model",
        )
    return "\n\n".join(filter(None, (system, *(message.text for message in messages))))


def body_of(request: Request, *, response_format: str) -> dict[str, Any]:
    """Return the request for one picture. What is empty, or refused by the server, is left out."""
    image = request.image or ImageOptions()
    body = {
        "prompt": prompt_of(request.messages, request.system),
        "size": _size(image),
        "quality": image.quality,
        "response_format": response_format,
    }
    sent = {name: value for name, value in body.items() if value and name not in request.without}
    return {"model": request.model, "n": 1, **sent}


def reply_of(answer: Any, *, base_url: str, fetch: Callable[[str], bytes]) -> Reply | None:
    """Return the first picture of an answer; None if it is no answer of this API.

    `fetch` reads one by its address, which has to be at the server itself.

    Raises:
        PermanentError: It is not.
        ValueError: What is to be base64 is none.
    """
    listed = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        return None
    first = listed[0] if listed and isinstance(listed[0], Mapping) else {}
    usage = answer.get("usage")
    return Reply(
        text=str(first.get("revised_prompt") or ""),
        image=_image(first, base_url=base_url or OPENAI, fetch=fetch),
        finish=Finish.STOP,
        usage=_usage(usage) if isinstance(usage, Mapping) else None,
        model_version=str(answer.get("model") or ""),
    )


def _image(found: Mapping[str, Any], *, base_url: str, fetch: Callable[[str], bytes]) -> bytes:
    written, url = found.get("b64_json"), found.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        written = url
    if isinstance(written, str) and written:
        content = base64.b64decode("".join(written.rpartition(",")[2].split()), validate=True)
    elif isinstance(url, str) and url:
        here, there = urlsplit(base_url), urlsplit(urljoin(base_url, url))
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise PermanentError(
                f"the server says that the picture is at {there.netloc or url[:60]}, not at itself",
                where="openai",
                hint='set response_format = "b64_json" in [models.NAME]',
            )
        content = fetch(there.geturl())
    else:
        content = b""
    return content


def _size(image: ImageOptions) -> str:
    """Return the pixels of a size or, without one, those of the ratio."""
    if "x" in image.size.lower() or not image.aspect_ratio:
        return image.size.lower() if "x" in image.size.lower() else ""
    width, _, height = image.aspect_ratio.partition(":")
    wide, high = float(width), float(height)
    return _BY_RATIO["wide" if wide > high else "high" if high > wide else "square"]


def _usage(told: Mapping[str, Any]) -> Usage | None:
    read, output = count(told.get("input_tokens")), count(told.get("output_tokens")) or 0
    details = told.get("output_tokens_details")
    image = count(details.get("image_tokens")) if isinstance(details, Mapping) else None
    if read is None:
        return None
    return Usage(input=read, output=output, image=min(output, output if image is None else image))
