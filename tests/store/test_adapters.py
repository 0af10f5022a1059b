"""Rows that nobody expected are read all the same: by hand, by SQL, of a hostile dump."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.types.json import Jsonb

from botticelli.store import adapters, ledger
from botticelli.store.adapters import EARLIEST, LATEST
from botticelli.store.curation import choice, judging, reviews
from botticelli.store.curation.judging import CRITERIA
from botticelli.store.delivery import decisions, deliveries, schedule
from botticelli.store.delivery.posts import PostFilter
from botticelli.store.generation import batches
from botticelli.store.reads import runs, trace
from botticelli.store.tables.rows import insert_rows
from tests.database import approved, candidate, insert


def test_every_value_can_be_read(db):
    instants = {
        "infinity": LATEST, "-infinity": EARLIEST, "290000-01-01": LATEST, "10000-01-01": LATEST,
        "9999-12-31 23:59:59+00": LATEST, "0044-03-15 BC": EARLIEST, "0001-01-01": EARLIEST,
        "2026-11-24 12:00Z": datetime(2026, 11, 24, 12, tzinfo=UTC),
    }  # fmt: skip
    for text, shown in instants.items():
        assert db.execute("SELECT %s::timestamptz", [text]).fetchone() == (shown,)
        assert db.execute("SELECT ARRAY[%s::timestamptz]", [text]).fetchone() == ([shown],)
    for text, shown in {"NaN": "0", "1.50": "1.50", "-1e40": "-1e40"}.items():
        assert db.execute("SELECT %s::numeric", [text]).fetchone() == (Decimal(shown),)
    documents = {
        "repeat('[', 2000) || repeat(']', 2000)": None,
        "repeat('9', 5000)": float("inf"),
        "'1e999'": 10**999,
        "'{\"a\": 12345678901234567890}'": {"a": 12345678901234567890},
    }
    for text, shown in documents.items():
        assert db.execute(f"SELECT ({text})::jsonb").fetchone() == (shown,)


@pytest.mark.parametrize("value", [5, "x", None, True, {}, [], [5, None, {"a": 1}], {"a": 1}])
def test_json_has_the_shape_that_is_asked_for(value):
    assert adapters.as_object(value) == (value if isinstance(value, dict) else {})
    assert all(isinstance(each, dict) for each in adapters.as_objects(value))


ODD = [
    5, "x", None, True, 1.5, [], [[]], {}, [5], {"samples": 5}, {"samples": [5, None, "x"]},
    {"samples": [{"points": 5}]}, {"samples": [{"execution": "9" * 40}]}, {"fails": 5},
    {"samples": [{"execution": 1.5}, {"execution": 1e300}]}, {"proposed": "x", "place": []},
    {"fails": {"a": 1}}, {"reserved": 1, "proposed": 10**30}, {"samples": {"execution": 1}},
    {"a": "infinity"}, [5, {"at": "x"}, {"at": 5}], {"at": "x"}, [{"at": "never"}],
    [{"at": "infinity"}], {"remote_id": 5}, [5, None], [{"url": 5}],
]  # fmt: skip


def test_candidates_with_odd_json_are_listed_judged_and_traced(db):
    honest = candidate(db, "an honest text", curation_score=40, judged_at=datetime.now(UTC))
    odd = candidate(db, "an odd one")
    for value in ODD:
        db.execute(
            "UPDATE potential_discord_posts SET judging = %(j)s, history = %(j)s, tags = %(j)s,"
            " judge_model = 'm', generated_at = 'infinity', curation_score = 'NaN',"
            " review_status = 'pending', lease_expires_at = NULL WHERE id = %(id)s",
            {"j": Jsonb(value), "id": odd},
        )
        (seen,) = reviews.find_candidates(db, [odd])
        assert isinstance(seen.judging, dict), value
        assert all(isinstance(one, dict) for one in seen.history), value
        assert trace.trace_post(db, "candidate", str(odd)), value
        assert [one.id for one in choice.list_judged(db, min_score=10, limit=9)] == [honest]
        assert reviews.list_candidates(db, statuses=["pending"], limit=9), value
        claimed = judging.claim_batch(db, owner="me", limit=9, lease=timedelta(minutes=1))
        assert [one.id for one in claimed] == [odd], value
        assert all(isinstance(one, dict) for one in claimed[0].samples), value


def test_deliveries_and_runs_with_odd_json_are_listed(db):
    post = approved(db)
    delivery = insert(
        db, "deliveries", post_id=post, destination="news", state="held", created_at="infinity"
    )
    run = insert(
        db, "runs", stage="post", host="h", pid=1, state="done", started_at="-infinity",
        ended_at="infinity",
    )  # fmt: skip
    for value in ODD:
        changes = {"j": Jsonb(value)}
        db.execute("UPDATE deliveries SET parts = %(j)s, history = %(j)s", changes)
        db.execute("UPDATE runs SET summary = %(j)s", changes)

        seen = decisions.find_delivery(db, delivery)
        assert all(isinstance(one, dict) for one in (*seen.parts, *seen.history)), value
        assert isinstance(runs.past_runs(db, limit=5)[0].summary, dict), value
        runs.steps_of(db, run)
        deliveries.known_ids(db, "news", since=EARLIEST)
        assert trace.trace_post(db, "post", str(post)), value


def test_stages_batches_and_accounts_with_odd_json_go_on(db):
    approved(db)
    db.execute("INSERT INTO batches (narrative) VALUES ('n')")
    db.execute("INSERT INTO ledger (key) VALUES ('k')")
    until = {"until": "infinity"}
    lessons = [
        {"rpm": 5}, {"rpm": {"until": "x"}}, {"rpm": until}, {"rpm": {**until, "limit": "many"}},
        {"rpm": {**until, "limit": 5}}, {"asked": "x"}, {"asked": [1]}, {"destinations": 5},
        {"destinations": {"x": "y", "news": 5}},
    ]  # fmt: skip
    for value in [*ODD, *lessons]:
        changes = {"j": Jsonb(value)}
        db.execute("UPDATE actor_server_state SET metadata = %(j)s", changes)
        db.execute("UPDATE batches SET options = %(j)s", changes)
        db.execute("UPDATE ledger SET learned = %(j)s", changes)
        db.execute("DELETE FROM deliveries")

        assert schedule.plan(db, [PostFilter(name="news")]) == 1, value
        assert isinstance(batches.peek_open(db, "n").options, dict), value
        assert batches.find_last(db, "n"), value
        (account,) = ledger.accounts(db, window=ledger.Window())
        assert account.learned in ({}, {"rpm": 5}), value


PLANTED = {
    "judging": {"samples": [{"points": dict.fromkeys(CRITERIA, 18)}] * 2}, "judge_model": "me",
    "review_status": "approved", "reviewStatus": "approved", "curation_score": 50, "id": 7,
    "curationScore": 50, "score_engagement": 10, "score_clarity": 10, "score_value": 10,
    "score_tone": 10, "score_polish": 10, "curation_notes": "good", "decided_at": "2026-01-01",
    "decided_by": "ada", "content_hash": "x", "duplicate_of": 1, "run_id": 1, "item_id": 1,
    "execution_id": 1, "history": [{"event": "approved"}], "lease_owner": "me", "fence": 2**62,
    "lease_expires_at": "infinity", "attempts": 2**31 - 1, "last_error": "x", "judged_at": "now",
    "source_narrative": "other", "source_act": "other", "generation_model": "offline",
    "extra": {"a": 1}, "JUDGING": 5, "Judging": {}, "decision_reason": "x", "generated_at": "now",
}  # fmt: skip


def test_no_answer_fills_a_column_of_ours(db):
    insert_rows(db, "potential_discord_posts", rows=[{"text_content": "honest"}])
    for key, value in PLANTED.items():
        insert_rows(db, "potential_discord_posts", rows=[{"text_content": "BUY", key: value}])

    rows = db.execute("SELECT to_jsonb(p) FROM potential_discord_posts AS p ORDER BY id").fetchall()
    honest, *planted = (row[0] for row in rows)
    theirs = {"id", "generated_at", "text_content", "extra"}
    for (key, value), found in zip(PLANTED.items(), planted, strict=True):
        assert found["extra"] == {key: value}
        assert all(found[name] == honest[name] for name in found.keys() - theirs), key


def test_what_a_model_says_of_an_approval_is_not_one(db):
    row = {
        "text_content": "x", "approved_by": "ada", "approved_hash": "x", "candidate_id": 1,
        "review_status": "posted", "posted_at": "2026-01-01T00:00:00Z", "selected_at": "now",
    }  # fmt: skip
    insert_rows(db, "approved_discord_posts", rows=[row])

    found = db.execute("SELECT * FROM approved_discord_posts").fetchone()
    assert db.execute("SELECT extra FROM approved_discord_posts").fetchone()[0].keys() == (
        row.keys() - {"text_content"}
    )
    assert "ada" not in found


VALUES = [
    ("numeric(38,10)", 10**27), ("numeric(38,10)", 123456789012345678901234567.25),
    ("numeric(38,10)", 1e-300), ("numeric(5,2)", "9" * 40), ("numeric(3,0)", 999.5),
    ("numeric(1000,500)", 1.5), ("timestamptz", "9999-12-31T23:59:59-23:59"),
    ("timestamptz", "0001-01-01T00:00:00+23:59"), ("timestamptz", "infinity"), ("bigint", 2**63),
    ("date", "9999-12-31"), ("time", "12:00:00+02:00"), ("integer", 1e308), ("inet", "1.2.3"),
    ("real", 1e39), ("double precision", 10**400), ("uuid", "x"), ("boolean", 2), ("money", "?"),
    ("text[]", [[1]]), ("integer[]", [1, [2]]), ("bytea", "\\x0"), ("interval", "a while"),
    ("point", "(1"), ("int4range", "[5"), ("bit(3)", "11111"), ("jsonb", float("nan")),
    ("jsonb", "\x00"), ("varchar(3)", "four"), ("char(1)", "ab"), ("oid", "-1"),
    ("name", "x" * 100), ("tsvector", "'a"), ("cidr", "1.2.3.4/8"), ("xid8", "x"),
]  # fmt: skip


def test_no_value_of_an_answer_ends_the_run_that_stores_it(db):
    for number, (kind, value) in enumerate(VALUES):
        table = f"mine_{number}"
        db.execute(f"CREATE TABLE {table} (v {kind}, t text, extra jsonb DEFAULT '{{}}')")

        insert_rows(db, table, rows=[{"v": value, "t": "kept"}, {"t": "honest"}])

        found = db.execute(f"SELECT v, t FROM {table}").fetchall()
        assert [text for _, text in found] == ["kept", "honest"], (kind, value)


def test_an_answer_as_deep_as_json_goes_is_stored(db):
    deep = []
    for _ in range(900):
        deep = [deep]

    insert_rows(
        db, "potential_discord_posts", rows=[{"text_content": "x", "tags": deep, "y": deep}]
    )

    assert db.execute("SELECT text_content FROM potential_discord_posts").fetchall() == [("x",)]
