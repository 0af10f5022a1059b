"""Candidates: in once, judged behind a fence, chosen once, their text copied byte for byte."""

import threading
from datetime import timedelta

import pytest

from botticelli.store import queue
from botticelli.store.curation import choice, duplicates, judging, reviews
from botticelli.store.curation.choice import Choice
from botticelli.store.curation.judging import CRITERIA, Scored
from botticelli.store.generation import batches, candidates, items
from botticelli.store.generation.candidates import Origin
from botticelli.store.leases import LostLease
from botticelli.store.queue import CANDIDATES, ITEMS
from botticelli.text import fingerprint
from tests.database import candidate

LEASE = timedelta(seconds=30)
ORIGIN = Origin(narrative="feature", act="refine", model="m")


def claim(conn, *, limit=10, owner="judge", passed_over=()):
    return judging.claim_batch(conn, owner=owner, limit=limit, lease=LEASE, passed_over=passed_over)


def score(conn, claimed, points=7, model="judge-1"):
    scores = [
        Scored(
            id=one.id,
            text=one.text_content or "",
            points=dict.fromkeys(CRITERIA, points),
            total=5 * points,
            notes=f"note {one.id}",
            judging={"reasons": "because"},
        )
        for one in claimed
    ]
    claims = [one.claim for one in claimed]
    return judging.store_scores(conn, scores, claims=claims, judge_model=model)


def statuses(conn):
    query = "SELECT id, review_status FROM potential_discord_posts ORDER BY id"
    return dict(conn.execute(query).fetchall())


def test_a_model_s_keys_find_their_columns_and_the_others_are_kept(db):
    row = {"text_content": "Hi", "tags": ["a"], "rating": "five", "mood": {"x": 1}, "source": 7}

    [id_] = candidates.insert(db, [row], origin=ORIGIN).ids

    query = (
        "SELECT text_content, tags, rating, source, extra, source_narrative, generation_model,"
        " review_status FROM potential_discord_posts WHERE id = %s"
    )
    assert db.execute(query, (id_,)).fetchone() == (
        "Hi", ["a"], None, None, {"rating": "five", "mood": {"x": 1}, "source": 7},
        "feature", "m", "pending",
    )  # fmt: skip


def test_a_text_that_is_there_already_points_to_the_first_row_with_it(db):
    [first] = candidates.insert(db, [{"text_content": "Hello  *there*"}], origin=ORIGIN).ids

    second = candidates.insert(
        db,
        [{"text_content": "hello there"}, {"text_content": "other"}, {"text_content": "Other"}],
        origin=ORIGIN,
    )

    copy, other, again = second.ids
    assert second.repeats == {copy: first, again: other}
    assert set(statuses(db).values()) == {"pending"}
    query = "SELECT id, duplicate_of FROM potential_discord_posts ORDER BY id"
    assert db.execute(query).fetchall() == [
        (first, None), (copy, first), (other, None), (again, other)
    ]  # fmt: skip


