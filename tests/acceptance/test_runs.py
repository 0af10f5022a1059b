"""`runs` and `logs`: what happened, in order, with times, costs and errors."""

import json
import re
from datetime import timedelta
from textwrap import dedent

import pytest

from botticelli.store import locks, runs
from botticelli.store.leases import Identity
from tests.database import approved
from tests.pipeline import NARRATIVE

SETTINGS = """
    [destinations.news]
    platform = "discord"
    channel = "{channel}"
    base_url = "{api}"
    min_interval_minutes = 0
"""


def answers(call):
    """What the writer says, and what the judge."""
    if call.schema is None:
        return f"draft for {call.prompt[:20]}"
    if "scores" not in call.schema["properties"]:
        return {"text_content": f"A post about {call.prompt[:9]} and oars", "content_type": "x"}
    ids = call.schema["properties"]["scores"]["items"]["properties"]["id"]["enum"]
    marks = dict.fromkeys(("engagement", "clarity", "value", "tone", "polish"), 8)
    return {
        "scores": [
            {"id": id_, "reasons": "it says oars", **marks, "notes": "keep", "clean": True}
            for id_ in ids
        ]
    }


@pytest.fixture
def gemini(gemini):
    gemini.responder = answers
    return gemini


@pytest.fixture
def command(botticelli, db, tmp_path, discord, gemini):
    botticelli.environ |= {
        "GEMINI_API_KEY": gemini.key,
        "GOOGLE_GEMINI_BASE_URL": gemini.url,
        "DISCORD_TOKEN": discord.token,
    }
    (tmp_path / "carousel.toml").write_text(dedent(NARRATIVE))
    settings = SETTINGS.format(channel=discord.channel, api=discord.api)
    (tmp_path / "botticelli.toml").write_text(dedent(settings))
    return botticelli


def untimed(text):
    return re.sub(r"\d\d:\d\d:\d\d|\d+\.\d s|, [\d,]+ tokens|, \$\d+\.\d+", "", text)


def test_a_run_of_generate_is_told_with_its_calls_and_costs(command):
    assert command("generate carousel.feature --iterations 1").code == 0

    ended = command("logs 1")

    assert ended.code == 0
    head, rest = ended.out.split("\n\n")
    assert head.startswith("run 1: generate done, exit code 0\nfrom 20")
    assert re.search(r"\n2 calls, \d+ tokens, \$0\.0\d+\n1 (stored|planned)", head)
    lines = rest.splitlines()
    assert [line.split()[1] for line in lines] == ["act", "act", "candidate"]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d act feature\.draft_feature 1: done, \d\.\d s, \d+ tokens, \$0\.\d{6}.*",
        lines[0],
    )
    assert "candidate 1: pending  A post about" in lines[2]
    assert all(len(line) <= 80 for line in ended.out.splitlines())


def test_an_act_that_failed_is_told_with_its_reason(command, gemini):
    gemini.script.add("503", to="gemini-3.5-flash-lite")
    assert command("generate carousel.feature --iterations 1").code == 0

    steps = json.loads(command("logs generate --json").out)["steps"]

    assert [(step["name"], step["state"]) for step in steps[:2]] == [
        ("feature.draft_feature 1", "failed"),
        ("feature.draft_feature 1 (try 2)", "done"),
    ]
    assert "503" in steps[0]["error"]
    assert steps[1]["cost_usd"] > 0
    assert steps[1]["tokens"] > 0


def test_a_run_of_curate_tells_who_was_judged_and_approved(command):
    command("generate carousel.batch --iterations 1")
    assert command("curate --drain").code == 0

    told = untimed(command("logs curate").out)

    assert "judged candidate 1: approved, 40 of 50  A post about" in told
    assert "set aside candidate 2: rejected  A post about" in told
    assert "repeats c1, nearly" in told
    assert "approved post 1: pending  A post about" in told


@pytest.mark.slow
def test_a_run_of_post_tells_of_its_deliveries_and_no_other(command, db, discord):
    first, second = approved(db, text="one"), approved(db, text="two")
    discord.script.add(*["503"] * 5)
    assert command("post").code == 1
    discord.script.clear()
    db.execute("UPDATE deliveries SET retry_at = NULL WHERE id = 1")
    assert command("post").code == 0

    failed, posted = command("logs 1").out, command("logs 2").out

    assert f"delivery 1 (post {first}) to news: uncertain\n" in failed
    assert "503" in failed.partition("to news")[2]
    assert f"delivery 1 (post {first}) to news: posted\n         https://" in posted
    assert "uncertain" not in posted
    assert f"post {second}" not in failed + posted


