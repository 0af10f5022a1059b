"""The demo and --offline stay away from what waits for a real channel."""


def rows(db, query):
    return db.execute(query).fetchall()


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
