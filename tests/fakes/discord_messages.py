"""Messages: create, read, edit, delete, crosspost, react, pin."""

from typing import Any
from urllib.parse import unquote

from tests.fakes import discord_rules as rules
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
    check_rights(call, channel)
    stored = write(
        call,
        channel=channel,
        author=world.bot,
        default_mentions=rules.EVERY_MENTION,
        may_everyone=world.may(channel, "MENTION_EVERYONE"),
    )
    answer = shown(world, stored)
    return answer_json(answer if nonce is None else {**answer, "nonce": nonce})


def check_rights(call: Call, channel: Json) -> None:
    """Raise Fail if a form needs permissions beyond writing that the bot lacks."""
    world, body = call.world, call.body
    if call.files:
        world.require(channel, "ATTACH_FILES")
    if body.get("poll"):
        world.require(channel, "SEND_POLLS")
    reference = body.get("message_reference")
    if not reference or reference.get("type"):
        return
    if not world.may(channel, "READ_MESSAGE_HISTORY"):
        raise Fail(160002)
    known = str(reference.get("message_id")) in world.messages[channel["id"]]
    if not known and reference.get("fail_if_not_exists", True):
        raise bad_field("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")


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
    """Store the form of a call as a new message; Fail 50006 if it is empty, 50045 if too large."""
    world, body = call.world, call.body
    text = rules.stored_text(body.get("content"))
    if not rules.has_something({**body, "content": text}, call.files):
        raise Fail(50006)
    if not rules.check_files(call.files):
        raise Fail(50045)
    everyone, users, roles = rules.mentioned(
        text, body.get("allowed_mentions"), default=default_mentions, may_everyone=may_everyone
    )
    data = world.draft(channel["id"], author=author, text=text)
    data |= {
        "id": message_id or data["id"],
        "type": 19 if body.get("message_reference") else 0,
        "tts": bool(body.get("tts")),
        "mention_everyone": everyone,
        "mentions": [world.user(f"user{one}", id=one) for one in users],
        "mention_roles": roles,
        "attachments": _attachments(call, channel["id"]),
        "embeds": [{"type": "rich", **one} for one in body.get("embeds") or []],
        "components": body.get("components") or [],
        "flags": body.get("flags") or 0,
        **({"poll": body["poll"]} if body.get("poll") else {}),
        **_reference(body, channel),
        **more,
    }
    nonce = body.get("nonce")
    stored = Stored(data=data, nonce=None if nonce is None else str(nonce), created=world.now())
    world.keep(stored)
    return stored


def _reference(body: Json, channel: Json) -> Json:
    reference = body.get("message_reference")
    if not reference:
        return {}
    return {"message_reference": {"channel_id": channel["id"], "type": 0, **reference}}


def _attachments(call: Call, channel_id: str) -> list[Json]:
    told = {f"files[{one['id']}]": one for one in call.body.get("attachments") or []}
    made = []
    for field, (sent_as, content) in call.files.items():
        identity, about = call.world.new_id(), told.get(field, {})
        name = about.get("filename", sent_as)
        url = (
            f"https://cdn.discordapp.com/attachments/{channel_id}/{identity}/{name}?ex=0&is=0&hm=0"
        )
        one = {"id": identity, "filename": name, "size": len(content), "url": url, "proxy_url": url}
        if "description" in about:
            one["description"] = about["description"]
        made.append(one)
    return made


def shown(world: World, stored: Stored, *, reading: bool = False) -> Json:
    """Return a message as the API shows it; when read, others' contents need an intent."""
    data = dict(stored.data)
    if stored.reactors:
        data["reactions"] = [_count(world, emoji, who) for emoji, who in stored.reactors.items()]
    mine = data["author"]["id"] == world.bot["id"]
    called = any(one["id"] == world.bot["id"] for one in data["mentions"])
    if reading and not (mine or called or world.message_content_intent):
        data.update(content="", embeds=[], attachments=[], components=[])
        data.pop("poll", None)
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
    marks = {name: call.request.first(name) for name in ("before", "after", "around")}
    given = {name: value for name, value in marks.items() if value}
    if len(given) > 1:
        words = "before, after and around are mutually exclusive"
        raise bad_field("", "BASE_TYPE_EXCLUSIVE", words)
    for name, value in given.items():
        rules.check_snowflake(name, value)
    if not world.may(channel, "READ_MESSAGE_HISTORY"):
        return answer_json([])
    ids = sorted(int(one) for one in world.messages[channel["id"]])
    kept = _page(ids, limit=limit, **{name: int(value) for name, value in given.items()})
    messages = [world.message(channel["id"], str(one)) for one in reversed(kept)]
    return answer_json([shown(world, one, reading=True) for one in messages])


def _page(
    ids: list[int], *, limit: int, before: int = 0, after: int = 0, around: int = 0
) -> list[int]:
    if after:
        return [one for one in ids if one > after][:limit]
    if around:
        earlier = [one for one in ids if one < around][-(limit // 2) :] if limit > 1 else []
        rest = [one for one in ids if one >= around]
        return earlier + rest[: limit - len(earlier)]
    return [one for one in ids if not before or one < before][-limit:]


@route("GET", "/channels/{channel}/messages/pins")
def get_pins(call: Call) -> Answer:
    """Return the pinned messages, the last pinned first."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    if not world.may(channel, "READ_MESSAGE_HISTORY"):
        return answer_json({"items": [], "has_more": False})
    items = [
        {"pinned_at": one.data["timestamp"], "message": shown(world, one, reading=True)}
        for one in reversed(world.messages[channel["id"]].values())
        if one.data["pinned"]
    ]
    return answer_json({"items": items, "has_more": False})


@route("GET", "/channels/{channel}/pins")
def get_pins_deprecated(call: Call) -> Answer:
    """Return the pinned messages in the older form, a plain list."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    pinned = [one for one in world.messages[channel["id"]].values() if one.data["pinned"]]
    return answer_json([shown(world, one, reading=True) for one in reversed(pinned)])


@route("PUT", "/channels/{channel}/messages/pins/{message}")
def pin_message(call: Call) -> Answer:
    """Pin a message; 250 at most in a channel."""
    return _pin(call, pinned=True)


@route("DELETE", "/channels/{channel}/messages/pins/{message}")
def unpin_message(call: Call) -> Answer:
    """Unpin a message."""
    return _pin(call, pinned=False)


@route("PUT", "/channels/{channel}/pins/{message}")
def pin_message_deprecated(call: Call) -> Answer:
    """Pin a message by the older path."""
    return _pin(call, pinned=True)


@route("DELETE", "/channels/{channel}/pins/{message}")
def unpin_message_deprecated(call: Call) -> Answer:
    """Unpin a message by the older path."""
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
    return answer_json(shown(call.world, stored, reading=True))


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
    if world.old_edits_allowed is not None and world.now() - stored.created > 3600:
        world.old_edits += 1
        if world.old_edits > world.old_edits_allowed:
            raise Fail(30046, retry_after=60.0)
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
    for name in ("embeds", "components"):
        if name in body:
            changed[name] = body[name] or []
    if "attachments" in body:
        kept = {str(one.get("id")) for one in body["attachments"] or []}
        changed["attachments"] = [one for one in changed["attachments"] if one["id"] in kept]
    changed["attachments"] = changed["attachments"] + _attachments(call, changed["channel_id"])
    if not rules.has_something(changed, {one["id"]: one for one in changed["attachments"]}):
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
