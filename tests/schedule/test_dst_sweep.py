"""Every quarter of an hour over both clock changes of three zones: no post twice, none left out."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from botticelli.schedule.due import Pace, Rhythm, next_due
from botticelli.schedule.hours import Hours

TICK = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # by half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4)),
]
WINDOWS = [
    None,
    (time(9), time(17)),
    (time(1, 30), time(2, 30)),  # half in, half out of what is left out or shown twice
    (time(2), time(3)),
    (time(2, 10), time(2, 20)),
    (time(22), time(4)),  # a night
    (time(0), time(0)),  # all day
]


def shows(instant, zone):
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def window_of(day, window, zone):
    """Return (opens, closes) of a date, found by looking at the clock on the wall each minute."""
    start, end = (datetime.combine(day, at) for at in window)
    length = (end - start) if end > start else end + DAY - start
    at = datetime.combine(day, time(0), UTC) - DAY
    while shows(at, zone) < start:
        at += MINUTE
    opens = at
    while shows(at, zone) < start + length:
        at += MINUTE
    return opens, at if at > opens else opens + length


def posts_of(rules, *, begin, until):
    """Return when something is posted if the stage is woken every quarter of an hour."""
    posted, now, promised = [], begin, None
    while now < until:
        due = next_due(Pace(now=now, waiting=1, recent=tuple(posted[::-1][:9])), rules)
        if due.is_now:
            posted.append(now)
        elif due.at != promised:
            promised = due.at
            assert promised > now, "a promise lies ahead"
            at_its_time = Pace(now=due.at, waiting=1, recent=tuple(posted[::-1][:9]))
            assert next_due(at_its_time, rules).is_now, "and is kept"
        now += TICK
    return posted


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize(("zone", "changed"), CHANGES, ids=str)
def test_over_a_change_of_the_clocks_each_date_gets_its_posts_and_no_more(zone, changed, window):
    sweep(zone, changed, window, interval=timedelta(hours=1), share=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interval", "share"), [(timedelta(), 1), (timedelta(hours=3), None), (timedelta(hours=25), 1)]
)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_same_at_every_rhythm(window, interval, share):
    for zone, changed in CHANGES:
        sweep(zone, changed, window, interval=interval, share=share)


def sweep(zone, changed, window, *, interval, share):
    hours = Hours(zone=zone, start=window and window[0], end=window and window[1])
    begin = datetime.combine(changed - 2 * DAY, time(0), ZoneInfo(zone)).astimezone(UTC)
    days = [changed + DAY * ahead for ahead in (-1, 0, 1)]
    opened = {day: window_of(day, window, zone) for day in days} if window else {}
    rules = Rhythm(hours=hours, min_interval=interval, posts_per_day=share)
    posted = posts_of(rules, begin=begin, until=begin + 5 * DAY)

    assert all(after - before >= interval for before, after in pairwise(posted))
    by_date = Counter(shows(at, zone).date() for at in posted)
    assert share is None or max(by_date.values()) <= share
    if interval < DAY:
        for day in days:
            opens, closes = opened.get(day, (begin, begin + 5 * DAY))
            assert any(opens <= at < closes for at in posted), f"nothing on {day}"
            assert window or by_date[day], f"nothing on {day}"
    for at in posted if window and window[0] < window[1] else ():
        day = shows(at, zone).date()
        opens, closes = opened.get(day) or window_of(day, window, zone)
        assert opens <= at < closes, "outside its hours"
