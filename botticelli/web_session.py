"""Sessions of requests and pools of urllib3 that keep to the bounds of `web_bounds.bounded`."""

import http.client
import io
import socket
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3
import urllib3.connection

from botticelli import web_bounds

LARGEST_ANSWER: Final = 16 * 1024 * 1024  # bytes; a page of a hundred messages is below 5 MB
LONGEST: Final = 60.0  # seconds, of a request that names no limit


class Session(requests.Session):
    """A session that follows no redirect; the time limit of a read holds for the whole answer."""

    def __init__(self) -> None:
        super().__init__()
        self._environment: dict[tuple[Any, ...], Any] = {}
        self.headers.update(web_bounds.PLAIN)
        self.hooks["response"].append(web_bounds.check_encoding)
        for scheme in POOLS:
            self.mount(f"{scheme}://", _Adapter())

    def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
        """Return what the environment says of a host; it is asked once, not for each request."""
        asked = (urlsplit(url)[:2], *map(str, settings))
        if asked not in self._environment:
            self._environment[asked] = super().merge_environment_settings(url, *settings)
        return dict(self._environment[asked])

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Return that there is none, whatever the answer says."""
        return None


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **settings)
        if isinstance(manager, urllib3.ProxyManager):  # the pools of SOCKS are their own
            manager.pool_classes_by_scheme = POOLS
        return manager


class _Answer(http.client.HTTPResponse):
    """An answer read within bounds from its first byte on: those of this thread, or its own."""

    def __init__(self, sock: socket.socket, *args: Any, **settings: Any) -> None:
        super().__init__(sock, *args, **settings)
        until = time.monotonic() + (sock.gettimeout() or LONGEST)
        bounds = web_bounds.current() or web_bounds.Bounds(until=until, left=LARGEST_ANSWER)
        self.fp = io.BufferedReader(_Source(self.fp.detach(), sock, bounds))


class _Source(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket, bounds: web_bounds.Bounds) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._bounds = bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        wanted = self._sock.gettimeout()
        self._sock.settimeout(self._bounds.wait(wanted))
        try:
            size: int | None = self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(wanted)
        self._bounds.take(size or 0)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Answer


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _Answer


class Pool(urllib3.HTTPConnectionPool):
    """Connections to one host that keep to the bounds."""

    ConnectionCls = _Connection


class SecurePool(urllib3.HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = _SecureConnection


POOLS: Final = {"http": Pool, "https": SecurePool}
