"""`learn` and `curate --calibrate` killed at random moments: paid for once, and nothing decided."""

import random
import re
import signal
import time

import pytest

from botticelli.store.connection import connect
from botticelli.store.curation import house_rules, lessons, reviews
from botticelli.store.curation.judging import CRITERIA
from tests.crash.line import Line, Moments
from tests.database import candidate
from tests.fakes.gemini import FakeGemini

SETTINGS = """
    [models]
    tier = "tier3"
    default = "gemini-3.5-flash-lite"
    judge = "gemini-3.5-flash-lite"
    max_attempts = 1

    [models.limits."gemini-3.5-flash-lite"]
    rpm = 100000
    tpm = 100000000

    [curate]
    batch = 5
"""
LATENCY = 0.05
TWICE = """
    SELECT count(*) - count(DISTINCT (place, inputs_digest)), count(DISTINCT place), count(*)
      FROM model_calls
     WHERE state = 'done'
"""


def answers(call):
    """Two rules of every round, and the same points for every post."""
    if cases := re.findall(r'"case": "(c\d+\.1)"', call.prompt):
        quoted = [{"case": case, "quote": "far too long"} for case in cases[:2]]
        rules = [f"Stay shorter than {cases[0]}.", f"Stay shorter than {cases[1]}."]
        return {"rules": [{"why": "w", "cases": quoted, "rule": rule} for rule in rules]}
    codes = re.findall(r'"id": "(\d{5})"', call.prompt)
    points = dict.fromkeys(CRITERIA, 6)
    return {"scores": [{"id": code, "reasons": "r", **points, "notes": "n"} for code in codes]}


def killed_until(done, conn, line, moments, *, kills, seed):
    """Kill runs until that many were, then let them work until `done`."""
    chance, killed = random.Random(seed), 0
    while killed < kills and not done():
        process = line.start()
        moments.wait(1, seconds=10)
        time.sleep(chance.uniform(0, 2 * LATENCY))
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        conn.execute("UPDATE locks SET expires_at = now() WHERE expires_at > now()")
        killed += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), err
        assert conn.execute(TWICE).fetchone()[0] == 0
    while not done():
        process = line.start()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    return killed


@pytest.mark.slow
def test_a_killed_learn_pays_each_round_once_and_accepts_nothing(db_url, tmp_path):
    moments = Moments(answers)
    with FakeGemini(responder=moments, latency=LATENCY) as gemini, connect(db_url) as conn:
        line = Line(tmp_path, db_url, gemini, words=["learn"], settings=SETTINGS)
        ids = [candidate(conn, f"post {number}") for number in range(40 * 6)]
        reviews.decide(conn, ids, "reject", by="ada", note="far too long")

        is_done = lambda: not lessons.list_waiting(conn)  # noqa: E731
        assert killed_until(is_done, conn, line, moments, kills=8, seed=3) > 2

        assert conn.execute(TWICE).fetchone() == (0, 6, 6)
        found = house_rules.list_rules(conn, everything=True)
        assert len(found) == len({one.text for one in found}) == 12
        assert {one.state for one in found} == {"proposed"}
        assert house_rules.current(conn).version == 0


@pytest.mark.slow
def test_a_killed_calibration_pays_for_each_batch_once_and_decides_nothing(db_url, tmp_path):
    moments = Moments(answers)
    with FakeGemini(responder=moments, latency=LATENCY) as gemini, connect(db_url) as conn:
        words = ["curate", "--calibrate"]
        line = Line(tmp_path, db_url, gemini, words=words, settings=SETTINGS)
        ids = [candidate(conn, f"post {number}") for number in range(40)]
        reviews.decide(conn, ids[::2], "approve", by="ada")
        reviews.decide(conn, ids[1::2], "reject", by="ada")
        rows = "SELECT id, judged_at, judging, review_status, history FROM potential_discord_posts"
        before = conn.execute(rows).fetchall()
        ended = "SELECT count(*) > 0 FROM runs WHERE state = 'done'"

        is_done = lambda: conn.execute(ended).fetchone()[0]  # noqa: E731
        assert killed_until(is_done, conn, line, moments, kills=5, seed=4) > 2

        assert conn.execute(TWICE).fetchone() == (0, 1, 8)
        assert conn.execute(rows).fetchall() == before
