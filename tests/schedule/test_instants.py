"""Instants as people write them, on clocks that are set forward and back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.errors import UsageError
from botticelli.schedule.hours import Hours
from botticelli.schedule.instants import TwiceError, allowed_instant, read_instant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONES = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]


def test_an_hour_that_the_clocks_leave_out_is_refused():
    with pytest.raises(UsageError, match="leave out 02:30 on 2026-03-29"):
        read_instant("2026-03-29T02:30", "Europe/Vienna", now=NOW)


def test_an_hour_that_comes_twice_is_asked_about():
    text, zone = "2026-10-25T02:30", "Europe/Vienna"
    with pytest.raises(TwiceError) as raised:
        read_instant(text, zone, now=NOW, asks=True)

    earlier, later = raised.value.instants
    assert later - earlier == timedelta(hours=1)
    assert read_instant(text, zone, now=NOW) == earlier
    for one in (earlier, later):
        assert read_instant(one.isoformat(), zone, now=NOW, asks=True) == one


@given(
    st.integers(1, 4 * 366 * 24 * 60).map(
        lambda minutes: (NOW + timedelta(days=1, minutes=minutes)).replace(tzinfo=None)
    ),
    st.sampled_from(ZONES),
)
def test_the_clock_on_the_wall_shows_what_was_written(wall, zone):
    try:
        at = read_instant(wall.isoformat("T", "minutes"), zone, now=NOW, asks=True)
    except TwiceError as error:
        shown = {
            one.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) for one in error.instants
        }
        assert shown == {wall}
    except UsageError:
        back = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone))
        assert back.replace(tzinfo=None, fold=0) != wall
    else:
        assert at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) == wall


@pytest.mark.parametrize(
    "text", ["", "x", "2026-02-30T10:00", "9999-12-31T23:59", "0001-01-01T00:00", "fri", "25:00"]
)
def test_what_is_no_time_to_come_is_refused(text):
    with pytest.raises(UsageError):
        allowed_instant(text, Hours(zone="Etc/GMT+12"), now=NOW, name="a", anyway=False)
