"""How one gets the token of an account on a server with Mastodon's API."""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import NotSent, PlatformError
from botticelli.platforms.connecting import Asker, Credentials
from botticelli.platforms.mastodon.client import Mastodon
from botticelli.platforms.rate_limits import SharedLimits
from botticelli.platforms.requests import Requests, WebRequest, bearer, open_session

SCOPES: Final = "read:accounts read:statuses write:media write:statuses"
SHOW_CODE: Final = "urn:ietf:wg:oauth:2.0:oob"  # the server shows the code to the person
HINT: Final = "--server https://HOST"
WEBSITE: Final = "https://github.com/crumplecup/botticelli"


def connect(ask: Asker, opened: Callable[..., Mastodon], *, clock: Clock) -> Credentials:
    """Return a token that was asked for, or that the person authorizes in a browser.

    Raises:
        UsageError: A question is not answered.
        ConfigError, PlatformError: The server does not accept it, or the account may not post.
    """
    root = _root(ask("server", "The server, such as mastodon.social"))
    said = "An access token (Preferences, Development, New application); Enter: get one by browser"
    token = ask("token", said, secret=True, optional=True) or _authorized(root, ask, clock)
    place = Destination(name="mastodon", platform="mastodon", base_url=root, token=Secret(token))
    platform = opened(place, clock=clock, limits=SharedLimits(clock))
    if problems := platform.check():
        raise ConfigError(problems[0], where=root)
    return Credentials(
        keys={"platform": "mastodon", "base_url": root, "account": f"@{platform.username}"},
        secrets={"token": Secret(token)},
        notes=platform.notes,
    )


def _root(answer: str) -> str:
    """Return the address of a server that is named by it, by its host, or by an account there."""
    host = answer.strip().rpartition("@")[2] if "://" not in answer else ""
    return require_safe(f"https://{host}" if host else answer, where="--server", hint=HINT)


def _authorized(root: str, ask: Asker, clock: Clock) -> str:
    """Register ourselves, and return the token that the person's code is good for."""
    server = Requests(
        open_session(bearer("")),
        base_url=root,
        limits=SharedLimits(clock).of(root, ""),
        server=urlsplit(root).netloc,
        where=root,
    )
    about_us = {"client_name": "Botticelli", "redirect_uris": SHOW_CODE, "website": WEBSITE}
    app = _posted(server, "/api/v1/apps", about_us | {"scopes": SCOPES})
    verifier = secrets.token_urlsafe(64) if _offers_pkce(server) else ""
    asked = {
        "client_id": _text(app, "client_id", root),
        "redirect_uri": SHOW_CODE,
        "response_type": "code",
        "scope": SCOPES,
    }
    if verifier:
        digest = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked |= {"code_challenge": digest, "code_challenge_method": "S256"}
    page = f"{root}/oauth/authorize?{urlencode(asked)}"
    code = ask("code", f"Open this page, allow it, and paste the code that it shows:\n{page}\n")
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": asked["client_id"],
        "client_secret": _text(app, "client_secret", root),
        "redirect_uri": SHOW_CODE,
    }
    if verifier:
        given["code_verifier"] = verifier
    try:
        return _text(_posted(server, "/oauth/token", given), "access_token", root)
    except NotSent:
        raise
    except BotticelliError as error:
        what, hint = f"the code is not accepted ({error.what})", "a code is good once: begin again"
        raise ConfigError(what, where=root, hint=hint) from error


def _posted(server: Requests, path: str, form: dict[str, str]) -> Any:
    return server.ask(WebRequest(method="POST", path=path, form=form))


def _offers_pkce(server: Requests) -> bool:
    path = "/.well-known/oauth-authorization-server"
    try:
        told = server.ask(WebRequest(method="GET", path=path))
        return "S256" in told.get("code_challenge_methods_supported", ())
    except (PlatformError, ConfigError, AttributeError, TypeError):
        return False


def _text(answer: Any, key: str, root: str) -> str:
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, str) or not re.fullmatch(r"[!-~]+", found):
        raise ConfigError(f"the server's answer has no {key}", where=root)
    return found
