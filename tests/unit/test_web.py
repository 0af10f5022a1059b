"""Servers that mean harm: they redirect, drip, never end, or send what grows; no client minds."""

import gzip
import json
import random
import socket
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest

from botticelli import otel
from botticelli.clock import SystemClock
from botticelli.config.model import Destination
from botticelli.config.operations import Hooks, StageHooks
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError
from botticelli.hooks import Event, notify
from botticelli.models.base import PermanentError, Request
from botticelli.models.gemini import Gemini
from botticelli.models.openai_compatible import OpenAICompatible
from botticelli.narrative.files.fetch import fetch
from botticelli.platforms.discord import open as discord
from botticelli.platforms.discord import rest
from botticelli.platforms.open import open_platform
from botticelli.web_session import Session
from tests.contracts.model_contract import user
from tests.contracts.platform_contract import message
from tests.fakes.loopback import Answer, LoopbackServer

LARGEST = 200_000  # bytes of an answer in these tests
SHORT = 0.15  # seconds that a client waits for one answer in these tests
KEY = "AIza-key-that-must-stay-at-home-000000"


class Elsewhere(LoopbackServer):
    """The host that a redirect names: it should never hear of us."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def reply(self, request):
        self.heard.append((request.path, dict(request.headers), request.body))
        return Answer(body=b"{}")


class Redirecting(LoopbackServer):
    """Answers everything with one redirect."""

    def __init__(self):
        super().__init__()
        self.status, self.location, self.asked = 302, "", []

    def reply(self, request):
        self.asked.append(request.path)
        if request.path.endswith("/second"):
            return Answer(body=b"{}")
        return Answer(status=self.status, headers=(("Location", self.location),))


@pytest.fixture(scope="module")
def elsewhere():
    with Elsewhere() as server:
        yield server


@pytest.fixture(scope="module")
def redirecting():
    with Redirecting() as server:
        yield server


# -- the clients, each as a call that sends a secret to a server


@contextmanager
def gemini(url, seconds=5.0):
    driver = Gemini(key=Secret(KEY), base_url=url, timeout=timedelta(seconds=seconds))
    yield lambda: driver.generate(Request(model="gemini-3.5-flash-lite", messages=(user("Hi"),)))
    driver.close()


@contextmanager
def gemini_look_up(url, seconds=5.0):
    driver = Gemini(key=Secret(KEY), base_url=url, timeout=timedelta(seconds=seconds))
    yield lambda: driver.look_up("gemini-3.5-flash-lite")
    driver.close()


@contextmanager
def openai(url, seconds=5.0):
    driver = OpenAICompatible(
        key=Secret(KEY), base_url=f"{url}/v1", timeout=timedelta(seconds=seconds)
    )
    yield lambda: driver.generate(Request(model="a-model", messages=(user("Hi"),)))
    driver.close()


def at_discord(url, **more):
    more = {"token": Secret(KEY), "channel": "123"} | more
    return Destination(name="news", platform="discord", base_url=f"{url}/api/v10", **more)


@contextmanager
def bot(url, seconds=5.0):
    platform = open_platform(at_discord(url), clock=SystemClock())
    yield lambda: platform.send(message())


@contextmanager
def webhook(url, seconds=5.0):
    hook = Secret(f"{url}/api/webhooks/1/{KEY}")
    platform = open_platform(at_discord(url, webhook=hook, token=Secret("")), clock=SystemClock())
    yield lambda: platform.send(message())


@contextmanager
def bot_command(url, seconds=5.0):
    commands = discord.open_discord_commands(
        lambda: at_discord(url), clock=SystemClock(), chance=random.Random(1)
    )
    yield lambda: commands.run("channels.get", {"channel_id": "123"})


@contextmanager
def hook_url(url, seconds=5.0, **group):
    group = group or {"on_success": (Secret(f"{url}/{KEY}"),)}
    hooks = Hooks(timeout=timedelta(seconds=seconds), every=StageHooks(**group))

    def call():
        event = Event(kind="success", stage="post", host="h")
        if notify(event, hooks=hooks, environ={}):
            raise BotticelliError("hook failed")

    yield call


def ping(url, seconds=5.0):
    return hook_url(url, seconds, ping=Secret(f"{url}/{KEY}"))


@contextmanager
def medium(url, seconds=5.0):
    yield lambda: fetch(f"{url}/a.png", limit=100_000, is_private_allowed=True)


CLIENTS = (gemini, gemini_look_up, openai, bot, webhook, bot_command, hook_url, ping)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Nobody repeats what failed."""
    monkeypatch.setattr(rest, "MOST_ATTEMPTS", 1)


