"""`health`: one line, exit code 0 or 1, for who asks every five minutes and sleeps otherwise."""

import json
from datetime import timedelta

import psycopg
import pytest

from botticelli.cli.reports.health import read_health
from botticelli.config.model import Config, DatabaseConfig
from botticelli.config.operations import HealthConfig
from tests.acceptance.test_cli import NOWHERE
from tests.clock import NOON, PinnedClock, at
from tests.database import approved

HOUR = timedelta(hours=1)
INTERVALS = {"generate": 24 * HOUR, "curate": 12 * HOUR, "post": 2 * HOUR}
NEWS = """
[destinations.news]
platform = "outbox"
min_interval_minutes = 60
"""


@pytest.fixture
def machine(botticelli, db):
    """A machine at work for weeks, at noon; every stage was successful an hour ago."""
    botticelli.clock = PinnedClock()
    db.execute("UPDATE schema_version SET applied_at = %s", (NOON - 500 * HOUR,))
    for stage in INTERVALS:
        success(db, stage, HOUR)
    configure(botticelli, "")
    return botticelli


def configure(botticelli, text):
    (botticelli.cwd / "botticelli.toml").write_text(NEWS + text)


def success(db, stage, before):
    db.execute(
        "UPDATE actor_server_state SET last_run = %(at)s, last_success = %(at)s,"
        " updated_at = %(at)s WHERE task_id = %(stage)s",
        {"at": NOON - before, "stage": stage},
    )


def problems(botticelli):
    """Return [(check, name, what)], after comparing line, JSON and exit codes."""
    line, report = botticelli("health"), botticelli("health --json")
    facts = json.loads(report.out)
    told = [(one["check"], one["name"], one["what"]) for one in facts["problems"]]
    assert line.code == report.code == (1 if told else 0), line.err
    assert len(line.out.splitlines()) == 1
    assert line.out.startswith("unhealthy: " if told else "healthy: ")
    assert all(what in line.out for _, _, what in told)
    assert facts["healthy"] is not bool(told)
    return told


def test_a_machine_at_work_is_healthy_in_one_line(machine, db):
    approved(db)
    ended = machine("health")

    assert ended.code == 0
    assert ended.out == "healthy: generate 1 h ago, curate 1 h ago, post 1 h ago; 1 post to send\n"
    assert ended.err == ""


@pytest.mark.parametrize("stage", INTERVALS)
def test_a_stage_is_late_after_two_and_a_half_intervals(machine, db, stage):
    limit = 2.5 * INTERVALS[stage]
    success(db, stage, limit)
    assert problems(machine) == []

    success(db, stage, limit + timedelta(seconds=1))
    [(check, name, what)] = problems(machine)
    assert (check, name) == ("late", stage)
    assert what.startswith("no success for ")

    configure(machine, "[health]\nlate_factor = 3\n")
    assert problems(machine) == []


def test_a_late_stage_tells_its_last_error(machine, db):
    success(db, "post", 6 * HOUR)
    db.execute("UPDATE actor_server_state SET last_error = 'Discord: 403' WHERE task_id = 'post'")

    [(_, _, what)] = problems(machine)
    assert what == "no success for 6 h, every 2 h is expected (last error: Discord: 403)"


def test_a_paused_stage_is_told_and_not_counted(machine, db):
    success(db, "post", 600 * HOUR)
    db.execute(
        "UPDATE actor_server_state SET is_paused = true, circuit_opened_at = %s"
        " WHERE actor_name = 'Discord Posting Actor'",
        (NOON - HOUR,),
    )

    assert problems(machine) == []
    assert "post paused" in machine("health").out


def test_a_stage_that_was_resumed_has_its_time(machine, db):
    success(db, "post", 600 * HOUR)
    machine("pause post")
    machine("resume post")
    assert problems(machine) == []

    machine.clock.advance(6 * HOUR)
    assert [one[:2] for one in problems(machine)] == [("late", "post")]


