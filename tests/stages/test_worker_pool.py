"""What a worker holds stays his while he works, however long that takes."""

from datetime import timedelta

import pytest

from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.store.connection import connect
from botticelli.store.generation import batches, items
from tests.fakes.gemini_answers import default_responder

LEASE = timedelta(seconds=2)


@pytest.mark.slow
def test_work_that_outlasts_its_lease_is_claimed_by_nobody_else(db, stages, gemini):
    stages.settings("supervision", lease=LEASE)
    batch = batches.plan(db, "carousel.feature", items=[("feature", 1)], options={})
    seen = []

    def slow(call):
        if not seen:
            with stages.connect() as other:
                taken = other.execute("SELECT lease_expires_at FROM generation_items").fetchone()
                other.execute("SELECT pg_sleep_until(%s)", taken)
                seen.append(items.claim(other, batch.id, owner="other:2:b", lease=LEASE))
        return default_responder(call)

    gemini.responder = slow

    report = generate(stages.context(db), request=GenerateRequest(narrative="carousel.feature"))

    assert seen == [None], "another worker claimed an item that is being worked on"
    assert (report.stored, report.failed, report.left) == (1, 0, 0)


@pytest.mark.parametrize("lost", [False, True], ids=["all is well", "connections are lost"])
def test_any_number_of_workers_share_two_connections(stages, gemini, db, lost):
    seen = []

    def counting(call):
        mine = "datname = current_database() AND application_name = 'shared'"
        with stages.connect() as other:
            found = other.execute(f"SELECT pid FROM pg_stat_activity WHERE {mine}").fetchall()
            seen.append(len(found))
            if lost and len(seen) % 5 == 0:
                other.execute(
                    "SELECT pg_terminate_backend(pid, 1000) FROM unnest(%s) AS pid",
                    ([one for (one,) in found],),
                )
        return default_responder(call)

    gemini.responder = counting
    stages.settings("models", max_concurrent=8)
    with connect(stages.url, application_name="shared") as conn:
        conn.heals = True
        request = GenerateRequest(narrative="carousel.feature", iterations=8, workers=8)
        report = generate(stages.context(conn), request=request)
        assert conn.execute("SELECT 1").fetchone() == (1,)

    assert (report.stored, report.failed, report.left) == (8, 0, 0)
    assert len(seen) == report.calls
    assert max(seen) <= 2
