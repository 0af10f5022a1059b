"""Discord's clients made from a destination's settings: requests is imported here."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_web
from botticelli.config.model import Destination
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.base import Platform, Room, lack, told
from botticelli.platforms.discord.errors import MAX_LENGTH
from botticelli.platforms.rate_limits import SharedLimits

if TYPE_CHECKING:
    import random

    import requests

    from botticelli.platforms.connecting import Asker, Credentials
    from botticelli.platforms.discord.client import Webhook
    from botticelli.platforms.discord.commands.client import DiscordCommands
    from botticelli.platforms.discord.rest import Rest

MOST_TAGS: Final = 5  # of a forum's post
SILENT, NO_EMBEDS = 1 << 12, 1 << 2  # flags of messages
DISCORD_API: Final = "https://discord.com/api/v10"
DISCORD_HOSTS: Final = re.compile(r"(?:ptb\.|canary\.)?discord(?:app)?\.com", re.IGNORECASE)
WEBHOOK_PATH: Final = re.compile(r".*/webhooks/(\d+)/([\w-]+)/?")
# Discord blocks clients that do not introduce themselves in this form (API Reference, User Agent).
USER_AGENT: Final = "DiscordBot (https://github.com/crumplecup/botticelli, {version})"


def open_discord_commands(
    choose: Callable[[], Destination], *, clock: Clock, chance: "random.Random"
) -> "DiscordCommands":
    """Return the commands of a Discord destination's bot.

    Args:
        choose: Returns the destination when the first request is made; then ConfigError is raised
            if it has no bot token.
        clock: What waits and ages of messages are measured by.
        chance: Makes nonces.
    """
    from botticelli.platforms.discord.commands.client import DiscordCommands

    def open_rest() -> "Rest":
        destination = choose()
        if not destination.token:
            what, hint = "Discord commands need a bot token", "set DISCORD_TOKEN"
            raise ConfigError.of([lack(destination, "token", what, hint)])
        return _rest(destination, SharedLimits(clock))

    return DiscordCommands(open_rest, clock=clock, chance=chance)


def _unfit_for_forum(destination: Destination) -> Iterator[Problem]:
    """Yield what does not go with a forum, or only with one."""
    is_forum, tags = destination.forum, destination.forum_tags
    by_name = not destination.token and not all(map(str.isdecimal, tags))
    into_thread = destination.webhook and "thread_id=" in destination.webhook.reveal()
    for key, is_wrong, what, hint in (
        ("crosspost", is_forum and destination.crosspost, "a forum has no followers", "remove it"),
        ("forum", is_forum and into_thread, "the webhook writes into a thread", "remove one"),
        ("poll_hours", is_forum and destination.poll_hours, "a forum takes no polls", "remove it"),
        ("forum_tags", tags and not is_forum, "only a forum has tags", "set `forum = true`"),
        ("forum_tags", len(tags) > MOST_TAGS, f"more than {MOST_TAGS} tags", "remove some"),
        ("forum_tags", by_name, "a webhook alone knows no names of tags", "write their ids"),
    ):
        if is_wrong:
            yield lack(destination, key, what, hint)


def _missing_of_bot(destination: Destination) -> Iterator[Problem]:
    if not destination.channel:
        hint = "set POSTING_CHANNEL_ID to the channel's id"
        yield lack(destination, "channel", "no channel to post to", hint, is_unset=True)
    elif not destination.channel.isdecimal():
        what = f"'{destination.channel}' is not a channel id, which has digits only"
        hint = "copy it in Discord with Developer Mode on (POSTING_CHANNEL_ID)"
        yield lack(destination, "channel", what, hint)
    if not destination.token:
        hint = "set DISCORD_TOKEN, or `webhook` instead"
        yield lack(destination, "token", "no bot token", hint, is_unset=True)


def _missing_with_webhook(destination: Destination) -> Iterator[Problem]:
    """A webhook writes by itself; what follows a message is done by a bot."""
    if destination.token and destination.channel:
        return
    what = "a webhook alone can neither crosspost nor open a thread"
    hint = "name the bot's token and the channel as well, or take it out"
    thread_name = "" if destination.forum else destination.thread_name
    follows = {"crosspost": destination.crosspost, "thread_name": thread_name}
    for key, is_wanted in follows.items():
        if is_wanted:
            yield lack(destination, key, what, hint)


def _rest(destination: Destination, limits: SharedLimits) -> "Rest":
    from botticelli.platforms.discord.rest import Rest

    root = _root(destination)
    account = limits.of(root, destination.token.reveal())
    return Rest(_session(destination), base_url=root, limits=account)


def _session(destination: Destination) -> "requests.Session":
    from botticelli.platforms.requests import open_session

    token = _token(destination)

    def authorise(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        if token and "/webhooks/" not in (request.url or ""):
            request.headers["Authorization"] = f"Bot {token}"
        return request

    return open_session(authorise, agent=USER_AGENT)


def _token(destination: Destination) -> str:
    """Return the bot's token, as a header takes it.

    Raises:
        ConfigError: It has characters that no token has.
    """
    from botticelli.platforms.requests import header_value

    return header_value(
        destination.token.reveal().removeprefix("Bot "),
        what="the bot token",
        where=f"destinations.{destination.name}.token",
        hint="copy it again from the developer portal",
    )


def _webhook(destination: Destination) -> "Webhook | None":
    """Return the webhook of an address, of which every part is understood.

    Raises:
        ConfigError: One is not: what it asks for would be left out.
    """
    from botticelli.config.secrets import Secret
    from botticelli.platforms.discord.client import Webhook

    if not destination.webhook:
        return None
    address = urlsplit(destination.webhook.reveal())
    found = WEBHOOK_PATH.fullmatch(address.path)
    asked = dict(parse_qsl(address.query, keep_blank_values=True))
    thread = asked.pop("thread_id", "")
    asked.pop("wait", "")  # we always wait
    odd = [
        what
        for what, is_odd in (
            ("the webhook's URL does not look like one", found is None),
            ("the webhook is not on Discord's server", not _is_of(address, destination)),
            (f"nothing is known of '{next(iter(asked), '')}' in the webhook's URL", bool(asked)),
            (
                "thread_id in the webhook's URL is no id",
                "thread_id=" in address.query and not thread.isdecimal(),
            ),
            ("the webhook's URL goes on behind a #", bool(address.fragment)),
        )
        if is_odd
    ]
    if odd or found is None:
        raise ConfigError(
            odd[0],
            where=f"destinations.{destination.name}.webhook",
            hint="copy it from the channel's settings: https://discord.com/api/webhooks/ID/TOKEN"
            " (?thread_id=ID for a thread of it)",
        )
    return Webhook(id=found[1], token=Secret(found[2]), thread=thread)


def _is_of(address: SplitResult, destination: Destination) -> bool:
    """Return whether an address leads to Discord, or to the server that stands for it here."""
    ours = urlsplit(_root(destination))
    is_discord = address.scheme == "https" and bool(DISCORD_HOSTS.fullmatch(address.netloc))
    return is_discord or (address.scheme, address.netloc) == (ours.scheme, ours.netloc)


def _root(destination: Destination) -> str:
    """Return the API's root with a version: without one Discord answers as version 6 did.

    Raises:
        ConfigError: It is not a web address.
    """
    root = require_web(
        destination.base_url or DISCORD_API,
        where=f"destinations.{destination.name}.base_url",
        hint="DISCORD_API_BASE",
    ).rstrip("/")
    if re.fullmatch(r"https?://[^/]+", root):  # a bare host: there the API is below /api
        root += "/api"
    return root if re.search(r"/v\d+$", root) else f"{root}/v10"


class _DiscordRoom(Room):
    longest = MAX_LENGTH

    def place(self, destination: Destination) -> str:
        """See Room. A webhook's channel is not known before it is asked."""
        address = destination.webhook.reveal()
        webhook = re.search(r"/webhooks/(\d+)/", address)
        thread = re.search(r"[?&]thread_id=(\d+)", address)
        if webhook is None:
            return destination.channel
        return thread[1] if thread else f"webhook-{webhook[1]}"

    def completed(
        self, destination: Destination, environ: Mapping[str, str], unset: dict[str, str]
    ) -> Destination:
        """See Room."""
        from botticelli.config.secrets import find_secret

        key = f"destinations.{destination.name}"
        token, channel = destination.token, destination.channel
        if not token and f"{key}.token" not in unset:
            names = ("DISCORD_TOKEN", "DISCORD_BOT_TOKEN")
            token = find_secret(names[0], environ) or find_secret(names[1], environ)
        if not channel and not destination.webhook and f"{key}.channel" not in unset:
            channel = environ.get("POSTING_CHANNEL_ID", "").strip()
            if not channel:
                unset[f"{key}.channel"] = "POSTING_CHANNEL_ID"
        base = environ.get("DISCORD_API_BASE", "") or destination.base_url or DISCORD_API
        base = base.rstrip("/")
        base += "/v10" if base.endswith("/api") else ""
        return replace(destination, token=token, channel=channel, base_url=base)

    def opened(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        from botticelli.platforms.discord.channel import Extras
        from botticelli.platforms.discord.client import Discord

        del clock
        return Discord(
            destination.name,
            channel=destination.channel,
            webhook=_webhook(destination),
            can_read=bool(destination.token),
            rest=_rest(destination, limits),
            extras=Extras(
                crosspost=destination.crosspost,
                thread_name=destination.thread_name,
                is_forum=destination.forum,
                tags=destination.forum_tags,
                poll_hours=destination.poll_hours or 0,
                flags=SILENT * destination.silent | NO_EMBEDS * destination.suppress_embeds,
            ),
        )

    def problems(self, destination: Destination) -> Iterator[Problem]:
        """See Room."""
        for parse in (_root, _token, _webhook):
            yield from told(partial(parse, destination))
        yield from _unfit_for_forum(destination)
        wanted = _missing_with_webhook if destination.webhook else _missing_of_bot
        yield from wanted(destination)

    def connect(self, ask: "Asker", *, clock: Clock) -> "Credentials":
        """See Room."""
        from botticelli.config.secrets import Secret
        from botticelli.platforms.connecting import tried

        root = ask("server", "Address of the API; Enter: Discord's own", optional=True)
        channel = ask("channel", "The channel's id (Developer Mode, Copy Channel ID)")
        token = Secret(ask("token", "The bot's token (developer portal, Bot)", secret=True))
        keys = {"platform": "discord", "base_url": root, "channel": channel}
        return tried(self, keys, {"token": token}, clock=clock)


ROOM: Final = _DiscordRoom()
