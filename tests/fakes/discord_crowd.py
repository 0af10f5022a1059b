"""Members, bans and roles of a guild."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes import discord_rules as rules
from tests.fakes.discord_errors import Fail, Form, bad_field
from tests.fakes.discord_routing import Call, route
from tests.fakes.discord_state import PERMISSIONS, Json, World
from tests.fakes.loopback import Answer, answer_json

_NO_CONTENT = Answer(status=204)
_MEMBER = "/guilds/{guild}/members/{member}"
_LONGEST_TIMEOUT = timedelta(days=28)


def add_member(world: World, guild_id: str, name: str) -> Json:
    """Add a member to a guild and return it."""
    user = world.user(name)
    member: Json = {
        "user": user,
        "nick": None,
        "roles": [],
        "avatar": None,
        "joined_at": world.stamp(),
        "premium_since": None,
        "pending": False,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "communication_disabled_until": None,
    }
    world.things("members", guild_id)[user["id"]] = member
    return member


def _member(call: Call) -> Json:
    found = call.world.things("members", call.ids["guild"]).get(call.ids["member"])
    if found is None:
        raise Fail(10007)
    return found


def page_of(call: Call, entries: dict[str, Json], *, most: int, default: int) -> list[Json]:
    """Return the entries after an id, in the order of their ids."""
    limit = rules.whole_number(
        "limit", call.request.first("limit"), least=1, most=most, default=default
    )
    after = int(call.request.first("after") or 0)
    ids = sorted(int(one) for one in entries if int(one) > after)[:limit]
    return [entries[str(one)] for one in ids]


@route("GET", "/guilds/{guild}/members")
def list_members(call: Call) -> Answer:
    """Return up to 1000 members after an id; one unless told."""
    call.world.guild(call.ids["guild"])
    members = call.world.things("members", call.ids["guild"])
    return answer_json(page_of(call, members, most=1000, default=1))


@route("GET", _MEMBER)
def get_member(call: Call) -> Answer:
    """Return a member; the bot itself is one, too."""
    call.world.guild(call.ids["guild"])
    if call.ids["member"] == call.world.bot["id"]:
        return answer_json({"user": call.world.bot, "roles": [], "nick": None, "flags": 0})
    return answer_json(_member(call))


@route("PATCH", _MEMBER)
def edit_member(call: Call) -> Answer:
    """Change a member; each field needs a permission of its own."""
    needed = {
        "nick": "MANAGE_NICKNAMES",
        "roles": "MANAGE_ROLES",
        "communication_disabled_until": "MODERATE_MEMBERS",
    }
    call.world.guild(call.ids["guild"])
    for name, permission in needed.items():
        if name in call.body:
            call.world.require_in_guild(call.ids["guild"], permission)
    member = _member(call)
    form = Form()
    form.too_long("nick", call.body.get("nick"), 32)
    form.finish()
    until = call.body.get("communication_disabled_until")
    if until is not None:
        latest = datetime.fromtimestamp(call.world.now(), UTC) + _LONGEST_TIMEOUT
        if datetime.fromisoformat(until) > latest:
            raise bad_field("communication_disabled_until", "INVALID_DATE", "Too far away")
    member |= {name: value for name, value in call.body.items() if name in member}
    return answer_json(member)


@route("DELETE", _MEMBER)
def remove_member(call: Call) -> Answer:
    """Kick."""
    call.world.require_in_guild(call.ids["guild"], "KICK_MEMBERS")
    _member(call)
    del call.world.things("members", call.ids["guild"])[call.ids["member"]]
    return _NO_CONTENT


@route("GET", "/guilds/{guild}/bans")
def list_bans(call: Call) -> Answer:
    """Return up to 1000 bans after a user."""
    call.world.require_in_guild(call.ids["guild"], "BAN_MEMBERS")
    bans = call.world.things("bans", call.ids["guild"])
    return answer_json(page_of(call, bans, most=1000, default=1000))


@route("PUT", "/guilds/{guild}/bans/{member}")
def create_ban(call: Call) -> Answer:
    """Ban, and delete what they wrote in the last seconds."""
    call.world.require_in_guild(call.ids["guild"], "BAN_MEMBERS")
    seconds = call.body.get("delete_message_seconds")
    rules.whole_number("delete_message_seconds", seconds, least=0, most=604800, default=0)
    members = call.world.things("members", call.ids["guild"])
    user = members.pop(call.ids["member"], {}).get("user") or {"id": call.ids["member"]}
    bans = call.world.things("bans", call.ids["guild"])
    reason = call.request.headers.get("x-audit-log-reason")
    bans[call.ids["member"]] = {"user": user, "reason": reason}
    return _NO_CONTENT


@route("DELETE", "/guilds/{guild}/bans/{member}")
def remove_ban(call: Call) -> Answer:
    """Lift a ban."""
    call.world.require_in_guild(call.ids["guild"], "BAN_MEMBERS")
    if call.world.things("bans", call.ids["guild"]).pop(call.ids["member"], None) is None:
        raise Fail(10026)
    return _NO_CONTENT


def _role(guild: Json, role_id: str) -> Json:
    for role in guild["roles"]:
        if role["id"] == role_id:
            return role  # type: ignore[no-any-return]  # the world is made of JSON
    raise Fail(10011)


@route("GET", "/guilds/{guild}/roles")
def list_roles(call: Call) -> Answer:
    """Return the roles of a guild."""
    return answer_json(call.world.guild(call.ids["guild"])["roles"])


@route("GET", "/guilds/{guild}/roles/{role}")
def get_role(call: Call) -> Answer:
    """Return a role."""
    return answer_json(_role(call.world.guild(call.ids["guild"]), call.ids["role"]))


@route("POST", "/guilds/{guild}/roles")
def create_role(call: Call) -> Answer:
    """Add a role."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_ROLES")
    role: dict[str, Any] = {
        "id": call.world.new_id(),
        "name": "new role",
        "color": 0,
        "hoist": False,
        "position": len(guild["roles"]),
        "permissions": "0",
        "managed": False,
        "mentionable": False,
    }
    _change_role(role, call.body)
    guild["roles"].append(role)
    return answer_json(role)


