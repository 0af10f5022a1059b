"""`botticelli pause`, `resume` and `locks`: what keeps stages from running."""

from typing import Any, Final

from botticelli.cli.shared import choices
from botticelli.cli.shell.command import Done, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Listing
from botticelli.config.model import STAGES, StageName
from botticelli.errors import UsageError
from botticelli.store import locks as store
from botticelli.store.connection import Connection

HELD: Final[Columns] = {
    "lock": "name",
    "host": "host",
    "pid>": "pid",
    "run>": "run",
    "since (UTC)": lambda lock: f"{lock['since']:%Y-%m-%d %H:%M:%S}",
    "expires (UTC)": lambda lock: f"{lock['expires_at']:%H:%M:%S}",
}
locks = group(
    "locks",
    examples="""
    botticelli locks
    botticelli locks break generate
    """,
)


@command(writes=True)
def pause(env: Environment, stage: choices.StageName) -> Done:
    """Pause a stage: its runs do nothing until it is resumed.

    Takes:
        stage STAGE: generate, curate, post or all.

    Examples:
        botticelli pause post
        botticelli pause all
    """
    from botticelli.store import runs

    names = _named(stage)
    with env.database() as conn:
        for name in names:
            runs.pause(conn, name)
    line = f"{' and '.join(names)} paused; a current run continues to its end"
    return Done(line=line, facts={"paused": names})


@command(writes=True)
def resume(env: Environment, stage: choices.StageName) -> Done:
    """Resume a paused stage and close its circuit breaker.

    Takes:
        stage STAGE: generate, curate, post or all.

    Examples:
        botticelli resume post
    """
    from botticelli.store import runs

    names = _named(stage)
    with env.database() as conn:
        for name in names:
            runs.resume(conn, name)
    line = f"{' and '.join(names)} resumed; an open circuit breaker is closed"
    return Done(line=line, facts={"resumed": names})


def _named(stage: str) -> tuple[StageName, ...]:
    if stage == "all":
        return STAGES
    if stage not in STAGES:
        raise UsageError(f"there is no stage '{stage}'", hint=f"name {', '.join(STAGES)} or all")
    return (stage,)


@command(locks, "list")
def list_locks(conn: Connection) -> Listing:
    """List the stage locks that are held."""
    held = [_facts(lock) for lock in store.list_locks(conn) if not lock.expired]
    return Listing(name="locks", rows=held, columns=HELD, empty="no lock is held")


def _facts(lock: store.LockState) -> dict[str, Any]:
    """Return a lock as JSON has it. `expires_at`: when it ends without another heartbeat."""
    facts = {name: getattr(lock, name) for name in ("name", "host", "pid")}
    facts |= {"run": lock.run_id, "since": lock.acquired_at}
    return {**facts, "heartbeat_at": lock.heartbeat_at, "expires_at": lock.expires_at}


@command(locks, "break", writes=True)
def break_lock(conn: Connection, name: choices.LockName) -> Done:
    """Release a lock; its holder stops at its next heartbeat.

    Takes:
        name NAME: A lock of the list.
    """
    broken = store.break_lock(conn, name)
    held = [lock.name for lock in store.list_locks(conn) if not lock.expired]
    if broken is None:
        raise UsageError(
            f"lock '{name}' is not held",
            hint=f"held are: {', '.join(held)}" if held else "no lock is held",
        )
    return Done(
        line=f"'{name}' is released; {broken.host} (pid {broken.pid}) stops at its next heartbeat",
        facts={"freed": name, "host": broken.host, "pid": broken.pid},
    )
