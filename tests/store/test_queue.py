"""The idiom of all queues, on items: claimed once, kept alive, settled behind a fence."""

import threading
from collections import Counter
from datetime import timedelta

import pytest

from botticelli.clock import SystemClock
from botticelli.store import queue
from botticelli.store.generation import batches, items
from botticelli.store.leases import LeaseKeeper, LostLease
from botticelli.store.queue import ITEMS
from tests.clock import PinnedClock

LEASE = timedelta(seconds=30)


@pytest.fixture
def batch(db):
    return batches.plan(db, "file.name", items=[("a", n) for n in range(1, 21)], options={})


def claim(conn, batch, *, owner="me"):
    return items.claim(conn, batch.id, owner=owner, lease=LEASE)


def state_of(conn, item):
    return conn.execute(
        "SELECT state, lease_owner FROM generation_items WHERE id = %s", (item.id,)
    ).fetchone()


def test_many_workers_never_claim_the_same_row(batch, connections):
    taken, start = [], threading.Barrier(4)

    def work(conn):
        start.wait(timeout=10)
        while item := claim(conn, batch):
            taken.append(item.id)

    threads = [threading.Thread(target=work, args=(connections(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert len(taken) == 20
    assert set(Counter(taken).values()) == {1}


def test_an_expired_lease_is_claimed_by_the_next_and_the_first_can_settle_nothing(db, batch, clock):
    late = claim(db, batch, owner="late")
    clock.advance(timedelta(seconds=31))
    taken = claim(db, batch, owner="next")

    settling = queue.settling(db, ITEMS, claims=[late.claim])
    with pytest.raises(LostLease, match="took over"), settling:
        db.execute("DELETE FROM generation_items")

    assert (taken.id, taken.fence) == (late.id, late.fence + 1)
    assert state_of(db, late) == ("running", "next")
    assert items.settle_done(db, late) is False
    assert items.settle_done(db, taken) is True


def test_a_renewed_lease_outlives_its_first_end(db, batch, clock):
    item = claim(db, batch)
    clock.advance(timedelta(seconds=20))

    kept = queue.renew(db, ITEMS, claims=[item.claim], owner="me", lease=LEASE)

    clock.advance(timedelta(seconds=20))
    assert kept == {item.claim}
    assert claim(db, batch).id != item.id


def test_renewing_tells_which_rows_are_lost(db, batch, clock):
    lost, kept = claim(db, batch), claim(db, batch)
    clock.advance(timedelta(seconds=31))
    claim(db, batch, owner="next")

    still = queue.renew(db, ITEMS, claims=[lost.claim, kept.claim], owner="me", lease=LEASE)

    assert still == {kept.claim}


def test_releasing_gives_back_what_one_owner_holds_and_nothing_else(db, batch):
    mine, theirs = claim(db, batch, owner="me"), claim(db, batch, owner="you")

    assert queue.release(db, ITEMS, owner="me") == 1

    assert state_of(db, mine) == ("pending", None)
    assert state_of(db, theirs) == ("running", "you")
    with pytest.raises(LostLease), queue.settling(db, ITEMS, claims=[mine.claim]):
        pass


def test_a_settlement_that_fails_half_way_changes_nothing(db, batch):
    item = claim(db, batch)

    def settle():
        with queue.settling(db, ITEMS, claims=[item.claim]):
            items.settle_done(db, item)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        settle()

    assert state_of(db, item) == ("running", "me")


def keeper(connections, renew, *, lost, seconds=0.08, clock=None):
    return LeaseKeeper(
        connect=connections,
        renew=renew,
        lease=timedelta(seconds=seconds),
        lost=lost,
        clock=clock or SystemClock(),
    )


def test_the_keeper_renews_again_and_again_until_work_is_over(connections):
    beats, enough = [], threading.Event()

    def renew(conn):
        beats.append(conn.execute("SELECT 1").fetchone())
        if len(beats) == 3:
            enough.set()
        return True

    with keeper(connections, renew, lost=pytest.fail, seconds=1.0):
        assert enough.wait(60)


def test_the_keeper_tells_once_that_the_lease_is_somebody_elses(connections):
    lost = threading.Event()

    with keeper(connections, lambda _: False, lost=lost.set):
        assert lost.wait(60)


def test_the_keeper_gives_up_when_the_database_stays_away_for_a_whole_lease(connections):
    lost, tries, clock = threading.Event(), [], PinnedClock()

    def renew(conn):
        tries.append(conn)
        clock.advance(timedelta(seconds=0.03))  # the lease lasts 0.08
        conn.close()
        conn.execute("SELECT 1")

    with keeper(connections, renew, lost=lost.set, clock=clock):
        assert lost.wait(60)

    assert len(set(map(id, tries))) == len(tries) == 3, "each try had a new connection"


def test_work_that_is_over_before_the_first_beat_costs_no_connection():
    def connect():
        raise AssertionError("opened for nothing")

    with keeper(connect, lambda _: True, lost=pytest.fail, seconds=60):
        pass
