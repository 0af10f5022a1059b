"""The Discord client against a server that checks every request against the published rules."""

import re
import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import Gone, KeptOut, LockedOut, NotSent, Refused, Unconfirmed
from botticelli.platforms.discord.client import _web_host
from botticelli.platforms.discord.errors import ErrorAnswer, error_of
from botticelli.platforms.open import open_platform
from botticelli.platforms.rate_limits import SharedLimits
from tests.contracts.platform_contract import PlatformContract, message
from tests.fakes.discord import FakeDiscord
from tests.posting import to_discord


@pytest.fixture
def destination(discord):
    return to_discord(discord)


@pytest.fixture
def platform(destination, clock):
    return open_platform(destination, clock=clock)


@pytest.fixture
def published(discord):
    return discord.contents


class TestBot(PlatformContract):
    @pytest.fixture
    def lose_answers(self, discord):
        return lambda: discord.script.add("hang up after storing")


class TestWebhook(PlatformContract):
    """A webhook, with the bot beside it that reads the channel back."""

    @pytest.fixture
    def destination(self, discord):
        return to_discord(discord, webhook=Secret(discord.add_webhook()))

    @pytest.fixture
    def lose_answers(self, discord):
        return lambda: discord.script.add("hang up after storing", to="execute_webhook")


def test_it_introduces_itself_and_names_the_version_of_the_api(platform, discord):
    platform.send(message())

    made = discord.requests[0]
    assert re.fullmatch(r"DiscordBot \(https://\S+, \S+\)", made.headers["user-agent"])
    assert made.path.startswith("/api/v10/")


def test_a_netrc_entry_does_not_replace_the_token(platform, discord, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    platform.send(message())

    assert discord.requests[0].headers["authorization"] == f"Bot {discord.token}"


def test_the_token_is_not_sent_to_a_webhooks_path(discord, clock):
    hook = to_discord(discord, webhook=Secret(discord.add_webhook()))

    open_platform(hook, clock=clock).send(message())

    assert "authorization" not in discord.requests[0].headers


def test_a_webhooks_secret_is_in_no_message_and_no_preview(discord, clock):
    url = discord.add_webhook()
    platform = open_platform(to_discord(discord, webhook=Secret(url)), clock=clock)
    discord.script.add("hang up before storing", to="execute_webhook")

    with pytest.raises(Unconfirmed) as caught:
        platform.send(message())

    secret = url.rsplit("/", 1)[1]
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
    assert secret not in str(platform.preview(message()))


def test_nobody_is_pinged_unless_allowed(platform, discord):
    platform.send(message("@everyone <@5> <@&6>", allowed_mentions=("6", "7")))

    assert discord.sent()[0].body["allowed_mentions"] == {"parse": [], "roles": ["6"]}
    assert discord.world.pinged_everyone == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("401", LockedOut, "the bot's token is not accepted"),
        ("403:50001", KeptOut, "cannot see the channel"),
        ("404:10015", Gone, "this webhook no longer exists"),
        ("403:50013", ConfigError, "may see #general but not write there; give it Send Messages"),
        ("403:40333", ConfigError, "how we introduce ourselves"),
        ("403:20013", ConfigError, "does not allow it"),
        ("404:10003", KeptOut, "there is no channel"),
        ("400:50035", Refused, "code 50035"),
        ("400:200000", Refused, "AutoMod"),
        ("400:240000", Refused, "harmful link"),
        ("403 html", NotSent, "Cloudflare"),
        ("502 html", Unconfirmed, "502"),
        ("503", Unconfirmed, "503"),
        ("500 after storing", Unconfirmed, "500"),
        ("hang up before storing", Unconfirmed, "no answer"),
        ("reset after storing", Unconfirmed, "no answer"),
        ("429:7", NotSent, "wait 7"),
        ("429 global", NotSent, "wait"),
        ("429 shared", NotSent, "wait"),
        ("429 without json", NotSent, "wait"),
    ],
)
def test_each_failure_says_what_to_do_about_it(platform, discord, fault, kind, words):
    discord.script.add(fault)

    with pytest.raises(kind, match=words):
        platform.send(message())


def test_an_empty_text_is_refused_in_words(platform):
    with pytest.raises(Refused, match="empty"):
        platform.send(message(""))


def test_a_text_too_long_names_the_field(platform):
    with pytest.raises(Refused, match="content"):
        platform.send(message("x" * 2001))


