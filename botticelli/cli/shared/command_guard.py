"""Puts together the commands that narratives and people reach, behind their guard."""

import sys
from typing import TYPE_CHECKING

from botticelli.cli.shell.environment import Environment
from botticelli.config import plugins
from botticelli.config.model import Destination
from botticelli.errors import ConfigError
from botticelli.text import visible

if TYPE_CHECKING:
    from botticelli.narrative.commands.guard import Ask, Consent, GuardedCommands
    from botticelli.platforms.command_set import CommandSet, Description
    from botticelli.platforms.discord.commands.client import DiscordCommands
    from botticelli.store.connection import Connection


def guarded(
    env: Environment,
    conn: "Connection",
    *,
    allow_writes: bool = False,
    asks: bool = False,
    approves: bool = True,
) -> "GuardedCommands":
    """Return the commands of this process over a connection, which is used by one thread.

    Args:
        env: Where configuration, clock and chance come from.
        conn: For database commands, the audit and the approvals.
        allow_writes: What --allow-writes says.
        asks: Whether a person at a terminal may be asked.
        approves: Whether approved posts may be changed: by people always.
    """
    from botticelli.narrative.commands.database import DatabaseCommands
    from botticelli.narrative.commands.guard import GuardedCommands

    writable = env.config.narratives.writable_tables
    return GuardedCommands(
        conn=conn,
        platforms={
            "database": DatabaseCommands(conn=conn, writable=writable, approves=approves),
            "discord": discord(env),
        },
        find=lambda platform: plugged_in(env, platform),
        security=env.config.security,
        secrets=env.hider.secrets,
        ask=asking(env) if asks else None,
        allow_writes=allow_writes,
        actor=env.identity.owner,
    )


def discord(env: Environment) -> "DiscordCommands":
    """Return Discord's commands; a destination is chosen for the first request."""
    from botticelli.platforms.discord.open import open_discord_commands

    return open_discord_commands(lambda: _bot(env), clock=env.clock, chance=env.chance)


def _bot(env: Environment) -> Destination:
    places = [one for one in env.config.destinations.values() if one.platform == "discord"]
    with_token = [one for one in places if one.token] or places
    if env.options.offline:
        raise ConfigError("reaches no platform", where="--offline", hint="leave it out to run this")
    if not with_token:
        raise ConfigError(
            "no destination is on Discord, whose bot could run it",
            where="destinations",
            hint='add one with platform = "discord" and its token',
        )
    return with_token[0]


def plugged_in(env: Environment, platform: str) -> "CommandSet | None":
    """Return the commands that a plugin brings for a platform, or None if no plugin does.

    Raises:
        ConfigError: The plugin cannot be loaded.
    """
    made = plugins.find(plugins.COMMANDS, platform)
    return made and made(env.config, clock=env.clock, chance=env.chance)


def descriptions(env: Environment) -> "dict[str, tuple[Description, ...]]":
    """Return every command there is, by platform."""
    from botticelli.narrative.commands.database import DESCRIPTIONS

    found = {"discord": discord(env).describe(), "database": DESCRIPTIONS}
    for platform in plugins.names(plugins.COMMANDS):
        commands = plugged_in(env, platform)
        if platform not in found and commands is not None:
            found[platform] = commands.describe()
    return found


def asking(env: Environment) -> "Ask | None":
    """Return how to ask the person at the terminal; None without a terminal."""
    if not (env.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty()):
        return None
    answers: dict[str, Consent] = {"y": "yes", "yes": "yes", "a": "always", "always": "always"}

    def ask(question: str) -> "Consent":
        env.stderr.write(visible(env.hide(f"{question} [y]es, [a]lways in this run, [N]o: ")))
        env.stderr.flush()
        return answers.get(sys.stdin.readline().strip().lower(), "no")

    return ask
