"""`generate` killed with SIGKILL at random moments: nothing is paid for twice, nothing is lost."""

import json
import random
import signal
import time
from textwrap import dedent

import pytest

from botticelli.store.connection import connect
from tests.crash.line import Line, Moments
from tests.fakes.gemini import FakeGemini
from tests.pipeline import NARRATIVE

ITERATIONS = 25  # of two narratives: 50 posts of two calls
SETTINGS = """
    [models]
    tier = "tier3"
    max_concurrent = 4
    max_attempts = 1

    [models.limits."gemini-3.5-flash-lite"]
    rpm = 100000
    tpm = 100000000
"""


UNFINISHED = "SELECT count(*) FROM generation_items WHERE state IN ('pending', 'running')"


def generating(folder, db_url, gemini):
    (folder / "carousel.toml").write_text(dedent(NARRATIVE))
    words = ["generate", "carousel.batch", "--iterations", str(ITERATIONS)]
    return Line(folder, db_url, gemini, words=words, settings=SETTINGS)


def write(call):
    """Answer a call: no two prompts get the same."""
    if call.schema is None:
        return f"A draft for: {call.prompt[-60:]}"
    return {"text_content": f"A post for: {call.prompt}", "content_type": "x"}


def said(answer):
    """Return what tells an answer from all others, as it was given or as it was stored."""
    if isinstance(answer, str) and answer.startswith("{"):
        answer = json.loads(answer)
    return answer["text_content"] if isinstance(answer, dict) else answer


def stored_answers(conn):
    rows = conn.execute("SELECT response FROM act_executions WHERE state = 'done'").fetchall()
    return {said(response) for (response,) in rows}


def let_leases_run_out(conn):
    """Let the time pass that the dead still hold what they had claimed."""
    conn.execute("UPDATE locks SET expires_at = now() WHERE expires_at > now()")
    conn.execute("UPDATE generation_items SET lease_expires_at = now() WHERE state = 'running'")


def wait_for_the_dead(conn, gemini):
    """What a killed process had sent off is still arriving: its last COMMIT, its last requests."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    seen = -1
    while seen != len(gemini.calls) or conn.execute(others).fetchone() != (1,):
        seen = len(gemini.calls)
        time.sleep(0.1)


def stored_prompts(conn):
    """(item, sequence, digest) of every answer that is in the database."""
    return {
        tuple(row)
        for row in conn.execute(
            "SELECT item_id, sequence_number, inputs_digest FROM act_executions"
            " WHERE state = 'done'"
        ).fetchall()
    }


def answered_twice(conn):
    """Answers that were stored although there was one already."""
    return conn.execute(
        "SELECT item_id, sequence_number, inputs_digest, count(*) FROM act_executions"
        " WHERE state = 'done' GROUP BY 1, 2, 3 HAVING count(*) > 1"
    ).fetchall()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_fifty_kills_no_stored_answer_is_asked_for_again_and_all_posts_are_there(
    db_url, tmp_path
):
    chance, moments = random.Random(4), Moments(write)
    with FakeGemini(responder=moments, latency=0.15) as gemini, connect(db_url) as conn:
        line = generating(tmp_path, db_url, gemini)
        kills, asked, known = 0, 0, set()
        while kills < 50:
            process = line.start()
            # Before, during and after the first calls; at times with a helper.
            helper = line.start("--join") if chance.random() < 0.2 else None
            moments.wait(chance.choice((0, 1, 1, 1)), seconds=5)
            time.sleep(chance.uniform(0, 0.25))
            for one in filter(None, (process, helper)):
                one.send_signal(signal.SIGKILL)
                one.communicate()
                kills += one.returncode == -signal.SIGKILL  # else it had ended before
            wait_for_the_dead(conn, gemini)
            assert not known & {said(write(call)) for call in list(gemini.calls)[asked:]}
            known, asked = stored_answers(conn), len(gemini.calls)
            let_leases_run_out(conn)
        [(left,)] = conn.execute(UNFINISHED).fetchall()
        last = line.start()
        _, err = last.communicate(timeout=120)

        assert left > 0, "the kills were too few for so quick a machine"
        assert last.returncode == 0, err
        assert not known & {said(write(call)) for call in list(gemini.calls)[asked:]}
        check(conn, gemini)
        print(f"{len(gemini.calls)} calls for 100 answers after {kills} kills")  # noqa: T201


def check(conn, gemini):
    query = "SELECT source_narrative, count(*) FROM potential_discord_posts GROUP BY 1 ORDER BY 1"
    assert conn.execute(query).fetchall() == [("feature", 25), ("usecase", 25)]
    items = "SELECT state, count(*) FROM generation_items GROUP BY 1"
    assert conn.execute(items).fetchall() == [("done", 50)]
    batches = "SELECT state, count(*) FROM batches GROUP BY 1"
    assert conn.execute(batches).fetchall() == [("done", 1)]
    assert answered_twice(conn) == []
    dead = "SELECT count(*) FROM runs WHERE state = 'running'"
    assert conn.execute(dead).fetchone() == (0,)
    assert len({call.prompt for call in gemini.calls}) == 100


@pytest.mark.slow
def test_a_call_that_a_signal_cuts_off_is_written_down(db_url, tmp_path):
    """The provider may have counted it: whoever reads the history has to know of it."""
    with FakeGemini(responder=write) as gemini, connect(db_url) as conn:
        gemini.script.add(*["slow:30"] * 16)
        line = generating(tmp_path, db_url, gemini)
        process = line.start()
        while gemini.summary()["calls"] < 4:  # as many as it has workers
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)

        assert process.returncode == 75, err
        cut = conn.execute("SELECT error, grant_seq IS NOT NULL FROM act_executions").fetchall()
        assert cut == [("broken off by a signal", True)] * 4
        open_ = "SELECT count(*) FROM ledger_grants WHERE settled_at IS NULL"
        assert conn.execute(open_).fetchone() == (0,)


@pytest.mark.slow
def test_one_kill_in_the_middle_costs_no_stored_answer(db_url, tmp_path):
    moments = Moments(write)
    with FakeGemini(responder=moments, latency=0.02) as gemini, connect(db_url) as conn:
        line = generating(tmp_path, db_url, gemini)
        process = line.start()
        moments.wait(40, seconds=30)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        wait_for_the_dead(conn, gemini)
        before, asked_before = stored_prompts(conn), len(gemini.calls)
        let_leases_run_out(conn)

        last = line.start()
        _, err = last.communicate(timeout=60)

        assert last.returncode == 0, err
        assert before < stored_prompts(conn)
        assert len(gemini.calls) - asked_before == 100 - len(before)
        check(conn, gemini)
