"""`health --listen`: yes or no over HTTP, by itself, until SIGTERM."""

import json
import signal
import socket
import subprocess
import sys
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest


def ask(url):
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, error.read()


@pytest.mark.slow
def test_it_answers_yes_or_no_and_ends_with_sigterm(botticelli, db):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    words = [sys.executable, "-m", "botticelli", "health", "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(words, env=botticelli.environ, cwd=botticelli.cwd)
    try:
        url = f"http://127.0.0.1:{port}/health"
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        status, said = ask(url)
        healthy = status == 200
        said = said if healthy else json.loads(said)
        assert said == {"healthy": healthy}
        assert ask(url.replace("/health", "/other"))[0] == 404
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_an_address_that_is_none_or_taken_is_one_line(botticelli, db):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = botticelli(f"health --listen 127.0.0.1:{port}")
    assert ended.code == 78
    assert "cannot be listened on" in ended.err
    assert botticelli("health --listen 8080x").code == 2
