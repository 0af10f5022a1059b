"""Themes that people keep: over those of the file, and nobody overwrites anybody."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from botticelli.config.model import Config, DatabaseConfig
from botticelli.config.operations import ThemeConfig
from botticelli.errors import StaleError, UsageError
from botticelli.stages.generate.occasion import occasion
from botticelli.store.generation import themes
from botticelli.store.generation.themes import StoredTheme

ADVENT = StoredTheme(name="advent", begins="12-01", ends="12-26", brief="Candles", tags=["x"])
FILE = {"advent": ThemeConfig(begins="11-01", ends="11-02", brief="of the file")}


def test_a_theme_of_the_table_is_over_the_files_and_paused_is_none(db):
    assert themes.known(db, FILE) == FILE

    themes.change(db, ADVENT)
    assert themes.known(db, FILE)["advent"].brief == "Candles"

    themes.change(db, replace(ADVENT, is_active=False, fence=1))
    assert themes.known(db, FILE) == {}

    themes.change(db, StoredTheme(name="advent", fence=2, is_active=False))
    themes.change(db, replace(ADVENT, fence=3))
    assert themes.known(db, FILE)["advent"].tags == ("x",)


def test_a_batch_is_written_on_what_people_said(db, tmp_path):
    themes.change(db, ADVENT)

    config = Config(database=DatabaseConfig(url="", folder=tmp_path))
    kept = occasion(config, now=datetime(2026, 12, 24, tzinfo=UTC), conn=db)

    assert [(one["name"], one["brief"], one["tags"]) for one in kept["themes"]] == [
        ("advent", "Candles", ("x",))
    ]


def test_who_saw_an_older_one_changes_nothing(db):
    themes.change(db, ADVENT)
    for fence in (0, 2):
        with pytest.raises(StaleError):
            themes.change(db, replace(ADVENT, brief="mine", fence=fence))

    assert [(one.brief, one.fence) for one in themes.list_themes(db)] == [("Candles", 1)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"begins": ""},
        {"begins": "13-01"},
        {"ends": "2026-02-30"},
        {"ends": "20261224"},
        {"weight": 0},
        {"weight": 1.1},
        {"weight": float("nan")},
    ],
)
def test_a_theme_that_means_nothing_is_refused(db, wrong):
    with pytest.raises(UsageError):
        themes.change(db, replace(ADVENT, **wrong))

    assert themes.list_themes(db) == []
