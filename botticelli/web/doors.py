"""Who comes in: a session's cookie, a proxy's header; and what of a request is not believed."""

import hmac
import secrets
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, TypedDict
from urllib.parse import quote

from botticelli.config.operations import DeskConfig
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.desk import keys
from botticelli.store.desk.keys import ROLES, Role

if TYPE_CHECKING:
    from starlette.requests import Request


class CookieSettings(TypedDict):
    """What Starlette wants to know of a cookie."""

    key: str
    path: str
    secure: bool
    httponly: bool
    samesite: Literal["lax"]


ONE_PASSWORD: Final = Lock()  # each takes 64 MB of memory while it is looked at
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@record
class Visitor:
    """Who is there, and what he may do."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Return whether he has at least that role."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Doors:
    """The ways in.

    Args:
        config: `[desk]`.
        is_read_only: Everybody is a viewer, and nothing is stored: sessions live in this process.
    """

    def __init__(self, config: DeskConfig, *, is_read_only: bool) -> None:
        self.config = config
        self.is_read_only = is_read_only
        self._own = secrets.token_bytes(32)
        self._spent: set[str] = set()

    def cookie(self, request: "Request") -> str:
        """Return the name of our cookie: behind TLS one that no other host can set.

        Such a one is for all paths (RFC 6265bis), so each of several projects has its own name.
        """
        name = "botticelli" + quote(request.scope.get("root_path", "")).replace("/", "-")
        return f"__Host-{name}" if request.url.scheme == "https" else name

    def cookie_settings(self, request: "Request") -> "CookieSettings":
        """Return what a cookie has besides its value, where it is set and where it is deleted."""
        return {
            "key": self.cookie(request),
            "path": "/",
            "secure": request.url.scheme == "https",
            "httponly": True,
            "samesite": "lax",
        }

    def visitor(self, request: "Request", conn: Connection) -> Visitor | None:
        """Return who sends a request; None if he has to log in."""
        if (name := self._named_by_proxy(request)) is not None:
            [role] = [one.role for one in keys.list_people(conn, name)] or [self.config.proxy_role]
            return self._seen(Visitor(name=name, role=role))
        key = request.cookies.get(self.cookie(request), "")
        if self.is_read_only:
            return Visitor(name="viewer", role="viewer") if self._is_own(key, "session") else None
        found = keys.find_key(conn, "session", key) if key else None
        if found is None:
            return None
        keys.touch(conn, found)
        return Visitor(name=found.person, role=found.role)

    def _seen(self, visitor: Visitor) -> Visitor:
        return Visitor(name=visitor.name, role="viewer") if self.is_read_only else visitor

    def _named_by_proxy(self, request: "Request") -> str | None:
        """Return the user that a proxy names, if it is one that may: who else could write that?"""
        header, secret = self.config.user_header, self.config.proxy_secret
        if not header or not (name := request.headers.get(header, "").strip()):
            return None
        given = request.headers.get("x-botticelli-proxy", "")
        is_secret = bool(secret) and hmac.compare_digest(given.encode(), str(secret).encode())
        # The client is whom X-Forwarded-For names; our end of a unix socket has no port.
        server = request.scope.get("server")
        return name if is_secret or (server is not None and server[1] is None) else None

    def link(self, conn: Connection, person: str, role: Role) -> str:
        """Return the key of a one-use link."""
        if self.is_read_only:
            nonce = secrets.token_urlsafe(8)
            return f"{nonce}.{self._sign(f'link {nonce}')}"
        return keys.make_key(conn, "link", person=person, role=role)

    def enter(self, conn: Connection, link: str) -> str | None:
        """Return the session that a one-use link opens; None if it opens nothing any more."""
        if self.is_read_only:
            if link in self._spent or not self._is_own(link, "link"):
                return None
            self._spent.add(link)
            nonce = secrets.token_urlsafe(8)
            return f"{nonce}.{self._sign(f'session {nonce}')}"
        with conn.transaction():
            found = keys.spend_link(conn, link)
            if found is None:
                return None
            return keys.make_key(conn, "session", person=found[0], role=found[1])

    def log_in(self, conn: Connection, name: str, password: str) -> str | None:
        """Return a session for who knows his password; None: he does not, or has to wait."""
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError

        stored = None if self.is_read_only else keys.count_try(conn, name)
        try:
            with ONE_PASSWORD:
                PasswordHasher().verify(stored or _nobody(), password)
        except (VerificationError, InvalidHashError):
            return None
        people = keys.list_people(conn, name)
        if not stored or not people:
            return None
        keys.admit(conn, name)
        return keys.make_key(conn, "session", person=name, role=people[0].role)

    def leave(self, conn: Connection, request: "Request") -> None:
        """End the session of a request."""
        if not self.is_read_only:
            keys.revoke(conn, key=request.cookies.get(self.cookie(request), ""))

    def _sign(self, text: str) -> str:
        return hmac.new(self._own, text.encode(), "sha256").hexdigest()

    def _is_own(self, key: str, kind: str) -> bool:
        nonce, _, given = key.partition(".")
        return hmac.compare_digest(given.encode(), self._sign(f"{kind} {nonce}").encode())


def hash_password(password: str) -> str:
    """Return a password as it is stored (argon2id with the library's present parameters)."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


@cache
def _nobody() -> str:
    """Return what a password is compared with where there is none: that takes as long."""
    return hash_password(secrets.token_urlsafe())


def is_same_site(request: "Request") -> bool:
    """Return whether a page of ours sends a request, as browsers say it.

    Without either header no browser sends it: then it must not carry a browser's cookie.
    """
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    if origin := request.headers.get("origin"):
        return origin.partition("://")[2] == request.headers.get("host", "")
    return not request.headers.get("cookie")


def is_known_host(request: "Request", config: DeskConfig) -> bool:
    """Return whether a request is for a name that is ours, and not one that was bound to us."""
    named = request.headers.get("host", "").lower()
    host = named.rpartition(":")[0] if not named.endswith("]") and ":" in named else named
    listen = config.listen.rpartition(":")[0]
    return host.strip("[]") in {*LOCAL, listen.strip("[]"), *map(str.lower, config.hosts)}


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address (HOST:PORT) to listen on."""
    host = address.rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    return False
