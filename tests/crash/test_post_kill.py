"""Each approved post is in the channel exactly once, whatever is killed and whatever is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest

from tests.commandline import isolated
from tests.crash.zygote import Zygote
from tests.database import approved
from tests.fakes.discord import FakeDiscord

FAULTS = [
    "hang up before storing",
    "hang up after storing",
    "reset before storing",
    "reset after storing",
    "500 after storing",
    "503",
    "502 html",
    "429:2",
    "429:90",
    "429 without json",
    "ok",
]
EARLY = timedelta(seconds=46)  # the lease is over, Discord still knows the nonce
LATE = timedelta(hours=3)
LONG = "\n\n".join("word " * 300 for _ in range(3)).strip()


class Scene:
    """A database, a channel and processes that post from one to the other."""

    def __init__(self, db, db_url, clock, discord, zygote):
        self.db = db
        self.db_url = db_url
        self.clock = clock
        self.discord = discord
        self.zygote = zygote

    def order(self, **more):
        return {
            "db": self.db_url,
            "api": self.discord.api,
            "channel": self.discord.channel,
            "token": self.discord.token,
            "at": self.clock.now().isoformat(),
            **more,
        }

    def run(self, **more):
        return self.zygote(self.order(**more))[0]

    def begin_again(self, *texts):
        self.db.execute(
            "TRUNCATE approved_discord_posts, deliveries, destination_channels, locks, runs CASCADE"
        )
        self.db.execute(
            "UPDATE actor_server_state SET circuit_opened_at = NULL, consecutive_failures = 0"
        )
        self.discord.reset()
        for text in texts:
            approved(self.db, text)

    def recover(self, wait):
        """Let time pass and run until nothing is left to do."""
        self.discord.script.clear()
        for _ in range(20):
            self.clock.advance(wait)
            if self.run().get("states") == ["nothing"]:
                return
        pytest.fail("it never comes to rest")

    def agrees(self, *texts):
        """Each text is in the channel exactly once, and the database says the same."""
        ours = [one for one in self.discord.messages() if one["author"]["bot"]]
        said = " ".join(one["content"] for one in ours)
        assert Counter(said.split()) == Counter(" ".join(texts).split())
        known = self.db.execute(
            "SELECT remote_id FROM deliveries WHERE parts = '[]'"
            " UNION ALL SELECT part ->> 'remote_id'"
            " FROM deliveries, jsonb_array_elements(parts) AS part"
        ).fetchall()
        assert sorted(row[0] for row in known) == sorted(one["id"] for one in ours)
        states = "SELECT DISTINCT review_status FROM approved_discord_posts"
        assert self.db.execute(states).fetchall() == [("posted",)]


@pytest.fixture
def scene(db, db_url, clock):
    with (
        FakeDiscord(clock=lambda: clock.now().timestamp()) as discord,
        Zygote() as zygote,
    ):
        yield Scene(db, db_url, clock, discord, zygote)


def steps_of(scene, *texts):
    scene.begin_again(*texts)
    return scene.run()["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("wait", [EARLY, LATE], ids=["early", "late"])
def test_killed_around_the_request_it_is_out_exactly_once(scene, wait):
    """The quick part of the matrix: every step from the claim to the settlement of one post."""
    steps = steps_of(scene, "one")
    first = steps.index("before send") - 3
    for die_at in range(first, steps.index("after send") + 5):
        scene.begin_again("one")
        assert scene.run(die_at=die_at) == {"killed": True}
        scene.recover(wait)
        scene.agrees("one")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("wait", [EARLY, LATE], ids=["early", "late"])
@pytest.mark.parametrize("texts", [["one", "two"], [LONG, "two"]], ids=["short", "split"])
def test_killed_at_any_step_each_post_is_out_exactly_once(scene, wait, texts):
    """Before and after every transaction, commit and call of a run, two posts under way."""
    steps = steps_of(scene, *texts)
    for die_at in range(1, len(steps) + 1):
        scene.begin_again(*texts)
        assert scene.run(die_at=die_at) == {"killed": True}
        scene.recover(wait)
        scene.agrees(*texts)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("faults", [[], ["500 after storing", "429:90", "hang up after storing"]])
def test_killed_at_any_step_all_that_follows_a_message_is_done_once(scene, faults):
    """Thread, crosspost and link: each is done in the end, and no message is sent twice."""

    def begin_again():
        scene.begin_again("one")
        channel = scene.discord.add_channel("announcements", type=5)
        for route in ("start_thread_from_message", "crosspost_message", "get_channel"):
            scene.discord.script.add(*faults, to=route)
        return {"channel": channel, "follows": True}

    steps = scene.run(**begin_again())["steps"]
    for die_at in range(1, len(steps) + 1):
        order = begin_again()
        assert scene.run(**order, die_at=die_at) == {"killed": True}
        for _ in range(12):
            scene.clock.advance(timedelta(minutes=10))
            if scene.run(**order).get("states") == ["nothing"]:
                break
        [message] = scene.discord.messages(order["channel"])
        query = "SELECT steps_at, steps, remote_url FROM deliveries"
        at, kept, url = scene.db.execute(query).fetchone()
        assert (at, {one["state"] for one in kept}) == (None, {"done"}), steps[die_at - 1]
        assert url.endswith(f"/{scene.discord.guild}/{order['channel']}/{message['id']}")
        assert message["flags"] & 1
        assert message["flags"] & 32, "it has a thread"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_kills_and_faults_by_chance_never_double_or_lose_a_post(scene, seed):
    """Fifty and more SIGKILLs a seed, with lost answers, 5xx after storing, resets and 429s."""
    chance = random.Random(seed)
    killed = 0
    while killed < 50:
        texts = [f"t{number}-{chance.random()}" for number in range(3)]
        scene.begin_again(*texts)
        for _ in range(8):
            scene.discord.script.add(*chance.choices(FAULTS, k=2))
            ended = scene.run(die_at=chance.randrange(1, 40), retries=chance.randrange(3))
            killed += "killed" in ended
            scene.clock.advance(timedelta(seconds=chance.choice([1, 20, 46, 100, 400, 9000])))
        scene.recover(LATE)
        scene.agrees(*texts)
    assert killed >= 50


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2))
def test_two_hosts_at_once_one_killed_at_any_moment(scene, seed):
    """Without the stage's lock between them: the claims alone have to hold."""
    chance = random.Random(seed)
    for _ in range(20):
        texts = [f"t{number}-{chance.random()}" for number in range(4)]
        scene.begin_again(*texts)
        for _ in range(3):
            scene.discord.script.add(*chance.choices(FAULTS, k=2))
            scene.zygote(
                scene.order(unlocked=True, kill_after=chance.uniform(0, 0.15)),
                scene.order(unlocked=True),
            )
            scene.clock.advance(timedelta(seconds=chance.choice([1, 46, 9000])))
        scene.recover(LATE)
        scene.agrees(*texts)


