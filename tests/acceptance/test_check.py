"""`botticelli check`: everything a timer could trip over, found in one run."""

import json
import os

import pytest

from tests.fakes.gemini import FakeGemini


def findings(ended):
    return [(each["level"], each["subject"]) for each in json.loads(ended.out)["findings"]]


def test_a_newcomer_hears_everything_that_is_missing(botticelli, db):
    ended = botticelli("check --json")

    errors = [subject for level, subject in findings(ended) if level == "error"]
    assert ended.code == 78
    assert errors == [
        "model gemini-3.5-flash-lite",
        "model gemini-3.8-flash",
        "destinations.discord.channel",
        "destinations.discord.token",
    ]


def test_offline_all_is_well(botticelli, db):
    ended = botticelli("check --offline")

    assert ended.code == 0, ended.out
    assert ended.out.splitlines()[-1] == "all is well"


def test_one_run_finds_mistakes_in_every_place(botticelli, db):
    (botticelli.cwd / "botticelli.toml").write_text(
        '[generate]\nnarrative = "nowhere"\n'
        '[destinations.a]\nplatform = "discord"\nchannel = "1"\ntoken = "${A_TOKEN}"\n'
    )
    (botticelli.cwd / "narratives").mkdir()
    (botticelli.cwd / "narratives/bad.toml").write_text("[narrative]\nname =\n")
    (botticelli.cwd / "more.toml").write_text("[narrative\n")
    botticelli.environ["DATABASE_URL"] = "postgresql://127.0.0.1:1/none"

    ended = botticelli("check more.toml")

    assert ended.code == 78
    for part in (
        "nowhere",
        "A_TOKEN",
        "bad.toml:2",
        "more.toml:1",
        "GEMINI_API_KEY",
        "127.0.0.1:1",
    ):
        assert part in ended.out, part
    assert ended.err == ""


def test_a_broken_configuration_does_not_hide_a_broken_narrative(botticelli):
    (botticelli.cwd / "botticelli.toml").write_text("[pots]\nx = 1\n[budget]\nrpm = 2\n")
    (botticelli.cwd / "more.toml").write_text("[narrative\n")

    ended = botticelli("check more.toml --json")

    assert ended.code == 78
    assert findings(ended)[:2] == [
        ("error", "botticelli.toml:1: pots"),
        ("error", "botticelli.toml:4: budget.rpm"),
    ]
    assert "more.toml" in findings(ended)[2][1]


def test_an_outbox_that_cannot_be_written_is_found(botticelli, db):
    blocker = botticelli.cwd / "file"
    blocker.write_text("")
    (botticelli.cwd / "botticelli.toml").write_text(
        '[models]\ndefault = "offline"\njudge = "offline"\n'
        '[destinations.a]\nplatform = "outbox"\nfolder = "file/posts"\n'
    )

    ended = botticelli("check --json")

    assert ("error", "destinations.a.folder") in findings(ended)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_found(botticelli, db):
    (botticelli.cwd / "botticelli.toml").write_text(
        '[destinations.a]\nplatform = "outbox"\nfolder = "/etc/outbox"\n'
    )

    assert ("error", "destinations.a.folder") in findings(botticelli("check --json"))


def test_the_platform_is_asked_only_with_online(botticelli, db):
    botticelli.environ |= {
        "DISCORD_TOKEN": "token",
        "POSTING_CHANNEL_ID": "1",
        "DISCORD_API_BASE": "http://127.0.0.1:1/api",
    }

    off, on = botticelli("check --json"), botticelli("check --online --json")

    assert ("ok", "destination discord") in findings(off)
    assert ("ok", "destination discord") not in findings(on)


def test_a_wrong_key_is_found_with_online_and_costs_nothing(botticelli, db, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeGemini() as gemini:
        botticelli.environ |= {"GOOGLE_GEMINI_BASE_URL": gemini.url, "GEMINI_API_KEY": "wrong"}
        off, on = botticelli("check --json"), botticelli("check --online --json")
        botticelli.environ |= {"GEMINI_API_KEY": gemini.key}
        mended = botticelli("check --online --json")
        assert not gemini.calls

    subject = "model gemini-3.5-flash-lite"
    assert ("ok", subject) in findings(off)
    assert ("error", subject) in findings(on)
    assert "GEMINI_API_KEY" in on.out
    assert ("ok", subject) in findings(mended)


def test_a_channel_that_is_no_id_is_found_without_network(botticelli, db):
    botticelli.environ |= {"DISCORD_TOKEN": "token", "POSTING_CHANNEL_ID": "general"}

    ended = botticelli("check --json")

    assert ("error", "destinations.discord.channel") in findings(ended)
    assert "digits only" in ended.out