def test_nobody_listening_means_not_sent(destination, clock):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    nowhere = replace(destination, base_url=f"http://127.0.0.1:{port}/api/v10")

    with pytest.raises(NotSent, match="cannot be reached"):
        open_platform(nowhere, clock=clock).send(message())


def test_looking_in_vain_is_never_unconfirmed(platform, discord, clock):
    discord.script.add("500", to="get_me")

    with pytest.raises(NotSent):
        platform.find(message(), since=clock.now())


def test_after_the_last_request_of_a_bucket_it_waits_for_the_next(clock):
    limits = {"create_message": (2, 4.0)}
    with FakeDiscord(clock=lambda: clock.now().timestamp(), route_limits=limits) as discord:
        platform = open_platform(to_discord(discord), clock=clock)
        for number in range(6):
            platform.send(message(str(number), nonce=str(number)))

    assert [one.status for one in discord.sent()] == [200] * 6
    assert sum(clock.slept) == pytest.approx(8, abs=0.1)


def test_a_long_wait_is_the_callers(clock):
    limits = {"create_message": (1, 60.0)}
    with FakeDiscord(clock=lambda: clock.now().timestamp(), route_limits=limits) as discord:
        platform = open_platform(to_discord(discord), clock=clock)
        platform.send(message("one", nonce="1"))
        with pytest.raises(NotSent) as caught:
            platform.send(message("two", nonce="2"))

    assert caught.value.retry_after == pytest.approx(60, abs=0.5)
    assert len(discord.sent()) == 1, "not even asked"


def test_a_global_limit_holds_for_every_route(platform, discord, clock):
    discord.script.add("429 global")
    with pytest.raises(NotSent):
        platform.send(message())
    before = clock.now()

    platform.check()

    assert clock.now() > before


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {}, '{"retry_after": 30, "global": true, "message": "slow down"}', 30),
        (429, {"Retry-After": "70"}, "<html>Error 1015</html>", 70),
        (429, {}, "<html>Error 1015</html>", 60),
        (403, {}, "<html>Access denied</html>", 900),
    ],
)
def test_a_wait_for_all_routes_is_told_in_several_ways(status, headers, body, seconds):
    answer = ErrorAnswer.of(status, headers, body)

    assert (answer.is_global, answer.pause) == (True, seconds)


@pytest.mark.parametrize("fault", ["429 global", "403 html", "429 without json"])
def test_what_one_destination_learns_of_the_whole_bot_holds_for_the_next(discord, clock, fault):
    limits = SharedLimits(clock)
    first, second = (
        open_platform(to_discord(discord, name), clock=clock, limits=limits)
        for name in ("first", "second")
    )
    discord.script.add(fault)
    with pytest.raises(NotSent) as caught:
        first.send(message())
    before = clock.now()

    if caught.value.retry_after > 5:
        with pytest.raises(NotSent, match="rate limit is used up"):
            second.send(message())
        assert len(discord.requests) == 1, "not even asked"
    else:
        second.send(message())
        assert clock.now() - before >= timedelta(seconds=caught.value.retry_after)


def test_an_answer_without_headers_unlearns_nothing(clock):
    limits = SharedLimits(clock).of("https://a", "one")
    limits.learn("POST /channels/1/messages", bucket("b", left=1))
    limits.learn("POST /channels/1/messages", {})
    limits.learn("GET /channels/1", bucket("b", left=0))

    limits.wait("POST /channels/1/messages", where="news")

    assert sum(clock.slept) == 4, "it counts against the same bucket"


def bucket(name, *, left):
    return {
        "X-RateLimit-Bucket": name,
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset-After": "4",
    }


def test_another_bot_keeps_an_account_of_its_own(clock):
    limits = SharedLimits(clock)

    assert limits.of("https://a", "one") is limits.of("https://a", "one")
    assert limits.of("https://a", "one") is not limits.of("https://a", "two")


@pytest.mark.parametrize("denied", ["VIEW_CHANNEL", "SEND_MESSAGES"])
def test_a_refusal_costs_one_invalid_request(platform, discord, denied):
    """Ten thousand of them in ten minutes shut out a whole address."""
    discord.deny(denied)

    with pytest.raises(ConfigError):
        platform.send(message())

    assert sum(one.status == 403 for one in discord.requests) == 1


def test_cloudflares_page_is_not_answered_with_another_request(platform, discord):
    discord.script.add("403 html")

    with pytest.raises(NotSent):
        platform.send(message())

    assert len(discord.requests) == 1


