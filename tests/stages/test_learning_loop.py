"""The real stages in compressed time: written, judged, posted, counted, learned from, again.

Fewer seeds than the statistics alone have (tests/unit/test_learning_simulated.py).
"""

from collections import Counter
from datetime import timedelta
from itertools import count
from statistics import fmean

import pytest
from psycopg.types.json import Jsonb

from botticelli.config.operations import ExperimentConfig, LearningConfig
from botticelli.learning.trials import chance_of, verdict
from botticelli.stages.curate.stage import curate
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from botticelli.store.curation.evidence import list_arm_posts
from botticelli.store.curation.judging import CRITERIA
from tests.database import insert
from tests.stages.test_experiments import ARMS, configure
from tests.unit.test_trials import drawn

ANGLES = {"tip": 0.4, "story": 1.0, "question": 2.5}
PART = """
    [narrative.{name}]
    name = "{name}"
    target = "potential_discord_posts"
    toc = ["write_{name}"]
    [narrative.batch.acts.{name}]
    narrative = "{name}"
    [acts.write_{name}]
    schema = "post"
    input = ["{name} {{{{iteration}}}} with {{{{experiment.hook}}}}; like {{{{best_posts}}}}"]
"""
HEAD = """
    [narrative.batch]
    name = "batch"
    toc = ["tip", "story", "question"]
    skip_content_generation = true
    [schemas.post]
    type = "object"
    required = ["text_content"]
    [schemas.post.properties.text_content]
    type = "string"
"""
ROUNDS = 16


def run_channel(db, stages, gemini, seed, *, likes_of=ANGLES, arm_lift=1.0):
    """Write, judge, post and count for some rounds; return (angle, likes) in order."""
    chance, numbers = chance_of("loop", seed), count(1)
    words = [f"w{number}x{number * 7919}" for number in range(4000)]

    def respond(call):
        if "scores" in call.schema.get("properties", {}):
            entry = call.schema["properties"]["scores"]["items"]["properties"]["id"]["enum"]
            return {
                "scores": [
                    {"id": id_, "reasons": "r", "notes": "n",
                     **{name: chance.choice((7, 8, 8)) for name in CRITERIA}}
                    for id_ in entry
                ]
            }  # fmt: skip
        return {"text_content": f"{next(numbers)} " + " ".join(chance.sample(words, 12))}

    gemini.responder = respond
    start = db.execute("SELECT botticelli_now()").fetchone()[0] - timedelta(days=60)
    posts = []
    for turn in range(ROUNDS):
        generate(
            stages.context(db), request=GenerateRequest(narrative="learning.batch", iterations=3)
        )
        curate(stages.context(db), drain=True)
        rows = db.execute(
            "SELECT p.id, c.source_narrative, c.features ->> 'experiment.hook'"
            "  FROM approved_discord_posts AS p"
            "  JOIN potential_discord_posts AS c ON c.id = p.candidate_id"
            " WHERE p.review_status = 'pending' ORDER BY p.id"
        ).fetchall()
        for post, angle, arm in rows:
            likes = drawn(chance, 10 * likes_of[angle] * (arm_lift if arm == ARMS[1] else 1), 4)
            at = start + timedelta(days=3 * turn, hours=len(posts) % 2)
            seen = Jsonb({"likes": likes})
            delivery = insert(
                db, "deliveries", post_id=post, destination="main", state="posted", posted_at=at
            )
            insert(db, "engagement", delivery_id=delivery, age="24h", counts=seen)
            posts.append((angle, likes))
        db.execute("UPDATE approved_discord_posts SET review_status = 'posted', posted_at = now()")
    return posts


@pytest.fixture
def loop(db, stages, gemini, plain_codes):
    stages.write(HEAD + "".join(PART.format(name=name) for name in ANGLES), "learning.toml")
    stages.settings("curate", ranking=False, approve_per_run=2, batch=20, min_score=30)

    def run(seed, **options):
        learning = LearningConfig(**options.pop("learning", {}))
        hook = ExperimentConfig(arms=ARMS, posts=14)
        configure(stages, learning=learning, experiments={"hook": hook})
        return run_channel(db, stages, gemini, seed, **options)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_with_feedback_readers_get_more_of_what_they_like_and_every_angle_stays(db, loop, seed):
    posts = loop(seed, learning={"multiplier": True, "shares": True, "examples": True})

    late = [angle for angle, _ in posts[len(posts) // 2 :]]
    assert fmean(ANGLES[angle] for angle in late) > fmean(ANGLES.values())
    counts = Counter(late)
    assert counts["question"] > counts["tip"]
    written = dict(
        db.execute(
            "SELECT source_narrative, count(*) FROM potential_discord_posts GROUP BY 1"
        ).fetchall()
    )
    assert written.keys() == ANGLES.keys()
    assert min(written.values()) >= ROUNDS  # at least one in each batch
    whys = [
        row[0]
        for row in db.execute(
            "SELECT feedback ->> 'why' FROM potential_discord_posts WHERE feedback IS NOT NULL"
        )
    ]
    assert any("+" in why[:1] and "% because angle = question, n = " in why for why in whys)
    assert any("-" in why[:1] and "% because angle = tip, n = " in why for why in whys)
    bounds = db.execute(
        "SELECT min((feedback ->> 'factor')::float8), max((feedback ->> 'factor')::float8)"
        "  FROM potential_discord_posts"
    ).fetchone()
    assert 0.9 <= bounds[0] <= bounds[1] <= 1.1


@pytest.mark.slow
def test_an_experiment_over_the_real_stages_finds_what_is_there(db, stages, loop):
    loop(3, likes_of=dict.fromkeys(ANGLES, 1.0), arm_lift=6.0)

    found = verdict(
        "hook", ARMS, list_arm_posts(db, stages.config, "hook"), wanted=10, rule="fixed"
    )

    assert found.winner == ARMS[1], found.words
