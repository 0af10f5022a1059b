"""The bot itself, guilds, channels, threads and webhooks."""

import re
from typing import Any

from tests.fakes import discord_rules as rules
from tests.fakes.discord_errors import Fail, Form
from tests.fakes.discord_messages import change, shown, write
from tests.fakes.discord_routing import Call, route
from tests.fakes.discord_state import FORUMS, HAS_THREAD, THREADS, Json, Stored
from tests.fakes.loopback import Answer, answer_json

_NO_CONTENT = Answer(status=204)
_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)
_CHANNEL_FIELDS = (
    "name",
    "topic",
    "nsfw",
    "parent_id",
    "position",
    "rate_limit_per_user",
    "permission_overwrites",
    "available_tags",
    "flags",
)


@route("GET", "/users/@me")
def get_me(call: Call) -> Answer:
    """Return the bot's own user."""
    return answer_json({**call.world.bot, "verified": True, "mfa_enabled": False, "flags": 0})


@route("GET", "/guilds/{guild}")
def get_guild(call: Call) -> Answer:
    """Return a guild."""
    guild = dict(call.world.guild(call.ids["guild"]))
    if call.request.first("with_counts").lower() in {"true", "1"}:
        guild |= {"approximate_member_count": 42, "approximate_presence_count": 7}
    return answer_json(guild)


@route("GET", "/guilds/{guild}/channels")
def get_guild_channels(call: Call) -> Answer:
    """Return the channels of a guild, without its threads."""
    guild = call.world.guild(call.ids["guild"])
    channels = [
        one
        for one in call.world.channels.values()
        if one["guild_id"] == guild["id"] and one["type"] not in THREADS
    ]
    return answer_json(channels)


@route("POST", "/guilds/{guild}/channels")
def create_guild_channel(call: Call) -> Answer:
    """Add a channel; names of text channels become lower case with hyphens."""
    world, body = call.world, call.body
    guild = world.guild(call.ids["guild"])
    if not any(world.may(one, "MANAGE_CHANNELS") for one in world.channels.values()):
        raise Fail(50013)
    _check_channel(body, needs_name=True)
    kind = body.get("type") or 0
    more = {name: body[name] for name in _CHANNEL_FIELDS[1:] if body.get(name) is not None}
    channel = world.add_channel(_named(body["name"], kind), guild=guild["id"], type=kind, **more)
    return answer_json(channel, status=201)


def _named(name: str, kind: int) -> str:
    return re.sub(r"\s+", "-", name.strip().lower()) if kind in {0, 5, *FORUMS} else name.strip()


def _check_channel(body: Json, *, needs_name: bool) -> None:
    form = Form()
    name = body.get("name")
    if needs_name and not str(name or "").strip():
        form.wrong("name", "BASE_TYPE_REQUIRED", "This field is required")
    form.too_long("name", name, 100)
    form.too_long("topic", body.get("topic"), 1024)
    form.finish()
    rules.whole_number(
        "rate_limit_per_user", body.get("rate_limit_per_user"), least=0, most=21600, default=0
    )


@route("GET", "/channels/{channel}")
def get_channel(call: Call) -> Answer:
    """Return a channel or thread."""
    return answer_json(call.world.channel(call.ids["channel"]))


@route("PATCH", "/channels/{channel}")
def edit_channel(call: Call) -> Answer:
    """Change a channel, or archive, lock and rename a thread."""
    world, body = call.world, call.body
    channel = world.channel(call.ids["channel"])
    thread = channel["type"] in THREADS
    world.require(channel, "MANAGE_THREADS" if thread else "MANAGE_CHANNELS")
    _check_channel(body, needs_name="name" in body)
    for name in _CHANNEL_FIELDS:
        if name in body:
            channel[name] = body[name]
    if "name" in body:
        channel["name"] = _named(body["name"], channel["type"])
    if thread:
        names = ("archived", "locked", "auto_archive_duration", "invitable")
        channel["thread_metadata"] |= {name: body[name] for name in names if name in body}
    return answer_json(channel)


