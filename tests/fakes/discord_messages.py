"""Messages: create, read, edit, delete, crosspost, react, pin."""

from typing import Any
from urllib.parse import unquote

from tests.fakes import discord_rules as rules
from tests.fakes import discord_uploads as uploads
from tests.fakes.discord_errors import Fail, bad_field
from tests.fakes.discord_routing import Call, route
from tests.fakes.discord_state import CROSSPOSTED, FORUMS, Json, Stored, World
from tests.fakes.loopback import Answer, answer_json

_NO_CONTENT = Answer(status=204)
_TWO_WEEKS = 14 * 24 * 3600.0


@route("POST", "/channels/{channel}/messages")
def create_message(call: Call) -> Answer:
    """Store a message, or return the earlier one with the same nonce if that is enforced."""
    world, body = call.world, call.body
    channel = world.talkable(call.ids["channel"])
    rules.check_message(body)
    nonce = body.get("nonce")
    if body.get("enforce_nonce") and nonce is not None:
        earlier = world.earlier(channel["id"], world.bot["id"], str(nonce))
        if earlier is not None:
            return answer_json({**shown(world, earlier), "nonce": nonce})
    stored = write(
        call,
        channel=channel,
        author=world.bot,
        default_mentions=rules.EVERY_MENTION,
        may_everyone=world.may(channel, "MENTION_EVERYONE"),
    )
    answer = shown(world, stored)
    return answer_json(answer if nonce is None else {**answer, "nonce": nonce})


def write(
    call: Call,
    *,
    channel: Json,
    author: Json,
    default_mentions: tuple[str, ...],
    may_everyone: bool,
    message_id: str | None = None,
    **more: Any,
) -> Stored:
    """Store the form of a call as a new message; Fail 50006 if it is empty."""
    world, body = call.world, call.body
    text = rules.stored_text(body.get("content"))
    attached = uploads.attached(call)
    if attached and author is world.bot:
        world.require(channel, "ATTACH_FILES")
    poll = body.get("poll")
    if not text and not attached and not poll:
        raise Fail(50006)
    if poll:
        if author is world.bot:
            world.require(channel, "SEND_POLLS")
        more["poll"] = {key: poll[key] for key in ("question", "answers", "allow_multiselect")}
    everyone, users, roles = rules.mentioned(
        text, body.get("allowed_mentions"), default=default_mentions, may_everyone=may_everyone
    )
    data = world.draft(channel["id"], author=author, text=text)
    data |= {
        "id": message_id or data["id"],
        "type": 0,
        "tts": bool(body.get("tts")),
        "mention_everyone": everyone,
        "mentions": [world.user(f"user{one}", id=one) for one in users],
        "mention_roles": roles,
        "attachments": attached,
        "embeds": [],
        "components": [],
        "flags": body.get("flags") or 0,
        **more,
    }
    nonce = body.get("nonce")
    stored = Stored(data=data, nonce=None if nonce is None else str(nonce), created=world.now())
    world.keep(stored)
    return stored


def shown(world: World, stored: Stored) -> Json:
    """Return a message as the API shows it."""
    data = dict(stored.data)
    if stored.reactors:
        data["reactions"] = [_count(world, emoji, who) for emoji, who in stored.reactors.items()]
    return data


def _count(world: World, emoji: str, who: list[str]) -> Json:
    name, _, identity = emoji.partition(":")
    about = {"id": identity or None, "name": name}
    details = {"burst": 0, "normal": len(who)}
    return {
        "count": len(who),
        "count_details": details,
        "me": world.bot["id"] in who,
        "emoji": about,
    }


@route("GET", "/channels/{channel}/messages")
def get_messages(call: Call) -> Answer:
    """Return up to 100 messages, newest first; an empty list without the right to read history."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    limit = rules.whole_number("limit", call.request.first("limit"), least=1, most=100, default=50)
    if call.request.first("after") or call.request.first("around"):
        raise NotImplementedError("nobody pages like that yet")
    before = call.request.first("before")
    if before:
        rules.check_snowflake("before", before)
    if not world.may(channel, "READ_MESSAGE_HISTORY"):
        return answer_json([])
    ids = sorted(int(one) for one in world.messages[channel["id"]])
    kept = [one for one in ids if not before or one < int(before)][-limit:]
    messages = [world.message(channel["id"], str(one)) for one in reversed(kept)]
    return answer_json([shown(world, one) for one in messages])


@route("GET", "/channels/{channel}/messages/pins")
def get_pins(call: Call) -> Answer:
    """Return the pinned messages, the last pinned first."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    if not world.may(channel, "READ_MESSAGE_HISTORY"):
        return answer_json({"items": [], "has_more": False})
    items = [
        {"pinned_at": one.data["timestamp"], "message": shown(world, one)}
        for one in reversed(world.messages[channel["id"]].values())
        if one.data["pinned"]
    ]
    return answer_json({"items": items, "has_more": False})


@route("PUT", "/channels/{channel}/messages/pins/{message}")
def pin_message(call: Call) -> Answer:
    """Pin a message; 250 at most in a channel."""
    return _pin(call, pinned=True)


