"""When the next post is due: interval, hours, quiet dates, the day's share, missed rounds."""

from datetime import UTC, datetime, time, timedelta

import pytest

from botticelli.schedule.due import Downtime, Pace, Rhythm, next_due
from botticelli.schedule.hours import Hours

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def pace(*ago, **facts):
    return Pace(now=NOW, waiting=5, recent=[NOW - one for one in ago], **facts)


def test_the_first_post_ever_is_due_at_once():
    due = next_due(pace(), Rhythm(min_interval=HOUR))

    assert due.is_now
    assert due.at == NOW


def test_the_interval_counts_from_the_last_post():
    due = next_due(pace(20 * MINUTE), Rhythm(min_interval=HOUR))

    assert due.at == NOW + 40 * MINUTE
    assert due.why == "minimum interval 60 min"


def test_at_the_very_end_of_the_interval_it_is_due():
    assert next_due(pace(HOUR), Rhythm(min_interval=HOUR)).is_now


def test_the_interval_and_the_hours_have_to_agree():
    rules = Rhythm(min_interval=6 * HOUR, hours=Hours(start=time(9), end=time(17)))

    due = next_due(pace(30 * MINUTE), rules)

    assert due.at == datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert due.why == "active hours 09:00-17:00 UTC"


def test_a_quiet_date_is_named_as_the_reason():
    due = next_due(pace(), Rhythm(hours=Hours(quiet=("11-24",))))

    assert due.at == datetime(2026, 11, 25, tzinfo=UTC)
    assert due.why == "a quiet date"


def test_a_full_day_waits_for_the_next_one_in_the_zone():
    rules = Rhythm(posts_per_day=2, hours=Hours(zone="America/New_York"))

    due = next_due(pace(HOUR, 2 * HOUR), rules)

    assert due.at == datetime(2026, 11, 25, 5, tzinfo=UTC)
    assert due.why == "2 posts a day are allowed"


def test_yesterdays_posts_do_not_fill_today():
    rules = Rhythm(posts_per_day=2, hours=Hours(zone="America/New_York"))

    assert next_due(pace(HOUR, 8 * HOUR, 9 * HOUR), rules).is_now


def test_no_post_a_day_means_never():
    due = next_due(pace(), Rhythm(posts_per_day=0))

    assert due.at is None
    assert not due.is_now


def test_what_the_platform_asked_for_counts_even_when_the_rhythm_does_not():
    rules = Rhythm(min_interval=HOUR)

    due = next_due(pace(MINUTE, retry_at=NOW + MINUTE), rules, ignoring_rhythm=True)

    assert due.at == NOW + MINUTE
    assert due.why == "the platform asked us to wait"


def test_a_delivery_under_way_is_waited_for():
    due = next_due(pace(busy_until=NOW - MINUTE), Rhythm(), ignoring_rhythm=True)

    assert due.at > NOW
    assert due.why == "a delivery is under way"


def down(backlog=10):
    """Down from ten hours ago until ten minutes ago."""
    return Downtime(since=NOW - 10 * HOUR, until=NOW - 10 * MINUTE, backlog=backlog)


def test_one_post_is_made_at_once_after_a_downtime_by_default():
    assert next_due(pace(10 * HOUR, downtime=down()), Rhythm(min_interval=HOUR)).is_now


def test_skip_begins_the_interval_anew_when_we_are_back():
    due = next_due(pace(10 * HOUR, downtime=down()), Rhythm(min_interval=HOUR, missed="skip"))

    assert due.at == NOW + 50 * MINUTE
    assert "end of a downtime" in due.why


def test_skip_does_not_postpone_what_was_not_missed():
    rules = Rhythm(min_interval=24 * HOUR, missed="skip")

    assert next_due(pace(10 * HOUR, downtime=down()), rules).at == NOW + 14 * HOUR


def test_spread_posts_at_half_the_interval_while_it_has_something_to_make_up():
    rules = Rhythm(min_interval=HOUR, missed="spread")

    due = next_due(pace(5 * MINUTE, 10 * HOUR, downtime=down()), rules)

    assert due.at == NOW + 25 * MINUTE
    assert "to catch up" in due.why


def test_spread_is_over_when_the_backlog_is_made_up():
    rules = Rhythm(min_interval=HOUR, missed="spread")

    due = next_due(pace(5 * MINUTE, 10 * HOUR, downtime=down(backlog=1)), rules)

    assert due.at == NOW + 55 * MINUTE


@pytest.mark.parametrize(("made_up", "owed"), [(5, True), (6, False)])
def test_spread_makes_up_twice_as_many_rounds_as_were_missed(made_up, owed):
    """At half the interval every second post is the round's own."""
    rules = Rhythm(min_interval=HOUR, missed="spread")
    downtime = Downtime(since=NOW - 8 * HOUR, until=NOW - 5 * HOUR, backlog=99)
    posted = [NOW - 5 * MINUTE - number * HOUR / 2 for number in range(made_up)]

    due = next_due(Pace(now=NOW, waiting=9, recent=posted, downtime=downtime), rules)

    assert due.at == NOW + (25 if owed else 55) * MINUTE


def test_a_burst_of_timers_finds_one_post_due():
    rules = Rhythm(min_interval=HOUR)
    posted = []
    for _ in range(20):
        if next_due(Pace(now=NOW, waiting=20, recent=posted), rules).is_now:
            posted.insert(0, NOW)

    assert len(posted) == 1


def test_every_day_of_a_year_gets_its_one_post_through_both_changes():
    """One post a day at 02:30 in Berlin: 365 posts, each on a date of its own."""
    rules = Rhythm(
        min_interval=HOUR,
        posts_per_day=1,
        hours=Hours(zone="Europe/Berlin", start=time(2, 15), end=time(2, 45)),
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    posted = []
    while len(posted) < 365:
        due = next_due(Pace(now=now, waiting=1, recent=posted[:3]), rules)
        now = due.at
        posted.insert(0, now)

    zone = rules.hours.zone
    from zoneinfo import ZoneInfo

    dates = [one.astimezone(ZoneInfo(zone)).date() for one in posted]
    assert len(set(dates)) == 365
    assert max(dates) - min(dates) == timedelta(days=364)
