"""Media by URL: read here, never from the neighbourhood, whatever redirects and names say."""

import base64
import socket
import threading
from contextlib import suppress

import pytest

from botticelli.errors import ConfigError
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.files.fetch import fetch, is_left_to_the_provider
from botticelli.narrative.files.media import mime_of, mismatch
from tests.fakes.loopback import Answer, LoopbackServer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Gallery(LoopbackServer):
    """A server with pictures; `seen` are the hosts and paths that it was asked for."""

    def __init__(self):
        super().__init__()
        self.answers = {"/a.png": Answer(body=PNG, content_type="image/png; x=1")}
        self.seen = []

    def reply(self, request):
        self.seen.append((request.headers["host"], request.path))
        return self.answers.get(request.path, Answer(status=404))

    def redirect(self, path, to):
        self.answers[path] = Answer(status=302, headers=(("Location", to),))


@pytest.fixture
def gallery():
    with Gallery() as server:
        yield server


def port(gallery):
    return gallery.url.rpartition(":")[2]


def test_a_picture_on_this_machine_is_read_only_if_that_is_allowed(gallery):
    with pytest.raises(ConfigError, match="private_urls"):
        fetch(f"{gallery.url}/a.png", limit=999)
    assert gallery.seen == []

    fetched = fetch(f"{gallery.url}/a.png", limit=999, is_private_allowed=True)

    assert (fetched.content, fetched.mime) == (PNG, "image/png")


def test_a_name_is_resolved_once_and_the_connection_goes_there(gallery, monkeypatch):
    """A second look would find the neighbourhood; there is no second look."""
    asked = []

    def resolve(host):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    monkeypatch.setattr(
        "botticelli.narrative.files.public_addresses._is_public", lambda one: one[:3] != "10."
    )

    fetched = fetch(f"http://pictures.example:{port(gallery)}/a.png", limit=999, resolve=resolve)

    assert fetched.content == PNG
    assert asked == ["pictures.example"]
    assert gallery.seen == [(f"pictures.example:{port(gallery)}", "/a.png")]


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/x.png",
        "http://localhost/x.png",
        "file:///etc/passwd",
        "//10.0.0.1/x",
    ],
)
def test_a_redirect_into_the_neighbourhood_is_refused(gallery, monkeypatch, target):
    gallery.redirect("/r.png", target)
    monkeypatch.setattr(
        "botticelli.narrative.files.public_addresses._is_public", lambda one: one == "127.0.0.1"
    )
    resolve = {"pictures.example": ["127.0.0.1"]}.get

    with pytest.raises(ConfigError, match=r"private network|no URL"):
        fetch(
            f"http://pictures.example:{port(gallery)}/r.png",
            limit=999,
            resolve=lambda host: resolve(host, [host]),
        )
    assert [path for _, path in gallery.seen] == ["/r.png"]


def test_a_redirect_is_followed_and_a_circle_left(gallery):
    gallery.redirect("/old.png", "/a.png")
    gallery.redirect("/round.png", "/round.png")

    assert fetch(f"{gallery.url}/old.png", limit=999, is_private_allowed=True).content == PNG
    with pytest.raises(ConfigError, match="without end"):
        fetch(f"{gallery.url}/round.png", limit=999, is_private_allowed=True)


def test_what_is_not_there_too_large_or_in_trouble_is_told_apart(gallery):
    gallery.answers["/busy.png"] = Answer(status=503)
    gallery.answers["/gone.png"] = Answer(ending="close")

    def read(path, limit=999):
        return fetch(f"{gallery.url}{path}", limit=limit, is_private_allowed=True)

    with pytest.raises(ConfigError, match="answered 404; check the address"):
        read("/none.png")
    with pytest.raises(ConfigError, match="larger than"):
        read("/a.png", limit=len(PNG) - 1)
    assert read("/a.png", limit=len(PNG)).content == PNG
    with pytest.raises(ActFailed, match="503"):
        read("/busy.png")
    with pytest.raises(ActFailed, match="cannot be read"):
        read("/gone.png")
    with pytest.raises(ActFailed, match="has no address"):
        fetch("http://nowhere.invalid/a.png", limit=9)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_the_keys_of_a_cloud_machine_are_never_read(host):
    with pytest.raises(ConfigError, match="never read"):
        fetch(f"http://{host}/latest/meta-data", limit=9, is_private_allowed=True)


def test_the_next_address_is_tried_if_one_cannot_be_reached(gallery):
    fetched = fetch(
        f"http://pictures.example:{port(gallery)}/a.png",
        limit=999,
        is_private_allowed=True,
        resolve=lambda _: ["127.0.0.2", "127.0.0.1"],
    )

    assert fetched.content == PNG


def test_a_server_that_drips_is_left(monkeypatch):
    monkeypatch.setattr("botticelli.narrative.files.fetch.LONGEST", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ends = threading.Event()

        def drip():
            peer, _ = server.accept()
            with peer, suppress(OSError):
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
                while not ends.wait(0.05):
                    peer.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        with pytest.raises(ActFailed, match="cannot be read within"):
            fetch(url, limit=9999, is_private_allowed=True)
        ends.set()
        thread.join()


def test_buckets_and_videos_of_youtube_are_the_providers_business():
    assert is_left_to_the_provider("gs://bucket/a.png")
    assert is_left_to_the_provider("https://www.youtube.com/watch?v=x")
    assert not is_left_to_the_provider("https://example.org/youtube.com")


WAV = b"RIFF\0\0\0\0WAVE"
MP4 = b"\0\0\0\x18ftypisom"


@pytest.mark.parametrize(
    ("kind", "name", "told", "content", "mime"),
    [
        ("image", "a.png", "", b"?", "image/png"),
        ("image", "https://x.org/a.JPG?b=c.png", "", b"", "image/jpeg"),
        ("image", "a", "image/webp", b"?", "image/webp"),
        ("image", "a", "application/octet-stream", b"?", ""),
        ("image", "a.jpg", "image/jpeg", PNG, "image/png"),
        ("audio", "a", "", WAV, "audio/wav"),
        ("audio", "a.mp4", "", MP4, "audio/mp4"),
        ("video", "a", "", MP4, "video/mp4"),
        ("document", "a.pdf", "", b"?", "application/pdf"),
        ("document", "notes.md", "", b"# x", "text/markdown"),
        ("document", "a", "", b"%PDF-1.7", "application/pdf"),
    ],
)
def test_the_kind_of_a_medium_is_told_by_content_name_or_server(kind, name, told, content, mime):
    assert mime_of(kind, name, served_as=told, content=content) == mime


@pytest.mark.parametrize(
    ("kind", "mime", "content", "wrong"),
    [
        ("image", "image/png", PNG, ""),
        ("image", "image/png", b"never heard of", ""),
        ("image", "image/png", WAV, "is no image: it holds audio/wav"),
        ("audio", "audio/mp4", MP4, ""),
        ("video", "video/mp4", PNG, "is no video: it holds image/png"),
        ("document", "application/pdf", b"%PDF-1.4", ""),
        ("document", "application/pdf", b"Hello", "is no PDF, whatever it is called"),
        ("document", "text/plain", b"Hello", ""),
        ("document", "text/plain", b"", "is empty"),
    ],
)
def test_a_medium_that_is_another_is_told(kind, mime, content, wrong):
    assert mismatch(kind, mime, content=content) == wrong
