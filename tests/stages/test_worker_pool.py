"""What a worker holds stays his while he works, however long that takes."""

from datetime import timedelta

from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.store.generation import batches, items
from tests.fakes.gemini_answers import default_responder

LEASE = timedelta(seconds=2)


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