@route("DELETE", "/channels/{channel}")
def delete_channel(call: Call) -> Answer:
    """Delete a channel or thread and what is in it; the answer is the channel that was."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    thread = channel["type"] in THREADS
    world.require(channel, "MANAGE_THREADS" if thread else "MANAGE_CHANNELS")
    for one in [*world.channels.values()]:
        if one["id"] == channel["id"] or (
            one["type"] in THREADS and one["parent_id"] == channel["id"]
        ):
            del world.channels[one["id"]]
            del world.messages[one["id"]]
    return answer_json(channel)


@route("POST", "/channels/{channel}/messages/{message}/threads")
def start_thread_from_message(call: Call) -> Answer:
    """Open the one thread of a message; its id is the message's."""
    world = call.world
    channel = world.channel(call.ids["channel"])
    world.require(channel, "CREATE_PUBLIC_THREADS")
    stored = world.message(channel["id"], call.ids["message"])
    _check_thread(call.body)
    if channel["type"] not in {0, 5}:
        raise Fail(50024)
    if stored.data["flags"] & HAS_THREAD:
        raise Fail(160004)
    stored.data["flags"] |= HAS_THREAD
    kind = 10 if channel["type"] == 5 else 11
    return answer_json(_thread(call, channel, kind=kind, id=stored.data["id"]), status=201)


@route("POST", "/channels/{channel}/threads")
def start_thread(call: Call) -> Answer:
    """Open a thread without a message (private unless told), or a post in a forum."""
    world, body = call.world, call.body
    channel = world.channel(call.ids["channel"])
    _check_thread(body)
    if channel["type"] in FORUMS:
        return _forum_post(call, channel)
    if channel["type"] not in {0, 5}:
        raise Fail(50024)
    kind = body.get("type", 12)
    world.require(channel, "CREATE_PRIVATE_THREADS" if kind == 12 else "CREATE_PUBLIC_THREADS")
    return answer_json(_thread(call, channel, kind=kind), status=201)


def _check_thread(body: Json) -> None:
    form = Form()
    if not str(body.get("name") or "").strip():
        form.wrong("name", "BASE_TYPE_REQUIRED", "This field is required")
    form.too_long("name", body.get("name"), 100)
    if body.get("auto_archive_duration", 1440) not in _ARCHIVE_MINUTES:
        words = f"Value must be one of {_ARCHIVE_MINUTES}."
        form.wrong("auto_archive_duration", "BASE_TYPE_CHOICES", words)
    form.too_many("applied_tags", body.get("applied_tags"), 5)
    form.finish()
    _check_channel(body, needs_name=False)


def _thread(call: Call, channel: Json, *, kind: int, **more: Any) -> Json:
    world, body = call.world, call.body
    metadata = {
        "archived": False,
        "locked": False,
        "auto_archive_duration": body.get("auto_archive_duration", 1440),
        "archive_timestamp": world.stamp(),
    }
    return world.add_channel(
        body["name"].strip(),
        guild=channel["guild_id"],
        type=kind,
        parent_id=channel["id"],
        owner_id=world.bot["id"],
        message_count=0,
        member_count=1,
        thread_metadata=metadata,
        rate_limit_per_user=body.get("rate_limit_per_user") or 0,
        **more,
    )


def _forum_post(call: Call, channel: Json) -> Answer:
    world, body = call.world, call.body
    world.require(channel, "SEND_MESSAGES")
    inner = body.get("message")
    if not isinstance(inner, dict):
        form = Form()
        form.wrong("message", "BASE_TYPE_REQUIRED", "This field is required")
        form.finish()
    rules.check_message(inner)
    if channel["flags"] & (1 << 4) and not body.get("applied_tags"):
        raise Fail(40067)
    thread = _thread(call, channel, kind=11, applied_tags=body.get("applied_tags") or [])
    form_of_message = Call(world=world, request=call.request, ids=call.ids, body=inner)
    may_everyone = world.may(channel, "MENTION_EVERYONE")
    try:
        stored = write(
            form_of_message,
            channel=thread,
            author=world.bot,
            default_mentions=rules.EVERY_MENTION,
            may_everyone=may_everyone,
            message_id=thread["id"],
        )
    except Fail:
        del world.channels[thread["id"]], world.messages[thread["id"]]
        raise
    return answer_json({**thread, "message": shown(world, stored)}, status=201)


