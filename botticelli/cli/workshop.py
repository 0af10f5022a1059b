"""Puts together what the stages need to run narratives, and shows how far they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from botticelli.cli.environment import Environment
from botticelli.stages.workshop import Workshop

if TYPE_CHECKING:
    from botticelli.narrative.commands import Commands
    from botticelli.store.connection import Connection


class Show(Protocol):
    """Shows how far the work is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done."""


def workshop(env: Environment) -> Workshop:
    """Return this process's means of running narratives."""
    from botticelli.models.open import Drivers

    said: set[str] = set()

    def note(line: str) -> None:
        if line not in said:  # several workers come upon the same thing
            said.add(line)
            env.say(line)

    return Workshop(
        config=env.config,
        connect=env.connect,
        identity=env.identity,
        clock=env.clock,
        chance=env.chance,
        environ=env.environ,
        cwd=env.cwd,
        drivers=Drivers(env.config.models),
        commands=lambda conn: _commands(env, conn),
        note=note,
    )


def _commands(env: Environment, conn: "Connection") -> "Commands":
    from botticelli.narrative.commands import CommandRegistry, DatabaseCommands

    database = DatabaseCommands(
        conn=conn, writable=env.config.narratives.writable_tables, now=env.clock.pinned
    )
    return CommandRegistry(executors={"database": database})


@contextmanager
def progress(env: Environment, what: str) -> Iterator[Show]:
    """Give a bar on stderr; one that shows nothing if nobody would see it."""
    if env.options.quiet or not env.stderr.isatty():
        yield _unseen
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Elapsed(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(file=env.stderr, no_color=bool(env.environ.get("NO_COLOR")))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield show


def _unseen(done: int, total: int, note: str = "") -> None:
    """Show nothing."""
