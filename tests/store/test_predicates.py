"""Filters out of files: what may stand in one, and that nothing else reaches the database."""

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.store.tables.columns import TableError
from botticelli.store.tables.predicates import BadPredicate, parse_order_by, parse_where
from botticelli.store.tables.rows import Query, read_rows

TABLE = "potential_discord_posts"


@pytest.mark.parametrize(
    "text",
    [
        "review_status = 'pending'",
        "1=0",
        "generated_at > NOW() - INTERVAL '30 days'",
        "generated_at > now() - interval '7 days'",
        "score_value < score_tone",
        "text_content <> 'Drop shipping; -- now'",
        "content_type IN ('a', 'b') AND NOT (source IS NULL OR source = 'x')",
        "curation_score BETWEEN 1 AND 5.5",
        "lower(text_content) LIKE '%%50\\%' OR length(source) > 3",
        "date_trunc('day', generated_at) = date_trunc('day', now())",
        "generated_at::date = current_date",
        "coalesce(source, '') = ''",
        "abs(score_value - 3) * 2 >= 1",
        "tags ->> 'a' = 'b'",
        "extract(dow from generated_at) = 1",
        "source IS NOT NULL",
        "true",
    ],
)
def test_ordinary_filters_pass(db, text):
    read_rows(db, Query(table=TABLE, where=text))


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "source = 'x'; DROP TABLE runs",
        "source = 'x' -- and more",
        "source = 'x' /* and more */",
        "id IN (SELECT id FROM runs)",
        "EXISTS (SELECT 1)",
        "pg_sleep(1) IS NULL",
        "pg_read_file('/etc/passwd') = ''",
        "current_setting('x') = ''",
        "id = (SELECT 1)",
        "source = 'x' UNION SELECT 1",
        "runs.id = 1",
        "source = $1",
        "source = %(now)s",
        "source = E'\\x27'",
        "source::regclass = 'runs'",
        "a = 1 = = 2",
        "source = 'unfinished",
        "source = '\x00'",
        "(" * 300 + "true" + ")" * 300,
        "true AND " * 400 + "true",
        "id",
    ],
)
def test_everything_else_is_refused_before_the_database_hears_of_it(text):
    if text == "id":
        parse_where(text)  # a column alone may be a boolean one: the database knows
        return
    with pytest.raises(BadPredicate):
        parse_where(text)


def test_values_are_parameters():
    predicate = parse_where("source = 'it''s' AND id = 5")

    assert predicate.parameters == {"w0": "it's", "w1": 5}
    assert "it" not in predicate.clause.as_string(None)


def test_a_filter_on_a_column_that_is_not_there_names_it(db):
    with pytest.raises(TableError, match="no column 'nothing'"):
        read_rows(db, Query(table=TABLE, where="nothing = 1"))


def test_a_filter_of_the_wrong_type_is_an_error_of_ours(db):
    with pytest.raises(TableError, match="refuses"):
        read_rows(db, Query(table=TABLE, where="tags > 5"))


def test_orders(db):
    for text in ("id", "generated_at DESC NULLS LAST, id asc", '"id" desc'):
        read_rows(db, Query(table=TABLE, order_by=text))
    for text in (
        "id; drop table runs",
        "lower(source)",
        "1",
        "id,,source",
        "(select 1)",
        "id desc x",
    ):
        with pytest.raises(BadPredicate):
            parse_order_by(text)


WORDS = st.sampled_from(
    [
        *(
            "id",
            "source",
            "tags",
            "=",
            "<>",
            "AND",
            "OR",
            "NOT",
            "(",
            ")",
            "'x'",
            "'",
            '"',
            "1",
            ";",
        ),
        *("--", "/*", "*/", "now()", "INTERVAL '1 day'", "IN", "NULL", "IS", "SELECT", "true", "-"),
        *("DROP TABLE runs", "%", "%(now)s", "$1", "||", "::text", "LIKE", "E'\\'", "$$", ","),
        *(
            "lower(",
            "->>",
            "BETWEEN",
            "CASE WHEN",
            "end",
            "ANY(",
            "ARRAY[",
            "]",
            "U&'\\0027'",
            "\\",
        ),
    ]
)


@pytest.mark.slow
@settings(max_examples=300)
@given(text=st.one_of(st.lists(WORDS, max_size=9).map(" ".join), st.text(max_size=60)))
def test_no_text_can_break_a_query(db, text):
    """Whatever is written, it is refused in our words, or it is one condition on this table."""
    db.execute(f"INSERT INTO {TABLE} (text_content) VALUES ('x') ON CONFLICT DO NOTHING")
    try:
        found = read_rows(db, Query(table=TABLE, where=text))
    except (BadPredicate, TableError) as error:
        cause = error.__cause__
        assert not isinstance(cause, psycopg.errors.SyntaxError), text
    else:
        assert all(set(row) == set(found.columns) for row in found.rows)
    assert db.execute("SELECT to_regclass('runs')").fetchone() != (None,)


@settings(max_examples=100)
@given(value=st.text(alphabet=st.characters(exclude_characters="\x00", codec="utf-8"), max_size=40))
def test_a_quoted_value_matches_itself_and_only_itself(db, value):
    db.execute(f"DELETE FROM {TABLE}")
    db.execute(f"INSERT INTO {TABLE} (text_content) VALUES (%s), ('other' || %s)", [value, value])
    literal = value.replace("'", "''")
    try:
        found = read_rows(db, Query(table=TABLE, where=f"text_content = '{literal}'"))
    except BadPredicate:
        return  # refused is safe
    assert [row["text_content"] for row in found.rows] == [value]
