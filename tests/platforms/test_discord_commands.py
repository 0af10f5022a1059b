"""Every Discord command against a server that keeps the published rules."""

import random
from dataclasses import dataclass
from datetime import timedelta

import pytest

from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import Refused, Unconfirmed
from botticelli.platforms.discord.commands.arguments import BadArgument
from botticelli.platforms.discord.commands.request import NoSuchCommand
from botticelli.platforms.discord.commands.table import ALIASES, ROWS, TABLE
from botticelli.platforms.discord.open import open_discord_commands
from tests.clock import PinnedClock
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_crowd import add_member, all_permissions_but
from tests.fakes.discord_routing import find


@dataclass
class Studio:
    """A guild with everything in it that commands may act on."""

    discord: FakeDiscord
    commands: object
    clock: PinnedClock
    ids: dict

    def run(self, command, **args):
        return self.commands.run(command, args)

    def last(self):
        return self.discord.requests[-1]


@pytest.fixture
def studio():
    clock = PinnedClock()
    with FakeDiscord(clock=lambda: clock.now().timestamp()) as discord:
        world = discord.world
        with world.lock:
            ids = {
                "guild": discord.guild,
                "channel": discord.channel,
                "user": add_member(world, discord.guild, "vera")["user"]["id"],
                "forum": discord.add_channel("ideas", type=15),
                "news": discord.add_channel("news", type=5),
                "target": world.new_id(),
            }
        ids["message"] = discord.add_message("hello")
        destination = Destination(
            name="d", platform="discord", token=Secret(discord.token), base_url=discord.api
        )
        commands = open_discord_commands(lambda: destination, clock=clock, chance=random.Random(5))
        made = commands.run("roles.create", {"guild_id": discord.guild, "name": "painter"})
        ids["role"] = made["id"]
        thread = {"channel_id": discord.channel, "name": "talk"}
        ids["thread"] = commands.run("threads.create", thread)["thread_id"]
        event = {"guild_id": discord.guild, "name": "vernissage", "start_time": "2026-12-24T18:00Z"}
        ids["event"] = commands.run("events.create", event)["event_id"]
        ids["invite"] = commands.run("channels.create_invite", {"channel_id": discord.channel})[
            "code"
        ]
        discord.requests.clear()
        yield Studio(discord=discord, commands=commands, clock=clock, ids=ids)


G, C, M, U, R, T = "{guild}", "{channel}", "{message}", "{user}", "{role}", "{thread}"
AT = {"channel_id": C, "message_id": M}
GUILD, CHANNEL = "/guilds/{guild}", "/channels/{channel}"
ONE = CHANNEL + "/messages/{message}"
MEMBER = GUILD + "/members/{user}"
THUMB = "%F0%9F%91%8D"

