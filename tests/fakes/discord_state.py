"""The world behind the fake Discord: guilds, channels, messages and who may do what."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.discord_errors import Fail

PERMISSIONS = {
    "CREATE_INSTANT_INVITE": 1 << 0,
    "KICK_MEMBERS": 1 << 1,
    "BAN_MEMBERS": 1 << 2,
    "MANAGE_GUILD": 1 << 5,
    "MANAGE_NICKNAMES": 1 << 27,
    "MANAGE_ROLES": 1 << 28,
    "MANAGE_EVENTS": 1 << 33,
    "MODERATE_MEMBERS": 1 << 40,
    "CREATE_EVENTS": 1 << 44,
    "ADD_REACTIONS": 1 << 6,
    "MANAGE_CHANNELS": 1 << 4,
    "VIEW_CHANNEL": 1 << 10,
    "SEND_MESSAGES": 1 << 11,
    "MANAGE_MESSAGES": 1 << 13,
    "EMBED_LINKS": 1 << 14,
    "ATTACH_FILES": 1 << 15,
    "READ_MESSAGE_HISTORY": 1 << 16,
    "MENTION_EVERYONE": 1 << 17,
    "MANAGE_WEBHOOKS": 1 << 29,
    "MANAGE_THREADS": 1 << 34,
    "CREATE_PUBLIC_THREADS": 1 << 35,
    "CREATE_PRIVATE_THREADS": 1 << 36,
    "SEND_MESSAGES_IN_THREADS": 1 << 38,
    "SEND_POLLS": 1 << 49,
    "PIN_MESSAGES": 1 << 51,
}
EVERYTHING = (1 << 53) - 1 & ~(1 << 3)  # but ADMINISTRATOR, which no overwrite could take away
THREADS = frozenset((10, 11, 12))
FORUMS = frozenset((15, 16))
_TALKABLE = frozenset((0, 1, 2, 3, 5, 13)) | THREADS
_EPOCH_MS = 1420070400000
CROSSPOSTED, HAS_THREAD = 1 << 0, 1 << 5

Json = dict[str, Any]


@dataclass
class Stored:
    """A message and what the API does not show of it."""

    data: Json
    nonce: str | None = None
    created: float = 0.0  # seconds on the world's clock
    reactors: dict[str, list[str]] = field(default_factory=dict)


class World:
    """All state; whoever touches it holds `lock`. Ids are snowflakes of the world's clock."""

    def __init__(self, *, clock: Callable[[], float] = time.time, nonce_window: float) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._ahead = 0.0
        self._last_id = 0
        self.nonce_window = nonce_window
        self.bot = self.user("botticelli", bot=True)
        self.guilds: dict[str, Json] = {}
        self.channels: dict[str, Json] = {}
        self.messages: dict[str, dict[str, Stored]] = {}
        self.webhooks: dict[str, Json] = {}
        self.pinged_everyone: list[str] = []
        self.kept: dict[tuple[str, str], dict[str, Json]] = {}  # (kind, guild) -> objects by id
        self._by_nonce: dict[tuple[str, str, str], Stored] = {}

    def now(self) -> float:
        """Return Unix seconds on the world's clock."""
        return self._clock() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the world's clock forward."""
        self._ahead += seconds

    def stamp(self) -> str:
        """Return the present as Discord writes instants."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds")

    def new_id(self) -> str:
        """Return a snowflake greater than all before."""
        number = (int(self.now() * 1000) - _EPOCH_MS) << 22
        self._last_id = max(number, self._last_id + 1)
        return str(self._last_id)

    def user(self, name: str, *, bot: bool = False, id: str | None = None) -> Json:  # noqa: A002 - the API's word
        """Return a user object."""
        return {
            "id": id or self.new_id(),
            "username": name,
            "discriminator": "0000" if bot else "0",
            "global_name": None,
            "avatar": None,
            "bot": bot,
        }

    def add_guild(self, name: str, *, id: str | None = None) -> str:  # noqa: A002 - the API's word
        """Add a guild in which the bot may do everything."""
        guild_id = id or self.new_id()
        self.guilds[guild_id] = {
            "id": guild_id,
            "name": name,
            "icon": None,
            "owner_id": self.new_id(),
            "roles": [{"id": guild_id, "name": "@everyone", "permissions": str(EVERYTHING)}],
            "emojis": [],
            "features": [],
            "preferred_locale": "en-US",
        }
        return guild_id

    def add_channel(self, name: str, *, guild: str, type: int = 0, **more: Any) -> Json:  # noqa: A002 - the API's word
        """Add a channel and return it."""
        channel: Json = {
            "id": more.pop("id", None) or self.new_id(),
            "type": type,
            "guild_id": guild,
            "name": name,
            "position": len(self.channels),
            "permission_overwrites": [],
            "parent_id": None,
            "topic": None,
            "nsfw": False,
            "flags": 0,
            "rate_limit_per_user": 0,
            "last_message_id": None,
            **more,
        }
        self.channels[channel["id"]] = channel
        self.messages.setdefault(channel["id"], {})
        return channel

    def set_permissions(self, channel_id: str, names: Iterable[str], *, allowed: bool) -> None:
        """Write the bot's own overwrite in a channel."""
        overwrites = self.channels[channel_id]["permission_overwrites"]
        mine = next((one for one in overwrites if one["id"] == self.bot["id"]), None)
        if mine is None:
            mine = {"id": self.bot["id"], "type": 1, "allow": "0", "deny": "0"}
            overwrites.append(mine)
        bits = sum(PERMISSIONS[name] for name in names)
        give, take = ("allow", "deny") if allowed else ("deny", "allow")
        mine[give] = str(int(mine[give]) | bits)
        mine[take] = str(int(mine[take]) & ~bits)

    def may(self, channel: Json, name: str) -> bool:
        """Return whether the bot may: base, then @everyone's overwrite, then the bot's own."""
        if channel["type"] in THREADS:
            channel = self.channels[channel["parent_id"]]
        bits = int(self.guilds[channel["guild_id"]]["roles"][0]["permissions"])
        overwrites = {one["id"]: one for one in channel["permission_overwrites"]}
        for holder in (channel["guild_id"], self.bot["id"]):
            one = overwrites.get(holder, {})
            bits = bits & ~int(one.get("deny", 0)) | int(one.get("allow", 0))
        if not bits & PERMISSIONS["VIEW_CHANNEL"]:
            return False
        return bool(bits & PERMISSIONS[name])

    def require(self, channel: Json, *names: str) -> None:
        """Raise Fail 50001 if the bot cannot see the channel, 50013 if it lacks a permission."""
        if not self.may(channel, "VIEW_CHANNEL"):
            raise Fail(50001)
        if not all(self.may(channel, name) for name in names):
            raise Fail(50013)

    def things(self, kind: str, guild_id: str) -> dict[str, Json]:
        """Return a guild's members, bans, events, invites ... by id."""
        return self.kept.setdefault((kind, guild_id), {})

    def require_in_guild(self, guild_id: str, name: str) -> Json:
        """Return a guild; Fail 10004, or 50013 if the bot lacks a permission there."""
        guild = self.guild(guild_id)
        if not int(guild["roles"][0]["permissions"]) & PERMISSIONS[name]:
            raise Fail(50013)
        return guild

    def guild(self, guild_id: str) -> Json:
        """Return a guild; Fail 10004."""
        if guild_id not in self.guilds:
            raise Fail(10004)
        return self.guilds[guild_id]

    def channel(self, channel_id: str) -> Json:
        """Return a channel that the bot can see; Fail 10003 or 50001."""
        if channel_id not in self.channels:
            raise Fail(10003)
        channel = self.channels[channel_id]
        self.require(channel)
        return channel

    def talkable(self, channel_id: str) -> Json:
        """Return a channel the bot may write to; an archived thread is opened again by that."""
        channel = self.channel(channel_id)
        if channel["type"] in FORUMS:
            raise Fail(40058)
        if channel["type"] not in _TALKABLE:
            raise Fail(50008)
        if channel["type"] in THREADS:
            self.require(channel, "SEND_MESSAGES_IN_THREADS")
            if channel["thread_metadata"]["locked"]:
                raise Fail(160005)
            channel["thread_metadata"]["archived"] = False
            return channel
        self.require(channel, "SEND_MESSAGES")
        return channel

    def message(self, channel_id: str, message_id: str) -> Stored:
        """Return a message; Fail 10008."""
        stored = self.messages[channel_id].get(message_id)
        if stored is None:
            raise Fail(10008)
        return stored

    def earlier(self, channel_id: str, author_id: str, nonce: str) -> Stored | None:
        """Return the author's message of the last few minutes that has this nonce."""
        stored = self._by_nonce.get(self._nonce_key(channel_id, author_id, nonce))
        if stored is None or self.now() - stored.created > self.nonce_window:
            return None
        known = self.messages.get(stored.data["channel_id"], {})
        return stored if stored.data["id"] in known else None

    def _nonce_key(self, channel_id: str, author_id: str, nonce: str) -> tuple[str, str, str]:
        return (channel_id, author_id, nonce)

    def draft(self, channel_id: str, *, author: Json, text: str) -> Json:
        """Return a plain message that is not stored yet."""
        return {
            "id": self.new_id(),
            "type": 0,
            "channel_id": channel_id,
            "author": author,
            "content": text,
            "timestamp": self.stamp(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "components": [],
            "pinned": False,
            "flags": 0,
        }

    def keep(self, stored: Stored) -> None:
        """Put a new message into its channel."""
        data = stored.data
        self.messages[data["channel_id"]][data["id"]] = stored
        self.channels[data["channel_id"]]["last_message_id"] = data["id"]
        if stored.nonce is not None:
            key = self._nonce_key(data["channel_id"], data["author"]["id"], stored.nonce)
            self._by_nonce[key] = stored
        if data["mention_everyone"]:
            self.pinged_everyone.append(data["id"])
