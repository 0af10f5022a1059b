"""What can be learned: figures, what readers did, how the judge agrees with people."""

from collections.abc import Iterator, Mapping
from math import expm1
from statistics import fmean
from typing import Any

from botticelli.config.model import Config, Destination
from botticelli.learning.trials import verdict
from botticelli.records import record
from botticelli.reports.judge_agreement import JudgeAgreement, judge_agreement
from botticelli.store.connection import Connection
from botticelli.store.curation.evidence import list_arm_posts
from botticelli.store.reads.engagement import (
    LEAST,
    FeatureEffect,
    PostScore,
    read_effects,
    read_scores,
)
from botticelli.store.reads.figures import Figures, read_figures

SHOWN = 5  # best and worst posts


@record
class ReaderInsights:
    """What readers did at one destination.

    Args:
        n: Posts with a score: looked at when they were 24 hours old.
        best, worst: Posts by percentile; angry ones are no success.
        angry: Posts with far more replies than usual for their likes: for a person to look at.
        effects: What goes with more, or less, of it.
        hours: Hours of the day that readers liked most, if that is known at all.
    """

    destination: str
    n: int
    best: tuple[PostScore, ...] = ()
    worst: tuple[PostScore, ...] = ()
    angry: tuple[PostScore, ...] = ()
    effects: tuple[FeatureEffect, ...] = ()

    @property
    def note(self) -> str:
        """Why nothing is said; empty if something is."""
        return f"not enough data ({self.n} of {LEAST})" if self.n < LEAST else ""

    @property
    def hours(self) -> tuple[FeatureEffect, ...]:
        """The effects of hours, best first, of at least five posts each: to be tried, not taken."""
        found = [one for one in self.effects if one.feature == "hours" and one.n >= 5]
        return tuple(sorted(found, key=lambda one: -one.effect))


@record
class Insights:
    """What `botticelli insights` shows."""

    figures: Figures
    readers: tuple[ReaderInsights, ...]
    agreement: JudgeAgreement
    experiments: tuple[Mapping[str, Any], ...] = ()


def read_insights(conn: Connection, config: Config, *, days: int) -> Insights:
    """Return what can be learned; figures of the last days, scores of a year. Reads only."""
    figures = read_figures(
        conn, days=days, zone=config.time_zone, threshold=config.curate.min_score
    )
    return Insights(
        figures=figures,
        readers=tuple(_readers(conn, config)),
        agreement=judge_agreement(conn),
        experiments=tuple(
            row for one in config.experiments for row in experiment_rows(conn, config, one)
        ),
    )


def _readers(conn: Connection, config: Config) -> Iterator[ReaderInsights]:
    for place in config.destinations.values():
        yield read_readers(conn, config, place)


def read_readers(conn: Connection, config: Config, place: Destination) -> ReaderInsights:
    """Return what readers did at a destination. Reads only."""
    zone, weights = place.time_zone, config.learning
    scores = read_scores(conn, place.name, zone=zone, weights=weights)
    if len(scores) < LEAST:
        return ReaderInsights(destination=place.name, n=len(scores))
    calm = sorted((one for one in scores if not one.is_angry), key=lambda one: one.difference)
    return ReaderInsights(
        destination=place.name,
        n=len(scores),
        best=tuple(reversed(calm[-SHOWN:])),
        worst=tuple(calm[:SHOWN]),
        angry=tuple(one for one in scores if one.is_angry)[-SHOWN:],
        effects=tuple(read_effects(conn, place.name, zone=zone, weights=weights)),
    )


def experiment_rows(conn: Connection, config: Config, name: str) -> list[Mapping[str, Any]]:
    """Return a row for each arm of an experiment; the first one tells the result. Reads only."""
    one = config.experiments[name]
    posts = list_arm_posts(conn, config, name)
    found = verdict(name, one.arms, posts, wanted=one.posts, rule=one.rule)
    proves = "earns while it learns; proves nothing" if one.mode == "thompson" else found.words
    result = f"over: '{one.use}' is used" if one.use else proves
    told = {"mode": one.mode, "rule": one.rule, **vars(found), "needed": found.needed}
    values = {arm: [expm1(each.y) for each in posts if each.arm == arm] for arm in one.arms}
    return [
        {
            "experiment": name,
            "arm": arm,
            "posts": len(each),
            "mean": fmean(each) if each else None,
            **(told | {"result": result} if arm == one.arms[0] else {"result": ""}),
        }
        for arm, each in values.items()
    ]


def gain(effect: float) -> str:
    """Return an effect on logarithms as a gain in counts: "+12 %"."""
    return f"{expm1(effect):+.0%}".replace("%", " %")


def effect_words(one: FeatureEffect) -> str:
    """Return an effect with its interval and number of cases."""
    return f"{gain(one.effect)} ({gain(one.low)} to {gain(one.high)}), {one.n} posts: {one.verdict}"
