"""Media by URL, read here: what was checked is what is sent, and every model gets the same bytes.

A name is resolved once and the connection goes to that very address, so that no second answer of
the name server can lead it elsewhere; each redirect is checked in the same way.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import field
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from botticelli.config.keys import NOTHING
from botticelli.errors import ConfigError
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.files.public_addresses import Resolve, public_addresses
from botticelli.records import record
from botticelli.web_bounds import PLAIN, bounded, left

if TYPE_CHECKING:
    import urllib3

MOST_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
PERMANENT: Final = frozenset((301, 308))
CONNECT: Final = 10.0  # seconds
SILENCE: Final = 30.0  # seconds without a byte
LONGEST: Final = 120.0  # seconds for all of it
HEAD: Final = 256 * 1024  # bytes of headers, redirects and the marks of chunks included
CHUNK: Final = 64 * 1024  # bytes
# Only the providers themselves can read these.
OF_PROVIDERS: Final = frozenset(("youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"))


@record
class Fetched:
    """What an address holds.

    Args:
        mime: What its server calls it, without parameters.
        url: Where it was found at last.
        moved_to: Where its server says it is for good; empty: where it was asked for.
        headers: Of the answer, by their names in lower case.
    """

    content: bytes
    mime: str
    status: int = 200
    url: str = ""
    moved_to: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)


def is_left_to_the_provider(url: str) -> bool:
    """Return whether only the model's provider can read it: a bucket, a YouTube video."""
    parts = urlsplit(url)
    return parts.scheme == "gs" or (parts.hostname or "") in OF_PROVIDERS


def fetch(
    url: str,
    *,
    limit: int,
    is_private_allowed: bool = False,
    resolve: Resolve | None = None,
    headers: Mapping[str, str] = NOTHING,
    takes_any_status: bool = False,
) -> Fetched:
    """Return what is at a URL, at most `limit` bytes.

    `takes_any_status`: what its server answers is returned, whatever it is; else only 200.

    Raises:
        ConfigError: It, or what it redirects to, leads into a private network; there is nothing,
            or too much.
        ActFailed: Its server cannot be reached now, or is in trouble.
    """
    with bounded(seconds=LONGEST, size=limit + HEAD) as bounds:
        try:
            response, here, moved_to = _follow(
                url, headers=headers, is_private_allowed=is_private_allowed, resolve=resolve
            )
            with closing(response):
                if not takes_any_status:
                    _require_found(response, url=url)
                return _read(response, url=url, here=here, moved_to=moved_to, limit=limit)
        except ActFailed:
            if not bounds.is_over:
                raise
            words = f"'{url}' cannot be read within {LONGEST:.0f} seconds"
            raise ActFailed(words) from None


def _follow(
    url: str, *, headers: Mapping[str, str], is_private_allowed: bool, resolve: Resolve | None
) -> "tuple[urllib3.BaseHTTPResponse, str, str]":
    """Return the answer at the end of all redirects, its address, and where it is for good."""
    here, moved_to, is_moved = url, "", True
    for _ in range(MOST_REDIRECTS + 1):
        addresses = public_addresses(here, resolve=resolve, is_private_allowed=is_private_allowed)
        response = _ask(urlsplit(here), addresses, url=url, headers=headers)
        target = response.headers.get("Location", "")
        if response.status not in REDIRECTS or not target:
            return response, here, moved_to
        response.close()
        here = urljoin(here, target)
        is_moved = is_moved and response.status in PERMANENT
        moved_to = here if is_moved else moved_to
    raise ConfigError(f"'{url}' redirects without end", hint="use the address it should lead to")


def _ask(
    parts: SplitResult, addresses: list[str], *, url: str, headers: Mapping[str, str]
) -> "urllib3.BaseHTTPResponse":
    import urllib3

    reason = f"{parts.hostname} has no address"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    for address in addresses:  # the next one if this one cannot be reached from here
        try:
            return _pool(parts, address).urlopen(
                "GET",
                path,
                headers={
                    "Host": parts.netloc.rpartition("@")[2],
                    "User-Agent": "botticelli",
                    **PLAIN,
                    **headers,
                },
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            reason = _reason(error)
    raise ActFailed(f"'{url}' cannot be read: {reason}")


def _pool(parts: SplitResult, address: str) -> "urllib3.HTTPConnectionPool":
    import urllib3

    from botticelli.web_session import Pool, SecurePool

    timeout = urllib3.Timeout(connect=left(CONNECT), read=SILENCE)
    if parts.scheme == "http":
        return Pool(address, parts.port or 80, timeout=timeout)
    import certifi

    return SecurePool(
        address,
        parts.port or 443,
        timeout=timeout,
        ca_certs=certifi.where(),
        server_hostname=parts.hostname,
        assert_hostname=parts.hostname,
    )


def _require_found(response: "urllib3.BaseHTTPResponse", *, url: str) -> None:
    if response.status >= 500 or response.status == 429:
        raise ActFailed(f"'{url}' cannot be read now: its server answered {response.status}")
    if response.status != 200:
        hint = "check the address, or download it and use the file"
        raise ConfigError(f"'{url}' cannot be read: answered {response.status}", hint=hint)


def _read(
    response: "urllib3.BaseHTTPResponse", *, url: str, here: str, moved_to: str, limit: int
) -> Fetched:
    import urllib3

    content = bytearray()
    try:
        while chunk := response.read1(CHUNK):
            content += chunk
            if len(content) > limit:
                raise ConfigError(f"'{url}' is larger than {limit // 2**20} MiB")
    except urllib3.exceptions.HTTPError as error:
        raise ActFailed(f"'{url}' cannot be read: {_reason(error)}") from error
    return Fetched(
        content=bytes(content),
        mime=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        status=response.status,
        url=here,
        moved_to=moved_to,
        headers={name.lower(): value for name, value in response.headers.items()},
    )


def _reason(error: Exception) -> str:
    """The words of the innermost error, without the pools and retries around it."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error) or type(error).__name__
