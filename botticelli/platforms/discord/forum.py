"""A post of a Discord forum, which is a thread of its own: its title, its tags, and is it there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from botticelli.errors import ConfigError
from botticelli.platforms.base import Looked
from botticelli.platforms.discord.channel import (
    CLOCK_SLACK,
    READ_MESSAGE_HISTORY,
    Look,
    Search,
    rights_in,
    time_of,
)
from botticelli.platforms.discord.channel import search as search_channel
from botticelli.text import shorten

LONGEST_TITLE: Final = 100  # characters
_MARKS: Final = re.compile(r"^(?:[#>\-*]+ )+|[*_~|`]{2,}|(?<!\w)[*_`]|[*_`](?!\w)")


def title_of(text: str) -> str:
    """Return the first line that says something, without its markup, as a title."""
    lines = (_MARKS.sub("", line.strip()).strip() for line in text.splitlines())
    return shorten(next((line for line in lines if re.search(r"\w", line)), text), LONGEST_TITLE)


def tag_ids(wanted: Sequence[str], channel: Mapping[str, Any]) -> list[str]:
    """Return the ids of tags that are named by their names or ids.

    Raises:
        ConfigError: The forum has no such tag.
    """
    known: dict[str, str] = {}
    for tag in channel.get("available_tags", ()):
        known |= {str(tag["name"]).casefold(): str(tag["id"]), str(tag["id"]): str(tag["id"])}
    if missing := [one for one in wanted if one.casefold() not in known]:
        has = ", ".join(str(tag["name"]) for tag in channel.get("available_tags", ())) or "none"
        what = f"the forum #{channel.get('name', '')} has no tag '{missing[0]}'"
        raise ConfigError(what, hint=f"name some of its own in `forum_tags`: {has}")
    return [known[one.casefold()] for one in wanted]


def search(look: Look, channel: str, wanted: Search) -> Mapping[str, Any] | Looked:
    """Return the first message of our post in a forum, or why it is not there. Raises as `look`."""
    forum = look(f"/channels/{channel}", {})
    active = look(f"/guilds/{forum['guild_id']}/threads/active", {})
    archived = look(f"/channels/{channel}/threads/archived/public", {"limit": "100"})
    since = wanted.since - CLOCK_SLACK
    for thread in (*active["threads"], *archived["threads"]):
        id_ = str(thread["id"])
        is_ours = str(thread.get("parent_id")) == channel and id_ not in wanted.known
        is_ours = is_ours and time_of(id_) >= since
        if is_ours:
            found = search_channel(look, id_, wanted)
            if not isinstance(found, Looked):
                return found
    if archived.get("has_more"):
        return Looked(why="the forum has many old posts; look for it by eye")
    if rights_in(look, channel) & READ_MESSAGE_HISTORY:
        return Looked(certain=True)
    return Looked(why="the bot may not read the forum's history: give it Read Message History")
