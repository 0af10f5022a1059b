"""Tables out of what a model returned: nothing it said is lost, whatever its shape."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.store.columns import column_name, columns_of, table_name
from botticelli.store.inference import METADATA, OURS, infer, wider
from botticelli.store.tables import insert_rows


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
        (None, 3, "text"),
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
    assert [row["v"] for row in stored(db, "made")] == [first, second]


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
keys = st.sampled_from([*"abcd", "A b", "id", "extra", "tags", "order", ""]) | json_text
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
