"""The wrapper around every stage: one run at a time, and how each of them ended."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.config.model import Config, DatabaseConfig
from botticelli.config.operations import Supervision
from botticelli.errors import BotticelliError, Exit, TryLater
from botticelli.stages.supervise import run_stage
from botticelli.stages.task import RunOutcome, Task
from botticelli.store import locks, runs
from botticelli.store.connection import connect
from tests.clock import pin
from tests.run_context import identity

DONE = RunOutcome(exit_code=Exit.DONE, summary={"stored": 3})
LEASE = timedelta(seconds=45)
CONFIG = Supervision(lease=LEASE, failure_threshold=2, reset_timeout=timedelta(seconds=300))


class Work(Task):
    """A stage that only has a function to call."""

    stage = "generate"

    def report(self, skipped):
        return RunOutcome(exit_code=Exit.DONE, summary={"skipped": skipped})

    def __init__(self, work):
        self.work = work

    def plan(self, run):
        self.done = self.work(run)
        return 0

    def finish(self, trouble):
        return self.done

    def summary(self, report):
        return report.summary


class Context:
    """What a stage is given."""

    def __init__(self, conn, url, supervision, who, clock):
        self.conn = conn
        self.config = Config(
            database=DatabaseConfig(folder=Path("unused")), supervision=supervision
        )
        self.identity = who
        self.clock = clock
        self.connect = lambda: connect(url)


@pytest.fixture
def run(db, db_url, clock):
    """`run(work)` supervises that work as the generate stage."""

    def start(work=lambda _: DONE, *, owner="alpha:11:x", **more):
        context = Context(db, db_url, CONFIG, identity(owner), clock)
        context.connect = lambda: pin(connect(db_url), clock)
        return run_stage(Work(work), context, **more)

    return start


def runs_of(db):
    return db.execute("SELECT state, exit_code FROM runs ORDER BY id").fetchall()


def failing(_run):
    raise BotticelliError("the model is down", where="model x")


def fail(run, times):
    for _ in range(times):
        with pytest.raises(BotticelliError, match="model is down"):
            run(failing)


def test_a_run_is_recorded_with_what_it_did_and_frees_its_lock(db, run, clock):
    assert run() == DONE

    assert db.execute("SELECT state, exit_code, summary FROM runs").fetchone() == (
        "done", 0, {"stored": 3}
    )  # fmt: skip
    assert runs.read_state(db, "generate").last_success == clock.now()
    assert run() == DONE


def test_while_it_runs_its_lock_and_its_row_say_so(db, run):
    def work(one):
        held = locks.find(db, "generate")
        assert (held.run_id, held.host, held.pid) == (one.id, "alpha", 11)
        assert runs_of(db) == [("running", None)]
        return DONE

    run(work)


def test_pausing_by_sql_pauses(db, run):
    db.execute(
        "UPDATE actor_server_state SET is_paused = true WHERE actor_name = %s",
        ("Content Generation Actor",),
    )

    outcome = run(failing)

    assert outcome == RunOutcome(exit_code=Exit.DONE, summary={"skipped": "paused"})
    assert runs_of(db) == []


def test_a_stage_whose_state_row_was_deleted_still_knows_pause_and_breaker(db, run):
    db.execute("DELETE FROM actor_server_state")

    fail(run, 1)

    assert runs.read_state(db, "generate").consecutive_failures == 1


def test_failures_in_a_row_open_the_breaker_and_it_says_when_it_tries_again(db, run):
    fail(run, 2)

    with pytest.raises(TryLater) as refusal:
        run()

    assert str(refusal.value) == (
        "generate: the breaker is open after 2 failed runs in a row (last: model x: the model is"
        " down); it tries again at 12:05:00 UTC, or run `botticelli resume generate`"
    )
    assert len(runs_of(db)) == 2


def test_a_half_open_breaker_tries_one_run_and_a_failure_opens_it_anew(run, clock):
    fail(run, 2)
    clock.advance(timedelta(seconds=300))

    fail(run, 1)

    with pytest.raises(TryLater, match="12:10:00 UTC"):
        run()


def test_a_success_in_the_half_open_state_closes_the_breaker(db, run, clock):
    fail(run, 2)
    clock.advance(timedelta(seconds=300))

    run()

    assert runs.read_state(db, "generate").consecutive_failures == 0
    fail(run, 1)
    assert run() == DONE


def test_resuming_closes_the_breaker(db, run):
    fail(run, 2)

    runs.resume(db, "generate")

    assert run() == DONE


def test_a_spent_day_is_no_failure(db, run):
    def work(_):
        raise TryLater("the day's quota is spent")

    for _ in range(3):
        with pytest.raises(TryLater, match="spent"):
            run(work)

    assert runs_of(db) == [("done", 75)] * 3
    assert runs.read_state(db, "generate").circuit_opened_at is None


def test_a_second_run_is_told_who_is_at_work_since_when(db, run, clock):
    def work(_):
        clock.advance(timedelta(seconds=40))
        with pytest.raises(TryLater) as refusal:
            run(owner="beta:22:y")
        assert "generate is already running on alpha (pid 11) since 12:00:00 UTC" in str(
            refusal.value
        )
        return DONE

    run(work)

    assert runs_of(db) == [("done", 0)]


def test_a_killed_run_is_taken_over_when_its_lease_is_over_and_recorded_as_interrupted(
    db, run, clock
):
    dead = locks.acquire(db, "generate", identity=identity("dead:1:z"), lease=LEASE)
    runs.start(db, "generate", identity=identity("dead:1:z"), lock=dead)
    clock.advance(timedelta(seconds=44))
    with pytest.raises(TryLater, match="on dead"):
        run()

    clock.advance(timedelta(seconds=1))
    run()

    assert runs_of(db) == [("interrupted", None), ("done", 0)]


def test_a_helper_joins_without_the_stage_s_lock_and_leaves_none_behind(db, run, clock):
    def work(_):
        assert run(owner="beta:22:y", join=True) == DONE
        return DONE

    run(work)
    clock.advance(timedelta(seconds=1))
    run()

    assert [lock.name for lock in locks.list_locks(db)] == ["generate"]
    assert runs_of(db) == [("done", 0)] * 3


@pytest.mark.slow
def test_a_run_that_outlasts_its_lease_keeps_its_lock(db, db_url):
    def run(work, conn, owner):
        config = Supervision(lease=timedelta(seconds=2))
        return run_stage(
            Work(work), Context(conn, db_url, config, identity(owner), SystemClockOnce())
        )

    def work(one):
        with connect(db_url) as other:
            taken = locks.find(other, "generate").expires_at
            other.execute("SELECT pg_sleep_until(%s)", (taken,))
            with pytest.raises(TryLater, match="already running on alpha"):
                run(lambda _: DONE, other, "beta:22:y")
        assert not one.stop.is_set()
        return DONE

    assert run(work, db, "alpha:11:x") == DONE


def test_a_broken_lock_stops_the_work(db, db_url):
    def work(one):
        with connect(db_url) as other:
            locks.break_lock(other, "generate")
        assert one.stop.wait(60), "the heartbeat did not notice"
        return RunOutcome(exit_code=Exit.TRY_LATER, summary={})

    config = Supervision(lease=timedelta(seconds=0.4))
    run_stage(Work(work), Context(db, db_url, config, identity(), SystemClockOnce()))

    assert runs_of(db) == [("interrupted", 75)]


class SystemClockOnce:
    """The system's clock, for what a heartbeat really does."""

    def monotonic(self):
        return time.monotonic()


