"""A Bluesky account that posts: sessions, pictures, records, threads.

The key of a record is ours and made of the delivery, so that publishing again changes nothing,
however late: `putRecord` that wants nothing to be there is no new post where ours is.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from botticelli.clock import Clock
from botticelli.platforms.base import (
    Attachment,
    Looked,
    MessageLimits,
    NotSent,
    OutgoingMessage,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.bluesky import record
from botticelli.platforms.bluesky.record import COLLECTION, Json
from botticelli.platforms.bluesky.session import BlueskyAccount, Swapped, procedure, query
from botticelli.platforms.requests import WebPlatform, WebRequest

if TYPE_CHECKING:
    from botticelli.store.kept_sessions import SealedSessions


class Bluesky(WebPlatform):
    """One account's posts.

    Args:
        name: The destination's name.
        account: Whose posts.
        clock: What a record says that is previewed, not begun.
        replaces: Whether an edit deletes a post and publishes another one in its place; Bluesky's
            readers do not see a record that was changed.
    """

    idempotency_seconds = math.inf
    limits = MessageLimits(
        length=record.MOST_GRAPHEMES,
        attachments=4,
        attachment_bytes=976_000,  # since 2026 it is 2,000,000, which earlier servers refuse
        alt=2000,  # as the official app has it; the lexicon has no limit
        mimes=("image/jpeg", "image/png", "image/webp"),
    )

    def __init__(self, name: str, *, account: BlueskyAccount, clock: Clock, replaces: bool) -> None:
        super().__init__(name, account.requests)
        self.account = account
        self._clock = clock
        self._replaces = replaces

    def keep_session(self, sessions: "SealedSessions") -> None:
        """See Platform."""
        self.account.sessions = sessions

    def length(self, text: str) -> int:
        """See Platform. Graphemes of the plain text."""
        return record.length(text)

    def render(self, markdown: str) -> str:
        """See Platform. Links under words stay as [words](address), which become facets."""
        return record.render(markdown)

    def planned(self, message: OutgoingMessage) -> Iterator[WebRequest]:
        """See WebPlatform."""
        yield from map(_upload, message.attachments)
        refs = [{"uri": one.remote_id, "cid": "{cid}"} for one in message.previous]
        made = record.post(
            message,
            at=message.begun_at or self._clock.now(),
            blobs={one.sha256: _shown_blob(one) for one in message.attachments},
            reply={"root": refs[0], "parent": refs[-1]} if refs else None,
            resolve=lambda handle: f"{{did of {handle}}}",
        )
        key = record.key_of(message.nonce, message.planned_at) if message.planned_at else "{key}"
        yield _put(made, key, repo="{did}")

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        made = self._record(message, at=message.begun_at or self._clock.now())
        return self._publish(made, record.key_of(message.nonce, message.planned_at))

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform. The key is known, so nothing is ever in doubt."""
        del known
        key = record.key_of(message.nonce, message.planned_at)
        found = self._read(key)
        plain, _ = record.compose(message.text)
        is_ours = _is_ours(found, text=plain, made_at=record.stamp(message.begun_at or since))
        return Looked(receipt=self._receipt(key, found) if is_ours else None, certain=True)

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform. The new post has the key of the old one: replies to it stay with it."""
        if not self._replaces:
            hint = 'set `edits = "replace"` for a new post in its place, or withdraw it'
            raise Refused("Bluesky shows no edits", where=self.name, hint=hint)
        there = self._read(_key(remote_id)).get("value", {})
        at = _instant(there) or message.begun_at or self._clock.now()
        made = self._record(message, at=at)
        if "reply" in there:
            made["reply"] = there["reply"]
        if there != made:
            self.delete(remote_id)
            for one in message.attachments:  # the server drops a post's pictures with it
                self._uploaded(one)
        return self._publish(made, _key(remote_id))

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform."""
        del thread
        body = {"repo": self.account.did, "collection": COLLECTION, "rkey": _key(remote_id)}
        self.account.ask(procedure("repo.deleteRecord", body))

    observes = True

    def observe(self, receipts: Sequence[Receipt]) -> Mapping[str, Mapping[str, int] | None]:
        """See Platform. The account's server passes it on to the network's view, 25 at a time."""
        found: dict[str, Mapping[str, int] | None] = {}
        for start in range(0, len(receipts), 25):
            uris = [one.remote_id for one in receipts[start : start + 25]]
            asked = "&".join(f"uris={quote(uri, safe='')}" for uri in uris)
            path = f"/xrpc/app.bsky.feed.getPosts?{asked}"
            answer = self.account.ask(WebRequest(method="GET", path=path))
            posts = answer.get("posts") if isinstance(answer, dict) else None
            if not isinstance(posts, list):
                raise NotSent("the server's answer has no posts", where=self.name)
            there = {str(one.get("uri")): _counts(one) for one in posts if isinstance(one, dict)}
            found |= {uri: there.get(uri) for uri in uris}
        return found

    def problems(self) -> Iterator[str]:
        """See Platform."""
        seen = self.account.ask(query("server.getSession"))
        if not isinstance(seen, dict) or seen.get("active") is False:
            yield "the account is not active; log in on the web and see why"

    def _record(self, message: OutgoingMessage, *, at: datetime) -> Json:
        """Return the record of a message, its pictures uploaded."""
        return record.post(
            message,
            at=at,
            blobs={one.sha256: self._uploaded(one) for one in message.attachments},
            reply=self._reply(message.previous),
            resolve=cache(self.account.did_of),
        )

    def _uploaded(self, attachment: Attachment) -> Json:
        answer = self.account.ask(_upload(attachment))
        blob = answer.get("blob") if isinstance(answer, dict) else None
        if not isinstance(blob, dict):
            raise NotSent("the server's answer describes no uploaded picture", where=self.name)
        return blob

    def _reply(self, previous: Sequence[Receipt]) -> Json | None:
        """Return root and parent of a reply, each with the content id it has now."""
        if not previous:
            return None
        read = cache(self._read)
        found = [read(_key(one.remote_id)) for one in (previous[0], previous[-1])]
        if not all(found):
            raise Refused("the message that it goes on from is gone", where=self.name)
        root, parent = ({"uri": one["uri"], "cid": one["cid"]} for one in found)
        return {"root": root, "parent": parent}

    def _publish(self, made: Json, key: str) -> Receipt:
        try:
            answer = self.account.ask(_put(made, key, repo=self.account.did))
        except Swapped as error:
            found = self._read(key)
            if _is_ours(found, text=made["text"], made_at=made["createdAt"]):
                return self._receipt(key, found)
            raise Refused("another post has the key of this one", where=self.name) from error
        if not isinstance(answer, dict) or answer.get("uri") != self._uri(key):
            raise Unconfirmed("the server's answer does not describe the post", where=self.name)
        return self._receipt(key, {"value": made})

    def _read(self, key: str) -> Json:
        """Return one of our records with its address and content id; {} if there is none."""
        asked = {"repo": self.account.did, "collection": COLLECTION, "rkey": key}
        found = self.account.look("repo.getRecord", asked, absent="RecordNotFound")
        if found and not (isinstance(found.get("value"), dict) and found.get("cid")):
            raise NotSent("the server's answer describes no record", where=self.name)
        return found and found | {"uri": self._uri(key)}

    def _uri(self, key: str) -> str:
        return f"at://{self.account.did}/{COLLECTION}/{key}"

    def _receipt(self, key: str, found: Json) -> Receipt:
        url = f"https://bsky.app/profile/{self.account.did}/post/{key}"
        return Receipt(remote_id=self._uri(key), url=url, at=_instant(found["value"]))


