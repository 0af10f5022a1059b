"""The post stage on a real database, against a Discord over loopback and a held clock."""

from dataclasses import replace
from datetime import time, timedelta

import pytest

from botticelli.config.model import ActiveHours, PostConfig, Retry
from botticelli.config.operations import Guard, Similarity
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError, Exit, TryLater, UsageError
from botticelli.platforms.discord.client import Discord
from botticelli.platforms.open import place_of
from botticelli.stages.post.edit import edit_post, withdraw_post
from botticelli.store.connection import connect as connect_to
from botticelli.store.delivery import decisions
from botticelli.store.session import DatabaseSession
from tests.database import approved
from tests.fakes.discord import FakeDiscord
from tests.posting import PostStage, delivery_of, id_of, status_of, to_discord, to_outbox


@pytest.fixture
def stage_for(db, db_url, clock):
    def connect():
        return connect_to(db_url)

    return lambda *destinations, **more: PostStage(db, connect, clock, destinations, **more)


@pytest.fixture
def stage(stage_for, discord):
    return stage_for(to_discord(discord))


BREAKER = """
    SELECT circuit_opened_at, consecutive_failures FROM actor_server_state WHERE task_id = 'post'
"""


def lose(discord):
    """Let a request be carried out and not be answered, nor the channel be read in that run."""
    discord.script.add(*["500 after storing"] * 3)
    discord.script.add(*["503"] * 2, to="get_messages")


def states(report):
    return [one.state for one in report.results]


def test_a_post_is_published_byte_for_byte_and_the_database_agrees(db, discord, stage):
    text = 'Grüße 🎨 an alle:\n\n"quoted", `code`, and **bold**'
    candidate = db.execute(
        "INSERT INTO potential_discord_posts (text_content, review_status)"
        " VALUES (%s, 'approved') RETURNING id",
        (text,),
    ).fetchone()[0]
    post = approved(db, text, candidate_id=candidate)

    report = stage()

    assert states(report) == ["posted"]
    assert report.exit_code == Exit.DONE
    [message] = discord.messages()
    assert message["content"] == text
    assert delivery_of(db, post) == ("posted", 1, message["id"])
    assert status_of(db, post) == "posted"
    query = "SELECT review_status FROM potential_discord_posts"
    assert db.execute(query).fetchone() == ("posted",)


def test_a_delivery_takes_two_commits_and_twelve_round_trips(db, discord, stage_for, monkeypatch):
    commits, command = [], DatabaseSession._exec_command
    trips, wait = [], DatabaseSession.wait

    def counted(self, words, *more):
        commits.extend([words] if words == b"COMMIT" else [])
        return command(self, words, *more)

    def waited(self, *args, **options):
        trips.append(1)
        return wait(self, *args, **options)

    monkeypatch.setattr(DatabaseSession, "_exec_command", counted)
    monkeypatch.setattr(DatabaseSession, "wait", waited)
    for number in range(5):
        approved(db, f"number {number}")
    stage = stage_for(to_discord(discord, min_interval=timedelta()))
    taken = []
    for limit in (1, 4):
        commits.clear()
        trips.clear()
        assert states(stage(limit=limit)) == ["posted"] * limit
        taken.append((len(commits), len(trips)))

    assert taken[1][0] - taken[0][0] == 3 * 2
    assert taken[1][1] - taken[0][1] <= 3 * 12


def test_a_row_put_in_by_plain_sql_is_delivered(db, discord, stage):
    db.execute(
        "INSERT INTO approved_discord_posts (text_content, review_status) VALUES ('hi', 'pending')"
    )

    stage()

    assert discord.contents() == ["hi"]


def test_the_second_post_waits_for_the_interval_and_says_until_when(db, discord, stage, clock):
    approved(db, "one")
    approved(db, "two")

    first, second = stage(), stage()

    assert first.results[0].next_due == clock.now() + timedelta(hours=1)
    assert states(second) == ["waiting"]
    assert second.results[0].next_due == clock.now() + timedelta(hours=1)
    assert second.results[0].note == "minimum interval 60 min"
    assert discord.contents() == ["one"]

    clock.advance(timedelta(hours=1))
    stage()
    assert discord.contents() == ["one", "two"]


def test_an_idle_run_opens_no_platform(db, discord, stage):
    approved(db, "one")
    stage()
    stage.opened.clear()
    approved(db, "two")

    report = stage()

    assert states(report) == ["waiting"]
    assert stage.opened == []


def test_now_ignores_the_rhythm_and_no_safety_rule(db, discord, stage):
    stage.change(
        "news",
        posts_per_day=1,
        quiet_dates=("11-24",),
        active_hours=ActiveHours(start=time(3), end=time(4)),
    )
    approved(db, "one")
    approved(db, "@everyone two")
    approved(db, "three")

    report = stage(ignoring_rhythm=True, limit=3)

    assert states(report) == ["posted", "held", "posted", "nothing"][:3]
    assert discord.contents() == ["one", "three"]


def test_posts_are_due_in_active_hours_of_the_destinations_own_zone(db, discord, stage, clock):
    stage.change(
        "news",
        time_zone="America/New_York",
        active_hours=ActiveHours(start=time(9), end=time(17)),
    )
    approved(db)

    report = stage()  # noon in London is seven in New York

    assert states(report) == ["waiting"]
    assert report.results[0].next_due == clock.now() + timedelta(hours=2)
    clock.advance(timedelta(hours=2))
    assert states(stage()) == ["posted"]


def test_a_post_that_fails_a_rule_is_held_with_the_reason_and_the_next_is_taken(db, discord, stage):
    bad = approved(db, "Hi @everyone!")
    good = approved(db, "Hi all!")

    report = stage()

    assert states(report) == ["held", "posted"]
    assert "@everyone is not among the allowed mentions" in report.results[0].note
    assert discord.contents() == ["Hi all!"]
    assert (status_of(db, bad), status_of(db, good)) == ("held", "posted")


