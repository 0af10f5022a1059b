"""`botticelli insights`."""

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.reports.insights import Insights, ReaderInsights, effect_words, read_insights
from botticelli.store.connection import Connection
from botticelli.store.reads.figures import MOST_DAYS


@command()
def insights(env: Environment, conn: Connection, *, days: int = 30) -> Insights:
    """Show what can be learned from readers, editors and costs.

    Takes:
        days N: How many days of figures, today included; at most 366.

    Examples:
        botticelli insights
        botticelli insights --days 90 --json
    """
    if days > MOST_DAYS:
        raise UsageError(f"{days} days are too many", where="--days", hint=f"say {MOST_DAYS}")
    return read_insights(conn, env.config, days=days)


@render.register
def _(report: Insights, console: Console) -> None:
    figures = report.figures
    console.line(f"From written to posted, {len(figures.days)} days", style="bold")
    for one in figures.funnels:
        name = "all" if one.by == "all" else f"{one.by} {one.name or '(not known)'}"
        steps = f"{one.written} written, {one.judged} judged, {one.approved} approved"
        edited = f", {one.edited} edited" if one.edited else ""
        console.line(f"  {name}: {steps}, {one.posted} posted{edited}")
    spent = sum(one.cost_usd for one in figures.days)
    approved = sum(one.approved for one in figures.days)
    posted = sum(one.posted for one in figures.days)
    each = [f"${spent:.2f}"]
    each += [f"${spent / approved:.4f} an approved post"] if approved else []
    each += [f"${spent / posted:.4f} a posted post"] if posted else []
    console.line(f"  cost: {', '.join(each)}")
    for place in report.readers:
        _show_readers(place, console)
    console.line("Judge against people", style="bold")
    for line in report.agreement.lines:
        console.line(f"  {line}")


def _show_readers(place: ReaderInsights, console: Console) -> None:
    console.line(f"Readers of {place.destination}", style="bold")
    if place.note:
        console.line(f"  {place.note}")
        return
    console.line(f"  {place.n} posts, looked at 24 hours after they went out")
    for title, posts in (("best", place.best), ("worst", place.worst), ("angry?", place.angry)):
        for post in posts:
            share = f"{post.percentile:.0%}" if post.percentile is not None else "-"
            counts = ", ".join(f"{count} {name}" for name, count in post.counts.items() if count)
            words = f"above {share} of them ({counts or 'nothing'})"
            console.line(f"  {title}: p{post.post_id}, {words}")
    for one in place.effects:
        if one.feature != "hours" and (one.verdict != "unclear" or one.n >= 5):
            console.line(f"  {one.feature} {one.value}: {effect_words(one)}")
    for one in place.hours[:1]:
        console.line(f"  hours to try: {one.value} {effect_words(one)}")
