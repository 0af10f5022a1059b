"""What each refusal of the Gemini API means: wait, another day, another model, or fix something.

Source: recorded answers (quotaId names the period; its delays were often wrong for daily limits),
error table of ai.google.dev/gemini-api/docs/troubleshooting.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from botticelli.errors import BotticelliError
from botticelli.models.base import PermanentError, QuotaError, TransientError
from botticelli.models.refusals import retry_after, said, span, spoken

_LIMIT_ZERO = re.compile(r"limit: 0\b(?!\.)")
_BAD_KEY = re.compile(r"API_KEY_INVALID|API key (?:not valid|expired)", re.IGNORECASE)


def mapped(error: Any, *, model: str) -> BotticelliError:
    """Return what an APIError of the library means to us."""
    code = int(error.code or 0)
    where = f"model {model}"
    words = _said(error)
    if code == 429:
        return _quota(error, where=where)
    if code in {408, 409, 499} or code >= 500 or code < 400:
        return TransientError(
            f"Gemini answers {code}: {words}", where=where, retry_after=_delay(error)
        )
    return _permanent(error, code, where=where, said=words)


def _permanent(error: Any, code: int, *, where: str, said: str) -> PermanentError:
    if code in {401, 403} or (code == 400 and _BAD_KEY.search(f"{error.details} {said}")):
        return PermanentError(
            f"Gemini refuses the key: {said}",
            where=where,
            hint="check GEMINI_API_KEY and what its project may use",
            unrecoverable=True,
        )
    if code == 400 and error.status == "FAILED_PRECONDITION":  # the country, or no billing
        return PermanentError(
            f"Gemini refuses to serve this project: {said}",
            where=where,
            hint="see the project's plan and billing in AI Studio",
            unrecoverable=True,
        )
    if code == 404 and not _is_from_api(error):
        return PermanentError(
            "there is no Gemini API at this address",
            where=where,
            hint="check GOOGLE_GEMINI_BASE_URL, or base_url in [models.NAME]",
            unrecoverable=True,
        )
    if code == 404:
        return PermanentError(
            "Gemini does not serve this model (any more)",
            where=where,
            hint="name another model, or map it in [models.aliases]",
            retired=True,
        )
    return PermanentError(f"Gemini refuses the request: {said}", where=where)


def _is_from_api(error: Any) -> bool:
    """Return whether the API itself answered: what stands before it sends pages."""
    return isinstance(error.details, Mapping) and isinstance(error.details.get("error"), Mapping)


def unreadable(model: str) -> TransientError:
    """Return the error for an answer that has the form of none."""
    return TransientError(
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
