"""What tests of the post stage share: rows with defaults, a stage that is one call."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from botticelli.config.model import (
    Config,
    DatabaseConfig,
    Destination,
    PostConfig,
    Retry,
)
from botticelli.config.operations import Supervision
from botticelli.config.secrets import Secret
from botticelli.platforms.open import open_platform
from botticelli.platforms.rate_limits import SharedLimits
from botticelli.stages.post.dry_run import dry_run_post
from botticelli.stages.post.stage import post
from botticelli.stages.post.target import PostContext, PostRequest
from botticelli.store.connection import connect as connect_to
from botticelli.store.leases import Identity
from tests.clock import pin


def delivery_of(db, post_id, destination="news"):
    """Return (state, attempts, remote_id) of a delivery."""
    return db.execute(
        "SELECT state, attempts, remote_id FROM deliveries WHERE post_id = %s AND destination = %s",
        (post_id, destination),
    ).fetchone()


def status_of(db, post_id):
    """Return the approved post's review_status."""
    query = "SELECT review_status FROM approved_discord_posts WHERE id = %s"
    return db.execute(query, (post_id,)).fetchone()[0]


def id_of(db, post_id, destination="news"):
    """Return the id of a post's delivery."""
    query = "SELECT id FROM deliveries WHERE post_id = %s AND destination = %s"
    return db.execute(query, (post_id, destination)).fetchone()[0]


def to_discord(discord, name="news", **rules):
    """Return a destination that is the fake's channel."""
    facts = {
        "channel": discord.channel,
        "token": Secret(discord.token),
        "base_url": discord.api,
        "min_interval": timedelta(hours=1),
        **rules,
    }
    return Destination(name=name, platform="discord", **facts)


def to_outbox(folder, name="file", **rules):
    """Return a destination that is a folder."""
    return Destination(name=name, platform="outbox", folder=Path(folder), **rules)


class PostStage:
    """`stage()` runs the post stage once, in this process, on a real database."""

    def __init__(self, db, connect, clock, destinations, *, owner="here:1:a", **post_config):
        self.db = pin(db, clock)
        self.connect = lambda: pin(connect(), clock)
        self.clock = clock
        self.identity = Identity(host="here", pid=1, owner=owner)
        self.opened = []
        self.limits = SharedLimits(clock)
        self.config = Config(
            database=DatabaseConfig(folder=Path("unused")),
            destinations={one.name: one for one in destinations},
            post=PostConfig(**{"retry": Retry(max_retries=2), **post_config}),
            supervision=Supervision(),
        )

    @property
    def context(self):
        return PostContext(
            conn=self.db,
            config=self.config,
            connect=self.connect,
            identity=self.identity,
            clock=self.clock,
            open_platform=self._open,
        )

    def __call__(self, **options):
        return post(self.context, request=PostRequest(**options))

    def dry_run(self, **options):
        return dry_run_post(self.context, request=PostRequest(**options))

    def change(self, name, **rules):
        """Change a destination's rules."""
        changed = replace(self.config.destinations[name], **rules)
        self.config = replace(self.config, destinations={**self.config.destinations, name: changed})

    def _open(self, destination):
        self.opened.append(destination.name)
        return open_platform(destination, clock=self.clock, limits=self.limits)


def stage_before(wall, db, db_url, clock, **settings):
    """Return a post stage whose one destination, named wall, is the platform `wall`.

    `settings` are further keys of that destination.
    """

    class Stage(PostStage):
        def _open(self, destination):
            return wall

    place = Destination(name="wall", platform="wall", channel="1", **settings)
    return Stage(db, lambda: connect_to(db_url), clock, [place], limit=5)