def test_what_the_offline_model_wrote_stays_in_the_house(db, discord, stage_for, tmp_path):
    stage = stage_for(to_discord(discord), to_outbox(tmp_path / "outbox"))
    post = approved(db, "An offline thought.", generation_model="offline")

    report = stage()

    assert states(report) == ["held", "nothing", "posted"]
    assert discord.contents() == []
    [file] = (tmp_path / "outbox").iterdir()
    assert file.read_bytes() == b"An offline thought."
    assert status_of(db, post) == "held"


def test_one_post_goes_to_each_destination_that_wants_it(db, discord, stage_for, clock):
    other = discord.add_channel("deep")
    stage = stage_for(
        to_discord(discord, "news"),
        to_discord(discord, "deep", channel=other, tags=("deep",)),
        to_discord(discord, "none", channel=other, content_types=("poll",)),
    )
    both = approved(db, "both", tags=["deep", "other"])
    approved(db, "news only", tags=["other"])

    stage()
    clock.advance(timedelta(hours=1))
    stage()

    assert discord.contents() == ["both", "news only"]
    assert discord.contents(other) == ["both"]
    assert status_of(db, both) == "posted"


def test_a_post_is_posted_only_when_all_its_deliveries_are(db, discord, stage_for):
    other = discord.add_channel("other")
    stage = stage_for(to_discord(discord, "news"), to_discord(discord, "deep", channel=other))
    post = approved(db)

    stage(to="news")
    assert status_of(db, post) == "pending"

    stage(to="deep")
    assert status_of(db, post) == "posted"


def test_posted_typed_in_sql_keeps_a_post_from_being_sent(db, discord, stage):
    post = approved(db)
    discord.script.add(429)
    stage.config = stage.config.__class__(
        **{**vars(stage.config), "post": stage.config.post.__class__(retry=Retry(max_retries=0))}
    )
    stage()
    db.execute("UPDATE approved_discord_posts SET review_status = 'posted' WHERE id = %s", (post,))

    stage.clock.advance(timedelta(hours=2))
    report = stage()

    assert states(report) == ["nothing"]
    assert discord.contents() == []


@pytest.mark.parametrize(
    "fault", ["hang up after storing", "reset after storing", "500 after storing"]
)
def test_a_lost_answer_never_becomes_a_second_message(db, discord, stage, fault):
    post = approved(db)
    discord.script.add(fault)

    report = stage()

    assert states(report) == ["posted"]
    assert len(discord.sent()) == 1, "found, not sent again"
    [message] = discord.messages()
    assert delivery_of(db, post) == ("posted", 1, message["id"])


@pytest.mark.parametrize("wait", [10, 46, 100, 9000])
def test_a_server_that_drops_no_repeated_nonce_gets_no_second_message(db, stage_for, clock, wait):
    with FakeDiscord(clock=lambda: clock.now().timestamp(), nonce_window=0) as discord:
        stage = stage_for(to_discord(discord))
        approved(db)
        discord.script.add("hang up after storing")
        stage.config = replace(stage.config, post=PostConfig(retry=Retry(max_retries=0)))
        assert states(stage()) == ["uncertain"]
        clock.advance(timedelta(seconds=wait))

        stage()

        assert len(discord.messages()) == 1
        assert db.execute("SELECT state FROM deliveries").fetchall() == [("posted",)]


def test_a_look_into_the_channel_that_discord_puts_off_is_taken_when_it_says(
    db, discord, stage, clock
):
    approved(db)
    discord.script.add("hang up after storing")
    stage.config = replace(stage.config, post=PostConfig(retry=Retry(max_retries=0)))
    assert states(stage()) == ["uncertain"]
    clock.advance(timedelta(hours=1))
    discord.script.add("429:700", to="get_messages")

    report = stage()

    assert (states(report)[0], report.exit_code) == ("uncertain", Exit.UNAVAILABLE)
    [(retry_at,)] = db.execute("SELECT retry_at FROM deliveries").fetchall()
    assert abs(retry_at - clock.now() - timedelta(seconds=700)) < timedelta(seconds=1)
    clock.advance(timedelta(seconds=701))
    assert states(stage()) == ["posted"]
    assert len(discord.messages()) == 1


def test_a_channel_that_cannot_be_read_is_sent_the_same_nonce_again(db, discord, stage):
    approved(db)
    discord.deny("READ_MESSAGE_HISTORY")
    discord.script.add("hang up after storing")

    assert states(stage()) == ["posted"]
    assert len(discord.sent()) == 2
    assert len(discord.messages()) == 1


def test_what_stays_unknown_is_sent_again_with_its_nonce_while_that_is_harmless(
    db, discord, stage, clock
):
    post = approved(db)
    lose(discord)

    first = stage()
    assert states(first) == ["uncertain"]
    assert first.exit_code == Exit.FAILED
    assert status_of(db, post) == "posting"

    clock.advance(timedelta(seconds=30))
    assert states(stage()) == ["posted"]
    assert len({one.body["nonce"] for one in discord.sent()}) == 1
    assert len(discord.messages()) == 1


def test_long_after_a_lost_answer_the_channel_is_read_back(db, discord, stage, clock):
    post = approved(db, "  *Bold* claim  ")
    lose(discord)
    stage()
    sent, requests = clock.now(), len(discord.sent())
    discord.add_message("something else")

    clock.advance(timedelta(hours=3))
    report = stage()

    assert states(report) == ["posted"]
    assert len(discord.sent()) == requests, "found, not sent again"
    [message] = [one for one in discord.messages() if one["author"]["bot"]]
    assert delivery_of(db, post) == ("posted", requests, message["id"])
    posted = db.execute("SELECT posted_at FROM deliveries").fetchone()[0]
    assert abs(posted - sent) < timedelta(seconds=10)


def test_a_request_that_never_arrived_is_made_again_after_looking(db, discord, stage, clock):
    approved(db)
    discord.script.add(*["hang up before storing"] * 3)
    stage()
    discord.add_message("something else")

    clock.advance(timedelta(hours=3))
    report = stage()

    assert states(report) == ["put back", "posted"]
    assert len([one for one in discord.messages() if one["author"]["bot"]]) == 1


