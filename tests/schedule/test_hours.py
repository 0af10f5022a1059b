"""Active hours and quiet dates through both changes of the clocks, in zones that differ most."""

from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.config.keys import quiet_date
from botticelli.schedule.hours import (
    Hours,
    day_start,
    first_instant,
    next_allowed,
    next_day,
    window,
    zone_of,
)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(start, end, zone="UTC", quiet=()):
    return Hours(
        zone=zone,
        start=time.fromisoformat(start),
        end=time.fromisoformat(end),
        quiet=tuple(quiet),
    )


def test_within_the_hours_now_is_allowed():
    now = utc("2026-11-24T12:00")

    assert next_allowed(now, hours("09:00", "17:00")) == now


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T08:59:59", "2026-11-24T09:00"),
        ("2026-11-24T17:00", "2026-11-25T09:00"),
        ("2026-11-24T23:00", "2026-11-25T09:00"),
    ],
)
def test_outside_of_them_the_next_start_is(now, expected):
    assert next_allowed(utc(now), hours("09:00", "17:00")) == utc(expected)


def test_without_hours_any_instant_is_allowed():
    now = utc("2026-11-24T03:00")

    assert next_allowed(now, Hours()) == now


@pytest.mark.parametrize("now", ["2026-11-24T22:00", "2026-11-25T00:00", "2026-11-25T05:59"])
def test_night_hours_reach_over_midnight(now):
    assert next_allowed(utc(now), hours("22:00", "06:00")) == utc(now)


def test_after_the_night_the_evening_is_next():
    assert next_allowed(utc("2026-11-25T06:00"), hours("22:00", "06:00")) == utc("2026-11-25T22:00")


def test_equal_start_and_end_mean_the_whole_day():
    now = utc("2026-11-24T03:00")

    assert next_allowed(now, hours("08:00", "08:00")) == now


def test_the_hours_are_meant_in_the_zone_of_the_season():
    """Nine in New York is 13:00 UTC in summer and 14:00 UTC in winter."""
    working = hours("09:00", "17:00", "America/New_York")

    assert next_allowed(utc("2026-07-01T05:00"), working) == utc("2026-07-01T13:00")
    assert next_allowed(utc("2026-12-01T05:00"), working) == utc("2026-12-01T14:00")


def test_a_start_in_the_hour_that_is_left_out_is_the_moment_the_clocks_are_set():
    """Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC."""
    opens, closes = window(date(2026, 3, 29), hours("02:30", "04:00", "Europe/Berlin"))

    assert (opens, closes) == (utc("2026-03-29T01:00"), utc("2026-03-29T02:00"))


def test_hours_that_are_left_out_wholly_come_right_after_at_full_length():
    opens, closes = window(date(2026, 3, 29), hours("02:15", "02:45", "Europe/Berlin"))

    assert (opens, closes) == (utc("2026-03-29T01:00"), utc("2026-03-29T01:30"))


def test_hours_that_the_clocks_show_twice_open_once():
    """Berlin, 2026-10-25: 02:30 comes twice, at 00:30 and at 01:30 UTC."""
    short = hours("02:15", "02:45", "Europe/Berlin")
    opens, closes = window(date(2026, 10, 25), short)

    assert (opens, closes) == (utc("2026-10-25T00:15"), utc("2026-10-25T00:45"))
    assert next_allowed(utc("2026-10-25T01:20"), short) == utc("2026-10-26T01:15")


@pytest.mark.parametrize(
    ("day", "length"),
    [(date(2026, 3, 28), 7), (date(2026, 10, 24), 9), (date(2026, 6, 1), 8)],
)
def test_a_night_over_a_change_is_an_hour_shorter_or_longer(day, length):
    opens, closes = window(day, hours("22:00", "06:00", "Europe/Berlin"))

    assert closes - opens == timedelta(hours=length)


