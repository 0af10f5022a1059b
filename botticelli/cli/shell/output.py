"""Reports become words, tables or JSON. A command module registers how its report reads.

`@render.register` in the command's own module; what it writes through Console is coloured on a
terminal and plain, aligned text in a pipe. JSON holds the same facts without further work.
"""

import dataclasses
import io
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from botticelli.config import hiding
from botticelli.records import record
from botticelli.text import visible, wrapped

if TYPE_CHECKING:
    import rich.console


class Styled(NamedTuple):
    """A cell with a style of rich, which a pipe does not get."""

    text: str
    style: str

    def __str__(self) -> str:
        """Return the bare text."""
        return self.text


STATES: Final = {
    "done": "green", "posted": "green", "approved": "green",
    "pending": "yellow", "held": "yellow", "put back": "yellow", "interrupted": "yellow",
    "unusable": "yellow", "failed": "red", "refused": "red", "denied": "red",
    "uncertain": "bold red", "breaker open": "bold red", "paused": "bold yellow",
    "running": "bold cyan", "sending": "cyan",
}  # fmt: skip


def state(text: str, shown: str = "", *, other: str = "") -> Styled:
    """Return a state in its color, as `shown` has it; `other`: the style of an unknown one."""
    return Styled(shown or text, STATES.get(text, other))


def _cell(value: object) -> object:
    """Return what a table shows of a value: a dash for None, no text with a secret."""
    if value is None:
        return Styled("-", "dim")
    return hiding.current().hide(value) if isinstance(value, str) else value


def _style(cell: object) -> str:
    return cell.style if isinstance(cell, Styled) else ""


class Console:
    """Where a report is written: a terminal with colours, or a plain stream.

    Args:
        stream: stdout.
        colour: Whether a terminal may be coloured (NO_COLOR says no).
    """

    def __init__(self, stream: TextIO, *, colour: bool = True) -> None:
        self.stream = stream
        self.colour = colour
        self.is_terminal = stream.isatty()

    @cached_property
    def rich(self) -> "rich.console.Console":
        """A rich console on the same stream; only worth its import on a terminal."""
        from rich.console import Console as RichConsole

        return RichConsole(file=self.stream, no_color=not self.colour, highlight=False)

    def line(
        self, text: "str | Styled" = "", *, style: str = "", indent: int | None = None
    ) -> None:
        """Write one line; `style` (of rich) and `indent` (see `wrapped`) are for a terminal."""
        style, text = style or _style(text), str(text)
        text = hiding.current().hide(text)
        if self.is_terminal:
            width = self.rich.width
            shown = "\n".join(wrapped(each, width, indent) for each in visible(text).split("\n"))
            self.rich.print(shown, style=style or None, markup=False, soft_wrap=True)
        else:
            self.stream.write(text + "\n")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str = "",
        right: Sequence[str] = (),
    ) -> None:
        """Write a table; columns named in `right` are numbers. None is shown as a dash.

        A column in which nothing stands at all ("") is left out.
        """
        shown = [[_cell(one) for one in row] for row in rows]
        kept = [
            at for at in range(len(columns)) if not shown or any(row[at] != "" for row in shown)
        ]
        columns = [columns[at] for at in kept]
        cells = [[row[at] for at in kept] for row in shown]
        if self.is_terminal:
            self._rich_table(columns, cells, title=title, right=right)
            return
        if title:
            self.stream.write(f"{title}\n")
        self.stream.write(
            aligned(
                [list(columns), *[list(map(str, row)) for row in cells]],
                right=[name in right for name in columns],
            )
        )

    def _rich_table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        title: str,
        right: Sequence[str],
    ) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        texts = [[visible(str(cell)) for cell in row] for row in rows]
        widths = fitting(columns, texts, width=self.rich.width - 2 * (len(columns) - 1))
        if widths is None:
            if title:
                self.line(title, style="bold")
            for cells in texts:
                for index, (name, text) in enumerate(zip(columns, cells, strict=True)):
                    self.line(f"{'  ' if index else ''}{name}: {text}")
            return
        table = Table(
            title=title or None,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        for name, width in zip(columns, widths, strict=True):
            table.add_column(name, justify="right" if name in right else "left", width=width)
        for row in rows:
            table.add_row(*(Text(visible(str(cell)), style=_style(cell)) for cell in row))
        self.rich.print(table)


def fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int
) -> list[int] | None:
    """Return widths of columns that fit into `width` together and break no word; None: none do."""
    from rich.cells import cell_len

    cells = [list(column) for column in zip(columns, *rows, strict=True)]
    least = [
        max(cell_len(word) for cell in each for word in cell.split() or [""]) for each in cells
    ]
    found = [max(map(cell_len, each)) for each in cells]
    while sum(found) > width:
        room, widest = max(
            (own - low, at) for at, (own, low) in enumerate(zip(found, least, strict=True))
        )
        if not room:
            return None
        found[widest] -= 1
    return found


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[bool] = ()) -> str:
    """Return rows as lines with aligned columns, two blanks apart, none at the end of a line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index < len(right) and right[index] else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


Columns = Mapping[str, str | Callable[[Any], object]]


@record
class Listing:
    """A report of rows: a table on a terminal, a list under `name` in JSON.

    Args:
        name: Key of the list in JSON.
        rows: Records or mappings.
        columns: Heading -> what stands below it: the name of a field, or a function of the row. A
            heading that ends in ">" is of numbers.
        empty: What is said where there are no rows.
        after: A line below the table.
        facts: What JSON has beside the list.
    """

    name: str
    rows: Sequence[Any]
    columns: Columns
    empty: str = ""
    after: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def as_json(self) -> Mapping[str, Any]:
        """The report as JSON has it."""
        return {**self.facts, self.name: self.rows}


@record
class Lines:
    """A report of a few lines, some of them styled; in JSON its facts."""

    text: str | Sequence[str | Styled]
    facts: Mapping[str, Any]
    exit_code: int = 0

    @property
    def as_json(self) -> Mapping[str, Any]:
        """The report as JSON has it."""
        return self.facts


def show(report: Any, console: Console, *, as_json: bool) -> None:
    """Write `report` in the form that is wanted; its exit code is the process's own."""
    if as_json:
        import json

        facts = plain(report.as_json if isinstance(report, Listing | Lines) else report)
        facts.pop("exit_code", None)
        facts = hiding.current().hide_within(facts)
        console.stream.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    else:
        render(report, console)


