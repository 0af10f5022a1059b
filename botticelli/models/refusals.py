"""What a server says when it refuses: how long to wait, and why, in its own words.

Times are seconds, None if it does not say. A moment is measured from the answer's own Date, so that
no clock of ours has to be right. Header names are in lower case. Sources: RFC 9110 (Retry-After),
OpenAI (retry-after-ms, 6m0s).
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from botticelli.models.base import PermanentError, TransientError
from botticelli.web_bounds import kind_of

_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)(ms|s))?")
_IN_WORDS = re.compile(
    r"(?:try again|retry) in ((?:\d+h)?(?:\d+m(?!s))?(?:[\d.]+m?s)?)", re.IGNORECASE
)
_KEY = re.compile(r"AIza[\w-]{20,}|\bsk-[\w*-]{8,}")
LOOK_SECONDS: Final = 10.0  # for an answer that costs nothing
_LONGEST: Final = 200  # characters of a server's own words in a message
_LEAST_EPOCH: Final = 1e9  # a number above it is a moment: in seconds, or above 100 times it in ms


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return what `retry-after-ms` or `Retry-After` asks for."""
    milliseconds = number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after", "")
    seconds = number(asked)
    return _until(_moment(asked), headers) if seconds is None else seconds


def until_reset(written: str, headers: Mapping[str, str]) -> float | None:
    """Return the time until a reset, given as seconds, as a span or as a moment of Unix time."""
    found = number(written)
    if found is None:
        return span(written)
    if found < _LEAST_EPOCH:
        return found
    return _until(found / (1000 if found > 100 * _LEAST_EPOCH else 1), headers)


def span(written: str) -> float | None:
    """Return a span such as 1h2m3.5s, 6m0s or 20ms."""
    found = _SPAN.fullmatch(written.strip())
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, unit = found.groups()
    last = number(seconds or "0") or 0.0
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + last / (1000 if unit == "ms" else 1)


def spoken(message: str) -> float | None:
    """Return the time of "retry in 14s" or "try again in 6m0s" in a message."""
    found = _IN_WORDS.search(message)
    return span(found[1]) if found else None


def said(message: str) -> str:
    """Return a server's own words, short, in one line, without anything like a key."""
    words = " ".join(message.split())
    words = "a web page" if words.startswith("<") else words
    return _KEY.sub("[key]", words)[:_LONGEST] or "no reason given"


def redirected(where: str, *, setting: str) -> PermanentError:
    """Return the error for an answer that names another address: key and prompt stay here."""
    return PermanentError(
        "the server redirects to another address, which is not followed",
        where=where,
        hint=f"set {setting} to where the API is",
        unrecoverable=True,
    )


def stranger(body: str, api: str, *, at: str, where: str) -> PermanentError:
    """Return the error for an answer that is none of the API's: a portal's, a parked domain's."""
    return PermanentError(
        f"{at} is not {api}: it answers with {kind_of(body)}",
        where=where,
        hint="check the address, and whether the network wants a login first",
        unrecoverable=True,
    )


def no_answer(error: Exception, *, where: str, server: str, seconds: float) -> TransientError:
    """Return the error for a request that nobody has answered, or not in time."""
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return TransientError(
            f"no answer within {seconds:g} s",
            where=where,
            hint="raise timeout_seconds in [models], or choose a quicker model",
        )
    at = f"check that a server runs at {server}" if server else "check the network"
    return TransientError(f"no answer ({type(error).__name__})", where=where, hint=at)


def number(written: str) -> float | None:
    """Return a plain number of no sign."""
    return float(written) if re.fullmatch(r"\d+(\.\d+)?", written.strip()) else None


def _until(moment: float | None, headers: Mapping[str, str]) -> float | None:
    present = _moment(headers.get("date", ""))
    return None if moment is None or present is None else max(0.0, moment - present)


def _moment(written: str) -> float | None:
    try:
        return parsedate_to_datetime(written).timestamp()
    except ValueError:
        return None
