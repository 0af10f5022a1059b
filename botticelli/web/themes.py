"""The themes of the year: those of the file, and those that people keep here."""

from dataclasses import replace
from datetime import timedelta

from markupsafe import Markup
from starlette.responses import Response

from botticelli.errors import ConfigError, StaleError, UsageError
from botticelli.reports import charts
from botticelli.schedule.hours import zone_of
from botticelli.stages.generate.themes import Theme, themes_between
from botticelli.store import runs
from botticelli.store.generation import themes
from botticelli.store.generation.themes import StoredTheme
from botticelli.text import shorten
from botticelli.web.app import Call

YEAR = timedelta(days=365)


def show_themes(call: Call) -> Response:
    """Show the themes of the next twelve months."""
    return _show(call)


def _show(
    call: Call, *, status: int = 200, problem: str = "", mine: StoredTheme | None = None
) -> Response:
    config = call.desk.config
    today = runs.now(call.conn).astimezone(zone_of(config.time_zone)).date()
    known, found = themes.known(call.conn, config.themes), list[Theme]()
    try:
        found = themes_between(known, today, today + YEAR)
    except ConfigError as error:
        problem = problem or str(error)
    rows = [
        (
            f"{one.name} (now)" if one.first <= today else one.name,
            str(one.first),
            str(one.last),
            f"{one.weight:.0%}",
            shorten(one.brief, 120),
        )
        for one in found
    ]
    drawn = charts.stripes(
        "The next twelve months", today, [(one.name, one.first, one.last) for one in found]
    )
    listed = charts.table("From today on", ("theme", "from", "to", "share", "about"), rows)
    return call.show(
        "themes.html",
        status=status,
        problem=problem,
        mine=mine,
        year=Markup(drawn + listed) if found else "",  # noqa: S704 - every text is escaped there
        kept=themes.list_themes(call.conn),
        of_file=sorted(config.themes),
        can_change=call.visitor and call.visitor.may("admin") and not call.desk.is_read_only,
    )


def change_theme(call: Call) -> Response:
    """Add, change, pause or resume a theme, as it was seen."""
    form = call.form
    wanted = StoredTheme(
        name=form.get("name", "").strip()[:100],
        begins=form.get("from", "").strip(),
        ends=form.get("to", "").strip(),
        brief=form.get("brief", "").strip()[:4000],
        tags=[tag for one in form.get("tags", "").split(",") if (tag := one.strip())],
        is_active=form.get("do") != "pause",
        changed_by=call.by,
    )
    try:
        wanted = replace(
            wanted, weight=float(form.get("weight") or 30) / 100, fence=int(form.get("fence") or 0)
        )
        themes.change(call.conn, wanted)
    except StaleError as error:
        return _show(call, status=409, problem=str(error), mine=wanted)
    except UsageError as error:
        return _show(call, status=400, problem=str(error), mine=wanted)
    except ValueError:
        problem = "a share is a number of percent"
        return _show(call, status=400, problem=problem, mine=wanted)
    return call.go("/themes")
