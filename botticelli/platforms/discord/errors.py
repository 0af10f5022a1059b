"""What Discord's refusals mean, in words of a community manager.

Source of every code and status: docs.discord.com/developers/topics, "Opcodes and Status Codes",
"Rate Limits".
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import Gone, KeptOut, LockedOut, NotSent, Refused, Unconfirmed
from botticelli.platforms.rate_limits import DEFAULT_WAIT, longest, retry_after
from botticelli.records import record

SLOWED_WAIT: Final = 60.0  # seconds after a 429 of Cloudflare's that does not say how long
MAX_LENGTH: Final = 2000  # UTF-16 units; Create Message, content
BLOCKED_WAIT: Final = 900.0  # seconds after Cloudflare shut the door; its window is 10 minutes

DEEPEST_FORM: Final = 20  # levels of a form's errors that are read

UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_GUILD: Final = 10004
UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_WEBHOOK: Final = 10015
ARCHIVED: Final = 50083
CROSSPOSTED: Final = 40033  # already
MISSING_PERMISSION: Final = 50013  # the only refusal of a right that goes with seeing the channel

WRITE: Final = ("write there", "Send Messages")  # what is refused by 50013, and the right to it
ATTACH: Final = ("write there with files", "Send Messages and Attach Files")
OPEN_THREAD: Final = ("open a thread there", "Create Public Threads")
OPEN_AGAIN: Final = ("open the archived thread again", "Manage Threads")
CROSSPOST: Final = ("publish to its followers", "Send Messages and Manage Messages")
_TEXT_CHANNEL: Final = "name a text or announcement channel"

# code: what is wrong, how to fix it; {channel} is the channel's name if we may know it.
_CONFIG: Final[Mapping[int, tuple[str, str]]] = {
    UNKNOWN_CHANNEL: (
        "there is no channel {channel}",
        "check the channel's id (POSTING_CHANNEL_ID)",
    ),
    UNKNOWN_GUILD: ("the bot is not on that server", "invite it there"),
    50001: (
        "the bot cannot see the channel {channel}",
        "give it View Channel there, or invite it to the server",
    ),
    50008: ("{channel} is no channel for messages", _TEXT_CHANNEL),
    40058: ("{channel} is a forum, which takes no plain messages", "set `forum = true`"),
    MISSING_PERMISSION: ("the bot may see {channel} but not {act}", "give it {right}"),
    50024: ("{channel} is the wrong kind of channel for that", _TEXT_CHANNEL),
    50041: (
        "Discord no longer speaks this version of its API",
        "fix base_url (DISCORD_API_BASE), or update botticelli",
    ),
    40333: ("Discord does not accept how we introduce ourselves", "update botticelli"),
    160005: ("the thread {channel} is locked", "unlock it, or name another channel"),
    220001: (
        "this webhook belongs to a forum, which takes no plain messages",
        "set `forum = true`",
    ),
    220003: ("this webhook belongs to no forum", "remove `forum`"),
    40067: ("{channel} is a forum that wants a tag", "name some in `forum_tags`"),
}
# Who meets one of these can neither read nor write in that place; all else is a single right.
_KEPT_OUT: Final = frozenset({UNKNOWN_CHANNEL, UNKNOWN_GUILD, 50001, 50041, 40333})
_REFUSED: Final[Mapping[int, str]] = {
    UNKNOWN_MESSAGE: "the message is gone",
    20001: "bots may not do this",
    30015: "there are too many attachments",
    40005: "the request is too large",
    50005: "the message is somebody else's",
    50006: "the message is empty",
    50045: "a file is too large",
    ARCHIVED: "the thread is archived",
    50109: "Discord cannot read the request",
    200000: "AutoMod on this server blocks this text: change the text or the rule",
    240000: "Discord blocks this text for a harmful link: change the text",
}
_PASSING: Final = frozenset({40004, 40006, 40062, 20016, 20022, 20028, 20029, 30046, 130000})


@record
class ErrorAnswer:
    """An answer that is not a success, with as much of its body as could be read.

    Args:
        is_page: Whether its body is HTML.
        is_global: Whether it speaks of all routes, not only of the one that was asked.
    """

    status: int
    code: int = 0
    message: str = ""
    is_json: bool = False
    is_page: bool = False
    errors: Any = None
    retry_after: float | None = None
    is_global: bool = False

    @property
    def pause(self) -> float | None:
        """Seconds to send nothing more, or None if it asks for no wait."""
        if self.status == 429:
            default = DEFAULT_WAIT if self.is_json else SLOWED_WAIT
        elif self.is_turned_away:
            default = BLOCKED_WAIT
        else:
            return None
        return default if self.retry_after is None else self.retry_after

    @property
    def is_turned_away(self) -> bool:
        """Whether Cloudflare in front of Discord has answered, which shuts out a whole address."""
        return self.status == 403 and not self.is_json

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], text: str) -> "ErrorAnswer":
        """Read an answer; its body may be HTML of a proxy in front of Discord."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        is_json = isinstance(body, dict)
        fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
        code = fields.get("code", 0)
        return cls(
            status=status,
            code=code if isinstance(code, int) else 0,
            message=str(fields.get("message", ""))[:200],
            is_json=is_json,
            is_page=text.lstrip().startswith("<"),
            errors=fields.get("errors"),
            retry_after=longest(retry_after(headers), fields.get("retry_after")),
            is_global=fields.get("global") is True
            or headers.get("X-RateLimit-Global") == "true"
            or headers.get("X-RateLimit-Scope") == "global"
            or (status in {403, 429} and not is_json),
        )


