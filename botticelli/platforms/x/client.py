"""X, written to as one account: every post costs money, and none is made twice.

X knows no once-key. So a request whose answer was lost is looked for in the account's own timeline
before it is made again, and the refusal of a duplicate is taken as a hint to look.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any, Final

from botticelli import text as texts
from botticelli.clock import Clock
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import (
    Attachment,
    LockedOut,
    Looked,
    MessageLimits,
    NotSent,
    OutgoingMessage,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.requests import FailedAnswer, Requests, WebPlatform, WebRequest
from botticelli.platforms.x.counting import LONGEST, links, weight

# US dollars, as X's price list of 2026-04-20 has them.
POST, POST_WITH_LINK, ALT_TEXT = Decimal("0.015"), Decimal("0.200"), Decimal("0.005")
EPOCH_MS: Final = 1288834974657  # 2010-11-04, where X's ids begin
PAGE: Final = 100  # posts; each costs a tenth of a cent to read
MOST_PAGES: Final = 5
# The database's clock may be off X's. What else we said within it is known to be ours.
CLOCK_SLACK: Final = timedelta(minutes=2)
SHOWN_AFTER: Final = timedelta(minutes=3)  # a post may take so long to stand in the timeline
_MEDIA: Final = re.compile(r"https?://(?:x|twitter)\.com/[^/]+/status/\d+/(?:photo|video)/\d+")


class _Repeated(Refused):
    """X says that the account has posted this text already."""


_CREDITS: Final = "buy credits, or raise the spending limit, in the console"
_WRITABLE: Final = "give the app 'Read and write', then make a new access token in the console"
_USER_KEYS: Final = "use the keys of a project's app, with OAuth 1.0a (user context)"
# status, what its type or detail holds, what that is, in words, and what helps; the first that fits
_REFUSALS: Final = (
    (403, ("duplicate content",), _Repeated, "X has this text of us already", ""),
    (402, ("",), ConfigError, "X wants to be paid first", _CREDITS),
    (403, ("usage-capped", "credits"), ConfigError, "X wants to be paid first", _CREDITS),
    (429, ("usage-capped", "credits"), ConfigError, "X wants to be paid first", _CREDITS),
    (403, ("oauth1", "permissions"), LockedOut, "the app may not write", _WRITABLE),
    (403, ("suspended", "locked"), LockedOut, "X has closed the account", "log in at x.com"),
    (403, ("enrolled", "unsupported-auth"), ConfigError, "X does not take these keys", _USER_KEYS),
    (403, ("",), Refused, "X refused it", ""),
    (401, ("",), LockedOut, "X does not accept the keys",
     "all four belong together, and this machine's clock must be right"),
)  # fmt: skip


class X(WebPlatform):
    """One account.

    Args:
        name: The destination's name.
        user: The account's id.
        rest: The session with the API.
        clock: What the age of a request is measured by.
        permitted: Names of accounts that a post may mention.
    """

    limits = MessageLimits(
        length=LONGEST,
        attachments=4,
        attachment_bytes=5_000_000,
        alt=1000,
        mimes=("image/jpeg", "image/png", "image/webp", "image/gif"),
    )

    def __init__(
        self,
        name: str,
        *,
        user: str,
        rest: Requests,
        clock: Clock,
        permitted: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, rest)
        self._user = user
        self._clock = clock
        self._permitted = permitted

    def length(self, text: str) -> int:
        """See Platform. Weighted."""
        return weight(text)

    def render(self, markdown: str) -> str:
        """See Platform. X shows plain text, and links where they stand."""
        from botticelli.platforms.markdown import text_of, unmentioned

        return unmentioned(text_of(markdown), permitted=self._permitted)

    def price(self, message: OutgoingMessage) -> Decimal:
        """See Platform. Also what looks like a link costs as one: `main.rs`."""
        described = sum(1 for one in message.attachments if one.alt)
        return (POST_WITH_LINK if links(message.text) else POST) + described * ALT_TEXT

    def planned(self, message: OutgoingMessage) -> Iterator[WebRequest]:
        """See WebPlatform."""
        ids = [f"{{id of {one.name}}}" for one in message.attachments]
        for one, id_ in zip(message.attachments, ids, strict=True):
            yield from (_upload(one), *_described(one, id_))
        yield _post(message, ids)

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        ids = [self._uploaded(one) for one in message.attachments]
        try:
            answer = self._ask(_post(message, ids))
        except _Repeated:
            # Perhaps an attempt of ours before; what is older than the first is another post.
            since, known = message.begun_at, [one.remote_id for one in message.previous]
            if since and (receipt := self._seen(message, since=since, known=known)[0]):
                return receipt
            raise
        if id_ := _id_in(answer):
            return self._receipt(id_)
        raise Unconfirmed("X's answer names no post", where=self.name)

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform."""
        receipt, why = self._seen(message, since=since, known=known)
        waits = (since + SHOWN_AFTER - self._clock.now()).total_seconds()
        if receipt is None and waits > 0:
            what = "it is not in the timeline yet, which may be late"
            raise NotSent(what, where=self.name, retry_after=waits)
        return Looked(receipt=receipt, certain=not why, why=why)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform."""
        del thread
        if not remote_id.isdecimal():
            raise Refused(f"'{remote_id[:60]}' is no post on X", where=self.name)
        self._rest.ask(
            WebRequest(method="DELETE", path=f"/2/tweets/{remote_id}", publishes=True),
            explain=self._explain,
            is_fine=lambda answer: answer.status == 404,
        )

    observes = True
    look_price = Decimal("0.001")  # each post of one's own and UTC day; price list of April 2026

    def observe(self, receipts: Sequence[Receipt]) -> Mapping[str, Mapping[str, int] | None]:
        """See Platform. The account's timeline, from the oldest of the posts on."""
        wanted = {one.remote_id for one in receipts if one.remote_id.isdecimal()}
        if not wanted:
            return {}
        query = {
            "max_results": str(PAGE),
            "since_id": str(min(map(int, wanted)) - 1),
            "tweet.fields": "public_metrics",
        }
        found: dict[str, Mapping[str, int] | None] = {}
        for _ in range(MOST_PAGES):
            path = f"/2/users/{self._user}/tweets"
            page = self._ask(WebRequest(method="GET", path=path, query=query))
            if not isinstance(page, Mapping):
                raise NotSent("X's timeline cannot be read", where=self.name)
            found |= {
                str(one["id"]): _counts(one["public_metrics"])
                for one in page.get("data") or ()
                if str(one.get("id")) in wanted and isinstance(one.get("public_metrics"), Mapping)
            }
            token = (page.get("meta") or {}).get("next_token")
            if not token:
                gone = {} if page.get("errors") else dict.fromkeys(wanted - found.keys())
                return found | gone
            query["pagination_token"] = str(token)
        return found

    def problems(self) -> Iterator[str]:
        """See Platform."""
        if _id_in(self._ask(WebRequest(method="GET", path="/2/users/me"))) != self._user:
            yield "what answers is not X: it does not say who we are; check base_url"

    @property
    def notes(self) -> Sequence[str]:
        """See Platform."""
        return (f"account {self._user}", f"${POST} a post, ${POST_WITH_LINK} with a link")

    def _uploaded(self, picture: Attachment) -> str:
        id_ = _id_in(self._ask(_upload(picture)))
        if not id_:
            raise NotSent("X's answer to an upload names no id", where=self.name)
        for request in _described(picture, id_):
            self._ask(request)
        return id_

    def _seen(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> tuple[Receipt | None, str]:
        """Return the message in our own timeline, or why it may be there all the same."""
        start = (since - CLOCK_SLACK).astimezone(UTC)
        query = {
            "max_results": str(PAGE),
            "start_time": start.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "exclude": "retweets",
            "tweet.fields": "created_at,entities",
        }
        for _ in range(MOST_PAGES):
            path = f"/2/users/{self._user}/tweets"
            page = self._ask(WebRequest(method="GET", path=path, query=query))
            if not isinstance(page, Mapping) or not ("data" in page or "meta" in page):
                raise ConfigError("X's timeline cannot be read", where=self.name)
            for one in page.get("data") or ():
                at = _made_at(str(one.get("id")))
                is_ours = at and at >= start and str(one["id"]) not in known
                if is_ours and texts.alike(_bare(text_of(one)), _bare(message.text)):
                    return self._receipt(str(one["id"]), at), ""
            token = (page.get("meta") or {}).get("next_token")
            if not token:
                return None, "the timeline is not whole" if page.get("errors") else ""
            query["pagination_token"] = str(token)
        return None, f"more than {MOST_PAGES * PAGE} posts were made since; look for it by eye"

    def _receipt(self, id_: str, at: datetime | None = None) -> Receipt:
        url = f"https://x.com/i/web/status/{id_}"
        return Receipt(remote_id=id_, url=url, at=at or _made_at(id_))

    def _ask(self, request: WebRequest) -> Any:
        return self._rest.ask(request, explain=self._explain)

    def _explain(self, answer: FailedAnswer) -> BotticelliError | None:
        """Return the error for an answer: 403 alone has at least five meanings."""
        said = str(answer.body.get("detail") or answer.message or answer.status)
        words = f"{answer.body.get('type', '')} {said}".casefold()
        for status, parts, kind, what, hint in _REFUSALS:
            if status == answer.status and any(part in words for part in parts):
                return kind(f"{what} ({said})", where=self.name, hint=hint)
        return None


def _counts(metrics: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the numbers of a post. Source: docs.x.com, public_metrics."""
    names = {
        "likes": "like", "reposts": "retweet", "replies": "reply", "quotes": "quote",
        "bookmarks": "bookmark", "impressions": "impression",
    }  # fmt: skip
    return {name: int(metrics.get(f"{key}_count") or 0) for name, key in names.items()}


def text_of(post: Mapping[str, Any]) -> str:
    """Return a post's text as it was sent: X shortens links, escapes, and appends pictures."""
    said = str(post.get("text", ""))
    for url in (post.get("entities") or {}).get("urls") or ():
        full = str(url.get("expanded_url", ""))
        is_media = "media_key" in url or _MEDIA.fullmatch(full)
        said = said.replace(str(url.get("url")), "" if is_media else full)
    return unescape(said)


def _bare(text: str) -> str:
    """Return a text whose links look alike whether they had a scheme and a slash at the end."""
    text = unicodedata.normalize("NFC", text)
    for link in links(text):
        short = re.sub(r"^https?://", "", link, flags=re.IGNORECASE).rstrip("/")
        text = text.replace(link, short, 1)
    return text


def _made_at(id_: str) -> datetime | None:
    """Return when a post was made, which its id says."""
    if not id_.isdecimal() or len(id_) > 19:
        return None
    return datetime.fromtimestamp(((int(id_) >> 22) + EPOCH_MS) / 1000, UTC)


def _id_in(answer: Any) -> str:
    data = answer.get("data") if isinstance(answer, Mapping) else None
    id_ = data.get("id") if isinstance(data, Mapping) else None
    return str(id_ or "")


def _upload(picture: Attachment) -> WebRequest:
    kind = "tweet_gif" if picture.mime == "image/gif" else "tweet_image"
    form = {"media_category": kind, "media_type": picture.mime}
    return WebRequest(method="POST", path="/2/media/upload", form=form, files={"media": picture})


def _described(picture: Attachment, id_: str) -> Sequence[WebRequest]:
    body = {"id": id_, "metadata": {"alt_text": {"text": picture.alt}}}
    request = WebRequest(method="POST", path="/2/media/metadata", json=body)
    return (request,) if picture.alt else ()


def _post(message: OutgoingMessage, ids: Sequence[str]) -> WebRequest:
    body: dict[str, Any] = {"text": message.text} if message.text or not ids else {}
    if ids:
        body["media"] = {"media_ids": list(ids)}
    if any(one.is_generated for one in message.attachments):
        body["made_with_ai"] = True
    if message.previous:
        body["reply"] = {"in_reply_to_tweet_id": message.previous[-1].remote_id}
    return WebRequest(method="POST", path="/2/tweets", json=body, publishes=True)
