"""`observe` killed at random moments: a snapshot for each age and post, once, with its counts."""

import random
import signal
import time

import pytest

from botticelli.store.connection import connect
from tests.crash.line import Line
from tests.database import approved, insert
from tests.fakes.gemini import FakeGemini
from tests.fakes.mastodon import TOKEN, FakeMastodon

POSTS = 60
SNAPSHOTS = """
    SELECT d.remote_id, e.age, e.counts ->> 'likes', e.late
      FROM engagement AS e
      JOIN deliveries AS d ON d.id = e.delivery_id
"""


@pytest.mark.slow
def test_a_killed_observe_doubles_and_loses_no_snapshot(db_url, tmp_path):
    chance, killed = random.Random(3), 0
    with (
        FakeMastodon("gotosocial") as server,  # each status is asked for by itself
        FakeGemini() as gemini,
        connect(db_url) as conn,
    ):
        settings = f"""
            [learning]
            observe = true

            [destinations.news]
            platform = "mastodon"
            base_url = "{server.url}"
            token = "{TOKEN}"
        """
        line = Line(tmp_path, db_url, gemini, words=["observe"], settings=settings)
        for number in range(POSTS):
            kept = server.add(f"text {number}")
            kept.counts = {"favourites_count": number}
            insert(
                conn, "deliveries", post_id=approved(conn, f"text {number}"), destination="news",
                state="posted", posted_at="now", remote_id=kept.id,
            )  # fmt: skip
        conn.execute("UPDATE deliveries SET posted_at = now() - interval '25 hours'")

        while len(rows := conn.execute(SNAPSHOTS).fetchall()) < 3 * POSTS:
            process, seen = line.start(), len(server.of("GET /api/v1/statuses"))
            if killed < 12:
                while len(server.of("GET /api/v1/statuses")) == seen and process.poll() is None:
                    time.sleep(0.002)
                time.sleep(chance.uniform(0, 0.1))
                process.send_signal(signal.SIGKILL)
            _, err = process.communicate(timeout=60)
            killed += process.returncode == -signal.SIGKILL
            assert process.returncode in (0, -signal.SIGKILL), err
            conn.execute("UPDATE locks SET expires_at = now() WHERE expires_at > now()")

    assert killed > 3
    assert len(set(rows)) == len(rows) == 3 * POSTS
    late = {"1h": True, "6h": True, "24h": False}
    texts = list(server.statuses)
    wanted = {(id_, age, str(n), late[age]) for n, id_ in enumerate(texts) for age in late}
    assert set(rows) == wanted