def test_an_unreadable_channel_is_left_to_a_person(db, discord, stage, clock):
    """Without Read Message History the answer is an empty list, which proves nothing."""
    post = approved(db)
    lose(discord)
    stage()
    discord.deny("READ_MESSAGE_HISTORY")

    clock.advance(timedelta(hours=3))
    report = stage()

    assert states(report) == ["held", "nothing"]
    assert report.exit_code == Exit.FAILED
    assert "give it Read Message History" in report.results[0].note
    assert f"mark-posted {id_of(db, post)}" in report.results[0].note
    assert len(discord.messages()) == 1


def test_a_channel_that_lets_us_in_no_more_is_asked_again_in_minutes(db, discord, stage, clock):
    approved(db)
    lose(discord)
    stage()
    clock.advance(timedelta(hours=3))
    discord.script.add("403:50001", to="get_messages")

    report = stage()

    assert (states(report)[0], report.exit_code) == ("uncertain", Exit.CONFIG)
    [(retry_at,)] = db.execute("SELECT retry_at FROM deliveries").fetchall()
    assert abs(retry_at - clock.now() - timedelta(minutes=5)) < timedelta(seconds=1)
    clock.advance(timedelta(minutes=6))
    assert states(stage()) == ["posted"]
    assert len(discord.messages()) == 1


def test_a_token_that_is_rejected_at_a_look_stops_everything(db, discord, stage, clock):
    approved(db)
    lose(discord)
    stage()
    clock.advance(timedelta(hours=3))
    discord.token = "another"

    report = stage()

    assert (states(report)[0], report.exit_code) == ("uncertain", Exit.CONFIG)
    requests = len(discord.requests)
    with pytest.raises(TryLater, match="breaker is open"):
        stage()
    assert len(discord.requests) == requests


def test_what_nobody_wants_any_more_is_looked_for_and_not_sent_again(db, discord, stage, clock):
    post = approved(db)
    discord.script.add(*["hang up before storing"] * 3)
    assert states(stage()) == ["uncertain"]
    query = "UPDATE approved_discord_posts SET review_status = 'withdrawn' WHERE id = %s"
    db.execute(query, (post,))

    for _ in range(4):
        clock.advance(timedelta(seconds=30))
        stage()

    assert discord.messages() == []
    assert delivery_of(db, post)[0] != "uncertain"


@pytest.mark.parametrize("may_open", [True, False])
def test_what_is_found_again_gets_what_follows_a_message(db, discord, stage_for, clock, may_open):
    channel = discord.add_channel("announcements", type=5)
    stage = stage_for(to_discord(discord, channel=channel, crosspost=True, thread_name="Talk"))
    approved(db)
    lose(discord)
    stage()
    clock.advance(timedelta(hours=3))
    if not may_open:
        discord.deny("CREATE_PUBLIC_THREADS", channel=channel)

    report = stage()

    assert states(report) == ["posted"]
    assert ("what should follow failed" in report.results[0].note) == (not may_open)
    [message] = discord.messages(channel)
    assert message["flags"] & 1, "crossposted"


def test_an_empty_channel_that_may_be_read_is_believed(db, discord, stage, clock):
    approved(db)
    discord.script.add(*["hang up before storing"] * 3)
    stage()

    clock.advance(timedelta(hours=3))

    assert states(stage()) == ["put back", "posted"]
    assert len(discord.messages()) == 1


def test_the_same_text_sent_before_is_not_taken_for_the_lost_one(db, discord, stage, clock):
    approved(db, "Same words.")
    approved(db, "Same words.")
    stage.config = replace(stage.config, similarity=Similarity(window=timedelta(seconds=1)))
    stage.change("news", min_interval=timedelta(seconds=30))
    stage()
    clock.advance(timedelta(seconds=30))
    discord.script.add(*["hang up before storing"] * 3)
    stage()

    clock.advance(timedelta(hours=3))
    stage()

    assert discord.contents() == ["Same words.", "Same words."]


def test_a_text_that_was_posted_there_lately_is_held_and_the_next_is_taken(db, discord, stage):
    approved(db, "Same words.")
    again, other = approved(db, "same *words*!"), approved(db, "Other words.")
    stage()

    preview = stage.dry_run(ignoring_rhythm=True).previews[0]
    results = stage(ignoring_rhythm=True).results

    assert [(one.post, one.state) for one in results] == [(again, "held"), (other, "posted")]
    assert "said the same on" in results[0].note
    assert (preview.post, [one.post for one in preview.held]) == (other, [again])
    assert discord.contents() == ["Same words.", "Other words."]


def test_a_text_said_long_ago_or_somewhere_else_may_go_out_again(db, discord, stage, clock):
    approved(db, "Same words.")
    stage()
    approved(db, "Same words.")
    clock.advance(timedelta(days=91))

    stage()

    assert discord.contents() == ["Same words."] * 2


def test_a_person_may_send_the_same_text_again(db, discord, stage, clock):
    approved(db, "Same words.")
    stage()
    again = approved(db, "Same words.")
    stage(ignoring_rhythm=True)
    decisions.decide(db, id_of(db, again), "retry", by="me")

    stage(ignoring_rhythm=True)

    assert discord.contents() == ["Same words."] * 2


def test_texts_without_a_letter_are_compared_as_they_are(db, discord, stage):
    approved(db, "\U0001f389")
    approved(db, "\U0001f386")
    stage()

    stage(ignoring_rhythm=True)

    assert len(discord.contents()) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u041f\u0440\u0438\u0432\u0435\u0442 7", "\u041f\u043e\u043a\u0430 7"),
        ("We love C", "We love C#"),
        ("Version 1.2.3 is out", "Version 12.3 is out"),
        ("Vote \U0001f44d", "Vote \U0001f44e"),
    ],
)
def test_texts_that_differ_in_more_than_their_dress_are_two(db, discord, stage, one, other):
    approved(db, one)
    approved(db, other)
    stage()

    stage(ignoring_rhythm=True)

    assert discord.contents() == [one, other]


