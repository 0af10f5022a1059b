"""What narratives may do in this process, and how the person at the terminal is asked for more."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from botticelli.cli.shell.environment import Environment
from botticelli.config.trust.records import TrustRecord
from botticelli.config.trust.variables import VisibleVariables

if TYPE_CHECKING:
    from botticelli.narrative.checks.asks import Rights, Untrusted
    from botticelli.narrative.language.cycles import Resolve
    from botticelli.narrative.language.model import Narrative, NarrativeFile
    from botticelli.narrative.run.context import RunContext


def variables(env: Environment) -> VisibleVariables:
    """Return what narratives see of the environment."""
    listed = env.config.narratives.environment
    return VisibleVariables(env.environ, listed=listed, secrets=env.hider.secrets)


def rights(env: Environment, *, allow_writes: bool = False) -> "Rights":
    """Return what the user has granted to narratives; `allow_writes`: what --allow-writes says."""
    from botticelli.narrative.checks.asks import Rights

    security = env.config.security
    return Rights(
        is_trusted=lambda digest: digest in env.trusted_once or env.trust.get(digest) is not None,
        granted=partial(_is_granted, env),
        approves=security.approve_without_review or allow_writes,
        everything=allow_writes,
    )


def _is_granted(env: Environment, command: str) -> bool:
    """Return whether the user's own configuration lets any narrative run a command."""
    from botticelli.platforms.rules.security_rules import is_named

    platform, _, name = command.partition(".")
    security, is_own = env.config.security, env.config.untrusted is None
    is_allowed = security.writes == "allow" or is_named(platform, [name], security.allowed_commands)
    return is_own and is_allowed


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
    from botticelli.cli.shared.command_guard import asking

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
