"""What was left to be filled in is named; prose that speaks of it is not."""

import pytest

from botticelli.narrative.checks.narrative_file import fillers, fillers_of_project

LEFT = [
    "YOUR_GUILD_ID_HERE", "your-channel-id", "<CHANNEL_ID>", "<your token>", "xxx", "XXXXXXXX",
    "changeme",
    "CHANGE_ME", "change-this", "TODO", "[CHANNEL ID]", "insert_token_here", "my_bot_token",
    "https://discord.com/api/webhooks/<ID>/<TOKEN>", "postgresql://you:changeme@localhost/x",
]  # fmt: skip
REAL = [
    "123456789012345678", "Say hello to <@123456789012345678>, and write to YOUR_GUILD_ID_HERE.",
    "general", "xx", "exxxtra", "${POSTING_CHANNEL_ID}", "postgresql://a:b@localhost/x", "",
    "https://example.org/your/way", "What is your name?", "todo list", "<b>bold</b> words",
    "gemini-3.5-flash-lite", "narratives", "UTC", "<{{draft}}>", "<@123456789012345678>",
    "<#123456789012345678>", "<:smile:123456789012345678>", "<https://example.org>",
]  # fmt: skip


@pytest.mark.parametrize("text", LEFT)
def test_left_to_be_filled_in(text):
    assert [*fillers({"a": [{"b": text}]})] == [("a", 0, "b")]


@pytest.mark.parametrize("text", REAL)
def test_said(text):
    assert [*fillers({"a": text})] == []


def test_a_project_is_told_where(tmp_path):
    file = tmp_path / "botticelli.toml"
    file.write_text('[destinations.a]\nplatform = "discord"\nchannel = "<CHANNEL_ID>"\n')

    found = [each.where for each in fillers_of_project(file, {"DISCORD_TOKEN": "your_token_here"})]

    assert found == ["DISCORD_TOKEN", f"{file}:3: destinations.a.channel"]
