"""`botticelli check`: everything a timer could trip over, found in one run."""

import json
import os

import pytest

from tests.clock import PinnedClock


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


def test_a_wrong_key_is_found_with_online_and_costs_nothing(botticelli, db, gemini):
    botticelli.environ |= {"GOOGLE_GEMINI_BASE_URL": gemini.url, "GEMINI_API_KEY": "wrong"}
    off, on = botticelli("check --json"), botticelli("check --online --json")
    botticelli.environ |= {"GEMINI_API_KEY": gemini.key}
    fixed = botticelli("check --online --json")
    assert not gemini.calls

    subject = "model gemini-3.5-flash-lite"
    assert ("ok", subject) in findings(off)
    assert ("error", subject) in findings(on)
    assert "GEMINI_API_KEY" in on.out
    assert ("ok", subject) in findings(fixed)


def test_a_channel_that_is_no_id_is_found_without_network(botticelli, db):
    botticelli.environ |= {"DISCORD_TOKEN": "token", "POSTING_CHANNEL_ID": "general"}

    ended = botticelli("check --json")

    assert ("error", "destinations.discord.channel") in findings(ended)
    assert "digits only" in ended.out


STORY = """
[narrative]
name = "story"
skip_content_generation = true

[toc]
order = ["read", "draw", "send", "mark"]

[tables.gone]
table_name = "nowhere"

[acts]
read = ["tables.gone", "Say what you see."]

[acts.draw]
prompt = "Draw {{reda}}."
model = "claude-3-opus"
[[acts.draw.input]]
type = "table"
table_name = "approved_discord_posts"
columns = ["txt_content"]
required = true
[[acts.draw.input]]
type = "image"
file = "sound.png"
[[acts.draw.input]]
type = "image"
url = "http://127.0.0.1/a.png"
[[acts.draw.input]]
type = "image"
base64 = "%%"
mime = "image/png"

[[acts.send.input]]
type = "bot_command"
platform = "discord"
command = "messages.send"
required = true
args = { chanel_id = "1", content = "{{drawing}}" }

[[acts.mark.input]]
type = "bot_command"
platform = "database"
command = "update_table"
args = { table_name = "runs", updates = { state = "x" }, limit = 1 }
"""
TOLD = [
    ("warning", 9, "tables.gone", "there is no table 'nowhere': the act goes without"),
    ("error", 15, "acts.draw", "{{reda}} is no act before this one, no table"),
    ("error", 17, "acts.draw.model", "no driver for this family"),
    ("error", 18, "acts.draw.input[0]", "there is no column 'txt_content'"),
    ("error", 25, "acts.draw.input[1].file", "is no image: it holds audio/wav"),
    ("error", 28, "acts.draw.input[2].url", "leads into a private network"),
    ("error", 31, "acts.draw.input[3].base64", "is no base64"),
    ("error", 34, "acts.send.input[0]", "needs channel_id"),
    ("error", 34, "acts.send", "{{drawing}} is no act before this one"),
    ("warning", 34, "acts.send", "discord.messages.send is refused where nobody can be asked"),
    ("warning", 41, "acts.mark", "database.update_table is refused where nobody"),
    ("warning", 41, "acts.mark.input[0]", "table 'runs' may not be changed by a narrative"),
]


def test_what_would_go_wrong_in_a_run_is_told_with_its_line_and_key(botticelli, db):
    (botticelli.cwd / "story.toml").write_text(STORY)
    (botticelli.cwd / "sound.png").write_bytes(b"RIFF\0\0\0\0WAVE")

    found = json.loads(botticelli("check story.toml --json").out)["findings"]

    told = {
        (each["level"], each["subject"].rpartition("/")[2], each["what"])
        for each in found
        if "story.toml:" in each["subject"]
    }
    for level, line, key, words in TOLD:
        place = f"story.toml:{line}: {key}"
        there = [what for one, where, what in told if (one, where) == (level, place)]
        assert any(words in what for what in there), (place, sorted(told))
    assert len(told) == len(TOLD)


