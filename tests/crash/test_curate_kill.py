"""`curate` killed with SIGKILL at random moments: no paid score is lost, nothing approved twice."""

import random
import re
import signal
import time
from collections import Counter

import pytest

from botticelli.store.connection import connect
from botticelli.store.curation.judging import CRITERIA
from tests.crash.line import Line, Moments
from tests.database import candidate
from tests.fakes.gemini import FakeGemini

SETTINGS = """
    [models]
    tier = "tier3"
    max_concurrent = 3
    max_attempts = 1

    [models.limits."gemini-3.8-flash"]
    rpm = 100000
    tpm = 100000000

    [curate]
    batch = 4
    samples = {samples}
    ranking = false
    reserve = 0

    [similarity]
    near = 1
    reworded = 1
"""


def scores(call):
    ids = call.schema["properties"]["scores"]["items"]["properties"]["id"]["enum"]
    return {
        "scores": [
            {"id": id_, "reasons": "r", **dict.fromkeys(CRITERIA, 5 + int(id_) % 5), "notes": "n"}
            for id_ in ids
        ]
    }


def curating(folder, db_url, gemini, *, samples):
    settings = SETTINGS.format(samples=samples)
    return Line(folder, db_url, gemini, words=["curate", "--drain"], settings=settings)


def let_leases_run_out(conn):
    """Let the time pass that the dead still hold what they had claimed."""
    conn.execute("UPDATE locks SET expires_at = now() WHERE expires_at > now()")
    conn.execute(
        "UPDATE potential_discord_posts SET lease_expires_at = now()"
        " WHERE review_status = 'judging'"
    )


def passes(conn):
    """Candidate id -> the answers that its stored scores come from."""
    query = (
        "SELECT id, jsonb_path_query_array(judging, '$.samples[*].execution')"
        " FROM potential_discord_posts"
    )
    return {id_: set(executions) for id_, executions in conn.execute(query).fetchall()}


def paid(conn):
    """Candidate id -> answers about it that are in the database."""
    found = {}
    ids = dict(conn.execute("SELECT text_content, id FROM potential_discord_posts").fetchall())
    query = "SELECT id, prompt, response FROM act_executions WHERE state = 'done'"
    for execution, prompt, response in conn.execute(query).fetchall():
        texts = dict(re.findall(r'"id": "(\d+)",\s*"text_content": "([^"]*)"', prompt))
        for code in re.findall(r'"id": ?"(\d+)"', response):
            found.setdefault(ids[texts[code]], set()).add(execution)
    return found


def check(conn, ids, *, samples):
    """Every answer that was stored is used, and none was asked for in vain."""
    assert passes(conn) == paid(conn)
    assert {len(each) for each in passes(conn).values()} == {samples}
    query = "SELECT review_status, count(*) FROM potential_discord_posts GROUP BY 1"
    statuses = dict(conn.execute(query).fetchall())
    query = "SELECT candidate_id FROM approved_discord_posts"
    posts = [row[0] for row in conn.execute(query).fetchall()]
    assert set(statuses) == {"approved", "rejected"}
    assert Counter(posts).most_common(1)[0][1] == 1
    assert statuses["approved"] == len(posts)
    query = "SELECT count(*) FROM runs WHERE state = 'running'"
    assert conn.execute(query).fetchone() == (0,)
    query = "SELECT count(*) FROM potential_discord_posts WHERE lease_owner IS NOT NULL"
    assert conn.execute(query).fetchone() == (0,)


def kill_and_finish(db_url, folder, *, kills, count, samples, latency, seed):
    """Kill curate that often, let the last one finish, and check what is there."""
    chance, moments = random.Random(seed), Moments(scores)
    with FakeGemini(responder=moments, latency=latency) as gemini, connect(db_url) as conn:
        line = curating(folder, db_url, gemini, samples=samples)
        ids = [candidate(conn, f"post {n}: {chance.random()}") for n in range(count)]
        after = []
        for _ in range(kills):
            process = line.start()
            moments.wait(chance.choice((0, 1, 1, 1)), seconds=5)
            time.sleep(chance.uniform(0, 2.5 * latency))
            before = passes(conn)
            process.send_signal(signal.SIGKILL)
            _, err = process.communicate()
            let_leases_run_out(conn)
            after.append(process.returncode)
            assert all(before[id_] <= now for id_, now in passes(conn).items()), err

        last = line.start()
        _, err = last.communicate(timeout=120)

        assert last.returncode == 0, err
        assert after.count(-signal.SIGKILL) == kills, "too few kills for so quick a machine"
        check(conn, ids, samples=samples)
        return len(gemini.calls)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_after_a_hundred_kills_every_paid_score_counts_and_nothing_is_approved_twice(
    db_url, tmp_path
):
    calls = kill_and_finish(
        db_url, tmp_path, kills=110, count=1200, samples=2, latency=0.12, seed=7
    )

    print(f"{calls} calls where 600 would do, after 110 kills")  # noqa: T201


@pytest.mark.slow
def test_a_few_kills_lose_no_paid_score(db_url, tmp_path):
    kill_and_finish(db_url, tmp_path, kills=3, count=80, samples=2, latency=0.1, seed=3)