def test_a_bug_is_recorded_and_not_swallowed(db, run):
    def work(_):
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(work)

    assert runs_of(db) == [("failed", 70)]
    assert run() == DONE, "the lock is free again"


def test_a_database_that_goes_away_is_told_as_that(db, db_url, run):
    def work(_):
        with connect(db_url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (db.info.backend_pid,))
        db.execute("SELECT 1")

    with pytest.raises(BotticelliError) as failure:
        run(work)

    assert failure.value.exit_code == Exit.UNAVAILABLE
    with connect(db_url) as other:
        assert runs_of(other) == [("failed", 69)]


PROGRAM = """
    import sys, time
    from botticelli.clock import SystemClock
    from botticelli.config.operations import Supervision
    from botticelli.errors import Exit, TryLater
    from botticelli.stages.supervise import supervised
    from botticelli.stages.task import RunOutcome
    from botticelli.store.connection import connect
    from botticelli.store.leases import Identity
    from tests.stages.test_supervise import Context

    url, kind = sys.argv[1:]
    who = Identity(host="h", pid=1, owner="h:1:z")

    with connect(url) as conn:
        try:
            with supervised("post", Context(conn, url, Supervision(), who, SystemClock())) as run:
                print("at work", flush=True)
                if kind == "heeds":
                    run.stop.wait(60)
                    code = Exit.TRY_LATER
                    run.outcome = RunOutcome(exit_code=code, summary={"left": 2})
                else:
                    time.sleep(60)
        except TryLater as error:
            print(error, file=sys.stderr)
            code = error.exit_code
    sys.exit(code)
"""


@contextmanager
def at_work(db_url, kind):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), db_url, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout.readline() == "at work\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["heeds", "blocks"])
def test_a_signal_ends_a_run_within_five_seconds(db, db_url, kind, number):
    with at_work(db_url, kind) as process:
        started = time.monotonic()

        process.send_signal(number)
        _, err = process.communicate(timeout=20)

        assert time.monotonic() - started < 5
        assert process.returncode == Exit.TRY_LATER, err
    assert runs_of(db) == [("interrupted", 75)]
    assert all(lock.expired for lock in locks.list_locks(db))


def test_after_kill_minus_nine_the_lock_is_held_until_its_lease_is_over(db, db_url):
    with at_work(db_url, "blocks") as process:
        process.kill()
        process.wait()

    held = locks.find(db, "post")

    assert not held.expired
    assert held.expires_at - held.acquired_at <= timedelta(seconds=60)


def test_work_in_a_thread_leaves_the_signals_alone(run):
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)

    assert signal.getsignal(signal.SIGTERM) is before
