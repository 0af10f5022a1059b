"""One Discord channel, written to as a bot or through a webhook.

Rule book: docs.discord.com/developers. Every request carries the version in its path and our
User-Agent, follows no redirect, has time limits, and waits for the rate limit's own word.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, ConfigError
from botticelli.platforms.base import (
    Attachment,
    KeptOut,
    LockedOut,
    Looked,
    OutgoingMessage,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.discord import attachments, forum, polls
from botticelli.platforms.discord import channel as channels
from botticelli.platforms.discord.errors import (
    ARCHIVED,
    ATTACH,
    CROSSPOST,
    CROSSPOSTED,
    MISSING_PERMISSION,
    OPEN_AGAIN,
    OPEN_THREAD,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    WRITE,
    ErrorAnswer,
    error_of,
)
from botticelli.platforms.discord.rest import Rest, discord_request
from botticelli.platforms.requests import WebPlatform, WebRequest
from botticelli.records import record

NONCE_SECONDS: Final = 120.0  # of the "few minutes" in which enforce_nonce holds, on the safe side
THREAD_ALREADY: Final = 160004

_RIGHTS: Final = {"threads": OPEN_THREAD, "crosspost": CROSSPOST}
_MESSAGE_ID: Final = re.compile(r"/messages/[0-9]+")

Json = dict[str, Any]


@record
class Webhook:
    """A webhook's id, and its token: a secret that is part of the path.

    Args:
        thread: The one of its channel's threads that it writes to; empty: the channel itself.
    """

    id: str
    token: Secret
    thread: str = ""


class Discord(WebPlatform):
    """One channel, as one author. Not shared between threads.

    Args:
        name: The destination's name, which errors carry.
        channel: Snowflake of the channel.
        webhook: Publish through it instead of as the bot.
        can_read: Whether the session has a bot's token, so that the channel can be looked at.
        rest: The session to use.
    """

    limits = attachments.LIMITS

    def __init__(
        self,
        name: str,
        *,
        channel: str,
        rest: Rest,
        webhook: Webhook | None = None,
        can_read: bool = True,
        extras: channels.Extras = channels.NO_EXTRAS,
    ) -> None:
        super().__init__(name, rest)
        self._channel = channel
        self._webhook = webhook
        self._can_read = can_read
        self._extras = extras
        self._guild = ""
        self._web_host = _web_host(rest.base_url)
        # Neither a webhook nor a forum has a nonce: what was published once must be looked up.
        self.idempotency_seconds = 0.0 if webhook or extras.is_forum else NONCE_SECONDS

    def planned(self, message: OutgoingMessage) -> Sequence[WebRequest]:
        """See WebPlatform. A webhook's token is left out."""
        path, query = self._target(message, shown=True)
        body = self._payload(message, self._extras.tags)
        files = attachments.files(message.attachments)
        return [discord_request("POST", path, query=query, json=body, files=files)]

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform. Discord itself drops a repeated nonce, but only for some minutes."""
        path, query = self._target(message)
        if sum(len(one.content) for one in message.attachments) > attachments.LARGEST:
            raise Refused("the files are too large for one message", where=self.name)
        body = self._payload(message, self._tags())
        made = self._call(
            "POST", path, json=body, query=query, files=attachments.files(message.attachments)
        )
        if self._opens_post(message) and self._webhook is None and isinstance(made, dict):
            made = {**made, "channel_id": made.get("id")}  # the thread has its first message's id
        return self._receipt(made)

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform.

        A channel that may be written to but not read is not an error: nothing is known of it.
        """
        if self._can_read:
            self.whereabouts()  # the silence of another channel would prove nothing
        if not (self._can_read and self._channel):
            return Looked(why="a webhook cannot read its channel back")
        try:
            return self._find(message, since=since, known=known)
        except KeptOut as error:
            if self._webhook is None:  # once we may read it again, we will know
                raise
            return Looked(why=error.what)
        except LockedOut:
            raise
        except ConfigError as error:
            return Looked(why=error.what)

    def _find(self, message: OutgoingMessage, *, since: datetime, known: Collection[str]) -> Looked:
        place = message.thread or (self._webhook and self._webhook.thread) or self._channel
        links = re.compile(rf"/{place}/(\d+)$")
        here = {match[1] for one in known if (match := links.search(one))}
        search = channels.Search(
            message=replace(
                message, text=polls.words_of(message.text, hours=self._extras.poll_hours)
            ),
            author=self._webhook.id if self._webhook else self._me(),
            since=since,
            known=here.union(known),
            whole=self._whole if self._webhook else None,
        )
        look_for = forum.search if self._opens_post(message) else channels.search
        found = look_for(self._look, place, search)
        if not isinstance(found, Looked):
            return Looked(receipt=self._receipt_of(found), certain=True)
        if found.certain and not search.author:
            return Looked(
                why="the server does not say who we are, so no message there is certainly ours"
            )
        return found

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform. Mentions are named again: an edit without them pings whom it names.

        So are its files: those that an edit does not list are removed.
        """
        content, poll = polls.poll_of(message.text, hours=self._extras.poll_hours)
        body: Json = {"content": content, "allowed_mentions": _mentions(message)}
        if message.attachments or self._extras.poll_hours:
            there = self._look(*self._one(remote_id, message.thread))
            body["attachments"] = attachments.kept(
                there.get("attachments", ()), message.attachments
            )
            if not polls.are_alike(there.get("poll"), poll):
                what, hint = "a poll cannot be changed", "withdraw it and approve the new text"
                raise Refused(what, where=self.name, hint=hint)
        return self._receipt(self._change("PATCH", remote_id, message.thread, json=body))

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform. A forum's post goes with its title, if we may do that."""
        if self._extras.is_forum and thread and self._can_read:
            try:
                self._call("DELETE", f"/channels/{thread}")
            except LockedOut:
                raise
            except ConfigError:
                pass
            else:
                return
        self._change("DELETE", remote_id, thread)

    def _change(self, method: str, remote_id: str, thread: str, **more: Any) -> Any:
        """Change a message of ours; an archived thread is opened again for it.

        Raises:
            ConfigError: It is archived, and we may not open it again.
        """
        path, query = self._one(remote_id, thread)
        try:
            return self._call(method, path, query=query, **more)
        except Refused as error:
            if error.code != ARCHIVED:
                raise
        place = thread or (self._webhook and self._webhook.thread) or self._channel
        if not self._can_read:
            what, hint = "the thread is archived", "open it again, or name a bot's token as well"
            raise ConfigError(what, where=self.name, hint=hint)
        self._call("PATCH", f"/channels/{place}", json={"archived": False})
        return self._call(method, path, query=query, **more)

    @property
    def steps(self) -> Sequence[str]:
        """See Platform. A link needs the server's id, which no message contains."""
        wanted = {
            "thread": self._extras.opens_threads,
            "crosspost": self._extras.crosspost,
            "link": not self._guild,
        }
        return [step for step, is_wanted in wanted.items() if is_wanted]

    def follow(self, step: str, receipt: Receipt) -> Receipt:
        """See Platform. Discord answers a repetition with a code of its own, which is fine."""
        path = f"/channels/{self._channel}/messages/{receipt.remote_id}"
        if step == "thread" and self._extras.opens_threads:
            name = {"name": self._extras.thread_name[:100]}
            self._call("POST", f"{path}/threads", json=name, fine=(THREAD_ALREADY,))
        elif step == "crosspost":
            self._call("POST", f"{path}/crosspost", fine=(CROSSPOSTED,))
        elif step == "link":
            return replace(receipt, url=receipt.url.replace("/@me/", f"/{self._server()}/", 1))
        return receipt

    def whereabouts(self) -> str:
        """See Platform. A webhook knows its channel, and the server of that; a bot is told it."""
        if self._webhook is None or self._webhook.thread:
            return ""
        try:
            found = self._look(self._messages("")[0], {})
            self._channel, self._guild = str(int(found["channel_id"])), str(found["guild_id"])
        except (BotticelliError, KeyError, TypeError, ValueError):
            return ""
        return f"discord:{self._channel}"

    observes, has_chains = True, False

    def observe(self, receipts: Sequence[Receipt]) -> Mapping[str, Mapping[str, int] | None]:
        """See Platform. A page of the channel has a hundred; what lies elsewhere is asked for."""
        found: dict[str, Mapping[str, int] | None] = {}
        here = [one.remote_id for one in receipts if not self.lies_in(one)]
        if self._can_read and self._channel and here and not self._extras.is_forum:
            found |= channels.observe(self._look, self._channel, here, author=self._me())
        for one in (one for one in receipts if one.remote_id not in found):
            try:
                seen = self._look(*self._one(one.remote_id, self.lies_in(one)))
            except Refused as error:
                if error.code != UNKNOWN_MESSAGE:
                    continue
                seen = None
            found[one.remote_id] = seen and channels.counts_of(seen)
        return found

    def thread_of(self, receipt: Receipt) -> str:
        """See Platform. A thread under a message has the message's id."""
        if self._extras.is_forum:
            return self.lies_in(receipt)
        return receipt.remote_id if self._extras.opens_threads else ""

    def lies_in(self, receipt: Receipt) -> str:
        """See Platform. The destination may have another channel by now."""
        match = re.search(r"/channels/[^/]+/(\d+)/\d+$", receipt.url)
        is_channel = self._webhook and not self._extras.is_forum
        is_here = match is None or is_channel or match[1] == self._channel
        return "" if is_here or match is None else match[1]

    def problems(self) -> Iterable[str]:
        """See Platform."""
        if self._webhook:
            path, _ = self._messages("")
            if not channels.is_thing(self._look(path, {}), self._webhook.id):
                return (channels.NOT_DISCORD,)
            self.whereabouts()
        if not (self._can_read and self._channel):
            return ()
        writes = self._webhook is None
        found = list(channels.problems(self._look, self._channel, self._extras, writes=writes))
        self._tags()
        return found

    def _payload(self, message: OutgoingMessage, tags: Sequence[str]) -> Json:
        content, poll = polls.poll_of(message.text, hours=self._extras.poll_hours)
        body: Json = {"content": content, "allowed_mentions": _mentions(message)}
        if poll:
            body["poll"] = poll
        if message.attachments:
            body["attachments"] = attachments.listed(message.attachments)
        if self._extras.flags:
            body["flags"] = self._extras.flags
        title = self._extras.thread_name or message.title
        title = title[: forum.LONGEST_TITLE] or forum.title_of(_words(message))
        tagged = {"applied_tags": list(tags)} if tags else {}
        if self._opens_post(message):
            if self._webhook is None:
                return {"name": title, "message": body, **tagged}
            return {**body, "thread_name": title, **tagged}
        if self._webhook is None:
            body |= {"nonce": message.nonce, "enforce_nonce": True}
        return body

    def _opens_post(self, message: OutgoingMessage) -> bool:
        """Whether a message is the first of a forum's post."""
        return self._extras.is_forum and not message.thread

    def _tags(self) -> Sequence[str]:
        """Return the ids of the tags; the forum is asked if they have names.

        Raises:
            ConfigError: It has no such tag.
        """
        if all(map(str.isdecimal, self._extras.tags)) or not self._can_read:
            return self._extras.tags
        if self._webhook:
            self.whereabouts()
        return forum.tag_ids(self._extras.tags, self._look(f"/channels/{self._channel}", {}))

    def _target(
        self, message: OutgoingMessage, *, shown: bool = False
    ) -> tuple[str, Mapping[str, str]]:
        """Return path and query of the request that publishes a message."""
        if self._opens_post(message) and self._webhook is None:
            return f"/channels/{self._channel}/threads", {}
        return self._messages(message.thread, shown=shown)

    def _messages(self, thread: str, *, shown: bool = False) -> tuple[str, Mapping[str, str]]:
        if self._webhook is None:
            return f"/channels/{thread or self._channel}/messages", {}
        token = str(self._webhook.token) if shown else self._webhook.token.reveal()
        # wait=true: without it a message that was not saved gives no error.
        thread = thread or self._webhook.thread
        query = {"wait": "true"} | ({"thread_id": thread} if thread else {})
        return f"/webhooks/{self._webhook.id}/{token}", query

    def _one(self, remote_id: str, thread: str) -> tuple[str, Mapping[str, str]]:
        path, query = self._messages(thread)
        if self._webhook is None:
            return f"{path}/{remote_id}", {}
        return f"{path}/messages/{remote_id}", {k: v for k, v in query.items() if k != "wait"}

    def _whole(self, place: str, remote_id: str) -> Json:
        """Return a message in a channel or thread as its webhook sees it."""
        thread = "" if place == self._channel else place
        try:
            found: Json = self._look(*self._one(remote_id, thread))
        except Refused:  # deleted since it was listed
            return {}
        return found

    def _me(self) -> str:
        """Return our own id; empty where a server has no such route, as other people's may."""
        try:
            return str(self._look("/users/@me", {})["id"])
        except (KeptOut, LockedOut):
            raise
        except (ConfigError, Refused, KeyError, TypeError):
            return ""

    def _look(self, path: str, query: Mapping[str, str]) -> Any:
        """GET and return the JSON; whatever goes wrong on the way is NotSent: ask again."""
        return self._call("GET", path, query=query)

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: Json | None = None,
        query: Mapping[str, str] | None = None,
        files: Mapping[str, Attachment] | None = None,
        fine: Collection[int] = (),
    ) -> Any:
        """Make one request; an error code among `fine` counts as success."""
        request = discord_request(
            method=method,
            path=path,
            query=query or {},
            json=json,
            files=files or {},
            route=f"{method} {_MESSAGE_ID.sub('/messages/*', path)}",
        )
        return self._rest.ask(
            request,
            where=self.name,
            explain=partial(self._explain, request),
            is_fine=lambda answer: answer.code in fine or _is_gone(method, answer),
        )

    def _explain(self, request: WebRequest, answer: ErrorAnswer) -> BotticelliError:
        return error_of(
            answer,
            where=self.name,
            channel=self._channel_name(answer, request.method),
            publishing=request.publishes,
            right=_right(request),
        )

    def _channel_name(self, answer: ErrorAnswer, method: str) -> str:
        """Return "#news" where we may see the channel, else its id; asked only for an error.

        Where we may not, asking would be one more invalid request, which Discord counts.
        """
        if answer.code != MISSING_PERMISSION or method == "GET" or not self._can_read:
            return self._channel
        try:
            return "#" + str(self._look(f"/channels/{self._channel}", {})["name"])
        except (BotticelliError, KeyError, TypeError):
            return self._channel or "the channel"

    def _receipt(self, message: Any) -> Receipt:
        try:
            return self._receipt_of(message)
        except (ValueError, KeyError, TypeError) as error:
            words = "Discord's answer does not describe the message"
            raise Unconfirmed(words, where=self.name) from error

    def _receipt_of(self, message: Mapping[str, Any]) -> Receipt:
        remote_id = str(int(message["id"]))
        channel = message.get("channel_id") or self._channel
        return Receipt(
            remote_id=remote_id,
            url=f"https://{self._web_host}/channels/{self._guild or '@me'}/{channel}/{remote_id}",
            at=channels.made_at(message),
        )

    def _server(self) -> str:
        """Return the id of the channel's server, which a link needs; it is asked for once.

        "@me" stands for direct messages, and for a server that does not say.
        """
        # A webhook knows it without a bot, which need not even see the channel.
        path = self._messages("")[0] if self._webhook else f"/channels/{self._channel}"
        try:
            guild = self._look(path, {}).get("guild_id")
        except (KeptOut, LockedOut):
            raise
        except (ConfigError, Refused, AttributeError):
            guild = None
        self._guild = str(guild or "@me")
        return self._guild


