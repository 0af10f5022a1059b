"""One request to Discord's REST API: rate limit, time limits, and what a broken line means."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botticelli.errors import BotticelliError
from botticelli.platforms.base import NotSent, Refused, Unconfirmed
from botticelli.platforms.discord.errors import Answer
from botticelli.platforms.discord.rate_limits import RateLimits
from botticelli.records import record

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT: Final = 5.0  # seconds; together with the rate limit's wait less than a lease
READ_TIMEOUT: Final = 25.0
LONGEST_REASON: Final = 512  # characters of X-Audit-Log-Reason

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@record
class Question:
    """A request to make.

    Args:
        path: Below the API's root, already quoted.
        json: The body; None: none.
        reason: Stands in the server's audit log beside what was done.
        route: What counts as one route for the rate limit; empty: method and path.
        patience: Seconds to wait for the answer.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    json: Any = None
    reason: str = ""
    route: str = ""
    patience: float = READ_TIMEOUT

    @property
    def headers(self) -> dict[str, str]:
        """The headers beyond those of the session."""
        reason = self.reason[:LONGEST_REASON]
        return {"X-Audit-Log-Reason": quote(reason, safe=" ")} if reason else {}


class Rest:
    """A session with Discord. Not shared between threads.

    Args:
        session: Whose connections to use; User-Agent and credentials are set on it.
        base_url: Root of the API, with its version.
        limits: The account of the session's bot; several sessions may keep the same.
    """

    def __init__(self, session: "requests.Session", *, base_url: str, limits: RateLimits) -> None:
        self.base_url = base_url
        self.told_time: datetime | None = None  # see TellsTime
        self._session = session
        self._limits = limits

    def ask(self, question: Question, *, where: str) -> "tuple[requests.Response, Answer | None]":
        """Make one request, no retry inside; the Answer is what was wrong, None for a success.

        Raises:
            NotSent: It did not leave, or the rate limit wants a longer wait.
            Refused: It cannot be made.
            Unconfirmed: It left, and no answer came.
        """
        import requests

        route = question.route or f"{question.method} {question.path}"
        self._limits.wait(route, where=where)
        try:
            response = self._session.request(
                question.method,
                self.base_url + question.path,
                json=question.json,
                params=question.query,
                headers=question.headers,
                timeout=(CONNECT_TIMEOUT, question.patience),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # `from None`: the text of these errors holds the URL, and a webhook's URL is a secret.
            raise _unreachable(error, changing=question.method != "GET", where=where) from None
        self._limits.learn(route, response.headers)
        self.told_time = _instant(response.headers.get("Date", ""))
        if 200 <= response.status_code < 300:
            return response, None
        answer = Answer.of(response.status_code, response.headers, response.text)
        if answer.pause is not None:
            self._limits.pause(route, answer.pause, is_global=answer.is_global)
        return response, answer


def _instant(date: str) -> datetime | None:
    """Return what a Date header says; it has no fractions, so half a second is nearest."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).astimezone(UTC) + timedelta(seconds=0.5)
    except ValueError:
        return None


def _unreachable(
    error: "requests.RequestException", *, changing: bool, where: str
) -> BotticelliError:
    import requests

    reason = type(error).__name__
    if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL):
        return Refused(f"the request cannot be made ({reason})", where=where)
    if changing and not _never_left(error):
        return Unconfirmed(f"no answer from Discord ({reason})", where=where)
    return NotSent(f"Discord cannot be reached ({reason})", where=where)


def _never_left(error: BaseException) -> bool:
    """Tell whether no byte can have reached the platform: name, route or handshake failed."""
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
