"""Threads' members and lists, overwrites, invites, events, and what else a guild has."""

from typing import Any

from tests.fakes.discord_errors import Fail, Form, bad_field
from tests.fakes.discord_routing import Call, route
from tests.fakes.discord_state import THREADS, Json
from tests.fakes.loopback import Answer, answer_json

_NO_CONTENT = Answer(status=204)
_EVENT = "/guilds/{guild}/scheduled-events/{event}"


def _threads(call: Call, **wanted: Any) -> list[Json]:
    return [
        one
        for one in call.world.channels.values()
        if one["type"] in THREADS and all(one.get(key) == value for key, value in wanted.items())
    ]


@route("GET", "/guilds/{guild}/threads/active")
def list_active_threads(call: Call) -> Answer:
    """Return the threads of a guild that are not archived."""
    guild = call.world.guild(call.ids["guild"])
    found = _threads(call, guild_id=guild["id"])
    active = [one for one in found if not one["thread_metadata"]["archived"]]
    return answer_json({"threads": active, "members": []})


@route("GET", "/channels/{channel}/threads/archived/public")
def list_archived_threads(call: Call) -> Answer:
    """Return archived threads, the last archived first."""
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "READ_MESSAGE_HISTORY")
    found = [
        one for one in _threads(call, parent_id=channel["id"]) if one["thread_metadata"]["archived"]
    ]
    found.sort(key=lambda one: str(one["thread_metadata"]["archive_timestamp"]), reverse=True)
    if before := call.request.first("before"):
        found = [one for one in found if one["thread_metadata"]["archive_timestamp"] < before]
    limit = int(call.request.first("limit") or 50)
    return answer_json({"threads": found[:limit], "members": [], "has_more": len(found) > limit})


def _thread(call: Call) -> Json:
    channel = call.world.channel(call.ids["channel"])
    if channel["type"] not in THREADS:
        raise Fail(50024)
    return channel


@route("PUT", "/channels/{channel}/thread-members/{user}")
def add_thread_member(call: Call) -> Answer:
    """Join (@me) or bring somebody in."""
    thread = _thread(call)
    if call.ids["user"] != "@me":
        call.world.require(thread, "SEND_MESSAGES_IN_THREADS")
    call.world.things("thread", thread["id"])[call.ids["user"]] = {}
    return _NO_CONTENT


@route("DELETE", "/channels/{channel}/thread-members/{user}")
def remove_thread_member(call: Call) -> Answer:
    """Leave (@me) or put somebody out."""
    thread = _thread(call)
    if call.ids["user"] != "@me":
        call.world.require(thread, "MANAGE_THREADS")
    call.world.things("thread", thread["id"]).pop(call.ids["user"], None)
    return _NO_CONTENT


@route("PUT", "/channels/{channel}/permissions/{overwrite}")
def set_overwrite(call: Call) -> Answer:
    """Allow and deny a role (0) or member (1) something in a channel."""
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "MANAGE_ROLES")
    form = Form()
    if call.body.get("type") not in (0, 1):
        form.wrong("type", "BASE_TYPE_CHOICES", "Value must be one of (0, 1).")
    for name in ("allow", "deny"):
        if not str(call.body.get(name, "0")).isdigit():
            form.wrong(name, "NUMBER_TYPE_COERCE", "is no set of permissions")
    form.finish()
    identity = call.ids["overwrite"]
    others = [one for one in channel["permission_overwrites"] if one["id"] != identity]
    mine = {"id": identity, "allow": "0", "deny": "0", **call.body}
    channel["permission_overwrites"] = [*others, mine]
    return _NO_CONTENT


@route("DELETE", "/channels/{channel}/permissions/{overwrite}")
def delete_overwrite(call: Call) -> Answer:
    """Forget an overwrite."""
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "MANAGE_ROLES")
    kept = [one for one in channel["permission_overwrites"] if one["id"] != call.ids["overwrite"]]
    channel["permission_overwrites"] = kept
    return _NO_CONTENT


@route("POST", "/channels/{channel}/invites")
def create_invite(call: Call) -> Answer:
    """Make an invite."""
    channel = call.world.channel(call.ids["channel"])
    call.world.require(channel, "CREATE_INSTANT_INVITE")
    code = f"inv{call.world.new_id()[-6:]}"
    invite = {
        "code": code,
        "channel": {"id": channel["id"], "name": channel["name"]},
        "inviter": call.world.bot,
        "max_age": call.body.get("max_age", 86400),
        "max_uses": call.body.get("max_uses", 0),
        "temporary": call.body.get("temporary", False),
        "uses": 0,
        "expires_at": None,
    }
    call.world.things("invites", channel["guild_id"])[code] = invite
    return answer_json(invite)