def test_a_rate_limit_puts_the_post_back_until_discord_says(db, discord, stage, clock):
    post = approved(db)
    discord.script.add("429:42")

    report = stage()

    assert states(report) == ["put back"]
    assert report.exit_code == Exit.TRY_LATER
    assert delivery_of(db, post)[0] == "pending"
    clock.advance(timedelta(seconds=40))
    assert stage().results[0].note == "the platform asked us to wait"
    clock.advance(timedelta(seconds=3))
    assert states(stage()) == ["posted"]
    assert len(discord.messages()) == 1


def test_a_short_rate_limit_is_waited_for(db, discord, stage, clock):
    approved(db)
    discord.script.add("429:3")

    assert states(stage()) == ["posted"]
    assert sum(clock.slept) >= 3


def test_a_rejected_token_stops_everything_and_opens_the_breaker(db, discord, stage_for):
    stage = stage_for(
        to_discord(discord, "one", token=Secret("wrong")),
        to_discord(discord, "two", token=Secret("wrong")),
    )
    post = approved(db)

    report = stage()

    assert report.exit_code == Exit.CONFIG
    assert "set DISCORD_TOKEN" in report.results[0].note
    assert len(discord.requests) == 1
    assert delivery_of(db, post, "one")[0] == "pending"
    with pytest.raises(TryLater, match="breaker is open"):
        stage()
    assert len(discord.requests) == 1


def test_a_missing_permission_is_told_in_the_words_of_a_community_manager(db, discord, stage):
    approved(db)
    discord.deny("SEND_MESSAGES")

    report = stage()

    assert report.exit_code == Exit.CONFIG
    assert report.results[0].note == (
        "news: the bot may see #general but not write there; give it Send Messages"
    )


def test_a_missing_token_is_told_before_anything_is_claimed(db, discord, stage):
    stage.change("news", token=Secret(""))
    post = approved(db)

    report = stage()

    assert report.exit_code == Exit.CONFIG
    assert "set DISCORD_TOKEN" in report.results[0].note
    assert delivery_of(db, post) == ("pending", 0, None)


def test_a_refused_post_fails_for_good_and_the_next_is_taken(db, discord, stage):
    post = approved(db, "blocked")
    approved(db, "fine")
    discord.script.add("400:200000")

    report = stage()

    assert states(report) == ["failed", "posted"]
    assert "AutoMod" in report.results[0].note
    assert report.exit_code == Exit.FAILED
    assert status_of(db, post) == "failed"
    assert discord.contents() == ["fine"]


@pytest.mark.parametrize("fault", ["400:200000", "400:40001"])
def test_what_refuses_every_post_leaves_the_queue_pending(db, discord, stage, clock, fault):
    posts = [approved(db, f"post {number}") for number in range(8)]
    discord.script.add(*[fault] * 50)

    first = stage(ignoring_rhythm=True)
    again = stage(ignoring_rhythm=True)

    assert states(first) == ["failed", "put back"]
    assert states(again) == ["waiting"]
    assert again.results[0].note == first.results[1].note
    assert "as the one before: nothing is sent to 'news' for an hour" in first.results[1].note
    for _ in range(3):
        clock.advance(timedelta(hours=1))
        assert states(stage()) == ["put back"]
    assert [delivery_of(db, post)[0] for post in posts] == ["failed", *["pending"] * 7]
    assert [delivery_of(db, post)[1] for post in posts] == [1, 1, 1, 1, 1, 0, 0, 0]

    discord.script.clear()
    for number in (0, 4):
        decisions.decide(db, id_of(db, posts[number]), "retry", by="me")
    report = stage(ignoring_rhythm=True, limit=8)

    assert states(report) == ["posted"] * 8
    assert len(discord.messages()) == 8


def test_two_refusals_for_different_reasons_are_two_texts(db, discord, stage):
    for number in range(3):
        approved(db, f"post {number}")
    discord.script.add("400:200000", "400:50035")

    assert states(stage()) == ["failed", "failed", "posted"]


def test_a_text_too_long_is_held_or_split_as_configured(db, discord, stage, clock):
    long = "\n\n".join(f"Paragraph {number}. " + "word " * 150 for number in range(5)).strip()
    approved(db, long)
    assert states(stage()) == ["held", "nothing"]

    stage.change("news", too_long="split")
    post = approved(db, long)
    report = stage()

    assert states(report) == ["posted"]
    assert len(discord.contents()) > 1
    assert "\n\n".join(discord.contents()).split() == long.split()
    assert delivery_of(db, post)[2] == discord.messages()[0]["id"]


def test_a_split_text_goes_on_where_it_was_interrupted(db, discord, stage, clock):
    stage.change("news", too_long="split", thread_name="More")
    long = "\n\n".join("word " * 250 for _ in range(5)).strip()
    post = approved(db, long)
    discord.script.add("ok")
    lose(discord)

    assert states(stage()) == ["uncertain"]
    clock.advance(timedelta(seconds=10))
    assert states(stage()) == ["posted"]

    [first] = discord.messages()
    rest = discord.contents(first["id"])
    assert " ".join([first["content"], *rest]).split() == long.split()
    assert status_of(db, post) == "posted"


@pytest.mark.parametrize("faults", [["ok"], ["ok", "500 after storing", "503", "503"]])
def test_a_thread_that_could_not_be_opened_is_opened_by_the_next_run(
    db, discord, stage, clock, faults
):
    stage.change("news", too_long="split", thread_name="More")
    long = "\n\n".join("word " * 250 for _ in range(5)).strip()
    post = approved(db, long)
    discord.script.add("503", to="start_thread_from_message")
    discord.script.add(*faults)

    assert states(stage()) == ["uncertain"]
    for _ in range(3):
        clock.advance(timedelta(minutes=6))
        stage()

    [first] = discord.messages()
    rest = discord.contents(first["id"])
    assert " ".join([first["content"], *rest]).split() == long.split()
    assert status_of(db, post) == "posted"


