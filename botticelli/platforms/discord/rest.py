"""Requests to Discord's REST API, of posts and commands alike.

Rate limits, time limits, what a broken connection means, and which requests may be repeated.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botticelli.backoff import Backoff
from botticelli.errors import BotticelliError
from botticelli.platforms.base import LockedOut, LockedOutMidway, NotSent, Refused, Unconfirmed
from botticelli.platforms.discord.errors import CROSSPOSTED, UNKNOWN_GUILD, ErrorAnswer, date_of
from botticelli.platforms.discord.rate_limits import RateLimits
from botticelli.records import record
from botticelli.web import kind_of

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT: Final = 5.0  # seconds; together with the rate limit's wait less than a lease
READ_TIMEOUT: Final = 25.0
LONGEST_REFUSAL: Final = 64 * 1024  # bytes of the body of an error that are read
LONGEST_REASON: Final = 512  # characters of X-Audit-Log-Reason

PATIENCE: Final = 60.0  # seconds that one request may spend waiting and being repeated
MOST_ATTEMPTS: Final = 5
BACKOFF: Final = Backoff(base=1.0, cap=30.0)
REPEATABLE: Final = ("/bulk-delete", "/typing", "/crosspost")  # POSTs that may be made twice

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@record
class DiscordRequest:
    """A request to make.

    Args:
        path: Below the API's root, already quoted.
        json: The body, if any.
        reason: Stands in the server's audit log beside what was done.
        route: What counts as one route for the rate limit; empty: method and path.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    json: Any = None
    reason: str = ""
    route: str = ""

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def headers(self) -> dict[str, str]:
        """The headers beyond those of the session."""
        reason = self.reason[:LONGEST_REASON]
        return {"X-Audit-Log-Reason": quote(reason, safe=" ")} if reason else {}

    def may_follow(self, error: BotticelliError) -> bool:
        """Whether repeating it after an error is safe: nothing was done, or twice is as once."""
        if not isinstance(error, Unconfirmed):
            return isinstance(error, NotSent)
        if self.method != "POST" or self.path.endswith(REPEATABLE):
            return True
        return isinstance(self.json, dict) and bool(self.json.get("enforce_nonce"))

    def was_done(self, answer: ErrorAnswer) -> bool:
        """Whether a refusal says that the attempt before, whose answer was lost, succeeded."""
        if self.method == "DELETE":
            is_unknown = 10000 < answer.code < 10100 and answer.code != UNKNOWN_GUILD
            return answer.status == 404 and is_unknown
        return answer.code == CROSSPOSTED


Explain = Callable[[ErrorAnswer], BotticelliError]


