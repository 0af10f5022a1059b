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

# What is consumed within: two rounds of a narrative of the same file, and one of another file.
NESTED = """
[narrative.chooser]
toc = ["first", "pick", "other", "third"]
skip_content_generation = true
[narrative.chooser.acts]
other = ["narratives.aside"]
[narrative.chooser.acts.pick]
narrative = "picker"
[narrative.picker]
toc = ["second", "choose"]
target = "chosen"
[narrative.picker.carousel]
iterations = 2
[narratives.aside]
narrative = "aside"
[acts]
first = "Begin."
choose = "Choose."
third = "End."
[[acts.second.input]]
type = "table"
table_name = "potential_discord_posts"
order_by = "id"
limit = 1
pull_and_delete = true
[[acts.second.input]]
content = "Think."
"""
ASIDE = """
[narrative]
name = "aside"
target = "chosen"
[toc]
order = ["aside"]
[[acts.aside.input]]
type = "table"
table_name = "potential_discord_posts"
order_by = "id"
limit = 1
pull_and_delete = true
[[acts.aside.input]]
content = "Remark."
"""

# Kills itself when the named statement is about to be run, or the named act is asked.
CHILD = """
    import os, signal, sys
    import psycopg
    from botticelli.store.connection import connect
    from pathlib import Path
    from tests.crash.test_consume_kill import NARRATIVE, NESTED
    from tests.narrative.scripted import stage

    url, point, which, folder = sys.argv[1:]
    seen = {}
    point, _, number = point.partition(" #")

    def is_due():
        seen[0] = seen.get(0, 0) + 1
        return seen[0] == int(number or 1)

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Deadly(psycopg.Cursor):
        def execute(self, query, *args, **more):
            text = query if isinstance(query, str) else query.as_string(None)
            if text.lstrip().startswith(point) and is_due():
                die()
            done = super().execute(query, *args, **more)
            if "after " + text.lstrip()[: len(point) - 6] == point and is_due():
                die()
            return done

    def answer(request, key):
        if point == "act " + key.act_name and is_due():
            die()
        return '{"pick": "x"}'

    conn = connect(url)
    conn.cursor_factory = Deadly
    text = {"plain": NARRATIVE, "nested": NESTED}[which]
    stage(conn, text, answers=[answer] * 9, folder=Path(folder)).run()
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


def killed(folder, db_url, *, point, which):
    """Run until the point, and return how that ended."""
    (folder / "aside.toml").write_text(ASIDE)
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), db_url, point, which, str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_leaves_every_row_whole(db, db_url, tmp_path, point):
    for number in range(3):
        db.execute("INSERT INTO potential_discord_posts (text_content) VALUES (%s)", [str(number)])

    ended = killed(tmp_path, db_url, point=point, which="plain")

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert counts(db) == (3, 0), "nothing was made, so nothing may be gone"

    db.execute("UPDATE row_leases SET lease_expires_at = now() - interval '1 second'")
    stage(db, NARRATIVE, answers=['{"pick": "x"}'] * 3).run()
    assert counts(db) == (1, 1)
    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (0,)


# Point -> rows that are processed by then; what is counted are rounds of `picker`, then `aside`.
NESTED_POINTS = {
    "act first": 0,
    "act second #1": 0,
    "act choose #1": 0,
    'INSERT INTO "chosen" #1': 0,
    'DELETE FROM "potential #1': 0,
    'after DELETE FROM "potential #1': 0,
    "INSERT INTO content_generations #1": 0,
    "act second #2": 1,
    "act choose #2": 1,
    "DELETE FROM row_leases #2": 1,
    "after INSERT INTO content_generations #2": 1,
    "INSERT INTO row_leases #3": 2,
    "act aside": 2,
    'INSERT INTO "chosen" #3': 2,
    'after DELETE FROM "potential #3': 2,
    "act third": 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("point", NESTED_POINTS)
def test_what_narratives_within_consume_is_whole_whenever_it_is_killed(db, db_url, tmp_path, point):
    for number in range(8):
        db.execute("INSERT INTO potential_discord_posts (text_content) VALUES (%s)", [str(number)])

    ended = killed(tmp_path, db_url, point=point, which="nested")

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    done = NESTED_POINTS[point]
    assert counts(db) == (8 - done, done)

    db.execute("UPDATE row_leases SET lease_expires_at = now() - interval '1 second'")
    stage(db, NESTED, answers=['{"pick": "x"}'] * 9, folder=tmp_path).run()
    assert counts(db) == (5 - done, 3 + done)
    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (0,)