# command, arguments, request, what the body must hold, what the result must hold
CASES = [
    ("server.get_stats", {"guild_id": G}, f"GET {GUILD}", None, {"member_count": 42}),
    ("channels.list", {"guild_id": G}, f"GET {GUILD}/channels", None, None),
    (
        "channels.get",
        {"channel_id": C},
        f"GET {CHANNEL}",
        None,
        {"name": "general", "type": "text"},
    ),
    (
        "channels.create",
        {"guild_id": G, "name": "New Room", "channel_type": "Voice", "position": "3"},
        f"POST {GUILD}/channels",
        {"name": "New Room", "type": 2, "position": 3},
        {"kind": "voice", "name": "New Room"},
    ),
    (
        "channels.get_or_create",
        {"guild_id": G, "name": "brand new"},
        f"POST {GUILD}/channels",
        {"name": "brand new"},
        {"existed": False, "name": "brand-new"},
    ),
    (
        "channels.edit",
        {"channel_id": C, "topic": "art", "nsfw": "false"},
        f"PATCH {CHANNEL}",
        {"topic": "art", "nsfw": False},
        {"topic": "art"},
    ),
    ("channels.delete", {"channel_id": C}, f"DELETE {CHANNEL}", None, {"deleted": True, "id": C}),
    (
        "channels.create_invite",
        {"channel_id": C, "max_age": 60, "max_uses": 1},
        f"POST {CHANNEL}/invites",
        {"max_age": 60, "max_uses": 1},
        {"max_age": 60, "channel_id": C},
    ),
    ("channels.typing", {"channel_id": C}, f"POST {CHANNEL}/typing", None, {"typing": True}),
    (
        "messages.send",
        {"channel_id": C, "content": "hi @everyone"},
        f"POST {CHANNEL}/messages",
        {"content": "hi @everyone", "allowed_mentions": {"parse": []}, "enforce_nonce": True},
        {"content": "hi @everyone", "channel_id": C},
    ),
    ("messages.get", AT, f"GET {ONE}", None, {"id": M}),
    ("messages.list", {"channel_id": C, "limit": "1"}, f"GET {CHANNEL}/messages", None, None),
    ("messages.delete", AT, f"DELETE {ONE}", None, {"deleted": True}),
    ("messages.pin", AT, f"PUT {CHANNEL}/messages/pins/{M}", None, {"pinned": True}),
    ("messages.unpin", AT, f"DELETE {CHANNEL}/messages/pins/{M}", None, {"pinned": False}),
    ("messages.clear", {"channel_id": C}, f"DELETE {ONE}", None, {"cleared": 1, "failed": []}),
    (
        "messages.bulk_delete",
        {"channel_id": C, "message_ids": [M]},
        f"DELETE {ONE}",
        None,
        {"success": True, "deleted_count": 1},
    ),
    (
        "reactions.add",
        {**AT, "emoji": "👍"},
        f"PUT {ONE}/reactions/{THUMB}/@me",
        None,
        {"added": True, "emoji": "👍"},
    ),
    (
        "reactions.remove",
        {**AT, "emoji": "👍"},
        f"DELETE {ONE}/reactions/{THUMB}/@me",
        None,
        {"removed": True},
    ),
    (
        "reactions.remove",
        {**AT, "emoji": "<:brush:77>", "user_id": U},
        f"DELETE {ONE}/reactions/brush%3A77/{U}",
        None,
        {"removed": True},
    ),
    (
        "reactions.list",
        {**AT, "emoji": "👍"},
        f"GET {ONE}/reactions/{THUMB}",
        None,
        {"users": [], "count": 0},
    ),
    ("reactions.clear", AT, f"DELETE {ONE}/reactions", None, {"success": True}),
    (
        "reactions.clear_emoji",
        {**AT, "emoji": "👍"},
        f"DELETE {ONE}/reactions/{THUMB}",
        None,
        {"success": True},
    ),
    ("members.list", {"guild_id": G}, f"GET {GUILD}/members", None, None),
    (
        "members.get",
        {"guild_id": G, "user_id": U},
        f"GET {MEMBER}",
        None,
        {"user_id": U, "username": "vera"},
    ),
    (
        "members.kick",
        {"guild_id": G, "user_id": U, "reason": "rude"},
        f"DELETE {MEMBER}",
        None,
        {"kicked": True},
    ),
    (
        "members.ban",
        {"guild_id": G, "user_id": U, "delete_message_days": 2},
        f"PUT {GUILD}/bans/{U}",
        {"delete_message_seconds": 172800},
        {"banned": True},
    ),
    (
        "members.timeout",
        {"guild_id": G, "user_id": U, "duration_seconds": 3600},
        f"PATCH {MEMBER}",
        {"communication_disabled_until": "2026-11-24T13:00:00+00:00"},
        {"timed_out": True, "timeout_until": "2026-11-24T13:00:00+00:00"},
    ),
    (
        "members.remove_timeout",
        {"guild_id": G, "user_id": U},
        f"PATCH {MEMBER}",
        {"communication_disabled_until": None},
        {"timeout_removed": True},
    ),
    (
        "members.edit",
        {"guild_id": G, "user_id": U, "nickname": "V", "mute": True, "roles": [R]},
        f"PATCH {MEMBER}",
        {"nick": "V", "mute": True, "roles": [R]},
        {"nickname": "V", "roles": [R]},
    ),
    ("roles.list", {"guild_id": G}, f"GET {GUILD}/roles", None, None),
    (
        "roles.get",
        {"guild_id": G, "role_id": R},
        f"GET {GUILD}/roles/{R}",
        None,
        {"name": "painter"},
    ),
    (
        "roles.create",
        {"guild_id": G, "name": "x", "color": 255, "permissions": 1024},
        f"POST {GUILD}/roles",
        {"name": "x", "color": 255, "permissions": "1024"},
        {"name": "x", "permissions": "1024"},
    ),
    (
        "roles.edit",
        {"guild_id": G, "role_id": R, "color": "#5865F2"},
        f"PATCH {GUILD}/roles/{R}",
        {"color": 0x5865F2},
        {"name": "painter"},
    ),
    (
        "roles.edit",
        {"guild_id": G, "role_id": R, "hoist": True},
        f"PATCH {GUILD}/roles/{R}",
        {"hoist": True},
        {"hoist": True},
    ),
    (
        "roles.delete",
        {"guild_id": G, "role_id": R},
        f"DELETE {GUILD}/roles/{R}",
        None,
        {"deleted": True},
    ),
    (
        "roles.assign",
        {"guild_id": G, "user_id": U, "role_id": R},
        f"PUT {MEMBER}/roles/{R}",
        None,
        {"assigned": True},
    ),
    (
        "roles.remove",
        {"guild_id": G, "user_id": U, "role_id": R},
        f"DELETE {MEMBER}/roles/{R}",
        None,
        {"removed": True},
    ),
    (
        "threads.create",
        {"channel_id": C, "name": "t", "auto_archive_duration": 60},
        f"POST {CHANNEL}/threads",
        {"name": "t", "type": 11, "auto_archive_duration": 60},
        {"type": "public_thread"},
    ),
    (
        "threads.create",
        {"channel_id": C, "message_id": M, "name": "t"},
        f"POST {ONE}/threads",
        {"name": "t"},
        {"thread_id": M},
    ),
    ("threads.list", {"guild_id": G}, f"GET {GUILD}/threads/active", None, {"count": 1}),
    ("threads.get", {"channel_id": T}, f"GET /channels/{T}", None, {"name": "talk"}),
    (
        "threads.edit",
        {"thread_id": T, "archived": True},
        f"PATCH /channels/{T}",
        {"archived": True},
        {"success": True},
    ),
    ("threads.delete", {"thread_id": T}, f"DELETE /channels/{T}", None, {"success": True}),
    (
        "threads.join",
        {"thread_id": T},
        f"PUT /channels/{T}/thread-members/@me",
        None,
        {"success": True},
    ),
    (
        "threads.leave",
        {"thread_id": T},
        f"DELETE /channels/{T}/thread-members/@me",
        None,
        {"success": True},
    ),
    (
        "threads.add_member",
        {"thread_id": T, "user_id": U},
        f"PUT /channels/{T}/thread-members/{U}",
        None,
        {"success": True},
    ),
    (
        "threads.remove_member",
        {"thread_id": T, "user_id": U},
        f"DELETE /channels/{T}/thread-members/{U}",
        None,
        {"success": True},
    ),
    (
        "forum.create_post",
        {"channel_id": "{forum}", "name": "idea", "content": "paint it"},
        "POST /channels/{forum}/threads",
        {"message": {"allowed_mentions": {"parse": []}, "content": "paint it"}},
        {"name": "idea"},
    ),
    (
        "forum.list_posts",
        {"channel_id": "{forum}"},
        "GET /channels/{forum}/threads/archived/public",
        None,
        {"posts": [], "count": 0},
    ),
    ("forum.get_post", {"thread_id": T}, f"GET /channels/{T}", None, {"message_count": 0}),
    ("events.list", {"guild_id": G}, f"GET {GUILD}/scheduled-events", None, None),
    (
        "events.get",
        {"guild_id": G, "event_id": "{event}"},
        f"GET {GUILD}/scheduled-events/{{event}}",
        None,
        {"name": "vernissage", "location": "Discord"},
    ),
    (
        "events.create",
        {"guild_id": G, "name": "e", "start_time": "2027-01-01T10:00:00", "location": "Florence"},
        f"POST {GUILD}/scheduled-events",
        {
            "scheduled_start_time": "2027-01-01T10:00:00+00:00",
            "scheduled_end_time": "2027-01-01T11:00:00+00:00",
            "entity_metadata": {"location": "Florence"},
            "entity_type": 3,
            "privacy_level": 2,
        },
        {"location": "Florence"},
    ),
    (
        "events.edit",
        {"guild_id": G, "event_id": "{event}", "name": "finissage"},
        f"PATCH {GUILD}/scheduled-events/{{event}}",
        {"name": "finissage"},
        {"success": True, "name": "finissage"},
    ),
    (
        "events.delete",
        {"guild_id": G, "event_id": "{event}"},
        f"DELETE {GUILD}/scheduled-events/{{event}}",
        None,
        {"success": True},
    ),
    ("emojis.list", {"guild_id": G}, f"GET {GUILD}/emojis", None, None),
    ("stickers.list", {"guild_id": G}, f"GET {GUILD}/stickers", None, None),
    ("invites.list", {"guild_id": G}, f"GET {GUILD}/invites", None, None),
    ("invites.delete", {"code": "{invite}"}, "DELETE /invites/{invite}", None, {"deleted": True}),
    ("webhooks.list", {"guild_id": G}, f"GET {GUILD}/webhooks", None, None),
    ("bans.list", {"guild_id": G}, f"GET {GUILD}/bans", None, None),
    ("integrations.list", {"guild_id": G}, f"GET {GUILD}/integrations", None, None),
    ("voice_regions.list", {"guild_id": G}, f"GET {GUILD}/regions", None, None),
    (
        "permissions.set",
        {"channel_id": C, "target_id": "{target}", "deny": "2048", "target": "role"},
        f"PUT {CHANNEL}/permissions/{{target}}",
        {"allow": "0", "deny": "2048", "type": 0},
        {"success": True},
    ),
    ("permissions.list", {"channel_id": C}, f"GET {CHANNEL}", None, {"count": 0}),
    (
        "permissions.delete",
        {"channel_id": C, "target_id": "{target}"},
        f"DELETE {CHANNEL}/permissions/{{target}}",
        None,
        {"deleted": True},
    ),
]
# Commands that need something made first; they have tests of their own below.
ELSEWHERE = {"messages.edit", "members.unban", "messages.crosspost"}


