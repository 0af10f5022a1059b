"""Requests to Discord's REST API, of posts and commands alike, and which may be repeated."""

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botticelli.backoff import Backoff
from botticelli.errors import BotticelliError
from botticelli.platforms.base import LockedOut, LockedOutMidway, NotSent, Unconfirmed
from botticelli.platforms.discord.errors import CROSSPOSTED, UNKNOWN_GUILD, ErrorAnswer
from botticelli.platforms.rate_limits import RateLimits
from botticelli.platforms.requests import Explain, Requests, WebRequest

if TYPE_CHECKING:
    import requests

LONGEST_REASON: Final = 512  # characters of X-Audit-Log-Reason

PATIENCE: Final = 60.0  # seconds that one request may spend waiting and being repeated
MOST_ATTEMPTS: Final = 5
BACKOFF: Final = Backoff(base=1.0, cap=30.0)
REPEATABLE: Final = ("/bulk-delete", "/typing", "/crosspost")  # POSTs that may be made twice


def discord_request(method: str, path: str, *, reason: str = "", **more: Any) -> WebRequest:
    """Return a request to Discord; whatever changes something is looked at after a lost answer.

    `reason` stands in the server's audit log beside what was done.
    """
    headers = {"X-Audit-Log-Reason": quote(reason[:LONGEST_REASON], safe=" ")} if reason else {}
    return WebRequest(method=method, path=path, headers=headers, publishes=method != "GET", **more)


class Rest(Requests):
    """A session with Discord. Not shared between threads.

    Args:
        session: The HTTP session, with User-Agent and credentials set.
        base_url: Root of the API, with its version.
        limits: The account of the session's bot; several sessions may keep the same.
    """

    read = ErrorAnswer.of
    variable = " (DISCORD_API_BASE)"

    def __init__(self, session: "requests.Session", *, base_url: str, limits: RateLimits) -> None:
        super().__init__(session, base_url=base_url, limits=limits, server="Discord")

    def ask_patiently(self, request: WebRequest, *, where: str, explain: Explain) -> Any:
        """Make a request, repeated where that is safe. Raises as `ask`.

        Once an attempt may have been carried out, no later refusal says that nothing was done.
        """
        clock = self._limits.clock
        until = clock.monotonic() + PATIENCE
        is_open = False
        for attempt in range(1, MOST_ATTEMPTS + 1):
            is_fine = partial(_was_done, request) if is_open else lambda _: False
            try:
                return self.ask(request, where=where, explain=explain, is_fine=is_fine)
            except BotticelliError as error:
                wait = BACKOFF.after(attempt, asked=getattr(error, "retry_after", None))
                is_last = attempt == MOST_ATTEMPTS or clock.monotonic() + wait > until
                if is_last or not _may_follow(request, error):
                    raise _left_open(error) if is_open else error from None
                is_open = is_open or isinstance(error, Unconfirmed)
            clock.sleep(wait)
        raise AssertionError("the last attempt either returns or raises")


def _may_follow(request: WebRequest, error: BotticelliError) -> bool:
    """Return whether repeating it after an error is safe: nothing was done, or twice is as once."""
    if not isinstance(error, Unconfirmed):
        return isinstance(error, NotSent)
    if request.method != "POST" or request.path.endswith(REPEATABLE):
        return True
    return isinstance(request.json, dict) and bool(request.json.get("enforce_nonce"))


def _was_done(request: WebRequest, answer: ErrorAnswer) -> bool:
    """Return whether a refusal says that the attempt before, whose answer was lost, succeeded."""
    if request.method == "DELETE":
        is_unknown = 10000 < answer.code < 10100 and answer.code != UNKNOWN_GUILD
        return answer.status == 404 and is_unknown
    return answer.code == CROSSPOSTED


def _left_open(error: BotticelliError) -> BotticelliError:
    """Return the error of an attempt after one that may have been carried out."""
    kind = LockedOutMidway if isinstance(error, LockedOut) else Unconfirmed
    what = f"{error.what}; an earlier attempt may have been carried out"
    return kind(what, where=error.where, hint=error.hint)
