"""Whether a bot may do something in a channel, computed from the API's answers.

Source: docs.discord.com/developers/topics/permissions (base, then overwrites
of everyone, of the roles together, of the member).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

ADMINISTRATOR: Final = 1 << 3
VIEW_CHANNEL: Final = 1 << 10
SEND_MESSAGES: Final = 1 << 11
MANAGE_MESSAGES: Final = 1 << 13
READ_MESSAGE_HISTORY: Final = 1 << 16
CREATE_PUBLIC_THREADS: Final = 1 << 35
SEND_MESSAGES_IN_THREADS: Final = 1 << 38

NAMES: Final[Mapping[int, str]] = {
    VIEW_CHANNEL: "View Channel",
    SEND_MESSAGES: "Send Messages",
    MANAGE_MESSAGES: "Manage Messages",
    READ_MESSAGE_HISTORY: "Read Message History",
    CREATE_PUBLIC_THREADS: "Create Public Threads",
    SEND_MESSAGES_IN_THREADS: "Send Messages in Threads",
}
EVERYTHING: Final = (1 << 63) - 1

Json = Mapping[str, Any]


def permissions(*, guild: Json, channel: Json, member: Json, user_id: str) -> int:
    """Return the permission bits of a member in a channel of a guild.

    Args:
        guild: With `id`, `owner_id` and `roles`.
        channel: With `permission_overwrites`; of a thread, its parent.
        member: With `roles`, a list of ids.
        user_id: The member's own id.
    """
    if guild.get("owner_id") == user_id:
        return EVERYTHING
    mine = {str(guild["id"]), *map(str, member.get("roles", ()))}
    bits = 0
    for role in guild.get("roles", ()):
        if str(role["id"]) in mine:
            bits |= int(role["permissions"])
    if bits & ADMINISTRATOR:
        return EVERYTHING
    overwrites = {str(one["id"]): one for one in channel.get("permission_overwrites", ())}
    everyone = str(guild["id"])
    for holders in ({everyone}, mine - {everyone}, {user_id}):
        bits = _overwrite(bits, [overwrites[one] for one in holders if one in overwrites])
    return bits if bits & VIEW_CHANNEL else 0


def _overwrite(bits: int, overwrites: Iterable[Json]) -> int:
    allow = deny = 0
    for one in overwrites:
        allow |= int(one.get("allow", 0))
        deny |= int(one.get("deny", 0))
    return bits & ~deny | allow


def missing(bits: int, wanted: Iterable[int]) -> list[str]:
    """Return the names of the wanted permissions that are not among the bits."""
    return [NAMES[one] for one in wanted if not bits & one]
