"""OAuth 1.0a (RFC 5849) for one account: what signs the requests to X.

A library for it takes half a second to import; the four keys of an account need no more than this.
They do not expire.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

from botticelli.clock import Clock
from botticelli.config.model import Destination

if TYPE_CHECKING:
    import requests

    from botticelli.platforms.requests import Authorise


def signer(keys: Destination, clock: Clock) -> "Authorise":
    """Return what signs requests; a JSON body and files are not part of the signature."""

    def authorise(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        parts = urlsplit(request.url or "")
        request.headers["Authorization"] = authorization(
            request.method or "",
            parts._replace(query="").geturl(),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            keys=keys,
            nonce=secrets.token_hex(16),
            seconds=int(clock.now().timestamp()),
        )
        return request

    return authorise


def authorization(
    method: str, url: str, query: Mapping[str, str], *, keys: Destination, nonce: str, seconds: int
) -> str:
    """Return the Authorization header of a request whose body is not a form (a form is signed too).

    Args:
        method: In upper case.
        url: Without the query.
        query: Its parameters, not yet quoted.
        keys: With the four keys of an app and an account.
        nonce: Used once.
        seconds: Unix time; X refuses what is minutes off.
    """
    oauth = {
        "oauth_consumer_key": keys.api_key.reveal(),
        "oauth_nonce": nonce,
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(seconds),
        "oauth_token": keys.token.reveal(),
        "oauth_version": "1.0",
    }
    pairs = sorted((_quote(name), _quote(value)) for name, value in {**query, **oauth}.items())
    parameters = "&".join(f"{name}={value}" for name, value in pairs)
    signed = "&".join((method, _quote(_base(url)), _quote(parameters)))
    key = "&".join(_quote(one.reveal()) for one in (keys.api_secret, keys.token_secret))
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()
    oauth["oauth_signature"] = base64.b64encode(digest).decode()
    return "OAuth " + ", ".join(f'{name}="{_quote(value)}"' for name, value in oauth.items())


def _base(url: str) -> str:
    """Return the address as it is signed: scheme and host in lower case, no default port."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path or '/'}"


def _quote(text: str) -> str:
    return quote(text, safe="-._~")
