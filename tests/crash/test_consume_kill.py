"""A run that consumes rows is killed anywhere: each row is in its source, or fully processed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.narrative.scripted import stage

NARRATIVE = """
[narrative]
name = "chooser"
target = "chosen"
[toc]
order = ["first", "second", "third"]
[[acts.first.input]]
type = "table"
table_name = "potential_discord_posts"
order_by = "id"
limit = 2
pull_and_delete = true
[[acts.first.input]]
content = "Look."
[acts.second]
[[acts.second.input]]
content = "Think."
[acts.third]
[[acts.third.input]]
content = "Answer."
"""

# Kills itself when the named statement is about to be run, or the named act is asked.
CHILD = """
    import os, signal, sys
    import psycopg
    from botticelli.store.connection import connect
    from tests.crash.test_consume_kill import NARRATIVE
    from tests.narrative.scripted import stage

    url, point = sys.argv[1:]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Deadly(psycopg.Cursor):
        def execute(self, query, *args, **more):
            text = query if isinstance(query, str) else query.as_string(None)
            if text.lstrip().startswith(point):
                die()
            done = super().execute(query, *args, **more)
            if "after " + text.lstrip()[: len(point) - 6] == point:
                die()
            return done

    def answer(request, key):
        if point == "act " + key.act:
            die()
        return '{"pick": "x"}'

    conn = connect(url)
    conn.cursor_factory = Deadly
    stage(conn, NARRATIVE, answers=[answer] * 3).run()
"""

POINTS = [
    "act first",
    "act second",
    "act third",
    "INSERT INTO row_leases",
    "UPDATE row_leases",
    'CREATE TABLE "chosen"',
    'INSERT INTO "chosen"',
    "DELETE FROM row_leases",
    'DELETE FROM "potential',
    'after DELETE FROM "potential',
    "INSERT INTO content_generations",
    "after INSERT INTO content_generations",
]


def counts(db):
    left = db.execute("SELECT count(*) FROM potential_discord_posts").fetchone()[0]
    has_table = db.execute("SELECT to_regclass('chosen')").fetchone()[0]
    made = db.execute("SELECT count(*) FROM chosen").fetchone()[0] if has_table else 0
    return left, made


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_leaves_every_row_whole(db, db_url, point):
    for number in range(3):
        db.execute("INSERT INTO potential_discord_posts (text_content) VALUES (%s)", [str(number)])
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), db_url, point],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert counts(db) == (3, 0), "nothing was made, so nothing may be gone"

    db.execute("UPDATE row_leases SET lease_expires_at = now() - interval '1 second'")
    stage(db, NARRATIVE, answers=['{"pick": "x"}'] * 3).run()
    assert counts(db) == (1, 1)
    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (0,)