def _change_role(role: Json, body: Json) -> None:
    form = Form()
    form.too_long("name", body.get("name"), 100)
    permissions = body.get("permissions", "0")
    if not str(permissions).isdigit() or int(permissions) >= 1 << 64:
        form.wrong("permissions", "NUMBER_TYPE_COERCE", "is no set of permissions")
    form.finish()
    rules.whole_number("color", body.get("color"), least=0, most=0xFFFFFF, default=0)
    role |= {name: value for name, value in body.items() if name in role and name != "id"}


@route("PATCH", "/guilds/{guild}/roles/{role}")
def edit_role(call: Call) -> Answer:
    """Change a role."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_ROLES")
    role = _role(guild, call.ids["role"])
    _change_role(role, call.body)
    return answer_json(role)


@route("DELETE", "/guilds/{guild}/roles/{role}")
def delete_role(call: Call) -> Answer:
    """Delete a role."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_ROLES")
    guild["roles"].remove(_role(guild, call.ids["role"]))
    return _NO_CONTENT


@route("PUT", _MEMBER + "/roles/{role}")
def assign_role(call: Call) -> Answer:
    """Give a member a role."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_ROLES")
    role, member = _role(guild, call.ids["role"]), _member(call)
    member["roles"] = [*dict.fromkeys([*member["roles"], role["id"]])]
    return _NO_CONTENT


@route("DELETE", _MEMBER + "/roles/{role}")
def take_role(call: Call) -> Answer:
    """Take a role from a member."""
    guild = call.world.require_in_guild(call.ids["guild"], "MANAGE_ROLES")
    role, member = _role(guild, call.ids["role"]), _member(call)
    member["roles"] = [one for one in member["roles"] if one != role["id"]]
    return _NO_CONTENT


def all_permissions_but(*names: str) -> str:
    """Return a set of permissions without some, as a role holds it."""
    bits = (1 << 53) - 1
    for name in names:
        bits &= ~PERMISSIONS[name]
    return str(bits)
