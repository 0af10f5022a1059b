"""A day of many projects in one server of 20 connections: `python -m benchmarks.many`.

Each project has its own database, folder and timers: generate, curate, post and health, several
times in its day. The days of all are run as fast as the machine can, by as many processes at once
as there are cores times eight. Promise: every command ends with 0 or, without a free connection,
with 75, and nothing is lost; a process has three connections or fewer; the last projects wait no
longer than the first. With `--hosts 2` (as root) each timer is on two hosts, which wake together.
"""

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.server import own_postgres
from botticelli.store.connection import connect

SETTINGS = '[destinations.box]\nplatform = "outbox"\nfolder = "out"\n'
NARRATIVE = """
[narrative]
name = "tip"
description = "A tip"
target = "potential_discord_posts"

[toc]
order = ["write"]

[acts]
write = "Write a tip of at most forty words as a JSON object with the key text_content."
"""
ROUND = ("generate tip --now", "curate", "post --now", "health", "post", "generate tip", "curate")
BOTTICELLI = str(Path(sys.executable).with_name("botticelli"))
FULL = 75


class Fleet:
    """The projects of one server, and what their commands took."""

    def __init__(self, root: Path, urls: Sequence[str]) -> None:
        self.root = root
        self.urls = urls
        self.codes: Counter[str] = Counter()
        self.waits: list[tuple[float, float]] = []  # when a command ended, how long it took
        self.most = 0
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make a folder for each project; the database is made by its first command."""
        for number in range(len(self.urls)):
            folder = self.root / f"p{number}"
            folder.mkdir()
            (folder / "botticelli.toml").write_text(SETTINGS, encoding="utf-8")
            (folder / "tip.toml").write_text(NARRATIVE, encoding="utf-8")

    def run(self, number: int, line: str, host: int) -> None:
        """Run one command of a project as its timer on a host does."""
        environ = {
            **os.environ,
            "DATABASE_URL": self.urls[number],
            "BOTTICELLI_CONFIG": "",
            "HOME": str(self.root),
            "XDG_STATE_HOME": str(self.root / "state"),
        }
        words = [BOTTICELLI, "--offline", "--quiet", *line.split()]
        if host:
            words = ["unshare", "--uts", "sh", "-c", f'hostname host{host}; exec "$@"', "", *words]
        began = time.monotonic()
        ended = subprocess.run(
            words, cwd=self.root / f"p{number}", env=environ, check=False, capture_output=True
        )
        with self._lock:
            self.codes[f"{line.split(maxsplit=1)[0]} {ended.returncode}"] += 1
            self.waits.append((time.monotonic(), time.monotonic() - began))
            said = (ended.stdout + ended.stderr).decode()[:300]
            if ended.returncode and "already running" not in said:
                print(f"p{number} {line}: {ended.returncode} {said}")

    def watch(self, conn: psycopg.Connection, over: threading.Event) -> None:
        """Note how many connections the process of one project has at most."""
        while not over.wait(0.05):
            row = conn.execute(
                "SELECT max(n) FROM (SELECT count(*) AS n FROM pg_stat_activity"
                " WHERE datname LIKE 'many_%' GROUP BY datname) AS d"
            ).fetchone()
            self.most = max(self.most, (row and row[0]) or 0)


def main() -> None:
    """Print what the day took, and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=100)
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8 * (os.cpu_count() or 1))
    given = parser.parse_args()
    with (
        TemporaryDirectory(prefix="botticelli-bench-") as folder,
        own_postgres("max_connections=20", "shared_buffers=32MB") as url,
        connect(url) as conn,
    ):
        names = [f"many_{number}" for number in range(given.projects)]
        for name in names:
            conn.execute(f"CREATE DATABASE {name}")
        fleet = Fleet(Path(folder), [url.replace("/botticelli?", f"/{name}?") for name in names])
        fleet.prepare()
        rounds = day(given.projects, given.hosts)
        over = threading.Event()
        watcher = threading.Thread(target=fleet.watch, args=(conn, over))
        watcher.start()
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with ThreadPoolExecutor(given.at_once) as pool:
            for ticks in rounds:
                list(pool.map(lambda tick: fleet.run(*tick), ticks))
        took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        over.set()
        watcher.join()
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        lacking = [name for name in names if not published(url, name)]
    show(fleet, ticks=sum(map(len, rounds)), took=took, cpu=cpu, lacking=lacking)


def day(projects: int, hosts: int) -> list[list[tuple[int, str, int]]]:
    """Return the rounds of a day: in each, every project's next tick, in chance's order."""
    chance = random.Random(1)
    order = list(range(projects))
    rounds = []
    for line in ROUND:
        chance.shuffle(order)
        rounds.append([(number, line, host) for number in order for host in range(hosts)])
    return rounds


def published(url: str, name: str) -> bool:
    """Return whether a project's post is out, and nothing of it hangs."""
    with connect(url.replace("/botticelli?", f"/{name}?")) as conn:
        row = conn.execute(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'posted') > 0"
            "   AND NOT EXISTS (SELECT FROM deliveries WHERE state = 'sending')"
            "   AND (SELECT max(attempts) FROM deliveries) = 1"
            "   AND NOT EXISTS (SELECT FROM runs WHERE state = 'running')"
        ).fetchone()
    return bool(row and row[0])


def show(fleet: Fleet, *, ticks: int, took: float, cpu: float, lacking: list[str]) -> None:
    """Print the figures."""
    print(f"{len(fleet.urls)} projects, {ticks} commands in {took:.0f} s: {dict(fleet.codes)}")
    print(f"processor time of the commands: {cpu / ticks * 1000:.0f} ms each")
    print(f"connections of a project at most: {fleet.most}")
    waits = [wait for _, wait in sorted(fleet.waits)]
    quarter = len(waits) // 4
    first, last = statistics.median(waits[:quarter]), statistics.median(waits[-quarter:])
    p95 = statistics.quantiles(waits, n=20)[-1]
    print(f"median of the first quarter {first:.2f} s, of the last {last:.2f} s; p95 {p95:.2f} s")
    print(f"projects without their post: {len(lacking)} {', '.join(lacking[:5])}")


if __name__ == "__main__":
    main()
