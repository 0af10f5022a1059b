"""The ledger keeps every sliding window and every day, whatever happens; time is handed in."""

import heapq
import itertools
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import pytest

from botticelli.store import ledger
from botticelli.store.connection import connect
from botticelli.store.ledger import GUARD, Allowance, CallRequest, Lesson, Window
from tests.clock import at

KEY = "gemini/test"
PACIFIC = ZoneInfo("America/Los_Angeles")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOW = Window()
_tickets = itertools.count()


def asked(*, estimate=100, key=KEY, waiter=None, cost=0):
    waiter = waiter or f"w{next(_tickets)}"
    return CallRequest(
        key=key, waiter=waiter, owner="o", estimate=estimate, cost=Decimal(str(cost))
    )


def book(db, *, now, call=None, **allowance):
    call = call or asked()
    if now:
        at(db, now)
    return ledger.reserve(db, call, allowance=Allowance(**allowance), window=WINDOW)


def account(db, *, now, key=KEY):
    (found,) = ledger.accounts(at(db, now), key=key, window=WINDOW)
    return found


class Traffic:
    """Callers that arrive at random, wait as they are told, and send within the guard."""

    def __init__(self, db, *, seed, ratio, allowance):
        self.db = db
        self.chance = Random(seed)
        self.ratio = ratio
        self.allowance = allowance
        self.arrivals = []  # (when, real tokens)
        self.events = []
        self._order = itertools.count()

    def at(self, moment, action, *arguments):
        heapq.heappush(self.events, (moment, next(self._order), action, arguments))

    def run(self):
        while self.events:
            moment, _, action, arguments = heapq.heappop(self.events)
            action(moment, *arguments)

    def ask(self, now, call):
        booking = ledger.reserve(at(self.db, now), call, allowance=self.allowance, window=WINDOW)
        if booking.why in {"day", "size"}:
            return
        wait = timedelta(seconds=booking.wait_seconds)
        if booking.seq is None:
            late = timedelta(seconds=self.chance.uniform(0, 0.3))
            self.at(now + wait + late, self.ask, call)
            return
        real = int(call.estimate * self.ratio * self.chance.uniform(0.9, 1.0))
        self.arrivals.append((now + wait + self.chance.random() * GUARD, real))
        answered = now + wait + timedelta(seconds=self.chance.uniform(0.6, 9))
        if self.chance.random() < 0.9:  # the others die with their reservation
            self.at(answered, self.settle, call, booking.seq, real)

    def settle(self, now, call, seq, real):
        ledger.settle(at(self.db, now), call, seq=seq, tokens=real)


def most_in_a_minute(arrivals):
    """Return the greatest number and weight of arrivals within any half-open minute."""
    arrivals = sorted(arrivals)
    windows = [
        [weight for other, weight in arrivals if when <= other < when + 60 * SECOND]
        for when, _ in arrivals
    ]
    return max(map(len, windows)), max(map(sum, windows))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_no_sliding_minute_holds_more_than_is_allowed(db, seed):
    chance = Random(seed)
    allowance = Allowance(rpm=chance.randint(3, 30), tpm=chance.randint(800, 6000))
    traffic = Traffic(db, seed=seed, ratio=chance.choice([0.5, 1.0, 2.0]), allowance=allowance)
    for _ in range(120):
        when = NOON + timedelta(seconds=chance.uniform(0, 90))
        traffic.at(when, traffic.ask, asked(estimate=chance.randint(20, 300)))

    traffic.run()

    requests, tokens = most_in_a_minute(traffic.arrivals)
    assert len(traffic.arrivals) == 120
    assert requests <= allowance.rpm
    assert tokens <= allowance.tpm
    kept, counted = db.execute(
        "SELECT (a.tail_requests, a.tail_tokens), (count(g), coalesce(sum(g.tokens), 0)::bigint)"
        "  FROM ledger AS a LEFT JOIN ledger_grants AS g"
        "    ON g.key = a.key AND g.start_at > a.tail_at"
        " GROUP BY a.key"
    ).fetchone()
    assert kept == counted, "what is booked is added up on the way, and right"


