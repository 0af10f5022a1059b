"""`generate` killed at random while narratives run within its items, and consume rows there."""

import json
import random
import signal
import time

import pytest

from botticelli.store.connection import connect
from tests import narratives_within as within
from tests.crash.line import Line, Moments
from tests.crash.test_generate_kill import SETTINGS, let_leases_run_out
from tests.fakes.gemini import FakeGemini

STORIES = 12
KILLS = 30
ROWS = 60  # of each source: a kill may leave a row leased until its time is over


class Watch:
    """What the server was asked and what the database holds, seen after every kill."""

    def __init__(self, conn, gemini):
        self._conn = conn
        self._gemini = gemini
        self._known = set()  # prompts whose answers are stored
        self._asked = 0
        self._subjects = {name: left for name, (left, _) in within.whereabouts(conn).items()}

    def look(self):
        calls = list(self._gemini.calls)
        again = [call.prompt for call in calls[self._asked :] if call.prompt in self._known]
        assert not again, "asked although the answer was stored"
        self._asked = len(calls)
        stored = self.stored()
        self._known |= {call.prompt for call in calls if said(within.answer(call)) in stored}
        for name, (left, made) in within.whereabouts(self._conn).items():
            assert sorted(left + made) == self._subjects[name], "neither here nor there, or both"

    def stored(self):
        query = "SELECT response FROM act_executions WHERE state = 'done'"
        return [said(response) for (response,) in self._conn.execute(query)]


def said(answer):
    """Return an answer in one form, as it was given or as it was stored."""
    value = json.loads(answer) if isinstance(answer, str) and answer[0] == "{" else answer
    return json.dumps(value, sort_keys=True)


def kill(line, moments, chance):
    process = line.start()
    moments.wait(chance.choice((0, 1, 1, 2)), seconds=5)
    time.sleep(chance.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it had ended before: too few stories"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_thirty_kills_nothing_stored_is_asked_again_and_each_row_is_consumed_once(
    db_url, tmp_path
):
    chance, moments = random.Random(7), Moments(within.answer)
    within.write(tmp_path, command="")
    with FakeGemini(responder=moments, latency=0.1) as gemini, connect(db_url) as conn:
        within.fill(conn, rows=ROWS)
        words = ["generate", "stories.story", "--iterations", str(STORIES)]
        line = Line(tmp_path, db_url, gemini, words=words, settings=SETTINGS)
        line.trust()  # the stories take rows out of tables
        watch = Watch(conn, gemini)
        for _ in range(KILLS):
            kill(line, moments, chance)
            watch.look()
            let_leases_run_out(conn)
        left = STORIES * within.CALLS - len(watch.stored())
        last = line.start()
        _, err = last.communicate(timeout=200)

        assert last.returncode == 0, err
        assert left > 0, "the kills were too few for so quick a machine"
        watch.look()
        check(conn, watch.stored())
        asked = len(gemini.calls)
        print(f"{asked} calls for {len(watch.stored())} answers, {left} after {KILLS} kills")  # noqa: T201


def check(conn, answers):
    assert len(set(answers)) == len(answers) == STORIES * within.CALLS
    posts = "SELECT count(*) FROM potential_discord_posts"
    assert conn.execute(posts).fetchone() == (STORIES,)
    assert [len(made) for _, made in within.whereabouts(conn).values()] == [2 * STORIES] * 2
    assert conn.execute("SELECT count(*) FROM item_memory").fetchone() == (0,)
