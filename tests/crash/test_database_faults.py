"""The database restarts, crashes, freezes and throws sessions out while processes work.

Nothing that is paid for is lost, nothing is asked for or sent twice: counted by the servers on the
other side. 24 faults by default; `BOTTICELLI_FAULTS=200` makes as many (about ten minutes).
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import psycopg
import pytest

from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from botticelli.store.schema import apply_schema
from tests.commandline import isolated
from tests.crash.test_curate_kill import curating, scores
from tests.crash.test_generate_kill import generating, write
from tests.database import approved, candidate
from tests.fakes.discord import FakeDiscord
from tests.fakes.gemini import FakeGemini
from tests.store.servers import kill_postmaster

FAULTS = int(os.environ.get("BOTTICELLI_FAULTS", "24")) // 3
SAFE = ("fsync=off", "full_page_writes=off")  # the machine lives on; only its processes die
EVERYBODY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Faults:
    """A server of our own, and what happens to it."""

    def __init__(self, home):
        self.server = Embedded(home / "postgres", settings=SAFE)
        self.url = self.server.ensure()
        self.seen = Counter()
        with connect(self.url) as conn:
            apply_schema(conn)

    def terminate(self, _chance):
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(EVERYBODY)

    def restart(self, chance):
        self.server.stop()
        time.sleep(chance.uniform(0, 1))
        self.server.ensure()

    def crash(self, _chance):
        kill_postmaster(self.server)
        self.server.ensure()

    def freeze(self, chance):
        pid = self.server.status().pid
        said = subprocess.run(
            ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
        )
        frozen = [pid, *map(int, said.stdout.split())]
        for each in frozen:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        time.sleep(chance.uniform(0.2, 3))
        for each in frozen:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)

    def wait_for_a_run(self):
        """Wait until a run is at work: what finds no database at its start ends, as always."""
        with connect(self.url) as conn:
            running = "SELECT count(*) FROM runs WHERE state = 'running'"
            while conn.execute(running).fetchone() == (0,):
                time.sleep(0.05)

    def during(self, process, chance):
        """Do one after the other until the process has ended."""
        while process.poll() is None:
            time.sleep(chance.uniform(0.2, 1.2))
            if process.poll() is None:
                kind = chance.choice(("terminate", "restart", "crash", "freeze"))
                getattr(self, kind)(chance)
                self.seen[kind] += 1


@pytest.fixture
def faults(postgres_home):
    return Faults(postgres_home)


def count(url, query):
    with connect(url) as conn:
        return conn.execute(query).fetchone()[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_generate_stores_every_answer_once(faults, tmp_path):
    chance, runs = random.Random(7), 0
    with FakeGemini(responder=write, latency=0.3) as gemini:
        line = generating(tmp_path, faults.url, gemini)
        while faults.seen.total() < FAULTS:
            process = line.start("--now")
            faults.wait_for_a_run()
            faults.during(process, chance)
            _, err = process.communicate()
            runs += 1
            assert process.returncode == 0, err
            done = "SELECT count(*) FROM act_executions WHERE state = 'done'"
            assert count(faults.url, done) == len(gemini.calls) == 100 * runs
            posts = "SELECT count(*) FROM potential_discord_posts"
            assert count(faults.url, posts) == 50 * runs


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_curate_stores_every_score_once(faults, tmp_path):
    chance, judged = random.Random(8), 0
    with FakeGemini(responder=scores, latency=0.5) as gemini:
        line = curating(tmp_path, faults.url, gemini, samples=1)
        while faults.seen.total() < FAULTS:
            with connect(faults.url) as conn:
                for number in range(60):
                    candidate(conn, f"text {judged + number} {chance.random()}")
            judged += 60
            process = line.start()
            faults.wait_for_a_run()
            faults.during(process, chance)
            _, err = process.communicate()
            assert process.returncode == 0, err
            calls = "SELECT count(*) FROM act_executions WHERE state = 'done'"
            assert count(faults.url, calls) == len(gemini.calls)
            scored = "SELECT count(*) FROM potential_discord_posts WHERE judged_at IS NOT NULL"
            assert count(faults.url, scored) == judged
            assert len(gemini.calls) == judged / 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_post_sends_each_post_once(faults, tmp_path):
    chance, posts = random.Random(9), []
    with FakeDiscord(latency=0.15) as discord:
        environ = isolated(tmp_path) | {
            "DATABASE_URL": faults.url,
            "DISCORD_API_BASE": discord.api,
            "DISCORD_TOKEN": discord.token,
            "POSTING_CHANNEL_ID": discord.channel,
        }
        while faults.seen.total() < FAULTS:
            with connect(faults.url) as conn:
                new = [f"post {len(posts) + number} {chance.random()}" for number in range(25)]
                for text in new:
                    approved(conn, text)
            posts += new
            process = subprocess.Popen(
                [sys.executable, "-m", "botticelli", "post", "--now", "--limit", "25"],
                env=environ,
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            faults.wait_for_a_run()
            faults.during(process, chance)
            _, err = process.communicate()
            assert process.returncode == 0, err
            sent = [one["content"] for one in discord.messages()]
            assert Counter(sent) == Counter(posts)
            done = "SELECT count(*) FROM deliveries WHERE state = 'posted'"
            assert count(faults.url, done) == len(posts)