def test_waiting_work_gets_nearly_all_that_is_allowed(db):
    traffic = Traffic(db, seed=1, ratio=1.0, allowance=Allowance(rpm=20))
    for _ in range(200):
        traffic.at(NOON, traffic.ask, asked())

    traffic.run()

    times = sorted(when for when, _ in traffic.arrivals)
    minutes = (times[-1] - times[0]) / timedelta(minutes=1)
    assert (len(times) - 20) / minutes >= 0.97 * 20


def test_who_comes_first_goes_first(db):
    for _ in range(2):
        assert book(db, now=NOON, rpm=2).seq
    first, second = asked(waiter="first"), asked(waiter="second")
    waits = [book(db, now=NOON + n * SECOND, call=c, rpm=2) for n, c in ((1, first), (2, second))]
    assert [wait.why for wait in waits] == ["requests", "requests"]

    later = NOON + timedelta(seconds=61.1)
    newcomers = [book(db, now=later, rpm=2) for _ in range(2)]
    served = [book(db, now=later, call=call, rpm=2) for call in (second, first)]

    assert [one.seq for one in newcomers] == [None, None]
    assert all(one.seq for one in served)


def test_a_large_call_is_not_starved_by_a_stream_of_small_ones(db):
    """Whoever comes later may only take what the one before has no use for."""
    traffic = Traffic(db, seed=3, ratio=1.0, allowance=Allowance(tpm=1000))
    ledger.reserve(
        at(db, NOON - 5 * SECOND), asked(estimate=10), allowance=Allowance(tpm=1000), window=WINDOW
    )
    ledger.settle(at(db, NOON - 5 * SECOND), asked(estimate=10), seq=1, tokens=10)
    for n in range(60):  # more than the minute holds, for two minutes
        traffic.at(NOON + 2 * n * SECOND, traffic.ask, asked(estimate=80))
    large = asked(estimate=700, waiter="large")
    traffic.at(NOON + 31 * SECOND, traffic.ask, large)

    traffic.run()

    (sent,) = [when for when, tokens in traffic.arrivals if tokens > 100]
    assert sent - NOON < timedelta(seconds=31 + 61 + 61), "it waited for two windows at most"
    assert most_in_a_minute(traffic.arrivals)[1] <= 1000


def test_a_waiter_that_died_holds_nobody_up(db):
    book(db, now=NOON, rpm=1)
    dead = book(db, now=NOON + SECOND, call=asked(waiter="dead"), rpm=1)
    after = NOON + SECOND + timedelta(seconds=dead.wait_seconds + 6)

    assert book(db, now=after, rpm=1).seq


def test_who_waits_learns_the_very_moment(db):
    book(db, now=NOON, rpm=1)
    call = asked()
    told = book(db, now=NOON + 10 * SECOND, call=call, rpm=1)

    early = NOON + timedelta(seconds=10 + told.wait_seconds - 0.01)
    assert book(db, now=early, call=call, rpm=1).seq is None
    booked = book(db, now=early + timedelta(seconds=0.02), call=call, rpm=1)
    start = early + timedelta(seconds=0.02 + booked.wait_seconds)

    assert abs(start - (NOON + WINDOW.length)) < timedelta(milliseconds=1)


def test_a_start_is_booked_ahead_up_to_the_horizon_and_no_further(db):
    book(db, now=NOON, rpm=1)
    at_horizon, call = NOON + WINDOW.length - WINDOW.horizon, asked()

    early = book(db, now=at_horizon - timedelta(microseconds=1), call=call, rpm=1)
    booked = book(db, now=at_horizon, call=call, rpm=1)

    assert early.seq is None
    assert (booked.why, booked.wait_seconds) == ("granted", WINDOW.horizon.total_seconds())


def test_an_unknown_account_reserves_double_and_then_what_it_has_seen(db):
    call = asked(estimate=100)
    first = book(db, now=NOON, call=call, tpm=10_000)
    for _ in range(80):
        booking = book(db, now=NOON, call=call, tpm=10**6)
        ledger.settle(at(db, NOON), call, seq=booking.seq, tokens=80)
    settled = book(db, now=NOON, call=call, tpm=10**6)
    ledger.settle(at(db, NOON), call, seq=settled.seq, tokens=150)

    assert first.tokens == 210
    assert 84 <= settled.tokens <= 90
    assert book(db, now=NOON, call=call, tpm=10**6).tokens >= 157, "a rise counts at once"


