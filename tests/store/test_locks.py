"""Stage locks: one holder at a time, taken over when the lease is over, fenced when broken."""

import threading
from datetime import timedelta

from botticelli.store import locks, runs
from botticelli.store.locks import Lock, LockState
from tests.run_context import identity

LEASE = timedelta(seconds=45)
ME, YOU = identity("alpha:11:x"), identity("beta:22:y")


def acquire(conn, who=ME, *, clock, name="generate"):
    return locks.acquire(conn, name, identity=who, lease=LEASE)


def release(conn, lock):
    """End a run that has the lock, as every run of a stage ends."""
    run = runs.start(conn, lock.name, identity=ME, lock=None)
    runs.end(conn, run, ending=runs.RunEnd(state="done", exit_code=0, summary={}), lock=lock)


def test_who_comes_second_is_told_who_holds_it_since_when(db, clock):
    acquire(db, clock=clock)
    since = clock.now()
    clock.advance(timedelta(seconds=10))

    held = acquire(db, YOU, clock=clock)

    assert isinstance(held, LockState)
    assert (held.host, held.pid, held.acquired_at) == ("alpha", 11, since)


def test_of_many_at_once_one_gets_it(connections):
    got, start = [], threading.Barrier(6)

    def ask(conn, who):
        start.wait(timeout=10)
        got.append(locks.acquire(conn, "post", identity=who, lease=LEASE))

    threads = [
        threading.Thread(target=ask, args=(connections(), identity(f"h:{n}:r"))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(type(one).__name__ for one in got) == ["Lock"] + ["LockState"] * 5


def test_a_crashed_holder_is_taken_over_when_its_lease_is_over_and_not_before(db, clock):
    first = acquire(db, clock=clock)
    clock.advance(timedelta(seconds=44.9))
    early = acquire(db, YOU, clock=clock)
    clock.advance(timedelta(seconds=0.1))

    taken = acquire(db, YOU, clock=clock)

    assert isinstance(early, LockState)
    assert isinstance(taken, Lock)
    assert taken.fence == first.fence + 1
    assert locks.renew(db, first, lease=LEASE) is False
    release(db, first)
    assert isinstance(acquire(db, ME, clock=clock), LockState), "a late release frees nothing"


def test_a_heartbeat_keeps_it(db, clock):
    mine = acquire(db, clock=clock)
    clock.advance(timedelta(seconds=40))

    assert locks.renew(db, mine, lease=LEASE)

    clock.advance(timedelta(seconds=40))
    assert isinstance(acquire(db, YOU, clock=clock), LockState)


def test_a_released_lock_is_free_at_once(db, clock):
    release(db, acquire(db, clock=clock))

    assert isinstance(acquire(db, YOU, clock=clock), Lock)


def test_a_broken_lock_is_free_and_its_holder_learns_of_it(db, clock):
    mine = acquire(db, clock=clock)

    broken = locks.break_lock(db, "generate")

    assert broken.host == "alpha"
    assert locks.renew(db, mine, lease=LEASE) is False
    assert locks.break_lock(db, "generate") is None
    assert isinstance(acquire(db, YOU, clock=clock), Lock)


def test_the_list_tells_held_from_free(db, clock):
    acquire(db, clock=clock, name="curate")
    release(db, acquire(db, clock=clock, name="post"))

    found = {lock.name: lock.expired for lock in locks.list_locks(db)}

    assert found == {"curate": False, "post": True}
