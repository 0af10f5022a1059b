"""Rows of any table: no row is lost for its shape, no two runs consume the same row."""

from datetime import timedelta

import pytest

from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.store.connection import connect
from botticelli.store.leases import LostLease
from botticelli.store.tables import row_leases
from botticelli.store.tables.columns import TableError, columns_of
from botticelli.store.tables.outputs import NewRows, RunOutputs, generations, store_outputs
from botticelli.store.tables.row_leases import LeaseTerms
from botticelli.store.tables.rows import Change, Query, insert_rows, read_rows, update_rows

POSTS = "potential_discord_posts"


def one(db, statement, *values):
    return db.execute(statement, values).fetchone()


def test_unknown_keys_of_a_declared_table_go_to_extra(db):
    (id_,) = insert_rows(db, POSTS, rows=[{"text_content": "x", "mood": "calm"}])

    assert one(db, f"SELECT id, text_content, extra FROM {POSTS}") == (id_, "x", {"mood": "calm"})


def test_an_answer_cannot_decide_what_a_program_decides(db):
    row = {"text_content": "x", "id": 99, "review_status": "approved", "lease_owner": "me"}
    insert_rows(db, POSTS, rows=[row], metadata={"source_act": "a", "item_id": None})

    found = one(db, f"SELECT id, review_status, lease_owner, source_act, extra FROM {POSTS}")
    assert found == (
        1,
        "pending",
        None,
        "a",
        {"id": 99, "review_status": "approved", "lease_owner": "me"},
    )


@pytest.mark.parametrize(
    ("key", "value", "shown", "kept"),
    [
        ("tags", ["a"], ["a"], None),
        ("tags", "a, b", "a, b", None),
        ("text_content", 5, "5", 5),
        ("text_content", {"a": 1}, '{"a": 1}', {"a": 1}),
        ("rating", "4", 4, "4"),
        ("rating", 4.5, None, 4.5),
        ("rating", "many", None, "many"),
        ("rating", 10**12, None, 10**12),
        ("curation_score", 1e9, None, 1e9),
        ("score_value", 11, None, 11),
        ("text_content", "a\x00b", "a\ufffdb", None),
        ("text_content", "\ud800", "?", None),
    ],
)
def test_no_row_is_lost_for_a_value_that_does_not_fit(db, key, value, shown, kept):
    insert_rows(db, POSTS, rows=[{"source": "s", key: value}])

    column, source, extra = one(db, f"SELECT {key}, source, extra FROM {POSTS}")
    assert (column, source) == (shown, "s")
    assert extra.get(key) == kept


def test_keys_find_their_column_in_other_spellings(db):
    insert_rows(db, POSTS, rows=[{"textContent": "x", "Content_Type": "y", "SOURCE": "z"}])

    assert one(db, f"SELECT text_content, content_type, source FROM {POSTS}") == ("x", "y", "z")


def test_arrays_stay_arrays(db):
    insert_rows(db, "content", rows=[{"content_type": "a", "tags": ["x"], "media_urls": []}])
    insert_rows(db, "content", rows=[{"content_type": "b", "tags": "x"}])

    found = db.execute("SELECT tags, media_urls FROM content ORDER BY id").fetchall()
    assert found == [(["x"], []), (["x"], None)]


def test_a_row_that_a_table_cannot_take_is_an_error_not_a_loss(db):
    db.execute("CREATE TABLE strict (id bigint PRIMARY KEY, kind text NOT NULL, n int)")
    with pytest.raises(TableError, match="kind"):
        insert_rows(db, "strict", rows=[{"id": 1, "kind": "a"}, {"id": 2, "n": 1}])

    assert one(db, "SELECT count(*) FROM strict") == (0,)


TEMPLATE = """
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE guilds (id bigint PRIMARY KEY, name varchar(10) NOT NULL, owner_id bigint NOT NULL,
                     features text[], mood mood, tags jsonb, born date)
"""


