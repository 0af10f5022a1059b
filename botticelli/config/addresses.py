"""Addresses of servers, as people write them."""

import shlex
from pathlib import Path

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
