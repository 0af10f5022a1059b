"""What a narrative may do: a table of attempts, and the ways in which a person says yes."""

import random
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.config.model import Destination, Security
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError
from botticelli.narrative.checks.narrative_file import check_file
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.commands.guard import GuardedCommands, Pending
from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.narrative.language.load import load_text
from botticelli.platforms.base import LockedOut
from botticelli.platforms.discord.open import open_discord_commands
from botticelli.store.commands import approvals, audit
from tests.fakes.discord import FakeDiscord

SECRET = "do-not-tell-4711"
SECURED = (Path(__file__).parents[1] / "narratives" / "examples" / "secured.toml").read_text()


@dataclass
class House:
    """A guard over a real database and a Discord over loopback."""

    db: object
    discord: FakeDiscord
    clock: object
    other_channel: str
    guard: GuardedCommands = field(default=None)

    def with_rules(self, **security):
        self.guard = replace(self.guard, security=Security(**security))
        return self

    def run(self, command, args, *, platform="discord", security=None, narrative="n"):
        call = CommandCall(
            platform=platform,
            command=command,
            args=args,
            security=security or {},
            narrative=narrative,
            act="a",
        )
        return self.guard.run(call)

    def audit(self):
        return [(one.command, one.decision, one.outcome) for one in audit.list_entries(
            self.db, limit=100
        )]  # fmt: skip

    def changed(self):
        """Requests that were not reads."""
        return [one for one in self.discord.requests if one.method != "GET"]


@pytest.fixture
def house(db, clock):
    with FakeDiscord(clock=lambda: clock.now().timestamp()) as discord:
        with discord.world.lock:
            other = discord.world.add_guild("Elsewhere")
            secret_room = discord.world.add_channel("bot-secret", guild=other)["id"]
        destination = Destination(
            name="d", platform="discord", token=Secret(discord.token), base_url=discord.api
        )
        commands = open_discord_commands(lambda: destination, clock=clock, chance=random.Random())
        posts = ("approved_discord_posts",)
        guard = GuardedCommands(
            conn=db,
            platforms={
                "discord": commands,
                "database": DatabaseCommands(conn=db, writable=posts, approves=True),
            },
            security=Security(),
            actor="here:1:a",
            secrets=(SECRET, discord.token),
        )
        yield House(db=db, discord=discord, clock=clock, other_channel=secret_room, guard=guard)


def policy(*allowed, **more):
    return {"policy": {"allowed_commands": list(allowed), **more}}


OPEN = policy("*")
BOUND = OPEN | {"constraints": {"guild_id": "{guild}", "channel_prefix": "gen"}}
SEND = {"channel_id": "{channel}", "content": "hi"}
MARK = {
    "table_name": "approved_discord_posts",
    "where_clause": "id = 1",
    "updates": {"review_status": "posted"},
}

