"""Each approved post is on each platform exactly once, wherever its process is killed.

A single message and a thread with a picture, killed at every marked point of a run and, with a
server that loses answers and fails after storing, by chance: a hundred times and more.
"""

import random
from datetime import timedelta

import pytest

from tests.contracts.peers import BUSY, FAULTS, PEERS, agrees, attach
from tests.crash.zygote import Zygote
from tests.database import approved

SOON = timedelta(minutes=4)  # the lease is over, once-keys still hold
LATE = timedelta(hours=30)  # they hold no more
KILLS = 100

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Stage:
    """A database, a platform's server and processes that post from one to the other."""

    def __init__(self, db, db_url, clock, peer, zygote):
        self.db, self.db_url, self.clock = db, db_url, clock
        self.peer, self.zygote = peer, zygote
        self.texts = []

    def run(self, **more):
        place = {**self.peer.facts, "too_long": "split"}
        at = self.clock.now().isoformat()
        return self.zygote({"db": self.db_url, "place": place, "at": at, **more})[0]

    def begin_again(self, word):
        """Have a post and a thread with a picture that wait, and nothing else."""
        self.db.execute(
            "TRUNCATE approved_discord_posts, deliveries, destination_channels, locks, runs CASCADE"
        )
        self.peer.clear()
        single, parts = f"{word} rose", [f"{word} {noun}" for noun in ("tulip", "oak", "elm")]
        approved(self.db, single)
        attach(self.db, approved(self.db, "\n\n---\n\n".join(parts), parts=parts))
        self.texts = [single, *parts]

    def recover(self, wait):
        """Let time pass and run until nothing is left to do."""
        self.peer.mend()
        for _ in range(20):
            self.clock.advance(wait)
            self.db.execute(
                "UPDATE actor_server_state SET circuit_opened_at = NULL, consecutive_failures = 0"
            )
            if self.run().get("states") == ["nothing"]:
                return
        pytest.fail("it never comes to rest")


@pytest.fixture(params=PEERS)
def stage(request, db, db_url, clock, tmp_path):
    with PEERS[request.param](clock, tmp_path) as peer, Zygote() as zygote:
        yield Stage(db, db_url, clock, peer, zygote)


def test_killed_at_every_marked_point(stage):
    """Around a request both with once-keys that hold and with none left; else in turns."""
    stage.begin_again("first")
    steps = stage.run()["steps"]
    assert {"before send", "after send", "after a commit"} <= set(steps)
    for die_at, step in enumerate(steps, start=1):
        is_close = step.endswith(("send", "request", "file"))
        for wait in (SOON, LATE) if is_close else (SOON, LATE)[die_at % 2 :][:1]:
            stage.clock.advance(timedelta(hours=1))
            stage.begin_again(f"number{die_at} {wait.days}")
            stage.run(die_at=die_at)
            if wait == LATE:
                stage.peer.forget_keys()
            stage.recover(wait)
            agrees(stage.db, stage.peer, stage.texts)


def test_killed_by_chance_while_the_server_loses_answers(stage):
    chance, killed, rounds = random.Random(7), 0, 0
    faults = [one for one in FAULTS if one != BUSY]
    while killed < KILLS:
        rounds += 1
        assert rounds < KILLS, "it is hardly ever killed"
        stage.begin_again(f"round{rounds}")
        for _ in range(6):
            if stage.peer.faults:
                stage.peer.break_next(*chance.choices(["ok", *faults], k=2))
            ended = stage.run(die_at=chance.randrange(1, 45), retries=chance.randrange(3))
            killed += "killed" in ended
            stage.clock.advance(timedelta(seconds=chance.choice([1, 20, 200, 4000])))
        stage.recover(chance.choice([SOON, LATE]))
        agrees(stage.db, stage.peer, stage.texts)
