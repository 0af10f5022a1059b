"""A schedule's times in the zone of a machine whose cron knows no other, or why that fails."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from botticelli.cron import falls_on, parse, times
from botticelli.schedule.crontab import translate

DAY = timedelta(days=1)
FIRST = date(2026, 11, 30)


def rounds(lines, zone, first, days):
    """Every instant of the lines' times in that zone, by hand."""
    found = set()
    for line in lines:
        cron = parse(line)
        for number in range(days):
            day = first + number * DAY
            if falls_on(cron, day):
                for at in times(cron):
                    found.add(datetime.combine(day, at, tzinfo=ZoneInfo(zone)).astimezone(UTC))
    return found


EXACT = [
    ("0 9 * * *", "Asia/Tokyo", "UTC", ["0 0 * * *"]),
    ("0 9 * * *", "UTC", "Etc/UTC", ["0 9 * * *"]),
    ("30 2 * * *", "Europe/Berlin", "Europe/Paris", ["30 2 * * *"]),
    ("30 2 * * *", "Europe/Berlin", "Europe/Lisbon", ["30 1 * * *"]),
    ("0 9 * * *", "America/New_York", "America/Chicago", ["0 8 * * *"]),
    ("0 1 * * mon-fri", "Asia/Tokyo", "UTC", ["0 16 * * 0,1,2,3,4"]),
    ("0 0 * * 0", "Europe/Berlin", "Europe/Lisbon", ["0 23 * * 6"]),
    ("0 23 * * sat", "America/Phoenix", "UTC", ["0 6 * * 0"]),
    ("0 9-21/4 * * mon", "Asia/Tokyo", "America/Phoenix", ["0 17,21 * * 0", "0 1,5 * * 1"]),
    ("15 */6 * * *", "Asia/Kolkata", "UTC", ["45 0,6,12,18 * * *"]),
    ("0 12 1 * *", "Asia/Tokyo", "UTC", ["0 3 1 * *"]),
    ("0 12 13 jan fri", "Asia/Tokyo", "UTC", ["0 3 13 jan 5"]),
    ("@daily", "Asia/Tokyo", "UTC", ["0 15 * * *"]),
    ("@weekly", "Asia/Tokyo", "UTC", ["0 15 * * 6"]),
    ("* * * * *", "Europe/Berlin", "Asia/Kolkata", ["* * * * *"]),
    ("*/30 * * * *", "Europe/Berlin", "UTC", ["0,30 * * * *"]),
]


@pytest.mark.parametrize(("line", "zone", "machine", "lines"), EXACT)
def test_a_line_is_said_in_the_machines_zone(line, zone, machine, lines):
    assert list(translate(line, zone=zone, machine=machine, on=FIRST)) == lines


@pytest.mark.parametrize(
    ("line", "zone", "machine", "why"),
    [
        ("0 9 * * *", "Europe/Berlin", "UTC", "09:00 of 2026-11-30 is 08:00 there, 09:00 of 2027-"),
        ("0 9 * * *", "UTC", "Europe/London", "set their clocks differently"),
        ("0 9 * * *", "Europe/Berlin", "America/New_York", "set their clocks differently"),
        ("0 9 * * *", "Africa/Casablanca", "Europe/Paris", "set their clocks differently"),
        ("30 3 * * *", "America/New_York", "America/Chicago", "03:30 of 2027-03-14 is 01:30"),
        ("0 9 * * *", "Australia/Lord_Howe", "Australia/Sydney", "set their clocks differently"),
        ("0 */2 * * *", "UTC", "Europe/Berlin", "set their clocks differently"),
        ("0 0 1 * *", "Asia/Tokyo", "UTC", "fall on another date"),
        ("0 0 * feb *", "Asia/Tokyo", "UTC", "fall on another date"),
        ("0 0 13 * 5", "Asia/Tokyo", "UTC", "fall on another date"),
    ],
)
def test_what_the_machines_zone_cannot_say_is_refused_with_the_reason(line, zone, machine, why):
    with pytest.raises(ValueError, match=why):
        translate(line, zone=zone, machine=machine, on=FIRST)


ZONES = [
    "UTC",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Europe/Berlin",
    "Europe/Lisbon",
    "America/Phoenix",
    "America/New_York",
    "America/Chicago",
    "Australia/Sydney",
    "Pacific/Kiritimati",
]


def test_the_rounds_of_two_years_are_the_same_instants():
    chance, translated = random.Random(7), 0
    for _ in range(60):
        line = f"{chance.choice(['0', '10,50', '*/20'])} {chance.choice(['9', '0-23/5', '22-23'])}"
        line += f" * * {chance.choice(['*', '1-5', '0', '2,6'])}"
        zone, machine = chance.sample(ZONES, 2)
        try:
            lines = translate(line, zone=zone, machine=machine, on=FIRST)
        except ValueError:
            continue
        translated += 1
        first = datetime.combine(FIRST, datetime.min.time(), UTC) + 2 * DAY
        spans = [
            {at for at in found if first < at < first + 720 * DAY}
            for found in (rounds([line], zone, FIRST, 730), rounds(lines, machine, FIRST, 730))
        ]
        assert spans[0] == spans[1], (line, zone, machine, lines)
    assert translated > 10


@pytest.mark.parametrize(
    ("machine", "version", "expected"),
    [
        ("Asia/Tokyo", "", "0 9 * * * "),
        ("UTC", "", "0 0 * * * "),
        ("Europe/Berlin", "crontab: invalid option -- 'V'", None),
        ("Europe/Berlin", "cronie 1.6.1", "CRON_TZ=Asia/Tokyo\n0 9 * * * "),
    ],
)
def test_a_crontab_is_rendered_for_the_cron_of_this_machine(
    botticelli, monkeypatch, machine, version, expected
):
    crontab = botticelli.cwd / "bin/crontab"
    crontab.parent.mkdir()
    crontab.write_text(f'#!/bin/sh\necho "{version}"\n')
    crontab.chmod(0o755)
    monkeypatch.setenv("PATH", f"{crontab.parent}:/usr/bin:/bin")
    botticelli.environ["TZ"] = machine
    (botticelli.cwd / "botticelli.toml").write_text(
        "[post.schedule]\ntype = 'Daily'\nat = ['09:00']\ntime_zone = 'Asia/Tokyo'\n"
    )

    ended = botticelli("timers render --cron")

    if expected is None:
        assert ended.code == 78
        assert "post.schedule: cron cannot keep these times: Asia/Tokyo and Europe/" in ended.err
        assert 'set time_zone = "Europe/Berlin"' in ended.err
    else:
        assert expected in ended.out
        assert f"# Times are those of {machine}, which is taken for the machine's" in ended.out
        if version:
            assert ended.out.endswith(f"\nCRON_TZ={machine}\n"), "what others put below is not ours"