# what is tried, with which arguments, under which rules of the narrative, the word in the refusal
ATTEMPTS = [
    # nobody has allowed it
    ("messages.send", SEND, {}, "--allow-writes"),
    ("message.send", SEND, {}, "--allow-writes"),
    ("channel.send_message", SEND, {}, "--allow-writes"),
    ("members.ban", {"guild_id": "{guild}", "user_id": "7"}, {}, "--allow-writes"),
    ("channels.delete", {"channel_id": "{channel}"}, policy("messages.send"), "not among"),
    ("roles.create", {"guild_id": "{guild}", "name": "x"}, policy("channels.*"), "not among"),
    ("channels.list", {"guild_id": "{guild}"}, policy("messages.send"), "not among"),
    ("messages.send", SEND, policy(), "not among"),
    ("messages.send", SEND, policy("*", denied_commands=["messages.*"]), "is denied"),
    ("message.send", SEND, policy("*", denied_commands=["messages.send"]), "is denied"),
    # rules that cannot be understood allow nothing
    ("messages.send", SEND, {"policy": {"alowed_commands": ["*"]}}, "no rule 'alowed_commands'"),
    ("channels.get", {"channel_id": "{channel}"}, {"polcy": {}}, "no rule 'polcy'"),
    ("messages.send", SEND, {"policy": "all"}, "not a table"),
    ("messages.send", SEND, policy("*", rate_limits={"messages.send": "often"}), "a rate limit"),
    ("messages.send", SEND, OPEN | {"constraints": {"guild_id": "mine"}}, "not a Discord id"),
    # other people's servers and channels, with honest and with lying arguments
    ("messages.send", SEND | {"channel_id": "{other}"}, BOUND, "acts on server"),
    ("messages.send", {**SEND, "channel_id": "{other}", "guild_id": "{guild}"}, BOUND, "acts on"),
    ("messages.list", {"channel_id": "{other}"}, BOUND, "acts on server"),
    ("threads.get", {"channel_id": "{other}"}, BOUND, "acts on server"),
    ("channels.delete", {"channel_id": "<#{other}>"}, BOUND, "acts on server"),
    ("channels.list", {"guild_id": "1234"}, BOUND, "acts on server 1234"),
    ("invites.delete", {"code": "abc"}, BOUND, "check the ids"),
    (
        "channels.create",
        {"guild_id": "{guild}", "name": "evil"},
        BOUND,
        "'evil' does not begin with 'gen'",
    ),
    ("channels.edit", {"channel_id": "{channel}", "name": "evil"}, BOUND, "does not begin"),
    ("messages.send", SEND, OPEN | {"constraints": {"channel_ids": ["99"]}}, "acts on channel"),
    (
        "messages.send",
        SEND,
        OPEN | {"constraints": {"channel_prefix": "bot-"}},
        "'general' does not begin with 'bot-'",
    ),
    # what it says
    ("messages.send", SEND | {"content": "x" * 11}, OPEN | {"content": {"max_length": 10}}, "11"),
    (
        "messages.send",
        SEND | {"content": "@everyone <@1>"},
        OPEN | {"content": {"max_mentions": 1}},
        "mentions 2 times",
    ),
    (
        "channels.edit",
        {"channel_id": "{channel}", "topic": "see http://evil.test/x"},
        OPEN | {"content": {"allowed_links": ["example.org"]}},
        "evil.test is not among",
    ),
    (
        "messages.send",
        SEND | {"content": "http://example.org@evil.test"},
        OPEN | {"content": {"allowed_links": ["example.org"]}},
        "evil.test",
    ),
    (
        "messages.send",
        SEND | {"content": "www.a.b www.c.d"},
        OPEN | {"content": {"max_links": 1}},
        "2 links",
    ),
    # secrets, wherever they hide
    ("messages.send", SEND | {"content": f"the key is {SECRET}!"}, OPEN, "a secret"),
    ("channels.edit", {"channel_id": "{channel}", "topic": SECRET}, OPEN, "a secret"),
    ("messages.send", SEND | {"reason": SECRET}, OPEN, "a secret"),
    # paths
    ("channels.get", {"channel_id": "../users/@me"}, OPEN, "not a Discord id"),
    ("channels.delete", {"channel_id": "{channel}/messages/1"}, OPEN, "not a Discord id"),
    ("channels.delete", {"channel_id": "{channel}%2f..%2f1"}, OPEN, "not a Discord id"),
    ("reactions.add", {"channel_id": "{channel}", "message_id": "1", "emoji": "../../.."}, OPEN,
     "not an emoji"),
    ("members.kick", {"guild_id": "{guild}", "user_id": "@me"}, OPEN, "not a Discord id"),
    ("invites.delete", {"code": "../channels/{channel}"}, OPEN, "Unknown Invite|not an invite"),
    ("channels.create", {"guild_id": "{guild}", "name": "x", "permission_overwrites": []}, OPEN,
     "does not know"),
    # mentions and links behind signs that nobody sees, and in other spellings
    *[
        ("messages.send", SEND | {"content": text}, OPEN | {"content": {"max_mentions": 0}},
         "mentions 1 times")
        for text in ("@\u200beveryone", "@eve\u2060ryone", "\uff20everyone", "<@\u200b12>", "@HERE")
    ],
    *[
        ("messages.send", SEND | {"content": text}, OPEN | {"content": {"max_links": 0}}, "1 links")
        for text in ("discord.gg/abc", "h\u200bttps://evil.test", "steam://run/1",
                     "discordapp.com/invite/x", "\uff48ttps://evil.test")
    ],
    ("messages.send", SEND | {"content": "https://ex\u0430mple.org"},
     OPEN | {"content": {"allowed_links": ["example.org"]}}, "not among"),
    ("messages.send", SEND | {"content": SECRET[:5] + "\u200b" + SECRET[5:]}, OPEN, "a secret"),
    # the same work under another name
    ("messages.clear", {"channel_id": "{channel}"},
     policy("*", denied_commands=["messages.delete"]), "does what messages.delete does"),
    ("messages.bulk_delete", {"channel_id": "{channel}", "message_ids": ["1", "2"]},
     policy("*", denied_commands=["messages.delete"]), "does what messages.delete does"),
    ("channels.get_or_create", {"guild_id": "{guild}", "name": "new"},
     policy("*", denied_commands=["channels.create"]), "does what channels.create does"),
    ("members.edit", {"guild_id": "{guild}", "user_id": "1", "roles": ["2"]},
     policy("*", denied_commands=["roles.*"]), "does what roles.assign does"),
    ("forum.create_post", {"channel_id": "{channel}", "name": "x", "content": "y"},
     policy("*", denied_commands=["threads.*"]), "does what threads.create does"),
    ("forum.create_post", {"channel_id": "{channel}", "name": "x", "content": "y"},
     policy("*", denied_commands=["messages.send"]), "does what messages.send does"),
    ("threads.delete", {"thread_id": "{channel}"}, policy("threads.*"), "is a channel, no thread"),
    ("threads.delete", {"channel_id": "{channel}"}, policy("threads.*"), "is a channel, no thread"),
    ("threads.edit", {"thread_id": "{channel}", "name": "evil"}, policy("threads.*"),
     "is a channel, no thread"),
    # two places in one command
    ("threads.edit", {"thread_id": "1", "channel_id": "{channel}", "name": "x"}, OPEN,
     "does not know channel_id"),
    ("channels.create", {"guild_id": "{guild}", "name": "x", "category_id": "1", "parent_id": "2"},
     OPEN, "does not know parent_id"),
    ("messages.send", SEND | {"thread_id": "{other}"}, BOUND, "does not know thread_id"),
    # rules in another case, with blanks, about commands that there are not
    ("messages.send", SEND, policy("*", denied_commands=["Messages.SEND "]), "is denied"),
    ("messages.send", SEND, policy("*", denied_commands=["Discord.Messages.*"]), "is denied"),
    ("messages.send", SEND, policy("*", denied_commands=["messages.snd"]),
     "no command is called 'messages.snd'"),
    ("messages.send", SEND, policy("*", rate_limits={"mesages.*": "1/day"}), "no command is"),
    ("messages.send", SEND, policy("*", require_confirmation=["mesages.send"]), "no command is"),
    # look-alikes
    ("m\u0435ssages.send", SEND, OPEN, "there is no command"),
    ("Messages.Send", SEND, OPEN, "there is no command"),
    ("messages.send\u200b", SEND, OPEN, "there is no command"),
    ("messages.send ", SEND, OPEN, "there is no command"),
    ("messages.send", {**SEND, "ch\u0430nnel_id": "{other}"}, OPEN, "does not know"),
    ("channels.delete", {"channel_id": "\uff11\uff12"}, OPEN, "not a Discord id"),
    ("channels.delete", {"channel_id": "{channel}\n"}, policy(), "not among"),
    # commands that are none
    ("server.something_else", {"user_id": "1"}, OPEN, "there is no command"),
    ("__class__", {}, OPEN, "there is no command"),
    ("messages.send; members.ban", SEND, OPEN, "there is no command"),
]  # fmt: skip


