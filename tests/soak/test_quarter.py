"""A quarter of a project in a minute: sources, themes, pins, quiet dates, evergreens, forecasts."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from botticelli.config.model import Destination
from botticelli.config.operations import Recycle, Source, ThemeConfig
from botticelli.errors import TryLater
from botticelli.narrative.files.fetch import fetch
from botticelli.platforms.open import wanted_by
from botticelli.reports.calendar import calendar
from botticelli.stages.adapt.stage import adapt_waiting
from botticelli.stages.collect import visits
from botticelli.stages.collect.stage import CollectRequest, collect
from botticelli.stages.curate.stage import curate
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.store.connection import connect
from botticelli.store.curation.judging import CRITERIA
from botticelli.store.delivery import pins
from botticelli.store.delivery.pins import Pin
from tests.clock import pin
from tests.fakes.loopback import Answer
from tests.fakes.schema_values import value_for
from tests.pipeline import JUDGE, WRITER, Stages, models_at
from tests.posting import PostStage
from tests.stages.test_collect import Site

ZONE = ZoneInfo("Europe/Berlin")
BEGAN, DAYS, HOUR = date(2026, 10, 1), 92, timedelta(hours=1)  # over a change of the clocks
NARRATIVE = """
    [narrative.batch]
    name = "batch"
    toc = ["news", "notes"]
    skip_content_generation = true
    [narrative.batch.carousel]
    iterations = 1
    continue_on_error = true
    [narrative.batch.acts.news]
    narrative = "news"
    [narrative.batch.acts.notes]
    narrative = "notes"

    [narrative.news]
    name = "news"
    target = "potential_discord_posts"
    toc = ["write_news"]
    [narrative.notes]
    name = "notes"
    target = "potential_discord_posts"
    toc = ["write_note"]

    [acts.write_news]
    schema = "post"
    input = ["sources.news", "Item: {{source.title}}. Theme: {{theme}}."]
    [acts.write_note]
    schema = "post"
    input = ["sources.notes", "Item: {{source.title}}. Theme: {{theme}}."]

    [schemas.post]
    type = "object"
    required = ["text_content"]
    [schemas.post.properties.text_content]
    type = "string"
"""
RECYCLE = """
    [narrative]
    name = "recycle"
    skip_content_generation = true
    [toc]
    order = ["rewrite"]
    [narrative.context]
    text = ""
    [acts.rewrite]
    input = ["Anew: {{text}}"]
"""
THEMES = {
    "harvest": ThemeConfig(begins="10-03", ends="10-12", weight=1.0),
    "lights": ThemeConfig(begins="12-06", ends="12-24", weight=1.0),
    "birthday": ThemeConfig(begins="2026-11-10", ends="2026-11-14", weight=1.0),
}
POSTED = """
    SELECT d.posted_at, p.theme, c.source_item_id, p.recycled_from, p.id, d.text_sent
      FROM deliveries AS d
      JOIN approved_discord_posts AS p ON p.id = d.post_id
      LEFT JOIN potential_discord_posts AS c ON c.id = p.candidate_id
     WHERE d.state = 'posted'
     ORDER BY d.posted_at, d.id
