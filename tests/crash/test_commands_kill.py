"""Bot commands in real processes: killed at any moment, and several at once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.commandline import isolated
from tests.database import approved
from tests.fakes.discord import FakeDiscord

pytestmark = pytest.mark.slow  # whole commands and servers, seconds each

COUNT = "SELECT count(*) FROM approved_discord_posts WHERE review_status = 'pending'"


class House:
    """A folder from which processes act on a Discord over loopback, with one database."""

    def __init__(self, folder, db, db_url, discord, settings=""):
        self.folder = folder
        self.db = db
        self.discord = discord
        self.environ = isolated(folder) | {
            "DATABASE_URL": db_url,
            "DISCORD_TOKEN": discord.token,
            "POSTING_CHANNEL_ID": discord.channel,
            "DISCORD_API_BASE": discord.api,
        }
        (folder / "botticelli.toml").write_text(settings)

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "botticelli", *words],
            env=self.environ,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill_after(self, child, seconds, happened):
        """Kill a process some time after something happened; tell whether it was alive."""
        deadline = time.monotonic() + 60
        while child.poll() is None and not happened() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(seconds)
        alive = child.poll() is None
        if alive:
            os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        return alive

    def end_leases(self):
        """What time does: the leases of the dead run out."""
        self.db.execute("UPDATE row_leases SET lease_expires_at = now()")

    def post_the_rest(self):
        """Run the poster until nothing is pending, without further faults."""
        self.discord.script.clear()
        for _ in range(12):
            self.end_leases()
            child = self.start("run", "discord_poster")
            _, told = child.communicate(timeout=120)
            assert child.returncode == 0, told
            if self.db.execute(COUNT).fetchone() == (0,):
                return
        pytest.fail("it never comes to rest")


SLOW = pytest.mark.slow
NONCES = [pytest.param(0.0, id="forgotten"), pytest.param(180.0, id="known", marks=SLOW)]


@pytest.fixture(params=NONCES)
def house(request, db, db_url, tmp_path):
    with FakeDiscord(nonce_window=request.param) as discord:
        yield House(tmp_path, db, db_url, discord)


def has_sent(discord, route="create_message"):
    """Return whether there is one more request of a route than now."""
    count = len(discord.sent(route))
    return lambda: len(discord.sent(route)) > count


@pytest.mark.parametrize("fault", ["ok", pytest.param("slow:30", marks=SLOW), "wait:0.4"])
def test_a_poster_killed_around_its_request_posts_each_once(house, fault):
    """Before the message is there, while it is, and between the answer and the mark."""
    texts = ["first", "second"]
    for text in texts:
        approved(house.db, text)
    house.discord.script.add(fault)

    house.kill_after(house.start("run", "discord_poster"), 0, has_sent(house.discord))
    time.sleep(0.5)  # the request is under way, whoever sent it
    house.post_the_rest()

    assert Counter(house.discord.contents()) == Counter(texts)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_a_poster_killed_by_chance_posts_each_once(house, seed):
    chance = random.Random(seed)
    killed, texts = 0, []
    while killed < 8:
        texts += [f"t{len(texts)}", f"t{len(texts) + 1}"]
        for text in texts[-2:]:
            approved(house.db, text)
        house.discord.script.add(chance.choice(["ok", "wait:0.1", "slow:0.1", "503"]))
        sent = has_sent(house.discord)
        child = house.start("run", "discord_poster")
        killed += house.kill_after(child, chance.uniform(0, 0.1), sent)
        time.sleep(0.2)
        house.post_the_rest()
    assert Counter(house.discord.contents()) == Counter(texts)


def test_posters_at_once_post_each_once(db, db_url, tmp_path):
    texts = [f"t{number}" for number in range(4)]
    with FakeDiscord() as discord:
        house = House(tmp_path, db, db_url, discord)
        for text in texts:
            approved(db, text)
        children = [house.start("run", "discord_poster") for _ in range(4)]
        for child in children:
            _, told = child.communicate(timeout=60)
            assert child.returncode == 0, told

        assert Counter(discord.contents()) == Counter(texts)
        assert db.execute(COUNT).fetchone() == (0,)


def test_a_rate_holds_over_processes(db, db_url, tmp_path):
    settings = '[security]\nwrites = "allow"\nrate_limits = { "messages.send" = "3/hour" }\n'
    with FakeDiscord() as discord:
        house = House(tmp_path, db, db_url, discord, settings)
        line = ["command", "discord", "messages.send", "--channel-id", discord.channel]
        children = [house.start(*line, "--content", f"{n}") for n in range(4)]
        told = [child.communicate(timeout=60)[1] for child in children]
        assert len(discord.sent()) == len(discord.contents()) == 3
        assert sum("has run 3 times" in line for line in told) == 1


@pytest.mark.timeout(120)
def test_whatever_reached_discord_is_in_the_audit_and_its_outcome_is_told(db, db_url, tmp_path):
    chance = random.Random(7)
    settings = '[security]\nwrites = "allow"\n'
    with FakeDiscord() as discord:
        house = House(tmp_path, db, db_url, discord, settings)
        line = ["command", "discord", "roles.create", "--guild-id", discord.guild, "--name"]
        for number in range(8):
            discord.script.add(chance.choice(["ok", "slow:0.1", "wait:0.1"]), to="create_role")
            child = house.start(*line, f"role {number}")
            wait = chance.choice([0, 0, chance.uniform(0, 0.15)])
            house.kill_after(child, wait, has_sent(discord, "create_role"))
        time.sleep(0.3)
        asked = {one.body["name"] for one in discord.sent("create_role")}
        rows = db.execute("SELECT args ->> 'name', outcome, ended_at FROM command_audit").fetchall()

        assert len(asked) > 4
        assert asked <= {name for name, _, _ in rows}
        log = house.start("approvals", "log", "--json").communicate(timeout=60)[0]
        told = {one["args"]["name"]: one["outcome"] for one in json.loads(log)["commands"]}
        answered = {name for name, outcome, _ in rows if outcome == "done"}
        assert {told[name] for name in answered} <= {"done"}
        assert {told[name] for name in asked - answered} == {"unknown"}