def test_what_a_person_did_meanwhile_is_no_runs_work(command, db):
    approved(db)
    assert command("post").code == 0
    approved(db, text="another")
    assert command("post").code == 0
    db.execute("UPDATE runs SET ended_at = ended_at + interval '1 hour' WHERE id = 2")
    assert command("deliveries drop 2").code in (0, 2)
    db.execute(
        "UPDATE deliveries SET history = history || jsonb_build_object("
        "'at', now(), 'event', 'hold', 'by', 'ann') WHERE id = 2"
    )

    events = [one["state"] for one in json.loads(command("logs 2 --json").out)["steps"]]

    assert events == [
        "posted"
    ]  # the run's own; what follows a message is news only if it took two tries


def test_runs_lists_the_newest_first_and_one_stage_if_asked(command):
    command("generate carousel.feature --iterations 1")
    command("post")
    command("run carousel:feature")

    lines = command("runs").out.splitlines()
    assert lines[0].split() == [
        "run",
        "stage",
        "started",
        "(UTC)",
        "took",
        "state",
        "calls",
        "what",
    ]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["3", "run"],
        ["2", "post"],
        ["1", "generate"],
    ]
    assert lines[2].endswith("nothing to do")
    assert "1 stored" in lines[3]
    assert [run["id"] for run in json.loads(command("runs --stage post --json").out)["runs"]] == [2]
    assert len(command("runs --limit 1").out.splitlines()) == 2


def test_on_a_terminal_of_80_columns_nothing_is_cut_off(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command("generate carousel.feature --iterations 1")

    shown = re.sub(r"\x1b\[[\d;]*m", "", command("runs", terminal=True).out)

    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "…" not in shown
    assert "stored" in shown


def test_a_failed_run_shows_its_error(command, gemini):
    gemini.script.add(*["400"] * 8, to="gemini-3.5-flash-lite")
    code = command("generate carousel.feature --iterations 1").code
    assert code

    assert "failed" in command("runs").out
    assert f"generate failed, exit code {code}" in command("logs 1").out


def test_an_error_that_holds_a_secret_is_told_without(command, db):
    db.execute(
        "INSERT INTO runs (stage, state, host, pid, ended_at, error)"
        " VALUES ('post', 'failed', 'h', 1, now(), %s)",
        (f"ValueError('{command.environ['DISCORD_TOKEN']}')",),
    )
    for line in ("runs", "runs --json", "logs 1", "logs 1 --json"):
        ended = command(line)
        assert "ValueError('********')" in ended.out
        assert command.environ["DISCORD_TOKEN"] not in ended.out


def test_a_run_that_was_killed_is_known_before_the_next_one_notices(botticelli, db):
    me = Identity(host="h", pid=1, owner="h:1:x")
    lock = locks.acquire(db, "post", identity=me, lease=timedelta(seconds=30))
    runs.start(db, "post", identity=me, lock=lock)
    assert "running" in botticelli("runs").out
    assert botticelli("logs 1").out.startswith("run 1: post running\n")

    db.execute("UPDATE locks SET expires_at = now() - interval '1 second'")

    assert "interrupted" in botticelli("runs").out
    told = botticelli("logs 1").out
    assert told.startswith("run 1: post interrupted\n")
    assert "killed: nothing is heard of it any more" in told


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("logs 99", "there is no run 99; see `botticelli runs`"),
        (f"logs {2**63}", f"there is no run {2**63}; see"),
        ("logs post", "post has not run yet; see"),
        (
            "logs posts",
            (
                "'posts' is not a run; give its number, or one of collect, generate, curate, post,"
                " observe, run"
            ),
        ),
        ("logs -- -1", "'-1' is not a run"),
        ("logs ²", "'²' is not a run"),
        ("runs --stage posts", "there is no stage 'posts'; name one of"),
        ("runs --limit 0", "invalid value for '--limit'"),
    ],
)
def test_what_is_not_there_gives_one_line_and_2(botticelli, db, line, says):
    ended = botticelli(line)

    assert ended.code == 2
    assert ended.err.lower().startswith(f"botticelli: {says.lower()}")
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""


def test_before_anything_has_run_there_is_nothing(botticelli, db):
    assert botticelli("runs").out == "nothing has run yet\n"
    assert json.loads(botticelli("runs --json").out) == {"runs": []}
