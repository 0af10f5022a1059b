"""Scripted faults that replace the whole answer; those within an answer are in gemini_answers."""

from tests.fakes.gemini_answers import Call
from tests.fakes.gemini_errors import Quota, error, exhausted, exhausted_without_details
from tests.fakes.loopback import Answer, answer_html, answer_json


def broken(fault: str, call: Call) -> Answer:
    """Return what a scripted fault sends; KeyError if there is no such fault.

    "hang", "reset", "close"; a status ("503"), or "400:WORDS"; "html-200",
    "html-502", "empty-200", "list-200", "error-200"; a 429 by kind ("429:day", or just
    "day"), with its delay and limit if wanted ("minute:2", "minute:2:30").
    """
    if fault in {"hang", "reset", "close"}:
        return Answer(ending=fault)
    if fault.isdigit() and fault != "429":
        return error(int(fault))
    if fault.startswith("400:"):
        return error(400, message=fault.removeprefix("400:"))
    if fault in _ODD:
        return _ODD[fault]()
    return _scripted_429(fault.removeprefix("429:"), call)


_ODD = {
    "html-200": lambda: answer_html(200, "Sign in", server="nginx"),
    "html-502": lambda: answer_html(502, "502 Bad Gateway", server="nginx"),
    "empty-200": Answer,
    "list-200": lambda: answer_json([]),
    "error-200": lambda: answer_json(
        {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}
    ),
    "no-details": exhausted_without_details,
    "429:no-details": exhausted_without_details,
}
_KINDS = {  # what is counted, per, value, and the delay that Google was seen to give with it
    "429": ("requests", "minute", 5, 21.4),
    "minute": ("requests", "minute", 5, 21.4),
    "day": ("requests", "day", 20, 32.5),
    "tokens": ("tokens", "minute", 250_000, 26.9),
    "limit-0": ("requests", "day", 0, 38.2),
    "paid-tokens": ("tokens", "minute", 3_000_000, 14.6),
}


def _scripted_429(kind: str, call: Call) -> Answer:
    """Return a quota refusal; "minute:2" sets the delay in seconds, "minute:2:30" the limit."""
    name, seconds, limit, *_ = [*kind.split(":"), "", ""]
    counted, per, value, delay = _KINDS[name]
    value = int(limit or value)
    tier = "paid-2" if name == "paid-tokens" else "free"
    quota = Quota(model=call.served, counted=counted, per=per, value=value, tier=tier)
    return exhausted(quota, retry_in=float(seconds or delay))
