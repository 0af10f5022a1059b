"""A server with Mastodon's client API over loopback, in the manner of several kinds of software.

    with FakeMastodon("gotosocial") as server:
        post(f"{server.url}/api/v1/statuses", ...)
        assert server.texts() == ["hello"]

Written from docs.joinmastodon.org and what the other servers are known to do otherwise. Scripted
faults are used by one status created each, or by one request each of the route named in `to`
(instance, me, list, look, upload, media, edit, delete, post): those of discord_faults, and
"wrong json", "other json", "processing", "scope", "suspended", "422:WORDS".
"""

import html
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import regex

from tests.fakes.discord_faults import happens_after
from tests.fakes.loopback import Answer, LoopbackServer, Request, answer_html, answer_json

TOKEN = "mastodon-token"
KEY_SECONDS = 3600
VERSIONS = {
    "mastodon": "4.5.3",
    "pleroma": "2.7.2 (compatible; Pleroma 2.7.0)",
    "gotosocial": "0.20.0+git-57cb4fe",
    "takahe": "takahe/0.11.0",
    "unknown": "4.2.0",  # imitates Mastodon, says nothing more, and ignores keys
}
LIMITS = {"mastodon": 500, "pleroma": 5000, "gotosocial": 5000, "takahe": 500, "unknown": 500}
URL = re.compile(r"https?://[\w.-]+\.[a-z]{2,}(?:/[^\s()<>]*[^\s()<>.,;:!?])?", re.IGNORECASE)
MENTION = re.compile(r"(?<![\w/=])@(\w+)(@[\w.-]+\w)?")


class Refuse(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, words: str = "", *, page: bool = False) -> None:
        super().__init__(words)
        self.answer = answer_json({"error": words}, status=status)
        if page:
            self.answer = answer_html(status, f"{status} {HTTPStatus(status).phrase}", server="web")


@dataclass(kw_only=True)
class Kept:
    """A status."""

    id: str
    text: str
    at: float
    body: dict[str, Any]
    media: list[str] = field(default_factory=list)
    edits: int = 0
    counts: dict[str, int] = field(default_factory=dict)


