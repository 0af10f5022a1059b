"""A small HTTP/1.1 server on 127.0.0.1 that can also misbehave on purpose.

`ThreadingHTTPServer` accepts; the handler is ours because the stock one parses headers with the
e-mail package and writes an answer in several sends, which costs more than all else here.
"""

import contextlib
import json
import os
import signal
import socket
import socketserver
import struct
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came over the wire; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    arrived: float  # monotonic seconds
    wall: float  # Unix seconds

    def json(self) -> Any:
        """Return the parsed body; ValueError if it is not JSON in UTF-8."""
        return json.loads(self.body)

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back: a response, or with `ending` no response at all.

    `ending`: "" answers; "close" hangs up; "reset" sends RST; "hang" stays silent until the server
    closes. `delay` is waited before any of these, in seconds.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    ending: str = ""
    delay: float = 0.0


def answer_json(
    value: Any, *, status: int = 200, headers: Iterable[tuple[str, str]] = (), delay: float = 0.0
) -> Answer:
    """Return an answer that carries a JSON value."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status=status, body=body, headers=tuple(headers), delay=delay)


def answer_html(
    status: int, title: str, *, headers: Iterable[tuple[str, str]] = (), server: str = "cloudflare"
) -> Answer:
    """Return an error page of a proxy in front of the API."""
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>"
        f"</center>\r\n<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(
        status=status,
        body=page.encode(),
        content_type="text/html; charset=UTF-8",
        headers=(("Server", server), *headers),
    )


@dataclass
class Script:
    """Faults to come, each used once, waiting under the name of those they are for.

    A fault is a word, or a word and a figure ("slow:0.5"); "ok" lets that request through.
    """

    _waiting: dict[str, deque[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *faults: str | int, to: str = "") -> None:
        """Append faults for `to` (a model or a route); "" is what the server serves mainly."""
        with self._lock:
            self._waiting.setdefault(to, deque()).extend(str(fault) for fault in faults)

    def take(self, *names: str) -> str:
        """Remove and return the next fault of the first name that has one; "" if none waits."""
        if not self._waiting:
            return ""
        with self._lock:
            for name in names:
                if queue := self._waiting.get(name):
                    fault = queue.popleft()
                    return "" if fault == "ok" else fault
        return ""

    def waiting(self) -> dict[str, list[str]]:
        """Return what was not used yet, by name."""
        with self._lock:
            return {name: list(queue) for name, queue in self._waiting.items() if queue}

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._waiting.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    fake: "LoopbackServer"

    def server_bind(self) -> None:
        """Bind without asking the resolver for a host name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        fake = self.server.fake
        with fake.holding(self.connection), contextlib.suppress(OSError):
            while (request := self._read()) is not None:
                answer = fake.safe_reply(request)
                if answer.delay:
                    fake.closing.wait(answer.delay)
                if answer.ending:
                    self._break_off(answer.ending)
                    return
                self._write(answer)
                if request.headers.get("connection", "").lower() == "close":
                    return

    def _read(self) -> Request | None:
        line = self.rfile.readline(65537).split()
        if len(line) != 3:
            return None
        arrived, wall = self.server.fake.moment()
        headers: dict[str, str] = {}
        while (raw := self.rfile.readline(65537)) not in {b"\r\n", b"\n", b""}:
            name, _, value = raw.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        method, target = line[0].decode(), line[1].decode("latin-1")
        path, _, query = target.partition("?")
        return Request(
            method=method,
            path=path,
            query=parse_qs(query, keep_blank_values=True) if query else {},
            headers=headers,
            body=self._read_body(headers),
            arrived=arrived,
            wall=wall,
        )

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        return self.rfile.read(int(headers.get("content-length", "0")))

    def _write(self, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
        if answer.status != 204:
            lines.append(f"Content-Type: {answer.content_type}")
            lines.append(f"Content-Length: {len(answer.body)}")
        lines.extend(f"{name}: {value}" for name, value in answer.headers)
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.connection.sendall(head + answer.body)

    def _break_off(self, ending: str) -> None:
        if ending == "hang":
            self.server.fake.closing.wait()
        elif ending == "reset":
            # Linger 0 and a bare close: socketserver's own way out would send a FIN first.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


class LoopbackServer:
    """A server that runs while its context is open; subclasses fill `reply`."""

    def __init__(self, *, port: int = 0) -> None:
        self._port = port
        self._server: _Server | None = None
        self._open: set[socket.socket] = set()
        self._idle = threading.Condition()
        self.closing = threading.Event()
        self.crashes: list[str] = []
        self.script = Script()

    def reply(self, request: Request) -> Answer:
        """Return the answer to a request; called from one thread per connection."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The root, without a slash at the end."""
        assert self._server is not None, "the server runs inside its with block only"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.fake = self
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        assert self._server is not None
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        with self._idle:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._idle.wait_for(lambda: not self._open, timeout=2)
        if self.crashes and kind is None:
            raise AssertionError("the fake server itself failed:\n" + "\n".join(self.crashes))

    @contextlib.contextmanager
    def holding(self, connection: socket.socket) -> Any:
        """Keep a connection among those that are shut when the server closes."""
        with self._idle:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._idle:
                self._open.discard(connection)
                self._idle.notify_all()

    def moment(self) -> tuple[float, float]:
        """Return a request's moment: monotonic seconds, and Unix time. A test may pin it."""
        return time.monotonic(), time.time()

    def safe_reply(self, request: Request) -> Answer:
        """Return `reply`, or a 599 that also fails the test: a bug here is not the world's 500."""
        try:
            return self.reply(request)
        except Exception:  # noqa: BLE001 - whatever it is, the test must hear of it
            self.crashes.append(traceback.format_exc())
            return Answer(status=599, body=traceback.format_exc().encode())


def serve_until_killed(fake: LoopbackServer) -> None:
    """Run a fake as a process: one JSON line with its url, then serve until SIGTERM or SIGINT.

    Ends with its parent too, so that a killed test leaves nothing behind.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    with fake:
        print(json.dumps({"url": fake.url, "pid": os.getpid()}), flush=True)  # noqa: T201 - the one line promised
        while not stop.wait(0.5):
            if os.getppid() != parent:
                return