def test_a_template_gives_its_columns_and_types(db):
    db.execute(TEMPLATE)
    row = {
        "id": "123456789012345678",
        "name": "way too long a name",
        "features": ["A"],
        "mood": "wild",
        "born": "2026-01-02",
        "odd": 1,
    }
    insert_rows(db, "potential_guilds", rows=[row], template="guilds")

    columns = {name: column.type for name, column in columns_of(db, "potential_guilds").items()}
    assert columns["name"] == "character varying(10)"
    assert columns["features"] == "text[]"
    assert columns["mood"] == "mood"
    found = one(
        db, "SELECT id, name, features, mood::text, born::text, extra FROM potential_guilds"
    )
    assert found == (
        123456789012345678,
        None,
        ["A"],
        "wild",
        "2026-01-02",
        {"id": "123456789012345678", "name": "way too long a name", "odd": 1},
    )
    assert one(db, "SELECT count(*) FROM guilds") == (0,)
    assert one(db, "SELECT template_source FROM content_generation_tables") == ("guilds",)


def test_an_id_that_is_taken_gets_a_new_one(db):
    db.execute(TEMPLATE)
    for _ in range(2):
        insert_rows(db, "potential_guilds", rows=[{"id": 5, "name": "x"}], template="guilds")

    assert db.execute("SELECT count(DISTINCT id), count(*) FROM potential_guilds").fetchone() == (
        2,
        2,
    )


def test_a_template_that_is_not_there_is_inferred(db):
    insert_rows(db, "made", rows=[{"a": 1}], template="nothing")

    assert columns_of(db, "made")["a"].base == "bigint"


TERMS = LeaseTerms(owner="one", duration=timedelta(minutes=1))
OTHER = LeaseTerms(owner="two", duration=timedelta(minutes=1))


def filled(db, count=3):
    for number in range(count):
        db.execute(f"INSERT INTO {POSTS} (text_content) VALUES (%s)", [str(number)])


def expire(db):
    db.execute("UPDATE row_leases SET lease_expires_at = botticelli_now() - interval '1 second'")


def test_two_runs_never_consume_the_same_row(db, db_url):
    filled(db)
    with connect(db_url) as second:
        first = read_rows(db, Query(table=POSTS, limit=2), lease=TERMS)
        rest = read_rows(second, Query(table=POSTS, limit=2), lease=OTHER)

    assert set(first.keys) & set(rest.keys) == set()
    assert len(rest.rows) == 1


def test_ordinary_reads_see_leased_rows(db):
    filled(db)
    read_rows(db, Query(table=POSTS), lease=TERMS)

    assert len(read_rows(db, Query(table=POSTS)).rows) == 3


def test_an_expired_lease_can_be_taken_and_its_late_owner_removes_nothing(db):
    filled(db, 1)
    late = read_rows(db, Query(table=POSTS), lease=TERMS)
    expire(db)
    taken = read_rows(db, Query(table=POSTS), lease=OTHER)

    assert taken.leases[0].fence == late.leases[0].fence + 1
    for act in (row_leases.consume, lambda c, held: row_leases.renew(c, held, terms=TERMS)):
        with pytest.raises(LostLease):
            act(db, late.leases)
    assert row_leases.release(db, late.leases) == 0
    assert one(db, f"SELECT count(*) FROM {POSTS}") == (1,)
    assert row_leases.consume(db, taken.leases) == 1
    assert one(db, f"SELECT count(*) FROM {POSTS}") == (0,)


@pytest.mark.parametrize(
    "table",
    ["CREATE TABLE t (a text)", "CREATE TABLE t (a text, b int DEFAULT 1, PRIMARY KEY (a, b))"],
)
def test_tables_without_an_id_can_be_consumed_too(db, table):
    db.execute(table)
    db.execute("INSERT INTO t (a) VALUES ('x,\"'), ('y')")
    found = read_rows(db, Query(table="t", where="a <> 'y'"), lease=TERMS)

    row_leases.consume(db, found.leases)

    assert db.execute("SELECT a FROM t").fetchall() == [("y",)]


