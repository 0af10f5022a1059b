"""The analytics page: the figures of the last days, as `botticelli report` writes them."""

from typing import Final

from markupsafe import Markup
from starlette.responses import Response

from botticelli.reports import analytics
from botticelli.reports.insights import read_insights
from botticelli.store.reads.figures import MOST_DAYS
from botticelli.web.app import Call, PageError

SPANS: Final = (7, 30, 90, 365)


def show_analytics(call: Call) -> Response:
    """Show the figures of `days` days."""
    asked = call.request.query_params.get("days", "30")
    if not (asked.isdecimal() and 1 <= int(asked[:6]) <= MOST_DAYS):
        raise PageError(400, f"days are a number from 1 to {MOST_DAYS}")
    found = read_insights(call.conn, call.desk.config, days=int(asked))
    sections = Markup(analytics.to_html(found))  # noqa: S704 - every text is escaped there
    return call.show(
        "analytics.html", found=found.figures, sections=sections, days=int(asked), spans=SPANS
    )
