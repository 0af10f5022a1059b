"""The jitter of our timers, measured: seconds in place of hours, twenty timers side by side."""

from datetime import timedelta
from itertools import pairwise

import pytest

from botticelli.schedule.units import Plan, UnitScope, systemd_units
from tests.systemd.conftest import boot

pytestmark = pytest.mark.slow

TIMERS = 20
SECONDS = 30
INTERVAL = 4
JITTER = 50
TICK = """\
#!/bin/sh
date +%s.%N >> "/var/lib/botticelli/$1"
"""


@pytest.fixture
def ticks(lab):
    """When each of twenty timers of 4 s +-50 % woke its service, over half a minute."""
    plans = [
        Plan(
            stage=f"t{number}",
            does="write down when it was woken",
            interval=timedelta(seconds=INTERVAL),
            jitter_percent=JITTER,
            first=timedelta(seconds=1),
            longest=timedelta(minutes=1),
        )
        for number in range(TIMERS)
    ]
    lab.put("/usr/local/bin/tick", TICK, mode=0o755)
    for name, text in systemd_units(plans, place=UnitScope(program="/usr/local/bin/tick")).items():
        if "postgres" not in name:
            lab.put(f"/etc/systemd/system/{name}", text)
    boot(lab)
    lab.run("systemctl enable --now botticelli.target")
    lab.run(f"sleep {SECONDS}")
    lines = lab.run("cd /var/lib/botticelli && grep -H . t*").out.splitlines()
    found = {}
    for line in lines:
        name, _, instant = line.partition(":")
        found.setdefault(name, []).append(float(instant))
    return found


def test_rounds_are_evenly_spread_within_the_jitter_and_drawn_anew(ticks):
    gaps = [later - one for times in ticks.values() for one, later in pairwise(times)]
    least, most = INTERVAL * (1 - JITTER / 100), INTERVAL * (1 + JITTER / 100)

    assert len(ticks) == TIMERS, "every timer fires"
    assert len(gaps) >= 50
    assert min(gaps) >= least - 0.1
    assert max(gaps) <= most + 1.5, "AccuracySec=1s, and a start takes a moment"
    assert abs(sum(gaps) / len(gaps) - INTERVAL) < 1
    quarters = [least + (most - least) * part / 4 for part in range(5)]
    for low, high in pairwise(quarters):
        share = sum(low <= gap < high for gap in gaps) / len(gaps)
        assert 0.08 < share < 0.45, f"{share:.0%} between {low} and {high} s"