def test_a_new_installation_is_healthy_until_a_stage_should_have_run(botticelli, db):
    botticelli.clock = PinnedClock()
    configure(botticelli, "")
    db.execute("UPDATE schema_version SET applied_at = %s", (NOON - HOUR,))
    db.execute("UPDATE actor_server_state SET updated_at = %s", (NOON - HOUR,))
    assert problems(botticelli) == []
    assert "generate not yet" in botticelli("health").out

    botticelli.clock.advance(5 * HOUR)
    assert problems(botticelli) == [("late", "post", "no success yet, every 2 h is expected")]


def test_a_row_that_somebody_deleted_is_a_stage_that_has_not_run(machine, db):
    db.execute("DELETE FROM actor_server_state WHERE task_id = 'curate'")

    assert [one[:2] for one in problems(machine)] == [("late", "curate")]


def test_an_open_breaker_is_unhealthy_at_once(machine, db):
    db.execute(
        "UPDATE actor_server_state SET circuit_opened_at = %s, consecutive_failures = 5,"
        " last_error = 'no key' WHERE task_id = 'generate'",
        (NOON,),
    )

    assert problems(machine) == [("breaker", "generate", "breaker open after 5 failures (no key)")]


def test_too_many_candidates_wait(machine, db):
    db.execute(
        "INSERT INTO potential_discord_posts (text_content) SELECT 'x' FROM generate_series(1, 4)"
    )
    configure(machine, "[health]\npending_candidates = 4\n")
    assert problems(machine) == []

    configure(machine, "[health]\npending_candidates = 3\n")
    assert problems(machine) == [("candidates", "", "4 candidates wait for the judge, more than 3")]


def plan(db, before, **columns):
    values = {"created_at": NOON - before, "destination": "news", **columns}
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    db.execute(
        f"INSERT INTO deliveries (post_id, {names}) VALUES ({approved(db)}, {places})", values
    )


def test_a_post_that_is_due_and_not_sent_is_stuck_after_six_hours(machine, db):
    plan(db, 6 * HOUR)
    assert problems(machine) == []

    machine.clock.advance(timedelta(minutes=1))
    [(check, name, what)] = problems(machine)
    assert (check, name) == ("delivery", "news")
    assert what == "1 post due and not sent for 6 h 1 min"

    configure(machine, "[health]\nstuck_minutes = 400\n")
    assert problems(machine) == []


def test_a_queue_that_moves_is_not_stuck(machine, db):
    plan(db, 100 * HOUR)
    plan(db, 100 * HOUR, state="posted", posted_at=NOON - HOUR)
    assert problems(machine) == []


def test_a_daily_post_has_more_patience_than_six_hours(machine, db):
    plan(db, 20 * HOUR)
    assert problems(machine) != []

    configure(machine, "[post.schedule]\nseconds = 86400\n")
    assert problems(machine) == []


def test_what_the_platform_asked_to_wait_for_is_not_stuck(machine, db):
    plan(db, 20 * HOUR, retry_at=NOON + HOUR)
    assert problems(machine) == []


def test_hours_in_which_nothing_may_be_posted_do_not_count(machine, db):
    """Due at the end of the day's hours: not late the next morning, but late the next evening."""
    hours = NEWS + 'active_hours = "09:00-21:00"\n'
    (machine.cwd / "botticelli.toml").write_text(hours)
    plan(db, 16 * HOUR)  # at 20:00

    assert problems(machine) == [], "one hour yesterday, three today"
    machine.clock.advance(2 * HOUR + timedelta(minutes=20))
    success(db, "post", -HOUR)
    assert [one[:2] for one in problems(machine)] == [("delivery", "news")]


def test_quiet_dates_do_not_count(machine, db):
    quiet = NEWS + 'quiet_dates = ["11-23", "11-24"]\n'
    (machine.cwd / "botticelli.toml").write_text(quiet)
    plan(db, 20 * HOUR)
    assert problems(machine) == []


