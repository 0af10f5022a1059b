"""What each refusal of an OpenAI-compatible server means, by status or inside an answer.

Sources: error pages of OpenAI, OpenRouter (errors inside a 200, `metadata.raw`), Groq and Cerebras
(rate-limit headers by metric and by day); RFC 9110 for Retry-After.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from botticelli.errors import BotticelliError
from botticelli.models.base import PermanentError, QuotaError, TransientError
from botticelli.models.refusals import number, retry_after, said, spoken, until_reset
from botticelli.records import record

if TYPE_CHECKING:
    import openai

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


def refusal_of_status(error: "openai.APIStatusError") -> Refusal:
    """Return what a status of 4xx or 5xx came with."""
    headers = {name.lower(): value for name, value in error.response.headers.items()}
    return _read(error.body, status=error.status_code, headers=headers)


def refusal_inside(answer: Mapping[str, Any]) -> Refusal | None:
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


def mapped(refusal: Refusal, *, model: str) -> BotticelliError:
    """Return what a refusal means to us."""
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