@route("GET", "/webhooks/{webhook}/{token}")
def get_webhook(call: Call) -> Answer:
    """Return a webhook by its secret."""
    return answer_json(_webhook(call))


@route("POST", "/webhooks/{webhook}/{token}")
def execute_webhook(call: Call) -> Answer:
    """Write as a webhook: the message with wait=true, else 204 whatever becomes of it."""
    world, body = call.world, call.body
    webhook = _webhook(call)
    _check_name(body)
    rules.check_message({name: value for name, value in body.items() if name != "nonce"})
    channel = _target(call, webhook)
    author = {**world.user(body.get("username") or webhook["name"], bot=True, id=webhook["id"])}
    stored = write(
        Call(
            world=world,
            request=call.request,
            ids=call.ids,
            body={name: value for name, value in body.items() if name != "nonce"},
        ),
        channel=channel,
        author=author,
        default_mentions=rules.WEBHOOK_MENTIONS,
        may_everyone=True,
        webhook_id=webhook["id"],
    )
    if call.request.first("wait").lower() not in {"true", "1"}:
        return _NO_CONTENT
    return answer_json(shown(world, stored))


def _check_name(body: Json) -> None:
    form = Form()
    name = body.get("username")
    form.too_long("username", name, 80)
    for word in ("clyde", "discord"):
        if word in str(name or "").lower():
            words = f'Username cannot contain "{word}"'
            form.wrong("username", "USERNAME_INVALID_CONTAINS", words)
    form.finish()


def _webhook(call: Call) -> Json:
    webhook = call.world.webhooks.get(call.ids["webhook"])
    if webhook is None or webhook["channel_id"] not in call.world.channels:
        raise Fail(10015)
    if webhook["token"] != call.ids["token"]:
        raise Fail(50027)
    return webhook


def _target(call: Call, webhook: Json) -> Json:
    """Return the channel or thread that a webhook's message goes to."""
    world = call.world
    channel = world.channels[webhook["channel_id"]]
    thread_id, name = call.request.first("thread_id"), call.body.get("thread_name")
    if channel["type"] in FORUMS and bool(thread_id) == bool(name):
        raise Fail(220002 if name else 220001)
    if name and channel["type"] not in FORUMS:
        raise Fail(220003)
    if name:
        named = Call(world=world, request=call.request, ids=call.ids, body={"name": name})
        return _thread(named, channel, kind=11)
    if not thread_id:
        return channel
    thread = world.channels.get(thread_id)
    if thread is None or thread.get("parent_id") != channel["id"]:
        raise Fail(10003)
    return thread


def _written(call: Call) -> tuple[str, Stored]:
    webhook = _webhook(call)
    channel_id = call.request.first("thread_id") or webhook["channel_id"]
    if channel_id not in call.world.messages:
        raise Fail(10003)
    stored = call.world.message(channel_id, call.ids["message"])
    if stored.data.get("webhook_id") != webhook["id"]:
        raise Fail(10008)
    return channel_id, stored


@route("GET", "/webhooks/{webhook}/{token}/messages/{message}")
def get_webhook_message(call: Call) -> Answer:
    """Return a message that this webhook wrote."""
    return answer_json(shown(call.world, _written(call)[1]))


@route("PATCH", "/webhooks/{webhook}/{token}/messages/{message}")
def edit_webhook_message(call: Call) -> Answer:
    """Change a message that this webhook wrote."""
    _, stored = _written(call)
    rules.check_message(call.body)
    change(call, stored, default_mentions=rules.WEBHOOK_MENTIONS, may_everyone=True)
    return answer_json(shown(call.world, stored))


@route("DELETE", "/webhooks/{webhook}/{token}/messages/{message}")
def delete_webhook_message(call: Call) -> Answer:
    """Delete a message that this webhook wrote."""
    channel_id, stored = _written(call)
    del call.world.messages[channel_id][stored.data["id"]]
    return _NO_CONTENT
