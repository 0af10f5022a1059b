"""`generate`, `curate` and `locks` as a user meets them: real database, Gemini over loopback."""

import json
from datetime import timedelta
from textwrap import dedent

import pytest

from botticelli.store import locks
from tests.database import candidate
from tests.pipeline import NARRATIVE
from tests.run_context import identity


@pytest.fixture
def command(botticelli, gemini, db, tmp_path):
    """The command line in a folder with a small narrative, on the test's database."""
    botticelli.environ |= {"GEMINI_API_KEY": gemini.key, "GOOGLE_GEMINI_BASE_URL": gemini.url}
    (tmp_path / "carousel.toml").write_text(dedent(NARRATIVE))
    return botticelli


def test_a_person_reads_what_was_made_and_what_it_cost(command):
    ended = command("generate carousel.batch --iterations 1")

    lines = ended.out.splitlines()
    assert ended.code == 0, ended.err
    assert lines[0] == "carousel.batch: 2 posts planned, 2 new candidates"
    assert lines[1].startswith("  4 calls, ")
    assert ended.err == ""


def test_a_pipe_gets_the_same_facts_as_json(command):
    ended = command("generate carousel.batch --iterations 1 --json")

    report = json.loads(ended.out)
    assert (report["planned"], report["stored"], report["left"], report["calls"]) == (2, 2, 0, 4)


def test_a_spent_day_is_told_with_what_is_left_and_what_to_type(command, gemini):
    gemini.script.add(*["429:day"] * 4)

    ended = command("generate carousel.batch --iterations 2 --workers 1")

    assert ended.code == 75
    assert "4 of 4 posts left" in ended.err
    assert "run `botticelli generate carousel.batch --workers 1` again" in ended.err
    assert "4 left for the next run" in ended.out


def test_a_post_that_failed_is_told_with_the_reason(command, gemini):
    gemini.script.add("400")

    ended = command("generate carousel.batch --iterations 1 --workers 1")

    assert ended.code == 1
    assert "botticelli: feature 1: " in ended.err


def test_a_dry_run_spends_nothing(command, gemini):
    ended = command("generate carousel.batch --iterations 10 --dry-run")

    assert ended.code == 0, ended.err
    assert "a new batch of 20 posts" in ended.out
    assert "40 calls to gemini-3.5-flash-lite" in ended.out
    assert "nothing was spent" in ended.out
    assert len(gemini.calls) == 0


def test_offline_generate_asks_nobody_whatever_models_a_narrative_names(botticelli, db):
    (botticelli.cwd / "mine.toml").write_text(
        '[narrative]\nname = "mine"\nmodel = "gemini-2.5-pro"\ntarget = "potential_discord_posts"\n'
        '[toc]\norder = ["write"]\n[acts.write]\nmodel = "claude-3"\n'
        'prompt = "Write a post as JSON with text_content."\n'
    )
    ended = botticelli("--offline generate mine --iterations 1 --now")

    assert ended.code == 0, ended.err
    assert db.execute("SELECT DISTINCT model FROM act_executions").fetchall() == [("offline",)]


def test_curate_tells_whom_it_approved(command, db):
    candidate(db, "A post about lighthouses and their keepers", generation_model="offline")

    ended = command("--offline curate --drain")

    assert ended.code == 0, ended.err
    assert ended.out.startswith("1 judged, ")


def test_curate_with_an_empty_queue_has_nothing_to_do(command, gemini):
    ended = command("curate --drain")

    assert (ended.code, ended.out) == (0, "nothing to do: no candidate is pending\n")
    assert len(gemini.calls) == 0


def test_curate_tells_the_price_beforehand(command, db, gemini):
    for n in range(12):
        candidate(db, f"post {n}")

    ended = command("curate --drain --dry-run")

    assert "12 candidates in 2 batches" in ended.out
    assert "2 calls to gemini-3.8-flash" in ended.out
    assert len(gemini.calls) == 0


def held(db, name="generate"):
    return locks.acquire(db, name, identity=identity("farm:77:q"), lease=timedelta(minutes=1))


def test_a_held_lock_is_told_with_host_and_pid(command, db):
    held(db)

    ended = command("generate carousel.batch")

    assert ended.code == 75
    assert "generate is already running on farm (pid 77) since" in ended.err


def test_locks_are_listed_and_broken_by_name(command, db):
    assert command("locks").out == "no lock is held\n"
    held(db, "curate")

    listed, broken, after = command("locks"), command("locks break curate"), command("locks")

    assert "curate  farm   77" in listed.out
    assert (broken.code, after.out) == (0, "no lock is held\n")
    assert "pid 77" in broken.err


def test_breaking_a_lock_that_nobody_holds_names_those_that_are_held(command, db):
    held(db, "post")

    ended = command("locks break curate")

    assert ended.code == 2
    assert ended.err == "botticelli: lock 'curate' is not held; held are: post\n"


def test_locks_as_json(command, db):
    held(db)

    [lock] = json.loads(command("locks --json").out)["locks"]

    assert (lock["name"], lock["host"], lock["pid"]) == ("generate", "farm", 77)
