"""`botticelli health --listen`: GET /health by the standard library alone, for monitors."""

import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Protocol

from botticelli.cli.shell.environment import Environment
from botticelli.errors import ConfigError, UsageError

LASTS: Final = 5.0  # seconds that an answer is given again


class _Report(Protocol):
    @property
    def healthy(self) -> bool: ...


def serve(env: Environment, listen: str, ask: Callable[[], _Report]) -> None:
    """Answer {"healthy": true} with 200, or false with 503, until SIGTERM or Ctrl-C.

    Raises:
        UsageError: That is no HOST:PORT.
        ConfigError: It cannot be listened on.
    """
    host, _, port = listen.rpartition(":")
    if not port.isdecimal():
        hint = "write 127.0.0.1:8080"
        raise UsageError(f"'{listen}' is no HOST:PORT", where="--listen", hint=hint)
    try:
        server = ThreadingHTTPServer((host.strip("[]"), int(port)), _handler(ask))
    except (OSError, OverflowError) as error:
        what = f"it cannot be listened on ({getattr(error, 'strerror', None) or error})"
        raise ConfigError(what, where=listen, hint="choose another address") from error
    with server:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        env.say(f"http://{listen}/health answers; end it with Ctrl-C")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def _handler(ask: Callable[[], _Report]) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests; `ask` is called at most every 5 seconds."""
    lock, seen = threading.Lock(), [(-LASTS, False)]

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a request may take

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/health":
                self.send_error(404)
                return
            with lock:
                at, healthy = seen[0]
                if time.monotonic() - at > LASTS:
                    healthy = ask().healthy
                    seen[0] = (time.monotonic(), healthy)
            body = json.dumps({"healthy": healthy}).encode()
            self.send_response(200 if healthy else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a monitor asks all day."""

    return Handler
