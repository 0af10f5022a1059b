"""What narratives and people may do in this process: commands behind their guard, and trust."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from botticelli.cli.shell.environment import Environment
from botticelli.config import plugins
from botticelli.config.model import Destination
from botticelli.config.trust.records import TrustRecord
from botticelli.config.trust.variables import VisibleVariables
from botticelli.errors import ConfigError
from botticelli.text import visible

if TYPE_CHECKING:
    from botticelli.narrative.checks.asks import Rights, Untrusted
    from botticelli.narrative.commands.guard import Ask, Consent, GuardedCommands
    from botticelli.narrative.language.cycles import Resolve
    from botticelli.narrative.language.model import Narrative, NarrativeFile
    from botticelli.narrative.run.context import RunContext
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

    return open_discord_commands(partial(_bot, env), clock=env.clock, chance=env.chance)


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


def variables(env: Environment) -> VisibleVariables:
    """Return what narratives see of the environment."""
    listed = env.config.narratives.environment
    return VisibleVariables(env.environ, listed=listed, secrets=env.hider.secrets)


def rights(env: Environment, *, allow_writes: bool = False) -> "Rights":
    """Return what the user has granted to narratives; `allow_writes`: what --allow-writes says."""
    from botticelli.narrative.checks.asks import Rights

    security, is_own = env.config.security, env.config.untrusted is None

    def granted(command: str) -> bool:
        """Return whether the user's own configuration lets any narrative run a command."""
        from botticelli.platforms.rules.security_rules import is_named

        platform, _, name = command.partition(".")
        is_allowed = is_named(platform, [name], security.allowed_commands)
        return is_own and (security.writes == "allow" or is_allowed)

    return Rights(
        is_trusted=lambda digest: digest in env.trusted_once or env.trust.get(digest) is not None,
        granted=granted,
        approves=security.approve_without_review or allow_writes,
        everything=allow_writes,
    )


def missing_trust(
    context: "RunContext", file: "NarrativeFile", narrative: "Narrative", *, stores: bool = True
) -> "Untrusted | None":
    """Return the refusal of a narrative that, with all that it runs, is not trusted; else None.

    `stores`: whether its rows go anywhere.
    """
    from botticelli.narrative.checks.asks import asks_of, reached, untrusted

    granted = context.rights
    asks = asks_of(each for _, each in reached(file, narrative, context.resolve))
    asks = asks if stores else replace(asks, targets=())
    missing = granted.missing(asks, context.conn)
    if granted.everything or missing.is_empty or granted.trusted(file, context.resolve):
        return None
    return untrusted(file.path, missing)


def require_trust(
    env: Environment, context: "RunContext", file: "NarrativeFile", narrative: "Narrative"
) -> None:
    """Check that a narrative with all that it runs is trusted, or have the person trust it.

    Raises:
        Untrusted: It is not, and nobody says yes; the hint is the line to type.
    """
    if (refusal := missing_trust(context, file, narrative)) is None:
        return
    ask = asking(env)
    question = f"{file.path} asks for more than to write candidates: {refusal.asks}. Trust it?"
    if ask is None or (answer := ask(question)) == "no":
        raise refusal
    entry = record_of(env, file, context.resolve)
    if answer == "always":
        env.trust.write(entry)
    env.trusted_once.add(entry.digest)


def record_of(env: Environment, file: "NarrativeFile", resolve: "Resolve") -> TrustRecord:
    """Return the record of a yes to a file and all that it runs.

    Raises:
        ConfigError: Another user could have written one of the files.
    """
    from botticelli.config.trust.ownership import require_own
    from botticelli.narrative.checks.asks import asks_of, content_hash, digest, files_run

    files = files_run(file, resolve)
    for each in files:
        require_own(each.path)
    return TrustRecord(
        digest=digest([content_hash(each) for each in files]),
        path=str(file.path.resolve()),
        asks=asks_of(each for file in files for each in file.narratives.values()).lines,
        by=env.user,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