@singledispatch
def render(report: Any, console: Console) -> None:  # noqa: ARG001 - for the registered ones
    """Write a report for a person; every command module registers its own reports.

    Raises:
        TypeError: No rendering is registered for this kind of report.
    """
    raise TypeError(f"no rendering for {type(report).__name__}")


@render.register
def _(report: Listing, console: Console) -> None:
    if not report.rows and report.empty:
        console.line(report.empty)
        return
    console.table(
        [heading.rstrip(">") for heading in report.columns],
        [[_under(get, row) for get in report.columns.values()] for row in report.rows],
        right=[heading[:-1] for heading in report.columns if heading.endswith(">")],
    )
    if report.after:
        console.line(report.after)


def _under(get: str | Callable[[Any], object], row: Any) -> object:
    if not isinstance(get, str):
        return get(row)
    return row.get(get) if isinstance(row, Mapping) else getattr(row, get)


@render.register
def _(report: Lines, console: Console) -> None:
    text = report.text
    for line in text.splitlines() if isinstance(text, str) else text:
        console.line(line)


SCALARS: Final = (str, int, float, bool, type(None))
CONVERSIONS: Final[Mapping[type, Callable[[Any], Any]]] = {
    Enum: lambda value: value.value,
    date: lambda value: value.isoformat(),
    time: lambda value: value.isoformat(),
    timedelta: lambda value: value.total_seconds(),
    Decimal: float,
    Path: str,
    str: str,
}


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: dataclasses as objects, times as ISO 8601.

    A field's metadata may give it another name in JSON than in Python.

    Secrets stay hidden.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.metadata.get("json", each.name): plain(getattr(value, each.name))
            for each in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if type(value) in SCALARS:
        return value
    for kind, convert in CONVERSIONS.items():
        if isinstance(value, kind):
            return convert(value)
    raise TypeError(f"a report holds a {type(value).__name__}, which JSON cannot")


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
