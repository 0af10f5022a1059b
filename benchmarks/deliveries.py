"""How fast posts leave: `python -m benchmarks.deliveries [--posts 200]`.

Promises: a server without limits gets 200 deliveries/s from one process, each in 2 commits; a
channel with a limit is used at 97 % of its rate or more, with no 429 after the first.
"""

import argparse
import gc
import time
from datetime import timedelta
from pathlib import Path

import psycopg

from benchmarks.server import own_postgres
from botticelli.__main__ import RARELY
from botticelli.clock import SystemClock
from botticelli.config.model import Config, DatabaseConfig, Destination
from botticelli.config.secrets import Secret
from botticelli.errors import Exit
from botticelli.platforms.open import open_platform
from botticelli.stages.post.stage import post
from botticelli.stages.post.target import PostContext, PostRequest
from botticelli.store.connection import connect
from botticelli.store.leases import Identity
from tests.fakes.discord import FakeDiscord

CHANNEL = "1577053150899077123"
LIMIT = (5, 2.0)  # requests, seconds: what Discord commonly grants a channel is of this kind


def publish(url: str, discord: FakeDiscord, *, posts: int) -> tuple[float, float]:
    """Publish that many posts in one run of the stage; return seconds, and commits of each."""
    destination = Destination(
        name="news",
        platform="discord",
        channel=discord.channel,
        token=Secret(discord.token),
        base_url=discord.api,
        min_interval=timedelta(),
    )
    clock = SystemClock()
    config = Config(
        database=DatabaseConfig(folder=Path("unused")), destinations={"news": destination}
    )
    with connect(url) as conn:
        context = PostContext(
            conn=conn,
            config=config,
            connect=lambda: connect(url),
            identity=Identity(host="bench", pid=1, owner="bench:1:1"),
            clock=clock,
            open_platform=lambda one: open_platform(one, clock=clock),
        )
        fill(conn, posts)
        began, before = time.monotonic(), transactions(conn)
        report = post(context, request=PostRequest(limit=posts))
        took, commits = time.monotonic() - began, transactions(conn) - before
    assert report.exit_code == Exit.DONE, report
    assert len(discord.messages()) == posts
    return took, commits / posts


def transactions(conn: psycopg.Connection) -> int:
    """Return how many transactions have ever written something; asking is one itself."""
    row = conn.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


def fill(conn: psycopg.Connection, posts: int) -> None:
    """Leave exactly that many approved posts, all waiting."""
    conn.execute("TRUNCATE approved_discord_posts CASCADE")
    conn.execute(
        "INSERT INTO approved_discord_posts (text_content)"
        " SELECT 'Post number ' || n FROM generate_series(1, %s) AS n",
        (posts,),
    )


def main() -> None:
    """Print a line for a server without limits and one for a limited channel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=200)
    given = parser.parse_args()
    gc.set_threshold(RARELY)  # as the door does
    with own_postgres() as url:
        with FakeDiscord(channel=CHANNEL) as discord:
            took, commits = publish(url, discord, posts=given.posts)
        print(
            f"without limits: {given.posts / took:.0f} deliveries/s, each in {commits:.2f} commits"
        )
        allowed, seconds = LIMIT
        rounds = 6
        with FakeDiscord(channel=CHANNEL, route_limits={"create_message": LIMIT}) as discord:
            took, _ = publish(url, discord, posts=allowed * rounds)
            refused = sum(1 for one in discord.requests if one.status == 429)
        share = (rounds - 1) * seconds / took
        print(
            f"{allowed} in {seconds:g} s allowed: {share:.1%} of the rate used, {refused} times 429"
        )


if __name__ == "__main__":
    main()
