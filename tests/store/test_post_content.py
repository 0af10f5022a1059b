"""A post is more than its text: what is sent is what was approved, all of it."""

import hashlib
from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.store.curation.reviews import decide, describe, edit, find_candidates
from botticelli.store.curation.undo import undo
from botticelli.store.delivery.posts import read_content
from botticelli.store.generation import candidates
from botticelli.store.generation.candidates import Origin
from botticelli.store.maintenance.retention import tidy
from botticelli.store.tables.rows import insert_rows
from botticelli.text import parts_of
from tests.database import candidate

PICTURE = b"\x89PNG bytes"
SHA = hashlib.sha256(PICTURE).hexdigest()
TEXT = "one\n\n---\n\ntwo"


def picture(db, *, candidate_id=None, post_id=None, alt="a cat", position=1):
    db.execute(
        "INSERT INTO media (sha256, mime, content) VALUES (%s, 'image/png', %s)"
        " ON CONFLICT DO NOTHING",
        (SHA, PICTURE),
    )
    db.execute(
        "INSERT INTO post_media (candidate_id, post_id, position, sha256, alt)"
        " VALUES (%s, %s, %s, %s, %s)",
        (candidate_id, post_id, position, SHA, alt),
    )


@pytest.fixture
def approved_id(db):
    """A candidate whose post has all that a post may have, approved by a person."""
    id_ = candidate(
        db, TEXT, title="T", link="https://a.example/", language="en", parts=Jsonb(["one", "two"])
    )
    picture(db, candidate_id=id_)
    decide(db, [id_], "approve", by="ann")
    return id_


def test_all_of_a_candidate_is_approved(db, approved_id):
    post = db.execute(
        "SELECT text_content, title, link, language, parts FROM approved_discord_posts"
    ).fetchone()
    media = db.execute("SELECT candidate_id, post_id, alt FROM post_media").fetchone()

    assert post == (TEXT, "T", "https://a.example/", "en", ["one", "two"])
    assert media == (approved_id, 1, "a cat")
    assert find_candidates(db, [approved_id])[0].status == "approved"


