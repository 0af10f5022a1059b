"""crontab fields: read as cron reads them, and said again in systemd's words."""

import re
import shutil
import subprocess
from datetime import timedelta

import pytest

from botticelli.cron import longest_gap, on_calendar, parse


@pytest.mark.parametrize(
    ("text", "calendars"),
    [
        ("*/15 * * * *", ["*-*-* *:00,15,30,45:00 UTC"]),
        ("0 9-17/4 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 09,13,17:00:00 UTC"]),
        ("5 4 1,15 * *", ["*-*-01,15 04:05:00 UTC"]),
        ("0 0 1 jan *", ["*-01-01 00:00:00 UTC"]),
        ("0 0 * * 7", ["Sun *-*-* 00:00:00 UTC"]),
        ("0 0 13 * 5", ["*-*-13 00:00:00 UTC", "Fri *-*-* 00:00:00 UTC"]),
        ("@daily", ["*-*-* 00:00:00 UTC"]),
    ],
)
def test_a_line_means_the_same_to_systemd(text, calendars):
    assert list(on_calendar(parse(text), time_zone="UTC")) == calendars


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("text", ["*/7 1-3,22 */2 feb-apr 1-5", "0 0 13 * fri"])
def test_systemd_understands_it(text):
    for calendar in on_calendar(parse(text), time_zone="Europe/Berlin"):
        subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "'60' is not a valid minute (0-59)"),
        ("0 0 0 * *", "'0' is not a valid day of the month (1-31)"),
        ("0 0 * 13 *", "'13' is not a valid month"),
        ("0 0 * * fry", "'fry' is not a valid day of the week"),
        ("5-1 * * * *", "ends before it starts"),
        ("*/0 * * * *", "not a valid step"),
        ("*/x * * * *", "not a valid step"),
    ],
)
def test_what_cron_would_not_read_is_refused(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("*/15 * * * *", timedelta(minutes=15)),
        ("0 9,17 * * *", timedelta(hours=16)),
        ("0 9 * * mon-fri", timedelta(days=3)),
        ("0 0 1 * *", timedelta(days=31)),
    ],
)
def test_the_longest_pause_is_known(text, gap):
    assert longest_gap(parse(text)) == gap
