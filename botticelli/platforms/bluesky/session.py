"""A session with the server that an account lives on (a PDS): found, opened, kept, refreshed.

An account may log in 30 times in 5 minutes and 300 times a day, so a session is kept where the next
process finds it; it is made anew only when the server takes neither of its two tokens any more.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.addresses import require_safe
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import (
    Keeper,
    KeptOut,
    LockedOut,
    NotSent,
    Refused,
)
from botticelli.platforms.rate_limits import SharedLimits
from botticelli.platforms.requests import FailedAnswer, Requests, WebRequest, bearer, open_session
from botticelli.records import record

if TYPE_CHECKING:
    import requests

ENTRY: Final = "https://bsky.social"  # knows every handle
DIRECTORY: Final = "https://plc.directory"  # knows where an account lives
NO_LOGIN: Final = "make an app password in the settings, then `botticelli connect bluesky`"
_SHUT: Final = frozenset(
    ("AccountTakedown", "RepoTakendown", "RepoDeactivated", "AccountDeactivated", "RepoSuspended")
)
_OVER: Final = frozenset(("ExpiredToken", "InvalidToken"))


class TokenOver(NotSent):
    """The server no longer takes a token; nothing was done."""


class Swapped(Refused):
    """Something else is where the record was to go."""


@record
class Login:
    """What a login brings.

    Args:
        root: The server's address.
    """

    did: str
    root: str
    access: str = ""
    refresh: str = ""


def query(method: str, asked: Mapping[str, str] | None = None) -> WebRequest:
    """Return a request that only looks; `method` without "com.atproto."."""
    return WebRequest(method="GET", path=f"/xrpc/com.atproto.{method}", query=asked or {})


def procedure(method: str, body: Any = None, **more: Any) -> WebRequest:
    """Return a request that does something; `method` without "com.atproto."."""
    return WebRequest(method="POST", path=f"/xrpc/com.atproto.{method}", json=body, **more)


class BlueskyAccount:
    """One account at its server. Not shared between threads.

    Args:
        identifier: Its handle or DID.
        password: An app password.
        root: The server's address; empty: where the account's own document says.
        limits: What the process has learnt of rate limits.
        where: The destination, which errors name.

    Attributes:
        keeper: Where the session is kept between processes.
    """

    def __init__(
        self, *, identifier: str, password: Secret, root: str, limits: SharedLimits, where: str
    ) -> None:
        self.keeper: Keeper | None = None
        self._identifier = identifier
        self._password = password
        self._root = root
        self._where = where
        self._bearer = ""
        self._session: Login | None = None
        self.requests = Requests(
            open_session(self._authorise),
            base_url=root,
            limits=limits.of(root or ENTRY, identifier),
            server="Bluesky",
            where=where,
        )

    @property
    def shown_root(self) -> str:
        """The server's address as a dry run shows it, without asking anybody."""
        return self._root or "{server of the account}"

    @property
    def did(self) -> str:
        """The account's id for ever."""
        return self._home().did

    def ask(self, request: WebRequest) -> Any:
        """Make a request as the account; one that meets an old token is made again, with a new one.

        Raises:
            Swapped: A write found something else.
            PlatformError, ConfigError: As `Requests.ask`.
        """
        session = self._home()
        if not session.access:
            session = self._log_in(session)
        try:
            return self._send(request, session.access)
        except TokenOver:
            return self._send(request, self._renewed(session).access)

    def look(self, method: str, asked: Mapping[str, str], *, absent: str) -> dict[str, Any]:
        """Make a request that anybody may make; {} where the server answers `absent`."""
        self._home()
        answer = self._send(query(method, asked), "", absent=absent)
        if not isinstance(answer, dict):
            raise NotSent("Bluesky's answer is of another kind", where=self._where)
        return answer

    def did_of(self, handle: str) -> str:
        """Return the id of somebody's account; empty: there is none of that handle."""
        found = self.look("identity.resolveHandle", {"handle": handle}, absent="InvalidRequest")
        return str(found.get("did", ""))

    def _authorise(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        return bearer(self._bearer)(request)

    def _send(self, request: WebRequest, token: str, *, absent: str = "") -> Any:
        self._bearer = token
        return self.requests.ask(
            request,
            explain=self._explain,
            is_fine=lambda answer: bool(absent) and answer.body.get("error") == absent,
        )

    def _explain(self, answer: FailedAnswer) -> BotticelliError | None:
        """Return the error for what Bluesky names in its own way; None: the usual one."""
        name, said, where = str(answer.body.get("error", "")), answer.message, self._where
        error: BotticelliError | None = None
        if answer.status >= 500 or answer.status == 429:
            pass
        elif name in _OVER:
            error = TokenOver("the session is over", where=where)
        elif name in _SHUT:
            hint = "log in on the web and see what it says"
            error = KeptOut(f"the account is shut ({said})", where=where, hint=hint)
        elif answer.status == 401:
            what = f"Bluesky does not accept the app password ({said})"
            error = LockedOut(what, where=where, hint=NO_LOGIN)
        elif name == "InvalidSwap":
            error = Swapped(said, where=where)
        elif name == "BlobNotFound":  # pictures that are not used are thrown away after some hours
            error = NotSent("the server has dropped a picture", where=where)
        return error

    # -- the session ------------------------------------------------------------------------------

    def _home(self) -> Login:
        """Return the session, or at least who the account is and where it lives."""
        if self._session is None:
            password = self._password.reveal()
            kept = self.keeper.load(self._name, password) if self.keeper else ""
            self._session = _session_of(kept) or self._found()
            self.requests.base_url = self._session.root
        return self._session

    @property
    def _name(self) -> str:
        """What the session is kept under."""
        return f"bluesky {self._root} {self._identifier}"

    def _keep(self, answer: Any, root: str) -> Login:
        try:
            facts = (answer["did"], answer["accessJwt"], answer["refreshJwt"])
            did, access, refresh = map(str, facts)
        except (KeyError, TypeError) as error:
            words = "the server's answer describes no session; check base_url"
            raise NotSent(words, where=self._where) from error
        self._session = Login(did=did, root=root, access=access, refresh=refresh)
        if self.keeper:
            kept = json.dumps(asdict(self._session))
            self.keeper.keep(self._name, kept, self._password.reveal())
        return self._session

    def _log_in(self, home: Login) -> Login:
        body = {"identifier": self._identifier, "password": self._password.reveal()}
        answer = self._send(procedure("server.createSession", body), "")
        return self._keep(answer, home.root)

    def _renewed(self, session: Login) -> Login:
        """Return the session with new tokens; a new one where it cannot be refreshed."""
        try:
            answer = self._send(procedure("server.refreshSession"), session.refresh)
        except (TokenOver, LockedOut):
            self._session = replace(session, access="", refresh="")
            return self._log_in(session)
        return self._keep(answer, session.root)

    def _found(self) -> Login:
        """Find who the account is, and where it lives if no server is named."""
        did = self._identifier
        if not did.startswith("did:"):
            asked = {"handle": did}
            entry = self._root or ENTRY
            request = query("identity.resolveHandle", asked)
            found = self._send(
                replace(request, path=entry + request.path), "", absent="InvalidRequest"
            )
            did = str(found.get("did", "")) if isinstance(found, dict) else ""
        if not did.startswith("did:"):
            what, hint = f"there is no account '{self._identifier}'", "write its whole handle"
            raise ConfigError(what, where=self._where, hint=f"{hint} in `account`")
        return Login(did=did, root=self._root or self._server_of(did))

    def _server_of(self, did: str) -> str:
        """Return the address of the server that the account's document names."""
        by_web = did.removeprefix("did:web:")
        is_web = by_web != did
        path = f"https://{by_web}/.well-known/did.json" if is_web else f"{DIRECTORY}/{did}"
        document = self._send(WebRequest(method="GET", path=path), "")
        services = document.get("service") if isinstance(document, dict) else None
        for service in services if isinstance(services, list) else ():
            if isinstance(service, dict) and str(service.get("id")).endswith("#atproto_pds"):
                address = str(service.get("serviceEndpoint"))
                return require_safe(address, where=self._where, hint="the account's document")
        raise ConfigError(
            f"the document of {did} names no server", where=self._where, hint="set base_url"
        )


def _session_of(kept: str) -> Login | None:
    """Return a session that was kept; None if it cannot be read."""
    try:
        return Login(**json.loads(kept))
    except (ValueError, TypeError):
        return None