def test_of_workers_with_the_same_text_all_but_one_repeat_it(db, connections):
    start, made = threading.Barrier(4), []

    def work(conn):
        start.wait(timeout=10)
        made.append(candidates.insert(conn, [{"text_content": "same"}], origin=ORIGIN))

    threads = [threading.Thread(target=work, args=(connections(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(len(one.repeats) for one in made) == [0, 1, 1, 1]
    assert {first for one in made for first in one.repeats.values()} == {min(statuses(db))}


def test_an_answer_that_an_item_has_stored_before_is_not_stored_again(db):
    batch = batches.plan(db, "f.n", items=[("a", 1)], options={})
    item = items.claim(db, batch.id, owner="me", lease=LEASE)
    answer = db.execute(
        "INSERT INTO act_executions (item_id, narrative, act_name, sequence_number, inputs_digest,"
        " state, response) VALUES (%s, 'n', 'a', 0, 'd', 'done', '[]') RETURNING id",
        (item.claim.id,),
    ).fetchone()[0]
    origin = Origin(narrative="n", act="a", item_id=item.claim.id, execution_id=answer)
    rows = [{"text_content": "one"}, {"text_content": "one"}]

    first = candidates.insert(db, rows, origin=origin)
    again = candidates.insert(db, rows, origin=origin)

    assert again == candidates.Inserted(ids=first.ids, repeats={}, known=2)
    assert len(statuses(db)) == 2


def test_an_item_that_is_somebody_elses_by_now_leaves_no_candidate(db):
    batch = batches.plan(db, "f.n", items=[("a", 1)], options={})
    item = items.claim(db, batch.id, owner="me", lease=LEASE)
    batches.abandon(db, "f.n")

    with pytest.raises(LostLease), queue.settling(db, ITEMS, claims=[item.claim]):
        candidates.insert(db, [{"text_content": "late"}], origin=ORIGIN)

    assert statuses(db) == {}


def test_two_judges_never_get_the_same_candidate(db, connections):
    ids = [candidate(db, f"post {n}") for n in range(5)]

    mine, theirs = claim(db, limit=3), claim(connections(), limit=3)

    assert [one.id for one in mine] == ids[:3]
    assert [one.id for one in theirs] == ids[3:]
    assert set(statuses(db).values()) == {"judging"}


def test_judges_that_claim_at_once_share_no_batch_out_between_them(db, connections):
    for n in range(40):
        candidate(db, f"post {n}")
    start, sizes = threading.Barrier(4), []

    def work(conn):
        start.wait(timeout=10)
        while claimed := claim(conn, limit=3):
            sizes.append(len(claimed))

    threads = [threading.Thread(target=work, args=(connections(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sorted(sizes) == [1] + [3] * 13


def test_a_killed_judge_leaves_nothing_stuck(db, clock):
    id_ = candidate(db)
    [dead] = claim(db)
    clock.advance(timedelta(seconds=31))

    [again] = claim(db, owner="next")

    assert (again.id, again.fence) == (id_, dead.fence + 1)
    assert score(db, [dead]) == frozenset()
    query = "SELECT judged_at FROM potential_discord_posts"
    assert db.execute(query).fetchone() == (None,)


def test_what_became_of_one_of_a_batch_does_not_cost_the_scores_of_the_others(db):
    taken, other = candidate(db, "one"), candidate(db, "two")
    claimed = claim(db)
    reviews.decide(db, [taken], "reject", by="ann@desk")

    assert score(db, claimed) == {other}
    query = "SELECT id, review_status, judged_at IS NOT NULL FROM potential_discord_posts"
    assert set(db.execute(query)) == {(taken, "rejected", False), (other, "pending", True)}


def test_a_row_set_to_judging_by_hand_is_judged(db):
    id_ = candidate(db, review_status="judging")

    assert [one.id for one in claim(db)] == [id_]


def test_scores_are_kept_and_a_judged_candidate_is_not_judged_again(db):
    id_ = candidate(db)

    score(db, claim(db), points=8)

    query = (
        "SELECT review_status, curation_score, score_tone, curation_notes, judge_model,"
        " judging->>'reasons' FROM potential_discord_posts"
    )
    assert db.execute(query).fetchone() == ("pending", 40, 8, f"note {id_}", "judge-1", "because")
    assert claim(db) == ()
    assert judging.count_waiting(db) == 0


def test_what_is_set_aside_is_rejected_with_its_reason_unless_somebody_has_it_already(db):
    original, copy = candidate(db, "Some *post*"), candidate(db, "some   post")
    claim(db, limit=2)
    aside = [
        duplicates.EarlyRejection(id=copy, note=f"repeats #{original}", duplicate_of=original),
        duplicates.EarlyRejection(id=original, note="has no text"),
    ]

    while_claimed = duplicates.reject_unjudged(db, {}, aside)
    queue.release(db, CANDIDATES, owner="judge")
    afterwards = duplicates.reject_unjudged(db, {}, aside[:1])

    assert (while_claimed, afterwards) == (0, 1)
    query = (
        "SELECT id, review_status, duplicate_of, curation_notes FROM potential_discord_posts"
        " ORDER BY id"
    )
    assert db.execute(query).fetchall() == [
        (original, "pending", None, None),
        (copy, "rejected", original, f"repeats #{original}"),
    ]


def test_what_came_in_by_plain_sql_gets_its_fingerprint(db):
    candidate(db, "Some *post*")

    new = duplicates.list_unjudged(db, after=0)
    duplicates.remember(db, new, window=timedelta(days=9), describe=lambda _: ([], None))

    query = "SELECT content_hash FROM potential_discord_posts"
    assert db.execute(query).fetchone() == (fingerprint("some post"),)


def test_a_candidate_without_a_usable_answer_is_tried_again_and_then_held(db):
    id_ = candidate(db)
    [first] = claim(db)
    judging.requeue(db, [first.claim], error="no answer", max_attempts=2)
    tried = statuses(db)[id_]

    assert claim(db, passed_over=[id_]) == ()
    [second] = claim(db)
    judging.requeue(db, [second.claim], error="no answer", max_attempts=2)

    assert tried == "pending"
    assert statuses(db)[id_] == "held"


def judged(db, *texts, points=7):
    for text in texts:
        candidate(db, text)
    claimed = claim(db)
    score(db, claimed, points=points)
    return [one.id for one in claimed]


def test_the_chosen_are_copied_in_rank_order_byte_for_byte_and_the_others_keep_their_scores(db):
    text = 'Grüße 🎨 "quoted"\r\n\ttab \\ back'
    first, second, third = judged(db, "one", text, "three")

    chosen = choice.settle_choice(db, Choice(best=[third, second]), by="auto")

    assert chosen == choice.Chosen(approved=(third, second), rejected=1)
    rows = db.execute(
        "SELECT candidate_id, text_content, curation_score, approved_by, review_status"
        " FROM approved_discord_posts ORDER BY id"
    ).fetchall()
    assert rows == [(third, "three", 35, "auto", "pending"), (second, text, 35, "auto", "pending")]
    assert statuses(db) == {first: "rejected", second: "approved", third: "approved"}
    query = "SELECT curation_score, curation_notes FROM potential_discord_posts WHERE id = %s"
    assert db.execute(query, (first,)).fetchone() == (35, f"note {first}")


def test_nobody_is_approved_twice_nor_against_a_person_s_word(db):
    first, second = judged(db, "one", "two")
    db.execute("UPDATE potential_discord_posts SET review_status = 'held' WHERE id = %s", (second,))

    once = choice.settle_choice(db, Choice(best=[first, second]), by="auto")
    db.execute(
        "UPDATE potential_discord_posts SET review_status = 'pending' WHERE id = %s", (first,)
    )
    twice = choice.settle_choice(db, Choice(best=[first]), by="auto")

    assert (once.approved, twice.approved) == ((first,), ())
    assert db.execute("SELECT count(*) FROM approved_discord_posts").fetchone() == (1,)
    assert statuses(db)[second] == "held"


CHANGE_TEXT = "UPDATE potential_discord_posts SET text_content = 'SQL' WHERE id = %s"


@pytest.mark.parametrize("is_proposal", [False, True])
def test_a_text_that_is_no_longer_what_was_judged_is_not_chosen_but_judged_again(db, is_proposal):
    same, changed = judged(db, "one", "two")
    db.execute(CHANGE_TEXT, (changed,))
    [seen] = reviews.find_candidates(db, [changed])

    wanted = Choice(best=[changed, same], is_proposal=is_proposal, why={changed: "chosen"})
    chosen = choice.settle_choice(db, wanted, by="auto")

    assert chosen == choice.Chosen(**{"proposed" if is_proposal else "approved": (same,)})
    [found] = reviews.find_candidates(db, [changed])
    assert found.status == "pending"
    assert found.total is None
    assert seen.why == "the text was changed after it was judged"
    assert found.why == "its text was changed after it was judged"
    assert [one.text_content for one in claim(db)] == ["SQL"]


def test_passes_over_another_text_do_not_count(db):
    id_ = candidate(db, "one")
    [first] = claim(db)
    pass_ = Scored(
        id=id_, text="one", points=dict.fromkeys(CRITERIA, 9), total=45, notes="", is_done=False,
        judging={"samples": [{"points": {}}]},
    )  # fmt: skip
    judging.store_scores(db, [pass_], claims=[first.claim], judge_model="m")
    db.execute("UPDATE potential_discord_posts SET lease_expires_at = botticelli_now()")

    [kept] = claim(db)
    db.execute(CHANGE_TEXT, (id_,))
    db.execute("UPDATE potential_discord_posts SET lease_expires_at = botticelli_now()")
    [changed] = claim(db)

    assert (kept.samples, changed.samples) == ([{"points": {}}], [])


def test_only_the_judged_at_or_above_the_threshold_come_up_for_the_choice_best_first(db):
    judged(db, "poor", points=6)
    good = judged(db, "good", points=7)
    best = judged(db, "best", points=9)
    candidate(db, "not judged")

    found = choice.list_judged(db, min_score=35, limit=10)

    assert [one.id for one in found] == [*best, *good]
    assert choice.settle_choice(db, Choice(), by="auto").rejected == 3
    assert choice.list_judged(db, min_score=0, limit=10) == ()


def test_claiming_reads_an_index_however_many_rows_there_are(db):
    db.execute(
        "INSERT INTO potential_discord_posts (text_content, review_status)"
        " SELECT 'x' || n, CASE WHEN n % 50 = 0 THEN 'pending' ELSE 'rejected' END"
        " FROM generate_series(1, 20000) AS n"
    )
    db.execute("ANALYZE potential_discord_posts")
    values = {"owner": "o", "limit": 10, "lease": LEASE, "passed_over": [], "now": None}

    plan = "\n".join(r[0] for r in db.execute("EXPLAIN " + judging.CLAIM, values).fetchall())

    assert "potential_to_judge" in plan
    assert "Seq Scan on potential_discord_posts" not in plan


def test_releasing_is_by_owner(db):
    candidate(db)
    claim(db, owner="me")

    assert queue.release(db, CANDIDATES, owner="me") == 1
    assert set(statuses(db).values()) == {"pending"}
