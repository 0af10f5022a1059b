"""Discord's clients made from a destination's settings: requests is imported here."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_web
from botticelli.config.model import Destination
from botticelli.errors import ConfigError, Problem
from botticelli.platforms.discord.rate_limits import SharedLimits

if TYPE_CHECKING:
    import random

    import requests

    from botticelli.platforms.discord.client import Discord, Webhook
    from botticelli.platforms.discord.commands.client import DiscordCommands
    from botticelli.platforms.discord.rest import Rest

DISCORD_API: Final = "https://discord.com/api/v10"
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
            raise ConfigError.of([_problem(destination, "token", what, hint)])
        return _rest(destination, SharedLimits(clock))

    return DiscordCommands(open_rest, clock=clock, chance=chance)


def place_of(destination: Destination, url: str) -> str:
    """Return the channel of a published message, if its destination has another one by now."""
    if destination.platform != "discord" or destination.webhook:
        return ""
    match = re.search(r"/channels/[^/]+/(\d+)/\d+$", url)
    return match[1] if match and match[1] != destination.channel else ""


def missing(destination: Destination) -> list[Problem]:
    """Return what a destination lacks before anything can be sent to it; no network."""
    if destination.platform != "discord":
        return []
    if destination.webhook:
        return _missing_with_webhook(destination)
    problems: list[Problem] = []
    try:
        _root(destination)
    except ConfigError as error:
        problems += error.problems
    if not destination.channel:
        hint = "set POSTING_CHANNEL_ID to the channel's id"
        problems.append(_problem(destination, "channel", "no channel to post to", hint))
    elif not destination.channel.isdecimal():
        what = f"'{destination.channel}' is not a channel id, which has digits only"
        hint = "copy it in Discord with Developer Mode on (POSTING_CHANNEL_ID)"
        problems.append(_problem(destination, "channel", what, hint))
    if not destination.token:
        hint = "set DISCORD_TOKEN, or `webhook` instead"
        problems.append(_problem(destination, "token", "no bot token", hint))
    return problems


def _missing_with_webhook(destination: Destination) -> list[Problem]:
    """A webhook writes by itself; what follows a message is done by a bot."""
    if destination.token and destination.channel:
        return []
    what = "a webhook alone can neither crosspost nor open a thread"
    hint = "name the bot's token and the channel as well, or take it out"
    follows = {"crosspost": destination.crosspost, "thread_name": destination.thread_name}
    return [_problem(destination, key, what, hint) for key, wanted in follows.items() if wanted]


def _problem(destination: Destination, key: str, what: str, hint: str) -> Problem:
    return Problem(what=what, where=f"destinations.{destination.name}.{key}", hint=hint)


def open_discord(destination: Destination, limits: SharedLimits) -> "Discord":
    """Return the client of a Discord destination; nothing is sent yet.

    Raises:
        ConfigError: A channel, a token or the webhook is missing or invalid.
    """
    from botticelli.platforms.discord.client import Discord, Extras

    if problems := missing(destination):
        raise ConfigError.of(problems)
    return Discord(
        destination.name,
        channel=destination.channel,
        webhook=_webhook(destination),
        can_read=bool(destination.token and destination.channel),
        rest=_rest(destination, limits),
        extras=Extras(crosspost=destination.crosspost, thread_name=destination.thread_name),
    )


def _rest(destination: Destination, limits: SharedLimits) -> "Rest":
    from botticelli.platforms.discord.rest import Rest

    root = _root(destination)
    account = limits.of(root, destination.token.reveal())
    return Rest(_session(destination), base_url=root, limits=account)


def _session(destination: Destination) -> "requests.Session":
    from botticelli.web_session import Session

    token = destination.token.reveal().removeprefix("Bot ").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            "the bot token has characters that no token has",
            where=f"destinations.{destination.name}.token",
            hint="copy it again from the developer portal",
        )
    session = Session()
    session.headers["User-Agent"] = USER_AGENT.format(version=_version())

    def authorise(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        if token and "/webhooks/" not in (request.url or ""):
            request.headers["Authorization"] = f"Bot {token}"
        return request

    # As `auth`, not as a header: requests would let a .netrc entry replace the header.
    session.auth = authorise
    return session


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("botticelli")
    except PackageNotFoundError:  # run out of a checkout that is not installed
        return "0"


def _webhook(destination: Destination) -> "Webhook | None":
    from botticelli.config.secrets import Secret
    from botticelli.platforms.discord.client import Webhook

    if not destination.webhook:
        return None
    path = urlsplit(destination.webhook.reveal()).path
    match = re.fullmatch(r".*/webhooks/(\d+)/([\w-]+)/?", path)
    if match is None:
        raise ConfigError(
            "the webhook's URL does not look like one",
            where=f"destinations.{destination.name}.webhook",
            hint="copy it from the channel's settings: https://discord.com/api/webhooks/ID/TOKEN",
        )
    return Webhook(id=match[1], token=Secret(match[2]))


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
