"""When the next round may begin, for every kind of schedule."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from botticelli import cron
from botticelli.schedule.due import Pace, Rhythm, earliest_round, next_due, round_slack
from botticelli.schedule.hours import Hours

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


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


@pytest.mark.parametrize("late", [0.0, 0.4, 3.0, 5.9])
@pytest.mark.parametrize("minutes", [1, 60, 24 * 60, 48 * 60])
def test_a_timer_of_the_same_beat_uses_every_slot(minutes, late):
    """What is noted a little after its tick does not cost the next one."""
    beat = timedelta(minutes=minutes)
    rules = Rhythm(min_interval=beat)
    begun, posted, lateness = [], [], Random(3)
    for number in range(50):
        tick = at("2026-01-05T09:00") + number * beat
        noted = tick + timedelta(seconds=lateness.uniform(0, late))
        if (
            not begun
            or earliest_round(begun[-1], interval=beat) - round_slack(interval=beat) <= tick
        ):
            begun.append(noted)
        if next_due(Pace(now=tick, waiting=1, recent=posted[::-1][:9]), rules).is_now:
            posted.append(noted)

    assert len(begun) == len(posted) == 50


@pytest.mark.parametrize("minutes", [1, 10, 60, 24 * 60])
def test_whoever_wakes_it_more_often_gets_no_more(minutes):
    beat = timedelta(minutes=minutes)
    posted, step, rules = [], beat / 20, Rhythm(min_interval=beat)
    for number in range(20 * 30):
        now = at("2026-01-05T09:00") + number * step
        if next_due(Pace(now=now, waiting=1, recent=posted[::-1][:9]), rules).is_now:
            posted.append(now)

    assert len(posted) <= 30 / 0.9 + 1
    assert min(later - one for one, later in pairwise(posted)) >= beat - min(beat / 10, 2 * MINUTE)


@pytest.mark.parametrize("skew", [-3.0, -1.0, 0.0, 2.0])
@pytest.mark.parametrize(
    "schedule", [{"at": ("09:00",)}, {"at": ("09:00", "09:01")}, {"line": "0 9-17/2 * * *"}]
)
def test_a_machine_whose_clock_is_off_has_each_slot_once(schedule, skew):
    """The timer's clock is the machine's, "now" is the database's; a second start does nothing."""
    lines = schedule.get("line")
    slots = cron.times(cron.parse(lines)) if lines else map(time.fromisoformat, schedule["at"])
    slots = list(slots)
    begun, drift = [], Random(5)
    for day in range(10):
        for slot in slots:
            nominal = datetime(2026, 11, 2, slot.hour, slot.minute, tzinfo=UTC) + day * DAY
            for again in (0, 4):
                now = nominal + timedelta(seconds=skew + again + drift.uniform(0, 1))
                slack = round_slack(interval=DAY, **schedule)
                if not begun or earliest_round(begun[-1], interval=DAY, **schedule) - slack <= now:
                    begun.append(now)

    assert len(begun) == 10 * len(slots)


def test_a_day_of_23_hours_has_its_post():
    """Timer at nine in Berlin, one post a day: also on 2026-03-29."""
    rules = Rhythm(min_interval=DAY, hours=Hours(zone="Europe/Berlin"))
    berlin, posted = ZoneInfo("Europe/Berlin"), []
    for number in range(10):
        tick = datetime(2026, 3, 24, 9, tzinfo=berlin) + number * DAY
        now = tick.astimezone(UTC)
        if next_due(Pace(now=now, waiting=1, recent=posted[::-1][:9]), rules).is_now:
            posted.append(now)

    assert len(posted) == 10


def test_a_time_that_the_clocks_leave_out_is_the_moment_they_are_set():
    """As everywhere here: hours.py opens a window at 03:00 as well."""
    last = at("2026-03-28T12:00")
    for schedule in ({"at": ("02:30",)}, {"line": "30 2 * * *"}):
        found = earliest_round(last, interval=DAY, time_zone="Europe/Berlin", **schedule)
        assert found == at("2026-03-29T01:00")