def test_a_call_beyond_the_allowance_is_refused_not_kept_waiting(db):
    assert book(db, now=NOON, call=asked(estimate=1001), tpm=1000).why == "size"


def test_a_lone_large_call_gets_the_whole_minute(db):
    """Twice the estimate would never fit; the estimate itself does."""
    assert book(db, now=NOON, call=asked(estimate=900), tpm=1000).tokens == 1000


def test_threads_on_one_account_get_no_more_than_there_is(db_url):
    granted = []

    def work():
        with connect(db_url) as conn:
            for _ in range(10):
                booking = book(conn, now=None, rpm=30)
                granted.append(booking.seq)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(granted) == 80
    assert sum(seq is not None for seq in granted) == 30


def test_the_day_ends_at_pacific_midnight(db):
    late = datetime(2026, 11, 24, 23, 0, tzinfo=PACIFIC)
    assert all(book(db, now=late, rpd=2).seq for _ in range(2))

    refused = book(db, now=late, rpd=2)

    assert (refused.why, refused.wait_seconds) == ("day", 3600)
    assert book(db, now=late + timedelta(hours=1), rpd=2).seq


@pytest.mark.parametrize(
    ("year", "month", "day", "hours"), [(2026, 11, 1, 25), (2027, 3, 14, 23), (2026, 11, 24, 24)]
)
def test_days_of_23_and_25_hours_are_kept(db, year, month, day, hours):
    midnight = datetime(year, month, day, tzinfo=PACIFIC).astimezone(UTC)
    book(db, now=midnight + SECOND, rpd=1)

    last = midnight + timedelta(hours=hours) - SECOND
    assert book(db, now=last, rpd=1).why == "day"
    assert book(db, now=last + 2 * SECOND, rpd=1).seq


def test_a_request_sent_at_midnight_counts_in_both_days(db):
    midnight = datetime(2026, 11, 25, tzinfo=PACIFIC)
    call = asked()
    booking = book(db, now=midnight - timedelta(seconds=0.2), call=call, rpd=1)
    ledger.settle(at(db, midnight), call, seq=booking.seq, tokens=70)

    assert account(db, now=midnight + SECOND).day_requests == 1
    assert account(db, now=midnight + SECOND).day_tokens == 70
    assert book(db, now=midnight + SECOND, rpd=1).why == "day"


def test_tokens_of_the_day_are_settled_to_what_was_used(db):
    call = asked(estimate=100)
    booking = book(db, now=NOON, call=call, tpd=1000)
    ledger.settle(at(db, NOON), call, seq=booking.seq, tokens=40)
    ledger.settle(at(db, NOON), call, seq=booking.seq, tokens=4000)

    assert account(db, now=NOON).day_tokens == 40, "a second settlement changes nothing"


def test_what_was_certainly_not_sent_is_given_back(db):
    call = asked()
    booking = book(db, now=NOON, call=call, rpm=1, rpd=1)

    ledger.release(db, call, seq=booking.seq)

    assert account(db, now=NOON).day_requests == 0
    assert book(db, now=NOON, rpm=1, rpd=1).seq


def test_what_a_dead_process_reserved_stays_charged_until_it_ages_out(db):
    book(db, now=NOON, rpm=1)

    assert book(db, now=NOON + 59 * SECOND, rpm=1).seq is None
    assert account(db, now=NOON + 59 * SECOND).reserved_requests == 1
    assert account(db, now=NOON + 61 * SECOND).reserved_requests == 0


def test_a_minute_429_holds_every_caller_until_the_server_says(db):
    book(db, now=NOON, rpm=100)
    ledger.learn(at(db, NOON), KEY, lesson=Lesson(scope="minute", wait=20 * SECOND))

    held = book(db, now=NOON + SECOND, rpm=100)

    assert (held.seq, held.why) == (None, "blocked")
    assert held.wait_seconds == pytest.approx(18, abs=0.01)
    assert book(db, now=NOON + 20 * SECOND, rpm=100).seq