def test_the_larger_of_both_waits_counts():
    answer = ErrorAnswer.of(
        429, {"Retry-After": "3"}, '{"retry_after": 2.5, "message": "slow down"}'
    )
    other = ErrorAnswer.of(
        429, {"Retry-After": "1"}, '{"retry_after": 2.5, "message": "slow down"}'
    )

    assert (answer.retry_after, other.retry_after) == (3, 2.5)


def test_a_wait_until_a_date_is_measured_from_the_answers_own():
    headers = {
        "Date": "Mon, 30 Nov 2026 10:00:00 GMT",
        "Retry-After": "Mon, 30 Nov 2026 10:02:30 GMT",
    }

    assert ErrorAnswer.of(429, headers, "<html>").pause == 150
    assert ErrorAnswer.of(429, headers | {"Date": "?"}, "{}").pause == 5


@pytest.mark.parametrize("nonsense", ["nan", "inf", "-1", "soon"])
def test_a_nonsensical_wait_falls_back_to_ours(nonsense):
    answer = ErrorAnswer.of(429, {"Retry-After": nonsense}, '{"message": "slow down"}')

    error = error_of(answer, where="news", channel="#news", publishing=True)

    assert error.retry_after == 5


def test_an_html_page_in_place_of_the_api_names_the_base_url():
    answer = ErrorAnswer.of(404, {}, "<html>not here</html>")

    error = error_of(answer, where="news", channel="#news", publishing=True)

    assert isinstance(error, ConfigError)
    assert "DISCORD_API_BASE" in str(error)


def test_a_redirect_is_not_followed_with_the_token():
    error = error_of(ErrorAnswer.of(302, {}, ""), where="news", channel="#news", publishing=True)

    assert isinstance(error, ConfigError)


def test_a_message_is_found_behind_hundreds_of_others(platform, discord, clock):
    since = clock.now()
    platform.send(message("Find me"))
    for number in range(250):
        discord.add_message(f"chatter {number}")

    assert platform.find(message("find me "), since=since).receipt is not None


def test_a_copy_by_somebody_else_is_not_ours(platform, discord, clock):
    discord.add_message("Find me")

    looked = platform.find(message("Find me"), since=clock.now())

    assert looked.receipt is None
    assert looked.certain


def test_an_unreadable_channel_proves_nothing(platform, discord, clock):
    platform.send(message())
    discord.deny("READ_MESSAGE_HISTORY")

    looked = platform.find(message(), since=clock.now())

    assert (looked.receipt, looked.certain) == (None, False)
    assert "Read Message History" in looked.why


def test_an_old_message_of_ours_is_not_the_one(platform, clock):
    platform.send(message("Same"))
    clock.advance(timedelta(hours=1))

    assert platform.find(message("Same"), since=clock.now()).receipt is None


@pytest.mark.parametrize("fault", ["404", "405", "501", "403:50013"])
def test_a_server_that_does_not_say_who_we_are_is_asked_for_the_message_all_the_same(
    platform, discord, clock, fault
):
    since = clock.now()
    platform.send(message("Find me"))
    discord.script.add(fault, to="get_me")

    assert platform.find(message("Find me"), since=since).receipt is not None


def test_what_a_server_that_does_not_say_who_we_are_does_not_show_is_not_believed(
    platform, discord, clock
):
    since = clock.now()
    platform.send(message("Something else"))
    discord.script.add("404", to="get_me")

    looked = platform.find(message("Find me", nonce="f" * 25), since=since)

    assert (looked.receipt, looked.certain) == (None, False)
    assert "does not say who we are" in looked.why


@pytest.mark.parametrize("fault", ["404", "405", "501", "403:50013", "403:1"])
def test_a_channel_that_may_be_written_to_but_not_listed_proves_nothing(
    platform, discord, clock, fault
):
    discord.script.add(fault, to="get_messages")

    looked = platform.find(message(), since=clock.now())

    assert (looked.receipt, looked.certain) == (None, False)
    assert looked.why


@pytest.mark.parametrize("fault", ["403:50001", "404:10003"])
def test_who_can_neither_read_nor_write_waits_to_be_let_in_again(platform, discord, clock, fault):
    discord.script.add(fault, to="get_messages")

    with pytest.raises(KeptOut):
        platform.find(message(), since=clock.now())


