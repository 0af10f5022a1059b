"""How long calls take as the budget allows, and how many the day still has."""

from datetime import timedelta

import pytest

from botticelli.budget import limits
from botticelli.store.ledger import Account, Allowance, Window
from tests.clock import NOON

NOTHING = {
    "key": "gemini/m",
    **dict.fromkeys(("rpm", "tpm", "rpd", "tpd", "window_frees_at"), None),
    **dict.fromkeys(("minute_requests", "minute_tokens", "day_requests", "day_tokens"), 0),
    **dict.fromkeys(("reserved_requests", "reserved_tokens", "waiting"), 0),
    "day_ends_at": NOON + timedelta(hours=20),
    "blocked_until": None,
    "blocked_why": None,
}


def account(**facts):
    return Account(**{**NOTHING, **facts})


def after(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("facts", "allowed", "wait"),
    [
        ({}, {}, 0),
        ({}, {"rpm": 30}, 0),
        ({}, {"rpm": 10}, 122),
        ({"minute_requests": 10, "window_frees_at": after(56)}, {"rpm": 10}, 183),
        ({"minute_requests": 10, "window_frees_at": after(1)}, {"rpm": 10}, 3 * 61),
        ({"minute_requests": 10, "window_frees_at": after(56)}, {"rpm": 40}, 0),
        ({"minute_requests": 10, "window_frees_at": after(56)}, {"rpm": 39}, 56),
        ({}, {"tpm": 1000}, 122),
        ({"blocked_until": after(600), "blocked_why": "minute"}, {"rpm": 10}, 600),
        ({"blocked_until": after(600), "blocked_why": "day"}, {"rpm": 30}, 0),
    ],
)
def test_thirty_calls_of_a_hundred_tokens_take_as_long_as_the_minute_allows(facts, allowed, wait):
    seconds = limits.seconds_for(
        account(**facts), Allowance(**allowed), calls=30, tokens=3000, window=Window(), now=NOON
    )

    assert seconds == pytest.approx(wait)


def test_an_account_that_was_never_used_has_its_whole_allowance():
    wait = limits.seconds_for(
        None, Allowance(rpm=10), calls=11, tokens=0, window=Window(), now=NOON
    )

    assert wait == pytest.approx(61)
    assert limits.calls_left_today(None, Allowance(rpd=7)) == 7
    assert limits.calls_left_today(None, Allowance()) is None


@pytest.mark.parametrize(
    ("facts", "allowed", "left"),
    [
        ({"day_requests": 5}, {}, None),
        ({"day_requests": 5}, {"rpd": 20}, 15),
        ({"day_requests": 25}, {"rpd": 20}, 0),
        ({"day_requests": 5, "day_tokens": 500}, {"rpd": 20, "tpd": 1000}, 5),
        ({"day_requests": 5, "day_tokens": 500}, {"tpd": 10_000}, 95),
        ({"blocked_until": after(9), "blocked_why": "day"}, {}, 0),
    ],
)
def test_the_day_s_room_is_told_in_calls(facts, allowed, left):
    assert limits.calls_left_today(account(**facts), Allowance(**allowed)) == left
