"""Puts together what the stages need to run narratives, and shows how far they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from botticelli.cli.shell.environment import Environment
from botticelli.narrative.run.context import RunContext

if TYPE_CHECKING:
    from botticelli.store.connection import Connection

Show = Callable[..., None]  # done, total, note
BAR_WIDTH: Final = 10  # columns; with the words beside it a line has room in 80


def run_context(
    env: Environment, conn: "Connection", *, allow_writes: bool = False, asks: bool = False
) -> RunContext:
    """Return what narratives need of this process.

    `allow_writes`: commands may change what is not forbidden; `asks`: otherwise ask the person at
    the terminal. A stage never asks: its workers would all ask at once.
    """
    from botticelli.cli.shared.command_guard import guarded, rights, variables
    from botticelli.models.open import Drivers
    from botticelli.narrative.files.fetch import fetch
    from botticelli.narrative.files.media import LARGEST

    said: set[str] = set()

    def note(line: str) -> None:
        if line not in said:  # several workers come upon the same thing
            said.add(line)
            env.say(line)

    visible = variables(env)
    granted = rights(env, allow_writes=allow_writes)
    return RunContext(
        conn=conn,
        connect=env.connect,
        config=env.config,
        identity=env.identity,
        clock=env.clock,
        chance=env.chance,
        environ=visible.values,
        refuse_variable=visible.refuse,
        rights=granted,
        secrets=env.hider.secrets,
        cwd=env.cwd,
        drivers=Drivers(env.config.models),
        open_commands=lambda conn: guarded(
            env, conn, allow_writes=allow_writes, asks=asks, approves=granted.approves
        ),
        fetch=partial(fetch, limit=LARGEST, is_private_allowed=env.config.narratives.private_urls),
        note=note,
    )


@contextmanager
def progress(env: Environment, what: str) -> Iterator[Show | None]:
    """Show a progress bar on stderr; yield what moves it, or None if that is not a terminal."""
    if env.options.quiet or not env.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=BAR_WIDTH),
        MofNCompleteColumn(),
        Elapsed(),
        TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True)),
    )
    console = Console(file=env.stderr, no_color=bool(env.environ.get("NO_COLOR")))
    # The note takes what is left of the line, so that nothing else is squeezed.
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task(what, total=None, note="")

        def show(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield show
