"""`collect` killed at random moments: every item once, none lost, and no stale ETag hides one."""

import random
import signal
import time

import pytest

from botticelli.store.connection import connect
from tests.crash.line import Line
from tests.fakes.gemini import FakeGemini
from tests.fakes.loopback import Answer
from tests.stages.test_collect import Site, rss

ROUNDS, EACH, FILES = 12, 40, 60
SETTINGS = """
    [narratives]
    private_urls = true

    [sources.blog]
    kind = "feed"
    url = "{url}/feed"

    [sources.notes]
    kind = "folder"
    folder = "notes"
"""


@pytest.mark.slow
def test_a_killed_collect_offers_each_item_once(db_url, tmp_path):
    chance, killed = random.Random(3), 0
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(FILES):
        (notes / f"{number}.md").write_text(f"# Note {number}\n\nText of note {number}.\n")
    with Site() as site, FakeGemini() as gemini, connect(db_url) as conn:
        settings = SETTINGS.format(url=site.url)
        line = Line(tmp_path, db_url, gemini, words=["collect", "--now"], settings=settings)
        line.trust()
        for number in range(1, ROUNDS + 1):
            page = rss(*range(number * EACH))
            site.pages["/feed"] = Answer(body=page, headers=(("ETag", f'"{number}"'),))
            process, seen = line.start(), len(site.asked)
            while len(site.asked) == seen and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            _, err = process.communicate(timeout=60)
            killed += process.returncode == -signal.SIGKILL
            assert process.returncode in (0, -signal.SIGKILL), err
            conn.execute("UPDATE locks SET expires_at = now() WHERE expires_at > now()")
        process = line.start()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err

        found = conn.execute("SELECT source, guid FROM source_items").fetchall()

    assert killed > 3
    assert len(found) == len(set(found))
    assert {guid.rpartition("/")[2] for source, guid in found if source == "blog"} == {
        f"g{number}" for number in range(ROUNDS * EACH)
    }
    assert sum(source == "notes" for source, _ in found) == FILES
