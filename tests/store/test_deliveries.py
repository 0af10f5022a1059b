"""Claims on deliveries: one at a time per destination, whoever asks, and never behind a fence."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from botticelli.errors import UsageError
from botticelli.store.connection import connect
from botticelli.store.delivery import decisions, deliveries, posts, schedule
from botticelli.store.delivery.deliveries import Beginning, DeliveryResult
from botticelli.store.delivery.posts import PostFilter
from botticelli.store.leases import LostLease
from tests.clock import NOON, at
from tests.database import approved
from tests.posting import delivery_of, id_of, status_of

NEWS = PostFilter(name="news")
LEASE = timedelta(seconds=45)
MINUTE = timedelta(minutes=1)


def plan(db, *wanted, now=None):
    if now:
        at(db, now)
    return schedule.plan(db, list(wanted or [NEWS]))


def claim(conn, *, last_posted=None, owner="a", destination="news", now=None):
    if now:
        at(conn, now)
    return deliveries.claim_next_due(
        conn, destination, last_posted=last_posted, owner=owner, lease=LEASE
    )


def test_planning_twice_makes_each_delivery_once(db):
    approved(db)

    assert (plan(db), plan(db)) == (1, 0)


def test_only_what_a_destination_wants_is_planned(db):
    approved(db, "tagged", tags=["deep"], content_type="tip")
    approved(db, "plain")

    planned = plan(
        db, PostFilter(name="deep", tags=("deep",)), PostFilter(name="poll", content_types=("p",))
    )

    assert planned == 1


def test_posts_leave_in_the_order_of_their_approval(db):
    approved(db, "second", selected_at="2026-01-02")
    approved(db, "first", selected_at="2026-01-01")
    plan(db)

    assert claim(db).text == "first"


def test_one_destination_has_one_claim_at_a_time(db):
    approved(db)
    approved(db)
    plan(db)

    assert claim(db) is not None
    assert claim(db) is None


def test_twenty_hosts_at_once_get_one_delivery_between_them(db, db_url):
    for _ in range(20):
        approved(db)
    plan(db)

    def one(_number):
        with connect(db_url) as conn:
            return claim(conn)

    with ThreadPoolExecutor(max_workers=10) as pool:
        claimed = [found for found in pool.map(one, range(20)) if found]

    assert len(claimed) == 1


def test_a_pace_judged_on_older_news_gets_nothing(db):
    """Somebody posted between our look at the pace and our claim: the interval must hold."""
    approved(db)
    approved(db)
    plan(db)
    first = claim(db)
    deliveries.settle(db, first, DeliveryResult(state="posted", remote_id="1"))

    assert claim(db, last_posted=None) is None
    newest = posts.read_queues(db, [NEWS])["news"].last_posted
    assert claim(db, last_posted=newest) is not None


def test_the_nonce_is_in_the_row_before_anything_is_sent(db, db_url):
    approved(db)
    plan(db)

    claimed = claim(db)

    with connect(db_url) as other:
        seen = other.execute("SELECT nonce, state FROM deliveries").fetchone()
    assert seen == (claimed.nonce, "sending")
    assert len(claimed.nonce) == 25


def test_nonces_are_random(db):
    for _ in range(50):
        approved(db)
    plan(db)

    assert db.execute("SELECT count(DISTINCT nonce) FROM deliveries").fetchone() == (50,)


def test_an_expired_claim_is_uncertain_and_taken_over_once(db, clock):
    approved(db)
    plan(db)
    claim(db)
    clock.advance(LEASE)

    def take_over():
        return deliveries.claim_uncertain(db, "news", owner="b", lease=LEASE)

    assert posts.read_queues(db, [NEWS])["news"].is_uncertain
    assert take_over() is not None
    assert take_over() is None


def test_uncertain_deliveries_are_taken_over_one_by_one_the_oldest_first(db, clock):
    for text in ("one", "two"):
        approved(db, text)
    plan(db, NEWS, PostFilter(name="elsewhere"))
    db.execute(
        "UPDATE deliveries SET state = 'sending', fence = 7, lease_owner = 'gone',"
        " lease_expires_at = botticelli_now() - interval '1 s'"
    )

    def take_over():
        return deliveries.claim_uncertain(db, "news", owner="b", lease=LEASE)

    first = take_over()
    taken = db.execute("SELECT id, fence FROM deliveries WHERE lease_owner = 'b'").fetchall()
    second = take_over()

    assert taken == [(first.id, first.fence)] == [(first.id, 8)]
    assert first.text == "one"
    assert (second.text, take_over()) == ("two", None)


def test_who_lost_the_claim_changes_nothing(db, clock):
    post = approved(db)
    plan(db)
    late = claim(db)
    clock.advance(LEASE)
    deliveries.claim_uncertain(db, "news", owner="b", lease=LEASE)

    for write in (
        lambda: deliveries.begin(db, late, Beginning(text="x", lease=LEASE)),
        lambda: deliveries.add_part(db, late, remote_id="1", url=""),
        lambda: deliveries.forget_request(db, late),
        lambda: deliveries.settle(db, late, DeliveryResult(state="uncertain")),
        lambda: deliveries.settle(db, late, DeliveryResult(state="posted", remote_id="9")),
    ):
        with pytest.raises(LostLease):
            write()
    assert delivery_of(db, post) == ("sending", 0, None)


def test_two_destinations_that_settle_at_once_agree_about_the_post(db, db_url):
    wanted = [PostFilter(name="a"), PostFilter(name="b")]
    made = [approved(db) for _ in range(10)]
    plan(db, *wanted)

    def drain(name):
        with connect(db_url) as conn:
            while (queued := posts.read_queues(conn, [PostFilter(name=name)])[name]).waiting:
                claimed = claim(conn, destination=name, last_posted=queued.last_posted)
                if claimed:  # else the other one settles that very post right now
                    deliveries.settle(conn, claimed, DeliveryResult(state="posted", remote_id="1"))

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(drain, ["a", "b"]))

    assert {status_of(db, post) for post in made} == {"posted"}


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["posted", "posted"], "posted"),
        (["posted", "pending"], "pending"),
        (["posted", "failed"], "failed"),
        (["failed", "held"], "held"),
        (["held", "pending"], "pending"),
    ],
)
def test_the_posts_state_follows_its_deliveries(db, states, status):
    post = approved(db)
    names = ["a", "b"]
    plan(db, *(PostFilter(name=name) for name in names))

    for name, state in zip(names, states, strict=True):
        claimed = claim(db, destination=name)
        deliveries.settle(db, claimed, DeliveryResult(state=state, note="because"))

    assert status_of(db, post) == status


def test_what_sql_says_meanwhile_stays(db):
    post = approved(db)
    plan(db)
    claimed = claim(db)
    db.execute("UPDATE approved_discord_posts SET review_status = 'posted'")

    deliveries.settle(db, claimed, DeliveryResult(state="pending", note="429"))

    assert status_of(db, post) == "posted"
    assert claim(db) is None


def test_a_post_that_somebody_edits_right_now_is_left_alone(db, db_url):
    approved(db, "one")
    approved(db, "two")
    plan(db)
    with connect(db_url) as other, other.transaction():
        other.execute("UPDATE approved_discord_posts SET rating = 5 WHERE text_content = 'one'")

        assert claim(db).text == "two"


def test_the_table_refuses_a_half_state(db):
    approved(db)
    plan(db)

    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute("UPDATE deliveries SET state = 'sending'")


def test_a_claim_under_way_is_open_to_no_decision(db):
    post = approved(db)
    plan(db)
    claim(db)

    for decision in ("hold", "retry", "drop", "mark-posted"):
        with pytest.raises(UsageError, match="being sent right now"):
            decisions.decide(db, id_of(db, post), decision, by="vera")


def test_a_decision_takes_the_claim_from_who_held_it(db, clock):
    post = approved(db)
    plan(db)
    late = claim(db)
    clock.advance(LEASE)

    decisions.decide(db, id_of(db, post), "mark-posted", by="vera")

    with pytest.raises(LostLease):
        deliveries.settle(db, late, DeliveryResult(state="failed"))
    assert delivery_of(db, post)[0] == "posted"
    assert status_of(db, post) == "posted"


def test_the_queue_is_read_through_an_index_however_long_the_past_is(db):
    db.execute(
        "INSERT INTO approved_discord_posts (text_content, review_status, posted_at)"
        " SELECT 'old', 'posted', now() FROM generate_series(1, 20000)"
    )
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, posted_at)"
        " SELECT id, 'news', 'posted', now() - id * interval '1 hour' FROM approved_discord_posts"
    )
    approved(db)
    plan(db)
    db.execute("ANALYZE")

    values = {"wanted": posts._json([NEWS])}
    plan_lines = db.execute(f"EXPLAIN {posts.READ_QUEUES}", values).fetchall()

    assert not [line for (line,) in plan_lines if "Seq Scan on deliveries" in line]


DEEP = PostFilter(name="deep")
WEEK = timedelta(days=7)


def test_what_was_planned_for_a_destination_that_is_gone_keeps_no_post_waiting_for_ever(db):
    post = approved(db)
    plan(db, PostFilter(name="old"), NEWS, now=NOON)
    deliveries.settle(
        at(db, NOON), claim(db, now=NOON), DeliveryResult(state="posted", remote_id="1")
    )

    plan(db, NEWS, now=NOON + WEEK - MINUTE)
    assert status_of(db, post) == "pending"

    plan(db, NEWS, now=NOON + WEEK)
    assert status_of(db, post) == "posted"


def test_a_destination_that_only_another_host_knows_is_left_to_it(db):
    approved(db)
    plan(db, NEWS, DEEP, now=NOON)
    for day in range(1, 30):
        plan(db, NEWS, DEEP, now=NOON + timedelta(days=day))
        plan(db, NEWS, now=NOON + timedelta(days=day, hours=1))

    assert claim(db, destination="deep") is not None


def test_a_destination_that_comes_back_is_planned_for_again(db):
    approved(db)
    plan(db, PostFilter(name="offline"), now=NOON)
    plan(db, NEWS, now=NOON + WEEK)

    assert plan(db, PostFilter(name="offline"), NEWS, now=NOON + WEEK + MINUTE) == 1


@pytest.fixture
def done_by_another_host(db):
    """A post that a host which knows `news` alone has finished; return its id.

    One that knows `deep`, too, has planned an hour before the post was approved.
    """
    plan(db, NEWS, DEEP, now=NOON - timedelta(hours=2))
    post = approved(db, selected_at=NOON - timedelta(hours=1))
    plan(db, NEWS, now=NOON)
    deliveries.settle(
        at(db, NOON), claim(db, now=NOON), DeliveryResult(state="posted", remote_id="1")
    )
    assert status_of(db, post) == "posted"
    return post


def test_a_post_that_another_host_has_finished_is_planned_for_what_that_one_lacks(
    db, done_by_another_host
):
    assert plan(db, NEWS, DEEP, now=NOON + MINUTE) == 1
    assert status_of(db, done_by_another_host) == "pending"

    sent = claim(db, destination="deep", now=NOON + MINUTE)
    deliveries.settle(at(db, NOON + MINUTE), sent, DeliveryResult(state="posted", remote_id="2"))
    assert status_of(db, done_by_another_host) == "posted"
    assert plan(db, NEWS, DEEP, now=NOON + 2 * MINUTE) == 0


def test_a_post_that_another_host_sends_right_now_is_planned_as_well(db):
    plan(db, NEWS, DEEP, now=NOON - timedelta(hours=2))
    post = approved(db)
    plan(db, NEWS, now=NOON)
    claim(db, now=NOON)

    assert plan(db, NEWS, DEEP, now=NOON + MINUTE) == 1
    assert status_of(db, post) == "posting"


def test_a_destination_that_was_gone_for_long_gets_nothing_that_is_done_meanwhile(
    db, done_by_another_host
):
    assert plan(db, NEWS, DEEP, now=NOON + WEEK) == 0
    assert status_of(db, done_by_another_host) == "posted"


def test_a_new_destination_gets_nothing_that_is_done(db, done_by_another_host):
    assert plan(db, NEWS, PostFilter(name="new"), now=NOON + MINUTE) == 0
    assert status_of(db, done_by_another_host) == "posted"


def test_a_destination_that_begins_to_want_more_gets_nothing_that_is_done(db):
    picky = PostFilter(name="deep", tags=("deep",))
    post = approved(db)
    plan(db, NEWS, picky, now=NOON)
    deliveries.settle(
        at(db, NOON), claim(db, now=NOON), DeliveryResult(state="posted", remote_id="1")
    )
    assert status_of(db, post) == "posted"

    assert plan(db, NEWS, DEEP, now=NOON + MINUTE) == 0


@pytest.mark.parametrize("typed", ["posted", "held", "withdrawn"])
def test_what_is_typed_into_a_post_keeps_it_from_being_planned(db, typed):
    plan(db, NEWS, DEEP, now=NOON - timedelta(hours=2))
    post = approved(db)
    plan(db, NEWS, now=NOON)
    db.execute("UPDATE approved_discord_posts SET review_status = %s WHERE id = %s", (typed, post))

    assert plan(db, NEWS, DEEP, now=NOON + MINUTE) == 0
    assert status_of(db, post) == typed
