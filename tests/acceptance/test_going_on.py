"""What is printed after a signal or a spent quota is the command that goes on, and it does."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.database import approved

FILE = """\
[narrative]
name = "{name}"
description = "Two posts."
[narrative.carousel]
iterations = 4
[toc]
order = ["write"]
[acts]
write = "Write about {{{{iteration}}}}. Answer as JSON."
"""
LITE = "gemini-3.5-flash-lite"

# A command in this process leaves its connection to the model to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def house(botticelli, db_url, gemini):
    """The command line with a Gemini that has a small day."""
    botticelli.environ |= {
        "DATABASE_URL": db_url,
        "GEMINI_API_KEY": gemini.key,
        "GOOGLE_GEMINI_BASE_URL": gemini.url,
    }
    gemini.responder = lambda call: f"A text, number {call.number}, about something else."

    def configure(rpd, name="sub dir/botticelli.toml"):
        file = botticelli.cwd / name
        file.parent.mkdir(exist_ok=True)
        (file.parent / "narratives").mkdir(exist_ok=True)
        for each in ("mine", "other"):
            (file.parent / f"narratives/{each}.toml").write_text(FILE.format(name=each))
        file.write_text(
            f'[generate]\nnarrative = "mine"\n[models]\ndefault = "{LITE}"\n'
            f'[models.limits."{LITE}"]\nrpd = {rpd}\nrpm = 1000\n[budget]\nrpd = 1.0\n'
            '[narratives]\nfolders = ["narratives"]\n'
        )

    botticelli.configure = configure
    return botticelli


def advised(ended):
    """The words of the command that was printed."""
    (command,) = re.findall(r"run `botticelli (.*?)` (?:again|to go on)", ended.err)
    return shlex.split(command)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["generate"], ["generate"]),
        (["generate", "other", "--iterations", "3"], ["generate", "other"]),
        (["generate", "other", "--iterations=3", "--fresh"], ["generate", "other"]),
        (["generate", "--model", LITE, "--jitter", "0s"], ["generate", "--model", LITE]),
    ],
)
def test_a_spent_day_of_generate_goes_on_with_the_command_that_is_printed(
    house, db, given, expected
):
    house.configure(2)
    config = ["--config", "sub dir/botticelli.toml"]
    first = house([*given, *config])

    assert first.code == 75, first.err
    words = advised(first)
    assert sorted(words) == sorted([*config, *expected])

    house.configure(100)
    assert house(words).code == 0
    assert db.execute("SELECT count(*) FROM batches").fetchone() == (1,)
    assert db.execute("SELECT DISTINCT state FROM generation_items").fetchall() == [("done",)]


def test_the_timers_command_finishes_what_a_person_began_and_does_its_own_as_well(house, db):
    house.configure(2, "botticelli.toml")
    assert house("generate other").code == 75
    house.configure(100, "botticelli.toml")

    foreseen = house("generate --dry-run").out
    ended = house("generate")

    assert "other.other: an unfinished batch" in foreseen
    assert foreseen.index("other.other") < foreseen.index("mine.mine: a new batch")
    assert ended.code == 0, ended.err
    assert "unfinished batch of other" in ended.err
    assert db.execute("SELECT narrative, state FROM batches ORDER BY id").fetchall() == [
        ("other.other", "done"),
        ("mine.mine", "done"),
    ]
    assert house("generate").code == 0
    assert db.execute("SELECT count(*) FROM batches").fetchone() == (2,)


@pytest.mark.slow
def test_a_batch_that_cannot_go_on_costs_the_timers_own_nothing_and_ends_in_a_week(house, db):
    house.configure(2, "botticelli.toml")
    assert house("generate other").code == 75
    house.configure(100, "botticelli.toml")
    (house.cwd / "narratives/other.toml").unlink()

    ended = house("generate")

    assert ended.code == 0, ended.err
    assert "the unfinished batch of other.other cannot go on" in ended.err
    db.execute("UPDATE batches SET created_at = created_at - interval '8 days'")
    db.execute("UPDATE generation_items SET ended_at = ended_at - interval '8 days'")
    assert "cannot go on" not in house("generate").err
    assert db.execute("SELECT narrative, state FROM batches ORDER BY id").fetchall()[0] == (
        "other.other",
        "abandoned",
    )
    states = "SELECT count(*) FROM generation_items WHERE state IN ('pending', 'running')"
    assert db.execute(states).fetchone() == (0,)


@pytest.mark.parametrize("iterations", ["", " --iterations 3"])
def test_a_spent_day_of_run_goes_on_with_the_iterations_that_are_left(house, iterations):
    house.configure(2, "botticelli.toml")

    ended = house(f"run narratives/mine.toml{iterations} --input topic=go")

    assert ended.code == 75, ended.err
    assert "2 of" in ended.err
    left = "1" if iterations else "2"
    words = ["run", "narratives/mine.toml", "--input", "topic=go", "--iterations", left]
    assert advised(ended) == words
    house.configure(100, "botticelli.toml")
    assert house(words).code == 0


def test_a_spent_day_of_curate_goes_on_with_the_command_that_is_printed(house, db):
    house.configure(0, "botticelli.toml")
    for number in range(3):
        db.execute(
            "INSERT INTO potential_discord_posts (text_content) VALUES (%s)",
            [f"Quite another text with the number {number} and {number * 77} words."],
        )
    (house.cwd / "botticelli.toml").write_text(
        f'[models]\njudge = "{LITE}"\n[models.limits."{LITE}"]\nrpd = 1\n[curate]\nbatch = 1\n'
    )
    house("curate")

    ended = house("curate --drain")

    assert ended.code == 75, ended.err
    assert advised(ended) == ["curate", "--drain"]


def stopped(house, words, *, until):
    """Start a command as a process and send it SIGINT when `until()`; return how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "botticelli", *words],
        env=house.environ, cwd=house.cwd, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not until() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, process.err = process.communicate(timeout=60)
    return process


@pytest.mark.slow
def test_ctrl_c_of_generate_names_the_narrative_that_was_given(house, db, gemini):
    house.configure(1000, "botticelli.toml")
    gemini.latency = 0.3
    words = ["generate", "other", "--iterations", "9", "--workers", "1"]

    ended = stopped(house, words, until=lambda: len(gemini.calls) > 1)

    assert ended.returncode == 75, ended.err
    assert advised(ended) == ["generate", "other", "--workers", "1"]


def test_ctrl_c_of_post_asks_for_what_is_left_of_the_limit(house, db, discord):
    for number in range(5):
        approved(db, f"Text number {number}, which is not the others.")
    house.environ |= {
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_BASE": discord.api,
        "POSTING_CHANNEL_ID": discord.channel,
    }
    (house.cwd / "botticelli.toml").write_text("")
    discord.latency = 0.4

    ended = stopped(
        house, ["post", "--now", "--limit", "4"], until=lambda: len(discord.sent()) >= 1
    )

    sent = len(discord.sent())
    assert 1 <= sent < 4, ended.err
    assert advised(ended) == ["post", "--now", "--limit", str(4 - sent)]