def filled(value, house):
    names = {
        "{guild}": house.discord.guild,
        "{channel}": house.discord.channel,
        "{other}": house.other_channel,
    }
    if isinstance(value, str):
        for name, identity in names.items():
            value = value.replace(name, identity)
        return value
    if isinstance(value, dict):
        return {key: filled(inner, house) for key, inner in value.items()}
    return [filled(one, house) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: f"{attempt[0]}-{attempt[3]}")
def test_nothing_gets_through(house, attempt):
    command, args, security, words = attempt
    before = len(house.discord.world.channels), house.discord.contents()

    with pytest.raises(CommandFailed, match=words):
        house.run(command, filled(args, house), security=filled(security, house))

    assert (len(house.discord.world.channels), house.discord.contents()) == before
    assert [one for one in house.changed() if one.status < 400] == []
    [(_, decision, outcome)] = house.audit()
    assert decision == "refused" or outcome == "failed"
    assert SECRET not in str(audit.list_entries(house.db, limit=1))


SQL = [
    "'; DROP TABLE approved_discord_posts; --",
    "id = 1 OR true; DELETE FROM approved_discord_posts",
    "id = (SELECT max(id) FROM approved_discord_posts)",
    "pg_sleep(1) IS NULL",
    "id = 1) OR (1=1",
    "id IN (SELECT 1)",
    "review_status = 'pending' /* x */ UNION SELECT 1",
]


@pytest.mark.parametrize("text", SQL)
@pytest.mark.parametrize("place", ["table_name", "where_clause", "column", "limit"])
def test_no_sql_gets_through(house, text, place):
    house.db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('a'), ('b')")
    args = {**MARK, "limit": 1}
    if place == "column":
        args["updates"] = {text: "x"}
    else:
        args[place] = text

    with pytest.raises(BotticelliError):
        house.run("update_table", args, platform="database", security=policy("update_table"))

    found = house.db.execute("SELECT text_content, review_status FROM approved_discord_posts")
    assert found.fetchall() == [("a", "pending"), ("b", "pending")]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_a_value_is_a_value(house, text):
    house.db.execute("INSERT INTO approved_discord_posts (id, text_content) VALUES (1, 'a')")
    args = {**MARK, "updates": {"text_content": text}}

    house.run("update_table", args, platform="database", security=policy("update_table"))

    found = house.db.execute("SELECT text_content FROM approved_discord_posts").fetchall()
    assert found == [(text,)]


def test_other_tables_stay_closed_whatever_the_rules_say(house):
    for table in ("runs", "command_audit", "command_approvals", "pg_catalog.pg_class"):
        with pytest.raises(Denied, match="may not be changed"):
            house.run("update_table", MARK | {"table_name": table}, platform="database",
                      security=OPEN)  # fmt: skip


