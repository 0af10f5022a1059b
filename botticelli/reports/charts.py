"""Charts as SVG in HTML: no script, no request, readable on paper and in the dark. Pure.

Text in a drawing shrinks with it, so each chart is drawn at two widths and the style sheet shows
the one that fits. Colors are classes for the style sheet; what a color says, a table or a form
says, too. Every text is escaped here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from math import ceil, log10
from typing import Final

from botticelli.text import shorten

WIDTHS: Final = (("wide", 680), ("narrow", 340))  # CSS pixels
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 24
SHADES: Final = 5


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = ""
) -> str:
    """Return a table; numbers stand to the right. Without rows it says `empty`."""
    found = list(rows)
    if not found:
        return f"<p>{escape(empty or 'Nothing yet.')}</p>"
    sides = ["n" if _is_number(cell) else "t" for cell in found[0]]
    top = f"<caption>{escape(caption)}</caption><thead>{_row('th', heads, sides)}</thead>"
    body = "".join(_row("td", row, sides) for row in found)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table>{top}<tbody>{body}</tbody></table></div>"
    )


def _is_number(cell: object) -> bool:
    return cell is None or isinstance(cell, int | float) or str(cell).endswith("%")


def _row(kind: str, cells: Sequence[object], sides: Sequence[str]) -> str:
    scope = ' scope="col"' if kind == "th" else ""
    shown = (
        f'<{kind}{scope} class="{side}"><bdi>{escape(number(cell))}</bdi></{kind}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"


def number(value: object) -> str:
    """Return a value for a person: 1,234 and 0.25; nothing at all is a dash."""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1 or not value else f"{value:.3g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def chart(title: str, draw: Callable[[int], tuple[int, Iterable[str]]], beside: str = "") -> str:
    """Return a figure: what `draw` makes of each width (its height, its parts), and a table."""
    drawn = []
    for name, width in WIDTHS:
        height, parts = draw(width)
        drawn.append(
            f'<svg class="{name}" viewBox="0 0 {width} {height}" role="img"'
            f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
        )
    return f'<div class="figure"><div class="chart">{"".join(drawn)}</div>{beside}</div>'


def lines(
    title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], beside: str = ""
) -> str:
    """Return a chart of series over the same labels, with a legend."""

    def draw(width: int) -> tuple[int, Iterator[str]]:
        return 220, _lines(labels, list(series.values()), width)

    signs = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><path class="line s{place}"'
        f' d="M0 4H24"/></svg>{escape(name)}</li>'
        for place, name in enumerate(series)
    )
    legend = f'<ul class="legend">{signs}</ul>' if len(series) > 1 else ""
    return legend + chart(title, draw, beside)


def _lines(
    labels: Sequence[str], series: Sequence[Sequence[float]], width: int, height: int = 220
) -> Iterator[str]:
    top = max(each for one in series for each in one) or 1
    yield from _grid(top, width, height)
    wide = width - LEFT - RIGHT
    places = [LEFT + wide * (n + 0.5) / len(labels) for n in range(len(labels))]
    yield from _labels(list(zip(places, labels, strict=True)), width, height)
    for name, values in enumerate(series):
        ends = [
            f"{x:.1f} {_high(value, top, height):.1f}"
            for x, value in zip(places, values, strict=True)
        ]
        if len(ends) == 1:
            x, y = ends[0].split()
            yield f'<circle class="dot s{name}" cx="{x}" cy="{y}" r="4"/>'
        yield f'<path class="line s{name}" d="M{"L".join(ends)}"/>'


def bars(
    title: str,
    values: Sequence[tuple[str, float, str]],
    beside: str = "",
    *,
    mark: tuple[float, str] | None = None,
) -> str:
    """Return upright bars: (label, value, class of the style sheet) each.

    Args:
        title: What is shown.
        values: The bars, from the left.
        beside: A table.
        mark: A place between the bars, counted in bars, and what is there.
    """

    def draw(width: int) -> tuple[int, Iterator[str]]:
        return 220, _bars(values, mark, width)

    return chart(title, draw, beside)


def _bars(
    values: Sequence[tuple[str, float, str]],
    mark: tuple[float, str] | None,
    width: int,
    height: int = 220,
) -> Iterator[str]:
    top = max(value for _, value, _ in values) or 1
    yield from _grid(top, width, height)
    step = (width - LEFT - RIGHT) / len(values)
    for place, (label, value, kind) in enumerate(values):
        y = _high(value, top, height)
        yield (
            f'<rect class="bar {kind}" x="{LEFT + step * place + step * 0.1:.1f}" y="{y:.1f}"'
            f' width="{step * 0.8:.1f}" height="{height - BOTTOM - y:.1f}">'
            f"<title>{escape(f'{label}: {number(value)}')}</title></rect>"
        )
    places = [(LEFT + step * (n + 0.5), one[0]) for n, one in enumerate(values)]
    yield from _labels(places, width, height)
    if mark:
        x = LEFT + step * mark[0]
        side, at = ("end", x - 5) if mark[0] > len(values) / 2 else ("start", x + 5)
        yield f'<path class="mark" d="M{x:.1f} {TOP}V{height - BOTTOM}"/>'
        yield f'<text x="{at:.1f}" y="{TOP + 12}" text-anchor="{side}">{escape(mark[1])}</text>'


def heat(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[int, int], float],
    beside: str = "",
) -> str:
    """Return a map of cells by (row, column), the darker the more; turned where it is narrow."""

    def draw(width: int) -> tuple[int, Iterator[str]]:
        if width == WIDTHS[0][1]:
            return 26 * len(rows) + BOTTOM, _heat(rows, columns, cells, width)
        turned = {(column, row): value for (row, column), value in cells.items()}
        return 26 * len(columns) + BOTTOM, _heat(columns, rows, turned, width)

    return chart(title, draw, beside)


def _heat(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[int, int], float],
    width: int,
) -> Iterator[str]:
    step, most = (width - LEFT - RIGHT) / len(columns), max(cells.values(), default=1)
    for row, label in enumerate(rows):
        y = BOTTOM + 26 * row
        yield f'<text x="{LEFT - 6}" y="{y + 17}" text-anchor="end">{escape(label)}</text>'
        for column, name in enumerate(columns):
            value = cells.get((row, column), 0)
            x = LEFT + step * column
            shade = ceil(SHADES * value / most)
            yield (
                f'<rect class="q{shade}" x="{x + 1:.1f}" y="{y + 1}" width="{step - 2:.1f}"'
                f' height="24"><title>{escape(f"{label} {name}: {number(value)}")}</title></rect>'
            )
            if value:
                yield (
                    f'<text class="in{shade}" x="{x + step / 2:.1f}" y="{y + 17}"'
                    f' text-anchor="middle">{escape(number(value))}</text>'
                )
    yield from _labels([(LEFT + step * (n + 0.5), one) for n, one in enumerate(columns)], width, 20)


def intervals(
    title: str,
    rows: Sequence[tuple[str, float, float, float]],
    show: Callable[[float], str],
    beside: str = "",
) -> str:
    """Return a line from low to high for each (label, low, middle, high), around a line at 0."""
    ends = [0.0, *(one for row in rows for one in row[1:])]
    least, wide = min(ends), max(max(ends) - min(ends), 1e-9)

    def draw(width: int) -> tuple[int, Iterator[str]]:
        def x(value: float) -> float:
            return 3 * RIGHT + (width - 6 * RIGHT) * (value - least) / wide

        def parts() -> Iterator[str]:
            yield f'<path class="mark" d="M{x(0):.1f} 0V{height - BOTTOM}"/>'
            for row, (label, low, middle, high) in enumerate(rows):
                y = 40 * row + 28
                yield f'<text x="{RIGHT}" y="{y - 14}">{escape(shorten(label, width // 9))}</text>'
                yield f'<path class="line" d="M{x(low):.1f} {y}H{x(high):.1f}"/>'
                yield f'<circle class="dot" cx="{x(middle):.1f}" cy="{y}" r="4"/>'
            for value in dict.fromkeys((min(ends), 0.0, max(ends))):
                at = f'x="{x(value):.1f}" y="{height - 6}" text-anchor="middle"'
                yield f"<text {at}>{escape(show(value))}</text>"

        height = 40 * len(rows) + BOTTOM
        return height, parts()

    return chart(title, draw, beside)


def stripes(title: str, first: date, rows: Sequence[tuple[str, date, date]]) -> str:
    """Return a year from `first` on with a line for each name and a stripe for each stretch."""

    def draw(width: int) -> tuple[int, Iterator[str]]:
        return 40 * len(names) + BOTTOM, _stripes(names, first, rows, width)

    names = list(dict.fromkeys(name for name, _, _ in rows))
    return chart(title, draw)


def _stripes(
    names: Sequence[str], first: date, rows: Sequence[tuple[str, date, date]], width: int
) -> Iterator[str]:
    day = (width - 2 * RIGHT) / 366
    months = [
        (RIGHT + day * n, f"{at:%b}")
        for n in range(366)
        if (at := first + timedelta(days=n)).day == 1
    ]
    for x, _ in months:
        yield f'<path class="grid" d="M{x:.1f} 0V{40 * len(names)}"/>'
    yield from _labels(months, width, 40 * len(names) + BOTTOM)
    for row, name in enumerate(names):
        yield f'<text x="{RIGHT}" y="{40 * row + 14}">{escape(shorten(name, width // 9))}</text>'
    for name, begin, end in rows:
        left = max(0, (begin - first).days)
        days = min(366, (end - first).days + 1) - left
        x, y = RIGHT + day * left, 40 * names.index(name) + 19
        yield (
            f'<rect class="bar enough" x="{x:.1f}" y="{y}"'
            f' width="{max(3, day * days):.1f}" height="12" rx="3">'
            f"<title>{escape(f'{name}: {begin} to {end}')}</title></rect>"
        )


def _high(value: float, top: float, height: int) -> float:
    return height - BOTTOM - (height - BOTTOM - TOP) * value / _ceiling(top)


def _step(top: float) -> float:
    """Return a round step that reaches `top` in at most five."""
    unit = 10.0 ** (ceil(log10(top / 5)) - 1)
    return next(unit * each for each in (1, 2, 5, 10) if unit * each * 5 >= top * (1 - 1e-9))


def _ceiling(top: float) -> float:
    return _step(top) * ceil(top / _step(top) - 1e-9)


def _grid(top: float, width: int, height: int) -> Iterator[str]:
    step = _step(top)
    for count in range(round(_ceiling(top) / step) + 1):
        y = _high(count * step, top, height)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{width - RIGHT}"/>'
        yield (f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{count * step:.6g}</text>')


def _labels(places: Sequence[tuple[float, str]], width: int, height: int) -> Iterator[str]:
    """Yield as many of the labels below a chart as have room there, from the first on."""
    widest = max(len(label) for _, label in places) * 7 + 8
    room = (width - LEFT - RIGHT) / len(places)
    every = max(1, ceil(widest / room))
    for x, label in places[::every]:
        yield f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{escape(label)}</text>'
