"""The wait between attempts."""

import random

import pytest

from botticelli.backoff import Backoff


def test_each_wait_is_twice_the_one_before_up_to_the_cap():
    backoff = Backoff(base=1.5, cap=10)
    assert [backoff.after(n) for n in (1, 2, 3, 4, 5)] == [1.5, 3, 6, 10, 10]
    assert backoff.after(100_000) == 10


def test_the_servers_word_makes_a_wait_longer_never_shorter():
    backoff = Backoff(base=2, cap=30)
    assert backoff.after(1, asked=None) == 2
    assert backoff.after(1, asked=0.5) == 2
    assert backoff.after(1, asked=90) == 90


@pytest.mark.parametrize("failures", [1, 4, 9])
def test_jitter_takes_off_a_share_at_most(failures):
    chance, whole = random.Random(7), Backoff(base=2, cap=30).after(failures)
    waits = [Backoff(base=2, cap=30, jitter=0.5).after(failures, chance=chance) for _ in range(500)]
    assert whole / 2 <= min(waits) < whole * 0.55
    assert whole * 0.95 < max(waits) <= whole