def test_the_users_denial_is_stronger_than_any_narrative(house):
    house.with_rules(deny=("messages.*",), writes="allow", allowed_commands=("messages.send",))

    with pytest.raises(Denied, match="denied"):
        house.run("messages.send", filled(SEND, house), security=OPEN)
    assert house.changed() == []


def test_deny_closes_all_writes_but_those_that_the_user_names(house):
    house.with_rules(writes="deny", allowed_commands=("messages.send",))
    house.guard = replace(house.guard, allow_writes=True)

    house.run("messages.send", filled(SEND, house))
    with pytest.raises(Denied, match="deny"):
        house.run("channels.typing", filled({"channel_id": "{channel}"}, house), security=OPEN)
    assert house.discord.contents() == ["hi"]


@pytest.mark.parametrize("way", ["narrative", "user", "mode", "option"])
def test_four_ways_to_allow_a_write(house, way):
    security = policy("messages.send") if way == "narrative" else {}
    if way == "user":
        house.with_rules(allowed_commands=("discord.messages.send",))
    if way == "mode":
        house.with_rules(writes="allow")
    house.guard = replace(house.guard, allow_writes=way == "option")

    house.run("messages.send", filled(SEND, house), security=security)

    assert house.discord.contents() == ["hi"]
    assert house.audit() == [("messages.send", "allowed", "done")]


def test_a_refusal_names_the_lines_to_add(house):
    with pytest.raises(Denied) as told:
        house.run("messages.send", filled(SEND, house))

    assert '[security.policy] allowed_commands = ["messages.send"]' in told.value.hint
    assert '[security] writes = "allow"' in told.value.hint


def test_reads_need_nobodys_leave(house):
    assert house.run("channels.get", filled({"channel_id": "{channel}"}, house))["id"]
    assert house.audit() == [("channels.get", "allowed", "done")]


def test_a_person_at_the_terminal_is_asked(house):
    answers = ["no", "yes", "always"]
    asked = []

    def ask(question):
        asked.append(question)
        return answers.pop(0)

    house.guard = replace(house.guard, ask=ask)
    long = "x" * 1500 + " and the end"
    with pytest.raises(Denied, match="said no"):
        house.run("messages.send", filled(SEND | {"content": long}, house))
    for text in ("one", "two", "three"):
        house.run("messages.send", filled(SEND | {"content": text}, house))

    assert house.discord.contents() == ["one", "two", "three"]
    assert len(asked) == 3
    assert long in asked[0]  # nobody decides on what is cut off
    decisions = [decision for _, decision, _ in house.audit()]
    assert decisions == ["confirmed", "confirmed", "confirmed", "refused"]


CAREFUL = policy("*", require_confirmation=["messages.send"])


def test_what_needs_a_person_waits_and_runs_once_as_it_was_shown(house):
    args = filled(SEND, house)
    with pytest.raises(Pending, match="approval"):
        house.run("messages.send", args, security=CAREFUL)
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)
    [request] = approvals.list_approvals(house.db, everything=True, limit=9)
    assert (request.state, request.args, house.changed()) == ("pending", args, [])

    approvals.decide(house.db, request.id, "approved", by="vera")
    with pytest.raises(Pending):  # another text is another request
        house.run("messages.send", args | {"content": "something else"}, security=CAREFUL)
    with pytest.raises(Pending):  # and so is the request of another narrative
        house.run("messages.send", args, security=CAREFUL, narrative="other")
    house.run("messages.send", args, security=CAREFUL)
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)

    assert house.discord.contents() == ["hi"]
    done = [one for one in audit.list_entries(house.db, limit=9) if one.decision == "approved"]
    assert [(one.actor, one.outcome) for one in done] == [("vera", "done")]


def asked_for(house, args, word=None, command="messages.send"):
    """Have a command wait for a person, who says `word` to it; return its number."""
    with pytest.raises(Pending):
        house.run(command, args, security=CAREFUL)
    [request] = approvals.list_approvals(house.db, everything=False, limit=9)
    if word:
        approvals.decide(house.db, request.id, word, by="vera", reason="no")
    return request.id


def test_an_expired_approval_does_not_count(house):
    args = filled(SEND, house)
    asked_for(house, args, "approved")
    house.clock.advance(timedelta(hours=25))

    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)
    assert house.changed() == []


def test_a_denial_holds_until_a_person_says_otherwise(house):
    args = filled(SEND, house)
    number = asked_for(house, args, "denied")

    for days in (0, 1, 30):  # no narrative wears a person down by asking again
        house.clock.advance(timedelta(days=days))
        with pytest.raises(Denied, match=rf"vera denied it \(approval {number}: no\)") as told:
            house.run("messages.send", args, security=CAREFUL)
        assert not isinstance(told.value, Pending)
    assert approvals.list_approvals(house.db, everything=False, limit=9) == []
    assert house.audit()[0] == ("messages.send", "refused", None)
    other = args | {"content": "something else"}
    with pytest.raises(Pending):
        house.run("messages.send", other, security=CAREFUL)

    approvals.decide(house.db, number, "approved", by="vera")
    house.run("messages.send", args, security=CAREFUL)
    with pytest.raises(Pending):  # that counted once
        house.run("messages.send", args, security=CAREFUL)
    assert house.discord.contents() == ["hi"]


