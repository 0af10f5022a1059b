"""A killed run changes no arm: what was drawn is what is asked for, once for each slot."""

import random
import signal
import time

import pytest

from botticelli.store.connection import connect
from tests.crash.line import Line, Moments
from tests.crash.test_generate_kill import (
    SETTINGS,
    UNFINISHED,
    let_leases_run_out,
    wait_for_the_dead,
)
from tests.fakes.gemini import FakeGemini
from tests.stages.test_experiments import ARMS, NARRATIVE

DRAWN = "SELECT slot, block, arm, narrative, iteration FROM experiment_slots ORDER BY slot"
EXPERIMENT = f"""
    [destinations.main]
    platform = "outbox"
    [experiments.hook]
    arms = ["{ARMS[0]}", "{ARMS[1]}"]
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_ten_kills_every_slot_has_the_arm_that_was_drawn_first(db_url, tmp_path):
    chance = random.Random(7)
    moments = Moments(lambda call: {"text_content": f"post: {call.prompt}"})
    (tmp_path / "day.toml").write_text(NARRATIVE.replace("Best:", "Post {{iteration}}. Best:"))
    words = ["generate", "day", "--iterations", "40"]
    with FakeGemini(responder=moments, latency=0.2) as gemini, connect(db_url) as conn:
        line = Line(tmp_path, db_url, gemini, words=words, settings=SETTINGS + EXPERIMENT)
        drawn = []
        for _ in range(10):
            process = line.start()
            moments.wait(chance.choice((0, 1, 2)), seconds=5)
            time.sleep(chance.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            wait_for_the_dead(conn, gemini)
            let_leases_run_out(conn)
            now = conn.execute(DRAWN).fetchall()
            assert now[: len(drawn)] == drawn
            drawn = drawn or now
        [(left,)] = conn.execute(UNFINISHED).fetchall()
        assert left > 0, "the kills were too few for so quick a machine"
        last = line.start()
        _, err = last.communicate(timeout=120)

        assert last.returncode == 0, err
        assert conn.execute(DRAWN).fetchall() == drawn
        assert [row[0] for row in drawn] == list(range(1, 41))
        arms = {row[4]: row[2] for row in drawn}
        stored = conn.execute(
            "SELECT i.iteration, c.features ->> 'experiment.hook', c.text_content"
            "  FROM potential_discord_posts AS c JOIN generation_items AS i ON i.id = c.item_id"
        ).fetchall()
        assert len(stored) == 40
        for iteration, arm, text in stored:
            assert arm == arms[iteration]
            assert f"with {arm}." in text
