"""One account on a server with Mastodon's API, whatever software that is.

Rule book: docs.joinmastodon.org. What servers say is read with patience, what we send is exact. A
repeated Idempotency-Key makes no second status within an hour, on servers that honour it.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from botticelli.backoff import Backoff
from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import (
    Attachment,
    Gone,
    KeptOut,
    LockedOut,
    Looked,
    MessageLimits,
    NotSent,
    OutgoingMessage,
    PlatformError,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.markdown import text_of, unmentioned
from botticelli.platforms.mastodon import statuses
from botticelli.platforms.mastodon.counting import length_of
from botticelli.platforms.mastodon.instance import Instance, instance_of
from botticelli.platforms.requests import FailedAnswer, Requests, WebPlatform, WebRequest

PAGE: Final = 40  # the most that a page may have
MOST_PAGES: Final = 50
CLOCK_SLACK: Final = timedelta(minutes=30)  # the database's clock may be off the server's
INSTANCE_SECONDS: Final = 86_400.0  # how long what a server says of itself holds
MEDIA_SECONDS: Final = 20.0  # how long a picture's processing is waited for
MEDIA_BACKOFF: Final = Backoff(base=0.5, cap=4.0)
READ_MARKDOWN: Final = ("pleroma", "akkoma", "gotosocial")  # unless a text's kind is said
NO_ID: Final = "botticelli-check"  # what no status is called: who may not write is told so
RIGHTS: Final = (
    ("DELETE", f"/api/v1/statuses/{NO_ID}", "write:statuses"),
    ("PUT", f"/api/v1/media/{NO_ID}", "write:media"),
)
BAD_TOKEN: Final = re.compile(r"invalid (?:bearer |access )?(?:token|credentials)")
SHUT_OUT: Final = re.compile(r"disabled|suspended|blocked|deactivated")
NOT_AN_API: Final = "what answers is not an API like Mastodon's; check base_url"

Json = dict[str, Any]


class Mastodon(WebPlatform):
    """One account. Not shared between threads.

    Args:
        destination: How its statuses are published.
        rest: The session to use.
        clock: What waits are measured by.
    """

    def __init__(self, destination: Destination, rest: Requests, *, clock: Clock) -> None:
        super().__init__(destination.name, rest)
        self._style = destination
        self._clock = clock
        self._known: tuple[float, Instance] | None = None
        self._account: Json = {}

    @property
    def idempotency_seconds(self) -> float:  # type: ignore[override]
        """See Platform. A server that cannot be asked is not trusted."""
        try:
            return self._instance().idempotency_seconds
        except (PlatformError, ConfigError):
            return 0.0

    @property
    def limits(self) -> MessageLimits:  # type: ignore[override]
        """See Platform.

        Raises:
            NotSent: The server cannot be asked right now.
            ConfigError: It is none of this kind.
        """
        return self._instance().limits

    def length(self, text: str) -> int:
        """See Platform. The content warning counts. Raises as `limits`."""
        known, warning = self._instance(), self._style.content_warning
        return length_of(text, warning, software=known.software, per_url=known.per_url)

    def render(self, markdown: str) -> str:
        """See Platform. There is no markup, and only who is permitted is called."""
        return unmentioned(text_of(markdown), permitted=self._style.guard.allowed_mentions)

    def planned(self, message: OutgoingMessage) -> Iterator[WebRequest]:
        """See WebPlatform."""
        yield from map(_upload, message.attachments)
        yield self._publishing(message, [f"<id of {each.name}>" for each in message.attachments])

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        self._refuse_long(message)
        self._require_parent(message)
        ids = [self._uploaded(each) for each in message.attachments]
        made = self._ask(self._publishing(message, ids))
        if not statuses.is_status(made):
            what = "the server's answer describes no status, which leaves open what it did"
            raise Unconfirmed(what, where=self.name)
        return self._as_wanted(made, message)

    def _as_wanted(self, made: Json, message: OutgoingMessage) -> Receipt:
        """Return the receipt of a status that says what it should.

        A repeated key answers what was published under it before, whatever the text is now.
        """
        receipt = statuses.receipt_of(made)
        is_new = not self._instance().idempotency_seconds or statuses.says(made, message.text)
        if is_new or self._source(receipt.remote_id) == message.text:
            return receipt
        try:
            return self.edit(receipt.remote_id, message)
        except BotticelliError as error:
            what = f"{receipt.url} is out with an earlier text, which cannot be changed"
            raise Unconfirmed(f"{what} ({error.what})", where=self.name) from error

    def _source(self, remote_id: str) -> str | None:
        """Return the text of a status as it was sent; None if the server does not say."""
        try:
            found = self._look(f"{_one(remote_id)}/source")
        except (PlatformError, ConfigError):
            return None
        return str(found.get("text")) if isinstance(found, dict) else None

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform. Only an empty page, or one that is older, is the end."""
        path = f"/api/v1/accounts/{quote(self._me()['id'], safe='')}/statuses"
        now = self._clock.now()  # a server whose clock is behind dates its statuses earlier
        since -= CLOCK_SLACK + max(now - (self.told_time or now), timedelta())
        known = {*known, *(one.remote_id for one in message.previous)}
        query = {"limit": str(PAGE), "exclude_reblogs": "true"}
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            page = self._look(path, query)
            if not statuses.is_page(page):
                raise ConfigError("the list of statuses cannot be read", where=self.name)
            for status in page:
                if self._is_ours(status, message, since=since) and str(status["id"]) not in known:
                    return Looked(receipt=statuses.receipt_of(status), certain=True)
            if not page or _is_before(page[-1], since):
                return Looked(certain=True)
            last = str(page[-1]["id"])  # the newest come first
            if last in seen:
                return Looked(why="the account cannot be read further back; look for it by eye")
            seen.update(str(status["id"]) for status in page)
            query = {**query, "max_id": last}
        return Looked(why=f"more than {len(seen)} statuses were written since; look for it by eye")

    def _is_ours(self, status: Json, message: OutgoingMessage, *, since: datetime) -> bool:
        parent = message.previous[-1].remote_id if message.previous else None
        told = status.get("in_reply_to_id")  # of a parent that is gone: none
        if status.get("reblog") or _is_before(status, since) or (told and str(told) != parent):
            return False
        media = status.get("media_attachments")
        has_same = not isinstance(media, list) or bool(media) == bool(message.attachments)
        return statuses.says(status, message.text) and (has_same or bool(message.text.strip()))

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform. Its pictures stay; whatever is left out would be taken away."""
        self._refuse_long(message)
        there = self._look(_one(remote_id))
        media = there.get("media_attachments") if isinstance(there, dict) else None
        ids = [str(one["id"]) for one in media or () if isinstance(one, dict) and "id" in one]
        body = self._body(message, ids)
        if len(ids) == len(message.attachments):
            told = zip(ids, message.attachments, strict=True)
            body["media_attributes"] = [{"id": one, "description": a.alt} for one, a in told]
        for name in ("visibility", "in_reply_to_id"):
            body.pop(name, None)
        made = self._ask(WebRequest(method="PUT", path=_one(remote_id), json=body))
        if not statuses.is_status(made):
            raise NotSent("the server's answer describes no status", where=self.name)
        return statuses.receipt_of(made)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform."""
        del thread
        request = WebRequest(method="DELETE", path=_one(remote_id))
        self._ask(request, fine=(404, 410))

    observes = True

    def observe(self, receipts: Sequence[Receipt]) -> Mapping[str, Mapping[str, int] | None]:
        """See Platform. Many at once where the server can do that (Mastodon 4.3), else each."""
        found: dict[str, Mapping[str, int] | None] = {}
        for start in range(0, len(receipts), PAGE):
            ids = [one.remote_id for one in receipts[start : start + PAGE]]
            found |= {str(one["id"]): statuses.counts_of(one) for one in self._several(ids)}
            for id_ in ids:
                if id_ not in found:
                    found |= self._counted(id_)
        return found

    def _several(self, ids: Sequence[str]) -> Sequence[Json]:
        query = "&".join(f"id[]={quote(id_, safe='')}" for id_ in ids)
        try:
            page = self._look(f"/api/v1/statuses?{query}")
        except (Refused, Unconfirmed):
            return ()
        known = set(ids)
        return [one for one in page if str(one["id"]) in known] if statuses.is_page(page) else ()

    def _counted(self, id_: str) -> dict[str, Mapping[str, int] | None]:
        """Return the counts of one; None only if it is gone: what else is refused says nothing."""
        try:
            return {id_: statuses.counts_of(self._look(_one(id_)))}
        except Refused as error:
            return {id_: None} if error.code == 404 else {}

    def whereabouts(self) -> str:
        """See Platform."""
        try:
            return f"mastodon:{urlsplit(self._rest.base_url).netloc}/{self.username.lower()}"
        except BotticelliError:
            return ""

    def problems(self) -> Iterator[str]:
        """See Platform."""
        self._instance()
        me, wanted = self._me(), self._style.account.removeprefix("@").partition("@")[0]
        if wanted and wanted.lower() != self.username.lower():
            yield f"the token is that of @{self.username}, `account` says @{wanted}"
        if me.get("suspended"):
            yield f"the account @{self.username} is suspended; ask the server's moderators"
        if not self.length("x") <= self.limits.length:
            yield "the content warning alone is longer than the server lets a status be"
        for method, path, right in RIGHTS:
            try:
                self._ask(WebRequest(method=method, path=path), fine=(400, 404, 405, 410, 422, 500))
            except NotSent:
                raise
            except BotticelliError as error:
                yield f"the token lacks the right {right} ({error.what}); `botticelli connect`"

    @property
    def username(self) -> str:
        """Our name on the server, without a sign or a host."""
        return str(self._me().get("username") or self._me().get("acct", ""))

    @property
    def notes(self) -> Sequence[str]:
        """See Platform."""
        known = self._instance()
        return (f"{known.software or 'unknown software'} {known.version}", f"as @{self.username}")

    def _instance(self) -> Instance:
        """Return what the server is, asked once a day."""
        now = self._clock.monotonic()
        if self._known is None or now >= self._known[0]:
            self._known = now + INSTANCE_SECONDS, self._described()
        return self._known[1]

    def _described(self) -> Instance:
        for path in ("/api/v2/instance", "/api/v1/instance"):
            told = self._ask(WebRequest(method="GET", path=path), fine=(404, 405, 410, 501))
            if isinstance(told, dict) and "version" in told:
                found = instance_of(told)
                return found if found.software else instance_of(told, self._software())
        raise ConfigError(NOT_AN_API, where=self.name)

    def _software(self) -> str:
        """Return what nodeinfo calls the server's software; empty if it says nothing."""
        try:
            links = self._look("/.well-known/nodeinfo")["links"]
            path = urlsplit(str(links[-1]["href"])).path  # never on another host
            return str(self._look(path)["software"]["name"])
        except (PlatformError, ConfigError, LookupError, TypeError, ValueError):
            return ""

    def _me(self) -> Json:
        """Return our own account; its id is text.

        Raises:
            ConfigError: The answer describes none.
        """
        if not self._account:
            path = "/api/v1/accounts/verify_credentials"
            found = self._ask(WebRequest(method="GET", path=path), fine=(404, 405, 501))
            if not isinstance(found, dict) or not found.get("id"):
                raise ConfigError(NOT_AN_API, where=self.name)
            self._account = {**found, "id": str(found["id"])}
        return self._account

    def _refuse_long(self, message: OutgoingMessage) -> None:
        """Refuse a text that the server would not take, before anything is uploaded."""
        length, most = self.length(message.text), self.limits.length
        if length > most:
            what = f"the text has {length} characters as the server counts, it takes {most}"
            raise Refused(what, where=self.name)

    def _require_parent(self, message: OutgoingMessage) -> None:
        """Refuse to answer what is gone: some servers would publish it all the same."""
        for parent in message.previous[-1:]:
            try:
                self._look(_one(parent.remote_id))
            except Refused as error:
                what = "the message that this one follows is gone"
                raise Refused(what, where=self.name) from error

    def _publishing(self, message: OutgoingMessage, ids: Sequence[str]) -> WebRequest:
        return WebRequest(
            method="POST",
            path="/api/v1/statuses",
            headers={"Idempotency-Key": message.nonce},
            json=self._body(message, ids),
            publishes=True,
        )

    def _body(self, message: OutgoingMessage, ids: Sequence[str]) -> Json:
        style, visibility = self._style, self._style.visibility
        body: Json = {"status": message.text, "visibility": visibility}
        if message.previous:
            body["in_reply_to_id"] = message.previous[-1].remote_id
            body["visibility"] = "unlisted" if visibility == "public" else visibility
        if ids:
            body["media_ids"] = list(ids)
        if style.content_warning:
            body |= {"spoiler_text": style.content_warning, "sensitive": True}
        language = (message.language or style.language).partition("-")[0].lower()
        if language.isalpha() and len(language) in (2, 3):
            body["language"] = language
        if self._known and self._known[1].software in READ_MARKDOWN:
            body["content_type"] = "text/plain"
        return body

    def _uploaded(self, attachment: Attachment) -> str:
        """Upload, wait until it is processed, and return its id."""
        made = self._ask(_upload(attachment), fine=(404, 405)) or self._ask(
            _upload(attachment, "/api/v1/media")  # of servers before 2020
        )
        if not isinstance(made, dict) or not made.get("id"):
            raise NotSent("the server's answer describes no upload", where=self.name)
        until, tries = self._clock.monotonic() + MEDIA_SECONDS, 0
        while isinstance(made, dict) and "url" in made and not made["url"]:
            tries += 1
            self._clock.sleep(MEDIA_BACKOFF.after(tries))
            if self._clock.monotonic() > until:
                what = f"the server is still processing {attachment.name}"
                raise NotSent(what, where=self.name, retry_after=60)
            made = {**made, **self._look(f"/api/v1/media/{quote(str(made['id']), safe='')}")}
        return str(made["id"])

    def _look(self, path: str, query: Json | None = None) -> Any:
        """GET and return the JSON; what is not there is Refused."""
        return self._ask(WebRequest(method="GET", path=path, query=query or {}))

    def _ask(self, request: WebRequest, *, fine: Collection[int] = ()) -> Any:
        return self._rest.ask(
            request, explain=self._explained, is_fine=lambda answer: answer.status in fine
        )

    def _explained(self, answer: FailedAnswer) -> BotticelliError | None:
        """Return the error for what servers say in their own ways; None: the usual one."""
        said, status, where = answer.message.lower(), answer.status, self.name
        hint = "get a new token with `botticelli connect mastodon`"
        if status in (400, 403) and BAD_TOKEN.search(said):
            what = f"the server does not accept the token ({answer.message})"
            return LockedOut(what, where=where, hint=hint)
        if status == 403 and SHUT_OUT.search(said):
            return KeptOut(f"the account is shut out ({answer.message})", where=where)
        if status == 403 and "scope" in said:
            return ConfigError(f"the token may not ({answer.message})", where=where, hint=hint)
        others = {
            404: Refused("it is not there, or no more", where=where, code=404),
            409: Unconfirmed("a request with the same key is still under way", where=where),
            410: Gone("the account exists no more", where=where),
        }
        return others.get(status)


def _upload(attachment: Attachment, path: str = "/api/v2/media") -> WebRequest:
    form = {"description": attachment.alt} if attachment.alt else None
    return WebRequest(method="POST", path=path, form=form, files={"file": attachment})


def _one(remote_id: str) -> str:
    return f"/api/v1/statuses/{quote(remote_id, safe='')}"


def _is_before(status: Json, since: datetime) -> bool:
    at = statuses.written_at(status)
    return at is not None and at < since
