"""A session with the server that an account lives on (a PDS): found, opened, kept, refreshed.

An account may log in 30 times in 5 minutes and 300 times a day, so a session is kept where the next
process finds it; it is made anew only when the server takes neither of its two tokens any more.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.addresses import require_safe
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import KeptOut, LockedOut, NotSent, Refused
from botticelli.platforms.rate_limits import SharedLimits
from botticelli.platforms.requests import FailedAnswer, Requests, WebRequest, bearer, open_session

if TYPE_CHECKING:
    import requests

    from botticelli.store.kept_sessions import SealedSessions

ENTRY: Final = "https://bsky.social"  # knows every handle
DIRECTORY: Final = "https://plc.directory"  # knows where an account lives
UNKNOWN: Final = "{server of the account}"  # until somebody is asked
NO_LOGIN: Final = "make an app password in the settings, then `botticelli connect bluesky`"
Login = dict[str, str]  # did, accessJwt, refreshJwt, and the server's address as root
_SHUT: Final = "the account is shut ({}); log in on the web and see why"


class TokenOver(NotSent):
    """The server no longer takes a token; nothing was done."""


class Swapped(Refused):
    """Something else is where the record was to go."""


# What Bluesky names in its own way, and what becomes of it; {} is what it says.
_ERRORS: Final[Mapping[str, tuple[type[BotticelliError], str]]] = {
    "ExpiredToken": (TokenOver, "the session is over"),
    "InvalidToken": (TokenOver, "the session is over"),
    "AccountTakedown": (KeptOut, _SHUT),
    "AccountDeactivated": (KeptOut, _SHUT),
    "RepoTakendown": (KeptOut, _SHUT),
    "RepoSuspended": (KeptOut, _SHUT),
    "RepoDeactivated": (KeptOut, _SHUT),
    "InvalidSwap": (Swapped, "{}"),
    # Pictures that nothing uses are thrown away after some hours.
    "BlobNotFound": (NotSent, "the server has dropped a picture"),
}


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
        sessions: Where the session is kept between processes.
    """

    def __init__(
        self, *, identifier: str, password: Secret, root: str, limits: SharedLimits, where: str
    ) -> None:
        self.sessions: SealedSessions | None = None
        self._identifier = identifier
        self._password = password
        self._root = root
        self._where = where
        self._name = f"bluesky {root} {identifier}"  # which the session is kept under
        self._bearer = ""
        self._login: Login | None = None
        self.requests = Requests(
            open_session(self._authorise),
            base_url=root or UNKNOWN,
            limits=limits.of(root or ENTRY, identifier),
            server="Bluesky",
            where=where,
        )

    @cached_property
    def did(self) -> str:
        """The account's id for ever; without a session, the server is asked for it."""
        known = self._known()
        return known["did"] if known else self._find()

    def ask(self, request: WebRequest) -> Any:
        """Make a request as the account; one that meets an old token is made again, with a new one.

        Raises:
            Swapped: A write found something else.
            PlatformError, ConfigError: As `Requests.ask`.
        """
        login = self._known() or self._log_in()
        try:
            return self._send(request, login["accessJwt"])
        except TokenOver:
            return self._send(request, self._renewed(login)["accessJwt"])

    def look(self, method: str, asked: Mapping[str, str], *, absent: str) -> dict[str, Any]:
        """Make a request that anybody may make; {} where the server answers `absent`."""
        if self.requests.base_url == UNKNOWN and self._known() is None:
            self._find()
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
        found = _ERRORS.get(str(answer.body.get("error")))
        if answer.status >= 500 or answer.status == 429:
            return None
        if found:
            kind, words = found
            return kind(words.format(answer.message), where=self._where)
        if answer.status == 401:
            what = f"Bluesky does not accept the app password ({answer.message})"
            return LockedOut(what, where=self._where, hint=NO_LOGIN)
        return None

    # -- the session ------------------------------------------------------------------------------

    def _known(self) -> Login | None:
        """Return the session of this process, or the one that was kept."""
        if self._login is None and self.sessions:
            kept = self.sessions.load(self._name, self._password.reveal())
            if kept:
                self._login = json.loads(kept)
                self.requests.base_url = self._login["root"]
        return self._login

    def _log_in(self) -> Login:
        if not self._root:
            self._find()
        body = {"identifier": self._identifier, "password": self._password.reveal()}
        return self._keep(self._send(procedure("server.createSession", body), ""))

    def _renewed(self, login: Login) -> Login:
        """Return the session with new tokens; a new one where it cannot be refreshed."""
        try:
            return self._keep(self._send(procedure("server.refreshSession"), login["refreshJwt"]))
        except (TokenOver, LockedOut):
            return self._log_in()

    def _keep(self, answer: Any) -> Login:
        given = answer if isinstance(answer, dict) else {}
        login = {key: str(given.get(key, "")) for key in ("did", "accessJwt", "refreshJwt")}
        if not all(login.values()):
            words = "the server's answer describes no session; check base_url"
            raise NotSent(words, where=self._where)
        self._login = login | {"root": self.requests.base_url}
        if self.sessions:
            self.sessions.keep(self._name, json.dumps(self._login), self._password.reveal())
        return self._login

    def _find(self) -> str:
        """Return who the account is, having found where it lives if no server is named."""
        self.requests.base_url = self._root or ENTRY
        did = self._identifier
        did = did if did.startswith("did:") else self.did_of(did)
        if not did.startswith("did:"):
            what, hint = f"there is no account '{self._identifier}'", "write its whole handle"
            raise ConfigError(what, where=self._where, hint=f"{hint} in `account`")
        if not self._root:
            self.requests.base_url = self._server_of(did)
        return did

    def _server_of(self, did: str) -> str:
        """Return the address of the server that the account's document names."""
        host = did.removeprefix("did:web:")
        path = f"{DIRECTORY}/{did}" if host == did else f"https://{host}/.well-known/did.json"
        document = self._send(WebRequest(method="GET", path=path), "")
        try:
            services = {one["id"].rpartition("#")[2]: one for one in document["service"]}
            address = str(services["atproto_pds"]["serviceEndpoint"])
        except (KeyError, TypeError, AttributeError) as error:
            what = f"the document of {did} names no server"
            raise ConfigError(what, where=self._where, hint="set base_url") from error
        return require_safe(address, where=self._where, hint="the account's document")
