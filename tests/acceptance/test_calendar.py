"""`schedule`, `unschedule` and `calendar` as a user meets them, and what `post` then does."""

import json
import shlex
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import icalendar
import pytest

from botticelli.config.model import ActiveHours, Config, DatabaseConfig
from tests.clock import at as pinned
from tests.database import approved
from tests.posting import delivery_of, status_of, to_outbox

ZONE = "Europe/Berlin"
MINUTE = timedelta(minutes=1)
SEEN = "SELECT count(*), max(xmin::text::bigint) FROM deliveries"


class Spoken:
    """The command line, given whole lines with quotes as a shell reads them."""

    def __init__(self, botticelli, rules):
        self.botticelli, self.rules, self.cwd = botticelli, rules, botticelli.cwd

    def __call__(self, line):
        return self.botticelli(shlex.split(line))


@pytest.fixture
def command(botticelli, db, db_url, clock, tmp_path):
    """The command line with one outbox; its clock shows noon of 24 November 2026, UTC."""
    botticelli.clock = clock

    def rules(**more):
        place = to_outbox(tmp_path / "out", time_zone=ZONE, min_interval=timedelta(hours=1), **more)
        config = DatabaseConfig(url=db_url, folder=Path("unused"))
        botticelli.config = Config(database=config, destinations={"file": place})
        return Spoken(botticelli, rules)

    pinned(db, clock.now())
    return rules()


def posted(tmp_path):
    return [
        path.read_text().split("---\n")[-1].strip() for path in sorted((tmp_path / "out").glob("*"))
    ]


def until(clock, text):
    """Move the clock to a local time of the destination."""
    instant = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE))
    clock.advance(instant - clock.now())


def test_a_pinned_post_goes_first_and_not_before_its_time(db, command, clock, tmp_path):
    first, second = approved(db, "first"), approved(db, "second")

    ended = command(f'schedule p{second} "2026-11-24 13:50"')

    assert ended.code == 0
    assert f"post {second} goes to 'file' at Tue 2026-11-24 13:50 {ZONE}" in ended.out
    assert "for the minute" in ended.out
    command("post")
    assert delivery_of(db, first, "file")[0] == "pending"  # an hour before the pin is kept free
    until(clock, "2026-11-24 13:49")
    assert "kept free" in command("post").out
    until(clock, "2026-11-24 13:50")
    command("post")
    assert delivery_of(db, second, "file")[0] == "posted"
    assert delivery_of(db, first, "file")[0] == "pending"
    until(clock, "2026-11-24 14:50")
    command("post")
    assert status_of(db, first) == "posted"


def test_what_is_not_out_when_it_expires_is_held_with_the_reason(db, command, clock):
    post = approved(db, "Merry Christmas")
    command(f'schedule p{post} "2026-12-24 09:00" --expires "2026-12-24 20:00"')
    until(clock, "2026-12-27 09:00")

    assert "file" in command("post").out

    assert delivery_of(db, post, "file")[0] == "held"
    shown = command("deliveries held").out
    assert "it expired at 2026-12-24 19:00 UTC" in shown
    again = command(f'schedule p{post} "2026-12-27 10:00" --expires "2026-12-28 10:00"')
    assert again.code == 0
    until(clock, "2026-12-27 10:00")
    command("post")
    assert status_of(db, post) == "posted"


def test_times_of_a_post_may_come_in_by_sql(db, command, clock):
    later = approved(db, "later", not_before="2026-11-25 09:00+01")
    over = approved(db, "over", expires_at="2026-11-24 12:30+01")

    command("post")

    assert delivery_of(db, later, "file")[0] == "pending"
    assert delivery_of(db, over, "file")[0] == "held"
    until(clock, "2026-11-25 09:00")
    command("post")
    assert status_of(db, later) == "posted"


def test_unschedule_lets_it_go_out_in_its_rhythm(db, command):
    post = approved(db, "text")
    command(f'schedule p{post} "2026-12-24 09:00"')

    assert "in its rhythm again" in command(f"unschedule p{post}").err

    command("post")
    assert status_of(db, post) == "posted"
    wrong = command(f'schedule p{post} "2026-12-24 09:00"')
    assert (wrong.code, "waits for none of them any more (file: posted)" in wrong.err) == (2, True)