def test_two_hosts_at_once_keep_the_minimum_interval(scene):
    scene.begin_again("one", "two", "three")

    scene.zygote(*[scene.order(unlocked=True, min_interval=3600) for _ in range(4)])

    assert scene.discord.contents() == ["one"]


@pytest.mark.slow
def test_a_storm_of_429s_ends_with_each_post_once(scene):
    texts = ["one", "two", "three"]
    scene.begin_again(*texts)
    scene.discord.script.add(*["429:30"] * 12)
    for _ in range(12):
        scene.run()
        scene.clock.advance(timedelta(seconds=31))

    scene.recover(EARLY)

    scene.agrees(*texts)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["wait:0.5", "slow:30"], ids=["before storing", "after storing"])
def test_the_real_command_killed_while_discord_has_its_request(db, db_url, tmp_path, fault):
    """`botticelli post` as a user starts it; the time that passes is written into the rows."""
    with FakeDiscord() as discord:
        approved(db, "one")
        environ = isolated(tmp_path) | {
            "DATABASE_URL": db_url,
            "DISCORD_TOKEN": discord.token,
            "POSTING_CHANNEL_ID": discord.channel,
            "DISCORD_API_BASE": discord.api,
        }
        command = [sys.executable, "-m", "botticelli", "post"]
        discord.script.add(fault)
        child = subprocess.Popen(command, env=environ, cwd=tmp_path)
        until(lambda: child.poll() is not None or arrived(db))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        until(lambda: discord.contents() == ["one"])
        db.execute(
            "UPDATE deliveries SET lease_expires_at = now(), sent_at = now() - interval '3h'"
        )
        db.execute("UPDATE locks SET expires_at = now()")

        done = subprocess.run(command, env=environ, cwd=tmp_path, check=False, timeout=60)

        assert done.returncode == 0
        assert discord.contents() == ["one"]
        state = db.execute("SELECT state, remote_id FROM deliveries").fetchone()
        assert state == ("posted", discord.messages()[0]["id"])


def arrived(db):
    """Whether the request has been begun, and had the time to get there."""
    row = db.execute("SELECT now() - sent_at > interval '200 ms' FROM deliveries").fetchone()
    return row is not None and bool(row[0])


def until(happened, seconds=20):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
