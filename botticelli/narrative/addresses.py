"""URLs that a narrative may hand on: the public net, never the neighbourhood of this machine.

A model behind a local server would fetch http://169.254.169.254/ or http://localhost/ for whoever
wrote the narrative. Names are resolved, because a public name may lead to a private address; one
that cannot be resolved here leads nowhere from here.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from botticelli.errors import ConfigError

SCHEMES: Final = ("https", "http", "gs")
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # holds an IPv4 address that it leads to

# Host -> its addresses; none if it has none.
Resolve = Callable[[str], Iterable[str]]


def check_public(url: str, *, resolve: Resolve | None = None) -> None:
    """Refuse a URL that leads into a private network, or no network at all.

    Raises:
        ConfigError: It is one.
    """
    # Readers of URLs do not agree on these: what is checked here might not be what is fetched.
    if "\\" in url or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ConfigError(f"{url!r} is no URL", mend="write https://...")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise ConfigError(f"'{url}' is no URL", mend="write https://...") from error
    if parts.scheme not in SCHEMES or not host:
        raise ConfigError(f"'{url}' is no URL of the web", mend="write https://..., or use file =")
    if parts.scheme == "gs":
        return
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise _private(url, host)
    for address in (resolve or addresses_of)(host):
        if not _is_public(address):
            raise _private(url, address)


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host, spellings such as 0x7f.1 and 2130706433 included."""
    import socket

    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(one[4][0]) for one in found]


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
        if found.is_site_local or (found.is_reserved and found not in NAT64):
            return False
    return found.is_global and not found.is_multicast


def _private(url: str, address: str) -> ConfigError:
    return ConfigError(
        f"'{url}' leads into a private network ({address})",
        mend="use a public address, or download it and use file =",
    )
