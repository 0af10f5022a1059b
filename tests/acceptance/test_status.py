"""`botticelli status`, pause and resume, with real rows underneath."""

import json
import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest

from botticelli.text import ago, until
from tests.clock import NOON, PinnedClock


@pytest.fixture
def status(botticelli, db):
    """The report as JSON, at noon."""
    botticelli.clock = PinnedClock()

    def read():
        ended = botticelli("status --json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    return read


def stage(report, name):
    return next(each for each in report["stages"] if each["name"] == name)


def test_an_empty_database_is_idle_and_says_so(botticelli, db):
    ended = botticelli("status")

    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].split() == ["STAGE", "STATE", "LAST", "RUN", "NEXT"]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["generate", "idle", "never"],
        ["curate", "idle", "never"],
        ["post", "idle", "never"],
    ]
    assert "nothing approved" in ended.out
    assert max(map(len, lines[:-3])) <= 80


def test_a_running_stage_names_who_runs_it_since_when(status, db):
    db.execute(
        "INSERT INTO runs (stage, host, pid, started_at) VALUES ('post', 'web-1', 7, %s)", (NOON,)
    )
    db.execute(
        "INSERT INTO locks (name, holder, host, pid, run_id, acquired_at, expires_at)"
        " SELECT 'post', 'x', 'web-1', 7, id, %s, %s FROM runs",
        (NOON - timedelta(minutes=1), NOON + timedelta(seconds=45)),
    )

    post = stage(status(), "post")

    assert (post["state"], post["detail"]) == ("running", "since 11:59:00, web-1 pid 7")


def test_a_run_whose_holder_is_gone_was_interrupted(status, db):
    db.execute(
        "INSERT INTO runs (stage, host, pid, started_at) VALUES ('post', 'web-1', 7, %s)", (NOON,)
    )

    post = stage(status(), "post")

    assert post["state"] == "idle"
    assert post["last_run"]["state"] == "interrupted"


def test_pause_by_command_or_by_sql_shows_and_resume_ends_it(botticelli, status, db):
    botticelli("pause post")
    db.execute(
        "UPDATE actor_server_state SET is_paused = true WHERE actor_name = 'Content Curation Actor'"
    )

    assert [each["state"] for each in status()["stages"]] == ["idle", "paused", "paused"]

    assert botticelli("resume all").code == 0
    assert [each["state"] for each in status()["stages"]] == ["idle", "idle", "idle"]


def test_an_open_breaker_says_until_when(status, db):
    db.execute(
        "UPDATE actor_server_state SET circuit_opened_at = %s, consecutive_failures = 5"
        " WHERE task_id = 'curate'",
        (NOON,),
    )

    curate = stage(status(), "curate")

    assert (curate["state"], curate["detail"]) == ("breaker open", "until 12:05:00")


def test_the_last_run_and_about_when_the_next_is(botticelli, status, db):
    db.execute(
        "INSERT INTO runs (stage, host, pid, state, started_at, ended_at, exit_code, error)"
        " VALUES ('curate', 'h', 1, 'failed', %s, %s, 69, 'the model is away')",
        (NOON - timedelta(hours=2), NOON - timedelta(hours=1)),
    )

    curate = stage(status(), "curate")
    text = botticelli("status").out

    assert curate["last_run"]["exit_code"] == 69
    assert curate["next_run"] == "2026-11-24T22:00:00+00:00"
    assert curate["next_from"] == "interval"
    assert "failed 1 h ago  in about 10 h" in text
    assert "curate: the model is away" in text