def test_a_thread_that_may_not_be_opened_is_named_as_what_stands_in_the_way(db, discord, stage):
    stage.change("news", too_long="split", thread_name="More")
    approved(db, "\n\n".join("word " * 250 for _ in range(5)).strip())
    discord.deny("CREATE_PUBLIC_THREADS")

    [result] = stage().results

    assert result.exit_code == Exit.CONFIG
    assert "not open a thread there; give it Create Public Threads" in result.note


def test_a_split_text_is_looked_up_part_by_part_after_a_long_time(db, discord, stage, clock):
    stage.change("news", too_long="split")
    long = "\n\n".join(f"{number} " * 700 for number in range(4)).strip()
    approved(db, long)
    discord.script.add("ok")
    lose(discord)
    stage()

    clock.advance(timedelta(hours=5))
    stage()

    assert " ".join(discord.contents()).split() == long.split()


def test_a_part_that_is_not_there_is_sent_as_if_for_the_first_time(db, discord, stage, clock):
    stage.change("news", too_long="split")
    long = "\n\n".join(f"{number} " * 700 for number in range(4)).strip()
    approved(db, long)
    discord.script.add("ok", *["hang up before storing"] * 3)
    stage()

    clock.advance(timedelta(hours=5))
    begun = clock.now()
    discord.script.add(*["hang up before storing"] * 3)
    assert states(stage())[0] == "uncertain"
    [(sent_at,)] = db.execute("SELECT sent_at FROM deliveries").fetchall()
    assert sent_at >= begun
    clock.advance(timedelta(hours=5))
    discord.script.add("hang up before storing")
    assert states(stage())[0] == "posted", "it has the whole time of its nonce"
    assert " ".join(discord.contents()).split() == long.split()


def test_a_part_that_is_found_again_is_known_with_its_thread(db, discord, stage, clock):
    stage.change("news", too_long="split", thread_name="More")
    approved(db, "\n\n".join("word " * 250 for _ in range(5)).strip())
    discord.script.add("ok")
    lose(discord)
    stage()

    clock.advance(timedelta(hours=5))
    assert states(stage())[0] == "posted"

    [(parts,)] = db.execute("SELECT parts FROM deliveries").fetchall()
    assert len(parts) == len(discord.messages()) + len(discord.contents(parts[0]["remote_id"]))
    first, *rest = parts
    assert {part["thread"] for part in rest} == {first["remote_id"]}


def test_a_webhook_publishes_once_and_a_lost_answer_is_left_to_a_person(
    db, discord, stage_for, clock
):
    hook = to_discord(discord, token=Secret(""), channel="", webhook=Secret(discord.add_webhook()))
    stage = stage_for(hook)
    approved(db, "one")
    approved(db, "two")
    assert states(stage()) == ["posted"]
    clock.advance(timedelta(hours=1))
    discord.script.add("500 after storing", to="execute_webhook")

    stage()
    report = stage()

    assert states(report) == ["held", "nothing"]
    assert "a webhook cannot read its channel back" in report.results[0].note
    assert discord.contents() == ["one", "two"]


def test_a_webhook_with_a_bot_beside_it_is_looked_up(db, discord, stage_for, clock):
    stage = stage_for(to_discord(discord, webhook=Secret(discord.add_webhook())))
    approved(db, "one")
    discord.script.add("500 after storing", to="execute_webhook")
    stage()

    report = stage()

    assert states(report) == ["posted"]
    assert discord.contents() == ["one"]


def test_a_webhook_does_not_believe_an_early_look(db, discord, stage_for, clock):
    stage = stage_for(to_discord(discord, webhook=Secret(discord.add_webhook())))
    approved(db, "one")
    discord.script.add("hang up before storing", to="execute_webhook")
    stage()

    assert states(stage()) == ["uncertain", "waiting"]
    clock.advance(timedelta(seconds=61))
    assert states(stage()) == ["put back", "posted"]
    assert discord.contents() == ["one"]


def test_a_webhook_is_looked_up_again_a_minute_after_its_request(db, discord, stage_for, clock):
    stage = stage_for(to_discord(discord, webhook=Secret(discord.add_webhook())))
    approved(db, "one")
    discord.script.add("hang up before storing", to="execute_webhook")
    stage()
    clock.advance(timedelta(seconds=50))
    assert states(stage())[0] == "uncertain"

    clock.advance(timedelta(seconds=11))

    assert states(stage()) == ["put back", "posted"]


def test_crosspost_and_thread_follow_and_their_failure_does_not_unpublish(db, discord, stage_for):
    channel = discord.add_channel("announcements", type=5)
    stage = stage_for(
        to_discord(discord, channel=channel, crosspost=True, thread_name="Talk about it")
    )
    post = approved(db)
    discord.deny("CREATE_PUBLIC_THREADS", channel=channel)

    report = stage()

    assert states(report) == ["posted"]
    assert "what should follow failed" in report.results[0].note
    assert discord.messages(channel)[0]["flags"] & 1, "crossposted"
    assert status_of(db, post) == "posted"


FAULTS = ("429:30", "hang up before storing", "500 after storing")
FOLLOWED = ("thread", "crosspost", "link")
ROUTES = {
    "thread": "start_thread_from_message",
    "crosspost": "crosspost_message",
    "link": "get_channel",
}


@pytest.fixture
def following(discord, stage_for):
    """A stage whose posts are crossposted and get a thread; .channel is theirs."""
    channel = discord.add_channel("announcements", type=5)
    stage = stage_for(to_discord(discord, channel=channel, crosspost=True, thread_name="Talk"))
    stage.channel = channel
    return stage


def steps_of(db):
    [(steps, at)] = db.execute("SELECT steps, steps_at FROM deliveries").fetchall()
    return {one["step"]: one["state"] for one in steps}, at


