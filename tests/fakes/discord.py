"""Discord's REST API v10 over loopback.

    with FakeDiscord() as discord:
        post(f"{discord.api}/channels/{discord.channel}/messages", ...)
        assert discord.contents() == ["hello"]

Scripted faults (discord_faults has the list) are used by one message created each, or by one
request each of the route named in `to`.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from tests.fakes import (
    discord_community,
    discord_crowd,
    discord_messages,
    discord_places,
    discord_reactions,
    discord_rules,
    discord_uploads,
)
from tests.fakes.discord_errors import Fail, bad_field, unauthorized
from tests.fakes.discord_faults import broken, happens_after, spoiled
from tests.fakes.discord_limits import Headers, Pair, RateLimits
from tests.fakes.discord_routing import Call, Route, find
from tests.fakes.discord_state import Stored, World
from tests.fakes.loopback import (
    Answer,
    LoopbackServer,
    Request,
    answer_json,
)

# Importing them fills ROUTES.
_HANDLERS = (
    discord_messages,
    discord_reactions,
    discord_places,
    discord_community,
    discord_crowd,
)
_VERSIONED = re.compile(r"/api/v(\d+)(/.*)$")
_AGENT = re.compile(r"DiscordBot \(\S+, ?[^()\s]+\)")
_SPECIAL_IDS = frozenset(("token", "emoji", "user", "code"))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as recorded; `status` is 0 if it got no answer."""

    method: str
    path: str
    route: str
    body: Any
    headers: Mapping[str, str]
    arrived: float  # monotonic seconds
    wall: float  # Unix seconds
    fault: str
    status: int


