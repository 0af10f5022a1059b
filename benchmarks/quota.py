"""Does the ledger keep the quota, and use it? Real processes, a Gemini-like server that counts.

    python -m benchmarks.quota --seconds 180 --rpm 120               (requests bind)
    python -m benchmarks.quota --seconds 180 --tpm 60000 --off-by 2  (tokens bind, estimates double)

Promise: no sliding minute at the server above limit x 0.8, and at least 97 % of it used after the
first minute. Estimates are the server's own count times `--off-by`.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import timedelta
from typing import Any

from benchmarks.server import in_processes, own_postgres
from botticelli.budget.gate import Stopped
from botticelli.clock import SystemClock
from botticelli.config.model import Limits, Models, Multipliers
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError
from botticelli.models.base import Message, Part, Request
from botticelli.models.gemini import Gemini
from botticelli.models.open import Drivers
from botticelli.models.prompts import readable
from botticelli.narrative.answers.answer import ActKey
from botticelli.narrative.answers.caller import LiveCaller
from botticelli.store.connection import connect
from botticelli.store.leases import Identity

MODEL = "gemini-3.5-flash-lite"
SHARE = 0.8


def drain(number: int, url: str, server: str, given: dict[str, Any]) -> int:
    """Call as much as the ledger lets through until the time is up; return the failures."""
    Gemini.estimate = lambda _self, request: round(  # type: ignore[method-assign]  # off on purpose
        len(readable(request).encode()) / 4 * given["off_by"]
    )
    models = Models(
        gemini_key=Secret("test-key"),
        gemini_base_url=server,
        timeout=timedelta(seconds=30),
        limits={MODEL: Limits(rpm=given["rpm"], tpm=given["tpm"], rpd=10**6)},
        tier="none",
    )
    drivers, stop, failures = Drivers(models), threading.Event(), [0]

    def work(worker: int) -> None:
        chance = random.Random(1000 * number + worker)
        with connect(url) as conn:
            caller = LiveCaller(
                conn,
                models=models,
                budget=Multipliers(rpm=SHARE, tpm=SHARE),
                identity=Identity(host="bench", pid=os.getpid(), owner=f"bench:{number}"),
                clock=SystemClock(),
                chance=chance,
                drivers=drivers,
                stop=stop,
            )
            while not stop.is_set():
                text = "word " * chance.randint(40, 400)
                request = Request(model="", messages=(_user(text),))
                try:
                    caller.ask(
                        request,
                        models=[MODEL],
                        key=ActKey(narrative="bench", act="call", sequence=0),
                    )
                except Stopped:
                    return
                except BotticelliError:
                    failures[0] += 1

    workers = [threading.Thread(target=work, args=(n,)) for n in range(given["workers"])]
    for worker in workers:
        worker.start()
    time.sleep(max(0.0, given["until"] - time.time()))
    stop.set()
    for worker in workers:
        worker.join()
    drivers.close()
    return failures[0]


def main() -> None:
    """Print what the server counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rpm", type=int)
    parser.add_argument("--tpm", type=int)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--off-by", type=float, default=1.0)
    given = vars(parser.parse_args())
    os.environ["NO_PROXY"] = "127.0.0.1"
    command = [sys.executable, "-m", "tests.fakes.gemini", "--latency", str(given["latency"])]
    with (
        own_postgres() as url,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as fake,
    ):
        assert fake.stdout is not None
        server = json.loads(fake.stdout.readline())["url"]
        try:
            given["until"] = time.time() + 5 + given["seconds"]  # 5 s to start
            failures = in_processes(drain, url, server, given, count=given["processes"])
            with urllib.request.urlopen(f"{server}/__calls") as answer:
                told = json.load(answer)
        finally:
            fake.terminate()
    _report(told, given, failures=sum(failures))


def _report(told: dict[str, Any], given: dict[str, Any], *, failures: int) -> None:
    calls = told["requests"]
    first = min(call["arrived"] for call in calls)
    later = [call for call in calls if 60 <= call["arrived"] - first < given["seconds"]]
    minutes = (given["seconds"] - 60) / 60
    print(f"{len(calls)} calls, {failures} failed, statuses {told['by_status']}")
    for name, limit, most, used in (
        ("requests", given["rpm"], told["max_requests"], len(later)),
        ("tokens", given["tpm"], told["max_tokens"], sum(c["prompt_tokens"] for c in later)),
    ):
        if limit is None:
            continue
        allowed = int(limit * SHARE)
        verdict = "kept" if most <= allowed else "BROKEN"
        share = f"{used / (allowed * minutes):.1%}" if minutes > 0 else "-"
        print(f"{name}: most in any 60 s {most} of {allowed} allowed ({verdict}); used {share}")


def _user(text: str) -> Message:
    return Message(role="user", parts=(Part(text=text),))


if __name__ == "__main__":
    main()
