"""`adapt` killed at random moments: every answer is paid for once, and all renditions are made."""

import random
import signal
import time

import pytest

from botticelli.store.connection import connect
from tests.crash.line import Line, Moments
from tests.database import approved
from tests.fakes.gemini import FakeGemini

SETTINGS = """
    [models]
    tier = "tier3"
    default = "gemini-3.5-flash-lite"
    max_attempts = 1

    [models.limits."gemini-3.5-flash-lite"]
    rpm = 100000
    tpm = 100000000

    [destinations.news]
    platform = "discord"
    channel = "1"
    token = "a.b.c"
    base_url = "http://127.0.0.1:9/api/v10"
    adapt = "adapt.shorten"
"""
TWICE = """
    SELECT count(*) - count(DISTINCT (place, inputs_digest)), count(*)
      FROM model_calls
     WHERE state = 'done'
"""


def answers(call):
    """Too long at first, then short: two calls for each post."""
    return {"text_content": "short" if "earlier version" in call.prompt else "long " * 500}


def kill_and_finish(db_url, folder, *, kills, posts, latency, seed):
    chance, moments = random.Random(seed), Moments(answers)
    with FakeGemini(responder=moments, latency=latency) as gemini, connect(db_url) as conn:
        line = Line(folder, db_url, gemini, words=["adapt"], settings=SETTINGS)
        for number in range(posts):
            approved(conn, f"{number}: " + " ".join(f"Word {n} of it." for n in range(200)))
        killed = 0
        while killed < kills:
            process = line.start()
            moments.wait(chance.choice((1, 1, 2, 3)), seconds=10)
            time.sleep(chance.uniform(0, 2 * latency))
            process.send_signal(signal.SIGKILL)
            _, err = process.communicate()
            conn.execute("UPDATE locks SET expires_at = now() WHERE expires_at > now()")
            killed += process.returncode == -signal.SIGKILL
            assert process.returncode in (0, -signal.SIGKILL), err
            twice, _ = conn.execute(TWICE).fetchone()
            assert twice == 0
        last = line.start()
        _, err = last.communicate(timeout=120)
        assert last.returncode == 0, err
        query = "SELECT state, text_content, count(*) FROM renditions GROUP BY 1, 2"
        assert conn.execute(query).fetchall() == [("ready", "short", posts)]
        assert conn.execute(TWICE).fetchone() == (0, 2 * posts)
        assert len(gemini.calls) <= 2 * posts + kills


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_a_hundred_kills_each_answer_was_paid_for_once(db_url, tmp_path):
    kill_and_finish(db_url, tmp_path, kills=100, posts=150, latency=0.05, seed=11)


@pytest.mark.slow
def test_a_few_kills_pay_for_nothing_twice(db_url, tmp_path):
    kill_and_finish(db_url, tmp_path, kills=3, posts=6, latency=0.05, seed=5)