@pytest.mark.parametrize("fault", ["403:50001", "403:50013", "404:10003"])
def test_a_webhook_whose_bot_may_not_look_proves_nothing(discord, clock, fault):
    hook = to_discord(discord, webhook=Secret(discord.add_webhook()))
    discord.script.add(fault, to="get_messages")

    looked = open_platform(hook, clock=clock).find(message(), since=clock.now())

    assert (looked.receipt, looked.certain) == (None, False)


@pytest.mark.parametrize(
    ("denied", "words"),
    [
        (["SEND_MESSAGES"], "the bot may see #general but not write there: give it Send Messages"),
        (["READ_MESSAGE_HISTORY"], "give it Read Message History"),
        (["VIEW_CHANNEL"], "cannot see the channel"),
    ],
)
def test_check_names_the_missing_permission(platform, discord, denied, words):
    discord.deny(*denied)

    [problem] = platform.check()

    assert words in problem


def test_check_knows_a_wrong_token(discord, clock):
    wrong = to_discord(discord, token=Secret("wrong"))

    [problem] = open_platform(wrong, clock=clock).check()

    assert "set DISCORD_TOKEN" in problem


def test_check_knows_a_wrong_channel(discord, clock):
    forum = to_discord(discord, channel=discord.add_channel("help", type=15))
    absent = to_discord(discord, channel="12345")

    assert "takes no plain messages" in open_platform(forum, clock=clock).check()[0]
    assert "there is no channel" in open_platform(absent, clock=clock).check()[0]


@pytest.mark.parametrize(
    ("facts", "rules", "words"),
    [
        ({"type": 0}, {}, "is no forum; remove `forum`"),
        ({"type": 15, "flags": 1 << 4}, {}, "wants a tag on each post"),
        (
            {"type": 15, "available_tags": [{"id": "1", "name": "Art"}]},
            {"forum_tags": ("art",)},
            "",
        ),
        (
            {"type": 15, "available_tags": [{"id": "1", "name": "Art"}]},
            {"forum_tags": ("arts",)},
            "has no tag 'arts'; name some of its own in `forum_tags`: Art",
        ),
        ({"type": 15}, {}, ""),
        (
            {"type": 11, "thread_metadata": {"locked": True, "archived": True}},
            {"forum": False},
            "is locked; unlock it, or give the bot Manage Threads",
        ),
    ],
)
def test_check_knows_forums_and_threads(discord, clock, facts, rules, words):
    parent = {"parent_id": discord.channel} if facts["type"] == 11 else {}
    channel = discord.add_channel("ideas", **facts, **parent)
    discord.deny("MANAGE_THREADS", channel=parent.get("parent_id", channel))
    platform = open_platform(
        to_discord(discord, **{"channel": channel, "forum": True, **rules}), clock=clock
    )

    problems = platform.check()

    assert words in " ".join(problems)
    assert bool(problems) == bool(words)


@pytest.mark.parametrize("answer", [200, 404])
def test_a_guild_that_leaves_its_roles_out_is_asked_for_them(discord, clock, answer):
    """D18: no word of the roles is no word of our rights."""
    platform = open_platform(to_discord(discord), clock=clock)
    roles = [{"id": discord.guild, "permissions": str(1 << 10 | 1 << 11 | 1 << 16)}]
    discord.canned["GET", f"/guilds/{discord.guild}"] = (
        200,
        {"id": discord.guild, "owner_id": "1"},
    )
    discord.canned["GET", f"/guilds/{discord.guild}/roles"] = (
        answer,
        roles if answer == 200 else {},
    )
    since = clock.now() - timedelta(hours=1)

    assert platform.check() == ()
    looked = platform.find(message(), since=since)

    assert looked.certain == (answer == 200)
    assert "give it" not in looked.why


def test_check_knows_a_webhook_that_is_gone(discord, clock):
    gone = to_discord(discord, token=Secret(""), webhook=Secret(f"{discord.api}/webhooks/1/x"))

    assert "make a new one" in open_platform(gone, clock=clock).check()[0]


def test_a_crosspost_needs_an_announcement_channel(discord, clock):
    [problem] = open_platform(to_discord(discord, crosspost=True), clock=clock).check()

    assert "announcement" in problem


