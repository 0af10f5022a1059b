"""What readers did with posts: scores and effects, computed by the database alone. Reads only."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from botticelli.config.operations import LearningConfig
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all

LEAST: Final = 10  # posts; of fewer nothing is said


@record
class PostScore:
    """A post at the age of 24 hours.

    Args:
        y: Logarithm of 1 + the weighted counts.
        expected: What y was to be expected, by the posts before, the day and the hours.
        difference: y less that; `spread` is the standard deviation of all differences.
        percentile: Share of the channel's posts with a lower one; None if there are fewer than 10.
        n: Posts that were scored.
        is_angry: It has three times as many replies for its likes as usual: no success to repeat.
    """

    delivery_id: int
    post_id: int
    posted_at: datetime
    counts: Mapping[str, int]
    y: float
    expected: float
    difference: float
    spread: float | None
    percentile: float | None
    n: int
    is_angry: bool
    features: Mapping[str, str]


@record
class FeatureEffect:
    """What a feature of posts goes with.

    Args:
        n: Posts that have it; `others` have not.
        effect: Shrunken mean of their differences; exp(effect) - 1 is the gain in counts.
        low, high: The interval that holds 80 % of the time.
        verdict: helps, hurts or unclear.
    """

    feature: str
    value: str
    n: int
    others: int
    effect: float
    low: float
    high: float
    verdict: str


SCORES: Final = """
    SELECT * FROM botticelli_scores(%(destination)s, %(zone)s, %(like)s, %(reply)s, %(repost)s)
"""
EFFECTS: Final = """
    SELECT * FROM botticelli_effects(%(destination)s, %(zone)s, %(like)s, %(reply)s, %(repost)s)
"""


def _values(destination: str, zone: str, weights: LearningConfig) -> dict[str, Any]:
    return {
        "destination": destination,
        "zone": zone,
        "like": weights.like,
        "reply": weights.reply,
        "repost": weights.repost,
    }


def read_scores(
    conn: Connection, destination: str, *, zone: str, weights: LearningConfig
) -> list[PostScore]:
    """Return the scored posts of a destination, oldest first. One query."""
    return fetch_all(conn, PostScore, SCORES, _values(destination, zone, weights))


def read_effects(
    conn: Connection, destination: str, *, zone: str, weights: LearningConfig
) -> list[FeatureEffect]:
    """Return what each feature of posts goes with at a destination. One query."""
    return fetch_all(conn, FeatureEffect, EFFECTS, _values(destination, zone, weights))