@pytest.mark.parametrize("command", ["messages.bulk_delete", "messages.clear"])
def test_an_approval_for_partial_work_is_used_up_and_it_is_told_how_far_it_came(house, command):
    house.discord.add_message("0")
    ids = [house.discord.add_message(str(number)) for number in range(1, 130)]
    args = {"channel_id": house.discord.channel}
    args |= {"limit": 130} if command == "messages.clear" else {"message_ids": ids}
    security = policy("*", require_confirmation=[command])
    with pytest.raises(Pending):
        house.run(command, args, security=security)
    [request] = approvals.list_approvals(house.db, everything=False, limit=9)
    approvals.decide(house.db, request.id, "approved", by="vera")
    house.discord.script.add("slow:0", "403:50013", to="bulk_delete")

    with pytest.raises(CommandFailed, match=r"only 100 of 1\d\d messages were deleted: the bot"):
        house.run(command, args, security=security)
    with pytest.raises(Pending):
        house.run(command, args, security=security)
    assert house.audit()[1] == (command, "approved", "unknown")


def test_a_refusal_after_a_lost_answer_does_not_give_an_approval_back(house):
    args = filled(SEND, house)
    asked_for(house, args, "approved")
    house.discord.script.add("hang up after storing", "403:50013")

    with pytest.raises(CommandFailed, match="an earlier attempt may have been carried out"):
        house.run("messages.send", args, security=CAREFUL)
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)
    assert house.discord.contents() == ["hi"]


def test_a_dead_token_midway_does_not_give_an_approval_back(house):
    args = filled(SEND, house) | {"content": "word " * 600}
    asked_for(house, args, "approved")
    house.discord.script.add("slow:0", "401")

    with pytest.raises(LockedOut, match="only 1 of 2 parts were sent"):
        house.run("messages.send", args, security=CAREFUL)
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)


def test_what_is_refused_wherever_it_acts_is_refused_before_discord_is_asked(house):
    house.with_rules(deny=("channels.delete",), guild_ids=(house.discord.guild,), writes="allow")

    with pytest.raises(Denied, match=r"channels\.delete is denied"):
        house.run("channels.delete", {"channel_id": house.other_channel})
    with pytest.raises(Denied, match="not among"):
        house.run("messages.send", filled(SEND, house), security=policy("channels.get"))
    assert house.discord.requests == []


def test_channels_are_made_and_moved_only_where_channels_may_be_touched(house):
    with house.discord.world.lock:
        inside, outside = (house.discord.add_channel(name, type=4) for name in ("in", "out"))
        mine = house.discord.add_channel("mine", parent_id=inside)
    bound = OPEN | {"constraints": {"channel_ids": [inside, house.discord.channel]}}
    guild = {"guild_id": house.discord.guild}
    attempts = [
        ("channels.create", guild | {"name": "x"}),
        ("channels.create", guild | {"name": "x", "category_id": outside}),
        ("channels.create", guild | {"name": "x", "parent_id": outside}),
        ("channels.get_or_create", guild | {"name": "x"}),
        ("channels.get_or_create", guild | {"name": "out", "kind": "category"}),
        ("channels.edit", {"channel_id": mine, "category_id": outside}),
        ("channels.edit", {"channel_id": mine, "parent_id": outside}),
        ("messages.send", {"channel_id": outside, "content": "x"}),
    ]
    for command, args in attempts:
        with pytest.raises(Denied, match="allowed is"):
            house.run(command, args, security=bound)
    assert house.changed() == []

    house.run("channels.create", guild | {"name": "x", "category_id": inside}, security=bound)
    house.run("channels.get_or_create", guild | {"name": "general"}, security=bound)
    house.run("channels.edit", {"channel_id": mine, "topic": "t"}, security=bound)
    assert [one.method for one in house.changed()] == ["POST", "PATCH"]


