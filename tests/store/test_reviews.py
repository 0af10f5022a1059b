"""A person's word on candidates: carried out whole, written down, never against what is out."""

import threading
from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.store.curation import judging, reviews
from botticelli.store.curation.reviews import decide, edit, find_candidates, list_candidates
from botticelli.text import fingerprint
from tests.database import candidate

BY = "ann@desk"
LEASE = timedelta(seconds=30)


def posts(db):
    query = (
        "SELECT candidate_id, text_content, review_status, approved_by"
        " FROM approved_discord_posts ORDER BY id"
    )
    return db.execute(query).fetchall()


def deliver(db, id_, state, *, lease=None, posted=False):
    """Put the candidate's post on its way."""
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, lease_expires_at, posted_at)"
        " SELECT id, 'news', %s, CASE WHEN %s::interval IS NOT NULL THEN now() + %s END,"
        " CASE WHEN %s THEN now() END FROM approved_discord_posts WHERE candidate_id = %s",
        (state, lease, lease, posted, id_),
    )


def test_approved_ones_become_posts_in_the_order_they_were_named(db, clock):
    first, second = candidate(db, "One —\n\n*as it is* "), candidate(db, "Two")

    found = decide(db, [second, first, second], "approve", by=BY, note="fine")

    assert posts(db) == [
        (second, "Two", "pending", BY),
        (first, "One —\n\n*as it is* ", "pending", BY),
    ]
    assert [(one.id, one.review_status, one.decided_by) for one in found] == [
        (second, "approved", BY),
        (first, "approved", BY),
    ]
    assert {one.decided_at for one in found} == {clock.now()}
    [event] = found[0].history
    assert (event["event"], event["by"], event["was"], event["note"]) == (
        "approve", BY, "pending", "fine"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "status", "post"), [("reject", "rejected", "withdrawn"), ("hold", "held", "held")]
)
def test_an_approved_post_that_is_not_out_yet_is_taken_back_and_can_come_again(
    db, decision, status, post
):
    id_ = candidate(db, "text")
    decide(db, [id_], "approve", by=BY)

    [found] = decide(db, [id_], decision, by=BY)
    after = posts(db)
    decide(db, [id_], "approve", by="bob@desk")

    assert found.review_status == status
    assert after == [(id_, "text", post, BY)]
    assert posts(db) == [(id_, "text", "pending", "bob@desk")]
    assert [each["event"] for each in found.history] == ["approve", decision]


def test_approving_twice_makes_one_post(db):
    id_ = candidate(db)

    decide(db, [id_], "approve", by=BY)
    decide(db, [id_], "approve", by=BY)

    assert len(posts(db)) == 1


