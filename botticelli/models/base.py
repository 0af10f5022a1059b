"""What a language model is to this house: one request in, one reply out, three kinds of failure."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Final, Literal, Protocol, runtime_checkable

from botticelli.errors import BotticelliError, Exit
from botticelli.records import record


@record
class Part:
    """One piece of a message: text, or bytes of a media type, or the address of such.

    Exactly one of `text`, `data` and `uri` is given; `mime` goes with the last two.
    """

    text: str | None = None
    data: bytes | None = None
    uri: str | None = None
    mime: str | None = None


@record
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts, joined by a newline."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


@record
class ImageOptions:
    """What a picture that is asked for shall be like; empty: as the model does it.

    Args:
        aspect_ratio: Width to height: "16:9".
        size: 512, 1K, 2K or 4K (of Google's models), or pixels: 1536x1024.
        quality: low, medium, high or auto (of OpenAI's models).
    """

    aspect_ratio: str = ""
    size: str = ""
    quality: str = ""


@record
class Request:
    """Everything that decides an answer.

    Args:
        model: As the provider knows it.
        messages: Oldest first; the last is the user's.
        system: Standing instruction, or empty.
        temperature: Sampling temperature, 0-2; dropped for models that no longer take it.
        max_tokens: Most tokens of the answer, thinking included.
        schema: JSON Schema that the answer has to satisfy; None for free text.
        thinking: minimal, low, medium or high; empty: the model's default.
        image: A picture is wanted, not a text.
        without: Settings that the server is known to refuse (models/refused.py): they are left
            out, or said in words.
    """

    model: str
    messages: tuple[Message, ...]
    system: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    thinking: str = ""
    image: ImageOptions | None = None
    without: frozenset[str] = frozenset()


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"  # cut by the token limit: never content
    BLOCKED = "blocked"  # safety, recitation ...: never content
    OTHER = "other"


@record
class Usage:
    """Tokens as the provider reported them. `cached` is a part of `input`, `image` of `output`."""

    input: int = 0
    cached: int = 0
    output: int = 0
    image: int = 0
    thoughts: int = 0


@record
class Reply:
    """What a model answered.

    Args:
        text: The answer, whole.
        image: The picture that was asked for; empty: there is none, and `text` may say why.
        finish: Why it ended; `finish_detail` is the provider's own word.
        usage: None if the provider said nothing.
        model_version: The model that really served.
        request_id: The provider's name for this exchange.
    """

    text: str
    image: bytes = b""
    finish: Finish = Finish.STOP
    finish_detail: str = ""
    usage: Usage | None = None
    model_version: str = ""
    request_id: str = ""


class Model(Protocol):
    """One way to a language model. Safe to share between threads."""

    provider: str

    def generate(self, request: Request) -> Reply:
        """Send one request, exactly once, and return the answer.

        A cut or blocked answer is a Reply with that `finish`, so that its tokens are counted.

        Raises:
            TransientError: Nothing is wrong with the request; another attempt may succeed.
            QuotaError: The provider says that a quota is used up.
            SettingRefused: The server takes no such request with one of its settings.
            PermanentError: Sending the same again is pointless.
        """

    def prepare(self) -> None:
        """Load what a call needs, so that it is sent at once when its booked moment comes."""

    def estimate(self, request: Request) -> int:
        """Return an upper estimate of the input tokens, without network or cost."""

    def close(self) -> None:
        """Give back what is held open; the next call opens it again."""


@runtime_checkable
class CanLookUp(Protocol):
    """A Model whose provider can be asked about a model, without a call that costs."""

    def look_up(self, model: str) -> str:
        """Return if the provider knows the key and serves that model; raise as `generate` does.

        What cannot be learned that way is returned in words; empty: all is known.
        """


LARGEST_ANSWER: Final = 64 * 1024 * 1024  # bytes of a provider's answer, images in base64 included


class ModelError(BotticelliError):
    """A call to a model failed."""


class TransientError(ModelError):
    """The call may succeed when it is made again.

    Args:
        retry_after: Seconds that the provider asked to wait; None if it did not say.
    """

    exit_code = Exit.UNAVAILABLE

    def __init__(self, what: str, *, retry_after: float | None = None, **about: str) -> None:
        super().__init__(what, **about)
        self.retry_after = retry_after


class QuotaError(ModelError):
    """The provider says that a quota is used up.

    Args:
        scope: "minute", "day", "spend" (or capacity: the provider gave no details) or "none"
            (this account has no quota for the model at all: waiting is pointless).
        metric: "requests" or "tokens".
        retry_after: Seconds that the provider asked to wait.
        limit: The limit it named, if it named one.
    """

    def __init__(
        self,
        what: str,
        *,
        scope: Literal["minute", "day", "spend", "none"],
        metric: Literal["requests", "tokens"] = "requests",
        retry_after: float | None = None,
        limit: int | None = None,
        **about: str,
    ) -> None:
        super().__init__(what, **about)
        self.scope = scope
        self.metric = metric
        self.retry_after = retry_after
        self.limit = limit


class SettingRefused(ModelError):
    """The server takes no request with `setting`: sent again without it, it may be answered."""

    def __init__(self, what: str, *, where: str, setting: str) -> None:
        super().__init__(what, where=where)
        self.setting = setting


class PermanentError(ModelError):
    """Sending the same request again is pointless.

    Args:
        unrecoverable: No other request to this provider can succeed either (bad key, no access).
        retired: The model is not served (any more): another one may be.
    """

    def __init__(
        self, what: str, *, unrecoverable: bool = False, retired: bool = False, **about: str
    ) -> None:
        super().__init__(what, **about)
        self.unrecoverable = unrecoverable
        self.retired = retired
        if unrecoverable or retired:  # a key or a model's name has to be fixed
            self.exit_code = Exit.CONFIG


class UnusableAnswer(PermanentError):
    """The model has answered, but nothing that can be used: to another prompt it may."""


@record
class Capabilities:
    """What one model accepts; `models/catalogue.py` has the table.

    Args:
        inputs: Kinds of parts: text, image, audio, video, document.
        sampling: Whether temperature is still taken.
        thinking: Levels that may be asked for; empty: none.
    """

    inputs: frozenset[str] = field(default_factory=lambda: frozenset({"text"}))
    sampling: bool = True
    thinking: tuple[str, ...] = ()
