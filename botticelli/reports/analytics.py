"""The figures as HTML: the analytics page of the desk, and `botticelli report FILE.html`."""

from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files as resources
from typing import Final

from botticelli.reports import charts
from botticelli.reports.charts import table
from botticelli.reports.insights import Insights, gain
from botticelli.schedule.hours import zone_of
from botticelli.store.reads.engagement import FeatureEffect
from botticelli.store.reads.figures import Figures, Funnel

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LEAST_CASES: Final = 5  # posts with a feature that is shown
STYLES: Final = "web/assets/figures.css"


def to_page(found: Insights, *, project: str) -> str:
    """Return the figures as one file that needs nothing else: no server, no script, no picture."""
    figures = found.figures
    days = f"{figures.first} to {figures.now.astimezone(zone_of(figures.zone)):%Y-%m-%d}"
    style = (resources("botticelli") / STYLES).read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(project)}: {days}</title><style>{style}</style></head>"
        f'<body class="report"><main class="figures"><h1><bdi>{escape(project)}</bdi></h1>'
        f"<p>{days} ({escape(figures.zone)})</p>{to_html(found)}"
        f"<p>Made at {figures.now:%Y-%m-%d %H:%M} UTC.</p></main></body></html>\n"
    )


def to_html(found: Insights) -> str:
    """Return the figures as a fragment of a page."""
    sections: dict[str, Iterator[str]] = {
        title: show(found.figures) for title, show in SECTIONS.items()
    }
    sections["What readers did"] = _readers(found)
    if found.experiments:
        sections["Experiments"] = _experiments(found)
    sections["The judge against people"] = (
        f"<p>{escape(one)}</p>" for one in found.agreement.lines
    )
    return "".join(
        f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"
        for title, parts in sections.items()
    )


def _readers(found: Insights) -> Iterator[str]:
    for place in found.readers:
        yield f"<h3><bdi>{escape(place.destination)}</bdi></h3>"
        if place.note:
            yield f"<p>{escape(place.note[:1].upper() + place.note[1:])}.</p>"
            continue
        yield f"<p>{place.n:,} posts, looked at 24 hours after they went out.</p>"
        effects = [one for one in place.effects if one.n >= LEAST_CASES]
        heads = ("posts", "have it", "gain", "from", "to", "verdict")
        rows = [
            (_name(one), one.n, gain(one.effect), gain(one.low), gain(one.high), one.verdict)
            for one in effects
        ]
        listed = table("What goes with more of it, or less (80 % intervals)", heads, rows)
        drawn = [(_name(one), one.low, one.effect, one.high) for one in effects]
        title = f"What goes with more of it, or less, at {place.destination}"
        yield charts.intervals(title, drawn, gain, listed) if effects else listed
        yield table(
            "Best and worst posts",
            ("which", "post", "above so many", "what readers did"),
            [
                (
                    kind,
                    f"p{one.post_id}",
                    "-" if one.percentile is None else f"{one.percentile:.0%}",
                    ", ".join(f"{n} {name}" for name, n in one.counts.items() if n) or "nothing",
                )
                for kind in ("best", "worst", "angry")
                for one in getattr(place, kind)
            ],
        )


def _experiments(found: Insights) -> Iterator[str]:
    heads = ("experiment", "arm", "posts", "mean reactions", "result")
    names = ("experiment", "arm", "posts", "mean", "result")
    rows = [[one[name] for name in names] for one in found.experiments]
    yield table("Posts with reactions at 24 hours", heads, rows)


def _name(one: FeatureEffect) -> str:
    return f"{one.feature}: {one.value}"


def _all(figures: Figures) -> Funnel:
    nothing = Funnel(by="all", name="", written=0, judged=0, approved=0, posted=0, edited=0)
    return next((one for one in figures.funnels if one.by == "all"), nothing)


