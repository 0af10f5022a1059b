"""A Discord channel looked at: is a message of ours there, and may we write?"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botticelli import text
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import Looked, NotSent, OutgoingMessage
from botticelli.platforms.discord import attachments
from botticelli.records import record

EPOCH_MS: Final = 1420070400000  # 2015-01-01, where snowflakes begin
FIRST_SNOWFLAKE: Final = 1 << 32  # what is smaller is a number, no id of Discord's
PAGE: Final = 100
MOST_PAGES: Final = 30
# The database's clock may be off Discord's. What else we said within it is known to be ours.
CLOCK_SLACK: Final = timedelta(minutes=30)
ANNOUNCEMENT: Final = 5
THREADS: Final = (10, 11, 12)
WRITABLE: Final = (0, ANNOUNCEMENT, *THREADS)
FORUMS: Final = (15, 16)  # forum, media
REQUIRE_TAG: Final = 1 << 4

# Bits of permissions.
ADMINISTRATOR: Final = 1 << 3
VIEW_CHANNEL: Final = 1 << 10
SEND_MESSAGES: Final = 1 << 11
MANAGE_MESSAGES: Final = 1 << 13
READ_MESSAGE_HISTORY: Final = 1 << 16
SEND_POLLS: Final = 1 << 49
MANAGE_THREADS: Final = 1 << 34
CREATE_PUBLIC_THREADS: Final = 1 << 35
SEND_MESSAGES_IN_THREADS: Final = 1 << 38
PERMISSIONS: Final[Mapping[int, str]] = {
    VIEW_CHANNEL: "View Channel",
    SEND_MESSAGES: "Send Messages",
    MANAGE_MESSAGES: "Manage Messages",
    SEND_POLLS: "Create Polls",
    READ_MESSAGE_HISTORY: "Read Message History",
    CREATE_PUBLIC_THREADS: "Create Public Threads",
    SEND_MESSAGES_IN_THREADS: "Send Messages in Threads",
}
NOT_DISCORD: Final = (
    "what answers is not Discord: it does not describe what it was asked for; check base_url"
    " (DISCORD_API_BASE), and whether the network wants a login first"
)
_NOT_AS_DISCORD: Final = (KeyError, TypeError, ValueError, AttributeError)  # an answer of others
EVERYTHING: Final = (1 << 63) - 1

Json = Mapping[str, Any]
Look = Callable[[str, Mapping[str, str]], Any]


@record
class Search:
    """What is looked for: this text, by this author (user or webhook id), from then on.

    Args:
        author: Empty: not known, anybody's counts.
        whole: Reads one message by its channel and id where a list may leave its text out: without
            the MESSAGE_CONTENT intent a bot sees its own texts only, not those of its webhook.
    """

    message: OutgoingMessage
    author: str
    since: datetime
    known: Collection[str] = ()
    whole: Callable[[str, str], Mapping[str, Any]] | None = None


@record
class Extras:
    """What messages are beyond their text, and what follows them.

    Args:
        crosspost: Publish to followers.
        thread_name: A thread of that name follows; in a forum: the title of each post.
        is_forum: Each post is a thread of its own.
        tags: Names or ids of a forum's tags.
        flags: Of each message.
        poll_hours: A question with answers at the end of a text is a poll, open so long; 0: none.
    """

    crosspost: bool = False
    thread_name: str = ""
    is_forum: bool = False
    tags: tuple[str, ...] = ()
    flags: int = 0
    poll_hours: int = 0

    @property
    def opens_threads(self) -> bool:
        """Whether a thread is opened under each message."""
        return bool(self.thread_name) and not self.is_forum


NO_EXTRAS: Final = Extras()


def time_of(snowflake: str) -> datetime:
    """Return the instant at which an id was made."""
    return datetime.fromtimestamp(((int(snowflake) >> 22) + EPOCH_MS) / 1000, UTC)


def made_at(message: Mapping[str, Any]) -> datetime | None:
    """Return when a message was written, by its timestamp or its id, whichever is later.

    On Discord both agree. Other servers may count ids from one, or give all messages one time.
    None if neither says anything.
    """
    by_id = time_of(message["id"])
    try:
        stamp = datetime.fromisoformat(message["timestamp"])
    except (KeyError, TypeError, ValueError):
        return by_id if int(message["id"]) >= FIRST_SNOWFLAKE else None
    return max(by_id, stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC))


def search(look: Look, channel: str, wanted: Search) -> dict[str, Any] | Looked:
    """Return the message as Discord has it, or why it is not there and whether to believe that.

    Raises:
        NotSent: Discord cannot be asked right now.
        ConfigError: It does not let us look, or shows us nonsense.
    """
    path = f"/channels/{channel}/messages"
    since = wanted.since - CLOCK_SLACK
    seen: set[str] = set()
    query = {"limit": str(PAGE)}
    for _ in range(MOST_PAGES):
        page = _page(look(path, query))
        for message in page:
            if _is_ours(message, wanted, channel=channel, since=since):
                return dict(message)
        if not page and not seen:
            return _empty(look, channel)
        if len(page) < PAGE or _is_before(page[-1], since):
            return Looked(certain=True)
        before = str(page[-1]["id"])  # the newest come first
        if before in seen:
            return Looked(why="the channel cannot be read further back; look for it by eye")
        seen.update(str(message["id"]) for message in page)
        query = {"before": before, "limit": str(PAGE)}
    return Looked(
        why=f"more than {len(seen)} messages were written there since; look for it by eye"
    )


def observe(
    look: Look, channel: str, ids: Sequence[str], *, author: str
) -> dict[str, Mapping[str, int] | None]:
    """Count what readers did with messages of ours in a channel, a hundred with each request.

    What is not on the pages that reach back so far is gone. Replies are those on the same
    pages, which is why they are read for a single message, too: alone it does not tell of any.
    """
    ids = [one for one in ids if one.isdecimal()]  # people may have written anything
    path, oldest = f"/channels/{channel}/messages", min(map(int, ids), default=0)
    query = {"limit": str(PAGE)}
    seen: list[Mapping[str, Any]] = []
    for _ in range(MOST_PAGES):
        page = _page(look(path, query))
        seen += page
        if len(page) < PAGE or int(page[-1]["id"]) <= oldest:
            break
        query = {"before": str(page[-1]["id"]), "limit": str(PAGE)}
    else:
        oldest = int(seen[-1]["id"])
    answers = Counter(
        str((one.get("message_reference") or {}).get("message_id"))
        for one in seen
        if str((one.get("author") or {}).get("id")) != author
    )
    there = {str(one["id"]): counts_of(one, replies=answers[str(one["id"])]) for one in seen}
    return {one: there.get(one) for one in ids if int(one) >= oldest}


def counts_of(message: Mapping[str, Any], *, replies: int = 0) -> Mapping[str, int]:
    """Return the numbers of a message: reactions without our own, and what its thread holds."""
    likes = sum(
        int(one.get("count") or 0) - bool(one.get("me"))
        for one in message.get("reactions") or ()
        if isinstance(one, dict)
    )
    thread = message.get("thread") or {}
    in_thread = int(thread.get("total_message_sent") or thread.get("message_count") or 0)
    votes = ((message.get("poll") or {}).get("results") or {}).get("answer_counts") or ()
    return {
        "likes": likes,
        "replies": replies + in_thread,
        "votes": sum(int(one.get("count") or 0) for one in votes if isinstance(one, dict)),
    }


def _page(answer: Any) -> Sequence[Mapping[str, Any]]:
    is_page = isinstance(answer, list) and all(
        isinstance(one, dict) and str(one.get("id")).isdecimal() for one in answer
    )
    if not is_page:
        raise ConfigError("the server's list of messages cannot be read")
    page: Sequence[Mapping[str, Any]] = answer
    return page


def _is_ours(message: Mapping[str, Any], wanted: Search, *, channel: str, since: datetime) -> bool:
    if str(message["id"]) in wanted.known:
        return False
    nonce = message.get("nonce")
    if nonce is not None and nonce != "":  # each of our messages has its own, whatever it says
        return str(nonce) == wanted.message.nonce
    ids = ((message.get("author") or {}).get("id"), message.get("webhook_id"))
    authors = {str(one) for one in ids if one is not None}
    is_others = wanted.author and authors and wanted.author not in authors
    if is_others or _is_before(message, since):
        return False
    if wanted.whole is not None and not (message.get("content") or message.get("attachments")):
        message = wanted.whole(channel, str(message["id"]))
    words, files = wanted.message.text, wanted.message.attachments
    if words.strip():
        question = ((message.get("poll") or {}).get("question") or {}).get("text")
        return text.alike(message.get("content") or question or "", words)
    return attachments.are_alike(message.get("attachments"), files)


def _is_before(message: Mapping[str, Any], since: datetime) -> bool:
    at = made_at(message)
    return at is not None and at < since


def _empty(look: Look, channel: str) -> Looked:
    """Return whether "nothing there" can be believed: an unreadable channel looks empty, too."""
    try:
        bits = rights_in(look, channel)
    except NotSent:
        raise
    except BotticelliError as error:
        return Looked(why=f"the channel looks empty, our rights in it are unknown ({error.what})")
    except _NOT_AS_DISCORD:
        return Looked(why="the channel looks empty, our rights in it are unknown")
    if bits & READ_MESSAGE_HISTORY:
        return Looked(certain=True)
    return Looked(why="the bot may not read the channel's history: give it Read Message History")


def rights_in(look: Look, channel: str) -> int:
    """Return our permission bits in a channel.

    Raises:
        BotticelliError, KeyError, TypeError, ValueError: They are not to be found out.
    """
    return _bits(look, me=look("/users/@me", {}), seen=look(f"/channels/{channel}", {}))


def problems(look: Look, channel: str, wanted: Extras, *, writes: bool) -> Iterator[str]:
    """Yield the problems, for a person, with what we want to do in a channel.

    A channel that can be read in a guild that cannot passes: unknown permissions are not a
    problem (a proxy that knows messages only, say).

    Raises:
        NotSent: Discord cannot be asked right now.
        BotticelliError: It does not let us look.
    """
    me, seen = look("/users/@me", {}), look(f"/channels/{channel}", {})
    if not (is_thing(me) and is_thing(seen, channel)):
        yield NOT_DISCORD
        return
    try:
        bits = _bits(look, me=me, seen=seen)
    except NotSent:
        raise
    except (BotticelliError, *_NOT_AS_DISCORD):
        bits = EVERYTHING
    name = f"#{seen.get('name', seen['id'])}"
    if words := _wrong_kind(name, wanted, seen.get("type")):
        yield words
        return
    if wanted.is_forum and not wanted.tags and int(seen.get("flags") or 0) & REQUIRE_TAG:
        yield f"the forum {name} wants a tag on each post; name some in `forum_tags`"
    if (seen.get("thread_metadata") or {}).get("locked") and not bits & MANAGE_THREADS:
        yield f"the thread {name} is locked; unlock it, or give the bot Manage Threads"
    needed = _needed(wanted, writes=writes, is_thread=seen["type"] in THREADS)
    if names := [PERMISSIONS[one] for one in needed if not bits & one]:
        yield _not_allowed(name, names)


def _wrong_kind(name: str, wanted: Extras, kind: Any) -> str:
    """Return why a channel of that type is not for what we want to do there; empty if it is."""
    if wanted.is_forum:
        return "" if kind in FORUMS else f"{name} is no forum; remove `forum` or name one"
    if kind in FORUMS:
        return f"{name} is a forum, which takes no plain messages: set `forum = true`"
    if kind not in WRITABLE:
        return f"{name} takes no plain messages (voice or category); name a text channel"
    if wanted.crosspost and kind != ANNOUNCEMENT:
        return f"{name} is not an announcement channel; remove `crosspost` or name one"
    return ""


def is_thing(answer: Any, id_: str = "") -> bool:
    """Return whether an answer describes something of Discord's, with that id if one is named."""
    found = str(answer.get("id", "")) if isinstance(answer, Mapping) else ""
    return found.isdecimal() and id_ in ("", found)