CHANGES = {
    "text": "UPDATE approved_discord_posts SET text_content = 'other'",
    "title": "UPDATE approved_discord_posts SET title = NULL",
    "link": "UPDATE approved_discord_posts SET link = 'https://evil.example/'",
    "language": "UPDATE approved_discord_posts SET language = 'de'",
    "parts": "UPDATE approved_discord_posts SET parts = '[\"one\"]'",
    "words for a picture": "UPDATE post_media SET alt = 'a dog'",
    "a picture less": "DELETE FROM post_media",
    "a picture more": "INSERT INTO post_media (post_id, position, sha256)"
    " SELECT post_id, 2, sha256 FROM post_media",
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_after_the_approval_is_seen_until_it_is_approved_again(
    db, approved_id, what
):
    db.execute(CHANGES[what])
    assert find_candidates(db, [approved_id])[0].status == "changed"

    decide(db, [approved_id], "approve", by="ann")

    [found] = find_candidates(db, [approved_id])
    assert found.status == "approved"
    changed = db.execute("SELECT title, link, language, parts FROM approved_discord_posts")
    assert changed.fetchone() == (found.title, found.link, found.language, found.parts)


def test_what_a_person_decided_by_may_not_have_changed_meanwhile(db):
    id_ = candidate(db, "text")
    picture(db, candidate_id=id_)
    seen = find_candidates(db, [id_])
    db.execute("UPDATE post_media SET alt = 'a dog'")

    with pytest.raises(UsageError, match="changed meanwhile"):
        decide(db, [id_], "approve", by="ann", seen=seen)


def test_a_text_alone_has_the_hash_that_it_always_had(db):
    same = (
        "SELECT botticelli_post_hash('x', NULL, NULL, NULL, NULL, NULL) = botticelli_text_hash('x')"
    )

    assert db.execute(same).fetchone() == (True,)


def test_another_text_by_sql_is_all_that_is_sent(db, approved_id):
    db.execute("UPDATE approved_discord_posts SET text_content = 'other'")

    assert db.execute("SELECT parts FROM approved_discord_posts").fetchone() == (None,)


def test_an_edit_cuts_the_text_at_its_lines_and_undo_brings_the_parts_back(db, approved_id):
    edit(db, approved_id, text="a\n---\nb\n---\nc", by="ann")
    parts = "SELECT parts FROM approved_discord_posts"
    assert db.execute(parts).fetchone() == (["a", "b", "c"],)
    assert find_candidates(db, [approved_id])[0].status == "approved"

    edit(db, approved_id, text="whole", by="ann")
    assert db.execute(parts).fetchone() == (None,)

    undo(db, [approved_id], by="ann")
    assert find_candidates(db, [approved_id])[0].parts == ["a", "b", "c"]
    undo(db, [approved_id], by="ann")
    [found] = find_candidates(db, [approved_id])
    assert (found.text_content, found.parts, found.status) == (TEXT, ["one", "two"], "approved")


ANSWERS = [
    ({"text_content": "x"}, ("x", None, None, None, None, {})),
    (
        {"text_content": "x", "title": " T ", "link": "https://a.example/b", "language": "de-AT"},
        ("x", "T", "https://a.example/b", "de-AT", None, {}),
    ),
    ({"parts": ["one", "two\n"]}, ("one\n\n---\n\ntwo", None, None, None, ["one", "two"], {})),
    ({"parts": ["one", " "], "title": ""}, ("one", None, None, None, None, {})),
    (
        {"parts": ["one", "two"], "text_content": "short"},
        (
            "one\n\n---\n\ntwo", None, None, None, ["one", "two"], {"text_content": "short"},
        ),
    ),
    ({"text_content": "a\n---\nb"}, ("a\n---\nb", None, None, None, ["a", "b"], {})),
    (
        {"text_content": "x", "parts": "y", "link": "javascript:x", "language": "a language"},
        (
            "x", None, None, None, None,
            {"parts": "y", "link": "javascript:x", "language": "a language"},
        ),
    ),
    ({"text_content": "x", "parts": [1]}, ("x", None, None, None, None, {"parts": [1]})),
    (
        {"text_content": "x", "attached": "y", "approved_hash": "z"},
        ("x", None, None, None, None, {"attached": "y", "approved_hash": "z"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "stored"), ANSWERS)
@pytest.mark.parametrize("by", ["generate", "run"])
def test_what_a_model_says_of_a_post_finds_its_place(db, by, answer, stored):
    if by == "generate":
        candidates.insert(db, [answer], origin=Origin(narrative="n", act="a"))
    else:
        insert_rows(db, "potential_discord_posts", rows=[answer])

    row = db.execute(
        "SELECT text_content, title, link, language, parts, extra FROM potential_discord_posts"
    ).fetchone()
    assert row == stored


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one", None),
        ("one\n---\ntwo", ["one", "two"]),
        ("one\r\n--- \r\n\r\ntwo\n", ["one", "two"]),
        ("---\none\n---\n\n---\n", None),
        ("a --- b\n----\n- ---", None),
        ("a\n```\n---\n```\n---\nb", ["a\n```\n---\n```", "b"]),
        ("a\n~~~~\n```\n---\n~~~\n~~~~\n---\nb", ["a\n~~~~\n```\n---\n~~~\n~~~~", "b"]),
        ("", None),
    ],
)
def test_only_a_line_of_its_own_cuts_a_text(text, parts):
    assert parts_of(text) == parts


def test_pictures_that_nobody_has_any_more_are_freed(db, clock, approved_id):
    clock.advance(timedelta(days=100))
    tidy(db, days=90)
    assert db.execute("SELECT size FROM media").fetchall() == [(len(PICTURE),)]

    db.execute("DELETE FROM potential_discord_posts")
    assert db.execute("SELECT candidate_id, post_id FROM post_media").fetchone() == (None, 1)
    db.execute("DELETE FROM approved_discord_posts")
    tidy(db, days=90)

    assert db.execute("SELECT count(*) FROM media").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM post_media").fetchone() == (0,)


def test_bytes_are_what_their_hash_says(db):
    with pytest.raises(Exception, match="media_check"):
        db.execute("INSERT INTO media (sha256, mime, content) VALUES ('x', 'image/png', 'x')")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text_content": "Hi.", "poll": {"question": "Red ", "answers": ["a", "b\nc"]}},
         "Hi.\n\nRed?\n- a\n- b c"),
        ({"poll": {"question": "Red?", "answers": ["a", "b"]}}, "Red?\n- a\n- b"),
        ({"text_content": "Hi.", "poll": {"question": "Red?", "answers": ["a"]}}, "Hi."),
        ({"text_content": "Hi.", "poll": "Red?"}, "Hi."),
        ({"text_content": "Hi.", "poll": {"question": 1, "answers": ["a", "b"]}}, "Hi."),
    ],
)  # fmt: skip
def test_a_poll_that_a_model_names_stands_at_the_end_of_the_text(db, row, text):
    insert_rows(db, "potential_discord_posts", rows=[row])

    found = db.execute("SELECT text_content, extra ? 'poll' FROM potential_discord_posts")
    assert found.fetchone() == (text, text == "Hi.")


def test_words_for_a_picture_keep_its_post_approved(db, approved_id):
    found = describe(db, approved_id, picture=1, alt=" a dog ", by="ann")

    assert found.status == "approved"
    assert db.execute("SELECT alt, origin FROM post_media").fetchone() == (
        "a dog", {"alt_by": "ann"},
    )  # fmt: skip
    with pytest.raises(UsageError, match="no picture 2"):
        describe(db, approved_id, picture=2, alt="x", by="ann")


def test_words_for_a_picture_approve_no_other_change(db, approved_id):
    db.execute("UPDATE approved_discord_posts SET title = 'other'")

    assert describe(db, approved_id, picture=1, alt="x", by="ann").status == "changed"


@pytest.mark.parametrize("parts", ['{"a": "b"}', '"abc"', "[1]", '["a", null]', "null", "7"])
def test_what_is_no_list_of_texts_is_no_parts(db, parts):
    db.execute(
        "INSERT INTO approved_discord_posts (text_content, parts) VALUES ('text', %s::jsonb)",
        (parts,),
    )

    content = read_content(db, 1, "news")

    assert (content.text, content.parts) == ("text", None)