@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_follows_a_redirect_with_a_secret(client, redirecting, elsewhere):
    port = elsewhere.url.rpartition(":")[2]
    locations = (
        f"{elsewhere.url}/x",
        f"//127.0.0.1:{port}/x",
        f"//localhost:{port}/x",
        f"http://{redirecting.url[7:]}@127.0.0.1:{port}/x",
        f"http://user:{KEY}@localhost:{port}/",
        f"HTTP://LOCALHOST:{port}/x",
        f"https://127.0.0.1:{port}/x",
        f"\\\\127.0.0.1:{port}\\x",
        "/second",
        "second",
        "?second",
        "file:///etc/passwd",
        "gopher://x/",
        "",
        "http://[::1",
    )
    with client(redirecting.url) as call:
        for status in (301, 302, 303, 307, 308):
            for location in locations:
                redirecting.status, redirecting.location, redirecting.asked = status, location, []
                with pytest.raises(BotticelliError):
                    call()
                assert len(redirecting.asked) == 1, (status, location)
    assert elsewhere.heard == []


@pytest.mark.parametrize("client", [gemini, openai])
def test_a_redirect_is_for_good_and_says_what_to_set(client, redirecting):
    redirecting.status, redirecting.location = 302, "https://elsewhere.example/?secret=1"
    with client(redirecting.url) as call, pytest.raises(PermanentError) as caught:
        call()

    assert "redirects to another address, which is not followed; set " in str(caught.value)
    assert "elsewhere" not in str(caught.value)
    assert caught.value.unrecoverable


def test_a_collector_that_redirects_gets_no_headers_sent_on(redirecting, elsewhere, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", redirecting.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={KEY}")
    redirecting.status, redirecting.location, redirecting.asked = 307, f"{elsewhere.url}/x", []
    tracer = otel.Exporting(version="0", host="h")
    with tracer.span("s", {}, kind="internal"):
        pass
    tracer.close()

    assert redirecting.asked
    assert elsewhere.heard == []


@pytest.mark.filterwarnings("ignore")  # of plugins that it loads
def test_a_hook_of_apprise_is_not_redirected(redirecting, elsewhere):
    pytest.importorskip("apprise")
    redirecting.status, redirecting.location, redirecting.asked = 307, f"{elsewhere.url}/x", []
    address = redirecting.url.replace("http://", "json://me:hunter2@")
    with hook_url("", on_success=(Secret(address),)) as call, pytest.raises(BotticelliError):
        call()

    assert redirecting.asked
    assert elsewhere.heard == []


