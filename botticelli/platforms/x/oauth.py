"""OAuth 1.0a (RFC 5849) for one account: the header that signs a request to X.

A library for it takes half a second to import; the four keys of an account need no more than this.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from botticelli.config.secrets import Secret
from botticelli.records import record


@record
class Keys:
    """The four keys of an app and of the account that it writes as; they do not expire."""

    api_key: Secret
    api_secret: Secret
    token: Secret
    token_secret: Secret


def authorization(
    method: str, url: str, query: Mapping[str, str], *, keys: Keys, nonce: str, seconds: int
) -> str:
    """Return the Authorization header of a request whose body is not a form (a form is signed too).

    Args:
        method: In upper case.
        url: Without the query.
        query: Its parameters, not yet quoted.
        keys: Whose request it is.
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
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path or '/'}"


def _quote(text: str) -> str:
    return quote(text, safe="-._~")
