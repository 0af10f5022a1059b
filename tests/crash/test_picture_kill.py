"""`generate` killed while pictures are drawn: none is paid for twice, none is lost."""

import json
import random
import signal
import time
from textwrap import dedent

import pytest

from botticelli.store.connection import connect
from tests.crash.line import Line, Moments
from tests.crash.test_generate_kill import SETTINGS, let_leases_run_out, wait_for_the_dead
from tests.fakes.gemini import FakeGemini
from tests.fakes.pictures import png
from tests.stages.test_pictures import BANANA, FILE

POSTS = 30


def write(call):
    """Answer a call for words: no two prompts get the same."""
    return {"text_content": f"A post for: {call.prompt}"}


def drawn(gemini):
    return [call.prompt for call in list(gemini.calls) if call.model == BANANA]


def stored(conn):
    """Prompts of the pictures that are in the database."""
    rows = conn.execute(
        "SELECT prompt, response FROM act_executions WHERE model = %s AND state = 'done'", [BANANA]
    ).fetchall()
    for prompt, response in rows:
        sha = json.loads(response)["sha256"]
        found = conn.execute("SELECT content FROM media WHERE sha256 = %s", [sha]).fetchone()
        assert found == (png(prompt),)
    return {prompt for prompt, _ in rows}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stored_picture_is_never_asked_for_again(db_url, tmp_path):
    chance, moments = random.Random(7), Moments(write)
    limits = f'\n[models.limits."{BANANA}"]\nrpm = 100000\ntpm = 100000000\ndollars_a_day = 9.0\n'
    with FakeGemini(responder=moments, latency=0.1) as gemini, connect(db_url) as conn:
        (tmp_path / "show.toml").write_text(dedent(FILE))
        words = ["generate", "show", "--iterations", str(POSTS)]
        line = Line(tmp_path, db_url, gemini, words=words, settings=dedent(SETTINGS) + limits)
        kills, asked, known = 0, 0, set()
        while kills < 20:
            process = line.start()
            moments.wait(chance.choice((1, 2, 3)), seconds=5)
            time.sleep(chance.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += process.returncode == -signal.SIGKILL  # else it had ended before
            wait_for_the_dead(conn, gemini)
            assert not known & set(drawn(gemini)[asked:])
            known, asked = stored(conn), len(drawn(gemini))
            let_leases_run_out(conn)
            if len(known) == POSTS:
                break
        last = line.start()
        _, err = last.communicate(timeout=120)

        assert last.returncode == 0, err
        assert not known & set(drawn(gemini)[asked:])
        shown = conn.execute(
            "SELECT c.text_content, m.content, count(*) OVER (PARTITION BY c.id)"
            "  FROM potential_discord_posts AS c"
            "  JOIN post_media AS a ON a.candidate_id = c.id JOIN media AS m USING (sha256)"
        ).fetchall()
        assert len(shown) == POSTS
        assert all(row == (row[0], png(f"Draw what fits: {row[0]}"), 1) for row in shown)
        booked = "SELECT sum(cost_usd) FROM ledger_grants WHERE key = %s"
        [(dollars,)] = conn.execute(booked, [f"gemini/{BANANA}"]).fetchall()
        assert float(dollars) >= len(drawn(gemini)) * 0.0336  # what was cut off is counted, too
