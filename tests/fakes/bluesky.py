"""A Bluesky PDS (personal data server) over loopback, as the AT Protocol publishes it.

    with FakeBluesky() as pds:
        ...  # base_url = pds.url, account = pds.handle, token = pds.password
        assert pds.texts() == ["hello"]

Records are checked by the lexicon of app.bsky.feed.post. Scripted faults wait for the method named
in `to` (as it is: putRecord). Instead of doing anything: "hang up before storing", "reset before
storing", "hang", a status ("503"), "STATUS:Name" ("400:InvalidRequest"), "429:SECONDS", "502 html",
"nonsense" (JSON of another kind). After doing it: each of them with "... after storing", and
"slow:N" (answers N seconds later).
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import regex

from tests.fakes.loopback import Answer, LoopbackServer, Request, answer_html, answer_json

POST = "app.bsky.feed.post"
TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
MOMENT = re.compile(
    r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,20})?(Z|[+-][0-2]\d:[0-5]\d)"
)
LANGUAGE = re.compile(r"(i|[a-z]{2,3})(-[a-zA-Z0-9]+)*")
URI = re.compile(r"\w+:(?://)?[^\s/]\S*")
DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
AT_URI = re.compile(r"at://[^/\s]+/[a-zA-Z0-9.-]+/[^/\s]+")
LARGEST_IMAGE = 2_000_000
LARGEST_THUMB = 1_000_000
LARGEST_BLOB = 50 * 1024 * 1024
ACCESS_LIFE, REFRESH_LIFE = 7200, 60 * 86400  # seconds
GRACE = 7200  # seconds that a refresh token that was used goes on
LOGINS, LOGINS_EVERY = 30, 300


class Refusal(Exception):
    """An answer that is not a success: status, name, words."""

    def __init__(
        self, status: int, name: str, words: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name)
        self.status, self.name, self.words = status, name, words or name
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """Return it as the server says it."""
        body = {"error": self.name, "message": self.words}
        return answer_json(body, status=self.status, headers=tuple(self.headers.items()))


def cid_of(content: bytes, *, codec: int) -> str:
    """Return the content id of bytes: 0x71 a record, 0x55 a blob."""
    digest = bytes((1, codec, 0x12, 0x20)) + hashlib.sha256(content).digest()
    return "b" + base64.b32encode(digest).decode().lower().rstrip("=")


class FakeBluesky(LoopbackServer):
    """The server, with one account. `clock` gives Unix seconds; `points` are left for writes."""

    def __init__(
        self,
        *,
        handle: str = "easel.test",
        password: str = "abcd-efgh-ijkl-mnop",
        clock: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.handle, self.password = handle, password
        self.did = "did:plc:" + base64.b32encode(
            hashlib.sha256(handle.encode()).digest()[:15]
        ).decode().lower().replace("1", "2")
        self.others: dict[str, str] = {}  # handles of other people: their DIDs
        self.counts: dict[str, dict[str, int]] = {}  # uri: numbers of the network's view
        self.records: dict[str, dict[str, Any]] = {}  # rkey: the record, in order of writing
        self.blobs: dict[str, tuple[str, int]] = {}  # cid: type, size
        self.requests: list[tuple[str, Any]] = []  # method, JSON body or query
        self.points = 5000
        self.is_taken_down = False
        self.is_terse = False  # a limit that is used up is told by its reset alone
        self.endpoint = ""  # what the DID's document says; empty: this server
        self._clock = clock
        self._shift = 0.0
        self._serial = 0
        self._tokens: dict[str, tuple[str, float]] = {}  # token: kind, until
        self._logins: list[float] = []

    # -- what a test looks at and does ------------------------------------------------------------

    def texts(self) -> list[str]:
        """Return the texts of the posts that are there, in order of writing."""
        return [record["text"] for record in self.records.values()]

    def sent(self, method: str) -> list[Any]:
        """Return the bodies (of GETs the queries) of the requests of one method."""
        return [body for name, body in self.requests if name == method]

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward."""
        self._shift += seconds

    def expire(self) -> None:
        """Let every access token be over."""
        self._tokens = {
            token: (kind, 0.0 if kind == "access" else until)
            for token, (kind, until) in self._tokens.items()
        }

    def forget_sessions(self) -> None:
        """Know no token any more, as after the password was revoked or the server moved."""
        self._tokens.clear()

    def uri(self, rkey: str) -> str:
        """Return the address of a post."""
        return f"at://{self.did}/{POST}/{rkey}"

    # -- answers ----------------------------------------------------------------------------------

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        if request.path == f"/{self.did}":  # as the directory of accounts has it
            return answer_json(self._document())
        name = request.path.removeprefix("/xrpc/")
        short = name.rpartition(".")[2]
        body = self._body(request, short)
        self.requests.append((short, body))
        fault = self.script.take(short, *([""] if short == "putRecord" else []))
        if fault and not (fault.endswith(" after storing") or fault.startswith("slow:")):
            return _broken(fault)
        answer = self._carried_out(request, name, body)
        if fault.startswith("slow:"):
            return replace(answer, delay=float(fault[5:]))
        return _broken(fault.removesuffix(" after storing")) if fault else answer

    def _body(self, request: Request, short: str) -> Any:
        if request.method == "GET" or short == "uploadBlob":
            return {name: values[0] for name, values in request.query.items()}
        try:
            return request.json() if request.body else {}
        except ValueError:
            return request.body

    def _carried_out(self, request: Request, name: str, body: Any) -> Answer:
        try:
            kind = request.headers.get("content-type", "").partition(";")[0]
            if request.method == "POST" and request.body and not name.endswith("uploadBlob"):
                _demand(kind == "application/json", "Request encoding must be application/json")
                _demand(isinstance(body, dict), "Request body must be an object")
            handler, method = _METHODS.get(name, (None, ""))
            if handler is None:
                return Refusal(501, "MethodNotImplemented", "Method Not Implemented").answer()
            if method != request.method:
                return Refusal(405, "InvalidRequest", "Incorrect HTTP method").answer()
            return handler(self, request, body)
        except Refusal as refusal:
            return refusal.answer()

    def now(self) -> float:
        """Return the server's time in Unix seconds."""
        return self._clock() + self._shift

    def _tokens_for(self) -> dict[str, str]:
        self._serial += 1
        made = {}
        for kind, life in (("access", ACCESS_LIFE), ("refresh", REFRESH_LIFE)):
            token = made[f"{kind}Jwt"] = f"ey{kind}.{self._serial}.{'x' * 40}"
            self._tokens[token] = (kind, self.now() + life)
        return made

    def _require(self, request: Request, kind: str) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(401, "AuthMissing", "Authentication Required")
        known, until = self._tokens.get(token, ("", 0.0))
        if known != kind:
            raise Refusal(400, "InvalidToken", "Bad token scope" if known else "Token is invalid")
        if until <= self.now():
            raise Refusal(400, "ExpiredToken", "Token has expired")
        if self.is_taken_down:
            raise Refusal(401, "AccountTakedown", "Account has been taken down")
        return token

    def _document(self) -> dict[str, Any]:
        service = {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": self.endpoint or self.url,
        }
        return {"id": self.did, "service": [service]}

    def _session(self) -> dict[str, Any]:
        return {
            **self._tokens_for(),
            "handle": self.handle,
            "did": self.did,
            "didDoc": self._document(),
            "active": True,
        }

    def create_session(self, _: Request, body: Any) -> Answer:
        """com.atproto.server.createSession."""
        self._logins = [one for one in self._logins if one > self.now() - LOGINS_EVERY]
        if len(self._logins) >= LOGINS:
            wait = int(self._logins[0] + LOGINS_EVERY - self.now()) + 1
            raise Refusal(
                429, "RateLimitExceeded", "Rate Limit Exceeded", self._limit_headers(wait)
            )
        self._logins.append(self.now())
        for field in ("identifier", "password"):
            _demand(isinstance(body.get(field), str), f'Input must have the property "{field}"')
        is_known = body["identifier"] in {self.handle, self.did}
        if not is_known or body["password"] != self.password:
            raise Refusal(401, "AuthenticationRequired", "Invalid identifier or password")
        if self.is_taken_down:
            raise Refusal(401, "AccountTakedown", "Account has been taken down")
        return answer_json(self._session())

    def refresh_session(self, request: Request, body: Any) -> Answer:
        """com.atproto.server.refreshSession: the refresh token rotates."""
        _demand(not request.body, "A request body was provided when none was expected")
        used = self._require(request, "refresh")
        kind, until = self._tokens[used]
        self._tokens[used] = (kind, min(until, self.now() + GRACE))
        return answer_json(self._session())

    def get_session(self, request: Request, _: Any) -> Answer:
        """com.atproto.server.getSession."""
        self._require(request, "access")
        return answer_json({"handle": self.handle, "did": self.did, "active": True})

    def resolve_handle(self, _: Request, query: Any) -> Answer:
        """com.atproto.identity.resolveHandle."""
        did = {self.handle: self.did, **self.others}.get(query.get("handle", "").lower())
        if did is None:
            raise Refusal(400, "InvalidRequest", "Unable to resolve handle")
        return answer_json({"did": did})

    def upload_blob(self, request: Request, _: Any) -> Answer:
        """com.atproto.repo.uploadBlob: the raw bytes are the body."""
        self._require(request, "access")
        if len(request.body) > LARGEST_BLOB:
            raise Refusal(413, "PayloadTooLarge", "request entity too large")
        _demand(bool(request.body), "a blob has bytes")
        mime = request.headers.get("content-type", "")
        _demand(bool(mime), "Request encoding (Content-Type) required but not provided")
        cid = cid_of(request.body, codec=0x55)
        self.blobs[cid] = (mime, len(request.body))
        blob = {
            "$type": "blob",
            "ref": {"$link": cid},
            "mimeType": mime,
            "size": len(request.body),
        }
        return answer_json({"blob": blob})

    def put_record(self, request: Request, body: Any) -> Answer:
        """com.atproto.repo.putRecord."""
        self._require(request, "access")
        rkey, record = self._write(body, points=2)
        _demand(isinstance(record, dict), 'Input must have the property "record"')
        Lexicon(self.blobs).check(record)
        there = self.records.get(rkey)
        made = {"uri": self.uri(rkey), "cid": _cid(record), "validationStatus": "valid"}
        if there == record:
            return answer_json(made)
        if "swapRecord" in body:
            found = _cid(there) if there is not None else None
            if body["swapRecord"] != found:
                raise Refusal(400, "InvalidSwap", f"Record was at {found}")
        self.records[rkey] = record
        return answer_json({**made, "commit": self._commit()})

    def delete_record(self, request: Request, body: Any) -> Answer:
        """com.atproto.repo.deleteRecord: of what is gone as well."""
        self._require(request, "access")
        rkey, _ = self._write(body, points=1)
        if self.records.pop(rkey, None) is None:
            return answer_json({})
        return answer_json({"commit": self._commit()})

    def get_record(self, _: Request, query: Any) -> Answer:
        """com.atproto.repo.getRecord: public."""
        if query.get("repo") not in {self.did, self.handle}:
            raise Refusal(400, "InvalidRequest", f"Could not find repo: {query.get('repo')}")
        uri = self.uri(query.get("rkey", ""))
        there = self.records.get(query.get("rkey", ""))
        if there is None or query.get("collection") != POST:
            raise Refusal(400, "RecordNotFound", f"Could not locate record: {uri}")
        if query.get("cid") not in {None, _cid(there)}:
            raise Refusal(400, "RecordNotFound", f"Could not locate record: {uri}")
        return answer_json({"uri": uri, "cid": _cid(there), "value": there})

    def get_posts(self, request: Request, _: Any) -> Answer:
        """app.bsky.feed.getPosts, as a server passes it on for who has a session."""
        self._require(request, "access")
        uris = request.query.get("uris", [])
        _demand(0 < len(uris) <= 25, "uris must have 1 to 25 elements")
        there = {self.uri(key): one for key, one in self.records.items()}
        return answer_json(
            {
                "posts": [
                    {"uri": uri, "record": there[uri], "likeCount": 0, "replyCount": 0}
                    | self.counts.get(uri, {})
                    for uri in uris
                    if uri in there
                ]
            }
        )

    def _write(self, body: Any, *, points: int) -> tuple[str, Any]:
        """Check what every write has; return key and record."""
        self.points -= points
        if self.points < 0:
            raise Refusal(
                429, "RateLimitExceeded", "Rate Limit Exceeded", self._limit_headers(1800)
            )
        for field in ("repo", "collection", "rkey"):
            _demand(isinstance(body.get(field), str), f'Input must have the property "{field}"')
        _demand(body["repo"] in {self.did, self.handle}, "Invalid repo")
        _demand(body["collection"] == POST, f"unknown collection {body['collection']}")
        _demand(TID.fullmatch(body["rkey"]) is not None, "Invalid TID")
        return body["rkey"], body.get("record")

    def _limit_headers(self, wait: int) -> dict[str, str]:
        now = datetime.fromtimestamp(self.now(), UTC)
        terse = {} if self.is_terse else {"Retry-After": str(wait)}
        return terse | {
            "Date": format_datetime(now, usegmt=True),
            "RateLimit-Limit": "30",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(int(self.now()) + wait),
            "RateLimit-Policy": "30;w=300",
        }

    def _commit(self) -> dict[str, str]:
        self._serial += 1
        return {"cid": cid_of(str(self._serial).encode(), codec=0x71), "rev": "3" * 13}


