"""`botticelli locks`."""

from datetime import datetime
from typing import Annotated

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import Exit, UsageError
from botticelli.records import record
from botticelli.store import locks as store

group = typer.Typer(invoke_without_command=True, help="Show who holds the stages' locks; free one.")
app.add_typer(group, name="locks")


@record
class HeldLock:
    """A lock that is held, by whom and until when if nothing more is heard of them."""

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
    exit_code: Exit = Exit.DONE


@group.callback()
def show(
    ctx: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Show who holds the stages' locks; free one."""
    if ctx.invoked_subcommand is not None:
        return Exit.DONE
    env: Environment = ctx.obj
    with env.database() as conn:
        found = store.list_locks(conn)
    env.show(
        LocksReport(locks=tuple(_held(lock) for lock in found if not lock.expired)),
        as_json=as_json,
    )
    return Exit.DONE


@group.command("break")
def break_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="As `locks` shows it.", autocompletion=choices.locks)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Free a lock; its holder stops at its next heartbeat."""
    env: Environment = ctx.obj
    with env.database() as conn:
        broken = store.break_lock(conn, name)
        held = [lock.name for lock in store.list_locks(conn) if not lock.expired]
    if broken is None:
        raise UsageError(
            f"nobody holds a lock '{name}'",
            hint=f"held are: {', '.join(held)}" if held else "no lock is held",
        )
    env.tell(
        f"'{name}' is free; {broken.host} (pid {broken.pid}) stops at its next heartbeat",
        as_json=as_json,
        freed=name,
        host=broken.host,
        pid=broken.pid,
    )
    return Exit.DONE


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