def test_a_table_that_the_file_fills_itself_is_not_missed(botticelli, db):
    (botticelli.cwd / "inner.toml").write_text(
        '[narrative]\nname = "inner"\ntarget = "made_inside"\n[toc]\norder = ["a"]\n'
        '[acts]\na = "As JSON."\n'
    )
    (botticelli.cwd / "outer.toml").write_text(
        '[narrative]\nname = "outer"\nskip_content_generation = true\n'
        '[toc]\norder = ["make", "use"]\n[tables.made_inside]\ntable_name = "made_inside"\n'
        '[acts]\nmake = "narratives.inner"\nuse = ["tables.made_inside", "Choose."]\n'
    )

    ended = botticelli("check --offline outer.toml")

    assert ended.code == 0, ended.out
    assert "no table 'made_inside'" not in ended.out


def test_no_template_table_is_a_warning(botticelli, db):
    (botticelli.cwd / "t.toml").write_text(
        '[narrative]\nname = "t"\ntemplate = "nowhere"\n[toc]\norder = ["a"]\n[acts]\na = "Go."\n'
    )

    ended = botticelli("check --offline t.toml")

    assert ended.code == 0
    assert "t.toml:3: narrative.template: there is no table 'nowhere'; make it" in ended.out


@pytest.mark.parametrize(
    ("rules", "config", "word"),
    [
        ("", "", "is refused where nobody can be asked"),
        ('allowed_commands = ["messages.*"]', "", ""),
        ('allowed_commands = ["messages.pin"]', "", "is refused: messages.send is not among"),
        ("", '[security]\nwrites = "allow"\n', ""),
        ("", '[security]\nwrites = "deny"\n', "is refused: [security] writes"),
    ],
)
def test_a_command_that_nobody_allowed_is_told_before_a_timer_runs_it(
    botticelli, db, rules, config, word
):
    (botticelli.cwd / "botticelli.toml").write_text(config)
    (botticelli.cwd / "say.toml").write_text(
        f'name = "say"\n[security.policy]\n{rules}\n[[acts]]\nname = "say"\n[[acts.inputs]]\n'
        'platform = "discord"\ncommand = "messages.send"\nchannel_id = "1"\ncontent = "x"\n'
    )

    told = [line for line in botticelli("check say.toml").out.splitlines() if "acts[0]" in line]

    assert len(told) == bool(word)
    assert all(word in line for line in told)


@pytest.mark.parametrize(
    ("schedule", "warned"),
    [
        ("type = 'Daily'\nat = ['02:30']\ntime_zone = 'Europe/Berlin'", True),
        ("type = 'Cron'\ncron = '15 2 * * *'\ntime_zone = 'Europe/Berlin'", True),
        ("type = 'Daily'\nat = ['03:00']\ntime_zone = 'Europe/Berlin'", False),
        ("type = 'Daily'\nat = ['02:30']\ntime_zone = 'Asia/Tokyo'", False),
        ("type = 'Cron'\ncron = '*/15 * * * *'\ntime_zone = 'Europe/Berlin'", False),
        ("type = 'Interval'\nseconds = 600", False),
    ],
)
def test_a_time_that_the_clocks_leave_out_is_a_warning(botticelli, schedule, warned):
    botticelli.clock = PinnedClock()
    (botticelli.cwd / "botticelli.toml").write_text(f"[post.schedule]\n{schedule}\n")

    out = botticelli("check").out

    assert ("never show" in out) is warned
    assert ("warning  post.schedule: on 2027-03-28 the clocks of Europe/Berlin" in out) is warned


def test_a_file_is_judged_alone_and_what_it_needs_is_a_note(botticelli, db, tmp_path):
    good = botticelli.cwd / "good.toml"
    good.write_text(
        '[narrative]\nname = "good"\ndescription = "d"\n\n[toc]\norder = ["x"]\n'
        '\n[acts]\nx = "Say hello"\n'
    )

    ended = botticelli("check good.toml")

    assert ended.code == 0, ended.out
    assert f"{good}: narratives good" in ended.out
    assert "error " not in ended.out
