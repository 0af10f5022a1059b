"""Addresses of servers, as people write them."""

import shlex
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from botticelli.errors import ConfigError


class UntrustedAddress(str):
    """An address that files of a project name whose user has not said yes to it.

    Args:
        text: The address.
        root: The project's folder.
    """

    __slots__ = ("root",)
    root: Path

    def __new__(cls, text: str, root: Path) -> "UntrustedAddress":
        """Return the address with its project's folder."""
        made = super().__new__(cls, text)
        made.root = root
        return made


def require_trusted(address: str, *, where: str) -> None:
    """Check that an address may be reached with what is the user's.

    Raises:
        ConfigError: Files of a project name it that is not trusted.
    """
    if isinstance(address, UntrustedAddress):
        raise ConfigError(
            f"{address} is named by a project that is not trusted, and would get what is not its",
            where=where,
            hint=f"if it is right: {trust_line(address.root)}",
        )


def trust_line(path: Path) -> str:
    """Return the line that says yes to a file or a project."""
    return f"botticelli trust {shlex.quote(str(path))}"


def require_web(address: str, *, where: str, hint: str) -> str:
    """Return an address that can be asked, or the empty one that stands for the usual server.

    Args:
        address: Root of an API; empty: the provider's own.
        where: What it is the address of, or the key that may hold it.
        hint: The variable or key to look at.

    Raises:
        ConfigError: It does not begin with http:// or https:// and a host, or is not trusted.
    """
    require_trusted(address, where=where)
    scheme, _, rest = address.partition("://")
    if address and (scheme.lower() not in {"http", "https"} or not rest.strip("/")):
        raise ConfigError(
            f"'{address}' is not a web address",
            where=where,
            hint=f"write http://HOST or https://HOST ({hint})",
        )
    return address


def require_safe(address: str, *, where: str, hint: str) -> str:
    """Return an address that a secret may be sent to, without the slash at its end.

    Raises:
        ConfigError: It is no web address, is not trusted, has a name or a query in it, or would
            send the secret in the open to another machine.
    """
    root = require_web(address, where=where, hint=hint).rstrip("/")
    try:
        parts = urlsplit(root)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        what = f"'{address}' is not the address of a server"
        raise ConfigError(what, where=where, hint=f"write https://HOST ({hint})")
    if parts.scheme.lower() != "https" and not is_loopback(host):
        what = f"{address} would get the secret unencrypted"
        raise ConfigError(what, where=where, hint=f"write https://{parts.netloc} ({hint})")
    return root


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, whatever the resolver says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