def test_a_day_may_begin_at_one_in_the_morning():
    """Cairo sets its clocks forward at midnight: 2026-04-24 has no 00:30."""
    assert day_start(utc("2026-04-24T09:00"), "Africa/Cairo") == utc("2026-04-23T22:00")
    assert first_instant(date(2026, 4, 24), time(0, 30), zone_of("Africa/Cairo")) == utc(
        "2026-04-23T22:00"
    )


def test_a_date_may_be_missing_altogether():
    """Samoa went from 2011-12-29 to 2011-12-31; what was meant for the 30th comes on the 31st."""
    opens, _ = window(date(2011, 12, 30), hours("09:00", "17:00", "Pacific/Apia"))

    assert opens.astimezone(zone_of("Pacific/Apia")).date() == date(2011, 12, 31)


def test_a_quiet_date_is_quiet_from_midnight_to_midnight_in_the_zone():
    rules = Hours(zone="Asia/Tokyo", quiet=("12-25",))

    assert next_allowed(utc("2026-12-24T14:59"), rules) == utc("2026-12-24T14:59")
    assert next_allowed(utc("2026-12-24T15:00"), rules) == utc("2026-12-25T15:00")


def test_a_quiet_date_of_one_year_comes_once():
    rules = Hours(quiet=("2026-12-25",))

    assert next_allowed(utc("2026-12-25T10:00"), rules) == utc("2026-12-26T00:00")
    assert next_allowed(utc("2027-12-25T10:00"), rules) == utc("2027-12-25T10:00")


def test_a_night_goes_on_after_a_quiet_date():
    rules = hours("22:00", "06:00", quiet=["12-24"])

    assert next_allowed(utc("2026-12-24T23:00"), rules) == utc("2026-12-25T00:00")


def test_if_every_date_is_quiet_there_is_no_next():
    every = [f"{date(2028, 1, 1) + timedelta(days=n):%m-%d}" for n in range(366)]

    assert next_allowed(utc("2026-11-24T12:00"), Hours(quiet=tuple(every))) is None


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("12-25", True),
        ("02-29", True),
        ("2027-02-29", False),
        ("13-01", False),
        ("1-1", False),
        ("20261225", False),
    ],
)
def test_quiet_dates_have_to_exist(text, good):
    with nullcontext() if good else pytest.raises(ValueError, match=text):
        assert quiet_date(text) == text


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata"]
MINUTES = st.integers(0, 24 * 60 - 1).map(lambda m: time(m // 60, m % 60))


@given(st.sampled_from(ZONES), MINUTES, MINUTES, st.integers(2020, 2030))
def test_every_date_of_a_year_has_one_window_that_does_not_touch_another(zone, start, end, year):
    rules = Hours(zone=zone, start=start, end=end)
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    # The changes and some days around them are what matters; a year of all zones would take long.
    changes = [d for d in days if offset(d, zone) != offset(d + timedelta(days=1), zone)]
    for change in changes:
        near = [window(change + timedelta(days=n), rules) for n in range(-2, 4)]
        assert all(opens < closes for opens, closes in near)
        for (_, closes), (opens, _) in pairwise(near):
            assert closes <= opens + timedelta(hours=1)
            assert opens > near[0][0]


@given(
    st.sampled_from(ZONES),
    MINUTES,
    MINUTES,
    st.integers(0, 6 * 365 * 86400).map(lambda s: utc("2024-01-01") + timedelta(seconds=s)),
)
def test_the_next_allowed_instant_is_allowed_and_never_in_the_past(zone, start, end, now):
    rules = Hours(zone=zone, start=start, end=end)

    allowed = next_allowed(now, rules)

    assert now <= allowed <= now + timedelta(days=2)
    assert next_allowed(allowed, rules) == allowed


def offset(day, zone):
    return datetime(day.year, day.month, day.day, 12, tzinfo=zone_of(zone)).utcoffset()


def test_the_next_day_begins_where_this_one_ends():
    assert next_day(utc("2026-10-25T12:00"), "Europe/Berlin") == utc("2026-10-25T23:00")
