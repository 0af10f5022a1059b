"""Every stage started far too often: each decides by itself whether anything is due."""

from datetime import timedelta

import pytest

from tests.clock import PinnedClock

TIMES = 20
SETTINGS = """
[models]
default = "offline"
judge = "offline"
[generate]
iterations = 1
[destinations.file]
platform = "outbox"
min_interval_minutes = 60
"""


@pytest.fixture
def often(botticelli, db):
    """`often("generate")` runs that line twenty times in a row."""
    (botticelli.cwd / "botticelli.toml").write_text(SETTINGS)
    botticelli.clock = PinnedClock()

    def run(line):
        ended = [botticelli(line) for _ in range(TIMES)]
        assert {one.code for one in ended} == {0}, ended
        return ended

    return run


def counts(db):
    tables = ("batches", "act_executions", "potential_discord_posts", "approved_discord_posts")
    return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


@pytest.mark.slow
def test_twenty_starts_of_every_stage_do_the_work_of_one(botticelli, db, often):
    first = botticelli("generate")
    once = counts(db)
    again = often("generate")
    assert counts(db) == once, "a second batch would be paid for"
    assert "5 new candidates" in first.out
    assert all("--now writes one at once" in ended.out for ended in again)

    botticelli("curate --drain")
    judged = counts(db)
    often("curate --drain")
    assert counts(db) == judged
    assert judged[3] == 3

    botticelli("post")
    often("post")
    outbox = list((botticelli.cwd / "outbox").iterdir())
    assert len(outbox) == 1

    for stage in ("generate", "curate", "post"):
        done = db.execute("SELECT count(*) FROM runs WHERE stage = %s AND state = 'done'", (stage,))
        assert done.fetchone()[0] == TIMES + 1


def test_the_next_round_is_due_when_the_schedule_says_so(botticelli, db, often):
    botticelli("generate")
    botticelli.clock.advance(timedelta(hours=19))
    botticelli("generate")
    assert counts(db)[0] == 1
    botticelli.clock.advance(timedelta(hours=1))
    botticelli("generate")

    assert counts(db)[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "generate --now",
        "generate --iterations 1",
        "generate generation_carousel.batch_generate",
        "generate --fresh",
    ],
)
def test_what_a_person_asks_for_is_done_and_the_schedule_goes_on(botticelli, db, often, line):
    botticelli("generate")
    botticelli(line)
    assert counts(db)[0] == 2

    botticelli.clock.advance(timedelta(hours=20))
    botticelli("generate")

    assert counts(db)[0] == 3


def test_an_unfinished_batch_is_always_due(botticelli, db, often):
    botticelli("generate")
    db.execute(
        "UPDATE batches SET state = 'open', ended_at = NULL;"
        "UPDATE generation_items SET state = 'pending', ended_at = NULL WHERE id ="
        " (SELECT min(id) FROM generation_items)"
    )

    assert "5 posts resumed" in botticelli("generate").out


def test_a_dry_run_says_that_nothing_is_due(botticelli, db, often):
    assert "nothing yet" not in botticelli("generate --dry-run").out
    botticelli("generate")
    later, asked = botticelli("generate --dry-run").out, botticelli("generate --now --dry-run").out

    assert later.startswith("nothing yet: a batch was begun at 2026-11-24 12:00 UTC, the next is")
    assert later.splitlines()[1:] == asked.splitlines()