def test_a_delivery_whose_sender_is_gone_is_stuck(machine, db):
    plan(db, 10 * HOUR, state="sending", sent_at=NOON - 7 * HOUR, lease_expires_at=NOON - HOUR)

    assert problems(machine) == [("delivery", "news", "delivery 1 uncertain for 7 h")]

    db.execute("UPDATE deliveries SET sent_at = %s", (NOON - HOUR,))
    assert problems(machine) == []


def test_what_waits_for_a_person_is_told_and_no_problem(machine, db):
    plan(db, 100 * HOUR, state="held")

    assert problems(machine) == []
    assert machine("health").out.endswith("; 1 held\n")


def test_while_posting_is_paused_nothing_is_stuck(machine, db):
    plan(db, 100 * HOUR)
    db.execute("UPDATE actor_server_state SET is_paused = true WHERE task_id = 'post'")

    assert problems(machine) == []


def account(db, **columns):
    values = {"key": "gemini/x", "day": NOON.date(), "time_zone": "UTC", **columns}
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    db.execute(f"INSERT INTO ledger ({names}) VALUES ({places})", values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "left"),
    [
        ({"rpd": 1000, "day_requests": 990}, 1.0),
        ({"rpd": 1000, "day_requests": 991}, 0.9),
        ({"rpd": 1000, "day_requests": 1, "tpd": 100, "day_tokens": 100}, 0.0),
        ({"rpd": 1000, "day_requests": 1100}, 0.0),
        ({"rpd": 10, "day_requests": 10, "day": (NOON - 48 * HOUR).date()}, 100.0),
        ({"day_requests": 10}, None),
        ({"blocked_why": "day", "blocked_until": NOON + HOUR}, 0.0),
        ({"blocked_why": "minute", "blocked_until": NOON + HOUR}, None),
        ({"rpd": 0}, None),
    ],
)
def test_a_day_that_is_used_up_is_unhealthy(machine, db, columns, left):
    account(db, **columns)

    told = problems(machine)

    assert json.loads(machine("health --json").out)["models"] == [
        {"model": "gemini/x", "left_percent": left}
    ]
    small = left is not None and left < 1
    assert told == ([("budget", "gemini/x", f"{left:g} % left today")] if small else [])
    configure(machine, "[health]\nbudget_left_percent = 0\n")
    assert problems(machine) == [], "who means to use it all says so"


def test_a_disk_that_is_nearly_full_is_unhealthy_where_we_keep_the_database(machine, db):
    configure(machine, "[health]\ndisk_free_mb = 1000000000\n")
    assert problems(machine) == [], "a server of theirs has a disk of its own"

    folder = machine.cwd / "not" / "there"
    ours = Config(database=DatabaseConfig(folder=folder), health=HealthConfig(disk_free_mb=10**9))
    report = read_health(at(db, NOON), ours)
    assert [one.check for one in report.problems] == ["disk"]
    assert f"free at {folder}, less than 1000000000" in report.problems[0].what
    assert report.disk_free_mb > 0


def test_a_database_that_is_away_is_unhealthy_and_not_an_error(botticelli):
    botticelli.environ["DATABASE_URL"] = NOWHERE

    [(check, _, what)] = problems(botticelli)

    assert check == "database"
    assert what.startswith("postgresql://127.0.0.1:1/none: the database cannot be reached")
    assert "hunter22" not in botticelli("health").out


def test_bad_configuration_is_no_answer(botticelli, db):
    configure(botticelli, "[health]\nlate_factor = 0\n")

    ended = botticelli("health")

    assert (ended.code, ended.out) == (78, "")


def test_it_asks_once_and_writes_nothing(machine, db, monkeypatch):
    said = []
    execute = psycopg.Cursor.execute

    def spy(cursor, query, *args, **options):
        said.append(str(query))
        return execute(cursor, query, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", spy)
    machine("health")

    assert len([query for query in said if "ledger" in query]) == 1, "one report"
    assert len(said) <= 2, "and once, at the door, for the schema, the project and former keys"
