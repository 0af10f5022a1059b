"""Every platform with a server that is ours, as tests that know no platform by name want it.

A new platform adds a class and its line in PEERS; then the suite (test_every_platform.py) and the
kill proof (tests/crash/test_platform_kill.py) hold for it, too.
"""

import hashlib
import json
import re
import shutil
from datetime import timedelta
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.platforms.feed import MOST_ENTRIES
from tests.fakes.bluesky import FakeBluesky
from tests.fakes.discord import FakeDiscord
from tests.fakes.mastodon import TOKEN, FakeMastodon
from tests.fakes.matrix import FakeMatrix
from tests.fakes.pictures import png
from tests.fakes.x import FakeX

SECRETS = ("token", "api_key", "api_secret", "token_secret")
PICTURE = png("a red door")
# What a server can do to the request that publishes: done or not, and what is answered.
LOST, UNSENT, BROKEN, AWAY, BUSY = "lost", "unsent", "broken", "away", "busy"
FAULTS = (LOST, UNSENT, BROKEN, AWAY, BUSY)


def destination_of(facts):
    """Return a destination of facts that went through JSON."""
    facts = {"min_interval": timedelta(0), **facts}
    for key in SECRETS:
        if key in facts:
            facts[key] = Secret(facts[key])
    if "folder" in facts:
        facts["folder"] = Path(facts["folder"])
    return Destination(name="place", **facts)


class Peer:
    """A platform with its server.

    Attributes:
        facts: Of its destination, as JSON.
        names: Of the five faults, how its server calls them, and what they wait under.
        edits, uploads, faults: Whether it changes messages, has pictures uploaded before, and can
            misbehave.
        keeps: How many of the newest messages it keeps; 0: all.
    """

    names = MappingProxyType(
        {
            LOST: "hang up after storing",
            UNSENT: "hang up before storing",
            BROKEN: "500 after storing",
            AWAY: "503",
            BUSY: "429:30",
        }
    )
    to = ""
    upload = "upload"
    edits = uploads = faults = True
    server = None
    keeps = 0

    def __init__(self, clock, folder):
        self.clock, self.folder = clock, folder

    def __enter__(self):
        self.server = self.start(lambda: self.clock.now().timestamp())
        self.server.__enter__()
        return self

    def __exit__(self, *exc):
        return self.server.__exit__(*exc)

    def destination(self, **rules):
        return destination_of({**self.facts, **rules})

    def break_next(self, *faults):
        """Let the next requests that publish meet these faults; "ok": none."""
        words = [self.names.get(one, one) for one in faults]
        self.server.script.add(*words, to=self.to)

    def break_upload(self):
        self.server.script.add(self.names[AWAY], to=self.upload)

    def mend(self):
        self.server.script.clear()

    def forget_keys(self):
        """Know no once-key any more, as a server does after its time."""

    def clear(self):
        """Have no message any more."""
        self.server.reset()

    observes = False

    def react(self, id_, *, likes, replies):
        """Let readers react to a message."""
        raise NotImplementedError

    def parents(self):
        """Return the id of the message that each is a reply to, by the id of the reply."""
        return {}

    def pictures(self):
        """Return how many pictures each message has, in order."""
        raise NotImplementedError


class DiscordPeer(Peer):
    def start(self, now):
        return FakeDiscord(clock=now)

    @property
    def facts(self):
        server = self.server
        return {
            "platform": "discord",
            "channel": server.channel,
            "token": server.token,
            "base_url": server.api,
        }

    uploads = False
    observes = True

    def react(self, id_, *, likes, replies):
        world = self.server.world
        stored = world.message(self.server.channel, id_)
        stored.reactors["🌱"] = [world.bot["id"], *map(str, range(likes))]
        for number in range(replies):
            other = self.server.add_message(f"answer {number}")
            reference = {"message_id": id_, "channel_id": self.server.channel}
            world.message(self.server.channel, other).data["message_reference"] = reference

    def messages(self):
        return [one for one in self.server.messages() if one["author"]["bot"]]

    def texts(self):
        return [one["content"] for one in self.messages()]

    def ids(self):
        return [one["id"] for one in self.messages()]

    def pictures(self):
        return [len(one["attachments"]) for one in self.messages()]