def filled(value, ids):
    if isinstance(value, str):
        for name, identity in ids.items():
            value = value.replace(f"{{{name}}}", identity)
        return value
    if isinstance(value, dict):
        return {key: filled(inner, ids) for key, inner in value.items()}
    return [filled(one, ids) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_each_command_makes_the_published_request(studio, case):
    command, args, request, body, result = case

    given = studio.run(command, **filled(args, studio.ids))

    method, path = filled(request, studio.ids).split(" ")
    wanted = (method, f"/api/v10{path}")
    seen = [one for one in studio.discord.requests if (one.method, one.path) == wanted]
    assert seen, [(one.method, one.path) for one in studio.discord.requests]
    assert seen[-1].status in (200, 201, 204)
    for key, value in filled(body or {}, studio.ids).items():
        assert seen[-1].body[key] == value
    for key, value in filled(result or {}, studio.ids).items():
        assert given[key] == value
    if result is None:
        assert isinstance(given, list)


def test_no_command_is_left_out():
    assert {case[0] for case in CASES} | ELSEWHERE == set(TABLE)
    assert len(ROWS) == len(TABLE) >= 62
    assert set(ALIASES.values()) <= set(TABLE)
    for row in ROWS:
        assert all(f"{{{name}}}" not in row.path or name in row.required for name in row.optional
                   if name != "user_id")  # fmt: skip


def test_ids_may_be_numbers_and_nothing_else_reaches_a_path(studio):
    channel = studio.ids["channel"]

    assert studio.run("channels.get", channel_id=int(channel))["id"] == channel
    for trick in ("../users/@me", f"{channel}/messages", f"{channel}?x=1", "%2e%2e", "", True, 1.5):
        with pytest.raises(BadArgument, match="channel_id"):
            studio.run("channels.get", channel_id=trick)
    with pytest.raises(BadArgument, match="emoji"):
        studio.run("reactions.add", **filled(AT, studio.ids), emoji="../../@me")
    with pytest.raises(BadArgument, match="invite"):
        studio.run("invites.delete", code="../guilds/1")
    assert len(studio.discord.requests) == 1


def test_a_guild_id_is_taken_where_the_api_needs_none(studio):
    place = {"guild_id": studio.ids["guild"], "channel_id": studio.ids["channel"]}

    assert studio.run("messages.send", **place, content="x")["content"] == "x"


@pytest.mark.parametrize(
    ("command", "args", "words"),
    [
        ("channels.get", {}, "needs channel_id"),
        ("channels.get", {"channel_id": "1", "chanel": 2}, "does not know chanel"),
        ("channels.create", {"guild_id": "1", "name": "x", "kind": "pub"}, "not a kind of channel"),
        (
            "channels.get",
            {"channel_id": "$X"},
            "discord.channels.get: channel_id is not a Discord id",
        ),
        ("roles.create", {"guild_id": "1", "name": "x", "color": "#red"}, "not a color"),
        ("channels.create", {"guild_id": "1", "name": ""}, "between 1 and 100 characters"),
        ("messages.list", {"channel_id": "1", "limit": "ten"}, "not a whole number"),
        ("messages.list", {"channel_id": "1", "limit": 5000}, "between 1 and 1000"),
        ("members.timeout", {"guild_id": "1", "user_id": "1", "duration_seconds": 9**9}, "between"),
        ("events.create", {"guild_id": "1", "name": "x", "start_time": "soon"}, "not a time"),
        ("channels.edit", {"channel_id": "1"}, "nothing to change"),
        ("members.edit", {"guild_id": "1", "user_id": "1", "mute": "maybe"}, "neither true"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_sent(studio, command, args, words):
    with pytest.raises(BadArgument, match=words):
        studio.run(command, **args)
    assert studio.discord.requests == []


def test_an_unknown_command_is_answered_with_the_nearest(studio):
    with pytest.raises(NoSuchCommand) as told:
        studio.run("mesages.send", content="x")
    assert told.value.hint == "did you mean 'messages.send'?"


def test_a_long_list_is_read_page_by_page_and_no_further_than_asked(studio):
    world = studio.discord.world
    with world.lock:
        for number in range(2300):
            add_member(world, studio.ids["guild"], f"m{number}")

    members = studio.run("members.list", guild_id=studio.ids["guild"], limit=2301)

    assert len({one["user_id"] for one in members}) == 2301
    assert len(studio.discord.sent("list_members")) == 3
    assert len(studio.run("members.list", guild_id=studio.ids["guild"])) == 100


def test_messages_are_listed_newest_first_over_pages(studio):
    for number in range(150):
        studio.discord.add_message(f"m{number}")

    found = studio.run("messages.list", channel_id=studio.ids["channel"], limit=120)

    ids = [int(one["id"]) for one in found]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 120


def test_clear_counts_what_is_gone_old_messages_too(studio):
    studio.clock.advance(timedelta(days=20))
    for number in range(3):
        studio.discord.add_message(f"new {number}")

    done = studio.run("messages.clear", channel_id=studio.ids["channel"], limit="10")

    assert done == {"cleared": 4, "failed": [], "channel_id": studio.ids["channel"]}
    assert studio.discord.contents() == []
    assert len(studio.discord.sent("bulk_delete")) == 1


def test_get_or_create_finds_the_channel_that_is_there(studio):
    place = {"guild_id": studio.ids["guild"], "name": "General"}

    found = studio.run("channels.get_or_create", **place, channel_type="text")

    assert (found["existed"], found["id"]) == (True, studio.ids["channel"])
    assert studio.discord.sent("create_guild_channel") == []


def test_a_long_text_becomes_several_messages(studio):
    text = "word " * 900

    sent = studio.run("messages.send", channel_id=studio.ids["channel"], content=text)

    assert len(sent["split_messages"]) == 3
    assert " ".join(studio.discord.contents()[1:]).split() == text.split()


def test_a_lost_answer_makes_no_second_message(studio):
    studio.discord.script.add("hang up after storing")

    studio.run("messages.send", channel_id=studio.ids["channel"], content="once")

    assert studio.discord.contents().count("once") == 1
    assert len(studio.discord.sent()) == 2


# command, arguments
REPEATED = [
    ("channels.delete", {"channel_id": C}),
    ("messages.delete", AT),
    ("messages.pin", AT),
    ("messages.unpin", AT),
    ("reactions.add", {**AT, "emoji": "👍"}),
    ("members.ban", {"guild_id": G, "user_id": U}),
    ("members.kick", {"guild_id": G, "user_id": U}),
    ("roles.assign", {"guild_id": G, "user_id": U, "role_id": R}),
    ("roles.delete", {"guild_id": G, "role_id": R}),
    ("threads.delete", {"thread_id": T}),
    ("threads.leave", {"thread_id": T}),
    ("events.delete", {"guild_id": G, "event_id": "{event}"}),
    ("invites.delete", {"code": "{invite}"}),
    ("permissions.set", {"channel_id": C, "target_id": "{target}", "target": "role"}),
    ("channels.typing", {"channel_id": C}),
]


@pytest.mark.parametrize(("command", "args"), REPEATED)
@pytest.mark.parametrize("fault", ["hang up after storing", "500 after storing"])
def test_what_was_done_and_whose_answer_was_lost_is_done(studio, command, args, fault):
    given = filled(args, studio.ids)
    asked = studio.commands.preview(command, given)
    path = asked["url"].removeprefix(studio.discord.api)
    studio.discord.script.add(fault, to=find(asked["method"], path)[0].name)

    assert studio.run(command, **given)

    changes = [one.method for one in studio.discord.requests if one.method != "GET"]
    assert changes == [asked["method"]] * 2
    assert studio.discord.script.waiting() == {}


def test_messages_whose_bulk_deletion_was_not_answered_are_gone(studio):
    ids = [studio.discord.add_message(str(number)) for number in range(3)]
    studio.discord.script.add("hang up after storing", to="bulk_delete")

    done = studio.run("messages.bulk_delete", channel_id=studio.ids["channel"], message_ids=ids)

    assert done["deleted_count"] == 3
    assert studio.discord.contents() == ["hello"]


def test_a_message_that_was_published_and_not_answered_is_published_once(studio):
    posted = studio.run("messages.send", channel_id=studio.ids["news"], content="news")
    studio.discord.script.add("hang up after storing", to="crosspost")
    place = {"channel_id": studio.ids["news"], "message_id": posted["id"]}

    assert studio.run("messages.crosspost", **place) == {
        "id": posted["id"], "channel_id": studio.ids["news"], "crossposted": True,
    }  # fmt: skip


def test_deleting_what_was_never_there_is_no_success(studio):
    for _ in range(2):
        with pytest.raises(Refused, match="Unknown Message"):
            studio.run("messages.delete", channel_id=studio.ids["channel"], message_id="77")


@pytest.mark.parametrize(
    ("fault", "args", "words"),
    [
        ("403:50013", {"mute": True}, "lacks the permission Mute Members;"),
        ("403:50013", {"nickname": "x", "roles": []}, "Manage Nicknames or Manage Roles;"),
        ("403:50005", {"mute": True}, "check the ids"),
        ("400:50024", {"mute": True}, "check the ids"),
    ],
)
def test_a_refusal_names_what_was_lacking_for_this_very_change(studio, fault, args, words):
    studio.discord.script.add(fault, to="edit_member")

    with pytest.raises(Refused) as told:
        studio.run("members.edit", **filled({"guild_id": G, "user_id": U}, studio.ids), **args)
    assert words in str(told.value)


def test_a_clear_that_may_not_delete_stops_at_the_first_refusal(studio):
    studio.clock.advance(timedelta(days=20))
    for _ in range(5):
        studio.discord.add_message("old")
    studio.clock.advance(timedelta(days=20))
    studio.discord.deny("MANAGE_MESSAGES")

    with pytest.raises(Refused, match="lacks the permission Manage Messages"):
        studio.run("messages.clear", channel_id=studio.ids["channel"])
    assert len([one for one in studio.discord.requests if one.method == "DELETE"]) == 1


def test_a_lost_answer_to_what_cannot_be_repeated_is_told(studio):
    studio.discord.script.add("hang up after storing", to="create_role")

    with pytest.raises(Unconfirmed):
        studio.run("roles.create", guild_id=studio.ids["guild"], name="x")
    assert len(studio.discord.sent("create_role")) == 1


def test_the_rate_limit_is_waited_for(studio):
    studio.discord.script.add("429", to="get_channel")

    studio.run("channels.get", channel_id=studio.ids["channel"])

    assert [one.status for one in studio.discord.sent("get_channel")] == [429, 200]
    assert studio.clock.slept


def test_a_reason_stands_in_the_audit_log(studio):
    place = {"guild_id": studio.ids["guild"], "user_id": studio.ids["user"]}

    studio.run("members.kick", **place, reason="said nö\r\nX-Evil: 1")

    assert studio.last().headers["x-audit-log-reason"] == "said n%C3%B6%0D%0AX-Evil: 1".replace(
        ": ", "%3A "
    )


def test_what_was_written_and_banned_can_be_changed_and_lifted(studio):
    place = {"channel_id": studio.ids["channel"]}
    mine = studio.run("messages.send", **place, content="one")["message_id"]
    edited = studio.run("messages.edit", **place, message_id=mine, content="two @everyone")
    assert edited["content"] == "two @everyone"
    assert studio.last().body["allowed_mentions"] == {"parse": []}

    news = {"channel_id": studio.ids["news"]}
    out = studio.run("messages.send", **news, content="news")["id"]
    assert studio.run("messages.crosspost", **news, message_id=out)["crossposted"] is True

    person = {"guild_id": studio.ids["guild"], "user_id": studio.ids["user"]}
    studio.run("members.ban", **person, reason="spam")
    assert studio.run("bans.list", guild_id=studio.ids["guild"])[0]["reason"] == "spam"
    assert studio.run("members.unban", **person)["unbanned"] is True
    assert studio.run("bans.list", guild_id=studio.ids["guild"]) == []


def test_forum_posts_are_listed_open_and_archived(studio):
    forum = {"channel_id": studio.ids["forum"]}
    ids = [
        studio.run("forum.create_post", **forum, name=f"idea {number}", content="x")["thread_id"]
        for number in range(3)
    ]
    studio.run("threads.edit", thread_id=ids[0], archived=True)

    found = studio.run("forum.list_posts", **forum)

    assert [one["id"] for one in found["posts"]] == [ids[1], ids[2], ids[0]]
    assert [one["archived"] for one in found["posts"]] == [False, False, True]


def test_a_webhooks_secret_is_not_given(studio):
    url = studio.discord.add_webhook()

    hooks = studio.run("webhooks.list", guild_id=studio.ids["guild"])

    assert hooks[0]["name"] == "Easel"
    assert url.rpartition("/")[2] not in str(hooks)


PERMISSIONS = {
    "members.kick": "KICK_MEMBERS",
    "members.ban": "BAN_MEMBERS",
    "members.timeout": "MODERATE_MEMBERS",
    "roles.create": "MANAGE_ROLES",
    "roles.assign": "MANAGE_ROLES",
    "events.create": "CREATE_EVENTS",
    "events.delete": "MANAGE_EVENTS",
    "webhooks.list": "MANAGE_WEBHOOKS",
    "invites.list": "MANAGE_GUILD",
    "integrations.list": "MANAGE_GUILD",
    "channels.create_invite": "CREATE_INSTANT_INVITE",
    "channels.edit": "MANAGE_CHANNELS",
    "messages.delete": "MANAGE_MESSAGES",
    "messages.pin": "PIN_MESSAGES",
    "threads.edit": "MANAGE_THREADS",
}


@pytest.mark.parametrize("command", PERMISSIONS)
def test_a_missing_permission_is_named_as_the_server_settings_name_it(studio, command):
    guild = studio.discord.world.guilds[studio.ids["guild"]]
    guild["roles"][0]["permissions"] = all_permissions_but(PERMISSIONS[command])
    args = next(case[1] for case in CASES if case[0] == command)

    with pytest.raises(Refused) as told:
        studio.run(command, **filled(args, studio.ids))

    assert told.value.what == f"the bot lacks the permission {TABLE[command].needs}"


def test_what_is_not_there_and_who_is_not_let_in(studio):
    with pytest.raises(ConfigError, match="Discord knows no channel 12; check the id"):
        studio.run("messages.send", channel_id="12", content="x")
    with pytest.raises(Refused, match="Unknown Message"):
        studio.run("messages.get", channel_id=studio.ids["channel"], message_id="12")
    with pytest.raises(ConfigError, match="not on that server"):
        studio.run("channels.list", guild_id="12")
    studio.discord.token = "another"
    with pytest.raises(ConfigError, match="token is not accepted"):
        studio.run("channels.list", guild_id=studio.ids["guild"])


def test_a_preview_shows_the_request_and_sends_nothing(studio):
    shown = studio.commands.preview(
        "roles.create", {"guild_id": studio.ids["guild"], "name": "x", "reason": "why"}
    )

    assert shown["method"] == "POST"
    assert shown["url"].endswith(f"/guilds/{studio.ids['guild']}/roles")
    assert shown["json"] == {"name": "x"}
    assert shown["headers"] == {"X-Audit-Log-Reason": "why"}
    assert studio.discord.requests == []


def test_the_place_of_a_command_is_what_discord_says_not_what_the_caller_says(studio):
    with studio.discord.world.lock:
        other = studio.discord.world.add_guild("Elsewhere")
        room = studio.discord.world.add_channel("secret", guild=other)["id"]

    place = studio.commands.place(
        "messages.send", {"guild_id": studio.ids["guild"], "channel_id": room, "content": "x"}
    )

    assert (place.guild_id, place.channel_name) == (other, "secret")
    inside = studio.commands.place("threads.get", {"thread_id": studio.ids["thread"]})
    assert (inside.channel_id, inside.channel_name) == (studio.ids["channel"], "general")


def test_every_error_is_ours(studio):
    for command in TABLE:
        with pytest.raises(BotticelliError):
            studio.run(command, **dict.fromkeys(("guild_id", "nonsense"), "12"))


@pytest.mark.parametrize("emoji", ["\u0436/../../../guilds", "\u0436%2F..", "..", "\u0436 x"])
def test_no_emoji_changes_the_path(studio, emoji):
    place = {"channel_id": studio.ids["channel"], "message_id": "1"}

    with pytest.raises(BadArgument, match="is not an emoji"):
        studio.run("reactions.add", **place, emoji=emoji)
    assert studio.discord.requests == []
