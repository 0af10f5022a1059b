"""Serve the desk with uvicorn: on an address, a unix socket, or one that systemd hands over."""

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from botticelli.errors import ConfigError

FIRST_FD: Final = 3  # what systemd hands over begins there; source: sd_listen_fds(3)
DRAIN: Final = 5  # seconds that requests may take to end
HEAD: Final = 10.0  # seconds that the beginning of a request may take
AT_ONCE: Final = 64  # connections


class _Protocol(H11Protocol):
    """Closes a connection on which no request begins; uvicorn waits for its first one for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD, lambda: transport.close() if self.cycle is None else None)


def listening(listen: str, unix: Path | None) -> socket.socket:
    """Return the socket to serve on.

    Args:
        listen: HOST:PORT, or fd:// for what systemd hands over.
        unix: Path of a unix socket instead, for us and our group.

    Raises:
        ConfigError: Somebody else has it, or there is none.
    """
    if unix is None and listen.startswith("fd://"):
        if os.environ.get("LISTEN_PID") == str(os.getpid()):
            return socket.socket(fileno=FIRST_FD)
        raise ConfigError("no socket was handed over", where="fd://", hint="start the socket unit")
    try:
        if unix is not None:
            return _unix(unix)
        host, _, port = listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host.strip("[]") or "", int(port)))
        made.listen(AT_ONCE)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        where, hint = str(unix or listen), "choose another with --listen, or end what is there"
        raise ConfigError(f"it cannot be listened on ({reason})", where=where, hint=hint) from error
    return made


def _unix(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX) as other, suppress(OSError):
                other.connect(str(path))
                raise ConfigError("another desk is there", where=str(path))
            path.unlink()  # of a desk that was killed
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        made.bind(str(path))
    finally:
        os.umask(before)
    made.listen(AT_ONCE)
    return made


class _Idle:
    """Counts requests, so that a desk that nobody uses can end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen += scope["type"] == "http"
        await self.app(scope, receive, send)


def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    ready: Callable[[], None],
    idle_exit: float | None,
    is_behind_proxy: bool,
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way have 5 s to end.

    Args:
        app: The application.
        sock: Where.
        ready: Called when requests are taken.
        idle_exit: Seconds without a request after which it ends; None: never.
        is_behind_proxy: Whether X-Forwarded-Proto says if the browser speaks TLS.
    """
    counted = _Idle(app)
    path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
    config = uvicorn.Config(
        counted,
        http=_Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=is_behind_proxy,
        forwarded_allow_ips="*" if sock.family == socket.AF_UNIX else "127.0.0.1,::1",
        limit_concurrency=AT_ONCE,
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=HEAD,  # type: ignore[arg-type]
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        watching = asyncio.create_task(_watch(server, counted, ready, idle_exit))
        await server.serve(sockets=[sock])
        watching.cancel()

    # uvicorn raises the signal that ended it once more when all is done.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        asyncio.run(run())
    if path:
        Path(path).unlink(missing_ok=True)


async def _watch(
    server: uvicorn.Server, counted: _Idle, ready: Callable[[], None], idle_exit: float | None
) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    ready()
    _notify("READY=1")
    seen = -1
    while idle_exit and seen != counted.seen:
        seen = counted.seen
        await asyncio.sleep(idle_exit)
    server.should_exit = bool(idle_exit)


def _notify(state: str) -> None:
    """Say something to systemd, if it listens. Source: sd_notify(3)."""
    if not (address := os.environ.get("NOTIFY_SOCKET", "")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