def test_what_follows_a_message_may_be_repeated(discord, clock):
    channel = discord.add_channel("announcements", type=5)
    platform = open_platform(
        to_discord(discord, channel=channel, crosspost=True, thread_name="Talk"), clock=clock
    )
    receipt = platform.send(message())

    for _ in range(2):
        for step in ("thread", "crosspost"):
            platform.follow(step, receipt)

    assert discord.messages(channel)[0]["flags"] & 1
    assert platform.own_replies(receipt, 3) == 2, "they lie in its thread"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"channel": ""}, "POSTING_CHANNEL_ID"),
        ({"token": Secret("")}, "DISCORD_TOKEN"),
        ({"channel": "#news"}, "not a channel id"),
        ({"token": Secret("two words")}, "characters that no token has"),
        ({"webhook": Secret("https://example.org/")}, "does not look like one"),
        ({"platform": "pigeon"}, "no platform 'pigeon'"),
        ({"forum_tags": ("news",)}, "only a forum has tags"),
        ({"forum": True, "forum_tags": tuple("abcdef")}, "more than 5 tags"),
        ({"forum": True, "crosspost": True}, "a forum has no followers"),
        (
            {
                "webhook": Secret("https://discord.com/api/webhooks/1/x"),
                "token": Secret(""),
                "forum": True,
                "forum_tags": ("news",),
            },
            "a webhook alone knows no names of tags",
        ),
        (
            {
                "webhook": Secret("https://discord.com/api/webhooks/1/x"),
                "token": Secret(""),
                "thread_name": "Talk",
            },
            "webhook alone can neither",
        ),
    ],
)
def test_what_is_missing_is_named_before_anything_is_asked(discord, clock, facts, words):
    with pytest.raises(ConfigError, match=words):
        open_platform(replace(to_discord(discord), **facts), clock=clock)


def test_a_base_without_a_version_gets_one(discord, clock):
    bare = to_discord(discord, base_url=discord.api.removesuffix("/v10"))

    open_platform(bare, clock=clock).send(message())

    assert discord.contents() == ["Hello"]


@pytest.mark.parametrize("left_out", ["/api/v10", "/v10", ""])
def test_a_bare_host_means_the_api_below_it(discord, clock, left_out):
    bare = to_discord(discord, base_url=discord.api.removesuffix(left_out) + "/")

    url = open_platform(bare, clock=clock).preview(message())[0]["url"]

    assert url.startswith(f"{discord.api}/channels/")


def test_without_a_base_it_is_discords_own(clock):
    real = Destination(name="n", platform="discord", channel="1", token=Secret("t"))

    (request,) = open_platform(real, clock=clock).preview(message())

    assert request["url"] == "https://discord.com/api/v10/channels/1/messages"


@pytest.mark.parametrize("way", ["bot", "webhook alone", "webhook beside a blind bot"])
def test_a_link_names_the_server_which_no_message_does(discord, clock, way):
    hook = {} if way == "bot" else {"webhook": Secret(discord.add_webhook())}
    token = {"token": Secret("")} if way == "webhook alone" else {}
    platform = open_platform(to_discord(discord, **hook, **token), clock=clock)
    discord.deny(*(["VIEW_CHANNEL"] if way.endswith("blind bot") else []))

    first, second = platform.send(message("one", nonce="1")), platform.send(message("two"))

    place = f"https://discord.com/channels/{discord.guild}/{discord.channel}"
    assert len(discord.requests) == 2, "the messages are out before anything else is asked"
    assert first.url == f"https://discord.com/channels/@me/{discord.channel}/{first.remote_id}"
    linked = [platform.follow("link", one) for one in (first, second)]
    assert [one.url for one in linked] == [f"{place}/{one.remote_id}" for one in linked]
    assert platform.send(message("three", nonce="3")).url.startswith(place)
    assert "link" not in platform.steps


def test_a_server_that_is_not_told_costs_the_link_only(platform, discord):
    discord.script.add("404", to="get_channel")
    receipt = platform.send(message())

    assert platform.follow("link", receipt).url.startswith("https://discord.com/channels/@me/")


@pytest.mark.parametrize(
    ("base", "host"),
    [
        ("https://discord.com/api/v10", "discord.com"),
        ("https://canary.discord.com/api/v10", "discord.com"),
        ("http://127.0.0.1:8000/api/v10", "discord.com"),
        ("http://nirn-proxy:8080/api/v10", "discord.com"),
        ("https://proxy.corp.internal/api/v10", "discord.com"),
        ("https://chat.example.org/api/v9", "chat.example.org"),
    ],
)
def test_a_link_leads_to_the_web_client_of_the_server(base, host):
    assert _web_host(base) == host