class MastodonPeer(Peer):
    software = "mastodon"
    observes = True

    def react(self, id_, *, likes, replies):
        self.server.statuses[id_].counts = {"favourites_count": likes, "replies_count": replies}

    def start(self, now):
        return FakeMastodon(self.software, clock=now)

    @property
    def facts(self):
        return {"platform": "mastodon", "base_url": self.server.url, "token": TOKEN}

    def texts(self):
        return self.server.texts()

    def ids(self):
        return list(self.server.statuses)

    def parents(self):
        kept = self.server.statuses.values()
        return {one.id: one.body.get("in_reply_to_id") for one in kept}

    def pictures(self):
        return [len(one.media) for one in self.server.statuses.values()]

    def forget_keys(self):
        self.server.keys.clear()


class KeylessPeer(MastodonPeer):
    software = "gotosocial"


class BlueskyPeer(Peer):
    upload = "uploadBlob"
    observes = True

    def react(self, id_, *, likes, replies):
        self.server.counts[id_] = {"likeCount": likes, "replyCount": replies}

    def start(self, now):
        return FakeBluesky(clock=now)

    def clear(self):
        self.server.records.clear()
        self.server.points = 5000

    @property
    def facts(self):
        server = self.server
        return {
            "platform": "bluesky",
            "base_url": server.url,
            "account": server.handle,
            "token": server.password,
            "edits": "replace",
        }

    def texts(self):
        return self.server.texts()

    def ids(self):
        return [self.server.uri(key) for key in self.server.records]

    def parents(self):
        records = self.server.records.items()
        return {
            self.server.uri(key): one.get("reply", {}).get("parent", {}).get("uri")
            for key, one in records
        }

    def pictures(self):
        embeds = [one.get("embed", {}) for one in self.server.records.values()]
        return [len(one.get("images", ())) for one in embeds]


class MatrixPeer(Peer):
    names = MappingProxyType({**Peer.names, LOST: "lose", UNSENT: "hang up"})
    to = "send"

    def start(self, now):
        return FakeMatrix(now=now)

    def clear(self):
        del self.server.events[1:]
        self.server._transactions.clear()
        self.server.keeps_transactions = True

    @property
    def facts(self):
        server = self.server
        return {
            "platform": "matrix",
            "channel": server.room,
            "token": server.token,
            "base_url": server.url,
        }

    def events(self, *kinds):
        return [one for one in self.server.events if one["content"].get("msgtype") in kinds]

    def texts(self):
        return self.server.shown()

    def ids(self):
        notices = self.events("m.notice")
        return [one["event_id"] for one in notices if "m.new_content" not in one["content"]]

    def parents(self):
        relations = {
            one["event_id"]: one["content"].get("m.relates_to", {})
            for one in self.events("m.notice")
        }
        return {
            key: each.get("m.in_reply_to", {}).get("event_id") for key, each in relations.items()
        }

    def pictures(self):
        counts, waiting = [], 0
        for one in self.events("m.image", "m.notice"):
            if one["content"]["msgtype"] == "m.image":
                waiting += 1
            else:
                counts, waiting = [*counts, waiting], 0
        return counts

    def forget_keys(self):
        self.server.keeps_transactions = False


class XPeer(Peer):
    names = MappingProxyType({**Peer.names, LOST: "lose", UNSENT: "hang up"})
    to = "post"
    edits = False
    observes = True

    def start(self, now):
        return FakeX(now=now)

    def react(self, id_, *, likes, replies):
        [post] = [one for one in self.server.posts if one["id"] == id_]
        post["public_metrics"] = {"like_count": likes, "reply_count": replies}

    def clear(self):
        self.server.posts.clear()

    @property
    def facts(self):
        return {
            "platform": "x",
            "base_url": self.server.url,
            **self.server.keys,
            "dollars_a_month": 1e6,
        }

    def texts(self):
        return self.server.texts()

    def ids(self):
        return [one["id"] for one in self.server.posts]

    def parents(self):
        bodies = [(one["id"], one["body"].get("reply", {})) for one in self.server.posts]
        return {key: reply.get("in_reply_to_tweet_id") for key, reply in bodies}

    def pictures(self):
        return [len(one["media"]) for one in self.server.posts]


