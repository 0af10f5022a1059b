"""HTTP requests to platforms: time limits, rate limits, and what a broken connection means.

What left and was not answered is Unconfirmed if it publishes, else NotSent: ask again. No redirect
is followed, answers are bounded, and credentials stand in no error.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from botticelli import web_bounds
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import (
    Attachment,
    LockedOut,
    NotSent,
    OutgoingMessage,
    Platform,
    Refused,
    ShownRequest,
    Unconfirmed,
)
from botticelli.platforms.rate_limits import DEFAULT_WAIT, RateLimits, date_of, longest, retry_after
from botticelli.records import record
from botticelli.web_bounds import kind_of

if TYPE_CHECKING:
    import requests

    Authorise = Callable[[requests.PreparedRequest], requests.PreparedRequest]

CONNECT_TIMEOUT: Final = 5.0  # seconds; together with the rate limit's wait less than a lease
READ_TIMEOUT: Final = 25.0  # also for a body with files on its way out
LONGEST_REFUSAL: Final = 64 * 1024  # bytes of the body of an error that are read
USER_AGENT: Final = "botticelli/{version} (+https://github.com/crumplecup/botticelli)"
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@record
class WebRequest:
    """A request to make; `shown` is what a dry run shows of the very same one.

    Args:
        path: Below the API's root, already quoted; or a whole address.
        json, form, files, content: The body, if any: JSON, fields of a form, files of a form by
            field, or the bytes of one file. JSON with files is a form, with a field payload_json.
        headers: Beyond those of the session.
        publishes: Whether it may put something before people: then no lost answer is NotSent.
        route: What counts as one route for the rate limit; empty: method and path.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    json: Any = None
    form: Mapping[str, str] | None = None
    files: Mapping[str, Attachment] = field(default_factory=lambda: MappingProxyType({}))
    content: Attachment | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    publishes: bool = False
    route: str = ""

    def url(self, base_url: str) -> str:
        """Return the whole address, without the query."""
        return self.path if "://" in self.path else base_url + self.path

    def shown(self, base_url: str) -> dict[str, Any]:
        """Return what a dry run shows: method, url, headers of its own, and the body."""
        asked = "?" + urlencode(self.query, safe="{}<>") if self.query else ""
        files = {name: each.shown for name, each in self.files.items()}
        if self.content:
            files = {"body": self.content.shown}
        body = {"headers": dict(self.headers), "json": self.json, "form": self.form, "files": files}
        return {"method": self.method, "url": self.url(base_url) + asked} | {
            key: value for key, value in body.items() if value
        }

    @property
    def body(self) -> dict[str, Any]:
        """The arguments of requests that make the body."""
        files: dict[str, tuple[str | None, str | bytes, str]] = {
            name: (each.name, each.content, each.mime) for name, each in self.files.items()
        }
        if files and self.json is not None:
            files = {"payload_json": (None, json.dumps(self.json), "application/json"), **files}
        data = self.content.content if self.content else self.form
        return {"json": self.json, "data": data, "files": files or None}


