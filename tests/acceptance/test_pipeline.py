"""The whole line as a user types it: commands, PostgreSQL, Gemini and Discord on loopback."""

import json

import pytest


def one(db, query):
    return db.execute(query).fetchone()[0]


def test_from_an_empty_database_to_one_published_post(line, generous, gemini, discord, db):
    generated = line("generate --iterations 1")
    assert generated.code == 0, generated.err
    pending = db.execute(
        "SELECT source_narrative, source_act, generation_model FROM potential_discord_posts"
        " WHERE review_status = 'pending' ORDER BY 1"
    ).fetchall()
    assert [row[0] for row in pending] == [
        "community",
        "feature",
        "problem_solution",
        "tutorial",
        "usecase",
    ]
    assert all(act and model for _, act, model in pending)
    assert len(gemini.calls) == 15, "three paid calls a post: format and audit are free"

    curated = line("curate --drain")
    assert curated.code == 0, curated.err
    assert (
        one(db, "SELECT count(*) FROM potential_discord_posts WHERE review_status = 'pending'") == 0
    )
    assert 1 <= one(db, "SELECT count(*) FROM approved_discord_posts") <= 3
    assert len(gemini.calls) == 16, "five candidates are one batch"

    posted = line("post")
    assert posted.code == 0, posted.err
    text = one(db, "SELECT text_content FROM approved_discord_posts WHERE review_status = 'posted'")
    (create,) = discord.sent("create_message")
    assert create.body["content"] == text
    assert create.body["allowed_mentions"] == {"parse": []}

    again = line("post")
    assert again.code == 0, again.err
    assert "due at" in again.out
    assert len(discord.messages()) == 1

    status = line("status --json")
    assert status.code == 0, status.err
    assert json.loads(status.out)


@pytest.mark.slow
def test_a_dry_run_of_every_stage_spends_and_writes_nothing(line, generous, gemini, discord, db):
    line("generate --iterations 1")
    calls = len(gemini.calls)

    for words in (
        "generate --iterations 2 --dry-run",
        "curate --drain --dry-run",
        "post --dry-run",
    ):
        ended = line(words)
        assert ended.code == 0, ended.err
        assert ended.out

    assert len(gemini.calls) == calls
    assert discord.sent("create_message") == []
    assert one(db, "SELECT count(*) FROM potential_discord_posts") == 5
    assert one(db, "SELECT count(*) FROM runs") == 1
    assert one(db, "SELECT count(*) FROM deliveries") == 0


@pytest.mark.slow
def test_ten_iterations_leave_fifty_candidates(line, generous, db):
    ended = line("generate --iterations 10")

    assert ended.code == 0, ended.err
    assert (
        one(db, "SELECT count(*) FROM potential_discord_posts WHERE review_status = 'pending'")
        == 50
    )
