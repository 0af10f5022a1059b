"""X's API over loopback, after its published documents: one account, paid posts.

    with FakeX() as server:
        ... base_url = server.url, token = server.keys["token"] ...

It checks every signature, counts with weights, refuses duplicates without saying of which post,
shortens links, escapes the text and appends a link to pictures, as X does.

Scripted faults, under "post", "upload", "metadata" or "": "lose" (done, not answered), "500 after
storing", "hang up", a status ("503"), "429:SECONDS", "html", "nonsense", "STATUS:DETAIL".
"""

import base64
import hashlib
import hmac
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote, unquote

from tests.fakes.loopback import Answer, LoopbackServer, Request, answer_html, answer_json

EPOCH_MS = 1288834974657
USER = "1234567"
FIELDS = frozenset(("text", "media", "reply", "made_with_ai"))
LINK = re.compile(r"https?://[^\s]+?(?=[,.!。]?(?:\s|$))|(?<![\w@.])[\w-]+\.(?:com|rs|py)\b")
DUPLICATE = "You are not allowed to create a Tweet with duplicate content."


@dataclass
class FakeX(LoopbackServer):
    """The server; see the module.

    Args:
        now: Unix seconds; None: the real time.
        late: Newest posts that the timeline does not show yet.
    """

    now: Any = None
    late: int = 0
    page: int = 100
    keys: dict[str, str] = field(
        default_factory=lambda: {
            "api_key": "app",
            "api_secret": "app secret&",
            "token": f"{USER}-account",
            "token_secret": "account secret=",
        }
    )

    def __post_init__(self):
        """Begin with an empty timeline."""
        super().__init__()
        self.posts: list[dict[str, Any]] = []
        self.media: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self._ids = 0
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """The time of the server."""
        return self.now() if self.now else time.time()

    def texts(self) -> list[str]:
        """Return what was posted and not deleted, as it was sent."""
        return [one["sent"] for one in self.posts]

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        with self._lock:
            self.requests.append(request)
            if words := self._unsigned(request):
                return _problem(401, "Unauthorized", detail=words)
            name = {"/2/tweets": "post", "/2/media/upload": "upload"}.get(request.path, "")
            name = "metadata" if request.path.endswith("/metadata") else name
            fault = self.script.take(name)
            if fault and fault not in {"lose", "500 after storing"}:
                return self._broken(fault)
            answer = self._route(request)
            if fault == "lose":
                return Answer(ending="close")
            return _problem(500, "Internal Server Error") if fault else answer

    def _route(self, request: Request) -> Answer:  # noqa: PLR0911 - a table of routes
        match [request.method, *request.path.strip("/").split("/")]:
            case ["GET", "2", "users", "me"]:
                return answer_json({"data": {"id": USER, "name": "News", "username": "news"}})
            case ["GET", "2", "users", user, "tweets"] if user == USER:
                return self._timeline(request)
            case ["POST", "2", "tweets"]:
                return self._post(request.json())
            case ["DELETE", "2", "tweets", id_]:
                self.posts = [one for one in self.posts if one["id"] != id_]
                return answer_json({"data": {"deleted": True}})
            case ["POST", "2", "media", "upload"]:
                return self._upload(request)
            case ["POST", "2", "media", "metadata"]:
                body = request.json()
                self.media[body["id"]]["alt"] = body["metadata"]["alt_text"]["text"]
                return answer_json({"data": {"id": body["id"]}})
        return _problem(404, "Not Found Error", detail="Could not find it.")

    def _post(self, body: dict[str, Any]) -> Answer:
        text, media = body.get("text", ""), body.get("media", {}).get("media_ids", [])
        if odd := set(body) - FIELDS:
            return _problem(400, "Invalid Request", detail=f"unknown {odd}")
        if (not text and not media) or _weight(text) > 280:
            return _problem(400, "Invalid Request", detail="One or more parameters is invalid.")
        if any(one not in self.media for one in media):
            return _problem(400, "Invalid Request", detail="Your media IDs are invalid.")
        if any(one["sent"] == text and one["media"] == media for one in self.posts):
            return _problem(403, "Forbidden", detail=DUPLICATE)
        self._ids += 1
        id_ = str(((int(self.seconds * 1000) - EPOCH_MS) << 22) + self._ids)
        shown, urls = _shortened(text, media)
        post = {"id": id_, "text": shown, "entities": {"urls": urls}, "sent": text, "media": media}
        post["public_metrics"] = {"like_count": 0, "reply_count": 0, "retweet_count": 0}
        self.posts.append(post | {"body": body})
        return answer_json({"data": {"id": id_, "text": shown}}, status=201)

    def _timeline(self, request: Request) -> Answer:
        start = datetime.fromisoformat(request.first("start_time", "2010-11-06T00:00:00Z"))
        shown = self.posts[: len(self.posts) - self.late]
        least = int(request.first("since_id", "0"))
        shown = [one for one in shown if int(one["id"]) > least]
        wanted = request.first("tweet.fields", "").split(",")
        keys = ["id", "text", "entities", *(["public_metrics"] * ("public_metrics" in wanted))]
        found = [
            {key: one[key] for key in keys}
            for one in reversed(shown)
            if ((int(one["id"]) >> 22) + EPOCH_MS) / 1000 >= start.astimezone(UTC).timestamp()
        ]
        at, size = int(request.first("pagination_token", "0")), self.page
        page, meta = found[at : at + size], {"result_count": len(found[at : at + size])}
        if at + size < len(found):
            meta["next_token"] = str(at + size)
        return answer_json({"data": page, "meta": meta} if page else {"meta": meta})

    def _upload(self, request: Request) -> Answer:
        kind = re.search(rb'name="media_category"\r\n\r\n(\w+)\r\n', request.body)
        data = re.search(rb'name="media"; filename=.*?\r\n\r\n(.*)\r\n--', request.body, re.DOTALL)
        if not (kind and data):
            return _problem(400, "Invalid Request", detail="media and media_category are required")
        id_ = str(1_900_000_000_000_000_000 + len(self.media))
        self.media[id_] = {"kind": kind[1].decode(), "data": data[1]}
        return answer_json({"data": {"id": id_, "media_key": f"3_{id_}"}})

    def _unsigned(self, request: Request) -> str:
        """Return what is wrong with the signature; empty: nothing."""
        given = request.headers.get("authorization", "")
        if not given.startswith("OAuth "):
            return "no OAuth 1.0a header"
        sent = dict(re.findall(r'(\w+)="([^"]*)"', given))
        facts = {key: unquote(value) for key, value in sent.items()}
        signature = facts.pop("oauth_signature", "")
        known = (self.keys["api_key"], self.keys["token"])
        if (facts.get("oauth_consumer_key"), facts.get("oauth_token")) != known:
            return "unknown keys"
        if abs(int(facts["oauth_timestamp"]) - self.seconds) > 300:
            return "Timestamp out of bounds."
        asked = {key: values[0] for key, values in request.query.items()}
        pairs = sorted((_quote(key), _quote(value)) for key, value in {**facts, **asked}.items())
        base = "&".join(
            (
                request.method,
                _quote(self.url + request.path),
                _quote("&".join(f"{key}={value}" for key, value in pairs)),
            )
        )
        key = "&".join(_quote(self.keys[one]) for one in ("api_secret", "token_secret"))
        right = hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()
        return "" if base64.b64encode(right).decode() == signature else "Invalid signature."

    def _broken(self, fault: str) -> Answer:
        if fault == "hang up":
            return Answer(ending="close")
        if fault == "html":
            return answer_html(503, "503 Service Unavailable")
        if fault == "nonsense":
            return answer_json({"data": []})
        status, _, detail = fault.partition(":")
        if status == "429":
            reset = str(int(self.seconds + float(detail)))
            date = datetime.fromtimestamp(self.seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            headers = (
                ("x-rate-limit-remaining", "0"),
                ("x-rate-limit-reset", reset),
                ("Date", date),
            )
            body = {"title": "Too Many Requests", "status": 429, "detail": "Too Many Requests"}
            return answer_json(body, status=429, headers=headers)
        return _problem(int(status), "scripted", detail=detail)


def _shortened(text: str, media: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """Return a text as X gives it back, and what its links stand for."""
    urls, shown, end = [], "", 0
    for number, found in enumerate(LINK.finditer(text)):
        start, stop = found.span()
        full = found[0] if "://" in found[0] else f"http://{found[0]}"
        short = f"https://t.co/{number:010d}"
        urls.append({"url": short, "expanded_url": full})
        shown, end = shown + escape(text[end:start], quote=False) + short, stop
    shown += escape(text[end:], quote=False)
    if media:
        urls.append(
            {
                "url": "https://t.co/picture",
                "expanded_url": "https://x.com/news/status/1/photo/1",
                "media_key": "3_1",
            }
        )
        shown = f"{shown} https://t.co/picture".strip()
    return shown, urls


def _weight(text: str) -> int:
    return sum(1 + (ord(sign) > 0x10FF) for sign in LINK.sub("x" * 23, text))


def _quote(text: str) -> str:
    return quote(text, safe="-._~")


def _problem(status: int, title: str, *, detail: str = "") -> Answer:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail or title}
    return answer_json(body, status=status)