def error_of(
    answer: ErrorAnswer,
    *,
    where: str,
    channel: str,
    publishing: bool,
    subject: str = "the message",
    right: tuple[str, str] = WRITE,
) -> BotticelliError:
    """Return the error that tells the caller what to do about an answer.

    Args:
        answer: What came back.
        where: Destination the request was for.
        channel: Its name for a person, "#news" or an id.
        publishing: Whether the request may have put something into the channel; one that only
            looks is NotSent where a publishing one is Unconfirmed.
        subject: What was asked for, as a refusal names it.
        right: What was to be done, and the permission that it takes.
    """
    status, code = answer.status, answer.code
    if (status >= 500 and (publishing or status != 501)) or status == 408:
        words = f"Discord answered {status}, which leaves open whether the request was carried out"
        return Unconfirmed(words, where=where) if publishing else NotSent(words, where=where)
    if status == 429 or code in _PASSING:
        return _slow_down(answer, where)
    if status == 401 or code in {50014, 50027}:
        hint = "make a new one in the developer portal, then set DISCORD_TOKEN"
        return LockedOut("the bot's token is not accepted", where=where, hint=hint)
    if code == UNKNOWN_WEBHOOK:
        hint = "make a new one in the channel's settings"
        return Gone("this webhook no longer exists", where=where, hint=hint)
    return _for_good(answer, where=where, channel=channel, subject=subject, right=right)


def _for_good(
    answer: ErrorAnswer, *, where: str, channel: str, subject: str, right: tuple[str, str]
) -> BotticelliError:
    if answer.code in _CONFIG:
        what, hint = _CONFIG[answer.code]
        act, permission = right
        kind = KeptOut if answer.code in _KEPT_OUT else ConfigError
        return kind(
            what.format(channel=channel, act=act), where=where, hint=hint.format(right=permission)
        )
    if answer.is_turned_away:
        return NotSent(
            "Cloudflare in front of Discord turns us away, mostly after too many failing requests",
            where=where,
            retry_after=answer.pause,
        )
    if answer.status == 403:
        reason = answer.message or "no reason given"
        words = f"Discord does not allow it ({reason}, code {answer.code})"
        return ConfigError(words, where=where, hint=f"look at the bot's permissions in {channel}")
    if 300 <= answer.status < 400 or (answer.status in {404, 405, 501} and answer.code == 0):
        words = f"this is not Discord's API: it answered {answer.status}"
        return ConfigError(words, where=where, hint="fix base_url (DISCORD_API_BASE)")
    return Refused(_refusal(answer, subject), where=where, code=answer.code)


def _refusal(answer: ErrorAnswer, subject: str) -> str:
    if answer.code in _REFUSED:
        return _REFUSED[answer.code]
    details = "; ".join(_flat(answer.errors))
    words = f"Discord refused {subject} ({answer.message or answer.status}, code {answer.code})"
    return f"{words}: {details}"[:400] if details else words


def _slow_down(answer: ErrorAnswer, where: str) -> NotSent:
    wait = answer.pause
    if wait is None:  # not a 429, but with the same meaning
        wait = DEFAULT_WAIT if answer.retry_after is None else answer.retry_after
    return NotSent(f"Discord asks us to wait {wait:g} s", where=where, retry_after=wait)


def _flat(errors: Any, path: str = "") -> Iterator[str]:
    """Yield the leaves of Discord's tree of form errors: where in the form, and what."""
    if not isinstance(errors, dict) or path.count(".") > DEEPEST_FORM:
        return
    for key, value in errors.items():
        if key == "_errors" and isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    yield f"{path or 'the form'}: {one.get('message', one.get('code'))}"
        else:
            yield from _flat(value, f"{path}.{key}" if path else key)
