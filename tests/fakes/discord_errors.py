"""Discord's error bodies: a code, a message, and for forms a tree of what is wrong where."""

from typing import Any

from tests.fakes.loopback import Answer, answer_json

_KNOWN: dict[int, tuple[int, str]] = {  # code: (HTTP status, message)
    0: (404, "404: Not Found"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10006: (404, "Unknown Invite"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10011: (404, "Unknown Role"),
    10026: (404, "Unknown Ban"),
    10070: (404, "Unknown Guild Scheduled Event"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    30003: (400, "Maximum number of pins reached (250)"),
    30010: (400, "Maximum number of reactions reached (20)"),
    30046: (429, "Maximum number of edits to messages older than 1 hour reached. Try again later"),
    40004: (403, "Send messages has been temporarily disabled"),
    40033: (400, "This message has already been crossposted"),
    40005: (413, "Request entity too large"),
    40058: (
        400,
        "Cannot message this thread until after the post author has sent an initial message.",
    ),
    40067: (400, "A tag is required to create a forum post in this channel"),
    40333: (403, "internal network error"),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50008: (400, "Cannot send messages in a non-text channel"),
    50013: (403, "Missing Permissions"),
    50014: (401, "Invalid authentication token provided"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid Webhook Token"),
    50034: (400, "You can only bulk delete messages that are under 14 days old."),
    50035: (400, "Invalid Form Body"),
    50041: (400, "Invalid API version"),
    50045: (400, "File uploaded exceeds the maximum size"),
    50083: (400, "Thread is archived"),
    50109: (400, "The request body contains invalid JSON."),
    130000: (503, "API resource is currently overloaded. Try again a little later."),
    160002: (403, "You cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
    160005: (403, "Thread is locked"),
    200000: (400, "Message was blocked by automatic moderation"),
    220001: (400, "Webhooks posted to forum channels must have a thread_name or thread_id"),
    220002: (400, "Webhooks posted to forum channels cannot have both a thread_name and thread_id"),
    220003: (400, "Webhooks can only create threads in forum channels"),
    520003: (400, "Cannot edit poll message"),
    240000: (400, "Message blocked by harmful links filter"),
}


class Fail(Exception):
    """A request that must be answered with one of Discord's error codes."""

    def __init__(
        self, code: int, *, errors: dict[str, Any] | None = None, retry_after: float = 0.0
    ) -> None:
        super().__init__(f"{code}")
        self.code = code
        self.status, self.message = _KNOWN.get(code, (400, "Unknown error"))
        self.errors = errors
        self.retry_after = retry_after

    def answer(self, *, status: int = 0) -> Answer:
        """Return the error as it goes over the wire."""
        if self.status == 429:
            return too_many(self.retry_after, message=self.message, code=self.code)
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return answer_json(body, status=status or self.status)


class Form:
    """Collects what is wrong with a form, by dotted path, and fails once."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}

    def wrong(self, path: str, code: str, message: str) -> None:
        """Note one mistake, such as wrong("embeds.0.title", "BASE_TYPE_MAX_LENGTH", ...)."""
        node = self._tree
        for step in path.split(".") if path else []:
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def too_long(self, path: str, value: Any, most: int) -> None:
        """Check a text's length, in UTF-16 units: the docs do not say, this is the larger count."""
        if value is None:
            return
        if not isinstance(value, str):
            self.wrong(path, "STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.')
        elif len(value.encode("utf-16-le", "surrogatepass")) // 2 > most:
            self.wrong(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")

    def too_many(self, path: str, value: Any, most: int) -> None:
        """Check that a value is a list of at most `most` items."""
        if value is None:
            return
        if not isinstance(value, list):
            self.wrong(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        elif len(value) > most:
            self.wrong(path, "BASE_TYPE_BAD_LENGTH", f"Must be between 0 and {most} in length.")

    def finish(self) -> None:
        """Raise Fail 50035 if anything was wrong."""
        if self._tree:
            raise Fail(50035, errors=self._tree)


def bad_field(path: str, code: str, message: str) -> Fail:
    """Return the failure of a form with one mistake."""
    form = Form()
    form.wrong(path, code, message)
    try:
        form.finish()
    except Fail as fail:
        return fail
    raise AssertionError("a wrong form must fail")


def too_many(
    seconds: float,
    *,
    message: str = "You are being rate limited.",
    scope: str = "user",
    code: int | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """Return a 429: exact seconds in the body, whole seconds (rounded up) in Retry-After."""
    body: dict[str, Any] = {
        "message": message,
        "retry_after": round(seconds, 3),
        "global": scope == "global",
    }
    if code is not None:
        body["code"] = code
    extra = (("X-RateLimit-Global", "true"),) if scope == "global" else ()
    whole = str(max(1, -int(-seconds // 1)))
    lines = (("Retry-After", whole), ("X-RateLimit-Scope", scope), *extra, *headers)
    return answer_json(body, status=429, headers=lines)


def unauthorized() -> Answer:
    """Return the answer to a missing or dead token."""
    return answer_json({"message": "401: Unauthorized", "code": 0}, status=401)