def test_two_people_who_approve_the_same_list_make_each_post_once(db, connections):
    ids = [candidate(db, f"post {n}") for n in range(20)]
    start, errors = threading.Barrier(4), []

    def work(conn, order):
        start.wait(timeout=10)
        try:
            decide(conn, order, "approve", by=BY)
        except Exception as error:  # noqa: BLE001 - a deadlock, for one, must fail the test
            errors.append(error)

    orders = [ids, ids[::-1], ids[10:] + ids[:10], ids]
    threads = [threading.Thread(target=work, args=(connections(), order)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert errors == []
    assert sorted(post[0] for post in posts(db)) == ids


@pytest.mark.parametrize(
    ("state", "options", "words"),
    [
        ("sending", {"lease": LEASE}, "its post is being sent right now; wait a minute"),
        ("posted", {"posted": True}, "its post was published; take it back with"),
    ],
)
def test_what_is_out_or_under_way_is_not_decided_about(db, state, options, words):
    id_, other = candidate(db, "text"), candidate(db, "other")
    decide(db, [id_], "approve", by=BY)
    deliver(db, id_, state, **options)

    for change in (
        lambda: decide(db, [other, id_], "reject", by=BY),
        lambda: edit(db, id_, text="new", by=BY),
    ):
        with pytest.raises(UsageError) as caught:
            change()
        assert str(caught.value).startswith(f"candidate {id_}: {words}")

    assert [one.review_status for one in find_candidates(db, [other, id_])] == [
        "pending", "approved"
    ]  # fmt: skip


def test_a_decision_waits_for_a_post_that_is_being_claimed_and_then_sees_it(db, connections):
    id_ = candidate(db, "text")
    decide(db, [id_], "approve", by=BY)
    deliver(db, id_, "pending")
    poster, caught, begun = connections(), [], threading.Event()

    def work(conn):
        begun.set()
        try:
            decide(conn, [id_], "reject", by=BY)
        except UsageError as error:
            caught.append(error)

    thread = threading.Thread(target=work, args=(connections(),))
    with poster.transaction():
        poster.execute("SELECT FROM approved_discord_posts FOR UPDATE")
        thread.start()
        begun.wait(timeout=10)
        poster.execute("UPDATE deliveries SET state = 'sending', lease_expires_at = now() + '1 h'")
    thread.join(timeout=30)

    assert "being sent right now" in str(caught[0])
    assert posts(db) == [(id_, "text", "pending", BY)]


def test_all_or_none(db):
    id_ = candidate(db)

    with pytest.raises(UsageError, match="there is no candidate 77, 99"):
        decide(db, [id_, 77, 99], "approve", by=BY)

    assert posts(db) == []


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_what_has_no_text_cannot_be_approved(db, text):
    id_ = candidate(db, text)

    with pytest.raises(UsageError, match="it has no text to publish"):
        decide(db, [id_], "approve", by=BY)


@pytest.mark.parametrize("change", ["text_content = 'other'", "review_status = 'rejected'"])
def test_who_decided_by_something_else_than_what_is_there_is_told(db, change):
    id_ = candidate(db, "seen")
    seen = find_candidates(db, [id_])
    db.execute(f"UPDATE potential_discord_posts SET {change}")

    with pytest.raises(UsageError, match="changed meanwhile"):
        decide(db, [id_], "approve", by=BY, seen=seen)
    with pytest.raises(UsageError, match="changed meanwhile"):
        edit(db, id_, text="new", by=BY, seen=seen[0])

    assert posts(db) == []


def test_an_edit_changes_the_post_too_and_keeps_what_was(db):
    id_ = candidate(db, "before")
    decide(db, [id_], "approve", by=BY)

    found = edit(db, id_, text="after\0", by="bob@desk")

    assert found.text_content == "after"
    assert posts(db) == [(id_, "after", "pending", BY)]
    event = found.history[-1]
    assert (event["event"], event["by"], event["was"]) == ("edit", "bob@desk", "before")
    query = "SELECT content_hash FROM potential_discord_posts"
    assert db.execute(query).fetchone() == (fingerprint("after"),)


def test_an_edit_takes_the_text_away_from_a_judge_that_is_at_it(db):
    id_ = candidate(db, "before")
    [old] = judging.claim_batch(db, owner="judge", limit=1, lease=LEASE)

    edit(db, id_, text="after", by=BY)
    judging.requeue(db, [old.claim], error="late", max_attempts=1)
    [new] = judging.claim_batch(db, owner="next", limit=1, lease=LEASE)

    assert (new.id, new.text_content, new.attempts) == (id_, "after", 0)


def test_nothing_is_no_text(db):
    id_ = candidate(db, "before")

    with pytest.raises(UsageError, match="the new text is empty"):
        edit(db, id_, text=" \n", by=BY)


def test_proposals_come_first_in_their_order_and_then_the_best(db):
    scored = [("pending", 41, None), ("held", 40, 2), ("pending", 45, None), ("held", 38, 1)]
    ids = [
        candidate(db, f"{n}", review_status=status, curation_score=score)
        for n, (status, score, _) in enumerate(scored)
    ]
    for id_, (*_, place) in zip(ids, scored, strict=True):
        if place:
            judged = Jsonb({"proposed": place})
            db.execute(
                "UPDATE potential_discord_posts SET judging = %s WHERE id = %s", (judged, id_)
            )
    candidate(db, "not asked for", review_status="rejected")

    found = list_candidates(db, statuses=["held", "pending"], limit=10)

    assert [one.id for one in found] == [ids[3], ids[1], ids[2], ids[0]]
    assert len(list_candidates(db, statuses=["held", "pending"], limit=3)) == 3
    assert reviews.find_candidates(db, [ids[2], ids[0]])[0].id == ids[2]
