"""Scores of posts: against a plain reckoning, with little data, with effects that were put in."""

import math
import random
from datetime import timedelta

import pytest

from botticelli.config.model import Config, DatabaseConfig, Destination
from botticelli.config.operations import LearningConfig
from botticelli.reports.insights import effect_words, gain, read_readers
from botticelli.store.reads.engagement import read_effects, read_scores
from tests.clock import NOON
from tests.database import approved, insert

WEIGHTS = {"zone": "UTC", "weights": LearningConfig()}


def posted(
    db, ago, *, likes=0, replies=0, text="a text", age="24h", late=False, gone=False, **more
):
    at = NOON - ago
    post = approved(db, text, review_status="posted", **more)
    delivery = insert(
        db, "deliveries", post_id=post, destination="news", state="posted", posted_at=at,
        remote_id=str(post),
    )  # fmt: skip
    db.execute(
        "INSERT INTO engagement (delivery_id, age, late, gone, counts) VALUES (%s, %s, %s, %s,"
        " jsonb_build_object('likes', %s::integer, 'replies', %s::integer))",
        (delivery, age, late, gone, likes, replies),
    )
    return delivery


def expected(ys, days, hours):
    """What botticelli_scores says in words, reckoned here."""
    mean, rests = sum(ys) / len(ys), []
    for i, y in enumerate(ys):
        before = [(0.5 ** ((i - j) / 30), ys[j]) for j in range(max(0, i - 200), i)]
        weight = sum(w for w, _ in before)
        rests.append(y - (10 * mean + sum(w * v for w, v in before)) / (10 + weight))

    def effect(kinds, kind):
        own = [rest for rest, one in zip(rests, kinds, strict=True) if one == kind]
        return sum(own) / (len(own) + 6)

    return [
        rest - effect(days, day) - effect(hours, hour)
        for rest, day, hour in zip(rests, days, hours, strict=True)
    ]


def test_scores_are_what_the_method_says(db):
    chance, ys, days, hours = random.Random(3), [], [], []
    for number in range(40):
        ago = timedelta(hours=9 * (41 - number))
        likes, replies = chance.randrange(20), chance.randrange(3)
        posted(db, ago, likes=likes, replies=replies)
        at = NOON - ago
        ys.append(math.log(1 + likes + 2 * replies))
        days.append(at.isoweekday() > 5)
        hours.append(sum(at.hour >= start for start in (6, 11, 14, 18)))

    found = read_scores(db, "news", **WEIGHTS)

    reckoned = expected(ys, days, hours)
    assert [one.difference for one in found] == pytest.approx(reckoned)
    ranks = sorted(reckoned)
    assert [one.percentile for one in found] == pytest.approx(
        [ranks.index(r) / 39 for r in reckoned]
    )
    assert found == read_scores(db, "news", **WEIGHTS)


def test_little_data_is_an_answer(db, tmp_path):
    for number in range(7):
        posted(db, timedelta(days=number + 1), likes=number)
    assert {one.percentile for one in read_scores(db, "news", **WEIGHTS)} == {None}
    place = Destination(name="news", platform="outbox")
    found = read_readers(db, Config(database=DatabaseConfig(folder=tmp_path)), place)
    assert found.note == "not enough data (7 of 10)"


def test_late_gone_and_other_ages_are_no_scores(db):
    posted(db, timedelta(days=2), late=True)
    posted(db, timedelta(days=2), gone=True)
    posted(db, timedelta(days=2), age="6h")
    assert read_scores(db, "news", **WEIGHTS) == []


def test_an_effect_that_is_there_is_found_and_one_that_is_not_is_unclear(db):
    chance = random.Random(5)
    for number in range(80):
        asks = number % 2
        likes = round(chance.gammavariate(4, (4 if asks else 2)))
        text = f"text {number}" + ("?" if asks else "")
        posted(db, timedelta(hours=25 + 7 * number), likes=likes, text=text)

    effects = {(one.feature, one.value): one for one in read_effects(db, "news", **WEIGHTS)}

    assert effects["question", "yes"].verdict == "helps"
    assert effects["question", "no"].verdict == "hurts"
    assert effects["length", "short"].verdict == "unclear", "all of them are"
    words = effect_words(effects["question", "yes"])
    assert "40 posts: helps" in words


def test_a_storm_of_replies_is_no_success(db):
    for number in range(20):
        posted(db, timedelta(hours=25 + 7 * number), likes=10, replies=1)
    storm = posted(db, timedelta(hours=200), likes=10, replies=60)
    angry = [one.delivery_id for one in read_scores(db, "news", **WEIGHTS) if one.is_angry]
    assert angry == [storm]


def test_a_gain_is_written_in_percent():
    assert gain(math.log(1.12)) == "+12 %"
    assert gain(math.log(0.5)) == "-50 %"
