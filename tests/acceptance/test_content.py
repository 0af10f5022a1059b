"""`botticelli content` as a user meets it."""

import json

import pytest

POSTS = "potential_discord_posts"


@pytest.fixture
def posts(db):
    for text, status in (("first", "pending"), ("second\nline", "rejected"), ("third", "pending")):
        db.execute(
            f"INSERT INTO {POSTS} (text_content, review_status, tags) VALUES (%s, %s, '[\"a\"]')",
            [text, status],
        )
    return db


def test_the_tables_that_hold_content(botticelli, db):
    ended = botticelli("content list")

    assert ended.code == 0, ended.err
    assert POSTS in ended.out
    names = botticelli("content list --format table-name-only").out.split()
    assert names == ["approved_discord_posts", "content", POSTS]


def test_rows_newest_first(botticelli, posts):
    rows = json.loads(botticelli(f"content list {POSTS} --json").out)["rows"]
    assert [row["text_content"] for row in rows] == ["third", "second\nline", "first"]

    pending = botticelli(f"content list {POSTS} --status pending --limit 1")
    assert "third" in pending.out
    assert "first" not in pending.out


def test_one_row_whole(botticelli, posts):
    ended = botticelli(f"content show {POSTS} 2")

    assert "text_content: second\nline" in ended.out
    assert json.loads(botticelli(f"content show {POSTS} 2 --json").out)["row"]["id"] == 2


@pytest.mark.parametrize("line", [f"content show {POSTS} 99", "content list nothing_here"])
def test_what_is_not_there_is_said(botticelli, posts, line):
    ended = botticelli(line)

    assert ended.code in (1, 2)
    assert "there is no" in ended.err


def test_an_approved_candidate_becomes_a_post_once(botticelli, posts):
    for _ in range(2):
        assert botticelli(f"content review {POSTS} 2 --status approved").code == 0

    found = posts.execute(
        "SELECT candidate_id, text_content, approved_by IS NOT NULL FROM approved_discord_posts"
    ).fetchall()
    assert found == [(2, "second\nline", True)]


def test_a_review_is_written_down(botticelli, posts):
    assert "rejected now" in botticelli(f"content review {POSTS} 1 --status rejected").out

    found = posts.execute(
        f"SELECT review_status, decided_by IS NOT NULL FROM {POSTS} WHERE id = 1"
    ).fetchone()
    assert found == ("rejected", True)
    assert botticelli(f"content review {POSTS} 1 --status odd").code == 2


def test_tags_are_added_once(botticelli, posts):
    botticelli(f"content tag {POSTS} 1 b a")

    assert posts.execute(f"SELECT tags FROM {POSTS} WHERE id = 1").fetchone() == (["a", "b"],)


def test_promote(botticelli, posts):
    ended = botticelli(f"content promote {POSTS} 3 approved_discord_posts --json")
    assert json.loads(ended.out)["target_id"] == 1

    posts.execute("CREATE TABLE kept (id bigint PRIMARY KEY, text_content text, tags text[])")
    assert botticelli(f"content promote {POSTS} 1 kept").code == 0
    assert posts.execute("SELECT * FROM kept").fetchall() == [(1, "first", ["a"])]


def test_what_was_generated(botticelli, db):
    assert "nothing" in botticelli("content generations").out
    (botticelli.cwd / "f.toml").write_text(
        '[narrative]\nname = "facts"\n[toc]\norder = ["a"]\n[schemas.s]\ntype = "object"\n'
        '[schemas.s.properties.fact]\ntype = "string"\n[acts.a]\nschema = "s"\n'
        '[[acts.a.input]]\ncontent = "A fact."\n'
    )
    assert botticelli("run f --offline").code == 0

    report = json.loads(botticelli("content generations --json").out)["generations"]
    assert [(each["table_name"], each["row_count"]) for each in report] == [("facts", 1)]
    assert botticelli("content last --format table-name-only").out == "facts\n"


@pytest.mark.parametrize("line", ["list nosuch", "show nosuch 1", f"promote {POSTS} 1 nosuch"])
def test_a_table_that_is_not_there_is_told_with_where_to_look(botticelli, db, line):
    db.execute(f"INSERT INTO {POSTS} (text_content) VALUES ('oars')")

    ended = botticelli(f"content {line}")

    assert ended.code == 2
    assert ended.err == "botticelli: there is no table 'nosuch'; see `botticelli content list`\n"


def test_the_earlier_systems_spellings_do_the_same(botticelli, posts):
    """As NARRATIVES.md of the earlier system writes them."""
    assert botticelli(f"content tag {POSTS} 1 --rating 5 --tags useful,professional").code == 0
    assert posts.execute(f"SELECT tags, rating FROM {POSTS} WHERE id = 1").fetchone() == (
        ["a", "useful", "professional"],
        5,
    )
    assert "approved now" in botticelli(f"content review {POSTS} 1 approved").out
    assert botticelli(f"content promote {POSTS} 2 --target approved_discord_posts").code == 0
    assert posts.execute("SELECT count(*) FROM approved_discord_posts").fetchone() == (2,)


@pytest.mark.parametrize(
    "line",
    [
        f"review {POSTS} 1",
        f"review {POSTS} 1 approved --status rejected",
        f"tag {POSTS} 1",
        f"tag {POSTS} 1 --rating 6",
        "promote approved_discord_posts 1",
        f"promote {POSTS} 1 kept --target kept",
    ],
)
def test_what_says_too_little_or_twice_is_a_usage_error(botticelli, posts, line):
    assert botticelli(f"content {line}").code == 2
