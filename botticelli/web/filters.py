"""How values are written in the desk's pages."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup

from botticelli.platforms.markdown import shown_by_discord
from botticelli.schedule.hours import zone_of
from botticelli.text import ago, counted, shorten


def local(at: datetime | None, zone: str = "UTC", form: str = "%a %Y-%m-%d %H:%M") -> str:
    """Return an instant on the clocks of a zone; a dash for none."""
    return f"{at.astimezone(zone_of(zone)):{form}}" if at else "-"


def number(value: Decimal | float | None, digits: int = 1) -> str:
    """Return a number without zeros at its end; a dash for none."""
    if value is None:
        return "-"
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_markdown(text: str) -> Markup:
    """Return a post as Discord shows it: all else than its markup is escaped by the parser."""
    return Markup(shown_by_discord(text))  # noqa: S704 - it escapes what is HTML


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "local": local,
    "number": number,
    "markdown": as_markdown,
    "ago": ago,
    "counted": counted,
    "shorten": shorten,
}