def test_a_daily_429_closes_the_day_whatever_its_short_delay_says(db):
    book(db, now=NOON)
    ledger.learn(at(db, NOON), KEY, lesson=Lesson(scope="day", wait=32 * SECOND))
    ledger.learn(at(db, NOON), KEY, lesson=Lesson(scope="minute", wait=SECOND))

    held = book(db, now=NOON + timedelta(minutes=5))
    midnight = datetime(2026, 11, 25, tzinfo=PACIFIC)

    assert held.why == "day"
    assert book(db, now=midnight).seq


def test_a_daily_429_that_names_hours_is_believed(db):
    book(db, now=NOON)
    ledger.learn(at(db, NOON), KEY, lesson=Lesson(scope="day", wait=timedelta(hours=2)))

    assert book(db, now=NOON + timedelta(hours=1)).why == "day"
    assert book(db, now=NOON + timedelta(hours=2)).seq


def test_a_limit_that_a_429_named_is_kept_times_the_share(db):
    book(db, now=NOON)
    lesson = Lesson(scope="minute", wait=0 * SECOND, rate="rpd", limit=10)
    ledger.learn(at(db, NOON), KEY, lesson=lesson)
    terms = {"rpd": 500, "shares": (1.0, 1.0, 0.5, 1.0)}

    granted = [book(db, now=NOON + SECOND, **terms).seq for _ in range(6)]

    assert sum(seq is not None for seq in granted) == 4, "one of the five was used before"
    assert book(db, now=NOON + timedelta(days=7, hours=1), **terms).seq
    assert account(db, now=NOON + timedelta(days=7, hours=1)).rpd == 500, "lessons grow old"


def test_the_spend_limit_holds_over_all_models_of_a_provider(db):
    terms = {"spend": Decimal("1.00")}
    for n in range(2):
        call = asked(key=f"gemini/m{n}", cost=0.4)
        assert book(db, now=NOON, call=call, **terms).seq

    held = book(db, now=NOON, call=asked(key="gemini/m3", cost=0.4), **terms)
    other = book(db, now=NOON, call=asked(key="openai/m", cost=0.4), **terms)

    assert (held.seq, held.why) == (None, "spend")
    assert held.wait_seconds == pytest.approx(600 + 1 - 1, abs=0.1)
    assert other.seq


def test_the_spend_limit_can_be_used_up_to_the_last_cent(db):
    terms = {"spend": Decimal("1.00")}
    first = book(db, now=NOON, call=asked(key="gemini/m", cost=0.6), **terms)
    last = book(db, now=NOON, call=asked(key="gemini/m", cost=0.4), **terms)

    assert first.seq
    assert last.seq
    assert book(db, now=NOON, call=asked(key="gemini/m", cost=0.01), **terms).why == "spend"


def test_who_is_told_that_the_day_is_over_leaves_the_places_of_others(db):
    book(db, now=NOON, rpm=1)
    waiting = [asked(waiter="one"), asked(waiter="two")]
    for call in waiting:
        book(db, now=NOON, call=call, rpm=1)
    ledger.learn(at(db, NOON), KEY, lesson=Lesson(scope="day", wait=32 * SECOND))

    assert book(db, now=NOON, call=waiting[0], rpm=1).why == "day"
    assert account(db, now=NOON).waiting == 1


def test_a_request_served_by_another_model_is_charged_there_too(db):
    call = asked()
    book(db, now=NOON, call=call)

    ledger.charge(at(db, NOON), call, key="gemini/served", tokens=55, zone="America/Los_Angeles")

    served = account(db, now=NOON, key="gemini/served")
    assert (served.minute_requests, served.minute_tokens, served.day_requests) == (1, 55, 1)


def test_old_grants_are_removed_in_batches(db):
    for _ in range(5):
        book(db, now=NOON)
    book(db, now=NOON + timedelta(days=3))

    removed = [ledger.prune(at(db, NOON + timedelta(days=3)), batch=3) for _ in range(3)]

    assert removed == [3, 2, 0]