class Lexicon:
    """What the lexicon of app.bsky.feed.post asks of a record."""

    def __init__(self, blobs: Mapping[str, tuple[str, int]]) -> None:
        self._blobs = blobs

    def check(self, record: Mapping[str, Any]) -> None:
        """Refuse a record that the lexicon does not allow."""
        _demand(record.get("$type") == POST, f"Invalid $type: expected {POST}")
        text = record.get("text")
        _demand(isinstance(text, str), 'Record must have the property "text"')
        assert isinstance(text, str)
        _demand(len(text.encode()) <= 3000, "Record/text must not be longer than 3000 characters")
        count = len(regex.findall(r"\X", text))
        _demand(count <= 300, "Record/text must not be longer than 300 graphemes")
        _demand(_is_moment(record.get("createdAt")), "Record/createdAt must be a valid RFC-3339")
        langs = record.get("langs", [])
        _demand(isinstance(langs, list) and len(langs) <= 3, "Record/langs has too many elements")
        _demand(all(LANGUAGE.fullmatch(one) for one in langs), "Record/langs: well-formed BCP 47")
        for facet in record.get("facets", []):
            self._facet(facet)
        if "reply" in record:
            for end in ("root", "parent"):
                _strong_ref(record["reply"].get(end))
        if "embed" in record:
            self._embed(record["embed"])

    def _facet(self, facet: Mapping[str, Any]) -> None:
        index = facet.get("index", {})
        for name in ("byteStart", "byteEnd"):
            value = index.get(name)
            _demand(type(value) is int and value >= 0, f"facets/index/{name} must be an integer")
        _demand(isinstance(facet.get("features"), list), "facets/features is needed")
        for feature in facet["features"]:
            kind = str(feature.get("$type")).partition("#")[2]
            field, fits = _FEATURES.get(kind, ("", lambda _: True))
            _demand(not field or fits(feature.get(field)), f"facets/features/{kind} is not valid")

    def _embed(self, embed: Mapping[str, Any]) -> None:
        kind = str(embed.get("$type"))
        if kind == "app.bsky.embed.images":
            images = embed.get("images")
            _demand(isinstance(images, list) and len(images) <= 4, "too many images")
            for image in images or ():
                _demand(isinstance(image.get("alt"), str), 'image must have the property "alt"')
                self._blob(image.get("image"), largest=LARGEST_IMAGE)
                ratio = image.get("aspectRatio", {"width": 1, "height": 1})
                for side in ("width", "height"):
                    value = ratio.get(side)
                    _demand(type(value) is int and value >= 1, f"aspectRatio/{side} is not valid")
        elif kind == "app.bsky.embed.external":
            card = embed.get("external", {})
            _demand(bool(URI.fullmatch(str(card.get("uri", "")))), "external/uri must be a uri")
            for field in ("title", "description"):
                _demand(isinstance(card.get(field), str), f'external must have "{field}"')
            if "thumb" in card:
                self._blob(card["thumb"], largest=LARGEST_THUMB)

    def _blob(self, blob: Any, *, largest: int) -> None:
        is_blob = isinstance(blob, dict) and blob.get("$type") == "blob"
        _demand(is_blob and isinstance(blob.get("ref"), dict), "image should be a blob ref")
        found = self._blobs.get(blob["ref"].get("$link"))
        if found is None:
            raise Refusal(400, "BlobNotFound", f"Could not find blob: {blob['ref'].get('$link')}")
        _demand(blob.get("mimeType") == found[0], "Mimetype does not match")
        _demand(found[0].startswith("image/"), "Wrong type of file")
        _demand(type(blob.get("size")) is int and blob["size"] == found[1], "size does not match")
        _demand(found[1] <= largest, f"This file is too large: at most {largest} bytes")


