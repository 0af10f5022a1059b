"""The way back from a decision or an edit: everything is as it was before it."""

from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.store.curation import choice, content
from botticelli.store.curation.choice import Choice
from botticelli.store.curation.reviews import decide, edit, find_candidates
from botticelli.store.curation.undo import undo
from botticelli.text import fingerprint
from tests.database import candidate

BY = "ann@desk"


def candidates(db, id_):
    """Return what an undo has to bring back: the candidate's row, and its post's."""
    mine = (
        "SELECT review_status, text_content, content_hash, decided_by, decided_at, decision_reason"
        " FROM potential_discord_posts WHERE id = %s"
    )
    post = (
        "SELECT review_status, text_content, approved_by, approved_hash"
        " FROM approved_discord_posts WHERE candidate_id = %s"
    )
    return [db.execute(query, (id_,)).fetchone() for query in (mine, post)]


DECISIONS = {
    "approve": lambda db, id_: decide(db, [id_], "approve", by="bob", note="well"),
    "reject": lambda db, id_: decide(db, [id_], "reject", by="bob", note="dull"),
    "hold": lambda db, id_: decide(db, [id_], "hold", by="bob", note="later"),
    "edit": lambda db, id_: edit(db, id_, text="other", by="bob"),
}


@pytest.mark.parametrize("what", DECISIONS)
@pytest.mark.parametrize("before", ["nothing", *DECISIONS])
def test_undo_brings_back_what_was_before(db, clock, before, what):
    id_ = candidate(db, "text", content_hash=fingerprint("text"))
    if before != "nothing":
        DECISIONS[before](db, id_)
        clock.advance(timedelta(minutes=1))
    was, post = candidates(db, id_)
    DECISIONS[what](db, id_)
    assert candidates(db, id_) != [was, post] or what == before

    [found] = undo(db, [id_], by=BY)

    now, post_now = candidates(db, id_)
    assert now == was
    if post is not None:
        assert post_now == post
    elif post_now is not None:
        assert post_now[0] == "withdrawn"
    assert (found.history[-1]["event"], found.history[-1]["by"]) == ("undo", BY)


def test_undo_again_takes_back_the_one_before(db):
    id_ = candidate(db, "one")
    edit(db, id_, text="two", by="bob", approve=True)
    decide(db, [id_], "reject", by="bob")

    seen = [
        (one.review_status, one.text_content) for _ in range(3) for one in undo(db, [id_], by=BY)
    ]

    assert seen == [("approved", "two"), ("pending", "two"), ("pending", "one")]
    with pytest.raises(UsageError, match="nobody has decided about it or edited it; it is pending"):
        undo(db, [id_], by=BY)


def test_what_curate_decided_becomes_pending_again(db):
    best, other = (candidate(db, text, curation_score=40) for text in ("best", "other"))
    db.execute("UPDATE potential_discord_posts SET judged_at = now()")
    choice.settle_choice(db, Choice(best=[best]), by="auto")

    found = undo(db, [best, other], by=BY)

    assert [(one.review_status, one.decided_by) for one in found] == [("pending", None)] * 2
    assert candidates(db, best)[1][0] == "withdrawn"


def test_a_proposal_is_a_proposal_again(db):
    id_ = candidate(db, review_status="held", judging=Jsonb({"proposed": 1}))
    decide(db, [id_], "approve", by="bob")

    assert [one.status for one in undo(db, [id_], by=BY)] == ["proposed"]


@pytest.mark.parametrize(
    ("event", "was", "text"),
    [("reject", "approved", "text"), ("hold", "pending", "text"), ("edit", "older", "older")],
)
def test_decisions_of_older_versions_can_be_undone(db, event, was, text):
    history = [{"at": "2026-01-01T00:00:00+00:00", "event": event, "by": "bob", "was": was}]
    id_ = candidate(db, "text", review_status="rejected", history=Jsonb(history))

    [found] = undo(db, [id_], by=BY)

    assert found.text_content == text
    assert found.review_status == ("rejected" if event == "edit" else was)


@pytest.mark.parametrize(
    ("state", "words"),
    [("sending", "being sent right now"), ("posted", "was published; take it back with")],
)
def test_what_is_out_or_under_way_is_not_undone(db, state, words):
    id_, other = candidate(db, "text"), candidate(db, "other")
    decide(db, [id_, other], "approve", by="bob")
    lease = timedelta(minutes=1) if state == "sending" else None
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, lease_expires_at, posted_at)"
        " SELECT id, 'news', %s, now() + %s, CASE WHEN %s::interval IS NULL THEN now() END"
        " FROM approved_discord_posts WHERE candidate_id = %s",
        (state, lease, lease, id_),
    )

    with pytest.raises(UsageError, match=words):
        undo(db, [other, id_], by=BY)

    assert [one.review_status for one in find_candidates(db, [other, id_])] == ["approved"] * 2


def test_undo_looks_whether_it_is_as_it_was_seen(db):
    id_ = candidate(db, "text")
    seen = decide(db, [id_], "reject", by="bob")
    decide(db, [id_], "hold", by="eve")

    with pytest.raises(UsageError, match="changed meanwhile"):
        undo(db, [id_], by=BY, seen=seen)


def test_content_review_knows_the_way_back_to_pending(db):
    id_ = candidate(db, "text")
    decide(db, [id_], "approve", by="bob")

    content.review(db, content.CANDIDATES, id_=id_, status="pending", by=BY)

    assert [row[0] for row in candidates(db, id_)] == ["pending", "withdrawn"]
