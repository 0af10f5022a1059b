"""Nothing in the future holds anybody up: each instant that can, a year ahead."""

import random
from datetime import timedelta

import pytest

from botticelli.store import ledger, locks, runs
from botticelli.store.delivery import deliveries, posts
from botticelli.store.delivery.posts import PostFilter
from botticelli.store.generation import batches, items
from botticelli.store.leases import Identity
from botticelli.store.ledger import Allowance, CallRequest, Window
from tests.clock import PinnedClock
from tests.database import approved, candidate, insert

YEAR = "botticelli_now() + interval '1 year'"
LEASE = timedelta(seconds=45)
ME = Identity(host="h", pid=1, owner="h:1:x")
ASKED = CallRequest(key="x/m", waiter="w", owner="o", estimate=10)


def begin_a_run(db):
    """Start a run of curate, as its stage does."""
    lock = locks.acquire(db, f"curate+{random.random()}", identity=ME, lease=LEASE)
    runs.start(db, "curate", identity=ME, lock=lock)


def reserve(db, **allowed):
    return ledger.reserve(db, ASKED, allowance=Allowance(**allowed), window=Window())


def test_the_lock_of_a_killed_holder_is_free_though_it_ends_in_a_year(db, clock):
    locks.acquire(db, "post", identity=ME, lease=LEASE)
    db.execute(f"UPDATE locks SET expires_at = {YEAR}")
    clock.advance(timedelta(minutes=2))

    assert isinstance(locks.acquire(db, "post", identity=ME, lease=LEASE), locks.Lock)


def test_a_lock_of_a_clock_that_was_ahead_ends_with_its_length(db, clock):
    locks.acquire(db, "post", identity=ME, lease=LEASE)
    db.execute(f"UPDATE locks SET expires_at = {YEAR}, heartbeat_at = {YEAR}")

    assert isinstance(locks.acquire(db, "post", identity=ME, lease=LEASE), locks.LockState)
    clock.advance(timedelta(minutes=1))
    assert isinstance(locks.acquire(db, "post", identity=ME, lease=LEASE), locks.Lock)


def test_a_holder_that_beats_keeps_its_lock_whatever_stands_there(db, clock):
    lock = locks.acquire(db, "post", identity=ME, lease=LEASE)
    db.execute(f"UPDATE locks SET expires_at = {YEAR}")
    clock.advance(timedelta(seconds=30))
    assert locks.renew(db, lock, lease=LEASE)
    clock.advance(timedelta(seconds=40))

    assert isinstance(locks.acquire(db, "post", identity=ME, lease=LEASE), locks.LockState)


def test_an_item_that_is_leased_for_a_year_is_free_after_a_lease(db, clock):
    batch = batches.plan(db, "n", items=[("n", 1)], options={})
    items.claim(db, batch.id, owner="dead", lease=LEASE)
    db.execute(f"UPDATE generation_items SET lease_expires_at = {YEAR}")

    begin_a_run(db)
    clock.advance(timedelta(minutes=1))

    assert items.claim(db, batch.id, owner="me", lease=LEASE)


@pytest.fixture
def delivery(db, clock):
    """A delivery to "news"."""
    return insert(db, "deliveries", post_id=approved(db), destination="news")


def claim(db, last=None):
    return deliveries.claim_next_due(db, "news", last_posted=last, owner="me", lease=LEASE)


def test_a_delivery_that_is_put_off_for_a_year_waits_an_hour(db, clock, delivery):
    db.execute(f"UPDATE deliveries SET retry_at = {YEAR}")
    begin_a_run(db)
    clock.advance(timedelta(hours=1))

    assert claim(db).id == delivery


def test_a_delivery_that_is_claimed_for_a_year_is_looked_for_after_a_lease(db, clock, delivery):
    claim(db)
    db.execute(f"UPDATE deliveries SET lease_expires_at = {YEAR}")
    begin_a_run(db)
    clock.advance(timedelta(minutes=5))  # that of a delivery with uploads

    assert deliveries.claim_uncertain(db, "news", owner="me", lease=LEASE).id == delivery


def test_a_post_of_next_year_does_not_put_off_the_next(db, clock, delivery):
    other = insert(db, "deliveries", post_id=approved(db, "two"), destination="news")
    db.execute(
        f"UPDATE deliveries SET state = 'posted', posted_at = {YEAR} WHERE id = %s", (other,)
    )

    queued = posts.read_queues(db, [PostFilter(name="news")])["news"]

    assert tuple(queued.recent) == ()
    assert claim(db).id == delivery


def test_a_batch_of_next_year_does_not_put_off_the_next(db, clock):
    batches.plan(db, "n", items=[("n", 1)], options={})
    db.execute(f"UPDATE batches SET created_at = {YEAR}")

    assert batches.find_last(db, "n") is None


@pytest.mark.parametrize(
    "wrong",
    [
        f"UPDATE ledger SET last_start = {YEAR}",
        f"UPDATE ledger SET blocked_until = {YEAR}, blocked_why = 'minute'",
        f"UPDATE ledger SET blocked_until = {YEAR}, blocked_why = 'day'",
        f"UPDATE ledger_grants SET start_at = {YEAR}",
        "UPDATE ledger SET day = (botticelli_now() + interval '1 year')::date, day_requests = 9",
        f"""UPDATE ledger SET learned = jsonb_build_object(
            'rpd', jsonb_build_object('limit', 1, 'until', {YEAR}))""",
        f"INSERT INTO ledger_waiters (key, waiter, tokens, expires_at) VALUES ('x/m','z',9,{YEAR})",
    ],
)
def test_an_account_holds_nobody_for_longer_than_it_may(db, clock, wrong):
    assert reserve(db, rpm=1, rpd=9).seq
    db.execute(wrong)
    begin_a_run(db)
    clock.advance(timedelta(hours=26, minutes=2))

    assert reserve(db, rpm=1, rpd=9).seq


def test_a_candidate_and_a_row_are_free_after_their_lease(db, clock):
    candidate(db, review_status="judging", lease_owner="dead")
    db.execute(f"UPDATE potential_discord_posts SET lease_expires_at = {YEAR}")
    db.execute(f"INSERT INTO row_leases VALUES ('t', 'k', 'dead', {YEAR})")

    begin_a_run(db)

    latest = "SELECT max(lease_expires_at) - botticelli_now() FROM"
    assert db.execute(f"{latest} potential_discord_posts").fetchone() == (timedelta(minutes=1),)
    assert db.execute(f"{latest} row_leases").fetchone() == (timedelta(hours=1),)


def test_health_and_doctor_tell_of_it(botticelli, db):
    botticelli.clock = PinnedClock()
    db.execute("INSERT INTO row_leases VALUES ('t', 'k', 'dead', now() + interval '1 year')")

    health, doctor = botticelli("health"), botticelli("doctor --offline")

    assert health.code == 1
    assert "row_leases.lease_expires_at: lies in the future" in health.out
    assert "row_leases.lease_expires_at lies in the future" in doctor.out


def test_a_breaker_that_was_opened_in_the_future_lets_one_try(botticelli, db):
    db.execute(
        "UPDATE actor_server_state SET circuit_opened_at = now() + interval '1 year',"
        " consecutive_failures = 9"
    )

    assert "breaker" not in botticelli("post").err