"""


def answers(call):
    """A text of its own for each item, points for the judge."""
    schema = call.body.get("generationConfig", {}).get("responseJsonSchema") or {}
    if "scores" in schema.get("properties", {}):
        value = value_for(schema, seed=str(call.number))
        for score in value["scores"]:
            score.update(dict.fromkeys(CRITERIA, 8), said_before="")
            score.update({name: True for name, said in score.items() if isinstance(said, bool)})
            source = rf'"id": "{score["id"]}".*?"source": "(.*?)\\n'
            found = re.search(source, call.prompt, re.DOTALL)
            score["source_quotes"] = [found[1]] if found else []
        return value
    letters = "".join(chr(97 + int(digit) * 2) for digit in f"{call.number * 7919:08}")
    text = " ".join(f"{letters}{word}" for word in ("um", "or", "en", "is", "ar", "ol", "it"))
    return {"text_content": f"{text.capitalize()}."} if schema else f"{text.upper()} again."


@pytest.fixture
def quarter(db, db_url, tmp_path, gemini, clock):
    gemini.responder = answers
    clock.set(datetime(BEGAN.year, BEGAN.month, BEGAN.day, 4, tzinfo=ZONE))
    place = Destination(
        name="news", platform="outbox", folder=tmp_path / "out", time_zone="Europe/Berlin",
        slots=("mon-fri 09:00", "sat 11:00", "tue 17:00"), quiet_dates=("12-25", "12-26"),
        min_interval=timedelta(0), recycle=Recycle(after=timedelta(days=45)), pins="exact",
    )  # fmt: skip
    stages = Stages(db_url, tmp_path, models_at(gemini))
    stages.clock = clock
    stages.connect = lambda: pin(connect(db_url), clock)
    stages.write(NARRATIVE)
    stages.write(RECYCLE, "recycle.toml")
    stages.settings("models", default=(WRITER,), judge=(JUDGE,))
    stages.settings("curate", approve_per_run=1)  # as many as go out: a theme's do not wait
    stages.config = replace(
        stages.config,
        destinations={"news": place},
        themes=THEMES,
        sources={
            "news": Source(name="news", kind="feed", url="", max_age=timedelta(days=400)),
            "notes": Source(name="notes", kind="folder", folder=tmp_path / "notes"),
        },
    )
    (tmp_path / "notes").mkdir()
    posting = PostStage(db, lambda: connect(db_url), clock, [place], limit=1)
    return stages, posting


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quarter_is_lived_as_the_project_says(quarter, db, clock, tmp_path):
    stages, posting = quarter
    wrong, pinned = [], {}
    with Site() as site:
        sources = stages.config.sources
        news = replace(sources["news"], url=f"{site.url}/feed")
        stages.config = replace(stages.config, sources={**sources, "news": news})
        reads = visits.Visits(fetch=partial(fetch, is_private_allowed=True), clock=clock)
        for number in range(DAYS):
            day = BEGAN + timedelta(days=number)
            clock.set(datetime(day.year, day.month, day.day, 4, tzinfo=ZONE))
            if number < 78:  # then they dry up, and the best of October come again
                write_sources(site, tmp_path, number)
            work(stages, posting, db, reads)
            if number % 20 == 10:
                pinned |= pin_one(db, posting, day)
            wrong += live(posting, db, clock, day)

    posted = db.execute(POSTED).fetchall()
    local = [row[0].astimezone(ZONE) for row in posted]
    used = [row[2] for row in posted if row[2]]
    assert wrong == []
    assert len(posted) > 60
    assert len(used) == len(set(used)), "of each item one post"
    assert not {at.date() for at in local} & {date(2026, 12, 25), date(2026, 12, 26)}
    for at, theme in zip(local, (row[1] for row in posted), strict=True):
        assert theme is None or at.date() <= last_day(theme), theme
    assert {row[1] for row in posted} == {None, *THEMES}
    when = {row[4]: row[0] for row in posted}
    assert pinned
    assert {post: when[post] for post in pinned} == pinned
    again = Counter(row[3] for row in posted if row[3])
    assert set(again.values()) == {1}, "some were said anew, each once at most"
    assert len({row[5] for row in posted}) == len(posted), "nothing word for word"


def last_day(theme):
    ends = THEMES[theme].ends
    return date.fromisoformat(ends if len(ends) > 5 else f"2026-{ends}")


def write_sources(site, folder, number):
    items = "".join(
        f"<item><guid>g{n}</guid><title>News {n} of the garden</title><link>/n/{n}</link></item>"
        for n in range(max(0, number - 20), number + 1)
    )
    page = f'<rss version="2.0"><channel><title>T</title>{items}</channel></rss>'
    site.pages["/feed"] = Answer(body=page.encode(), headers=(("ETag", f'"{number}"'),))
    if number % 3 == 0:
        text = f"# Note number {number} of the garden\n\nText {number}.\n"
        (folder / "notes" / f"{number}.md").write_text(text)


def work(stages, posting, db, reads):
    """What the timers of a morning do."""
    collect(stages.context(db), request=CollectRequest(), visits=reads)
    with suppress(TryLater):
        generate(stages.context(db), request=GenerateRequest(narrative="carousel.batch"))
    curate(
        stages.context(db), drain=True, adapt=lambda mine: adapt_waiting(mine, posting.context.open)
    )


def pin_one(db, posting, day):
    """Pin the youngest approved post to half past seven in the evening, when nothing else goes."""
    row = db.execute(
        "SELECT max(id) FROM approved_discord_posts WHERE review_status = 'pending'"
        "   AND theme IS NULL"
    ).fetchone()
    if row[0] is None:
        return {}
    at = datetime(day.year, day.month, day.day, 19, tzinfo=ZONE)
    known = [wanted_by(one) for one in posting.config.destinations.values()]
    pins.pin(db, "post", row[0], [Pin(destination="news", at=at)], known=known, by="ada")
    return {row[0]: at}


def live(posting, db, clock, day):
    """Run `post` each hour of a day; return where it was not as the calendar said before."""
    clock.set(datetime(day.year, day.month, day.day, 5, tzinfo=ZONE))
    posting()  # plans what was approved
    until = datetime(day.year, day.month, day.day, 23, tzinfo=ZONE)
    said = {
        (one.at, one.post)
        for one in calendar(db, posting.config, weeks=1).entries
        if one.kind in ("forecast", "pinned") and clock.now() < one.at <= until
    }
    began = clock.now()
    while clock.now() < until:
        clock.advance(HOUR)
        posting()
    done = db.execute(
        "SELECT posted_at, post_id FROM deliveries WHERE posted_at > %s", (began,)
    ).fetchall()
    return [] if said == set(done) else [(day, sorted(said), done)]
