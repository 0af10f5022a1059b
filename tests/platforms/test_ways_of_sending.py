"""Who may not send messages may not put words before people in another way either."""

import pytest

from botticelli.platforms.discord.commands.table import ROWS
from botticelli.platforms.rules.command_policy import CommandFacts, decide
from botticelli.platforms.rules.security_rules import SecurityRules


def word(command, args, *, platform="discord", **rules):
    user = SecurityRules(source="botticelli.toml", allowed=("*",), **rules)
    facts = CommandFacts(platform=platform, command=command, args=args, writes=True)
    return decide(facts, user=user, narratives=(), writes="allow").word


WAYS = [
    ("discord", "messages.send", {"channel_id": "1", "content": "x"}),
    ("discord", "messages.edit", {"channel_id": "1", "message_id": "2", "content": "x"}),
    ("discord", "messages.crosspost", {"channel_id": "1", "message_id": "2"}),
    ("discord", "forum.create_post", {"channel_id": "1", "name": "n", "content": "x"}),
    ("discord", "threads.create", {"channel_id": "1", "name": "n"}),
    ("discord", "webhooks.execute", {"webhook_id": "1", "content": "x"}),
    ("discord", "webhooks.execute", {"webhook_id": "1", "embeds": [{"title": "x"}]}),
    ("discord", "interactions.reply", {"id": "1", "content": "x"}),
    ("discord", "polls.create", {"channel_id": "1", "poll": {}}),
    ("chat", "rooms.post", {"room": "1", "text": "x"}),
    ("chat", "rooms.post", {"room": "1", "body": "x"}),
    ("chat", "rooms.announce", {"room": "1", "message": "x"}),
]


@pytest.mark.parametrize(("platform", "command", "args"), WAYS)
@pytest.mark.parametrize("denied", ["messages.send", "*.messages.send", "messages.*"])
def test_denying_to_send_denies_every_way_of_it(platform, command, args, denied):
    denied = denied.replace("*.", f"{platform}.")

    assert word(command, args, platform=platform, denied=(denied,)) == "refuse"
    assert word(command, args, platform=platform, confirmed=(denied,)) == "confirm"


@pytest.mark.parametrize("denied", ["message.send", "channels.send_message"])
def test_older_names_of_sending_count(denied):
    assert word("forum.create_post", {"content": "x"}, denied=(denied,)) == "refuse"


@pytest.mark.parametrize(
    "command", ["channels.create", "roles.create", "reactions.add", "members.kick", "messages.pin"]
)
def test_what_sends_nothing_stays_possible(command):
    assert word(command, {"name": "n", "channel_id": "1"}, denied=("messages.send",)) == "allow"


def test_every_command_of_discord_with_content_is_a_way_of_sending():
    with_content = [row.name for row in ROWS if row.writes and "content" in row.required]

    assert with_content
    for name in with_content:
        assert word(name, {"content": "x"}, denied=("messages.send",)) == "refuse"
