"""A Matrix homeserver over loopback, after the client-server specification: one room, one bot.

    with FakeMatrix() as server:
        ... base_url = server.url, channel = server.room, token = server.token

Scripted faults, under "send" (events), "upload" or "": "lose" (done, not answered), "500 after
storing", "hang up" (not done), a status ("503"), "429" or "429:SECONDS", "html", "nonsense".
"""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.fakes.loopback import Answer, LoopbackServer, Request, answer_html, answer_json

ROOM, ALIAS, BOT = "!garden:test.example", "#news:test.example", "@bot:test.example"
ENVELOPE = 1_500  # bytes of ids, hashes and signatures around the content
OLD = 1_700_000_000_000  # milliseconds, before every test


@dataclass
class RoomState:
    """What the room is like; tests change it."""

    is_encrypted: bool = False
    is_member: bool = True
    is_open: bool = True  # whoever wants to may join
    level: int = 0  # of the bot
    needed: int = 0
    version: str = "10"
    creator: str = "@admin:test.example"


@dataclass
class FakeMatrix(LoopbackServer):
    """The server; see the module.

    Args:
        keeps_transactions: Whether a transaction id is remembered; False: long ago by now.
        tells_transactions: Whether events come back with theirs.
        page: Most events of one page.
        now: Unix seconds that events are stamped with; None: the real time.
    """

    keeps_transactions: bool = True
    tells_transactions: bool = True
    page: int = 100
    now: Any = None
    token: str = "syt_bot"
    room: str = ROOM
    state: RoomState = field(default_factory=RoomState)

    def __post_init__(self):
        """Begin with a room in which others have spoken."""
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.uploads: list[tuple[str, bytes]] = []
        self.requests: list[Request] = []
        self._transactions: dict[str, str] = {}
        self._lock = threading.Lock()
        self.add({"msgtype": "m.text", "body": "welcome"}, sender="@admin:test.example", at=OLD)

    def add(self, content, *, sender=BOT, kind="m.room.message", transaction=None, at=None):
        """Add an event and return its id."""
        event = {
            "event_id": f"${len(self.events):08d}abc",
            "sender": sender,
            "type": kind,
            "content": content,
            "room_id": self.room,
            "origin_server_ts": at or int((self.now() if self.now else time.time()) * 1000),
            "unsigned": {},
        }
        if transaction and self.tells_transactions:
            event["unsigned"]["transaction_id"] = transaction
        self.events.append(event)
        return event["event_id"]

    def shown(self, msgtype="m.notice"):
        """Return the texts of a kind as clients show them: edited, without what was taken back."""
        edits: dict[str, Mapping[str, Any]] = {}
        for one in self.events:
            relation = one["content"].get("m.relates_to") or {}
            if relation.get("rel_type") == "m.replace":
                edits[relation["event_id"]] = one["content"]["m.new_content"]
        return [
            edits.get(one["event_id"], one["content"])["body"]
            for one in self.events
            if one["content"].get("msgtype") == msgtype and "m.new_content" not in one["content"]
        ]

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        with self._lock:
            self.requests.append(request)
            if request.path.endswith("/login"):
                return self._login(request.json())
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return _error(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.")
            parts = [unquote(part) for part in request.path.strip("/").split("/")]
            name = "upload" if "upload" in parts else "send" if "send" in parts else ""
            fault = self.script.take(name)
            if fault and fault not in {"lose", "500 after storing"}:
                return _broken(fault)
            answer = self._route(request, parts)
            if fault == "lose":
                return Answer(ending="close")
            return _error(500, "M_UNKNOWN", "Internal server error") if fault else answer

    def _route(self, request: Request, parts: list[str]) -> Answer:  # noqa: PLR0911 - a table of routes
        match [request.method, *parts]:
            case ["GET", "_matrix", "client", "v3", "account", "whoami"]:
                return answer_json({"user_id": BOT, "device_id": "BOTTICELLI"})
            case ["GET", "_matrix", "client", "v3", "directory", "room", alias]:
                if alias != ALIAS:
                    return _error(404, "M_NOT_FOUND", f"Room alias {alias} not found.")
                return answer_json({"room_id": self.room, "servers": ["test.example"]})
            case ["POST", "_matrix", "client", "v3", "join", room] if self.state.is_open:
                self.state.is_member = room in (self.room, ALIAS)
                return answer_json({"room_id": self.room})
            case ["POST", "_matrix", "media", "v3", "upload"]:
                self.uploads.append((request.headers.get("content-type", ""), request.body))
                return answer_json({"content_uri": f"mxc://test.example/{len(self.uploads)}"})
            case [method, "_matrix", "client", "v1" | "v3", "rooms", room, *rest]:
                if room != self.room or not self.state.is_member:
                    return _error(403, "M_FORBIDDEN", f"User {BOT} not in room {room}")
                return self._in_room(request, method, rest)
        return _error(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _login(self, body: Mapping[str, Any]) -> Answer:
        is_known = body["identifier"] == {"type": "m.id.user", "user": BOT}
        if not is_known or body["password"] != "a password" or body["device_id"] != "BOTTICELLI":
            return _error(403, "M_FORBIDDEN", "Invalid username or password")
        return answer_json({"user_id": BOT, "access_token": self.token, "device_id": "BOTTICELLI"})

    def _in_room(self, request: Request, method: str, rest: list[str]) -> Answer:  # noqa: PLR0911 - too
        match [method, *rest]:
            case ["GET", "state", *key]:
                return self._state(key, is_whole=request.first("format") == "event")
            case ["GET", "messages"]:
                return self._messages(request)
            case ["GET", "event", event_id]:
                found = next((one for one in self.events if one["event_id"] == event_id), None)
                return answer_json(found) if found else _error(404, "M_NOT_FOUND", "not found")
            case ["GET", "relations", event_id, "m.replace"]:
                chunk = [one for one in reversed(self.events) if _replaces(one, event_id)]
                return answer_json({"chunk": chunk})
            case ["PUT", "send", "m.room.message", transaction]:
                return self._once(transaction, lambda: self._send(request, transaction))
            case ["PUT", "redact", event_id, transaction]:
                return self._once(transaction, lambda: self._redact(event_id))
        return _error(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _once(self, transaction: str, do: Any) -> Answer:
        known = self._transactions.get(transaction) if self.keeps_transactions else None
        if known:
            return answer_json({"event_id": known})
        answer = do()
        if isinstance(answer, Answer):
            return answer
        self._transactions[transaction] = answer
        return answer_json({"event_id": answer})

    def _send(self, request: Request, transaction: str) -> str | Answer:
        content = request.json()
        if self.state.level < self.state.needed:
            return _error(403, "M_FORBIDDEN", "You don't have permission to post that to the room.")
        whole = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        if len(whole.encode()) + ENVELOPE > 65_536:
            return _error(413, "M_TOO_LARGE", "event too large")
        return self.add(content, transaction=transaction)

    def _redact(self, event_id: str) -> str:
        for one in self.events:
            if one["event_id"] == event_id:
                one["content"], one["unsigned"] = {}, {"redacted_because": {}}
        return self.add({"redacts": event_id}, kind="m.room.redaction")

    def _state(self, key: list[str], *, is_whole: bool) -> Answer:
        levels = {"users": {BOT: str(self.state.level)}, "events_default": self.state.needed}
        content = {"room_version": self.state.version}
        created = {"type": "m.room.create", "sender": self.state.creator, "content": content}
        found = {
            "m.room.member": {"membership": "join"},
            "m.room.power_levels": levels,
            "m.room.create": created if is_whole else content,
            "m.room.encryption": self.state.is_encrypted and {"algorithm": "m.megolm.v1.aes-sha2"},
        }.get(key[0])
        return answer_json(found) if found else _error(404, "M_NOT_FOUND", "Event not found.")

    def _messages(self, request: Request) -> Answer:
        newest_first = list(reversed(self.events))
        start = int(request.first("from", "t0")[1:])
        limit = min(int(request.first("limit", "10")), self.page)
        answer: dict[str, Any] = {
            "chunk": newest_first[start : start + limit],
            "start": f"t{start}",
        }
        if start + limit < len(newest_first):
            answer["end"] = f"t{start + limit}"
        return answer_json(answer)


def _replaces(event: Mapping[str, Any], event_id: str) -> bool:
    relation = event["content"].get("m.relates_to") or {}
    return relation.get("rel_type") == "m.replace" and relation.get("event_id") == event_id


def _error(status: int, code: str, words: str, **more: Any) -> Answer:
    return answer_json({"errcode": code, "error": words, **more}, status=status)


def _broken(fault: str) -> Answer:
    if fault == "hang up":
        return Answer(ending="close")
    if fault == "html":
        return answer_html(502, "502 Bad Gateway")
    if fault == "nonsense":
        return answer_json(["?"])
    if fault.startswith("429"):
        seconds = float(fault.partition(":")[2] or 1)
        words = "Too Many Requests"
        return _error(429, "M_LIMIT_EXCEEDED", words, retry_after_ms=int(seconds * 1000))
    status, _, code = fault.partition(":")
    return _error(int(status), code or "M_UNKNOWN", "scripted")
