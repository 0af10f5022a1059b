"""What a failed try of a Discord command means: whether to try again, and what to tell a person."""

import re
from collections.abc import Mapping
from typing import Final

from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import LockedOut, LockedOutMidway, NotSent, Refused, Unconfirmed
from botticelli.platforms.discord.commands.table import Row
from botticelli.platforms.discord.errors import Answer, error_of
from botticelli.platforms.discord.rest import Question

MISSING_PERMISSION: Final = 50013
UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_GUILD: Final = 10004
CROSSPOSTED: Final = 40033  # already
REPEATABLE: Final = ("/bulk-delete", "/typing", "/crosspost")  # POSTs that may be made twice
UNFIT: Final = (40058, 50005, 50008, 50024)  # the wrong kind of channel; somebody else's message
NAMED_WELL: Final = (UNKNOWN_GUILD, 10015)  # by discord_errors.py: guild, webhook
PRIVATE_THREAD: Final = 12
# Field of Modify Guild Member -> the permission it needs.
MEMBER_RIGHTS: Final[Mapping[str, str]] = {
    "nick": "Manage Nicknames",
    "mute": "Mute Members",
    "deaf": "Deafen Members",
    "roles": "Manage Roles",
}
_CHANNEL: Final = re.compile(r"/channels/(\d+)")


def left_open(error: BotticelliError) -> BotticelliError:
    """Return the error of a try after one that may have been carried out."""
    kind = LockedOutMidway if isinstance(error, LockedOut) else Unconfirmed
    what = f"{error.what}; an earlier try may have been carried out"
    return kind(what, where=error.where, hint=error.hint)


def may_repeat(asked: Question, error: BotticelliError) -> bool:
    """Whether another try can do no harm: nothing was done, or doing it twice is doing it once."""
    if not isinstance(error, Unconfirmed):
        return isinstance(error, NotSent)
    if asked.method != "POST" or asked.path.endswith(REPEATABLE):
        return True
    return isinstance(asked.json, dict) and bool(asked.json.get("enforce_nonce"))


def is_done_already(asked: Question, wrong: Answer) -> bool:
    """Whether a refusal says that the try before, whose answer was lost, was carried out."""
    if asked.method == "DELETE":
        is_unknown = 10000 < wrong.code < 10100 and wrong.code != UNKNOWN_GUILD
        return wrong.status == 404 and is_unknown
    return wrong.code == CROSSPOSTED


def _needed(row: Row, asked: Question) -> str:
    """Return the permission that a request needs, where a command may need one or another."""
    body = asked.json if isinstance(asked.json, dict) else {}
    if row.name == "members.edit":
        return " or ".join(right for key, right in MEMBER_RIGHTS.items() if key in body)
    if row.name == "threads.create":
        kind = "Private" if body.get("type") == PRIVATE_THREAD else "Public"
        return f"Create {kind} Threads"
    return row.needs


def explained(row: Row, wrong: Answer, *, where: str, asked: Question) -> BotticelliError:
    """Return the error of an answer, in words that fit the command."""
    named = _CHANNEL.match(asked.path)
    channel = f"channel {named[1]}" if named else "the channel"
    if wrong.code == MISSING_PERMISSION and (right := _needed(row, asked)):
        return Refused(
            f"the bot lacks the permission {right}",
            where=where,
            hint="give it to the bot's role, above the roles and members it is to change",
            code=wrong.code,
        )
    if wrong.code == UNKNOWN_CHANNEL:
        hint = "check the id in the narrative, and that it belongs to the bot's server"
        return ConfigError(f"Discord knows no {channel}", where=where, hint=hint)
    if wrong.code in UNFIT:
        what = f"Discord says: {wrong.message} ({channel})"
        return Refused(what, where=where, hint="check the ids", code=wrong.code)
    if wrong.status == 404 and wrong.code not in {0, *NAMED_WELL}:
        what = f"Discord says: {wrong.message}"
        return Refused(what, where=where, hint="check the ids", code=wrong.code)
    return error_of(
        wrong,
        where=where,
        channel=channel,
        publishing=asked.method != "GET",
        subject="the command",
    )