def test_queues_destinations_and_spending(botticelli, status, db):
    db.execute(
        "INSERT INTO potential_discord_posts (review_status)"
        " VALUES ('pending'), ('pending'), ('rejected')"
    )
    db.execute(
        "INSERT INTO approved_discord_posts (id, review_status, posted_at)"
        " OVERRIDING SYSTEM VALUE VALUES (1, 'posted', %(t)s), (2, 'pending', NULL)",
        {"t": NOON - timedelta(minutes=20)},
    )
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, posted_at)"
        " VALUES (1, 'discord', 'posted', %s)",
        (NOON - timedelta(minutes=20),),
    )
    db.execute(
        "INSERT INTO act_executions (narrative, act_name, sequence_number, inputs_digest, state,"
        " response, input_tokens, output_tokens, thought_tokens, cost_usd, created_at)"
        " VALUES ('n', 'a', 0, 'x', 'done', 'r', 100, 20, 3, 0.5, %s)",
        (NOON - timedelta(hours=1),),
    )

    report = status()
    text = botticelli("status").out

    assert report["queues"]["candidates"]["pending"] == 2
    assert report["queues"]["approved"] == {
        "pending": 1,
        "posting": 0,
        "posted": 1,
        "failed": 0,
        "held": 0,
    }
    assert report["destinations"] == [
        {
            "name": "discord",
            "waiting": 1,
            "posts_today": 1,
            "last_post": "2026-11-24T11:40:00+00:00",
            "next_post": "2026-11-24T12:40:00+00:00",
            "why": "minimum interval 60 min",
        }
    ]
    assert report["today"] == {
        "calls": 1,
        "input_tokens": 100,
        "output_tokens": 23,
        "cost_usd": 0.5,
    }
    assert "2 pending, 1 rejected" in text
    assert "in 40 min: minimum interval 60 min" in text


def test_today_is_the_destinations_own_day(botticelli, status, db):
    (botticelli.cwd / "botticelli.toml").write_text(
        '[destinations.far]\nplatform = "outbox"\ntime_zone = "Pacific/Kiritimati"\n'
    )
    db.execute("INSERT INTO approved_discord_posts (id) OVERRIDING SYSTEM VALUE VALUES (1)")
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, posted_at)"
        " VALUES (1, 'far', 'posted', %s)",
        (NOON - timedelta(hours=3),),  # noon UTC is two in the morning there
    )

    assert status()["destinations"][0]["posts_today"] == 0


def test_budget_shows_what_is_used_of_what_is_allowed(botticelli, status, db):
    db.execute(
        "INSERT INTO ledger (key, rpm, rpd, day, day_requests, day_tokens)"
        " VALUES ('gemini/flash', 12, 800, '2026-11-24', 600, 123456)"
    )

    budget = status()["budget"]
    text = botticelli("status").out

    assert budget[0]["day_requests"] == 600
    assert "600 of 800 (75%)" in text
    assert "123.5k" in text


def test_no_secret_stands_in_a_status(botticelli, db):
    ended = botticelli("status --json")

    assert "@" not in json.loads(ended.out)["database"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "5 s"), (90, "1 min"), (3600, "1 h"), (5400, "1 h 30 min"), (200_000, "2 days")],
)
def test_spans_are_short(seconds, words):
    then = NOON + timedelta(seconds=seconds)

    assert until(then, NOON) == f"in {words}"
    assert ago(NOON, then) == f"{words} ago"


def test_watch_draws_again_until_q(botticelli, db_url):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "botticelli", "status", "--watch"],
        env=botticelli.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
        cwd=botticelli.cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    seen = b""
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        while b"q ends" not in seen:
            seen += terminal.read(1000)
        terminal.write(b"q")
        assert process.wait(30) == 0
    assert b"generate" in seen


@pytest.mark.parametrize(
    ("missed", "why"),
    [("one", ""), ("skip", "minimum interval 60 min, counted from the end of a downtime")],
)
def test_a_destination_is_due_as_the_post_stage_sees_it(botticelli, status, db, missed, why):
    """Down for ten hours: what was missed is treated as it is configured."""
    (botticelli.cwd / "botticelli.toml").write_text(
        '[destinations.news]\nplatform = "outbox"\nfolder = "out"\n'
        f'min_interval_minutes = 60\nmissed = "{missed}"\n'
    )
    db.execute(
        "INSERT INTO runs (stage, host, pid, state, started_at, ended_at)"
        " VALUES ('post', 'h', 1, 'done', %(at)s, %(at)s)",
        {"at": NOON - timedelta(hours=10)},
    )
    post = db.execute(
        "INSERT INTO approved_discord_posts (text_content, review_status) VALUES ('x', 'posted')"
        " RETURNING id"
    ).fetchone()[0]
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, posted_at)"
        " VALUES (%s, 'news', 'posted', %s)",
        (post, NOON - timedelta(hours=10)),
    )

    [place] = status()["destinations"]

    assert place["why"] == why
