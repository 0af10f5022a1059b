"""Every Discord command as a row: request, arguments, the permission it needs, what it gives.

Arguments are written as arguments.py says, results as request.py says. Commands that
are more than one request are rows, too; COMPOSITES in client.py says how they are done.
Source: docs.discord.com/developers, API v10, and the commands of the earlier system.
"""

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from botticelli.platforms.discord.commands.arguments import Argument, arguments
from botticelli.records import record

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
SILENT: Final[Mapping[str, Any]] = {"parse": []}  # a command never pings anybody

# Names of older files and guides -> today's (docs/dialect.md §14).
ALIASES: Final[Mapping[str, str]] = {
    "server.get": "server.get_stats",
    "server.get_info": "server.get_stats",
    "guilds.get": "server.get_stats",
    "server.get_channels": "channels.list",
    "server.get_roles": "roles.list",
    "server.get_members": "members.list",
    "server.get_emoji": "emojis.list",
    "channel.create": "channels.create",
    "channel.send_message": "messages.send",
    "channels.create_message": "messages.send",
    "channels.send_message": "messages.send",
    "message.send": "messages.send",
    "message.pin": "messages.pin",
    "channels.update": "channels.edit",
    "messages.update": "messages.edit",
    "roles.update": "roles.edit",
}
# Other names of arguments, where the command has no argument of that name itself.
ARGUMENT_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": ("channel_type", "type"),
    "name": ("channel_name",),
    "thread_id": ("channel_id",),
    "category_id": ("parent_id",),
    "nickname": ("nick",),
    "deafen": ("deaf",),
}


@record
class Page:
    """How a long list is read.

    Args:
        size: Most entries in one answer.
        default: Entries if the command names no limit.
        most: Most entries of one command.
        mark: Query parameter that says where to go on: before or after.
        key: Path of the id that it is set to.
    """

    size: int
    default: int
    most: int
    mark: str
    key: str


@record
class Row:
    """One command.

    Args:
        method, path: The request; of a composite, the one that changes something.
        needs: Permission that the bot needs, in Discord's words; empty: none of its own.
        gives: The result's fields.
        wrap: Key under which a list is given, with its count; empty: the list itself.
        inside: Key under which Discord's answer holds the list.
        fixed: What is always in the body.
    """

    name: str
    method: str
    path: str
    takes: str
    needs: str
    gives: str
    page: Page | None = None
    wrap: str = ""
    inside: str = ""
    fixed: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """What it takes; guild_id and reason may always be given."""
        return arguments(self.takes)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the arguments that must be given."""
        return tuple(one.name for one in self.arguments if one.required)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the arguments that may be given."""
        return tuple(one.name for one in self.arguments if not one.required)


def _row(name: str, request: str, takes: str, needs: str, gives: str, **more: Any) -> Row:
    method, _, path = request.partition(" ")
    return Row(name=name, method=method, path=path, takes=takes, needs=needs, gives=gives, **more)


_GUILD: Final = "/guilds/{guild_id}"
_CHANNEL: Final = "/channels/{channel_id}"
_MESSAGE: Final = "/channels/{channel_id}/messages/{message_id}"
_MEMBER: Final = "/guilds/{guild_id}/members/{user_id}"
_THREAD: Final = "/channels/{thread_id}"
_EVENT: Final = "/guilds/{guild_id}/scheduled-events/{event_id}"

