"""Processes that run one command line each, forked from one that has imported everything.

`python -m tests.soak.zygote CLOCK FOLDER` reads {"line", "kill_after"} from stdin and answers
{"code", "err"} or {"killed": true}, one JSON object a line.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

# Before the forks, which need them each.
import google.genai
import psycopg  # noqa: F401
import requests  # noqa: F401

from botticelli.cli.main import main
from botticelli.cli.shell.environment import Environment
from tests.clock import pinned_connect
from tests.soak.clock import SharedClock


def work(line, clock, folder):
    err = io.StringIO()
    env = Environment(
        environ=os.environ,
        cwd=folder,
        stdout=io.StringIO(),
        stderr=err,
        clock=clock,
        connect=pinned_connect(clock),
    )
    return {"code": main(line.split(), env), "err": err.getvalue()}


def run(order, clock, folder):
    """Fork, run, and kill it after some seconds if the order says so."""
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(out)
        try:
            answer = work(order["line"], clock, folder)
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails
            answer = {"code": 70, "err": repr(error)}
        os.write(into, json.dumps(answer).encode()[:60_000])
        os._exit(0)
    os.close(into)
    killer = threading.Timer(order.get("kill_after") or 1e6, os.kill, (pid, signal.SIGKILL))
    killer.daemon = True
    killer.start()
    text = b""
    while part := os.read(out, 65536):
        text += part
    killer.cancel()
    killer.join()
    os.close(out)
    _, status = os.waitpid(pid, 0)
    return {"killed": True} if os.WIFSIGNALED(status) else json.loads(text)


def serve():
    clock, folder = SharedClock(Path(sys.argv[1])), Path(sys.argv[2])
    assert google.genai
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line), clock, folder)) + "\n")
        sys.stdout.flush()


class Zygote:
    """The test's end: `zygote("post", kill_after=0.1)` returns how that process ended."""

    def __init__(self, clock_file, folder, environ):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.zygote", str(clock_file), str(folder)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def __call__(self, line, *, kill_after=None):
        self._process.stdin.write(json.dumps({"line": line, "kill_after": kill_after}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


if __name__ == "__main__":
    serve()
