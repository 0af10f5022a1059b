"""`run --save` and `run --process-discord`, as users of the earlier system know them."""

import json

import pytest

from botticelli.narrative.run.sinks import DiscordSink, TableSink
from tests.clock import PinnedClock
from tests.narrative.scripted import stage as scripted

TWO_ROUNDS = """
[narrative]
name = "rounds"
description = "Two rounds"
skip_content_generation = true
carousel = 2
[toc]
order = ["look", "write"]
[acts]
write = "Write about {{look}}."
[[acts.look.input]]
type = "table"
table_name = "content"
"""
FAILING = """
[narrative]
name = "failing"
target = "rows"
[toc]
order = ["think", "write"]
[acts]
think = "Think."
write = "Say no."
"""
SERVER = """
[narrative]
name = "Discord Infrastructure Setup"
skip_content_generation = true
[toc]
order = ["create_guild", "create_channels", "create_users", "create_members", "assign_member_roles"]
[acts]
create_guild = "A server."
create_channels = "Its channels."
create_users = "Its people."
create_members = "Who is in it."
assign_member_roles = "Who may do what."
"""
GUILD = {"id": "123456789012345678", "name": "Makers", "owner_id": 42, "features": ["NEWS"]}
CHANNELS = [
    {"id": 7, "channel_type": "text", "name": "general", "guild_id": 123456789012345678},
    {"id": "8", "kind": "voice", "topic": "talk"},
    {"name": "nameless"},
]
ANSWERS = [
    f"```json\n{json.dumps(GUILD)}\n```",
    json.dumps(CHANNELS),
    '{"id": 42, "username": "ada", "mood": "good"}',
    '{"guild_id": 1, "user_id": 42, "joined_at": "2025-01-31T12:00:00Z"}',
    '{"guild_id": 1, "user_id": 42, "role_id": 3, "assigned_at": "2025-02-01T00:00:00Z"}',
]


def summary(db):
    return db.execute("SELECT summary FROM runs ORDER BY id DESC LIMIT 1").fetchone()[0]


def test_save_keeps_every_act_of_every_round_with_its_prompt(botticelli, db):
    (botticelli.cwd / "rounds.toml").write_text(TWO_ROUNDS)

    ended = botticelli("run rounds --offline --save")

    assert ended.code == 0, ended.err
    assert "every act is stored with run 1" in ended.err
    kept = summary(db)
    assert (kept["narrative"], kept["description"], kept["calls"]) == ("rounds", "Two rounds", 2)
    assert [(act["iteration"], act["name"], act["state"]) for act in kept["acts"]] == [
        (1, "look", "done"),
        (1, "write", "done"),
        (2, "look", "done"),
        (2, "write", "done"),
    ]
    assert kept["acts"][1]["prompt"] == "Write about []."
    assert kept["acts"][1]["answer"]


def test_save_keeps_what_a_failed_run_had_done(botticelli, db):
    (botticelli.cwd / "failing.toml").write_text(FAILING)

    ended = botticelli("run failing --offline --save")

    assert ended.code == 1
    assert [act["name"] for act in summary(db)["acts"]] == ["think"]
    assert "write" in db.execute("SELECT error FROM runs").fetchone()[0]


def test_without_save_the_run_says_no_more_than_it_did(botticelli, db):
    (botticelli.cwd / "rounds.toml").write_text(TWO_ROUNDS)
    botticelli("run rounds --offline")

    assert summary(db) == {"stored": 0, "calls": 2}


@pytest.fixture
def processed(db):
    """`processed(answers)` runs the narrative of a server; returns its runner's stage and sink."""

    def run(answers, toml=SERVER):
        said = []
        sink = DiscordSink(
            conn=db, rows=TableSink(conn=db, clock=PinnedClock()), clock=PinnedClock(),
            warn=said.append,
        )  # fmt: skip
        scripted(db, toml, answers=answers, sink=sink).run()
        return said

    return run


def test_each_act_s_records_go_into_their_table(db, processed):
    said = processed(ANSWERS)

    rows = {
        table: db.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
        for table, columns in {
            "discord_guilds": "id, name, owner_id, features",
            "discord_channels": "id, channel_type, name, topic",
            "discord_users": "id, username",
            "discord_guild_members": "guild_id, user_id",
            "discord_member_roles": "guild_id, user_id, role_id",
            "discord_roles": "id",
        }.items()
    }
    assert rows == {
        "discord_guilds": [(123456789012345678, "Makers", 42, ["NEWS"])],
        "discord_channels": [(7, "text", "general", None), (8, "voice", None, "talk")],
        "discord_users": [(42, "ada")],
        "discord_guild_members": [(1, 42)],
        "discord_member_roles": [(1, 42, 3)],
        "discord_roles": [],
    }
    assert said == ["act 'create_channels': a channel without id, channel_type is not kept"]


def test_what_is_told_again_is_changed_and_the_rest_stays(db, processed):
    processed(ANSWERS)
    processed(['{"id": 123456789012345678, "name": "Menders", "owner_id": 42}', *ANSWERS[1:]])

    found = db.execute("SELECT name, features, updated_at >= created_at FROM discord_guilds")
    assert found.fetchall() == [("Menders", ["NEWS"], True)]


def test_an_id_that_is_none_is_told_and_nothing_is_lost(db, processed):
    said = processed(['{"id": "guild-1", "name": "x", "owner_id": 1}', *ANSWERS[1:]])

    assert "act 'create_guild': discord_guilds: a server cannot have id = 'guild-1'" in said
    assert db.execute("SELECT count(*) FROM discord_users").fetchone() == (1,)


def test_the_option_reaches_the_tables(botticelli, db):
    (botticelli.cwd / "server.toml").write_text(SERVER)

    ended = botticelli("run server --offline --process-discord --json")

    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["stored"] == {}  # the offline model knows no servers


def test_a_discord_table_is_a_template_whose_fields_are_asked_for(db):
    toml = (
        '[narrative]\nname = "guilds"\ntemplate = "discord_guilds"\ntarget = "potential_guilds"\n'
        '[toc]\norder = ["a"]\n[acts]\na = "Invent one."\n'
    )
    stage = scripted(db, toml, answers=['{"id": 5, "name": "x", "owner_id": 2}'])
    stage.run()

    assert "- owner_id: whole number" in stage.caller.prompt()
    assert db.execute("SELECT id, name, owner_id FROM potential_guilds").fetchall() == [(5, "x", 2)]