@pytest.mark.parametrize(
    "what",
    [
        *((step, "503") for step in FOLLOWED),
        *(("crosspost", fault) for fault in FAULTS),
        *(
            pytest.param((step, fault), marks=pytest.mark.slow)
            for step in ("thread", "link")
            for fault in FAULTS
        ),
    ],
    ids=" ".join,
)
def test_what_follows_a_message_is_done_by_a_later_run(db, discord, following, clock, what):
    step, fault = what
    approved(db)
    times = 1 if fault == "429:30" else 3  # a long wait is left to a later run
    discord.script.add(*[fault] * times, to=ROUTES[step])

    [first] = following().results

    assert first.state == "posted"
    assert f"what should follow failed ({step}: " in first.note
    assert steps_of(db)[0] == {one: "open" if one == step else "done" for one in FOLLOWED}
    assert [one.state for one in following().results] == ["nothing"], "not before it is due"

    clock.advance(timedelta(minutes=2))
    later = following().results[0]

    assert (later.state, later.note) == ("finished", "")
    assert steps_of(db) == (dict.fromkeys(FOLLOWED, "done"), None)
    [message] = discord.messages(following.channel)
    assert message["flags"] & 1
    assert later.url.split("/")[4] == discord.guild
    assert sum(one.path.endswith("/messages") for one in discord.requests) == 1, "posted once"


def test_a_message_is_settled_before_anything_that_follows_is_asked(
    db, db_url, following, monkeypatch
):
    post, seen, follow = approved(db), [], Discord.follow

    def followed(self, step, receipt):
        with connect_to(db_url) as other:
            seen.append((step, delivery_of(other, post)))
        return follow(self, step, receipt)

    monkeypatch.setattr(Discord, "follow", followed)
    [result] = following().results

    assert seen == [(step, ("posted", 1, result.remote_id)) for step in FOLLOWED]


def test_what_is_not_allowed_is_tried_again_less_and_less_often(db, discord, following, clock):
    approved(db)
    discord.deny("CREATE_PUBLIC_THREADS", channel=following.channel)
    following()
    waits = []
    for _ in range(8):
        _, at = steps_of(db)
        waits.append((at - clock.now()).total_seconds())
        clock.advance(at - clock.now())
        assert following().results[0].state == "unfinished"

    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_what_is_refused_for_good_is_done_when_a_person_says_so(db, discord, following, clock):
    post = approved(db)
    discord.script.add("400:50035", to=ROUTES["thread"])
    following()
    assert steps_of(db) == ({"thread": "refused", "crosspost": "done", "link": "done"}, None)
    clock.advance(timedelta(days=1))
    assert following().results[0].state == "nothing"

    decisions.decide(db, id_of(db, post), "retry", by="me")

    assert following().results[0].state == "finished"
    assert steps_of(db)[0]["thread"] == "done"
    assert len(discord.messages(following.channel)) == 1
    with pytest.raises(UsageError, match="it is posted"):
        decisions.decide(db, id_of(db, post), "retry", by="me")


def test_nothing_follows_what_was_withdrawn(db, discord, following, clock):
    post = approved(db)
    discord.script.add(*["503"] * 3, to=ROUTES["crosspost"])
    following()

    withdraw_post(following.context, id_of(db, post), by="me")
    clock.advance(timedelta(days=1))

    assert [one.state for one in following().results] == ["nothing"]