class FilePeer(Peer):
    """A folder, which answers always."""

    uploads = faults = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def mend(self):
        pass

    def clear(self):
        shutil.rmtree(self.facts["folder"], ignore_errors=True)


class OutboxPeer(FilePeer):
    @property
    def facts(self):
        return {"platform": "outbox", "folder": str(self.folder / "outbox")}

    def files(self):
        found = (self.folder / "outbox").glob("*.md")
        made = [(path.stat().st_mtime_ns, path) for path in found]
        return [path for _, path in sorted(made)]

    def texts(self):
        whole = [path.read_text() for path in self.files()]
        return [re.sub(r"\A---\n.*?\n---\n\n", "", one, flags=re.DOTALL) for one in whole]

    def ids(self):
        return [path.name for path in self.files()]

    def pictures(self):
        return [path.read_text().count("  - file: ") for path in self.files()]


class FeedPeer(FilePeer):
    keeps = MOST_ENTRIES

    @property
    def facts(self):
        return {"platform": "feed", "folder": str(self.folder / "feed"), "title": "Garden"}

    def items(self):
        file = self.folder / "feed" / "feed.json"
        items = json.loads(file.read_text())["items"] if file.exists() else []
        assert self.atom() == [one["id"] for one in items], "both files say the same"
        return list(reversed(items))

    def atom(self):
        file = self.folder / "feed" / "atom.xml"
        if not file.exists():
            return []
        return re.findall(r"<entry>.*?<id>(.*?)</id>", file.read_text(), re.DOTALL)

    def texts(self):
        whole = [one["content_html"] for one in self.items()]
        return [re.sub(r"<.*?>", "", one).strip() for one in whole]

    def ids(self):
        return [one["id"] for one in self.items()]

    def pictures(self):
        return [len(one.get("attachments", ())) for one in self.items()]


PEERS = {
    "discord": DiscordPeer,
    "mastodon": MastodonPeer,
    "mastodon without keys": KeylessPeer,
    "bluesky": BlueskyPeer,
    "matrix": MatrixPeer,
    "x": XPeer,
    "feed": FeedPeer,
    "outbox": OutboxPeer,
}


def attach(conn, post_id, content=PICTURE, alt="A red door"):
    """Give an approved post a picture."""
    sha256 = hashlib.sha256(content).hexdigest()
    conn.execute(
        "INSERT INTO media (sha256, mime, content, width, height)"
        " VALUES (%s, 'image/png', %s, 3, 2) ON CONFLICT DO NOTHING",
        (sha256, content),
    )
    conn.execute(
        "INSERT INTO post_media (post_id, position, sha256, alt)"
        " SELECT %(id)s, count(*) + 1, %(sha256)s, %(alt)s FROM post_media WHERE post_id = %(id)s",
        {"id": post_id, "sha256": sha256, "alt": alt},
    )
    return sha256


def agrees(conn, peer, texts):
    """Check that each text is there exactly once, in order, as the database says, in its chain."""
    assert sorted(peer.texts()) == sorted(texts[-peer.keeps :])
    rows = conn.execute("SELECT remote_id, parts FROM deliveries ORDER BY id").fetchall()
    chains = [[part["remote_id"] for part in parts] or [first] for first, parts in rows]
    assert sorted([*chain.from_iterable(chains)][-peer.keeps :]) == sorted(peer.ids())
    said = dict(zip(peer.ids(), peer.texts(), strict=True))
    parents = peer.parents()
    for ids in chains:
        for parent, child in zip([None, *ids], ids, strict=False):
            assert parents.get(child) == (parent if parents else None)
        order = [texts.index(said[one]) for one in ids if one in said]
        assert order == sorted(order)
    states = "SELECT DISTINCT review_status FROM approved_discord_posts"
    assert conn.execute(states).fetchall() == [("posted",)]
