"""The forecast is what `post` then does: days of wakings, pins, slots, quiet dates, DST. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.cron import parse_slot
from botticelli.schedule.due import Pace, Rhythm, next_due
from botticelli.schedule.forecast import Waiting, forecast
from botticelli.schedule.hours import Hours

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def at(day, clock, zone=BERLIN):
    return datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), zone).astimezone(
        UTC
    )


def grid(step):
    """Wake at every `step` of the clock."""
    seconds = int(step.total_seconds())
    return lambda instant: datetime.fromtimestamp(-(-instant.timestamp() // seconds) * seconds, UTC)


def posted(now, waiting, rules, *, until, step):
    """What `post` does when it is woken at every `step`: rules asked, one post sent."""
    left, recent, done = list(waiting), [], []
    while now <= until:
        left = [one for one in left if one.expires_at is None or one.expires_at > now]
        pins = sorted((one for one in left if one.pinned_to), key=lambda one: one.pinned_to)
        others = [one for one in left if not one.pinned_to and one.is_open(now)]
        pace = Pace(
            now=now,
            waiting=len(others),
            recent=tuple(recent),
            pins=tuple(one.pinned_to for one in pins),
            is_anyway=bool(pins) and pins[0].is_anyway,
        )
        due = next_due(pace, rules)
        queue = pins if due.is_pin else others
        if due.is_now and queue:
            done.append((now, queue[0].id))
            left.remove(queue[0])
            recent.insert(0, now)
            now += timedelta(seconds=1)
        now = grid(step)(
            now if recent and recent[0] == now - timedelta(seconds=1) else now + step / 2
        )
    return done


def both(waiting, rules, *, now=NOW, days=60, step=15 * timedelta(minutes=1)):
    until = now + days * DAY
    seen = forecast(Pace(now=now), waiting, rules, until=until, wake=grid(step))
    return (
        [(instant, one.id) for instant, one in seen if instant <= until],
        posted(grid(step)(now), waiting, rules, until=until, step=step),
    )


RULES = Rhythm(
    hours=Hours(zone="Europe/Berlin", start=time(9), end=time(21), quiet=("12-25", "01-01")),
    min_interval=3 * HOUR,
    posts_per_day=2,
)
PINS = [
    Waiting(id=900, pinned_to=at("2026-12-24", "09:00")),
    Waiting(id=901, pinned_to=at("2026-12-31", "23:00"), is_anyway=True),
    Waiting(id=902, pinned_to=at("2026-12-06", "10:30"), expires_at=at("2026-12-06", "12:00")),
]


@pytest.mark.slow
@pytest.mark.parametrize("began", [NOW, at("2027-03-01", "12:00"), at("2026-10-01", "12:00")])
def test_over_sixty_days_what_is_forecast_is_what_is_posted(began):
    waiting = [*(Waiting(id=n, not_before=began + n * 6 * HOUR) for n in range(150)), *PINS]

    seen, done = both(waiting, RULES, now=began)

    assert len(done) > 90
    assert seen == done


def test_pins_go_out_to_the_minute_and_nothing_comes_close_before():
    seen, _ = both([*(Waiting(id=n) for n in range(200)), *PINS], RULES)
    times = {id_: instant for instant, id_ in seen}

    for pin in PINS:
        assert times[pin.id] == pin.pinned_to
        before = [instant for instant in times.values() if instant < pin.pinned_to]
        assert pin.pinned_to - max(before) >= 3 * HOUR - timedelta(minutes=2)
    days = [instant.astimezone(BERLIN).date() for instant in times.values()]
    assert max(days.count(day) for day in days) == 2
    assert not {date(2026, 12, 25), date(2027, 1, 1)} & set(days)


def test_an_exact_pin_waits_for_no_interval_and_a_polite_one_does():
    pin = Waiting(id=2, pinned_to=NOW + HOUR)
    fresh = Pace(now=NOW + HOUR, recent=(NOW + HOUR / 2,), pins=(pin.pinned_to,))

    polite = next_due(fresh, Rhythm(min_interval=3 * HOUR))
    exact = next_due(fresh, Rhythm(min_interval=3 * HOUR, pins="exact"))

    assert (polite.is_now, polite.is_pin) == (False, True)
    assert (exact.is_now, exact.is_pin) == (True, True)


def test_no_pin_goes_out_on_a_quiet_date_without_a_second_yes():
    christmas = at("2026-12-25", "10:00")
    shy = Pace(now=christmas, pins=(christmas,))
    bold = Pace(now=christmas, pins=(christmas,), is_anyway=True)

    for pins in ("polite", "exact"):
        rules = Rhythm(hours=RULES.hours, pins=pins)
        assert next_due(shy, rules).at == at("2026-12-26", "09:00")
        assert next_due(bold, rules).is_now


def test_what_expires_before_its_turn_never_goes_out():
    waiting = [Waiting(id=n) for n in range(5)]
    waiting.append(Waiting(id=5, expires_at=NOW + HOUR))

    seen, done = both(waiting, RULES, days=9)

    assert seen == done
    assert {id_ for _, id_ in seen} == {0, 1, 2, 3, 4}


SLOTS = Rhythm(
    hours=Hours(zone="Europe/Berlin"),
    slots=(parse_slot("mon-fri 09:00"), parse_slot("sat 11:00"), parse_slot("mon 17:30")),
)


def test_slots_are_kept_over_both_changes_of_the_clocks():
    for began in (at("2026-10-19", "00:00"), at("2027-03-22", "00:00")):
        seen, done = both([Waiting(id=n) for n in range(20)], SLOTS, now=began, days=14)
        local = [f"{instant.astimezone(BERLIN):%a %H:%M}" for instant, _ in seen]

        assert seen == done
        week = ["Mon 09:00", "Mon 17:30", *(f"{day} 09:00" for day in ("Tue", "Wed", "Thu", "Fri"))]
        assert local == [*week, "Sat 11:00"] * 2


def test_a_missed_slot_is_made_up_for_or_skipped_as_told():
    late = Pace(now=at("2026-12-01", "11:30"), recent=(at("2026-11-30", "17:30"),))

    assert next_due(late, SLOTS).is_now
    skips = Rhythm(hours=SLOTS.hours, slots=SLOTS.slots, missed="skip")
    assert next_due(late, skips).at == at("2026-12-02", "09:00")


minutes = st.integers(0, 20 * 24 * 60).map(lambda n: NOW + timedelta(minutes=n))
waitings = st.lists(
    st.builds(
        Waiting,
        id=st.integers(0, 10**6),
        pinned_to=st.none() | minutes,
        is_anyway=st.booleans(),
        not_before=st.none() | minutes,
        expires_at=st.none() | minutes,
    ).map(lambda one: one if one.pinned_to is None else Waiting(
        id=one.id, pinned_to=one.pinned_to, is_anyway=one.is_anyway)),
    max_size=12,
    unique_by=lambda one: one.id,
)  # fmt: skip
rhythms = st.builds(
    Rhythm,
    hours=st.sampled_from([Hours(), RULES.hours]),
    min_interval=st.sampled_from([timedelta(), HOUR, 5 * HOUR]),
    posts_per_day=st.sampled_from([None, 1, 3]),
    pins=st.sampled_from(["polite", "exact"]),
    slots=st.sampled_from([(), SLOTS.slots]),
)


@settings(max_examples=12, deadline=None)
@given(waiting=waitings, rules=rhythms)
def test_whatever_waits_is_posted_as_forecast(waiting, rules):
    seen, done = both(waiting, rules, days=25, step=HOUR)

    assert seen == done