@record
class FailedAnswer:
    """An answer that is not a success, with as much of its body as could be read.

    Args:
        body: Of a JSON object: its fields; else empty.
        text: The body as it came, the first part of it.
        retry_after: Seconds that it asks to wait.
    """

    status: int
    body: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    text: str = ""
    retry_after: float | None = None
    is_global = False

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], text: str) -> "FailedAnswer":
        """Read an answer; its body may be HTML of a proxy in front."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        body = body if isinstance(body, dict) else {}
        waits = (retry_after(headers), _in_seconds(body.get("retry_after_ms")))
        return cls(status=status, body=body, text=text, retry_after=longest(*waits))

    @property
    def pause(self) -> float | None:
        """Seconds to send nothing more, or None if it asks for no wait."""
        if self.status != 429:
            return None
        return DEFAULT_WAIT if self.retry_after is None else self.retry_after

    @property
    def message(self) -> str:
        """What the server says is wrong; a web page says nothing."""
        for key in ("error_description", "message", "error", "detail", "title"):
            if isinstance(said := self.body.get(key), str) and said:
                return said[:200]
        return "" if self.text.lstrip().startswith("<") else self.text[:200]


Explain = Callable[[Any], BotticelliError | None]


class WebPlatform(Platform):
    """A platform that is a server on the web. Not shared between threads.

    Args:
        name: The destination's name, which errors carry.
        rest: The session with the server.
    """

    def __init__(self, name: str, rest: "Requests") -> None:
        self.name = name
        self._rest = rest

    @property
    def told_time(self) -> datetime | None:
        """See Platform."""
        return self._rest.told_time

    def preview(self, message: OutgoingMessage) -> Sequence[ShownRequest]:
        """See Platform."""
        return [each.shown(self._rest.base_url) for each in self.planned(message)]

    def planned(self, message: OutgoingMessage) -> Iterable["WebRequest"]:
        """Yield the requests of `send`, with {in braces} what only an answer tells."""
        raise NotImplementedError


class Requests:
    """A session with a platform's server. Not shared between threads.

    Args:
        session: The HTTP session, with User-Agent and credentials set; see `open_session`.
        base_url: Root of the API, no slash at its end.
        limits: The account's rate limits; several sessions may keep the same.
        server: What errors call it, such as "Discord".
        where: The destination, which errors name.
    """

    variable = ""  # what else holds the address, as errors name it
    read: Callable[[int, Mapping[str, str], str], Any] = FailedAnswer.of

    def __init__(
        self,
        session: "requests.Session",
        *,
        base_url: str,
        limits: RateLimits,
        server: str,
        where: str = "",
    ) -> None:
        self.base_url = base_url
        self.told_time: datetime | None = None  # see Platform
        self._session = session
        self._limits = limits
        self._server = server
        self._where = where

    def ask(
        self,
        request: WebRequest,
        *,
        where: str = "",
        explain: Explain = lambda _: None,
        is_fine: Callable[[Any], bool] = lambda _: False,
    ) -> Any:
        """Make one request, no retry inside, and return the JSON of the answer; {} if it has none.

        Args:
            request: What to ask.
            where: What errors name, if not the session's own.
            explain: Returns the error for an answer that is not a success; None: the usual one.
            is_fine: Whether such an answer counts as a success all the same.

        Raises:
            NotSent: It did not leave, the rate limit wants a longer wait, or nothing was changed.
            Refused: It cannot be made.
            Unconfirmed: It publishes and left, and no answer came, or none that can be read.
            LockedOut, ConfigError: The server does not let us.
        """
        where = where or self._where
        route = request.route or f"{request.method} {request.path}"
        self._limits.wait(route, server=self._server, where=where)
        try:
            response = self._session.request(
                request.method, request.url(self.base_url), **self._settings(request, where=where)
            )
        except OSError as error:  # those of requests are, too
            # `from None`: the text of these errors holds the URL, which may hold a secret.
            raise self._unreachable(error, request, where=where) from None
        self._limits.learn(route, response.headers)
        date = date_of(response.headers.get("Date", ""))
        # It has no fractions, so half a second is nearest.
        self.told_time = date + timedelta(seconds=0.5) if date else None
        if 200 <= response.status_code < 300:
            return self._json(response, request, where=where)
        # Guessing the encoding of megabytes would take minutes.
        said = response.content[:LONGEST_REFUSAL].decode(errors="replace")
        answer = type(self).read(response.status_code, response.headers, said)
        if answer.pause is not None:
            self._limits.pause(route, answer.pause, is_global=answer.is_global)
        if is_fine(answer):
            return {}
        raise explain(answer) or self._usual(request, answer, where=where)

    def _settings(self, request: WebRequest, *, where: str) -> dict[str, Any]:
        """Return what the session is told of a request; NotSent: what came before took too long."""
        bounds = web_bounds.current()
        if request.publishes and bounds and bounds.is_over:
            raise NotSent(f"what comes before it took {self._server} too long", where=where)
        body = request.body
        is_large = bool(body["files"] or request.content)
        timeout = (READ_TIMEOUT if is_large else CONNECT_TIMEOUT, READ_TIMEOUT)
        return {"params": request.query, "headers": request.headers, "timeout": timeout, **body}

    def _unreachable(self, error: OSError, request: WebRequest, *, where: str) -> BotticelliError:
        import requests

        reason = type(error).__name__
        if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL):
            return Refused(f"the request cannot be made ({reason})", where=where)
        if request.publishes and not _never_left(error):
            return Unconfirmed(f"no answer from {self._server} ({reason})", where=where)
        return NotSent(f"{self._server} cannot be reached ({reason})", where=where)

    def _json(self, response: "requests.Response", request: WebRequest, *, where: str) -> Any:
        if response.status_code == 204 or not response.content:
            return {}
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as error:
            kind = Unconfirmed if request.publishes else NotSent
            body = kind_of(response.content[:LONGEST_REFUSAL].decode(errors="replace"))
            what = f"{self._server}'s answer cannot be read: it is {body}"
            hint = f"check base_url{self.variable}, and whether the network wants a login first"
            raise kind(what, where=where, hint=hint) from error

    def _usual(self, request: WebRequest, answer: Any, *, where: str) -> BotticelliError:
        """Return the error for what the server's own rules say nothing else of."""
        status, server, wait = answer.status, self._server, answer.pause
        if wait is not None:
            return NotSent(f"{server} asks us to wait {wait:g} s", where=where, retry_after=wait)
        if status < 500 and status != 408:
            return self._refusal(answer, where=where)
        words = f"{server} answered {status}"
        if not request.publishes:
            return NotSent(words, where=where, retry_after=answer.retry_after)
        words += ", which leaves open whether the request was carried out"
        return Unconfirmed(words, where=where)

    def _refusal(self, answer: Any, *, where: str) -> BotticelliError:
        status, server, said = answer.status, self._server, answer.message or answer.status
        if status == 401:
            what, hint = f"{server} does not accept the credentials ({said})", "get new ones"
            return LockedOut(what, where=where, hint=f"{hint}: `botticelli connect`")
        if status == 403:
            what, hint = f"{server} does not allow it ({said})", "look at the account's rights"
            return ConfigError(what, where=where, hint=hint)
        if 300 <= status < 400 or (status in {404, 405} and not answer.body):
            what = f"this is not {server}'s API: it answered {status}"
            return ConfigError(what, where=where, hint=f"fix base_url{self.variable}")
        return Refused(f"{server} refused it ({said})", where=where, code=status)


def open_session(authorise: "Authorise", *, agent: str = USER_AGENT) -> "requests.Session":
    """Return a session whose every request `authorise` is given to put the credentials in.

    As `auth`, not as a header: requests would let a .netrc entry replace the header.
    """
    from botticelli.web_session import Session

    session = Session()
    session.headers["User-Agent"] = agent.format(version=_version())
    session.auth = authorise
    return session


def bearer(token: str) -> "Authorise":
    """Return what puts a bearer token into requests; empty: nothing is put in."""

    def authorise(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


def header_value(secret: str, *, where: str, what: str, hint: str) -> str:
    """Return a secret as a header takes it.

    Raises:
        ConfigError: It has characters that none of its kind has.
    """
    secret = secret.strip()
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise ConfigError(
            f"{what} has characters that no {what.rpartition(' ')[2]} has", where=where, hint=hint
        )
    return secret


def _in_seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("botticelli")
    except PackageNotFoundError:  # run out of a checkout that is not installed
        return "0"


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