class FakeDiscord(LoopbackServer):
    """The server; see the module. It begins with one guild and one text channel.

    `limit` (requests, seconds) holds for every bucket, `route_limits` for single routes by name,
    `global_limit` is requests a second over all. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        *,
        token: str = "test-token",
        channel: str | None = None,
        guild: str | None = None,
        limit: Pair | None = None,
        route_limits: Mapping[str, Pair] | None = None,
        global_limit: int | None = None,
        nonce_window: float = 180.0,
        latency: float = 0.0,
        clock: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.token = token
        self.latency = latency
        self._new_world = partial(World, clock=clock, nonce_window=nonce_window)
        self._new_limits = partial(
            RateLimits,
            every=limit,
            routes=dict(route_limits or {}),
            overall=global_limit,
        )
        self._first = (guild, channel)
        self.reset()

    def reset(self) -> None:
        """Begin again with an empty world."""
        self.world = self._new_world()
        self.limits = self._new_limits()
        self.requests: list[Seen] = []
        self.canned: dict[tuple[str, str], tuple[int, Any]] = {}
        self.script.clear()
        guild, channel = self._first
        self.guild = self.world.add_guild("Studio", id=guild)
        self.channel: str = self.world.add_channel("general", guild=self.guild, id=channel)["id"]

    @property
    def api(self) -> str:
        """The base of the versioned API."""
        return f"{self.url}/api/v10"

    def add_channel(self, name: str = "more", *, type: int = 0, **more: Any) -> str:  # noqa: A002 - the API's word
        """Add a channel to the first guild and return its id."""
        with self.world.lock:
            channel: str = self.world.add_channel(name, guild=self.guild, type=type, **more)["id"]
            return channel

    def add_webhook(self, channel: str | None = None, *, name: str = "Easel") -> str:
        """Add a webhook and return its URL."""
        with self.world.lock:
            identity, token = self.world.new_id(), f"secret-{self.world.new_id()}"
            facts = {
                "id": identity,
                "type": 1,
                "token": token,
                "name": name,
                "guild_id": self.guild,
            }
            self.world.webhooks[identity] = {**facts, "channel_id": channel or self.channel}
            return f"{self.api}/webhooks/{identity}/{token}"

    def add_message(self, content: str, *, channel: str | None = None, by: str = "vera") -> str:
        """Let somebody else say something; return the message's id."""
        world = self.world
        with world.lock:
            data = world.draft(channel or self.channel, author=world.user(by), text=content)
            world.keep(Stored(data=data, created=world.now()))
            return str(data["id"])

    def deny(self, *permissions: str, channel: str | None = None) -> None:
        """Take permissions from the bot in a channel."""
        self.world.set_permissions(channel or self.channel, permissions, allowed=False)

    def allow(self, *permissions: str, channel: str | None = None) -> None:
        """Give permissions back."""
        self.world.set_permissions(channel or self.channel, permissions, allowed=True)

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """Return the messages of a channel as stored, oldest first."""
        with self.world.lock:
            found = self.world.messages.get(channel or self.channel, {}).values()
            return [discord_messages.shown(self.world, one) for one in found]

    def contents(self, channel: str | None = None) -> list[str]:
        """Return the texts of a channel, oldest first."""
        return [one["content"] for one in self.messages(channel)]

    def advance(self, seconds: float) -> None:
        """Move the clock of ids, nonces and limits forward."""
        self.world.advance(seconds)

    def sent(self, route: str = "create_message") -> list[Seen]:
        """Return the requests of one route."""
        return [one for one in self.requests if one.route == route]

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        version = _VERSIONED.match(request.path)
        path = version.group(2) if version else request.path
        route, ids, exists = find(request.method, path)
        fault, body = "", None
        try:
            _check_version(version.group(1) if version else "")
            answer, fault, body = self._answer(request, path, route, ids, exists=exists)
        except Fail as fail:
            answer = fail.answer()
        self._record(request, route, answer, fault=fault, body=body)
        return replace(answer, delay=answer.delay + self.latency)

    def _answer(
        self,
        request: Request,
        path: str,
        route: Route | None,
        ids: Mapping[str, str],
        *,
        exists: bool,
    ) -> tuple[Answer, str, Any]:
        if not _AGENT.match(request.headers.get("user-agent", "")):
            raise Fail(40333)
        knows = request.headers.get("authorization") == f"Bot {self.token}"
        if not knows and (route is None or route.needs_token):
            return unauthorized(), "", None
        if canned := self.canned.get((request.method, path)):
            return answer_json(canned[1], status=canned[0]), "", _loosely(request.body)
        if route is None:
            return _no_route(exists), "", None
        return self._routed(request, route, ids)

    def _routed(
        self, request: Request, route: Route, ids: Mapping[str, str]
    ) -> tuple[Answer, str, Any]:
        with self.world.lock:
            top = next(iter(ids.values()), "")
            headers, refused = self.limits.count(route.name, top, now=self.world.now())
        body = _loosely(request.body, form=discord_uploads.is_form(request) and request)
        if refused is not None:
            return refused, "", body
        names = (route.name, "") if route.name == "create_message" else (route.name,)
        fault = self.script.take(*names)
        if fault.startswith("wait:"):
            self.closing.wait(float(fault[5:]))
        elif fault and not happens_after(fault):
            return broken(fault), fault, body
        answer = self._carried_out(request, route, ids, headers)
        return spoiled(answer, fault), fault, body

    def _carried_out(
        self, request: Request, route: Route, ids: Mapping[str, str], headers: Headers
    ) -> Answer:
        """Do what the route does, under the world's lock."""
        try:
            form = _form_of(request)
            for name, value in ids.items():
                if name not in _SPECIAL_IDS:
                    discord_rules.check_snowflake(f"{name}_id", value)
            call = Call(world=self.world, request=request, ids=ids, body=form)
            with self.world.lock:
                answer = route.answer(call)
        except Fail as fail:
            answer = fail.answer()
        return replace(answer, headers=(*answer.headers, *headers))

    def _record(
        self, request: Request, route: Route | None, answer: Answer, *, fault: str, body: Any
    ) -> None:
        self.requests.append(
            Seen(
                method=request.method,
                path=request.path,
                route=route.name if route else "",
                body=body,
                headers=request.headers,
                arrived=request.arrived,
                wall=request.wall,
                fault=fault,
                status=0 if answer.ending else answer.status,
            )
        )


def _check_version(version: str) -> None:
    if version not in {"9", "10"}:  # the unversioned path is v6, long deprecated
        raise Fail(50041)


def _no_route(exists: bool) -> Answer:
    status, words = (405, "405: Method Not Allowed") if exists else (404, "404: Not Found")
    return answer_json({"message": words, "code": 0}, status=status)


def _loosely(body: bytes, *, form: Request | Literal[False] = False) -> Any:
    if form:
        return discord_uploads.form_of(form)
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _form_of(request: Request) -> Any:
    """Return the form; Fail 50035 for an unknown content type, 50109 for bad JSON."""
    if not request.body:
        return {}
    if discord_uploads.is_form(request):
        return discord_uploads.form_of(request)
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind.strip().lower() != "application/json":
        words = 'Expected "Content-Type" header to be one of application/json'
        raise bad_field("", "CONTENT_TYPE_INVALID", words)
    try:
        form = json.loads(request.body)
    except ValueError:
        raise Fail(50109) from None
    if not isinstance(form, dict):
        raise bad_field("", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    return form