def _put(made: Json, key: str, *, repo: str) -> WebRequest:
    body = {"repo": repo, "collection": COLLECTION, "rkey": key, "record": made}
    # Null: nothing may be there; the very same record may, and changes nothing.
    return procedure("repo.putRecord", body | {"swapRecord": None}, publishes=True)


def _upload(attachment: Attachment) -> WebRequest:
    mime = {"Content-Type": attachment.mime}
    return procedure("repo.uploadBlob", content=attachment, headers=mime)


def _shown_blob(attachment: Attachment) -> Json:
    """Return a blob as it will be known; its content id comes with the upload."""
    facts = {"mimeType": attachment.mime, "size": len(attachment.content)}
    return {"$type": "blob", "ref": {"$link": "{content id}"}, **facts}


def _is_ours(found: Json, *, text: str, made_at: str) -> bool:
    """Whether the record that has the key of a message is that message."""
    value = found.get("value", {})
    return bool(value) and (value.get("text") == text or value.get("createdAt") == made_at)


def _counts(post: Json) -> Mapping[str, int]:
    """Return the numbers of a post. Source: app.bsky.feed.defs#postView."""
    names = {"likes": "like", "reposts": "repost", "replies": "reply", "quotes": "quote"}
    return {name: int(post.get(f"{key}Count") or 0) for name, key in names.items()}


def _key(remote_id: str) -> str:
    """Return the record key in the address of a post."""
    return remote_id.rpartition("/")[2]


def _instant(value: Json) -> datetime | None:
    try:
        return datetime.fromisoformat(value["createdAt"])
    except (KeyError, TypeError, ValueError):
        return None
