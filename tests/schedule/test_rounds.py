"""When the next round may begin, for every kind of schedule."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from botticelli.schedule.due import earliest_round

DAY = timedelta(days=1)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "last", "earliest"),
    [
        ({}, "2026-11-24T12:00", "2026-11-25T12:00"),
        ({"jitter_percent": 10}, "2026-11-24T12:00", "2026-11-25T07:12"),
        ({"jitter_percent": 80}, "2026-11-24T12:00", "2026-11-24T12:00"),
        ({"at": ("18:00", "09:00")}, "2026-11-24T09:20", "2026-11-24T18:00"),
        ({"at": ("09:00", "18:00")}, "2026-11-24T18:00", "2026-11-25T09:00"),
        (
            {"at": ("09:00",), "time_zone": "Europe/Rome"},
            "2026-11-24T09:00",
            "2026-11-25T08:00",
        ),
        ({"line": "30 6 * * 1"}, "2026-11-24T12:00", "2026-11-30T06:30"),
        ({"line": "*/20 * * * *"}, "2026-11-24T12:01", "2026-11-24T12:20"),
        ({"line": "0 0 30 2 *"}, "2026-11-24T12:00", "2028-11-25T12:00"),
    ],
)
def test_the_earliest_round(schedule, last, earliest):
    found = earliest_round(at(last), interval=DAY, **schedule)

    assert found == at(earliest)


def test_no_timer_of_ours_is_ever_too_early():
    """systemd's gaps are at least interval (1 - j), cron's with --jitter interval (1 - 2 j)."""
    last = at("2026-11-24T12:00")

    for gap in (DAY * 0.9, DAY * 0.8):
        assert earliest_round(last, interval=DAY, jitter_percent=10) <= last + gap


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_a_day_on_which_the_clocks_change_has_one_round(day):
    last, found = at(f"{day}T12:00"), []
    for _ in range(3):
        last = earliest_round(last, interval=DAY, at=("02:30",), time_zone="Europe/Rome")
        found.append(last)

    gaps = [later - one for one, later in pairwise(found)]
    assert all(timedelta(hours=22) < gap < timedelta(hours=26) for gap in gaps)