def test_a_keyless_row_that_changed_under_its_lease_stays(db):
    db.execute("CREATE TABLE t (a text)")
    db.execute("INSERT INTO t (a) VALUES ('x')")
    found = read_rows(db, Query(table="t"), lease=TERMS)
    db.execute("UPDATE t SET a = 'changed'")

    with pytest.raises(LostLease):
        row_leases.consume(db, found.leases)
    assert db.execute("SELECT a FROM t").fetchall() == [("changed",)]


def made(clock, **more):
    rows = (NewRows(table="made", rows=[{"a": 1}], metadata={"source_narrative": "n"}),)
    return RunOutputs(
        rows=rows, narrative="n", started_at=clock.now(), ended_at=clock.now(), **more
    )


def test_rows_go_in_and_out_together_or_not_at_all(db, clock):
    filled(db, 1)
    late = read_rows(db, Query(table=POSTS), lease=TERMS)
    expire(db)
    taken = read_rows(db, Query(table=POSTS), lease=OTHER)

    with pytest.raises(LostLease):
        store_outputs(db, made(clock, consumed=late.leases))
    assert one(db, "SELECT to_regclass('made')") == (None,)

    assert store_outputs(db, made(clock, consumed=taken.leases)) == {"made": (1,)}
    assert one(db, f"SELECT count(*) FROM {POSTS}") == (0,)
    assert [(g.table_name, g.row_count, g.status) for g in generations(db)] == [
        ("made", 1, "success")
    ]


def test_every_run_has_its_own_account(db, clock):
    store_outputs(db, made(clock))
    store_outputs(db, made(clock, failure="half of it"))

    assert [g.status for g in generations(db)] == ["failed", "success"]
    assert len(generations(db, status="failed")) == 1


def test_an_update_meets_the_oldest_rows_up_to_its_limit(db):
    filled(db)
    change = Change(
        table=POSTS,
        updates={"review_status": "approved", "decided_at": "NOW()", "source": "NOW()"},
        where="review_status = 'pending'",
        limit=2,
    )
    assert update_rows(db, change) == ("1", "2")

    found = db.execute(
        f"SELECT review_status, decided_at IS NOT NULL, source FROM {POSTS} ORDER BY id"
    ).fetchall()
    assert found == [("approved", True, "NOW()")] * 2 + [("pending", False, None)]


@pytest.mark.parametrize(
    "updates", [{"nothing": 1}, {"rating": "many"}, {"review_status": "no such"}]
)
def test_an_update_that_cannot_be_changes_nothing(db, updates):
    filled(db, 1)
    with pytest.raises(TableError):
        update_rows(db, Change(table=POSTS, updates=updates))


def command(db, seen=None, **args):
    commands = DatabaseCommands(conn=db, writable=(POSTS,), approves=True)
    call = CommandCall(platform="database", command="update_table", args=args, seen=seen or {})
    return commands.of(call).run(call.command, args)


def test_update_table_changes_the_very_rows_that_were_read(db):
    filled(db)
    result = command(
        db,
        seen={POSTS: ["2"]},
        table_name=POSTS,
        where_clause="review_status = 'pending'",
        limit="1",
        updates={"review_status": "posted"},
    )

    assert result == {"rows_affected": 1, "ids": [2]}


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"table_name": "runs", "limit": 1, "updates": {"host": "x"}}, Denied),
        ({"table_name": POSTS, "updates": {"source": "x"}}, CommandFailed),
        ({"table_name": POSTS, "limit": "x", "updates": {"source": "x"}}, CommandFailed),
        ({"table_name": POSTS, "limit": 1}, CommandFailed),
    ],
)
def test_what_update_table_refuses(db, args, error):
    with pytest.raises(error):
        command(db, **args)


@pytest.mark.parametrize(
    "name", ["pg_authid", "a b", "x;y", "public.runs", "", "pg_catalog.pg_class"]
)
def test_tables_that_are_none_of_ours_are_not_there(db, name):
    with pytest.raises(TableError, match="no table"):
        read_rows(db, Query(table=name))
