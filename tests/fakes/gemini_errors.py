"""Error bodies as Google's Generative Language API sends them."""

from dataclasses import dataclass
from typing import Any

from tests.fakes.loopback import Answer, answer_json

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials.",
    403: "Your project has been denied access. Please contact support.",
    404: "Requested entity was not found.",
    500: "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
    502: "Bad gateway.",
    503: "This model is currently experiencing high demand. Spikes in demand are usually "
    "temporary. Please try again later.",
    504: "The request timed out. Please try again.",
}
_TYPE = "type.googleapis.com/google.rpc."
_LIMITS_PAGE = "https://ai.google.dev/gemini-api/docs/rate-limits"


class Refusal(Exception):
    """A request that must be answered with an error."""

    def __init__(
        self, message: str, *, status: int = 400, details: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details

    def answer(self) -> Answer:
        """Return the error as it goes over the wire."""
        return error(self.status, self.message, details=self.details)


def error(status: int, message: str = "", *, details: list[dict[str, Any]] | None = None) -> Answer:
    """Return an error answer; no `details` key when there are none, as with the real one."""
    body: dict[str, Any] = {
        "code": status,
        "message": message or _MESSAGES[status],
        "status": _STATUS[status],
    }
    if details:
        body["details"] = details
    return answer_json({"error": body}, status=status)


def key_missing() -> Refusal:
    """Return the refusal of a request without any key."""
    return Refusal(
        "Method doesn't allow unregistered callers (callers without established identity). Please "
        "use API Key or other form of API consumer identity to call this API.",
        status=403,
    )


def key_invalid() -> Refusal:
    """Return the refusal of a wrong key, which is a 400 and not a 401."""
    message = "API key not valid. Please pass a valid API key."
    info = {
        "@type": _TYPE + "ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    words = {"@type": _TYPE + "LocalizedMessage", "locale": "en-US", "message": message}
    return Refusal(message, details=[info, words])


def unknown_field(name: str, *, within: str) -> Refusal:
    """Return the refusal of a field that the API does not know."""
    place = f" at '{within}'" if within else ""
    message = f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
    violation: dict[str, str] = {"description": message}
    if within:
        violation = {"field": within, **violation}
    return Refusal(
        message, details=[{"@type": _TYPE + "BadRequest", "fieldViolations": [violation]}]
    )


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One limit of a model: what is counted, over what, and how much is allowed."""

    model: str
    counted: str  # "requests" or "tokens"
    per: str  # "minute" or "day"
    value: int
    tier: str = "free"  # "free", "paid-1", "paid-2", "paid-3"

    def violation(self) -> dict[str, Any]:
        """Return the item of QuotaFailure.violations; a limit of 0 has no quotaValue."""
        item: dict[str, Any] = {
            "quotaMetric": f"generativelanguage.googleapis.com/{self.metric}",
            "quotaId": self.id,
            "quotaDimensions": {"location": "global", "model": self.model},
        }
        if self.value:
            item["quotaValue"] = str(self.value)
        return item

    @property
    def metric(self) -> str:
        """The metric's short name."""
        tier = "free_tier" if self.tier == "free" else f"paid_tier_{self.tier[-1]}"
        what = "requests" if self.counted == "requests" else "input_token_count"
        return f"generate_content_{tier}_{what}"

    @property
    def id(self) -> str:
        """The quotaId, whose PerDay or PerMinute is what a client should classify by."""
        per = self.per.capitalize()
        if self.tier == "free":
            if self.counted == "requests":
                return f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier"
            return f"GenerateContentInputTokensPerModelPer{per}-FreeTier"
        number = self.tier[-1]
        if self.counted == "requests":
            return f"GenerateRequestsPer{per}PerProjectPerModel-PaidTier{number}"
        return f"GenerateContentPaidTierInputTokensPerModelPer{per}-PaidTier{number}"


_QUOTA_TEXT = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    f"information on this error, head to: {_LIMITS_PAGE}. To monitor your current usage, head to: "
    "https://ai.dev/rate-limit. "
)


def exhausted(*quotas: Quota, retry_in: float) -> Answer:
    """Return a 429; `retry_in` seconds stand in RetryInfo (whole) and in the message (exact)."""
    lines = [
        f"\n* Quota exceeded for metric: generativelanguage.googleapis.com/{quota.metric}, "
        f"limit: {quota.value}, model: {quota.model}"
        for quota in quotas
    ]
    text = f"{_QUOTA_TEXT}{''.join(lines)}\nPlease retry in {retry_in:.9f}s."
    link = {"description": "Learn more about Gemini API quotas", "url": _LIMITS_PAGE}
    details: list[dict[str, Any]] = [
        {"@type": _TYPE + "Help", "links": [link]},
        {"@type": _TYPE + "QuotaFailure", "violations": [quota.violation() for quota in quotas]},
        {"@type": _TYPE + "RetryInfo", "retryDelay": f"{int(retry_in)}s"},
    ]
    return error(429, text, details=details)


def exhausted_without_details() -> Answer:
    """Return the 429 of a spend limit or of lacking capacity, which names no quota."""
    return error(429, "Resource has been exhausted (e.g. check quota).")
