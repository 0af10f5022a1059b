"""Addresses of servers, as people write them."""

from botticelli.errors import ConfigError


def require_web(address: str, *, where: str, hint: str) -> str:
    """Return an address that can be asked, or the empty one that stands for the usual server.

    Args:
        address: Root of an API; empty: the provider's own.
        where: What it is the address of, or the key that may hold it.
        hint: The variable or key to look at.

    Raises:
        ConfigError: It does not begin with http:// or https:// and a host.
    """
    scheme, _, rest = address.partition("://")
    if address and (scheme.lower() not in {"http", "https"} or not rest.strip("/")):
        raise ConfigError(
            f"'{address}' is not a web address",
            where=where,
            hint=f"write http://HOST or https://HOST ({hint})",
        )
    return address