WRONG = {
    '"tomorrow"': "is no time",
    '"2026-02-30 09:00"': "is no time",
    '"25:00"': "is no time",
    '"xyz 09:00"': "is no time",
    '"2026-11-24 09:00"': "is over",
    '"2027-03-28 02:30"': "leave out 02:30",
    '"2026-12-25 10:00"': "quiet date",
    '"2026-12-24 23:00"': "outside its hours",
    '"2026-12-24 10:00" --expires "2026-12-24 09:00"': "would expire before",
    '"2026-12-24 10:00" --to nowhere': "there is no destination 'nowhere'",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_time_that_cannot_be_gets_one_line(db, command, words):
    from datetime import time

    hours = ActiveHours(start=time(9), end=time(21))
    command = command.rules(quiet_dates=("12-25",), active_hours=hours)
    post = approved(db, "text")

    ended = command(f"schedule p{post} {words}")

    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert WRONG[words] in ended.err
    assert delivery_of(db, post, "file") in (None, ("pending", 0, None))


GOOD = {
    "2026-12-24 09:00": "2026-12-24 09:00",
    "2026-12-24T09:00": "2026-12-24 09:00",
    "2026-12-24T09:00:00+00:00": "2026-12-24 10:00",
    "01-02 9:00": "2027-01-02 09:00",
    "tomorrow 9:05": "2026-11-25 09:05",
    "tue 12:00": "2026-12-01 12:00",
    "Friday 12:00": "2026-11-27 12:00",
    "14:00": "2026-11-24 14:00",
    "12:00": "2026-11-25 12:00",
    "2026-10-25 02:30": None,  # over
}


@pytest.mark.parametrize("words", [each for each in GOOD if GOOD[each]])
def test_times_are_read_as_people_write_them(db, command, words):
    post = approved(db, "text")

    ended = command(f'schedule p{post} "{words}" --json')

    assert ended.code == 0, ended.err
    pins = json.loads(ended.out)["pins"]
    local = datetime.fromisoformat(pins[0]["at"]).astimezone(ZoneInfo(ZONE))
    assert f"{local:%Y-%m-%d %H:%M}" == GOOD[words]


def test_a_quiet_date_needs_a_second_yes(db, command, clock):
    command = command.rules(quiet_dates=("12-25",))
    post = approved(db, "text")

    assert command(f'schedule p{post} "2026-12-25 10:00" --anyway').code == 0

    until(clock, "2026-12-25 10:00")
    command("post")
    assert status_of(db, post) == "posted"


def test_the_calendar_shows_past_pins_and_forecast_and_changes_nothing(db, command, clock):
    out = approved(db, "this is out")
    command("post")
    rest = [approved(db, f"waits {n}") for n in range(3)]
    command(f'schedule p{rest[2]} "2026-11-26 09:00"')
    clock.advance(MINUTE)
    before = db.execute(SEEN).fetchone()

    ended = command("calendar")

    assert (
        db.execute("SELECT count(*), max(xmin::text::bigint) FROM deliveries").fetchone() == before
    )
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "Mon" in lines[0]
    assert ">24" in lines[1]
    assert f" Tue 11-24 13:00  file  p{out}  this is out" in ended.out
    assert f"~Tue 11-24 14:00  file  p{rest[0]}  waits 0" in ended.out
    assert f"~Tue 11-24 15:00  file  p{rest[1]}  waits 1" in ended.out
    assert f"!Thu 11-26 09:00  file  p{rest[2]}  waits 2" in ended.out
    assert lines.index(next(line for line in lines if "!Thu" in line)) > 5
    facts = json.loads(command("calendar --weeks 2 --json").out)
    assert [one["kind"] for one in facts["entries"]] == ["posted", "forecast", "forecast", "pinned"]


def test_calendar_programs_can_read_it(db, command, tmp_path, clock):
    text = "A long post, with; signs\\ and\nlines: " + "Grüße 🎨 " * 20
    post = approved(db, text)
    approved(db, "another")
    command(f'schedule p{post} "2026-12-24 09:00"')

    assert command("calendar --ics out.ics").code == 0

    content = (command.cwd / "out.ics").read_bytes()
    assert max(map(len, content.split(b"\r\n"))) <= 75
    events = icalendar.Calendar.from_ical(content).walk("VEVENT")
    assert [str(one["STATUS"]) for one in events] == ["TENTATIVE", "CONFIRMED"]
    pin = events[1]
    assert pin.decoded("DTSTART") == datetime(2026, 12, 24, 8, tzinfo=ZoneInfo("UTC"))
    assert text[:60] in str(pin["DESCRIPTION"])
    ids = [str(one["UID"]) for one in events]
    clock.advance(MINUTE)
    command("calendar --ics later.ics")
    later = icalendar.Calendar.from_ical((command.cwd / "later.ics").read_bytes()).walk("VEVENT")
    assert [str(one["UID"]) for one in later] == ids
    assert all(b["SEQUENCE"] > a["SEQUENCE"] for a, b in zip(events, later, strict=True))