@route("GET", "/invites/{code}")
def get_invite(call: Call) -> Answer:
    """Return an invite; anybody may look at one."""
    for (kind, _), kept in call.world.kept.items():
        if kind == "invites" and call.ids["code"] in kept:
            return answer_json(kept[call.ids["code"]])
    raise Fail(10006)


@route("DELETE", "/invites/{code}")
def delete_invite(call: Call) -> Answer:
    """Take an invite back."""
    for (kind, guild), kept in call.world.kept.items():
        if kind == "invites" and call.ids["code"] in kept:
            call.world.require_in_guild(guild, "MANAGE_CHANNELS")
            return answer_json(kept.pop(call.ids["code"]))
    raise Fail(10006)


@route("GET", "/guilds/{guild}/invites")
def list_invites(call: Call) -> Answer:
    """Return the invites of a guild."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_GUILD")
    return answer_json([*call.world.things("invites", guild["id"]).values()])


@route("GET", "/guilds/{guild}/webhooks")
def list_webhooks(call: Call) -> Answer:
    """Return the webhooks of a guild, tokens and all."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_WEBHOOKS")
    hooks = [one for one in call.world.webhooks.values() if one["guild_id"] == guild["id"]]
    return answer_json(hooks)


@route("GET", "/guilds/{guild}/integrations")
def list_integrations(call: Call) -> Answer:
    """Return the integrations of a guild."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_GUILD")
    return answer_json([*call.world.things("integrations", guild["id"]).values()])


@route("GET", "/guilds/{guild}/emojis")
def list_emojis(call: Call) -> Answer:
    """Return the emojis of a guild."""
    return answer_json(call.world.guild(call.ids["guild"])["emojis"])


@route("GET", "/guilds/{guild}/stickers")
def list_stickers(call: Call) -> Answer:
    """Return the stickers of a guild."""
    guild = call.world.guild(call.ids["guild"])
    return answer_json([*call.world.things("stickers", guild["id"]).values()])


@route("GET", "/guilds/{guild}/regions")
def list_regions(call: Call) -> Answer:
    """Return the voice regions of a guild."""
    call.world.guild(call.ids["guild"])
    one = {"id": "rotterdam", "name": "Rotterdam", "optimal": True}
    return answer_json([one | {"deprecated": False, "custom": False}])


@route("GET", "/guilds/{guild}/scheduled-events")
def list_events(call: Call) -> Answer:
    """Return the events of a guild."""
    guild = call.world.guild(call.ids["guild"])
    return answer_json([*call.world.things("events", guild["id"]).values()])


@route("POST", "/guilds/{guild}/scheduled-events")
def create_event(call: Call) -> Answer:
    """Add an event; an external one needs a place and an end."""
    guild = call.world.require_in_guild(call.ids["guild"], "CREATE_EVENTS")
    body = call.body
    form = Form()
    for name in ("name", "privacy_level", "scheduled_start_time", "entity_type"):
        if not body.get(name):
            form.wrong(name, "BASE_TYPE_REQUIRED", "This field is required")
    if body.get("entity_type") == 3:
        if not (body.get("entity_metadata") or {}).get("location"):
            form.wrong("entity_metadata.location", "BASE_TYPE_REQUIRED", "This field is required")
        if not body.get("scheduled_end_time"):
            form.wrong("scheduled_end_time", "BASE_TYPE_REQUIRED", "This field is required")
    form.too_long("name", body.get("name"), 100)
    form.too_long("description", body.get("description"), 1000)
    form.finish()
    event = {"id": call.world.new_id(), "status": 1, "description": None, "user_count": 0, **body}
    call.world.things("events", guild["id"])[event["id"]] = event
    return answer_json(event)


def _event(call: Call) -> Json:
    found = call.world.things("events", call.ids["guild"]).get(call.ids["event"])
    if found is None:
        raise Fail(10070)
    return found


@route("GET", _EVENT)
def get_event(call: Call) -> Answer:
    """Return an event."""
    call.world.guild(call.ids["guild"])
    return answer_json(_event(call))


@route("PATCH", _EVENT)
def edit_event(call: Call) -> Answer:
    """Change an event."""
    call.world.require_in_guild(call.ids["guild"], "MANAGE_EVENTS")
    event = _event(call)
    if "id" in call.body:
        raise bad_field("id", "BASE_TYPE_READ_ONLY", "cannot be changed")
    event |= call.body
    return answer_json(event)


@route("DELETE", _EVENT)
def delete_event(call: Call) -> Answer:
    """Delete an event."""
    call.world.require_in_guild(call.ids["guild"], "MANAGE_EVENTS")
    del call.world.things("events", call.ids["guild"])[_event(call)["id"]]
    return _NO_CONTENT
