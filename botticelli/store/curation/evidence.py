"""What readers' reactions say of posts: rows for effects and experiments. Reads only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

from botticelli.config.model import Config
from botticelli.learning.effects import Effect, Evidence, effects_of
from botticelli.learning.trials import ArmPost
from botticelli.schedule.hours import first_instant, zone_of
from botticelli.store.connection import Connection, fetch_all

# What botticelli_scores says of posts, and of candidates before they are posts; `c`: the candidate.
KINDS: Final = """
    jsonb_strip_nulls(jsonb_build_object(
        'angle', coalesce(c.source_narrative, c.content_type), 'theme', c.theme,
        'length', CASE WHEN length(c.text_content) < 280 THEN 'short'
                       WHEN length(c.text_content) < 800 THEN 'medium' ELSE 'long' END))
"""
SCORED: Final = "botticelli_scores(%(destination)s, %(zone)s, %(like)s, %(reply)s, %(repost)s) AS s"
EVIDENCE: Final = f"""
    SELECT p.text_content AS text, s.difference AS residual, s.features AS kinds,
           extract(epoch FROM %(until)s - s.posted_at)::double precision / 86400 AS days
      FROM {SCORED}
      JOIN approved_discord_posts AS p
        ON p.id = s.post_id
     WHERE NOT s.is_angry
       AND s.posted_at < %(until)s
"""  # noqa: S608 - all parts are constants
ARM_POSTS: Final = f"""
    SELECT s.features ->> %(feature)s AS arm, s.y,
           CASE WHEN extract(isodow FROM s.posted_at AT TIME ZONE %(zone)s) > 5
                THEN 'weekend ' ELSE 'weekday ' END || (s.features ->> 'hours') AS stratum
      FROM {SCORED}
     WHERE s.features ? %(feature)s
       AND NOT (s.is_angry AND %(calm)s)
"""  # noqa: S608 - all parts are constants


def _values(config: Config, destination: str) -> dict[str, Any]:
    weights, place = config.learning, config.destinations.get(destination)
    return {
        "destination": destination,
        "zone": place.time_zone if place else config.time_zone,
        **{name: getattr(weights, name) for name in ("like", "reply", "repost")},
    }


def list_evidence(conn: Connection, config: Config, *, now: datetime) -> Sequence[Evidence]:
    """Return what was learned of posts up to now, or to the end of the day of `learning.freeze`.

    Those that may have made people angry are left out. A query for each destination.
    """
    until = now
    if config.learning.freeze:
        day = config.learning.freeze + timedelta(days=1)
        until = min(now, first_instant(day, time(0), zone_of(config.time_zone)))
    return [
        one
        for name in config.destinations
        for one in fetch_all(conn, Evidence, EVIDENCE, _values(config, name) | {"until": until})
    ]


def effects_now(
    conn: Connection, config: Config, *, now: datetime
) -> Mapping[tuple[str, str], Effect]:
    """Return the effects of angle, theme and length: what feedback goes by."""
    return effects_of(list_evidence(conn, config, now=now), ("angle", "theme", "length"))


def list_arm_posts(
    conn: Connection, config: Config, experiment: str, *, calm: bool = False
) -> Sequence[ArmPost]:
    """Return the posts of an experiment that have a result, in the order in which they went out.

    `calm`: without those that may have made people angry. A test keeps them: which these are can
    change with later posts, and a verdict does not.
    """
    values = _values(config, config.decides(config.experiments[experiment]))
    values |= {"feature": f"experiment.{experiment}", "calm": calm}
    return fetch_all(conn, ArmPost, ARM_POSTS, values)


SLOTS: Final = """
    SELECT block, count(*), max(slot)
      FROM experiment_slots
     WHERE experiment = %(experiment)s
     GROUP BY block
"""


def count_slots(conn: Connection, experiment: str) -> tuple[Counter[str], int]:
    """Return how many slots of each block have an arm, and the number of the next slot."""
    rows = conn.execute(SLOTS, {"experiment": experiment}).fetchall()
    return Counter({row[0]: row[1] for row in rows}), 1 + max((row[2] for row in rows), default=0)
