"""Tables out of what a model returned: nothing it said is lost, whatever its shape."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.store.connection import connect
from botticelli.store.tables.columns import (
    OPERATIONAL,
    TableError,
    answers_table,
    column_name,
    columns_of,
    table_name,
)
from botticelli.store.tables.inference import METADATA, MOST_COLUMNS, OURS, infer, type_of, wider
from botticelli.store.tables.outputs import NewRows, RunOutputs, store_outputs
from botticelli.store.tables.rows import insert_rows

START = datetime(2026, 1, 1, tzinfo=UTC)


def stored(db, table):
    """Rows as they were given: columns, with what `extra` keeps laid over them."""
    cursor = db.execute(f"SELECT * FROM {table} ORDER BY id")
    names = [column.name for column in cursor.description]
    rows = []
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        own = {name: row[name] for name in row if name not in (*METADATA, "id") or name == "tags"}
        rows.append({**own, **row["extra"]})
    return rows


def types(db, table):
    return {name: column.base for name, column in columns_of(db, table).items()}


def test_types_follow_the_json_in_its_order(db):
    row = {"t": "x", "i": 1, "f": 1.5, "b": True, "n": None, "l": [1], "o": {"a": 1}}
    insert_rows(db, "made", rows=[row])

    found = types(db, "made")
    assert list(found)[:8] == ["id", "t", "i", "f", "b", "n", "l", "o"]
    assert [found[name] for name in "tifbnlo"] == [
        "text", "bigint", "double precision", "boolean", "text", "jsonb", "jsonb",
    ]  # fmt: skip
    assert set(METADATA) < set(found)


def test_every_inferred_column_may_be_null(db):
    insert_rows(db, "made", rows=[{"a": 1, "b": "x"}])
    insert_rows(db, "made", rows=[{"b": "y"}])

    assert db.execute("SELECT a, b FROM made ORDER BY id").fetchall() == [(1, "x"), (None, "y")]


def test_a_new_key_becomes_a_new_column(db):
    insert_rows(db, "made", rows=[{"a": 1}])
    insert_rows(db, "made", rows=[{"a": 2, "full name": "x"}])

    assert db.execute("SELECT full_name FROM made ORDER BY id").fetchall() == [(None,), ("x",)]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (1, 1.5, "double precision"),
        (1, "x", "text"),
        (True, 3, "text"),
        (None, 3, "bigint"),
        (None, [1], "jsonb"),
        (None, True, "boolean"),
        (None, "x", "text"),
        (1.5, 2**70, "numeric"),
        (2**62, 0.1, "double precision"),
        (2**53 + 1, 0.5, "double precision"),
        (2**70, 1e-300, "numeric"),
        (10**400, 1.5, "numeric"),
        ("", 0, "text"),
        (0, False, "text"),
        ({}, [], "jsonb"),
        ("2025-01-31", "nope", "text"),
        ([1], {"a": 1}, "jsonb"),
        (1, [1], "jsonb"),
        (1, 2**70, "numeric"),
        ({"a": 1}, "x", "jsonb"),
    ],
)
def test_a_column_is_widened_and_earlier_values_stay_what_they_were(db, first, second, kind):
    insert_rows(db, "made", rows=[{"v": first}])
    insert_rows(db, "made", rows=[{"v": second}])

    assert types(db, "made")["v"] == kind
    for row, given_value in zip(stored(db, "made"), [first, second], strict=True):
        assert same(row["v"], given_value)


def test_a_number_grows_through_every_type_and_loses_no_digit(db):
    values = [None, 1, 2**40, 2**63, 10**30, 0.5, None, -(2**53) - 1, True, "x", {"a": [1]}]
    for value in values:
        insert_rows(db, "made", rows=[{"v": value}])

    assert types(db, "made")["v"] == "text"
    assert [row["v"] for row in stored(db, "made")] == values


@pytest.mark.parametrize("value", [1, 2**63, 0.5, True, "x", [1], {"a": 1}])
def test_a_column_of_nothing_takes_the_type_of_what_comes_first(db, value):
    insert_rows(db, "made", rows=[{"v": None}])
    insert_rows(db, "made", rows=[{"v": value}])

    assert types(db, "made")["v"] == type_of(value)
    assert [row["v"] for row in stored(db, "made")] == [None, value]


@pytest.mark.parametrize(
    "row",
    [
        {"Full Name": 1, "full_name": 2},
        {"fullName": 1, "FULL NAME": 2, "full name": 3, "full_name": 4},
        {"a-b": 1, "a.b": 2, "a b": 3, 'a"b': 4, "a;b": 5},
        {"x" * 63: 1, "x" * 64: 2, "é" * 31: 3, "é" * 40: 4},
        {"select": 1, "table": 2, "Order": 3, "user": 4, "current_user": 5},
        {"": 1, "  ": 2, "\t": 3, "_": 4, "__": 5, "123": 6},
        {"ctid": 1, "xmin": 2, "tableoid": 3, "oid": 4, "CMAX": 5},
        {"日本": 1, "Ünï": 2, "ß": 3, "SS": 4, "İ": 5, "i": 6, "é": 7, "e\u0301": 8},
        {"a%sb": 1, "%(x)s": 2, "a%%": 3, "{}": 4, "$1": 5},
        {"tags": ["x"], "Tags": "y", "review_status": "mine"},
    ],
)
def test_keys_that_come_to_the_same_column_are_all_kept(db, row):
    for _ in range(2):
        insert_rows(db, "made", rows=[row])

    for found in stored(db, "made"):
        for key, value in row.items():
            assert found.get(key, found.get(column_name(key))) == value, key


def test_a_model_that_invents_keys_is_stored_soon(db):
    wide = {f"key {number}": number for number in range(1_700)}
    began = time.monotonic()

    insert_rows(db, "made", rows=[wide] * 3)
    insert_rows(db, "made", rows=[{f"other {number}": number for number in range(1_700)}])

    assert time.monotonic() - began < 5
    assert len(types(db, "made")) <= MOST_COLUMNS + len(METADATA) + 1
    [first, *_, last] = stored(db, "made")
    assert {key: first.get(key, first.get(column_name(key))) for key in wide} == wide
    assert last["other 1699"] == 1699


def test_processes_that_make_and_widen_the_same_tables_lose_nothing(db, db_url):
    shapes = [
        {"v": 1}, {"v": 2.5}, {"v": "x"}, {"v": None, "w": 1}, {"v": [1]}, {"w": "y", "u": True},
    ]  # fmt: skip

    def work(number):
        with connect(db_url) as conn:
            for turn in range(5):
                row = {**shapes[(number + turn) % len(shapes)], "from": f"{number}.{turn}"}
                new = [NewRows(table=name, rows=[row], metadata={}) for name in ("made", "other")]
                made = RunOutputs(
                    rows=tuple(new if number % 2 else new[::-1]),
                    narrative="n",
                    started_at=START,
                    ended_at=START,
                )
                store_outputs(conn, made)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, number) for number in range(6)]:
            done.result(timeout=60)

    for table in ("made", "other"):
        rows = {row["from"]: row for row in stored(db, table)}
        assert len(rows) == 30
        for name, row in rows.items():
            number, turn = map(int, name.split("."))
            for key, value in shapes[(number + turn) % len(shapes)].items():
                assert same(row[key], value), (table, name, key)


def test_no_answer_goes_into_a_table_that_the_product_runs_on(db):
    for table in sorted(OPERATIONAL):
        with pytest.raises(TableError, match="own"):
            insert_rows(db, table, rows=[{"version": 99, "name": "x", "stage": "y"}])
        with pytest.raises(TableError, match="own"):
            answers_table(target=table, narrative="n")
        assert answers_table(target="", narrative=table) == f"{table}_rows"


def test_every_table_of_the_schema_is_for_answers_or_is_guarded(db):
    open_ = {"potential_discord_posts", "approved_discord_posts", "content", "post_history"}
    found = db.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()

    names = {name for (name,) in found if not name.startswith("discord_")}
    assert names == open_ | OPERATIONAL


def test_keys_that_are_ours_never_break_the_table(db):
    row = dict.fromkeys(OURS, "mine") | {"text": "x"}
    insert_rows(db, "made", rows=[row], metadata={"source_act": "act"})

    found = db.execute("SELECT source_act, review_status, extra FROM made").fetchone()
    assert found[:2] == ("act", "pending")
    assert found[2]["review_status"] == "mine"


@pytest.mark.parametrize("key", ["order", "user", "a b", 'q"uote', "per%cent", "1st", "%s"])
def test_any_key_can_be_a_column(db, key):
    insert_rows(db, "made", rows=[{key: "x"}])
    insert_rows(db, "made", rows=[{key: "y"}])

    column = column_name(key)
    if column:
        assert db.execute(f'SELECT "{column}" FROM made ORDER BY id').fetchall() == [("x",), ("y",)]
    else:
        assert [row[key] for row in stored(db, "made")] == ["x", "y"]


def test_public_names_with_blanks_are_tables():
    assert table_name("Model Options Demo") == "model_options_demo"
    assert table_name("bot syntax") == "bot_syntax"


def test_wider_is_the_same_either_way():
    kinds = ["text", "bigint", "numeric", "double precision", "boolean", "jsonb", ""]
    for one in kinds:
        for other in kinds:
            assert wider(one, other) == wider(other, one)


json_text = st.text(max_size=20)
scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    json_text,
)
anything = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([*"abcC", "A b", "id", "extra", "tags", "order", ""]) | json_text
objects = st.dictionaries(keys, anything, min_size=1, max_size=5)


def clean(value):
    """What PostgreSQL can hold: no NUL, no half characters."""
    text = json.dumps(value, ensure_ascii=False).replace("\\u0000", "\ufffd")
    return json.loads(text.encode(errors="replace").decode())


def same(found, given):
    """Equal as JSON is: a number is its digits, whether it is written with an exponent or not."""
    if isinstance(given, dict):
        return found.keys() == given.keys() and all(same(found[key], given[key]) for key in given)
    if isinstance(given, list):
        return len(found) == len(given) and all(map(same, found, given))
    if isinstance(given, float):
        return float(found) == given
    return found == given and isinstance(found, bool) == isinstance(given, bool)


@settings(max_examples=60)
@given(batches=st.lists(st.lists(objects, min_size=1, max_size=3), min_size=1, max_size=3))
def test_what_was_inserted_can_be_read_back(db, batches):
    db.execute("DROP TABLE IF EXISTS made")
    db.execute("DELETE FROM content_generation_tables")
    for batch in batches:
        insert_rows(db, "made", rows=batch)

    given_rows = [clean(row) for batch in batches for row in batch]
    for given_row, found in zip(given_rows, stored(db, "made"), strict=True):
        for key, value in given_row.items():
            column = key if key in found else column_name(key)
            shown = found.get(column)
            assert same(shown, value), (key, column, shown, value)


def test_inference_alone_leaves_out_what_is_ours():
    assert infer([{"id": 1, "a": None}, {"a": 2}]) == {"a": "bigint"}
