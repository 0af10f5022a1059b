"""A report that is drawn again and again on a terminal, until q or Ctrl-C."""

import io
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botticelli.cli.shell.output import Console, render


class _Sheet(Console):
    """A console that writes as the terminal would, but into memory."""

    def __init__(self, like: Console) -> None:
        from rich.console import Console as RichConsole

        super().__init__(io.StringIO(), colour=like.colour)
        self.is_terminal = True
        width = like.rich.width
        self.rich = RichConsole(
            file=self.stream,
            width=width,
            force_terminal=True,
            no_color=not like.colour,
            highlight=False,
        )


def watch(console: Console, frames: Iterator[Any], *, seconds: float) -> None:
    """Draw each report in place of the one before, `seconds` apart; q, Ctrl-C or the end stops."""
    from rich.live import Live
    from rich.text import Text

    with _keys() as pressed, Live(console=console.rich, screen=True, auto_refresh=False) as live:
        for report in frames:
            sheet = _Sheet(console)
            render(report, sheet)
            sheet.line()
            sheet.line(f"again every {seconds:g} s; q ends", style="dim")
            text = sheet.stream.getvalue() if isinstance(sheet.stream, io.StringIO) else ""
            live.update(Text.from_ansi(text), refresh=True)
            if pressed(seconds) in ("q", "Q"):
                return


@contextmanager
def _keys() -> Iterator[Any]:
    """Yield a function that waits some seconds for a key, and returns it; "" if none came."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _no_key
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _key
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _no_key(seconds: float) -> str:
    import time

    time.sleep(seconds)
    return ""


def _key(seconds: float) -> str:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.read(1) if ready else ""