class FakeMastodon(LoopbackServer):
    """The server; see the module. One account, @bot.

    Args:
        software: One of VERSIONS.
        limit: Characters of a status; None: as usual there.
        only_v1: Whether it has no /api/v2/instance.
        clock: Gives Unix seconds.
    """

    def __init__(
        self,
        software: str = "mastodon",
        *,
        limit: int | None = None,
        only_v1: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.software = software
        self.limit = limit or LIMITS[software]
        self.only_v1 = only_v1
        self.clock = clock
        self.has_old_media = self.tells_date = False
        self.honours_keys = software in ("mastodon", "pleroma")
        self.requests: list[Request] = []
        self.apps: dict[str, dict[str, Any]] = {}
        self.codes = {"the-code": TOKEN}
        self.reset()

    def reset(self) -> None:
        """Forget all statuses and faults."""
        self.statuses: dict[str, Kept] = {}
        self.media: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[float, str]] = {}
        self.script.clear()
        self._last = 112_000_000_000_000_000
        self.page = 40

    def texts(self) -> list[str]:
        """Return what is published, oldest first."""
        return [one.text for one in self.statuses.values()]

    def add(self, text: str, **more: Any) -> Kept:
        """Publish a status that nobody asked for over the API."""
        made = Kept(id=self._next(), text=text, at=self.clock(), body={"status": text, **more})
        self.statuses[made.id] = made
        return made

    def of(self, route: str) -> list[Request]:
        """Return the requests of a route: its method and the start of its path."""
        method, _, path = route.partition(" ")
        return [
            each for each in self.requests if each.method == method and each.path.startswith(path)
        ]

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        self.requests.append(request)
        name, act = self._route(request)
        fault = self.script.take(name)
        if fault and not happens_after(fault) and fault not in ("wrong json", "other json"):
            if fault == "processing":
                self.media_pending = 3
            else:
                return self._broken(fault)
        try:
            answer = act()
        except Refuse as refusal:
            return refusal.answer
        return self._spoiled(answer, fault)

    def _route(self, request: Request) -> tuple[str, Callable[[], Answer]]:
        path, method = request.path, request.method
        one = re.fullmatch(r"/api/v1/statuses/([^/]+)(/source)?", path)
        routes: dict[tuple[str, str], tuple[str, Callable[[], Answer]]] = {
            ("POST", "/api/v1/statuses"): ("", lambda: self._publish(request)),
            ("GET", "/api/v1/statuses"): ("several", lambda: self._several(request)),
            ("GET", "/api/v2/instance"): ("instance", self._instance_2),
            ("GET", "/api/v1/instance"): ("instance", self._instance_1),
            ("GET", "/.well-known/nodeinfo"): ("nodeinfo", self._nodeinfo_links),
            ("GET", "/nodeinfo/2.0"): ("nodeinfo", self._nodeinfo),
            ("GET", "/api/v1/accounts/verify_credentials"): ("me", lambda: self._me(request)),
            ("GET", "/api/v1/accounts/1/statuses"): ("list", lambda: self._list(request)),
            ("POST", "/api/v2/media"): ("upload", lambda: self._upload(request)),
            ("POST", "/api/v1/media"): ("upload", lambda: self._upload(request)),
            ("POST", "/api/v1/apps"): ("apps", lambda: self._register(request)),
            ("POST", "/oauth/token"): ("token", lambda: self._token(request)),
            ("GET", "/.well-known/oauth-authorization-server"): ("oauth", self._oauth),
        }
        if found := routes.get((method, path)):
            return found
        if one:
            names = {"GET": "look", "PUT": "edit", "DELETE": "delete"}
            acts = {"GET": self._get, "PUT": self._edit, "DELETE": self._delete}
            if method in acts:
                return names[method], lambda: acts[method](request, one[1], bool(one[2]))
        if media := re.fullmatch(r"/api/v1/media/([^/]+)", path):
            return "media", lambda: self._media(request, media[1])
        return "", self._missing

    def _missing(self) -> Answer:
        raise Refuse(404, page=True)

    def _broken(self, fault: str) -> Answer:
        what = fault.removesuffix(" before storing").replace("hang up", "close")
        if what in {"close", "reset", "hang"}:
            return Answer(ending=what)
        if fault.endswith(" html"):
            return answer_html(int(fault[:3]), fault)
        if fault.startswith("429"):
            wait = float(fault.partition(":")[2] or 1)
            reset = datetime.fromtimestamp(self.clock() + wait, UTC).isoformat()
            heads = [("X-RateLimit-Limit", "300"), ("X-RateLimit-Remaining", "0")]
            heads += [("X-RateLimit-Reset", reset.replace("+00:00", "Z")), self._date()]
            return answer_json({"error": "Too many requests"}, status=429, headers=heads)
        words = {
            "scope": (403, "This action is outside the authorized scopes"),
            "suspended": (403, "Your login is currently disabled"),
            "401": (401, "The access token is invalid"),
            "503": (503, "There was a temporary problem serving your request"),
        }
        status, _, said = fault.partition(":")
        code, text = words.get(fault) or (int(status), said or HTTPStatus(int(status)).phrase)
        return answer_json({"error": text}, status=code)

    def _date(self) -> tuple[str, str]:
        now = datetime.fromtimestamp(self.clock(), UTC)
        return "Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT")

    def _spoiled(self, answer: Answer, fault: str) -> Answer:
        if self.tells_date:
            answer = replace(answer, headers=(*answer.headers, self._date()))
        if fault == "wrong json":
            return replace(answer, body=b"<html>a page</html>", content_type="text/html")
        if fault == "other json":
            return replace(answer, body=b'{"hello": [1]}')
        if fault.startswith("slow:"):
            return replace(answer, delay=float(fault[5:]))
        if fault.endswith("after storing"):
            return self._broken(fault.removesuffix(" after storing"))
        return answer

    def _require_token(self, request: Request) -> None:
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            return
        if self.software == "takahe":
            raise Refuse(400, "Invalid Bearer token")
        raise Refuse(401, "The access token is invalid")

    def _instance_1(self) -> Answer:
        told: dict[str, Any] = {"uri": "social.example", "version": VERSIONS[self.software]}
        if self.software == "pleroma":
            return answer_json({**told, "max_toot_chars": self.limit, "upload_limit": 16_000_000})
        return answer_json({**told, "configuration": self._configuration()})

    def _instance_2(self) -> Answer:
        if self.only_v1:
            raise Refuse(404, page=True)
        told: dict[str, Any] = {"domain": "social.example", "version": VERSIONS[self.software]}
        if self.software == "gotosocial":
            told["source_url"] = "https://codeberg.org/superseriousbusiness/gotosocial"
        return answer_json({**told, "configuration": self._configuration()})

    def _configuration(self) -> dict[str, Any]:
        statuses = {"max_characters": self.limit, "max_media_attachments": 4}
        if self.software == "mastodon":
            statuses["characters_reserved_per_url"] = 23
        if self.software == "gotosocial":
            statuses |= {"max_media_attachments": 6, "characters_reserved_per_url": 25}
        media = {
            "supported_mime_types": ["image/png", "image/jpeg", "video/mp4"],
            "image_size_limit": 16_777_216,
            "description_limit": 1500,
        }
        return {"statuses": statuses, "media_attachments": media}

    def _nodeinfo_links(self) -> Answer:
        if self.software == "unknown":
            raise Refuse(404, page=True)
        rel = "http://nodeinfo.diaspora.software/ns/schema/2.0"
        return answer_json({"links": [{"rel": rel, "href": f"{self.url}/nodeinfo/2.0"}]})

    def _nodeinfo(self) -> Answer:
        return answer_json({"version": "2.0", "software": {"name": self.software}})

    def _me(self, request: Request) -> Answer:
        self._require_token(request)
        # Takahe's ids are numbers in some versions.
        me: dict[str, Any] = {"id": "1", "username": "bot", "acct": "bot", "bot": True}
        return answer_json({**me, "id": 1} if self.software == "unknown" else me)

    def _next(self) -> str:
        self._last += 1_000_003
        if self.software in ("pleroma", "gotosocial"):  # letters: flakes, ULIDs
            return f"01JD{self._last:022d}"
        return str(self._last)

    def _publish(self, request: Request) -> Answer:
        self._require_token(request)
        body = request.json()
        key = request.headers.get("idempotency-key", "")
        known = self.keys.get(key) if key and self.honours_keys else None
        if known and self.clock() - known[0] < KEY_SECONDS:
            if known[1] not in self.statuses:
                raise Refuse(404, "Record not found")
            return self._shown(self.statuses[known[1]])
        self._judge(body)
        parent = body.get("in_reply_to_id")
        if parent is not None and parent not in self.statuses:
            if self.software == "takahe":
                raise Refuse(500, page=True)
            raise Refuse(404, "Record not found")
        made = self.add(**{"text": body.get("status", ""), **_without(body, "status", "text")})
        made.media = list(body.get("media_ids", ()))
        self.keys[key] = (self.clock(), made.id)
        return self._shown(made)

    def _judge(self, body: dict[str, Any]) -> None:
        text, warning = body.get("status", ""), body.get("spoiler_text", "")
        assert "scheduled_at" not in body, "a scheduled status fires when we are dead"
        if body.get("visibility", "public") not in ("public", "unlisted", "private", "direct"):
            raise Refuse(422, "Validation failed: Visibility is not included in the list")
        if not text.strip() and not body.get("media_ids"):
            raise Refuse(422, "Validation failed: Text can't be blank")
        if self.count(warning, text) > self.limit:
            status = 422 if self.software in ("mastodon", "pleroma", "unknown") else 400
            raise Refuse(status, f"Validation failed: Text character limit of {self.limit}")
        for one in body.get("media_ids", ()):
            if one not in self.media:
                raise Refuse(422, "Validation failed: Media not found")
            if self.media[one]["pending"]:
                raise Refuse(422, "Cannot attach files that have not finished processing")

    def count(self, warning: str, text: str) -> int:
        """Return what a status counts here."""
        if self.software in ("gotosocial", "takahe"):
            return len(warning) + len(text)
        if self.software != "pleroma":
            text = MENTION.sub(r"@\1", URL.sub("x" * 23, text))
        return len(regex.findall(r"\X", warning + text))

    def _list(self, request: Request) -> Answer:
        self._require_token(request)
        found = list(self.statuses.values())[::-1]
        if last := request.first("max_id"):
            ids = [one.id for one in found]
            found = found[ids.index(last) + 1 :] if last in ids else []
        limit = min(int(request.first("limit", "20")), self.page)
        return answer_json([self._as_json(one) for one in found[:limit]])

    def _several(self, request: Request) -> Answer:
        """Return the statuses of id[]; since 4.3, and only of Mastodon."""
        self._require_token(request)
        if self.software != "mastodon":
            raise Refuse(404, "Record not found")
        wanted = request.query.get("id[]", [])
        assert len(wanted) <= 40, "more than a server takes"
        return answer_json([self._as_json(self.statuses[i]) for i in wanted if i in self.statuses])

    def _get(self, request: Request, status: str, wants_source: bool) -> Answer:
        kept = self._kept(request, status)
        if wants_source:
            return answer_json({"id": kept.id, "text": kept.text, "spoiler_text": ""})
        return self._shown(kept)

    def _edit(self, request: Request, status: str, _: bool) -> Answer:
        kept = self._kept(request, status)
        body = request.json()
        assert not {"visibility", "in_reply_to_id"} & body.keys(), "neither can be changed"
        self._judge(body)
        kept.text, kept.media = body["status"], list(body.get("media_ids", ()))
        for told in body.get("media_attributes", ()):
            self.media[told["id"]]["description"] = told["description"]
        kept.edits += 1
        return self._shown(kept)

    def _delete(self, request: Request, status: str, _: bool) -> Answer:
        self._kept(request, status)
        return self._shown(self.statuses.pop(status))

    def _kept(self, request: Request, status: str) -> Kept:
        self._require_token(request)
        if status not in self.statuses:
            raise Refuse(404, "Record not found", page=self.software == "takahe")
        return self.statuses[status]

    def _upload(self, request: Request) -> Answer:
        self._require_token(request)
        if self.has_old_media == request.path.startswith("/api/v2"):
            raise Refuse(404, page=True)
        kind = request.headers["content-type"].encode()
        form = BytesParser(policy=HTTP).parsebytes(
            b"Content-Type: " + kind + b"\r\n\r\n" + request.body
        )
        parts = {
            part.get_param("name", header="content-disposition"): part for part in form.iter_parts()
        }
        file = parts["file"]
        if file.get_content_type() not in ("image/png", "image/jpeg"):
            raise Refuse(422, "Validation failed: File content type is invalid")
        told = parts.get("description")
        made = {
            "id": f"m{len(self.media) + 1}",
            "content": file.get_payload(decode=True),
            "description": told.get_content().strip() if told else "",
            "pending": getattr(self, "media_pending", 0),
        }
        self.media_pending = 0
        self.media[made["id"]] = made
        return answer_json(self._file(made), status=202 if made["pending"] else 200)

    def _media(self, request: Request, one: str) -> Answer:
        self._require_token(request)
        if one not in self.media:
            raise Refuse(404, "Record not found")
        self.media[one]["pending"] = max(0, self.media[one]["pending"] - 1)
        return answer_json(
            self._file(self.media[one]), status=206 if self.media[one]["pending"] else 200
        )

    def _file(self, made: dict[str, Any]) -> dict[str, Any]:
        url = None if made["pending"] else f"{self.url}/media/{made['id']}"
        return {"id": made["id"], "type": "image", "url": url, "description": made["description"]}

    def _shown(self, kept: Kept) -> Answer:
        return answer_json(self._as_json(kept))

    def _as_json(self, kept: Kept) -> dict[str, Any]:
        at = datetime.fromtimestamp(kept.at, UTC).isoformat(timespec="milliseconds")
        found: dict[str, Any] = {
            "id": int(kept.id) if self.software == "unknown" else kept.id,
            "created_at": at.replace("+00:00", "Z"),
            "in_reply_to_id": kept.body.get("in_reply_to_id"),
            "visibility": kept.body.get("visibility", "public"),
            "content": self._html(kept.text),
            "url": f"{self.url}/@bot/{kept.id}",
            "media_attachments": [self._file(self.media[one]) for one in kept.media],
            "account": {"id": "1", "acct": "bot"},
            "reblog": None,
            **{f"{name}_count": 0 for name in ("favourites", "reblogs", "replies")},
            **kept.counts,
        }
        if self.software == "takahe":
            found["text"] = found["content"]
        return found

    def _html(self, text: str) -> str:
        """Return a text as HTML, rewritten as this software does."""

        def link(url: str) -> str:
            shown = html.escape(url)
            if self.software == "mastodon":
                scheme, _, rest = shown.partition("://")
                shown = (
                    f'<span class="invisible">{scheme}://</span><span class="ellipsis">'
                    f'{rest[:30]}</span><span class="invisible">{rest[30:]}</span>'
                )
            if self.software == "takahe":
                shown = html.escape(url.partition("://")[2][:20]) + "…"
            return f'<a href="{html.escape(url)}" rel="nofollow" target="_blank">{shown}</a>'

        def mention(user: str) -> str:
            return (
                f'<span class="h-card"><a href="{self.url}/@{user}" class="u-url mention">@<span>'
                f"{user}</span></a></span>"
            )

        pieces, end = [], 0
        for found in re.finditer(rf"(?i:{URL.pattern})|{MENTION.pattern}", text):
            pieces.append(html.escape(text[end : found.start()], quote=False))
            pieces.append(mention(found[1]) if found[1] else link(found[0]))
            end = found.end()
        whole = "".join((*pieces, html.escape(text[end:], quote=False))).strip()
        blocks = [block.replace("\n", "<br />") for block in re.split(r"\n{2,}", whole)]
        return "".join(f"<p>{block}</p>" for block in blocks)

    def _oauth(self) -> Answer:
        if self.software != "mastodon":
            raise Refuse(404, page=True)
        return answer_json({"code_challenge_methods_supported": ["S256"]})

    def _register(self, request: Request) -> Answer:
        body = _form(request)
        assert {"client_name", "redirect_uris", "scopes"} <= body.keys()
        self.apps["the-app"] = body
        return answer_json({"id": "1", "client_id": "the-app", "client_secret": "app-secret"})

    def _token(self, request: Request) -> Answer:
        body = _form(request)
        wanted = {"grant_type": "authorization_code", "client_secret": "app-secret"}
        if not wanted.items() <= body.items() or body.get("code") not in self.codes:
            words = "The provided authorization grant is invalid, expired or revoked"
            return answer_json({"error": "invalid_grant", "error_description": words}, status=400)
        if self.software == "mastodon" and not body.get("code_verifier"):
            raise Refuse(400, "code_verifier is missing")
        return answer_json({"access_token": self.codes[body["code"]], "token_type": "Bearer"})


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


def _without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}
