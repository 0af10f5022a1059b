"""The database restarts, crashes, freezes, fills its disk or fails over while processes work.

Nothing that is paid for is lost, nothing is asked for or sent twice: counted by the servers on the
other side. 24 faults by default; `BOTTICELLI_FAULTS=200` makes as many (about 12 minutes), a third
for each stage, every fifth of them failovers, and freezes for up to 20 seconds.
"""

import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from tests.commandline import isolated
from tests.crash.databases import Failovers, Faults
from tests.crash.test_curate_kill import curating, scores
from tests.crash.test_generate_kill import generating, write
from tests.database import approved, candidate
from tests.fakes.discord import FakeDiscord
from tests.fakes.gemini import FakeGemini

FAULTS = int(os.environ.get("BOTTICELLI_FAULTS", "24"))
LONGEST = 20.0 if FAULTS >= 100 else 3.0  # seconds of a freeze
NUMBERS = {Faults: max(1, FAULTS * 4 // 15), Failovers: max(1, FAULTS // 15)}


@pytest.fixture(params=NUMBERS, ids=lambda kind: kind.__name__.lower())
def faults(request, postgres_home):
    if request.param is Failovers and os.geteuid() != 0:
        pytest.skip("a standby is made by root here")
    with closing(request.param(postgres_home, longest=LONGEST)) as made:
        made.number_wanted = NUMBERS[request.param]
        yield made
        sys.stderr.write(f"{request.node.name}: {dict(made.seen)}\n")


def with_a_day(folder):
    """Give each model a day of so few requests that a booking is on the disk before it counts.

    Without it a crash of the server holds a model for a minute, since bookings may be lost.
    """
    settings = folder / "botticelli.toml"
    text = settings.read_text()
    settings.write_text(text.replace("rpm = 100000\n", "rpm = 100000\nrpd = 1250\n"))


def count(faults, query):
    with faults.connected() as conn:
        return conn.execute(query).fetchone()[0]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_generate_stores_every_answer_once(faults, tmp_path):
    chance, runs = random.Random(7), 0
    with FakeGemini(responder=write, latency=0.3) as gemini:
        line = generating(tmp_path, faults.url, gemini)
        with_a_day(tmp_path)
        while faults.seen.total() < faults.number_wanted:
            process = line.start("--now")
            faults.wait_for_a_run()
            faults.during(process, chance)
            _, err = process.communicate()
            runs += 1
            assert process.returncode == 0, err
            done = "SELECT count(*) FROM act_executions WHERE state = 'done'"
            assert count(faults, done) == len(gemini.calls) == 100 * runs
            posts = "SELECT count(*) FROM potential_discord_posts"
            assert count(faults, posts) == 50 * runs


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_curate_stores_every_score_once(faults, tmp_path):
    chance, judged = random.Random(8), 0
    with FakeGemini(responder=scores, latency=0.5) as gemini:
        line = curating(tmp_path, faults.url, gemini, samples=1)
        with_a_day(tmp_path)
        while faults.seen.total() < faults.number_wanted:
            with faults.connected() as conn:
                for number in range(60):
                    candidate(conn, f"text {judged + number} {chance.random()}")
            judged += 60
            process = line.start()
            faults.wait_for_a_run()
            faults.during(process, chance)
            _, err = process.communicate()
            assert process.returncode == 0, err
            calls = "SELECT count(*) FROM act_executions WHERE state = 'done'"
            assert count(faults, calls) == len(gemini.calls)
            scored = "SELECT count(*) FROM potential_discord_posts WHERE judged_at IS NOT NULL"
            assert count(faults, scored) == judged
            assert len(gemini.calls) == judged / 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_post_sends_each_post_once(faults, tmp_path):
    chance, posts = random.Random(9), []
    with FakeDiscord(latency=0.15) as discord:
        environ = isolated(tmp_path) | {
            "DATABASE_URL": faults.url,
            "DISCORD_API_BASE": discord.api,
            "DISCORD_TOKEN": discord.token,
            "POSTING_CHANNEL_ID": discord.channel,
        }
        while faults.seen.total() < faults.number_wanted:
            with faults.connected() as conn:
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
            assert count(faults, done) == len(posts)