@route("DELETE", "/channels/{channel}/messages/pins/{message}")
def unpin_message(call: Call) -> Answer:
    """Unpin a message."""
    return _pin(call, pinned=False)


def _pin(call: Call, *, pinned: bool) -> Answer:
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "PIN_MESSAGES")
    stored = call.world.message(channel["id"], call.ids["message"])
    already = sum(one.data["pinned"] for one in call.world.messages[channel["id"]].values())
    if pinned and not stored.data["pinned"] and already >= 250:
        raise Fail(30003)
    stored.data["pinned"] = pinned
    return _NO_CONTENT


@route("POST", "/channels/{channel}/messages/bulk-delete")
def bulk_delete(call: Call) -> Answer:
    """Delete 2 to 100 messages younger than two weeks; unknown ones are passed over."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    world.require(channel, "MANAGE_MESSAGES")
    ids = [str(one) for one in call.body.get("messages") or []]
    if not 2 <= len(ids) <= 100:
        words = "Must be between 2 and 100 in length."
        raise bad_field("messages", "BASE_TYPE_BAD_LENGTH", words)
    found = [one for one in ids if one in world.messages[channel["id"]]]
    for one in found:
        if world.now() - world.messages[channel["id"]][one].created > _TWO_WEEKS:
            raise Fail(50034)
    for one in found:
        del world.messages[channel["id"]][one]
    return _NO_CONTENT


@route("GET", "/channels/{channel}/messages/{message}")
def get_message(call: Call) -> Answer:
    """Return one message."""
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "READ_MESSAGE_HISTORY")
    stored = call.world.message(channel["id"], call.ids["message"])
    return answer_json(shown(call.world, stored))


@route("PATCH", "/channels/{channel}/messages/{message}")
def edit_message(call: Call) -> Answer:
    """Change one's own message; mentions are parsed afresh, with everything if nothing is said."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    stored = world.message(channel["id"], call.ids["message"])
    rules.check_message(call.body)
    if stored.data["author"]["id"] != world.bot["id"]:
        raise Fail(50005)
    if channel.get("thread_metadata", {}).get("archived"):
        raise Fail(50083)
    may_everyone = world.may(channel, "MENTION_EVERYONE")
    change(call, stored, default_mentions=rules.EVERY_MENTION, may_everyone=may_everyone)
    return answer_json(shown(world, stored))


def change(
    call: Call, stored: Stored, *, default_mentions: tuple[str, ...], may_everyone: bool
) -> None:
    """Apply an edit form to a message; Fail 50006 if nothing would be left."""
    body, world = call.body, call.world
    changed = dict(stored.data)
    if "content" in body:
        changed["content"] = rules.stored_text(body["content"])
    if body.get("attachments") is not None:
        changed["attachments"] = uploads.kept(call, changed["attachments"])
    if "poll" in body:
        raise Fail(520003)
    if not any(changed.get(one) for one in ("content", "attachments", "poll")):
        raise Fail(50006)
    if body.get("flags") is not None:
        changed["flags"] = (changed["flags"] & ~rules.SETTABLE_FLAGS) | body["flags"]
    everyone, users, roles = rules.mentioned(
        changed["content"],
        body.get("allowed_mentions"),
        default=default_mentions,
        may_everyone=may_everyone,
    )
    changed["mentions"] = [world.user(f"user{one}", id=one) for one in users]
    changed.update(mention_everyone=everyone, mention_roles=roles, edited_timestamp=world.stamp())
    stored.data = changed
    if everyone:
        world.pinged_everyone.append(changed["id"])


@route("DELETE", "/channels/{channel}/messages/{message}")
def delete_message(call: Call) -> Answer:
    """Delete one's own message, or another's with MANAGE_MESSAGES."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    stored = world.message(channel["id"], call.ids["message"])
    if stored.data["author"]["id"] != world.bot["id"]:
        world.require(channel, "MANAGE_MESSAGES")
    del world.messages[channel["id"]][call.ids["message"]]
    return _NO_CONTENT


@route("POST", "/channels/{channel}/messages/{message}/crosspost")
def crosspost_message(call: Call) -> Answer:
    """Publish a message of an announcement channel to those who follow it; once only."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    stored = world.message(channel["id"], call.ids["message"])
    mine = stored.data["author"]["id"] == world.bot["id"]
    world.require(channel, "SEND_MESSAGES", *([] if mine else ["MANAGE_MESSAGES"]))
    if channel["type"] != 5:
        raise Fail(50024)
    if stored.data["flags"] & CROSSPOSTED:
        raise Fail(40033)
    stored.data["flags"] |= CROSSPOSTED
    return answer_json(shown(world, stored))


@route("POST", "/channels/{channel}/typing")
def trigger_typing(call: Call) -> Answer:
    """Show the bot as typing."""
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "SEND_MESSAGES")
    if channel["type"] in FORUMS:
        raise Fail(50008)
    return _NO_CONTENT


def emoji_of(call: Call) -> str:
    """Return the emoji of a path, name:id or a unicode one; Fail 10014."""
    emoji = unquote(call.ids["emoji"])
    name, colon, identity = emoji.partition(":")
    if (colon and name and identity.isdigit()) or (not colon and not emoji.isascii()):
        return emoji
    raise Fail(10014)