_PLACE: Final = "channel_id! message_id!"
_CHANNEL_FACTS: Final = "topic:text:0-1024 position:int:0-500 nsfw:bool category_id:id>parent_id"
_SHOWS_CHANNEL: Final = "id name type=type|kind position topic nsfw parent_id"
_SHOWS_USER: Final = "id name=username global_name bot"
_SHOWS_MEMBER: Final = (
    "user_id=user.id username=user.username global_name=user.global_name nickname=nick roles"
    " joined_at premium_since avatar pending deaf mute guild_id=$guild_id"
)
_SHOWS_ROLE: Final = (
    "id name color hoist position permissions managed mentionable guild_id=$guild_id"
)
_SHOWS_THREAD: Final = "id thread_id=id name type=type|kind parent_id"
_SHOWS_EVENT: Final = (
    "id event_id=id name description start_time=scheduled_start_time end_time=scheduled_end_time"
    " status kind=entity_type location=entity_metadata.location user_count"
)
_ARCHIVE: Final = "auto_archive_duration:int:60-10080"
_EVENT_TEXTS: Final = (
    "description:text:0-1000 end_time:time>scheduled_end_time"
    " location:text:1-100>entity_metadata.location"
)
_MEMBERS: Final = Page(size=1000, default=100, most=10_000, mark="after", key="user.id")
_MESSAGES: Final = Page(size=100, default=50, most=1_000, mark="before", key="id")
_BANS: Final = Page(size=1000, default=100, most=10_000, mark="after", key="user.id")
_REACTORS: Final = Page(size=100, default=25, most=10_000, mark="after", key="id")

