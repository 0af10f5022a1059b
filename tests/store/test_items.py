"""Batches and their items: planned whole, claimed in a good order, resumed, abandoned."""

from datetime import timedelta

import psycopg
import pytest

from botticelli.store.generation import batches, items

LEASE = timedelta(seconds=30)
PLAN = [("a", 1), ("b", 1), ("a", 2)]


@pytest.fixture
def batch(db, clock):
    return batches.plan(db, "file.name", items=PLAN, options={"models": ["m"]})


@pytest.fixture
def claim(db, batch, clock):
    def claim_next(**more):
        return items.claim(db, batch.id, owner="me", lease=LEASE, **more)

    return claim_next


def answered(db, item_id, *sequences, state="done"):
    """Store answers to acts of an item."""
    for sequence in sequences:
        db.execute(
            "INSERT INTO act_executions"
            " (item_id, narrative, act_name, sequence_number, inputs_digest, state, response)"
            " VALUES (%s, 'a', 'act', %s, 'd', %s, 'r')",
            (item_id, sequence, state),
        )


def named(item):
    return (item.narrative, item.iteration)


def test_a_batch_is_planned_whole_or_not_at_all(db):
    with pytest.raises(psycopg.errors.UniqueViolation):
        batches.plan(db, "file.name", items=[("a", 1), ("a", 1)], options={})

    assert db.execute("SELECT count(*) FROM batches").fetchone() == (0,)


def test_items_are_claimed_in_the_order_planned(claim):
    assert [named(claim()) for _ in range(3)] == PLAN
    assert claim() is None


def test_the_item_with_most_acts_left_comes_first_and_under_a_daily_cap_the_one_with_fewest(
    db, batch, claim
):
    first, second, third = (claim() for _ in range(3))
    answered(db, second.id, 0, 1, 1)
    answered(db, third.id, 0)
    answered(db, third.id, 1, state="failed")
    for item in (first, second, third):
        items.requeue(db, item)

    level_first = [claim() for _ in range(3)]

    assert [(item.id, item.acts_done) for item in level_first] == [
        (first.id, 0), (third.id, 1), (second.id, 2)
    ]  # fmt: skip
    for item in level_first:
        items.requeue(db, item)
    assert claim(deepest_first=True).id == second.id


def test_what_a_killed_worker_had_got_is_counted_when_its_batch_is_found_again(db, claim):
    item = claim()
    answered(db, item.id, 0, 1)

    found = batches.find_open(db, "file.name")

    assert found.options == {"models": ["m"]}
    depth = "SELECT acts_done FROM generation_items WHERE id = %s"
    assert db.execute(depth, (item.id,)).fetchone() == (2,)


def test_an_item_that_is_put_back_waits_until_its_time(db, batch, claim, clock):
    item = claim()
    items.requeue(db, item, error="busy", wait=timedelta(seconds=9))
    others = [claim().id, claim().id]

    waiting = batches.progress(db, batch.id)
    clock.advance(timedelta(seconds=9))
    again = claim()

    assert item.id not in others
    assert waiting.next_at == clock.now()
    assert (again.id, again.attempts) == (item.id, 1)


def test_giving_an_item_back_without_a_failure_counts_no_attempt(db, claim):
    items.requeue(db, claim())

    assert claim().attempts == 0


def test_progress_and_the_end_of_a_batch(db, batch, claim, clock):
    items.settle_done(db, claim())
    items.settle_failed(db, claim(), error="blocked")
    last = claim()
    under_way = batches.progress(db, batch.id)

    early = batches.finish(db, batch.id)
    items.settle_done(db, last)
    finished = batches.finish(db, batch.id)

    assert (under_way.done, under_way.failed, under_way.running, under_way.left) == (1, 1, 1, 1)
    assert (early, finished) == (False, True)
    assert batches.find_open(db, "file.name") is None
    assert batches.list_failures(db, batch.id) == (("b", 1, "blocked"),)


def test_an_abandoned_batch_is_fenced_off_from_who_still_works_at_it(db, batch, claim):
    item = claim()

    assert batches.abandon(db, "file.name") == 3

    assert items.settle_done(db, item) is False
    assert batches.find_open(db, "file.name") is None
    assert claim() is None


def test_of_what_others_are_at_only_answered_acts_count(db, claim):
    mine, others = claim(), claim()
    answered(db, others.id, 1, 2)
    answered(db, others.id, 3, state="failed")
    answered(db, mine.id, 1, 2, 3)

    [other] = items.list_under_way(db, mine)

    assert (other.narrative, other.acts_done) == (others.narrative, 2)


def test_batches_of_other_narratives_are_left_alone(db, batch):
    assert batches.find_open(db, "file.other") is None
    assert batches.abandon(db, "file.other") == 0


def test_what_others_are_at_is_told_with_the_answers_they_have(db, batch, claim):
    mine, theirs = claim(), claim()
    answered(db, theirs.id, 0)

    [other] = items.list_under_way(db, mine)

    assert (other.narrative, other.acts_done) == ("b", 1)
    waiting = batches.list_waiting(db, batch.id)
    assert {one.narrative: one.items for one in waiting} == {"a": 2, "b": 1}


def test_who_has_lost_an_item_takes_nothing_from_who_holds_it(db, claim, clock):
    late = claim()
    clock.advance(LEASE + timedelta(seconds=1))
    holder = claim()
    items.keep(db, holder.id, "0.0", '"seen"')

    assert not items.settle_failed(db, late, error="late")

    assert holder.id == late.id
    assert items.recall(db, holder.id, "0.0") == '"seen"'
    assert items.settle_done(db, holder)
    assert items.recall(db, holder.id, "0.0") is None


def test_the_next_item_of_a_long_batch_is_found_without_looking_at_the_others(db):
    todo = [("n", number) for number in range(1, 5001)]
    long = batches.plan(db, "f.long", items=todo, options={}).id
    db.execute("ANALYZE generation_items")
    values = {"batch_id": long, "owner": "o", "lease": timedelta(minutes=1)}
    with db.transaction(force_rollback=True):
        (plan,) = db.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {items.CLAIM}", values).fetchone()

    assert most_rows(plan[0]["Plan"]) == 1


def most_rows(node):
    """Return the largest number of rows that a part of the plan has returned or thrown away."""
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return max([own, *map(most_rows, node.get("Plans", ()))])
