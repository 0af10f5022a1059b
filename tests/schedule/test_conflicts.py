"""A timer against the rules of a destination: what of its rounds is lost."""

from datetime import UTC, datetime, time, timedelta

import pytest

from botticelli.schedule.conflicts import Wakings, conflicts
from botticelli.schedule.due import Rhythm
from botticelli.schedule.hours import Hours

NOW = datetime(2026, 3, 3, 12, 7, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAYTIME = Hours(start=time(9), end=time(21))
MORNING = Hours(start=time(9), end=time(10), zone="Europe/Berlin")
EVERY_DAY = tuple(f"{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 32))


def found(wakings, rules, *, limit=1, now=NOW):
    return [(one.is_total, one.what) for one in conflicts(wakings, rules, now=now, limit=limit)]


def every(interval):
    return Wakings(interval=interval)


def daily(*at, zone="UTC"):
    return Wakings(interval=24 * HOUR, at=at, time_zone=zone)


@pytest.mark.parametrize(
    ("wakings", "rules"),
    [
        (every(2 * HOUR), Rhythm(min_interval=HOUR)),
        (every(MINUTE), Rhythm(min_interval=MINUTE)),  # timer and rule of the same beat
        (every(HOUR), Rhythm(min_interval=HOUR, hours=DAYTIME)),
        (every(HOUR), Rhythm(min_interval=61 * MINUTE)),  # within the slack
        (every(10 * MINUTE), Rhythm(min_interval=HOUR)),
        (daily("09:00", "17:30"), Rhythm(min_interval=HOUR, hours=DAYTIME)),
        (daily("09:30", zone="Europe/Berlin"), Rhythm(hours=MORNING)),
        (Wakings(interval=24 * HOUR, line="0 * * * *"), Rhythm(hours=DAYTIME)),
        (Wakings(interval=31 * 24 * HOUR, line="0 9 1 * *"), Rhythm(hours=DAYTIME)),
        (Wakings(interval=24 * HOUR, line="30 2 * * *", time_zone="Europe/Berlin"), Rhythm()),
        (every(2 * HOUR), Rhythm(hours=Hours(quiet=("03-03", "03-04", "12-25")))),
    ],
)
def test_what_fits_is_not_complained_about(wakings, rules):
    assert found(wakings, rules) == []


@pytest.mark.parametrize(
    ("wakings", "rules", "is_total", "words"),
    [
        (daily("08:00"), Rhythm(hours=DAYTIME), True, "active hours 09:00-21:00 UTC"),
        (daily("09:30"), Rhythm(hours=MORNING), True, "active hours 09:00-10:00 Europe/Berlin"),
        (daily("09:00", "22:00"), Rhythm(hours=DAYTIME), False, "round at 22:00 can never"),
        (daily("09:00", "09:30"), Rhythm(min_interval=HOUR), False, "round at 09:30 can never"),
        (
            daily("09:00", "12:00", "18:00"),
            Rhythm(posts_per_day=2),
            False,
            "round at 18:00 can never send anything: 2 posts a day are allowed",
        ),
        (every(HOUR), Rhythm(min_interval=70 * MINUTE), False, "every 2 h at best"),
        (every(45 * MINUTE), Rhythm(min_interval=HOUR), False, "every 90 min at best"),
        (every(24 * HOUR), Rhythm(hours=MORNING), False, "no round of the timer need send"),
        (every(HOUR), Rhythm(hours=Hours(quiet=EVERY_DAY)), True, "next two years"),
        (
            Wakings(interval=24 * HOUR, line="0 22 * * *"),
            Rhythm(hours=DAYTIME),
            True,
            "no round of the timer",
        ),
    ],
)
def test_what_fights_is_said(wakings, rules, is_total, words):
    [(total, what)] = found(wakings, rules)
    assert total is is_total
    assert words in what


def test_a_limit_that_the_interval_takes_back_is_said():
    [(_, what)] = found(every(2 * HOUR), Rhythm(min_interval=HOUR), limit=3)
    assert what.startswith("a round sends one post at most, not 3")