ROWS: Final[tuple[Row, ...]] = (
    # -- server ---------------------------------------------------------------------------------
    _row("server.get_stats", f"GET {_GUILD}?with_counts=true", "guild_id!", "",
         "guild_id=id name member_count=approximate_member_count"
         " online_count=approximate_presence_count description icon_url=icon banner_url=banner"
         " owner_id verification_level premium_tier premium_subscription_count"
         " role_count=roles|count emoji_count=emojis|count channel_count"),
    # -- channels -------------------------------------------------------------------------------
    _row("channels.list", f"GET {_GUILD}/channels", "guild_id!", "View Channel", _SHOWS_CHANNEL),
    _row("channels.get", f"GET {_CHANNEL}", "channel_id!", "View Channel",
         f"{_SHOWS_CHANNEL} guild_id rate_limit_per_user bitrate"),
    _row("channels.create", f"POST {_GUILD}/channels",
         f"guild_id! name!:text:1-100 kind:kind>type {_CHANNEL_FACTS}", "Manage Channels",
         f"{_SHOWS_CHANNEL} kind=type|kind guild_id"),
    _row("channels.get_or_create", f"POST {_GUILD}/channels",
         f"guild_id! name!:text:1-100 kind:kind>type {_CHANNEL_FACTS}", "Manage Channels",
         f"{_SHOWS_CHANNEL} kind=type|kind guild_id existed"),
    _row("channels.edit", f"PATCH {_CHANNEL}",
         f"channel_id! name:text:1-100 {_CHANNEL_FACTS} bitrate:int user_limit:int:0-10000"
         " rate_limit_per_user:int:0-21600", "Manage Channels", _SHOWS_CHANNEL),
    _row("channels.delete", f"DELETE {_CHANNEL}", "channel_id!", "Manage Channels",
         "id=$channel_id name deleted=!true"),
    _row("channels.create_invite", f"POST {_CHANNEL}/invites",
         "channel_id! max_age:int:0-604800 max_uses:int:0-100 temporary:bool unique:bool",
         "Create Invite",
         "code invite_code=code url=code|invite channel_id=$channel_id max_age max_uses temporary"),
    _row("channels.typing", f"POST {_CHANNEL}/typing", "channel_id!", "Send Messages",
         "channel_id=$channel_id typing=!true"),
    # -- messages -------------------------------------------------------------------------------
    _row("messages.send", f"POST {_CHANNEL}/messages",
         "channel_id! content!:text:1-20000 tts:bool reply_to_id:id>message_reference.message_id",
         "Send Messages", "id message_id=id channel_id content timestamp tts split_messages",
         fixed={"allowed_mentions": SILENT, "enforce_nonce": True}),
    _row("messages.get", f"GET {_MESSAGE}", _PLACE, "Read Message History",
         "id channel_id content author=author|user timestamp edited_timestamp tts mention_everyone"
         " mentions attachments embeds reactions=reactions|reactions pinned"),
    _row("messages.list", f"GET {_CHANNEL}/messages",
         "channel_id! limit:int:1-1000 before_id:id>before", "Read Message History",
         "id content author=author|user timestamp attachments=attachments|count"
         " embeds=embeds|count", page=_MESSAGES),
    _row("messages.edit", f"PATCH {_MESSAGE}", f"{_PLACE} content!:text:1-2000", "",
         "id channel_id content edited_timestamp", fixed={"allowed_mentions": SILENT}),
    _row("messages.delete", f"DELETE {_MESSAGE}", _PLACE, "Manage Messages",
         "deleted=!true channel_id=$channel_id message_id=$message_id"),
    _row("messages.clear", f"POST {_CHANNEL}/messages/bulk-delete",
         "channel_id! limit:int:1-1000", "Manage Messages", "cleared failed channel_id"),
    _row("messages.bulk_delete", f"POST {_CHANNEL}/messages/bulk-delete",
         "channel_id! message_ids!:ids>messages", "Manage Messages",
         "success=!true deleted_count=$message_ids|count channel_id=$channel_id"),
    _row("messages.pin", f"PUT {_CHANNEL}/messages/pins/{{message_id}}", _PLACE, "Pin Messages",
         "channel_id=$channel_id message_id=$message_id pinned=!true"),
    _row("messages.unpin", f"DELETE {_CHANNEL}/messages/pins/{{message_id}}", _PLACE,
         "Pin Messages", "channel_id=$channel_id message_id=$message_id pinned=!false"),
    _row("messages.crosspost", f"POST {_MESSAGE}/crosspost", _PLACE, "Send Messages",
         "id=$message_id channel_id=$channel_id crossposted=!true"),
    # -- reactions ------------------------------------------------------------------------------
    _row("reactions.add", f"PUT {_MESSAGE}/reactions/{{emoji}}/@me", f"{_PLACE} emoji!:emoji",
         "Add Reactions",
         "added=!true channel_id=$channel_id message_id=$message_id emoji=$emoji"),
    _row("reactions.remove", f"DELETE {_MESSAGE}/reactions/{{emoji}}/{{user_id}}",
         f"{_PLACE} emoji!:emoji user_id", "Manage Messages",
         "removed=!true channel_id=$channel_id message_id=$message_id emoji=$emoji"),
    _row("reactions.list", f"GET {_MESSAGE}/reactions/{{emoji}}",
         f"{_PLACE} emoji!:emoji limit:int:1-10000", "Read Message History", _SHOWS_USER,
         page=_REACTORS, wrap="users"),
    _row("reactions.clear", f"DELETE {_MESSAGE}/reactions", _PLACE, "Manage Messages",
         "success=!true channel_id=$channel_id message_id=$message_id"),
    _row("reactions.clear_emoji", f"DELETE {_MESSAGE}/reactions/{{emoji}}",
         f"{_PLACE} emoji!:emoji", "Manage Messages",
         "success=!true channel_id=$channel_id message_id=$message_id emoji=$emoji"),
    # -- members --------------------------------------------------------------------------------
    _row("members.list", f"GET {_GUILD}/members", "guild_id! limit:int:1-10000 after_id:id>after",
         "", _SHOWS_MEMBER, page=_MEMBERS),
    _row("members.get", f"GET {_MEMBER}", "guild_id! user_id!", "",
         f"{_SHOWS_MEMBER} communication_disabled_until"),
    _row("members.kick", f"DELETE {_MEMBER}", "guild_id! user_id!", "Kick Members",
         "kicked=!true user_id=$user_id guild_id=$guild_id"),
    _row("members.ban", f"PUT {_GUILD}/bans/{{user_id}}",
         "guild_id! user_id! delete_message_days:int:0-7 delete_message_seconds:int:0-604800",
         "Ban Members", "user_id=$user_id guild_id=$guild_id banned=!true"),
    _row("members.unban", f"DELETE {_GUILD}/bans/{{user_id}}", "guild_id! user_id!",
         "Ban Members", "unbanned=!true user_id=$user_id guild_id=$guild_id"),
    _row("members.timeout", f"PATCH {_MEMBER}",
         "guild_id! user_id! duration_seconds!:int:1-2419200", "Moderate Members",
         "timed_out=!true user_id=$user_id guild_id=$guild_id"
         " timeout_until=communication_disabled_until"),
    _row("members.remove_timeout", f"PATCH {_MEMBER}", "guild_id! user_id!", "Moderate Members",
         "timeout_removed=!true user_id=$user_id guild_id=$guild_id",
         fixed={"communication_disabled_until": None}),
    _row("members.edit", f"PATCH {_MEMBER}",
         "guild_id! user_id! nickname:text:0-32>nick mute:bool deafen:bool>deaf roles:ids",
         "Manage Nicknames, Mute Members, Deafen Members or Manage Roles", _SHOWS_MEMBER),
    # -- roles ----------------------------------------------------------------------------------
    _row("roles.list", f"GET {_GUILD}/roles", "guild_id!", "", _SHOWS_ROLE),
    _row("roles.get", f"GET {_GUILD}/roles/{{role_id}}", "guild_id! role_id!", "",
         f"{_SHOWS_ROLE} icon unicode_emoji"),
    _row("roles.create", f"POST {_GUILD}/roles",
         "guild_id! name!:text:1-100 color:color:0-16777215 hoist:bool mentionable:bool"
         " permissions:text", "Manage Roles", _SHOWS_ROLE),
    _row("roles.edit", f"PATCH {_GUILD}/roles/{{role_id}}",
         "guild_id! role_id! name:text:1-100 color:color:0-16777215 hoist:bool mentionable:bool"
         " permissions:text", "Manage Roles", _SHOWS_ROLE),
    _row("roles.delete", f"DELETE {_GUILD}/roles/{{role_id}}", "guild_id! role_id!",
         "Manage Roles", "deleted=!true role_id=$role_id guild_id=$guild_id"),
    _row("roles.assign", f"PUT {_MEMBER}/roles/{{role_id}}", "guild_id! user_id! role_id!",
         "Manage Roles", "assigned=!true user_id=$user_id role_id=$role_id"),
    _row("roles.remove", f"DELETE {_MEMBER}/roles/{{role_id}}", "guild_id! user_id! role_id!",
         "Manage Roles", "removed=!true user_id=$user_id role_id=$role_id"),
    # -- threads --------------------------------------------------------------------------------
    _row("threads.create", f"POST {_CHANNEL}/threads",
         f"channel_id! name!:text:1-100 message_id {_ARCHIVE} kind:kind>type",
         "Create Public Threads or Create Private Threads", _SHOWS_THREAD),
    _row("threads.list", f"GET {_GUILD}/threads/active", "channel_id guild_id!", "View Channel",
         _SHOWS_THREAD, wrap="threads", inside="threads"),
    _row("threads.get", f"GET {_THREAD}", "thread_id!", "View Channel", _SHOWS_THREAD),
    _row("threads.edit", f"PATCH {_THREAD}",
         f"thread_id! name:text:1-100 archived:bool locked:bool {_ARCHIVE}", "Manage Threads",
         f"success=!true {_SHOWS_THREAD}"),
    _row("threads.delete", f"DELETE {_THREAD}", "thread_id!", "Manage Threads",
         "success=!true thread_id=$thread_id"),
    _row("threads.join", f"PUT {_THREAD}/thread-members/@me", "thread_id!", "View Channel",
         "success=!true thread_id=$thread_id"),
    _row("threads.leave", f"DELETE {_THREAD}/thread-members/@me", "thread_id!", "",
         "success=!true thread_id=$thread_id"),
    _row("threads.add_member", f"PUT {_THREAD}/thread-members/{{user_id}}", "thread_id! user_id!",
         "Send Messages in Threads", "success=!true thread_id=$thread_id user_id=$user_id"),
    _row("threads.remove_member", f"DELETE {_THREAD}/thread-members/{{user_id}}",
         "thread_id! user_id!", "Manage Threads",
         "success=!true thread_id=$thread_id user_id=$user_id"),
    # -- forums ---------------------------------------------------------------------------------
    _row("forum.create_post", f"POST {_CHANNEL}/threads",
         f"channel_id! name!:text:1-100 content!:text:1-2000>message.content {_ARCHIVE}"
         " tags:ids>applied_tags", "Send Messages", _SHOWS_THREAD,
         fixed={"message": {"allowed_mentions": SILENT}}),
    _row("forum.list_posts", f"GET {_CHANNEL}/threads/archived/public",
         "channel_id! limit:int:1-1000", "Read Message History",
         "id thread_id=id name message_count archived=thread_metadata.archived", wrap="posts",
         inside="threads"),
    _row("forum.get_post", f"GET {_THREAD}", "thread_id!", "View Channel",
         "id thread_id=id name message_count archived=thread_metadata.archived parent_id"),
    # -- events ---------------------------------------------------------------------------------
    _row("events.list", f"GET {_GUILD}/scheduled-events?with_user_count=true", "guild_id!", "",
         _SHOWS_EVENT),
    _row("events.get", f"GET {_EVENT}?with_user_count=true", "guild_id! event_id!", "",
         _SHOWS_EVENT),
    _row("events.create", f"POST {_GUILD}/scheduled-events",
         f"guild_id! name!:text:1-100 start_time!:time>scheduled_start_time {_EVENT_TEXTS}",
         "Create Events", _SHOWS_EVENT, fixed={"entity_type": 3, "privacy_level": 2}),
    _row("events.edit", f"PATCH {_EVENT}",
         f"guild_id! event_id! name:text:1-100 start_time:time>scheduled_start_time {_EVENT_TEXTS}",
         "Manage Events", f"success=!true {_SHOWS_EVENT}"),
    _row("events.delete", f"DELETE {_EVENT}", "guild_id! event_id!", "Manage Events",
         "success=!true event_id=$event_id guild_id=$guild_id"),
    # -- the rest of a server -------------------------------------------------------------------
    _row("emojis.list", f"GET {_GUILD}/emojis", "guild_id!", "",
         "id name animated managed require_colons available"),
    _row("stickers.list", f"GET {_GUILD}/stickers", "guild_id!", "",
         "id name description tags format_type available"),
    _row("invites.list", f"GET {_GUILD}/invites", "guild_id!", "Manage Server",
         "code channel_id=channel.id inviter=inviter.username uses max_uses expires_at"),
    _row("invites.delete", "DELETE /invites/{code}", "code!:code", "Manage Channels",
         "deleted=!true code=$code"),
    _row("webhooks.list", f"GET {_GUILD}/webhooks", "guild_id!", "Manage Webhooks",
         "id name channel_id avatar guild_id"),  # never the token: it is a secret
    _row("bans.list", f"GET {_GUILD}/bans", "guild_id! limit:int:1-10000 after_id:id>after",
         "Ban Members", "user_id=user.id username=user.username reason", page=_BANS),
    _row("integrations.list", f"GET {_GUILD}/integrations", "guild_id!", "Manage Server",
         "id name type enabled syncing account"),
    _row("voice_regions.list", f"GET {_GUILD}/regions", "guild_id!", "",
         "id name optimal deprecated custom"),
    _row("permissions.list", f"GET {_CHANNEL}", "channel_id!", "View Channel",
         "id type=type|target allow deny", wrap="permissions", inside="permission_overwrites"),
    _row("permissions.set", f"PUT {_CHANNEL}/permissions/{{target_id}}",
         "channel_id! target_id! target:text allow:text deny:text", "Manage Roles",
         "success=!true channel_id=$channel_id target_id=$target_id"),
    _row("permissions.delete", f"DELETE {_CHANNEL}/permissions/{{target_id}}",
         "channel_id! target_id!", "Manage Roles",
         "deleted=!true channel_id=$channel_id target_id=$target_id"),
)  # fmt: skip

TABLE: Final[Mapping[str, Row]] = MappingProxyType({row.name: row for row in ROWS})


def older(command: str) -> tuple[str, ...]:
    """Return the names that a command had: rules may be written with them, too."""
    return tuple(name for name, today in ALIASES.items() if today == command)


def canonical(command: str) -> str:
    """Return the current name of a command; an unknown one as it is."""
    return ALIASES.get(command, command)


def todays(command: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command under their current names; of an unknown one as given."""
    takes = {one.name for one in TABLE[command].arguments} if command in TABLE else set[str]()
    current: dict[str, str] = {}
    for name in takes - args.keys():
        given = (each for each in ARGUMENT_ALIASES.get(name, ()) if each in args.keys() - takes)
        current |= dict.fromkeys(islice(given, 1), name)
    return {current.get(name, name): value for name, value in args.items()}