def _cid(record: Any) -> str:
    return cid_of(json.dumps(record, sort_keys=True).encode(), codec=0x71)


def _demand(is_met: object, words: str) -> None:
    if not is_met:
        raise Refusal(400, "InvalidRequest", words)


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str) or MOMENT.fullmatch(value) is None:
        return False
    return datetime.fromisoformat(value).astimezone(UTC) is not None


def _strong_ref(ref: Any) -> None:
    is_ref = isinstance(ref, dict) and AT_URI.fullmatch(str(ref.get("uri")))
    _demand(is_ref, "reply/uri must be a valid at-uri")
    _demand(str(ref.get("cid")).startswith("bafyrei"), "reply/cid must be a cid string")


def _is_tag(value: Any) -> bool:
    return isinstance(value, str) and len(regex.findall(r"\X", value)) <= 64


_FEATURES: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "link": ("uri", lambda value: isinstance(value, str) and URI.fullmatch(value)),
    "mention": ("did", lambda value: isinstance(value, str) and DID.fullmatch(value)),
    "tag": ("tag", _is_tag),
}

_METHODS: Mapping[str, tuple[Callable[[FakeBluesky, Request, Any], Answer], str]] = {
    "com.atproto.server.createSession": (FakeBluesky.create_session, "POST"),
    "com.atproto.server.refreshSession": (FakeBluesky.refresh_session, "POST"),
    "com.atproto.server.getSession": (FakeBluesky.get_session, "GET"),
    "com.atproto.identity.resolveHandle": (FakeBluesky.resolve_handle, "GET"),
    "com.atproto.repo.uploadBlob": (FakeBluesky.upload_blob, "POST"),
    "com.atproto.repo.putRecord": (FakeBluesky.put_record, "POST"),
    "com.atproto.repo.deleteRecord": (FakeBluesky.delete_record, "POST"),
    "com.atproto.repo.getRecord": (FakeBluesky.get_record, "GET"),
    "app.bsky.feed.getPosts": (FakeBluesky.get_posts, "GET"),
}


def _broken(fault: str) -> Answer:
    """Return what a fault sends instead of the answer."""
    ending = fault.removesuffix(" before storing").replace("hang up", "close")
    if ending in {"close", "reset", "hang"}:
        return Answer(ending=ending)
    if fault.endswith(" html"):
        return answer_html(int(fault[:3]), "Bad Gateway")
    if fault == "nonsense":
        return answer_json(["what", "is", "this"])
    status, _, rest = fault.partition(":")
    if status == "429":
        headers = {"Retry-After": rest} if rest else {}
        return Refusal(429, "RateLimitExceeded", "Rate Limit Exceeded", headers).answer()
    names = {"502": "UpstreamFailure", "500": "InternalServerError"}
    return Refusal(int(status), rest or names.get(status, "InvalidRequest")).answer()
