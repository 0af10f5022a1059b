"""Learning in the stages: arms are drawn once and kept, feedback changes the choice by a little."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from botticelli.config.keys import slot
from botticelli.config.model import Destination
from botticelli.config.operations import ExperimentConfig, LearningConfig
from botticelli.stages.curate.stage import curate
from botticelli.stages.generate.arms import draw_arms
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.store.curation import reviews
from botticelli.store.curation.evidence import effects_now, list_arm_posts, list_evidence
from tests.database import approved, candidate, insert

NARRATIVE = """
    [narrative]
    name = "day"
    target = "potential_discord_posts"
    [toc]
    order = ["write"]
    [acts.write]
    schema = "post"
    input = ["Open with {{experiment.hook}}. Best: {{best_posts}}. Worst: {{worst_posts}}."]
    [schemas.post]
    type = "object"
    required = ["text_content"]
    [schemas.post.properties.text_content]
    type = "string"
"""
ARMS = ("a question", "a number")


@pytest.fixture
def writing(db, stages, gemini):
    stages.write(NARRATIVE, "day.toml")
    numbers = iter(range(1000))
    gemini.responder = lambda _: {"text_content": f"post {next(numbers)} {next(numbers) * 7919}"}

    def write(iterations=10, **options):
        request = GenerateRequest(narrative="day", iterations=iterations, **options)
        return generate(stages.context(db), request=request)

    return write


def configure(stages, **parts):
    places = {"main": Destination(name="main", platform="outbox")}
    stages.config = replace(stages.config, destinations=places, **parts)
    return "main"


def seen(db, text, *, angle="n", reactions=5, hours=30, arm=None, to="main", **columns):
    """A post that was published, and what it had after a day."""
    features = Jsonb({"experiment.hook": arm}) if arm else None
    written = candidate(db, text, source_narrative=angle, review_status="posted", features=features)
    post = approved(db, text, candidate_id=written, review_status="posted")
    at = db.execute("SELECT botticelli_now()").fetchone()[0] - timedelta(hours=hours)
    delivery = insert(
        db, "deliveries", post_id=post, destination=to, state="posted", posted_at=at)  # fmt: skip
    return insert(
        db, "engagement", delivery_id=delivery, age="24h", counts=Jsonb({"likes": reactions}),
        **columns,
    )  # fmt: skip


def slots(db):
    columns = "experiment, slot, block, arm, narrative, iteration"
    return db.execute(f"SELECT {columns} FROM experiment_slots ORDER BY slot").fetchall()


def test_each_item_has_the_arm_that_was_drawn_for_its_slot(db, stages, gemini, writing):
    configure(stages, experiments={"hook": ExperimentConfig(arms=ARMS)})

    report = writing(iterations=10)

    assert report.stored == 10
    drawn = {(row[4], row[5]): row[3] for row in slots(db)}
    assert [row[1] for row in slots(db)] == list(range(1, 11))
    asked = Counter(arm for arm in ARMS for call in gemini.calls if f"with {arm}." in call.prompt)
    assert asked == Counter(drawn.values())
    stored = db.execute(
        "SELECT features ->> 'experiment.hook', count(*) FROM potential_discord_posts GROUP BY 1"
    ).fetchall()
    assert dict(stored) == dict(asked)
    blocks = Counter((row[2], row[3]) for row in slots(db))
    for block in {block for block, _ in blocks}:
        assert abs(blocks[block, ARMS[0]] - blocks[block, ARMS[1]]) <= 1


def test_the_block_is_that_of_the_hour_at_which_the_post_is_expected(db, stages, clock):
    """It is Tuesday noon; what waits already goes out first."""
    configure(stages, experiments={"hook": ExperimentConfig(arms=ARMS)})
    cron = tuple(slot(each) for each in ("tue 19:00", "wed 08:00", "sat 15:00"))
    places = {"main": Destination(name="main", platform="outbox", slots=cron)}
    config = replace(stages.config, destinations=places)
    approved(db, "waits already")

    _, rows = draw_arms(db, config, (("day", 1), ("day", 2), ("day", 3)), now=clock.now())

    blocks = [row["block"] for row in rows]
    assert blocks == ["weekday morning", "weekend afternoon", "weekday evening"]


def test_a_drawn_arm_stays_and_the_next_batch_goes_on_where_it_ended(db, stages, writing):
    configure(stages, experiments={"hook": ExperimentConfig(arms=ARMS)})
    writing(iterations=3)
    before = slots(db)
    context = stages.context(db)
    items = tuple(("day", number) for number in range(1, 5))
    now = db.execute("SELECT botticelli_now()").fetchone()[0]

    twice = [draw_arms(db, context.config, items, now=now) for _ in range(2)]
    writing(iterations=4)

    assert twice[0] == twice[1]
    assert slots(db)[:3] == before
    assert [(row[1], row[3]) for row in slots(db)[3:]] == [
        (each["slot"], each["arm"]) for each in twice[0][1]
    ]


def test_an_arm_in_use_is_every_posts_and_draws_nothing(db, stages, gemini, writing):
    configure(stages, experiments={"hook": ExperimentConfig(arms=ARMS, use=ARMS[1])})

    writing(iterations=3)

    assert slots(db) == []
    assert all("with a number." in call.prompt for call in gemini.calls)


def test_a_project_without_learning_keeps_nothing_of_it(db, stages, writing):
    stages.write(NARRATIVE.replace("{{experiment.hook}}", "x"), "day.toml")
    writing(iterations=2)

    options = db.execute("SELECT options FROM batches").fetchone()[0]
    assert not {"arms", "examples"} & options.keys()
    row = db.execute("SELECT features, feedback FROM potential_discord_posts").fetchone()
    assert row == (None, None)


def test_the_best_and_the_worst_are_shown_to_the_writer_and_frozen(db, stages, gemini, writing):
    hook = ExperimentConfig(arms=ARMS)
    to = configure(stages, learning=LearningConfig(examples=True), experiments={"hook": hook})
    for number in range(12):
        seen(db, f"text {number}.", reactions=3**number, to=to)

    writing(iterations=1)

    prompt = gemini.calls[-1].prompt
    best, worst = prompt.split("Best:")[1].split("Worst:")
    assert [word in best for word in ("text 11.", "text 7.", "text 6.")] == [True, True, False]
    assert [word in worst for word in ("text 0.", "text 4.", "text 5.")] == [True, True, False]
    kept = db.execute("SELECT options -> 'examples' FROM batches").fetchone()[0]
    assert kept["best_posts"].startswith("- text 11.")


def test_what_readers_like_is_ahead_of_its_equals_and_the_candidate_says_why(
    db, stages, plain_codes
):
    to = configure(stages, learning=LearningConfig(multiplier=True, exploration=0.1))
    for number in range(40):
        seen(db, f"old {number} {number * 7919}", angle="ab"[number % 2],
             reactions=(4, 12)[number % 2] + number % 3, to=to)  # fmt: skip
    stages.settings("curate", ranking=False, approve_per_run=1, min_score=35)
    plain = candidate(
        db, "amber mosaic", source_narrative="a", curation_score=38, judged_at="now()")  # fmt: skip
    liked = [
        candidate(db, f"birch {word}", source_narrative="b", curation_score=37, judged_at="now()")
        for word in ("nectar", "bellows", "thistle")
    ]
    low = candidate(
        db, "cedar opal", source_narrative="b", curation_score=34.9, judged_at="now()")  # fmt: skip

    report = curate(stages.context(db), drain=True)

    [chosen] = report.approved
    assert chosen.id in liked
    told = {one.id: one for one in reviews.find_candidates(db, [plain, chosen.id, low])}
    assert told[chosen.id].feedback == {
        "factor": 1.1,
        "why": "+10 % because angle = b, n = 20, length = short, n = 40",
    } or told[chosen.id].feedback["why"].startswith("+10 % because angle = b, n = 20")
    assert told[plain].feedback["factor"] < 1
    assert told[chosen.id].total == 37  # the judge's own stays what it was
    assert told[low].review_status == "rejected"  # and nothing passes that the judge did not


def test_late_and_gone_snapshots_frozen_days_and_other_channels_teach_nothing(db, stages):
    to = configure(stages, experiments={"hook": ExperimentConfig(arms=ARMS)})
    for number in range(12):
        seen(db, f"t {number}", arm=ARMS[number % 2], to=to, hours=30 + number)
    seen(db, "late", arm=ARMS[0], late=True, to=to)
    seen(db, "gone", arm=ARMS[0], gone=True, to=to)
    seen(db, "elsewhere", arm=ARMS[0], to="elsewhere")
    now = db.execute("SELECT botticelli_now()").fetchone()[0]

    assert len(list_arm_posts(db, stages.config, "hook")) == 12
    assert len(list_evidence(db, stages.config, now=now)) == 12
    day = (now - timedelta(days=30)).date()
    configure(stages, learning=LearningConfig(freeze=day))
    assert list_evidence(db, stages.config, now=now) == []
    assert effects_now(db, stages.config, now=now) == {}
