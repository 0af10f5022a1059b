"""What day a batch is written on: today, the themes of the season, and which post is about which.

All of it is frozen with the batch: a resumed item asks the very same question again.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from botticelli.config.model import Config
from botticelli.narrative.language.model import NarrativeFile
from botticelli.schedule.hours import zone_of
from botticelli.stages.generate.themes import AHEAD, Theme, theme_of, themes_between, upcoming_words
from botticelli.store.connection import Connection
from botticelli.store.curation import house_rules
from botticelli.store.curation.house_rules import HouseRules
from botticelli.store.generation import themes as stored_themes
from botticelli.store.generation.items import Item


def occasion(config: Config, *, now: datetime, conn: Connection | None) -> dict[str, Any]:
    """Return what a batch keeps of the day it is written on; JSON. Reads only.

    Args:
        config: Of the project.
        now: The day.
        conn: Where house rules and themes of people are from; None: there are none.

    Raises:
        ConfigError: A theme means nothing.
    """
    rules = house_rules.current(conn) if conn else HouseRules()
    themes = stored_themes.known(conn, config.themes) if conn else config.themes
    today = now.astimezone(zone_of(config.time_zone)).date()
    known = themes_between(themes, today, today + timedelta(days=AHEAD))
    active = [one for one in known if one.first <= today <= one.last]
    return {
        "today": f"{today:%A}, {today.day} {today:%B %Y}",
        "upcoming": upcoming_words(known, today),
        **({"rules": vars(rules)} if rules.version else {}),
        "themes": [
            {**asdict(one), "first": str(one.first), "last": str(one.last),
             "ends_at": one.ends_at(config.time_zone).isoformat()}
            for one in active
        ],
    }  # fmt: skip


def theme_for(kept: Mapping[str, Any], file: NarrativeFile, item: Item) -> Mapping[str, Any] | None:
    """Return the theme of an item of a batch that kept this of its day; None: it has none."""
    found = kept.get("themes") or []
    active = [
        Theme(
            name=one["name"],
            first=date.fromisoformat(one["first"]),
            last=date.fromisoformat(one["last"]),
            brief=one["brief"],
            weight=one["weight"],
        )
        for one in found
    ]
    keys = list(file.narratives)
    number = (item.iteration - 1) * len(keys) + keys.index(item.narrative)
    chosen = theme_of(active, number)
    return None if chosen is None else found[active.index(chosen)]


def words_of(kept: Mapping[str, Any], theme: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the variables of narratives: {{today}}, {{upcoming}}, {{theme}}, {{house_rules}}."""
    return {
        **rules_of(kept).words,
        "today": str(kept.get("today", "")),
        "upcoming": str(kept.get("upcoming", "")),
        "theme": f"{theme['name']}: {theme['brief']}" if theme else "",
    }


def rules_of(kept: Mapping[str, Any]) -> HouseRules:
    """Return the house rules that a batch is written under; none in one of earlier versions."""
    return HouseRules(**kept.get("rules", {}))