class Rest:
    """A session with Discord. Not shared between threads.

    Args:
        session: The HTTP session, with User-Agent and credentials set.
        base_url: Root of the API, with its version.
        limits: The account of the session's bot; several sessions may keep the same.
    """

    def __init__(self, session: "requests.Session", *, base_url: str, limits: RateLimits) -> None:
        self.base_url = base_url
        self.told_time: datetime | None = None  # see TellsTime
        self._session = session
        self._limits = limits

    def ask(
        self,
        request: DiscordRequest,
        *,
        where: str,
        explain: Explain,
        is_fine: Callable[[ErrorAnswer], bool] = lambda _: False,
    ) -> Any:
        """Make one request, no retry inside, and return the JSON of the answer; {} if it has none.

        Args:
            request: What to ask.
            where: What errors name.
            explain: Returns the error for an answer that is not a success.
            is_fine: Whether such an answer counts as a success all the same.

        Raises:
            NotSent: It did not leave, the rate limit wants a longer wait, or nothing was changed.
            Refused: It cannot be made.
            Unconfirmed: It left, and no answer came, or none that can be read.
            BotticelliError: What `explain` returned.
        """
        route = request.route or f"{request.method} {request.path}"
        self._limits.wait(route, where=where)
        response = self._send(request, where=where)
        self._limits.learn(route, response.headers)
        date = date_of(response.headers.get("Date", ""))
        # It has no fractions, so half a second is nearest.
        self.told_time = date + timedelta(seconds=0.5) if date else None
        if 200 <= response.status_code < 300:
            return _json(response, request, where=where)
        # Guessing the encoding of megabytes would take minutes.
        said = response.content[:LONGEST_REFUSAL].decode(errors="replace")
        answer = ErrorAnswer.of(response.status_code, response.headers, said)
        if answer.pause is not None:
            self._limits.pause(route, answer.pause, is_global=answer.is_global)
        if is_fine(answer):
            return {}
        raise explain(answer)

    def ask_patiently(self, request: DiscordRequest, *, where: str, explain: Explain) -> Any:
        """Make a request, repeated where that is safe. Raises as `ask`.

        Once an attempt may have been carried out, no later refusal says that nothing was done.
        """
        clock = self._limits.clock
        until = clock.monotonic() + PATIENCE
        is_open = False
        for attempt in range(1, MOST_ATTEMPTS + 1):
            is_fine = request.was_done if is_open else lambda _: False
            try:
                return self.ask(request, where=where, explain=explain, is_fine=is_fine)
            except BotticelliError as error:
                wait = BACKOFF.after(attempt, asked=getattr(error, "retry_after", None))
                is_last = attempt == MOST_ATTEMPTS or clock.monotonic() + wait > until
                if is_last or not request.may_follow(error):
                    raise _left_open(error) if is_open else error from None
                is_open = is_open or isinstance(error, Unconfirmed)
            clock.sleep(wait)
        raise AssertionError("the last attempt either returns or raises")

    def _send(self, request: DiscordRequest, *, where: str) -> "requests.Response":
        try:
            return self._session.request(
                request.method,
                self.base_url + request.path,
                json=request.json,
                params=request.query,
                headers=request.headers,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            )
        except OSError as error:  # those of requests are, too
            # `from None`: the text of these errors holds the URL, and a webhook's URL is a secret.
            raise _unreachable(error, changing=request.changes, where=where) from None


def _left_open(error: BotticelliError) -> BotticelliError:
    """Return the error of an attempt after one that may have been carried out."""
    kind = LockedOutMidway if isinstance(error, LockedOut) else Unconfirmed
    what = f"{error.what}; an earlier attempt may have been carried out"
    return kind(what, where=error.where, hint=error.hint)


def _json(response: "requests.Response", request: DiscordRequest, *, where: str) -> Any:
    if response.status_code == 204 or not response.content:
        return {}
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        kind = Unconfirmed if request.changes else NotSent
        body = kind_of(response.content[:LONGEST_REFUSAL].decode(errors="replace"))
        what = f"Discord's answer cannot be read: it is {body}"
        hint = "check base_url (DISCORD_API_BASE), and whether the network wants a login first"
        raise kind(what, where=where, hint=hint) from error


def _unreachable(error: OSError, *, changing: bool, where: str) -> BotticelliError:
    import requests

    reason = type(error).__name__
    if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL):
        return Refused(f"the request cannot be made ({reason})", where=where)
    if changing and not _never_left(error):
        return Unconfirmed(f"no answer from Discord ({reason})", where=where)
    return NotSent(f"Discord cannot be reached ({reason})", where=where)


def _never_left(error: BaseException) -> bool:
    """Return whether no byte can have reached the platform: name, route or handshake failed."""
    import ssl

    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    never = (ConnectTimeoutError, NewConnectionError, ssl.SSLCertVerificationError)
    return any(isinstance(one, never) for one in _causes(error, 8))


def _causes(error: BaseException, depth: int) -> Iterable[BaseException]:
    """Yield an error and those it was made of, which urllib3 keeps in several places."""
    yield error
    if not depth:
        return
    inner = (
        error.__cause__,
        error.__context__,
        getattr(error, "reason", None),
        getattr(error, "original_error", None),
        *error.args[:2],
    )
    for one in inner:
        if isinstance(one, BaseException) and one is not error:
            yield from _causes(one, depth - 1)