def test_a_dry_run_of_an_update_says_which_rows_and_changes_none(house):
    house.db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('a'), ('b')")
    args = {**MARK, "where_clause": "review_status = 'pending'"}
    told, verdict = house.guard.preview(
        CommandCall(platform="database", command="update_table", args=args)
    )

    updates = {"review_status": "posted"}
    table = "approved_discord_posts"
    assert told == {"table": table, "rows_affected": 2, "ids": [1, 2], "updates": updates}
    assert verdict.word == "ask"
    found = house.db.execute("SELECT review_status FROM approved_discord_posts").fetchall()
    assert found == [("pending",), ("pending",)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"table_name": "runs"}, "may not be changed"),
        ({"where_clause": "nonsense = 1"}, "no column 'nonsense'"),
        ({"where_clause": "id = ("}, "where"),
        ({"updates": {}}, "needs updates"),
        ({"updates": {"review_status": "gone"}}, "database refuses"),
        ({"where_clause": ""}, "every row"),
    ],
)
def test_a_dry_run_refuses_what_the_real_run_would(house, wrong, words):
    house.db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('a')")
    call = CommandCall(platform="database", command="update_table", args=MARK | wrong)
    errors = []
    for run in (house.guard.preview, replace(house.guard, allow_writes=True).run):
        with pytest.raises(CommandFailed, match=words) as told:
            run(call)
        errors.append(str(told.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("rules", [{}, policy("*", require_confirmation=["update_table"])])
def test_nobody_is_asked_about_what_cannot_be_done(house, rules):
    asked = []
    house.guard = replace(house.guard, ask=lambda question: asked.append(question) or "yes")
    wrong = MARK | {"updates": {"no_such_column": "x"}}

    with pytest.raises(CommandFailed, match="no_such_column"):
        house.run("update_table", wrong, platform="database", security=rules)

    assert asked == []
    assert house.audit() == [("update_table", "refused", None)]


def test_an_approval_is_given_back_if_the_command_certainly_failed(house):
    args = filled(SEND, house)
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)
    [request] = approvals.list_approvals(house.db, everything=False, limit=9)
    approvals.decide(house.db, request.id, "approved", by="vera")
    house.discord.deny("SEND_MESSAGES")

    with pytest.raises(CommandFailed, match="lacks the permission Send Messages"):
        house.run("messages.send", args, security=CAREFUL)
    house.discord.allow("SEND_MESSAGES")
    house.run("messages.send", args, security=CAREFUL)

    assert house.discord.contents() == ["hi"]


@pytest.mark.parametrize("whose", ["user", "narrative"])
def test_a_command_runs_no_more_often_than_its_rate(house, whose):
    rates = {"messages.send": "2/minute"}
    security = policy("*")
    if whose == "user":
        house.with_rules(rate_limits=rates)
    else:
        security = policy("*", rate_limits=rates)

    for number in range(2):
        house.run(
            "messages.send", filled(SEND | {"content": f"{number}"}, house), security=security
        )
    with pytest.raises(Denied, match="2 times"):
        house.run("messages.send", filled(SEND, house), security=security)
    if whose == "narrative":  # another narrative has its own account
        house.run("messages.send", filled(SEND, house), security=security, narrative="other")
    house.clock.advance(timedelta(seconds=61))
    house.run("messages.send", filled(SEND, house), security=security)

    assert len(house.discord.contents()) == (3 if whose == "user" else 4)


def test_whoever_is_called_may_do_no_more_than_its_callers(house):
    args = filled(SEND, house)
    outer = policy("channels.get"), policy("messages.*", denied_commands=["messages.send"])
    call = CommandCall(platform="discord", command="messages.send", args=args, security=OPEN,
                narrative="inner", act="a")  # fmt: skip
    for above in outer:
        call = replace(call, above=[("first", {}), ("outer", above)])
        with pytest.raises(Denied, match="narrative 'outer'"):
            house.guard.run(call)
    careful = replace(call, above=[("outer", CAREFUL)])
    with pytest.raises(Pending):
        house.guard.run(careful)
    granted_above = replace(call, security={}, above=[("outer", OPEN)])
    with pytest.raises(Denied, match="which is not permitted"):
        house.guard.run(granted_above)
    assert house.changed() == []


def test_what_a_narrative_has_called_counts_in_its_own_rate(house):
    args = filled(SEND, house)
    outer = policy("*", rate_limits={"messages.send": "2/minute"})
    call = CommandCall(platform="discord", command="messages.send", args=args, security=OPEN,
                narrative="inner", act="a", above=[("outer", outer)])  # fmt: skip
    house.guard.run(call)
    house.run("messages.send", args, security=outer, narrative="outer")

    with pytest.raises(Denied, match="2 times"):
        house.guard.run(call)


def errand(house, text="hi", command="messages.send", **more):
    """A command of a narrative about row 1, which it is going to mark."""
    args = filled(SEND | {"content": text}, house) if command == "messages.send" else MARK
    platform = "discord" if command == "messages.send" else "database"
    return CommandCall(platform=platform, command=command, args=args, security=OPEN,
                       narrative="poster", act="a", about="approved_discord_posts 1",
                       **more)  # fmt: skip


@pytest.fixture
def runs(house):
    """Ids of three runs."""
    sql = "INSERT INTO runs (stage, host, pid) VALUES ('run', 'h', 1) RETURNING id"
    return [house.db.execute(sql).fetchone()[0] for _ in range(3)]


def test_what_was_sent_for_a_row_and_not_marked_is_not_sent_again(house, runs):
    house.db.execute("INSERT INTO approved_discord_posts (id, text_content) VALUES (1, 'a')")
    first = house.guard.run(errand(house, "the text", run_id=runs[0]))
    house.clock.advance(timedelta(hours=3))

    again = house.guard.run(errand(house, "worded otherwise", run_id=runs[1]))

    assert (again["id"], again["existed"], again["content"]) == (first["id"], True, "the text")
    assert house.discord.contents() == ["the text"]
    assert house.audit()[0] == ("messages.send", "refused", None)
    house.guard.run(errand(house, command="update_table", run_id=runs[1]))
    house.guard.run(errand(house, "meant anew", run_id=runs[2]))
    assert house.discord.contents() == ["the text", "meant anew"]


@pytest.mark.parametrize("fault", ["hang up after storing", "hang up before storing"])
def test_what_may_have_been_sent_is_looked_up_first(house, runs, fault):
    long = "word " * 600
    house.discord.script.add("slow:0", *[fault] * 5)  # the second part gets no answer
    with pytest.raises(CommandFailed, match="only 1 of 2 parts"):
        house.guard.run(errand(house, long, run_id=runs[0]))
    house.discord.script.clear()
    house.clock.advance(timedelta(hours=3))

    house.guard.run(errand(house, "worded otherwise", run_id=runs[1]))

    assert " ".join(house.discord.contents()).split() == long.split()


def test_where_nobody_can_tell_a_person_is_asked_to_look(house, runs):
    house.discord.script.add(*["hang up after storing"] * 5)
    with pytest.raises(CommandFailed, match="no answer"):
        house.guard.run(errand(house, run_id=runs[0]))
    house.discord.script.clear()
    house.clock.advance(timedelta(hours=3))
    house.discord.deny("READ_MESSAGE_HISTORY")

    with pytest.raises(CommandFailed, match="an earlier run may have sent it") as told:
        house.guard.run(errand(house, run_id=runs[1]))

    assert "mark the row" in told.value.hint
    assert house.discord.contents() == ["hi"]
    assert house.audit()[0] == ("messages.send", "allowed", "unknown")


def test_the_same_text_for_another_row_is_another_message(house, runs):
    house.discord.script.add(*["hang up before storing"] * 5)
    with pytest.raises(CommandFailed):
        house.guard.run(errand(house, run_id=runs[0]))
    house.clock.advance(timedelta(seconds=30))
    house.guard.run(replace(errand(house, run_id=runs[1]), about="approved_discord_posts 2"))
    house.clock.advance(timedelta(hours=3))

    house.guard.run(errand(house, run_id=runs[2]))

    assert house.discord.contents() == ["hi", "hi"]


def test_a_dead_token_ends_the_run_not_the_act_alone(house):
    house.discord.token = "another"

    with pytest.raises(LockedOut):
        house.run("channels.get", filled({"channel_id": "{channel}"}, house))
    assert house.audit() == [("channels.get", "allowed", "failed")]


def test_texts_that_postgresql_cannot_hold_are_written_down_all_the_same(house):
    with pytest.raises(CommandFailed):
        house.run("messages.send", {"content": "a\0b\ud800", "channel_id": "x"}, security=OPEN)

    [entry] = audit.list_entries(house.db, limit=9)
    assert entry.args == {"content": "ab?", "channel_id": "x"}


def test_an_unknown_platform_is_told(house):
    with pytest.raises(CommandFailed, match="no smoke commands here"):
        house.run("signals.send", {}, platform="smoke")
    assert house.audit() == [("signals.send", "refused", None)]


def test_a_security_rule_that_cannot_be_understood_is_found_by_check(tmp_path):
    text = SECURED.replace("allowed_commands", "alowed_commands")
    file = load_text(text, tmp_path / "secured.toml")

    [problem] = check_file(file, None, cwd=tmp_path).problems

    assert problem.what == "there is no rule 'alowed_commands'"
    assert problem.hint == "did you mean 'allowed_commands'?"
    file = load_text(SECURED, tmp_path / "secured.toml")
    assert check_file(file, None, cwd=tmp_path).problems == []


def test_a_rule_with_an_older_name_or_a_star_holds_for_todays_command(house):
    args = filled(SEND, house)
    for denied in ("message.send", "discord.channel.send_message", "messages.*"):
        with pytest.raises(Denied, match="is denied"):
            house.with_rules(writes="allow", deny=(denied,)).run("messages.send", args)
    for name in ("message.send", "messages.*", "discord.messages.send"):
        house.with_rules(writes="allow", rate_limits={name: "0/minute"})
        with pytest.raises(Denied, match="has run 0 times"):
            house.run("messages.send", args)
    assert house.changed() == []


@pytest.mark.parametrize(
    "text", ["_https://evil.test/x_", "https://evil.test\\\\@example.org/", "1https://evil.test"]
)
def test_no_spelling_of_a_link_gets_past_the_allowed_ones(house, text):
    house.with_rules(writes="allow", allowed_links=("example.org",))

    with pytest.raises(Denied, match=r"evil\.test is not among the allowed links"):
        house.run("messages.send", filled(SEND, house) | {"content": text})


def test_an_invite_belongs_to_the_server_it_leads_to_whatever_the_arguments_say(house):
    house.with_rules(writes="allow")
    made = house.run("channels.create_invite", {"channel_id": house.other_channel})
    house.with_rules(writes="allow", guild_ids=(house.discord.guild,))

    with pytest.raises(Denied, match="it acts on server"):
        house.run("invites.delete", {"code": made["code"], "guild_id": house.discord.guild})


def test_an_approval_is_not_given_back_beside_a_newer_wish(house):
    request = approvals.CommandRequest(
        platform="discord", command="messages.send", args={"content": "x"}
    )
    first = approvals.request(house.db, request)
    approvals.decide(house.db, first, "approved", by="vera")
    approvals.use(house.db, request)
    second = approvals.request(house.db, request)

    approvals.give_back(house.db, first)

    states = (approvals.find(house.db, first).state, approvals.find(house.db, second).state)
    assert states == ("used", "pending")


def test_a_text_that_was_sent_in_part_uses_its_approval_up(house):
    args = filled(SEND, house) | {"content": "word " * 600}
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)
    [request] = approvals.list_approvals(house.db, everything=False, limit=9)
    approvals.decide(house.db, request.id, "approved", by="vera")
    house.discord.script.add("slow:0", "403")

    with pytest.raises(CommandFailed, match="only 1 of 2 parts were sent"):
        house.run("messages.send", args, security=CAREFUL)
    with pytest.raises(Pending):
        house.run("messages.send", args, security=CAREFUL)


