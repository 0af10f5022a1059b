"""The desk as a process: a socket handed over, SIGTERM, read-only, doors of other machines."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import pytest

from botticelli.web.serve import FIRST_FD

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "botticelli", *sys.argv[2:]])
"""


@pytest.fixture
def started(botticelli, db):
    """`started(words, socket)` starts a desk; a socket is handed over as systemd does it."""
    running = []

    def start(words, sock=None):
        line = [sys.executable, "-m", "botticelli", "desk", *words.split()]
        if sock is not None:
            line = [sys.executable, "-c", HAND_OVER, str(sock.fileno()), "desk", *words.split()]
        process = subprocess.Popen(
            line,
            env=botticelli.environ,
            cwd=botticelli.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[sock.fileno()] if sock else (),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def get(url, **headers):
    with urlopen(Request(url, headers=headers), timeout=30) as answer:
        return answer.status, answer.read().decode()


@pytest.mark.slow
def test_a_socket_that_was_handed_over_is_served_and_ends_when_idle(started):
    assert FIRST_FD == 3
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        process = started("--listen fd:// --idle-exit 2s", sock)
        status, _ = get(f"http://127.0.0.1:{sock.getsockname()[1]}/login")
    assert status == 200
    assert process.wait(30) == 0


@pytest.mark.slow
def test_a_link_opens_it_sigterm_ends_it_and_a_second_desk_serves_the_same(started):
    first, second = (started(f"--listen 127.0.0.1:{free_port()}") for _ in range(2))
    link, other = (process.stdout.readline().strip() for process in (first, second))
    token = re.search(r"token=(\S+)", link)[1]
    base = other.partition("/login")[0]
    body = f"token={token}".encode()
    request = Request(f"{base}/login", data=body, headers={"sec-fetch-site": "same-origin"})
    with urlopen(request, timeout=30) as answer:
        assert answer.status in (200, 303), "the other desk knows the first one's link"
    for process in (first, second):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.slow
def test_a_unix_socket_is_for_us_and_our_group(started, tmp_path):
    path = tmp_path / "desk.sock"
    process = started(f"--unix {path}")
    for _ in range(400):
        if path.exists():
            break
        time.sleep(0.05)
    assert oct(path.stat().st_mode & 0o777) == "0o660"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 " in sock.recv(100) or b" 503 " in sock.recv(100)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == 0
    assert not path.exists()


def test_it_is_not_open_to_other_machines_without_a_door(botticelli, db):
    ended = botticelli("desk --listen 0.0.0.0:1")
    assert ended.code == 78
    assert "nobody has a password" in ended.err
    assert botticelli("desk --listen fd://").code == 78
    assert botticelli("desk --idle-exit soon").code == 2
