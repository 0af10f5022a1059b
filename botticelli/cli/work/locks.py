"""`botticelli locks`."""

from datetime import datetime
from typing import Annotated

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shell.command import Done, command, group
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store import locks as store
from botticelli.store.connection import Connection

locks = group(
    "locks",
    examples="""
    botticelli locks
    botticelli locks break generate
    """,
)


@record
class HeldLock:
    """A held lock. `expires_at`: when it ends without another heartbeat."""

    name: str
    host: str
    pid: int
    run: int | None
    since: datetime
    heartbeat_at: datetime
    expires_at: datetime


@record
class LocksReport:
    """The locks that are held now."""

    locks: tuple[HeldLock, ...]


@command(locks, "list")
def list_locks(conn: Connection) -> LocksReport:
    """List the stage locks that are held."""
    return LocksReport(
        locks=tuple(_held(lock) for lock in store.list_locks(conn) if not lock.expired)
    )


@command(locks, "break", writes=True)
def break_lock(
    conn: Connection,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A lock of the list.", autocompletion=choices.locks),
    ],
) -> Done:
    """Release a lock; its holder stops at its next heartbeat."""
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


def _held(lock: store.LockState) -> HeldLock:
    return HeldLock(
        name=lock.name,
        host=lock.host,
        pid=lock.pid,
        run=lock.run_id,
        since=lock.acquired_at,
        heartbeat_at=lock.heartbeat_at,
        expires_at=lock.expires_at,
    )


@render.register
def _(report: LocksReport, console: Console) -> None:
    if not report.locks:
        console.line("no lock is held")
        return
    console.table(
        ("lock", "host", "pid", "run", "since (UTC)", "expires (UTC)"),
        [
            (
                lock.name,
                lock.host,
                lock.pid,
                lock.run,
                f"{lock.since:%Y-%m-%d %H:%M:%S}",
                f"{lock.expires_at:%H:%M:%S}",
            )
            for lock in report.locks
        ],
        right=("pid", "run"),
    )
