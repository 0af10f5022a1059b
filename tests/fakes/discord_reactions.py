"""Reactions to a message."""

from tests.fakes import discord_rules as rules
from tests.fakes.discord_errors import Fail
from tests.fakes.discord_messages import emoji_of
from tests.fakes.discord_routing import Call, route
from tests.fakes.discord_state import Json, Stored
from tests.fakes.loopback import Answer, answer_json

_PATH = "/channels/{channel}/messages/{message}/reactions"
_NO_CONTENT = Answer(status=204)


def _message(call: Call, *names: str) -> tuple[Json, Stored]:
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, *names)
    return channel, call.world.message(channel["id"], call.ids["message"])


@route("PUT", _PATH + "/{emoji}/@me")
def create_reaction(call: Call) -> Answer:
    """React; again is no error, 20 different ones are the most."""
    channel, stored = _message(call, "READ_MESSAGE_HISTORY")
    emoji = emoji_of(call)
    if emoji not in stored.reactors:
        call.world.require(channel, "ADD_REACTIONS")
        if len(stored.reactors) >= 20:
            raise Fail(30010)
    who = stored.reactors.setdefault(emoji, [])
    if call.world.bot["id"] not in who:
        who.append(call.world.bot["id"])
    return _NO_CONTENT


@route("DELETE", _PATH + "/{emoji}/@me")
def delete_own_reaction(call: Call) -> Answer:
    """Take back one's own reaction."""
    _, stored = _message(call)
    return _take_back(stored, emoji_of(call), call.world.bot["id"])


@route("DELETE", _PATH + "/{emoji}/{user}")
def delete_user_reaction(call: Call) -> Answer:
    """Remove another's reaction."""
    _, stored = _message(call, "MANAGE_MESSAGES")
    return _take_back(stored, emoji_of(call), call.ids["user"])


def _take_back(stored: Stored, emoji: str, user_id: str) -> Answer:
    who = stored.reactors.get(emoji, [])
    if user_id in who:
        who.remove(user_id)
    if not who:
        stored.reactors.pop(emoji, None)
    return _NO_CONTENT


@route("DELETE", _PATH + "/{emoji}")
def delete_reactions_of_emoji(call: Call) -> Answer:
    """Remove all reactions with one emoji."""
    _, stored = _message(call, "MANAGE_MESSAGES")
    stored.reactors.pop(emoji_of(call), None)
    return _NO_CONTENT


@route("DELETE", _PATH)
def delete_all_reactions(call: Call) -> Answer:
    """Remove all reactions."""
    _, stored = _message(call, "MANAGE_MESSAGES")
    stored.reactors.clear()
    return _NO_CONTENT


@route("GET", _PATH + "/{emoji}")
def get_reactions(call: Call) -> Answer:
    """Return who reacted, 25 unless told, by id upwards after `after`."""
    _, stored = _message(call, "READ_MESSAGE_HISTORY")
    request, world = call.request, call.world
    limit = rules.whole_number("limit", request.first("limit"), least=1, most=100, default=25)
    after = rules.whole_number(
        "after", request.first("after"), least=0, most=(1 << 64) - 1, default=0
    )
    who = sorted(
        (one for one in stored.reactors.get(emoji_of(call), []) if int(one) > after), key=int
    )
    known = {world.bot["id"]: world.bot}
    return answer_json([known.get(one) or world.user(f"user{one}", id=one) for one in who[:limit]])