def _words(message: OutgoingMessage) -> str:
    """Return what a message says; one without text, what is on its pictures."""
    alts = [one.alt or one.name for one in message.attachments]
    return message.text if message.text.strip() else "\n".join(alts)


def _right(request: WebRequest) -> tuple[str, str]:
    """Return what a request does that may be forbidden, and the permission for it."""
    if request.json == {"archived": False}:
        return OPEN_AGAIN
    if request.files:
        return ATTACH
    return _RIGHTS.get(request.path.rpartition("/")[2], WRITE)


def _mentions(message: OutgoingMessage) -> Json:
    """Return whom the text may ping: nobody, or those allowed ids that stand in it.

    A model must never ping a whole server, so `parse` is always empty.
    """
    mentions: Json = {"parse": []}
    for key, pattern in (("users", r"<@!?(\d+)>"), ("roles", r"<@&(\d+)>")):
        named = set(re.findall(pattern, message.text)) & set(message.allowed_mentions)
        if named:
            mentions[key] = sorted(named)[:100]
    return mentions


def _is_gone(method: str, answer: ErrorAnswer) -> bool:
    """Whether what was to be deleted is gone, with its channel or server as it may be.

    A webhook that is gone has left its messages behind; a web page is no answer of the API.
    """
    is_thing = answer.code != UNKNOWN_WEBHOOK and not answer.is_page
    return method == "DELETE" and answer.status == 404 and is_thing


def _web_host(base_url: str) -> str:
    """Return the host that links to messages lead to.

    A server of its own has its web client beside its API. A host without a public name is
    a proxy in front of Discord.
    """
    host = urlsplit(base_url).hostname or ""
    is_own = "." in host and not re.fullmatch(r"[\d.:]+|(.+\.)?(discord|discordapp)\.com", host)
    return host if is_own and not host.endswith((".local", ".internal")) else "discord.com"
