"""Themes: when they are, how much of a batch is about them, and that their posts expire."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from botticelli.config.operations import ThemeConfig
from botticelli.errors import ConfigError
from botticelli.stages.curate.stage import curate
from botticelli.stages.generate.occasion import occasion
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.stages.generate.themes import Theme, theme_of, themes_between
from botticelli.store.curation import reviews
from tests.database import candidate

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:x
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20270510
DTEND;VALUE=DATE:20270513
SUMMARY:Garden days
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART:20270601T180000Z
DTEND:20270601T200000Z
SUMMARY:Meeting
END:VEVENT
END:VCALENDAR
"""
YEAR = (date(2027, 1, 1), date(2027, 12, 31))
KINDS = {
    "every year": (
        ThemeConfig(begins="12-01", ends="12-26"), [("2027-12-01", "2027-12-26")]),
    "over New Year": (
        ThemeConfig(begins="12-27", ends="01-02"),
        [("2026-12-27", "2027-01-02"), ("2027-12-27", "2028-01-02")]),
    "once": (ThemeConfig(begins="2027-03-01", ends="2027-03-05"), [("2027-03-01", "2027-03-05")]),
    "once, another year": (ThemeConfig(begins="2029-03-01", ends="2029-03-05"), []),
    "a leap day": (ThemeConfig(begins="02-29", ends="02-29"), []),
    "a holiday": (
        ThemeConfig(holiday="US: Thanksgiving", days_before=3), [("2027-11-22", "2027-11-25")]),
    "of a region": (
        ThemeConfig(holiday="DE-BY: Epiphany", days_before=0, days_after=1),
        [("2027-01-06", "2027-01-07")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_theme_is_when_it_says(kind):
    config, days = KINDS[kind]

    found = themes_between({"x": config}, *YEAR)

    assert [(str(one.first), str(one.last)) for one in found] == days


def test_a_calendar_file_gives_a_theme_an_event(tmp_path):
    (tmp_path / "events.ics").write_text(ICS)
    config = ThemeConfig(calendar=tmp_path / "events.ics", days_before=2, brief="Come:")

    found = themes_between({"x": config}, *YEAR)

    assert [(str(one.first), str(one.last), one.brief) for one in found] == [
        ("2027-05-08", "2027-05-12", "Come: Garden days"),
        ("2027-05-30", "2027-06-01", "Come: Meeting"),
    ]


WRONG = {
    "nothing": (ThemeConfig(), "says not when it is"),
    "no such holiday": (ThemeConfig(holiday="US: Nonsense"), "has no holiday 'Nonsense'"),
    "no such country": (ThemeConfig(holiday="XX: Easter"), "there is no country 'XX'"),
    "no file": (ThemeConfig(calendar="/nowhere/x.ics"), "cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_means_nothing_is_told(case):
    config, words = WRONG[case]
    with pytest.raises(ConfigError, match=words):
        themes_between({"good": ThemeConfig(begins="01-01", ends="01-02"), "x": config}, *YEAR)


def theme(name, weight):
    return Theme(name=name, first=YEAR[0], last=YEAR[1], brief="", weight=weight)


@pytest.mark.parametrize(
    ("weights", "shares"),
    [((0.3,), (0.3,)), ((0.5, 0.2), (0.5, 0.2)), ((1.0,), (1.0,)), ((1.0, 1.0), (0.5, 0.5))],
)
def test_each_theme_has_its_share_spread_over_the_batch(weights, shares):
    active = [theme(str(number), weight) for number, weight in enumerate(weights)]

    for length in (10, 50, 500):
        chosen = [theme_of(active, number) for number in range(length)]
        counts = Counter(one.name for one in chosen if one)
        for number, share in enumerate(shares):
            assert counts[str(number)] == pytest.approx(share * length, abs=2)


NARRATIVE = """
    [narrative]
    name = "day"
    target = "potential_discord_posts"
    [toc]
    order = ["write"]
    [acts.write]
    schema = "post"
    input = ["On {{today}}. Theme: {{theme}}. Soon: {{upcoming}}"]
    [schemas.post]
    type = "object"
    required = ["text_content"]
    [schemas.post.properties.text_content]
    type = "string"
"""


def test_posts_of_a_theme_know_it_and_expire_with_it(db, stages, gemini):
    stages.write(NARRATIVE, "day.toml")
    today = db.execute("SELECT botticelli_now()").fetchone()[0].date()
    ends = today + timedelta(days=3)
    soon = today + timedelta(days=7)
    config = {
        "now": ThemeConfig(
            begins=str(today), ends=str(ends), brief="Bread", tags=("bread",), weight=0.5),
        "later": ThemeConfig(begins=str(soon), ends=str(soon), brief="Soup"),
    }  # fmt: skip
    stages.config = stages.config.__class__(**vars(stages.config) | {"themes": config})
    numbers = iter(range(100))
    gemini.responder = lambda _: {
        "text_content": f"{'x y z w'[next(numbers) % 7]} post {next(numbers)}"
    }

    report = generate(stages.context(db), request=GenerateRequest(narrative="day", iterations=10))

    assert report.stored == 10
    prompts = [call.prompt for call in gemini.calls]
    assert sum("Theme: now: Bread." in prompt for prompt in prompts) in (4, 5, 6)
    assert all("later: Soup" in prompt for prompt in prompts)
    assert all(str(today.year) in prompt for prompt in prompts)
    query = "SELECT theme, tags, expires_at FROM potential_discord_posts WHERE theme IS NOT NULL"
    rows = db.execute(query).fetchall()
    assert len(rows) == sum("now: Bread" in prompt for prompt in prompts)
    over = datetime.combine(ends + timedelta(days=1), datetime.min.time(), UTC)
    assert {(row[0], tuple(row[1]), row[2]) for row in rows} == {("now", ("bread",), over)}


def test_a_resumed_batch_keeps_its_day(stages):
    now = datetime(2027, 5, 4, 23, tzinfo=UTC)
    kept = occasion(stages.config, now=now, conn=None)

    assert kept == {"today": "Tuesday, 4 May 2027", "upcoming": "(none)", "themes": []}


def test_a_theme_that_is_over_is_not_approved_and_its_end_goes_with_the_post(
    db, stages, gemini, plain_codes
):
    late = candidate(
        db, "late", curation_score=40, judged_at="now()", theme="x", expires_at="2020-01-01"
    )
    good = candidate(
        db, "good", curation_score=40, judged_at="now()", theme="x", expires_at="2999-01-01"
    )
    stages.settings("curate", ranking=False)

    report = curate(stages.context(db), drain=True)

    assert [one.id for one in report.approved] == [good]
    reason = reviews.find_candidates(db, [late])[0].why
    assert reason == "its theme is over: x"
    query = "SELECT theme, expires_at::date::text FROM approved_discord_posts"
    assert db.execute(query).fetchall() == [("x", "2999-01-01")]
