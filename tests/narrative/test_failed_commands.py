"""An optional command that fails skips what depends on it, and nothing else."""

import pytest

from botticelli.narrative.errors import CommandFailed
from tests.narrative.scripted import stage

POSTER = """
[narrative]
name = "n"
skip_content_generation = true
toc = ["clear", "make", "say", "mark", "pin", "greet", "kept"]
[tables.next]
table_name = "approved_discord_posts"
limit = 1
[acts]
make = ["tables.next", "Copy the text."]
[[acts.clear.input]]
platform = "discord"
command = "messages.clear"
args = { channel_id = "111111111111111111", guild_id = "111111111111111111" }
[[acts.say.input]]
platform = "discord"
command = "messages.send"
args = { channel_id = "111111111111111111", content = "{{make}}" }
[[acts.mark.input]]
platform = "database"
command = "update_table"
args = { table_name = "approved_discord_posts", where_clause = "id = 1", updates = { a = "b" } }
[[acts.pin.input]]
platform = "discord"
command = "messages.pin"
args = { channel_id = "111111111111111111", message_id = "${say.id}" }
[[acts.greet.input]]
platform = "discord"
command = "reactions.add"
args = { channel_id = "111111111111111111", message_id = "5", emoji = "x" }
[[acts.kept.input]]
platform = "discord"
command = "channels.edit"
args = { channel_id = "${state:discord.messages.send.channel_id}", topic = "x" }
"""
ALL = {"clear", "make", "say", "mark", "pin", "greet", "kept"}


@pytest.mark.parametrize(
    ("failing", "undone"),
    [
        ("messages.clear", {"clear"}),
        ("messages.send", {"say", "mark", "pin", "kept"}),
        ("messages.pin", {"pin"}),
        ("reactions.add", {"greet"}),
    ],
)
def test_only_what_depends_on_it_is_skipped(db, failing, undone):
    db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('words')")
    done = {"id": "5", "channel_id": "111111111111111111"}
    names = ("messages.clear", "messages.send", "messages.pin", "reactions.add", "channels.edit")
    results = dict.fromkeys(names, done)
    results[failing] = CommandFailed("403", where=failing)

    class Database:
        def writes(self, command):
            return True

        def run(self, call):
            return {"rows": 1}

    made = stage(db, POSTER, discord=results, executors={"database": Database()})
    made.runner.context.remember(
        {"discord.messages.send.channel_id": "999999999999999999"}, narrative="n"
    )

    acts = made.run().acts

    assert {each.name for each in acts if each.state == "done"} == ALL - undone