def _needed(wanted: Extras, *, writes: bool, is_thread: bool) -> list[int]:
    needed = [VIEW_CHANNEL, READ_MESSAGE_HISTORY]
    if writes:
        needed.append(SEND_MESSAGES_IN_THREADS if is_thread else SEND_MESSAGES)
    if wanted.poll_hours and writes:
        needed.append(SEND_POLLS)
    if wanted.opens_threads:
        needed += [CREATE_PUBLIC_THREADS, SEND_MESSAGES_IN_THREADS]
    return needed


def _not_allowed(name: str, names: Sequence[str]) -> str:
    give = " and ".join(names)
    if "View Channel" in names:
        return f"the bot cannot see {name}: give it {give}"
    if "Send Messages" in names:
        return f"the bot may see {name} but not write there: give it {give}"
    if names == ["Read Message History"]:
        return (
            f"the bot may write in {name} but not read it back, which settles lost answers:"
            f" give it {give}"
        )
    return f"the bot lacks rights in {name}: give it {give}"


def _bits(look: Look, *, me: Mapping[str, Any], seen: Mapping[str, Any]) -> int:
    """Return our permission bits in a channel."""
    holder = look(f"/channels/{seen['parent_id']}", {}) if seen.get("type") in THREADS else seen
    guild_id = seen.get("guild_id")
    if not guild_id:
        return EVERYTHING  # a direct message has no roles
    guild = look(f"/guilds/{guild_id}", {})
    if not isinstance(guild.get("roles"), list):  # some servers leave them out
        guild = {**guild, "roles": look(f"/guilds/{guild_id}/roles", {})}
    member = look(f"/guilds/{guild_id}/members/{me['id']}", {})
    return permissions_of(guild=guild, channel=holder, member=member, user_id=str(me["id"]))


def permissions_of(*, guild: Json, channel: Json, member: Json, user_id: str) -> int:
    """Return the permission bits of a member in a channel of a guild.

    Source: docs.discord.com/developers/topics/permissions (base, then overwrites of everyone, of
    the roles together, of the member).

    Args:
        guild: With `id`, `owner_id` and `roles`.
        channel: With `permission_overwrites`; of a thread, its parent.
        member: With `roles`, a list of ids.
        user_id: The member's own id.
    """
    if guild.get("owner_id") == user_id:
        return EVERYTHING
    mine = {str(guild["id"]), *map(str, member["roles"])}
    bits = 0
    for role in guild["roles"]:
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
