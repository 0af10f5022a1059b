"""The demo and --offline stay away from what waits for a real channel."""

import sys
from pathlib import Path

import pytest


def rows(db, query):
    return db.execute(query).fetchall()


@pytest.mark.slow
def test_offline_stages_leave_a_real_channels_posts_alone(botticelli, db):
    db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('for the real channel')")
    db.execute("INSERT INTO potential_discord_posts (text_content) VALUES ('not judged yet')")

    for line in ("generate --iterations 1", "curate --drain", "post --now"):
        ended = botticelli(f"--offline {line}")
        assert ended.code == 78
        assert "holds posts for a real channel" in ended.err
        assert len(ended.err.splitlines()) == 1

    assert rows(db, "SELECT review_status FROM approved_discord_posts") == [("pending",)]
    assert rows(db, "SELECT review_status FROM potential_discord_posts") == [("pending",)]
    assert rows(db, "SELECT count(*) FROM deliveries") == [(0,)]


def test_offline_stages_go_on_among_what_they_made_themselves(botticelli, db):
    assert botticelli("--offline generate --iterations 1").code == 0
    assert botticelli("--offline curate --drain").code == 0
    assert botticelli("--offline post").code == 0

    assert rows(
        db, "SELECT count(*) FROM approved_discord_posts WHERE review_status = 'posted'"
    ) == [(1,)]


@pytest.mark.slow
def test_the_demo_says_how_to_call_it_where_the_shell_does_not_know_it(botticelli, tmp_path):
    command = tmp_path / "botticelli"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)

    botticelli.environ["PATH"] = "/nowhere"
    unknown = botticelli("demo").out
    botticelli.environ["PATH"] = str(tmp_path)
    known = botticelli("demo").out

    assert f'First: export PATH="{Path(sys.executable).parent}:$PATH"' in unknown
    assert "First:" not in known


@pytest.mark.slow
def test_a_demo_shows_a_post_of_its_own_and_none_of_the_one_before(botticelli, gemini, generous):
    assert "| Filler" in botticelli("demo").out
    botticelli.environ |= {
        "GEMINI_API_KEY": gemini.key,
        "GOOGLE_GEMINI_BASE_URL": gemini.url,
    }

    ended = botticelli("demo --model gemini-3.5-flash-lite")

    assert ended.code == 0, ended.err
    assert "| Post number" in ended.out
    assert "| Filler" not in ended.out
