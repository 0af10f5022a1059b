"""What `health` judges, in one statement that touches only indexes and small tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.rows import kwargs_row

from botticelli.config.model import Config, StageName
from botticelli.records import record
from botticelli.store.connection import Connection


@record
class StageHealth:
    """A stage.

    Args:
        late_at: When it counts as late; None while it is paused.
        refused: What its last start ended with because something has to be fixed; None: it did not.
    """

    name: StageName
    is_paused: bool
    breaker_open: bool
    consecutive_failures: int
    last_run: datetime | None
    last_success: datetime | None
    late_at: datetime | None
    refused: str | None


@record
class ModelLeft:
    """The share of a model's day that is left, in percent; None if its day has no limit."""

    model: str
    left_percent: float | None


@record
class DestinationQueue:
    """What waits for a destination.

    Args:
        waiting: Deliveries that the platform would accept now.
        waiting_since: When the oldest of them was planned.
        uncertain: The oldest delivery whose sender is gone, and since when; None if there is none.
        recent: When something was posted there lately, newest first; as ISO 8601.
    """

    destination: str
    waiting: int
    waiting_since: datetime | None
    uncertain: int | None
    uncertain_since: datetime | None
    recent: Sequence[str]


@record
class HealthFacts:
    """Everything at one instant of the database's clock.

    Args:
        last_errors: Why a stage failed last, by its name; None if it has not.
        impossible: Where instants stand that no right clock can have written, with the latest.
        candidates, posts, held: How many wait for the judge, to be sent, for a person.
    """

    now: datetime
    candidates: int
    posts: int
    held: int
    last_errors: Mapping[str, str | None]
    stages: tuple[StageHealth, ...]
    queues: tuple[DestinationQueue, ...]
    models: tuple[ModelLeft, ...]
    impossible: Mapping[str, str]