def test_a_preview_writes_nothing_down(house):
    with pytest.raises(CommandFailed, match="no telegram commands"):
        house.guard.preview(CommandCall(platform="telegram", command="send"))

    assert house.audit() == []


class Replaced:
    """Commands of a platform that give a result, or end in an error, and are otherwise its own."""

    def __init__(self, commands, result):
        self.commands = commands
        self.result = result

    def __getattr__(self, name):
        return getattr(self.commands, name)

    def run(self, _command, _args, **_once):
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def replaced(house, result):
    """Have every command of Discord end with that; return what is written down of the next one."""
    guard, commands = house.guard, house.guard.platforms["discord"]
    house.guard = replace(guard, platforms={"discord": Replaced(commands, result)})
    with suppress(KeyboardInterrupt, CommandFailed):
        house.run("message.send", filled(SEND, house), security=OPEN)
    house.guard = guard
    return audit.list_entries(house.db, limit=1)[0]


def test_what_is_written_down_of_a_command_that_ran(house):
    interrupted = replaced(house, KeyboardInterrupt())
    assert (interrupted.command, interrupted.outcome) == ("messages.send", "unknown")
    assert interrupted.error == "KeyboardInterrupt"
    failed = replaced(house, CommandFailed(f"no {SECRET} here"))
    assert (failed.outcome, SECRET in failed.error, "***" in failed.error) == (
        "failed",
        False,
        True,
    )
    many = replaced(house, {"ids": list(range(30))})
    assert many.result_id == ",".join(map(str, range(20)))
    assert replaced(house, {"id": None, "message_id": "5"}).result_id == "5"