def test_a_media_host_gets_no_credentials_of_its_address_or_of_ours(elsewhere, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    url = elsewhere.url.replace("http://", f"http://user:{KEY}@")
    fetch(f"{url}/a.png", limit=999, is_private_allowed=True)

    ((_, headers, _),) = elsewhere.heard
    elsewhere.heard.clear()
    assert set(headers) == {"host", "user-agent", "accept-encoding"}
    assert KEY not in str(headers)


# -- what a server may send


def bomb(size=256 * 1024 * 1024):
    """Return a gzip of that many zeros: a thousandth of it."""
    made = zlib.compressobj(9, wbits=31)
    block = bytes(1024 * 1024)
    return b"".join(made.compress(block) for _ in range(size // len(block))) + made.flush()


BOMB = bomb()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# What is sent at first, and what is sent for ever after it, and how often a second (0: at once).
ATTACKS = {
    "silence": (b"", b"", 1),
    "headers without end, slowly": (HEAD, b"X-Y: z\r\n", 50),
    "one header without end": (HEAD + b"X-Y: ", b"z" * 1000, 500),
    "a status line that drips": (b"HTTP/1.1 200 O", b"K", 50),
    "go on, for ever": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 50),
    "go on, at once": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0),
    "a body that drips": (HEAD + b"Content-Length: 99999\r\n\r\n", b" ", 50),
    "a body that drips without length": (HEAD + b"Connection: close\r\n\r\n", b" ", 50),
    "chunks that drip": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 50),
    "the end of chunks that drips": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n", 50,
    ),
    "a body without end": (HEAD + b"Connection: close\r\n\r\n", b" " * 65536, 0),
    "chunks without end": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n", 0,
    ),
    "a length beyond all bounds": (HEAD + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536, 0),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n{}", b"", 1),
    "chunks that are none": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", b"", 1),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}", None, 0),
    "half a body": (HEAD + b"Content-Length: 100\r\n\r\n{", None, 0),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", None, 0),
    "a compressed bomb": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, None, 0,
    ),
    "a bomb in two wrappings": (
        HEAD + b"Content-Encoding: gzip, gzip\r\nConnection: close\r\n\r\n" + gzip.compress(BOMB),
        None,
        0,
    ),
    "an unasked compression": (
        HEAD + b"Content-Encoding: br\r\nConnection: close\r\n\r\n" + b"\x0b\x00\x80{}\x03", None, 0
    ),
    "a thousand levels of JSON": (
        HEAD + b"Connection: close\r\n\r\n" + b"[" * 100_000, None, 0,
    ),
    "a page": (
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
         b"<html>" + "é€".encode() * 400_000, None, 0,
    ),
    "errors nested without end": (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
         b'{"code": 50035, "errors": ' + b'{"a": ' * 900 + b"1" + b"}" * 901, None, 0,
    ),
}  # fmt: skip


class Attacker:
    """A server that sends `first` and then `again` for ever, or ends if there is none."""

    def __init__(self, *parts):
        self.parts = parts
        self.sent = 0
        self._ends = threading.Event()

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        with suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(peer,)))
                self._threads[-1].start()

    def _serve(self, peer):
        first, again, rate = self.parts
        with peer, suppress(OSError):
            peer.settimeout(3)
            peer.recv(65536)
            peer.sendall(first)
            self.sent += len(first)
            while again is not None and not self._ends.wait(1 / rate if rate else 0):
                peer.sendall(again)
                self.sent += len(again)


@pytest.fixture
def small(monkeypatch):
    """Answers may be small and have to be quick."""
    for module in ("web_session", "models.gemini", "models.openai_compatible"):
        monkeypatch.setattr(f"botticelli.{module}.LARGEST_ANSWER", LARGEST)
    monkeypatch.setattr("botticelli.narrative.files.fetch.LONGEST", SHORT)
    request = Session.request
    monkeypatch.setattr(
        Session, "request", lambda *a, **more: request(*a, **more | {"timeout": SHORT})
    )


@pytest.mark.slow
@pytest.mark.parametrize("client", [gemini, openai, bot, bot_command, medium, hook_url])
def test_every_answer_has_an_end_in_time_and_size(client, small):
    """All of it for each kind of connection (httpx, requests, urllib3), the quick for all."""
    kinds = (gemini, bot, medium)
    with Attacker() as server, client(server.url, SHORT) as call:
        for attack, parts in ATTACKS.items():
            if client not in kinds and parts[2]:
                continue
            server.parts, server.sent = parts, 0
            began, told = time.monotonic(), ""
            try:
                call()
            except BotticelliError as error:
                told = str(error)
            took = time.monotonic() - began

            assert took < SHORT + 2, attack
            assert len(told) < 1000, attack
            assert KEY not in told
            assert server.sent < 12_000_000, f"{attack}: what waits in the sockets is little"


def test_a_small_answer_may_come_compressed(monkeypatch):
    answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    body = gzip.compress(json.dumps(answer).encode())
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Attacker(head + body, None, 0) as server, openai(server.url) as call:
        assert call().text == "Hello"


def test_a_proxy_of_the_environment_is_the_users_word(elsewhere, monkeypatch):
    """What the user's own environment names gets the requests, redirects of it do not."""
    monkeypatch.setenv("http_proxy", elsewhere.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for client in (gemini, openai, bot, hook_url):
        with client("http://api.example") as call, suppress(BotticelliError):
            call()
        assert elsewhere.heard.pop()[0].startswith("http://api.example/")
        assert elsewhere.heard == []
