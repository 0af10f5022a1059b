"""URLs that a narrative may name: the public net, never the neighbourhood of this machine.

Else http://169.254.169.254/ or http://localhost/ would be read for whoever wrote the narrative, and
shown to a model. Names are resolved, because a public name may lead to a private address; one
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


def public_addresses(
    url: str, *, resolve: Resolve | None = None, is_private_allowed: bool = False
) -> list[str]:
    """Return the addresses that a URL leads to, all of them public; none if its name has none.

    Link-local addresses are refused even where private ones are allowed.

    Raises:
        ConfigError: It leads into a private network, or no network at all.
    """
    # Readers of URLs do not agree on these: what is checked here might not be what is fetched.
    if "\\" in url or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ConfigError(f"{url!r} is no URL", hint="write https://...")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".") if parts.port != 0 else ""
    except ValueError as error:
        raise ConfigError(f"'{url}' is no URL", hint="write https://...") from error
    if parts.scheme not in SCHEMES or not host:
        raise ConfigError(f"'{url}' is no URL of the web", hint="write https://..., or use a file")
    if parts.scheme == "gs":
        return []
    is_local = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    if is_local and not is_private_allowed:
        raise _private(url, host)
    addresses = list((resolve or addresses_of)(host))
    for address in addresses:
        if not _is_public(address):
            _refuse(url, address, is_private_allowed=is_private_allowed)
    return addresses


def _refuse(url: str, address: str, *, is_private_allowed: bool) -> None:
    if not is_private_allowed:
        raise _private(url, address)
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    if (inner or found).is_link_local:  # where clouds keep the keys of the machine
        raise ConfigError(f"'{url}' leads to {address}, which is never read", hint="use a file")


def addresses_of(host: str, *, asks: bool = True) -> list[str]:
    """Return the addresses of a host, spellings such as 0x7f.1 and 2130706433 included.

    Without `asks` no name server is asked: a name has none then.
    """
    import socket

    flags = 0 if asks else socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
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
        hint="download it and use the file, or set [narratives] private_urls = true",
    )