def _funnel(figures: Figures) -> Iterator[str]:
    total = _all(figures)
    steps = ("written", "judged", "approved", "posted")
    counts = [(step, getattr(total, step)) for step in steps]
    yield charts.bars(
        "From written to posted",
        [(step, count, "enough") for step, count in counts],
        table(
            "By step",
            ("step", "posts", "of those written"),
            [
                (one, getattr(total, one), _share(getattr(total, one), total.written))
                for one in steps
            ],
        ),
    )
    for by in ("narrative", "model"):
        yield table(
            f"By {by}; share: approved of judged; edited: by people",
            (by, *steps, "share", "edited"),
            [
                (
                    one.name or "(not known)",
                    *(getattr(one, step) for step in steps),
                    _share(one.approved, one.judged),
                    one.edited,
                )
                for one in figures.funnels
                if one.by == by
            ],
            empty=f"No {by} has written anything in these days.",
        )


def _share(part: int, whole: int) -> str | None:
    return f"{part / whole:.0%}" if whole else None


def _days(figures: Figures) -> Iterator[str]:
    series = {
        name: [getattr(one, name) for one in figures.days]
        for name in ("written", "approved", "posted")
    }
    labels = [f"{one.day:%m-%d}" for one in figures.days]
    rows = [(str(one.day), one.written, one.approved, one.posted) for one in figures.days[::-1]]
    beside = table("By day", ("day", *series), rows)
    yield charts.lines("Posts a day: written, approved, posted", labels, series, beside)


def _scores(figures: Figures) -> Iterator[str]:
    counts = dict.fromkeys(range(51), 0)
    for one in figures.scores:
        counts[int(one.name)] += one.written
    if not figures.scores:
        yield "<p>The judge has scored nothing in these days.</p>"
        return
    limit = figures.threshold
    sides = [
        [one for one in figures.scores if one.is_enough == is_enough] for is_enough in (True, False)
    ]
    beside = table(
        "The judge against people",
        ("score", "candidates", "approved by people", "rejected by people"),
        [
            (
                f"{words} {limit:g}",
                sum(one.written for one in side),
                sum(one.taken for one in side),
                sum(one.refused for one in side),
            )
            for words, side in zip(("at least", "below"), sides, strict=True)
        ],
    )
    yield charts.bars(
        "Candidates by score, of 50",
        [(str(score), counts[score], "enough" if score >= limit else "short") for score in counts],
        beside,
        mark=(limit, f"enough: {limit:g}"),
    )
    decided = sum(one.taken + one.refused for one in figures.scores)
    agreed = sum(one.taken if one.is_enough else one.refused for one in figures.scores)
    if decided:
        yield (
            f"<p>People decided about {decided:,} of them, and as the judge would have in"
            f" {agreed:,} ({agreed / decided:.0%}).</p>"
        )


def _hours(figures: Figures) -> Iterator[str]:
    if not figures.hours:
        yield "<p>Nothing was posted in these days.</p>"
        return
    cells = {(one.weekday - 1, one.hour): one.posts for one in figures.hours}
    busiest = sorted(figures.hours, key=lambda one: -one.posts)[:10]
    beside = table(
        "The busiest hours",
        ("hour", "posts"),
        [(f"{WEEKDAYS[one.weekday - 1]} {one.hour:02}:00", one.posts) for one in busiest],
    )
    hours = [f"{hour:02}" for hour in range(24)]
    yield charts.heat(f"Posts by hour ({figures.zone})", WEEKDAYS, hours, cells, beside)


def _costs(figures: Figures) -> Iterator[str]:
    spent = sum(one.cost_usd for one in figures.days)
    approved, posted = (
        sum(getattr(one, name) for one in figures.days) for name in ("approved", "posted")
    )
    labels = [f"{one.day:%m-%d}" for one in figures.days]
    prices = [
        ("all", spent),
        ("a day", spent / len(figures.days)),
        ("an approved post", spent / approved if approved else None),
        ("a posted post", spent / posted if posted else None),
    ]
    beside = table("Price in US dollars", ("of", "US dollars"), prices)
    costs = {"US dollars": [one.cost_usd for one in figures.days]}
    yield charts.lines("US dollars a day", labels, costs, beside)


SECTIONS: Final[dict[str, Callable[[Figures], Iterator[str]]]] = {
    "From written to posted": _funnel,
    "Day by day": _days,
    "What the judge says": _scores,
    "When posts go out": _hours,
    "What it costs": _costs,
}