# A stage that has never run, or was paused or resumed since its last run, has its time as well.
STAGES_SQL: Final = """
    SELECT c.name,
           coalesce(s.is_paused, false) AS is_paused,
           s.circuit_opened_at IS NOT NULL AS breaker_open,
           coalesce(s.consecutive_failures, 0) AS consecutive_failures,
           s.last_run,
           s.last_success,
           CASE WHEN l.exit_code = 78 THEN coalesce(l.error, '') END AS refused,
           CASE WHEN s.is_paused THEN NULL
                ELSE greatest(s.last_success,
                              CASE WHEN s.last_run IS NULL OR s.updated_at > s.last_run
                                   THEN s.updated_at END,
                              (SELECT coalesce(min(applied_at), botticelli_now())
                                 FROM schema_version))
                     + c.every * %(late_factor)s::double precision END AS late_at
      FROM unnest(%(stages)s::text[], %(intervals)s::interval[])
           WITH ORDINALITY AS c (name, every, ordinal)
      LEFT JOIN actor_server_state AS s
        ON s.task_id = c.name
      LEFT JOIN LATERAL (SELECT r.exit_code, r.error
                           FROM runs AS r
                          WHERE r.stage = c.name
                          ORDER BY r.started_at DESC
                          LIMIT 1) AS l
        ON true
     ORDER BY c.ordinal
"""
QUEUES_SQL: Final = """
    SELECT d.destination,
           count(*) FILTER (WHERE d.state = 'pending') AS waiting,
           min(greatest(d.created_at, d.scheduled_for, p.not_before))
           FILTER (WHERE d.state = 'pending') AS waiting_since,
           (array_agg(d.id ORDER BY coalesce(d.sent_at, d.lease_expires_at))
            FILTER (WHERE d.state = 'sending'))[1] AS uncertain,
           min(coalesce(d.sent_at, d.lease_expires_at))
           FILTER (WHERE d.state = 'sending') AS uncertain_since,
           ARRAY (SELECT l.posted_at
                    FROM deliveries AS l
                   WHERE l.destination = d.destination
                     AND l.posted_at IS NOT NULL
                   ORDER BY l.posted_at DESC
                   LIMIT %(recent)s) AS recent
      FROM deliveries AS d
      JOIN approved_discord_posts AS p
        ON p.id = d.post_id
     WHERE d.state = 'sending' AND d.lease_expires_at <= botticelli_now()
        OR d.state = 'pending'
           AND p.review_status IN ('pending', 'posting')
           AND (d.retry_at IS NULL OR d.retry_at <= botticelli_now())
     GROUP BY d.destination
"""
MODELS_SQL: Final = """
    SELECT a.key AS model,
           CASE WHEN a.blocked_why = 'day' AND a.blocked_until > botticelli_now() THEN 0
                WHEN l.share < 0 THEN 0
                ELSE round(1000 * l.share) / 10 END AS left_percent
      FROM ledger AS a
     CROSS JOIN LATERAL (SELECT (botticelli_now() AT TIME ZONE a.time_zone)::date AS today) AS d
     CROSS JOIN LATERAL (
           SELECT CASE a.day WHEN d.today THEN a.day_requests
                             WHEN d.today - 1 THEN a.next_requests ELSE 0 END AS requests,
                  CASE a.day WHEN d.today THEN a.day_tokens
                             WHEN d.today - 1 THEN a.next_tokens ELSE 0 END AS tokens) AS used
     CROSS JOIN LATERAL (
           SELECT least(1 - used.requests / nullif(a.rpd, 0)::double precision,
                        1 - used.tokens / nullif(a.tpd, 0)::double precision) AS share) AS l
     ORDER BY a.key
"""
FACTS: Final = f"""
    SELECT botticelli_now() AS now,
           (SELECT count(*) FROM potential_discord_posts
             WHERE review_status IN ('pending', 'judging') AND judged_at IS NULL) AS candidates,
           (SELECT count(*) FROM approved_discord_posts
             WHERE review_status IN ('pending', 'posting')) AS posts,
           (SELECT count(*) FROM deliveries WHERE state IN ('held', 'failed')) AS held,
           (SELECT jsonb_object_agg(task_id, last_error) FROM actor_server_state) AS last_errors,
           (SELECT jsonb_agg(to_jsonb(s)) FROM ({STAGES_SQL}) AS s) AS stages,
           (SELECT jsonb_agg(to_jsonb(q)) FROM ({QUEUES_SQL}) AS q) AS queues,
           (SELECT jsonb_agg(to_jsonb(m)) FROM ({MODELS_SQL}) AS m) AS models,
           (SELECT coalesce(jsonb_object_agg(i.place, i.latest), '{{}}')
              FROM botticelli_impossible(false) AS i) AS impossible
"""  # noqa: S608 - all parts are constants
TIMES: Final = frozenset(
    {"last_run", "last_success", "late_at", "waiting_since", "uncertain_since"}
)


def read_facts(conn: Connection, config: Config) -> HealthFacts:
    """Return what `health` judges. One statement, which changes nothing."""
    recent = [place.posts_per_day or 1 for place in config.destinations.values()]
    values = {
        "stages": list(config.stages),
        "intervals": [config.schedules[name].interval for name in config.stages],
        "late_factor": config.health.late_factor,
        "recent": max((*recent, 1)),  # how many posting times each destination's rules have to know
    }
    with conn.cursor(row_factory=kwargs_row(_facts)) as cursor:
        facts = cursor.execute(FACTS, values).fetchone()
    assert facts is not None
    return facts


def _facts(
    *, last_errors: Any, stages: Any, queues: Any, models: Any, **counts: Any
) -> HealthFacts:
    return HealthFacts(
        last_errors=last_errors or {},
        stages=tuple(StageHealth(**_timed(one)) for one in stages or ()),
        queues=tuple(DestinationQueue(**_timed(one)) for one in queues or ()),
        models=tuple(_model(**one) for one in models or ()),
        **counts,
    )


def _timed(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return what came as JSON with its times as such."""
    return {
        name: datetime.fromisoformat(value) if value and name in TIMES else value
        for name, value in columns.items()
    }


def _model(*, model: str, left_percent: float | None) -> ModelLeft:
    left = None if left_percent is None else float(left_percent)  # JSON has no 0.0
    return ModelLeft(model=model, left_percent=left)
