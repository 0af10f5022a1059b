"""Processes that run the post stage and die by SIGKILL at a step that the test names.

`python -m tests.crash.zygote` imports everything once and forks for each order it reads from
stdin (one JSON object a line), so that a killed process costs milliseconds. A step is: before a
transaction, before its commit, after its commit, before and after each call to the platform, and,
of an order that names a place, before and after each of its HTTP requests and files.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import requests  # noqa: F401 - before the forks, which need it each

from botticelli.config.model import Destination, Retry
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError
from botticelli.platforms.open import open_platform
from botticelli.stages.post.stage import PostTask
from botticelli.stages.post.target import PostRequest
from botticelli.stages.task import PoolState, Run, Worker
from botticelli.stages.worker_pool import work as drain
from botticelli.store.leases import Identity
from botticelli.web_session import Session
from tests.clock import PinnedClock
from tests.contracts.peers import destination_of
from tests.posting import PostStage


class Steps:
    """Counts steps and dies at one of them."""

    def __init__(self, die_at):
        self.die_at = die_at
        self.taken = []

    def step(self, name):
        self.taken.append(name)
        if len(self.taken) == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """A platform whose calls are steps."""

    def __init__(self, platform, steps):
        self._platform = platform
        self._steps = steps

    def __getattr__(self, name):
        value = getattr(self._platform, name)
        if name not in {"send", "find", "finish"}:
            return value

        def call(*args, **options):
            self._steps.step(f"before {name}")
            answer = value(*args, **options)
            self._steps.step(f"after {name}")
            return answer

        return call


def connection(url, steps):
    """Open a connection whose transactions are steps."""

    class WatchedConnection(psycopg.Connection):
        @contextmanager
        def transaction(self, *args, **options):
            steps.step("before a transaction")
            with super().transaction(*args, **options) as inner:
                yield inner
                steps.step("before a commit")
            steps.step("after a commit")

    return WatchedConnection.connect(url, autocommit=True)


def watch(steps):
    """Make every HTTP request and every file that takes its place a step; the process is ours."""
    send, rename = Session.send, Path.replace

    def watched_send(self, request, **options):
        steps.step("before a request")
        answer = send(self, request, **options)
        steps.step("after a request")
        return answer

    def watched_rename(self, target):
        steps.step("before a file")
        made = rename(self, target)
        steps.step("after a file")
        return made

    Session.send, Path.replace = watched_send, watched_rename


def place_of(order):
    """Return the destination of an order: the channel of a Discord, unless it names a `place`."""
    if "place" in order:
        return destination_of(order["place"])
    return Destination(
        name="news",
        platform="discord",
        channel=order["channel"],
        token=Secret(order["token"]),
        base_url=order["api"],
        min_interval=timedelta(seconds=order.get("min_interval", 0)),
        too_long="split",
        crosspost=order.get("follows", False),
        thread_name="Talk" if order.get("follows") else "",
    )


def work(order):
    """Run the stage as the order says; return what became of it."""
    steps = Steps(order.get("die_at", 0))
    clock = PinnedClock(datetime.fromisoformat(order["at"]))
    if "place" in order:
        watch(steps)
    conn = connection(order["db"], steps)
    owner = f"host:{os.getpid()}:{random.getrandbits(32):x}"
    stage = PostStage(
        conn,
        lambda: psycopg.connect(order["db"], autocommit=True),
        clock,
        [place_of(order)],
        owner=owner,
        retry=Retry(max_retries=order.get("retries", 1)),
        limit=order.get("limit", 10),
    )
    stage._open = lambda one: Watched(open_platform(one, clock=clock), steps)
    try:
        report = unlocked(stage, conn, owner) if order.get("unlocked") else stage()
    except BotticelliError as error:
        return {"error": str(error), "steps": steps.taken}
    return {"states": [one.state for one in report.results], "steps": steps.taken}


def unlocked(stage, conn, owner):
    """Serve without the stage's lock: two hosts whose locks have failed them."""
    identity = Identity(host="host", pid=os.getpid(), owner=owner)
    run = Run(id=0, stage="post")
    context = replace(stage.context, identity=identity)
    task = PostTask(context, PostRequest())
    task.plan(run)
    drain(task, Worker(conn=conn, pool=PoolState(run.stop)))
    return task.finish(None)


def fork(order):
    """Start a process for an order; return (pid, the end that its answer comes out of)."""
    out, into = os.pipe()
    pid = os.fork()
    if pid:
        os.close(into)
        return pid, out
    os.close(out)
    try:
        os.write(into, json.dumps(work(order)).encode())
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - told to the test, which fails
        os.write(into, json.dumps({"bug": repr(error)}).encode())
        os._exit(70)


def answer(pid, out, *, kill_after=None):
    """Wait for a process, or kill it after some seconds; return its answer or {"killed": true}."""
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    text = b""
    while part := os.read(out, 65536):
        text += part
    os.close(out)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return {"killed": True}
    return json.loads(text)


def serve():
    for line in sys.stdin:
        orders = json.loads(line)
        running = [(*fork(order), order.get("kill_after")) for order in orders]
        answers = [answer(pid, out, kill_after=after) for pid, out, after in running]
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


class Zygote:
    """The test's end: `zygote(order, order)` runs the orders at once and returns their answers."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def __call__(self, *orders):
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        answers = json.loads(self._process.stdout.readline())
        bugs = [one["bug"] for one in answers if "bug" in one]
        assert not bugs, bugs
        return answers


if __name__ == "__main__":
    serve()