def test_dry_run_shows_the_request_and_changes_nothing(db, discord, stage):
    held = approved(db, "@here")
    post = approved(db, "hello")

    report = stage.dry_run()

    [preview] = report.previews
    assert preview.post == post
    assert [one.post for one in preview.held] == [held]
    [request] = preview.requests
    assert (request["method"], request["url"]) == (
        "POST",
        f"{discord.api}/channels/{discord.channel}/messages",
    )
    assert request["json"]["content"] == "hello"
    assert request["json"]["allowed_mentions"] == {"parse": []}
    assert all(one.passes for one in preview.verdicts)
    assert len(preview.verdicts) >= 10
    assert discord.requests == []
    for table in ("deliveries", "runs", "locks"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_dry_run_shows_the_very_request_that_is_made(db, discord, stage):
    approved(db, "hello <@42>")
    stage.change("news", guard=Guard(allowed_mentions=("42",)))

    [request] = stage.dry_run().previews[0].requests
    stage()

    [made] = discord.sent()
    assert request["json"] | {"nonce": made.body["nonce"]} == made.body
    assert made.body["allowed_mentions"] == {"parse": [], "users": ["42"]}


def test_dry_run_says_when_it_is_not_due(db, discord, stage, clock):
    approved(db, "one")
    approved(db, "two")
    stage()

    [preview] = stage.dry_run().previews

    assert preview.text == "two"
    assert preview.why == "not before minimum interval 60 min"
    assert preview.due_at == clock.now() + timedelta(hours=1)


def test_an_unknown_destination_is_named_with_the_known_ones(stage):
    with pytest.raises(UsageError, match="name one of news"):
        stage(to="nowhere")


def test_no_destination_at_all_is_a_matter_of_configuration(stage_for):
    with pytest.raises(ConfigError, match="no destination"):
        stage_for()()


def test_one_destination_out_of_order_does_not_stop_another(db, discord, stage_for):
    stage = stage_for(to_discord(discord, "broken", channel="404404"), to_discord(discord, "news"))
    approved(db)

    report = stage()

    assert states(report) == ["put back", "posted"]
    assert report.exit_code == Exit.CONFIG
    assert discord.contents() == ["Hello, studio!"]


@pytest.mark.parametrize("dead", ["404:10003", "404:10015", "403:50001"])
def test_one_place_that_is_gone_never_closes_the_others(db, discord, stage_for, clock, dead):
    """Five failed runs in a row open the breaker, which would stop every destination."""
    other = discord.add_channel("other")
    hook = {"webhook": Secret(discord.add_webhook())} if dead.endswith("15") else {}
    stage = stage_for(to_discord(discord, "gone", **hook), to_discord(discord, channel=other))
    for number in range(8):
        approved(db, f"post {number}")
        route = "execute_webhook" if hook else "create_message"
        discord.script.add(dead, to=route)
        assert states(stage()) == ["put back", "posted"]
        clock.advance(timedelta(hours=1))

    assert len(discord.contents(other)) == 8
    assert db.execute(BREAKER).fetchone() == (None, 0)


def test_a_place_that_is_gone_and_the_only_one_opens_the_breaker_in_time(db, discord, stage, clock):
    approved(db)
    for _ in range(5):
        discord.script.add("404:10003")
        stage()
        clock.advance(timedelta(hours=1))

    assert db.execute(BREAKER).fetchone()[0] is not None


def test_a_webhook_that_is_gone_is_left_alone_for_long(db, discord, stage_for, clock):
    """Discord: a 404 of a webhook must not be asked for again."""
    stage = stage_for(to_discord(discord, webhook=Secret(f"{discord.api}/webhooks/1/x")))
    approved(db)
    for _ in range(11):
        stage()
        clock.advance(timedelta(minutes=5))

    assert len(discord.requests) == 1


def test_a_server_that_does_not_say_who_we_are_blocks_nothing(db, discord, stage, clock):
    first = approved(db, "one")
    approved(db, "two")
    discord.script.add(*["hang up before storing"] * 3)
    stage()
    discord.add_message("something else")
    clock.advance(timedelta(hours=3))
    discord.script.add("404", to="get_me")

    report = stage()

    assert states(report) == ["held", "posted"]
    assert f"mark-posted {id_of(db, first)}" in report.results[0].note


def test_the_same_text_for_another_destination_in_the_channel_is_not_the_lost_one(
    db, discord, stage_for, clock
):
    stage = stage_for(to_discord(discord, "one"), to_discord(discord, "two"))
    post = approved(db, "Same words.")
    assert states(stage()) == ["posted", "nothing"]
    db.execute(
        "INSERT INTO deliveries (post_id, destination, decided_by) VALUES (%s, 'two', 'me')",
        (post,),
    )
    db.execute("UPDATE approved_discord_posts SET review_status = 'pending'")
    discord.script.add(*["hang up before storing"] * 3)
    assert states(stage()) == ["nothing", "uncertain"]

    clock.advance(timedelta(hours=3))
    stage()

    assert discord.contents() == ["Same words.", "Same words."]


def test_a_message_is_changed_and_taken_back_where_it_is(db, discord, stage):
    """The destination has another channel since: there nothing of that id is, which looks done."""
    post = approved(db, "old")
    stage()
    stage.change("news", channel=discord.add_channel("new"))

    edit_post(stage.context, id_of(db, post), text="changed", by="me")
    assert discord.contents() == ["changed"]

    withdraw_post(stage.context, id_of(db, post), by="me")
    assert discord.contents() == []


def test_missed_rounds_are_made_up_as_configured(db, discord, stage, clock):
    """Down for ten hours with an interval of one: `skip` begins anew, `spread` hurries."""
    for number in range(12):
        approved(db, f"post {number}")
    stage()
    clock.advance(timedelta(hours=10))

    stage.change("news", missed="skip")
    skipped = stage().results[0]
    assert skipped.state == "waiting"
    assert skipped.next_due == clock.now() + timedelta(hours=1)

    stage.change("news", missed="spread")
    assert states(stage()) == ["posted"]
    clock.advance(timedelta(minutes=30))
    assert states(stage()) == ["posted"]


FORUM_POST = "# **What's new** in 2.0\n\nA great deal, as it happens."


@pytest.fixture(params=["bot", "webhook", "webhook beside a bot"])
def forum(discord, stage_for, request):
    """A stage that posts to a forum, in one of three ways; .channel is the forum."""
    channel = discord.add_channel("help", type=15, flags=0, available_tags=TAGS)
    hook = {"channel": "", "webhook": Secret(discord.add_webhook(channel))}
    way = {
        "bot": {"channel": channel},
        "webhook": {**hook, "token": Secret("")},
        "webhook beside a bot": hook,
    }[request.param]
    tags = ("71",) if request.param == "webhook" else ("News",)
    stage = stage_for(to_discord(discord, forum=True, forum_tags=tags, too_long="split", **way))
    stage.channel, stage.can_read = channel, request.param != "webhook"
    return stage


TAGS = [{"id": "71", "name": "news", "moderated": False}]


def threads_of(discord, forum):
    return [one for one in discord.world.channels.values() if one.get("parent_id") == forum]


def test_a_post_of_a_forum_is_a_thread_with_title_and_tags(db, discord, forum):
    post = approved(db, FORUM_POST)

    [result] = forum().results

    [thread] = threads_of(discord, forum.channel)
    assert thread["name"] == "What's new in 2.0"
    assert discord.contents(thread["id"]) == [FORUM_POST]
    assert result.state == "posted"
    assert result.url.endswith(f"/{thread['id']}/{result.remote_id}")

    edit_post(forum.context, id_of(db, post), text="changed", by="me")
    assert discord.contents(thread["id"]) == ["changed"]
    withdraw_post(forum.context, id_of(db, post), by="me")
    assert not any(discord.contents(one["id"]) for one in threads_of(discord, forum.channel))


def test_a_long_post_of_a_forum_goes_on_in_its_thread(db, discord, forum):
    approved(db, "Title\n\n" + "word " * 900)

    assert states(forum()) == ["posted"]

    [thread] = threads_of(discord, forum.channel)
    assert discord.contents(thread["id"])[0] == "Title"
    assert len(discord.contents(thread["id"])) == 4


@pytest.mark.parametrize("fault", ["500 after storing", "hang up before storing"])
def test_a_lost_answer_of_a_forum_is_looked_up(db, discord, forum, clock, fault):
    approved(db, FORUM_POST)
    route = "start_thread" if forum.config.destinations["news"].channel else "execute_webhook"
    discord.script.add(fault, to=route)
    assert states(forum()) == ["uncertain"]
    clock.advance(timedelta(minutes=5))
    if not forum.can_read:
        assert states(forum())[0] == "held"
        return

    for _ in range(2):
        forum()
        clock.advance(timedelta(hours=1))

    assert len(threads_of(discord, forum.channel)) == 1
    assert db.execute("SELECT state FROM deliveries").fetchone() == ("posted",)


def test_messages_may_be_silent_and_without_previews(db, discord, stage):
    stage.change("news", silent=True, suppress_embeds=True)
    approved(db)
    [request] = stage.dry_run().previews[0].requests

    stage()

    assert request["json"]["flags"] == 4096 + 4
    assert discord.messages()[0]["flags"] & (4096 + 4) == 4096 + 4


@pytest.mark.parametrize("way", ["bot", "webhook beside a bot", "webhook"])
@pytest.mark.parametrize("act", ["edit", "withdraw"])
def test_an_archived_thread_is_opened_again_to_change_a_message(db, discord, stage_for, act, way):
    metadata = {"archived": False, "locked": False}
    thread = discord.add_channel(
        "talk", type=11, parent_id=discord.channel, thread_metadata=metadata
    )
    hook = {"channel": "", "webhook": Secret(f"{discord.add_webhook()}?thread_id={thread}")}
    stage = stage_for(
        to_discord(
            discord,
            **({"channel": thread} if way == "bot" else hook),
            **({"token": Secret("")} if way == "webhook" else {}),
        )
    )
    post = approved(db, "old")
    stage()
    metadata["archived"] = True
    route = f"{'edit' if act == 'edit' else 'delete'}_{'' if way == 'bot' else 'webhook_'}message"
    discord.script.add(*["400:50083"] * (route != "edit_message"), to=route)

    def change():
        if act == "edit":
            edit_post(stage.context, id_of(db, post), text="new", by="me")
        else:
            withdraw_post(stage.context, id_of(db, post), by="me")

    if way == "webhook":
        with pytest.raises(ConfigError, match="open it again, or name a bot's token"):
            change()
        return
    discord.script.add("403:50013", to="edit_channel")
    with pytest.raises(ConfigError, match="not open the archived thread again; give it Manage"):
        change()
    discord.script.add(*["400:50083"] * (route != "edit_message"), to=route)
    change()
    assert discord.contents(thread) == (["new"] if act == "edit" else [])


@pytest.mark.parametrize("fault", ["404:10008", "404:10003", "404:0", "404"])
def test_a_message_that_is_gone_closes_its_delivery(db, discord, stage, fault):
    post = approved(db)
    stage()
    discord.script.add(fault, to="delete_message")

    assert withdraw_post(stage.context, id_of(db, post), by="me").state == "withdrawn"


def ways(discord, *names):
    """Destinations that all write into one channel, each in another way."""
    hook = {"webhook": Secret(discord.add_webhook()), "channel": ""}
    made = {
        "bot": {},
        "other bot": {},
        "hook": {**hook, "token": Secret("")},
        "hook beside a bot": hook,
        "other hook": {**hook, "webhook": Secret(discord.add_webhook())},
    }
    return [to_discord(discord, name, **made[name]) for name in names]


SLOW = pytest.mark.slow
PAIRS = [
    ("bot", "other bot"),
    ("hook", "bot"),
    pytest.param(("bot", "hook"), marks=SLOW),
    pytest.param(("hook beside a bot", "bot"), marks=SLOW),
    pytest.param(("hook", "other hook"), marks=SLOW),
]


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_destinations_of_one_channel_post_a_text_once(db, discord, stage_for, clock, names):
    stage = stage_for(*ways(discord, *names))
    texts = ["one", "two", "three"]
    posts = [approved(db, text) for text in texts]
    if names == ("bot", "other bot"):
        assert [one.post for one in stage.dry_run().previews] == [posts[0], None]

    for _ in range(4):
        stage(ignoring_rhythm=True)
        clock.advance(timedelta(hours=1))

    assert sorted(discord.contents()) == sorted(texts)
    assert {status_of(db, post) for post in posts} == {"posted"}
    assert db.execute(
        "SELECT DISTINCT state FROM deliveries WHERE state <> 'dropped'"
    ).fetchall() == [("posted",)]


@pytest.mark.slow
@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_a_destination_that_takes_over_a_channel_repeats_nothing(
    db, discord, stage_for, clock, names
):
    first, second = ways(discord, *names)
    approved(db, "one")
    assert states(stage_for(first)()) == ["posted"]

    for turn, now in enumerate((second, first, second)):
        clock.advance(timedelta(hours=1))
        stage_for(now)()
        approved(db, f"turn {turn}")
        clock.advance(timedelta(hours=1))
        stage_for(now)()

    assert discord.contents() == ["one", "turn 0", "turn 1", "turn 2"]


def test_hosts_that_know_one_channel_by_two_names_post_a_text_once(db, discord, stage_for, clock):
    bot, hook = ways(discord, "bot", "hook")
    for number in range(3):
        approved(db, f"post {number}")
    for _ in range(4):
        stage_for(hook)(ignoring_rhythm=True)
        stage_for(bot)(ignoring_rhythm=True)
        clock.advance(timedelta(hours=1))

    assert sorted(discord.contents()) == ["post 0", "post 1", "post 2"]


def test_the_place_of_a_thread_is_the_thread(discord):
    bot = to_discord(discord, channel="77")
    hook = to_discord(
        discord, channel="", webhook=Secret("https://discord.com/api/webhooks/1/x?thread_id=77")
    )

    assert place_of(bot) == place_of(hook) == "discord:77"


def test_a_lost_answer_of_a_webhook_is_looked_up_in_its_own_channel(db, discord, stage_for, clock):
    """Whatever POSTING_CHANNEL_ID says: the silence of another channel proves nothing."""
    other = discord.add_channel("other")
    stage = stage_for(to_discord(discord, channel=other, webhook=Secret(discord.add_webhook())))
    approved(db, "one")
    discord.script.add("500 after storing", to="execute_webhook")
    stage()
    clock.advance(timedelta(hours=3))

    assert states(stage())[0] == "posted"
    assert discord.contents() == ["one"]