def test_what_is_written_down_holds_no_secret_and_is_not_endless(house):
    house.guard = replace(house.guard, secrets=(*house.guard.secrets, ""))
    args = filled(SEND, house) | {"content": "y" * 30_000, f"{SECRET}\0": "v"}
    with pytest.raises(CommandFailed):
        house.run("messages.send", args, security=OPEN)
    with pytest.raises(CommandFailed):
        house.run(f"messages.{SECRET}", args, security=OPEN)

    other, entry = audit.list_entries(house.db, limit=9)
    assert SECRET not in f"{other.command} {other.reason} {entry.args} {entry.reason}"
    assert "***" in other.reason
    assert entry.args["***"] == "v"
    assert entry.args["content"] == "y" * 20_000


def test_always_does_not_hold_for_what_a_rule_has_a_person_confirm(house):
    asked = []
    house.guard = replace(house.guard, ask=lambda question: asked.append(question) or "always")
    house.run("messages.send", filled(SEND, house))
    house.run("messages.send", filled(SEND | {"content": "two"}, house))
    assert len(asked) == 1

    house.run("messages.send", filled(SEND | {"content": "a\u200fb"}, house), security=CAREFUL)

    assert len(asked) == 2
    assert "\u200f" not in asked[1]


def test_an_approval_is_given_back_if_the_command_has_run_too_often(house):
    args = filled(SEND, house)
    asked_for(house, args, "approved")
    house.run("messages.send", args, security=OPEN)
    bounded = policy(
        "*", require_confirmation=["messages.send"], rate_limits={"messages.send": "1/minute"}
    )
    with pytest.raises(Denied, match="1 times"):
        house.run("messages.send", args, security=bounded)
    house.clock.advance(timedelta(seconds=61))

    house.run("messages.send", args, security=bounded)

    assert house.discord.contents() == ["hi", "hi"]
