"""What `health` reads, in one statement that touches only indexes and small tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection


@record
class Pulse:
    """A stage as it stands; times are None if never.

    Args:
        changed_at: When somebody paused or resumed it after its last run; None: nobody has.
    """

    is_paused: bool
    circuit_opened_at: datetime | None
    consecutive_failures: int
    last_success: datetime | None
    last_error: str | None
    changed_at: datetime | None


@record
class Line:
    """What waits for a destination.

    Args:
        waiting: Deliveries that may be sent as far as the platform goes.
        waiting_since: When the oldest of them was planned.
        uncertain: The oldest delivery whose sender is gone, and since when; None: there is none.
        recent: When something was posted there lately, newest first.
    """

    destination: str
    waiting: int
    waiting_since: datetime | None
    uncertain: int | None
    uncertain_since: datetime | None
    recent: Sequence[datetime]


@record
class Spending:
    """What a model may still use of its provider's day: shares of 1; None: that is not limited."""

    model: str
    requests_left: float | None
    tokens_left: float | None
    is_closed: bool


@record
class Vitals:
    """Everything at one instant of the database's clock."""

    now: datetime
    installed_at: datetime
    stages: Mapping[str, Pulse]
    candidates: int
    posts: int
    held: int
    lines: tuple[Line, ...]
    spending: tuple[Spending, ...]


VITALS: Final = """
    WITH t AS (SELECT botticelli_now() AS now)
    SELECT t.now,
           (SELECT coalesce(min(applied_at), t.now) FROM schema_version) AS installed_at,
           (SELECT jsonb_object_agg(s.task_id, jsonb_build_object(
                       'is_paused', s.is_paused,
                       'circuit_opened_at', s.circuit_opened_at,
                       'consecutive_failures', s.consecutive_failures,
                       'last_success', s.last_success,
                       'last_error', s.last_error,
                       'changed_at', CASE WHEN s.last_run IS NULL OR s.updated_at > s.last_run
                                          THEN s.updated_at END))
              FROM actor_server_state AS s) AS stages,
           (SELECT count(*) FROM potential_discord_posts
             WHERE review_status IN ('pending', 'judging') AND judged_at IS NULL) AS candidates,
           (SELECT count(*) FROM approved_discord_posts
             WHERE review_status IN ('pending', 'posting')) AS posts,
           (SELECT count(*) FROM deliveries WHERE state IN ('held', 'failed')) AS held,
           (SELECT jsonb_agg(to_jsonb(q)) FROM (
                SELECT d.destination,
                       count(*) FILTER (WHERE d.state = 'pending') AS waiting,
                       min(d.created_at) FILTER (WHERE d.state = 'pending') AS waiting_since,
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
                 WHERE d.state = 'sending' AND d.lease_expires_at <= t.now
                    OR d.state = 'pending'
                       AND p.review_status IN ('pending', 'posting')
                       AND (d.retry_at IS NULL OR d.retry_at <= t.now)
                 GROUP BY d.destination) AS q) AS lines,
           (SELECT jsonb_agg(jsonb_build_object(
                       'model', a.key,
                       'requests_left', 1 - used.requests / nullif(a.rpd, 0)::float8,
                       'tokens_left', 1 - used.tokens / nullif(a.tpd, 0)::float8,
                       'is_closed', a.blocked_why = 'day' AND a.blocked_until > t.now)
                   ORDER BY a.key)
              FROM ledger AS a
             CROSS JOIN LATERAL (SELECT (t.now AT TIME ZONE a.time_zone)::date AS today) AS d
             CROSS JOIN LATERAL (
                   SELECT CASE a.day WHEN d.today THEN a.day_requests
                                     WHEN d.today - 1 THEN a.next_requests ELSE 0 END AS requests,
                          CASE a.day WHEN d.today THEN a.day_tokens
                                     WHEN d.today - 1 THEN a.next_tokens ELSE 0 END AS tokens
                   ) AS used) AS spending
      FROM t
"""
TIMES: Final = frozenset(
    (
        *("circuit_opened_at", "last_success", "changed_at"),
        *("waiting_since", "uncertain_since"),
    )
)


@record
class _Row:
    now: datetime
    installed_at: datetime
    stages: Mapping[str, Mapping[str, Any]] | None
    candidates: int
    posts: int
    held: int
    lines: Sequence[Mapping[str, Any]] | None
    spending: Sequence[Mapping[str, Any]] | None


def read_vitals(conn: Connection, *, recent: int = 1) -> Vitals:
    """Return what `health` judges. One statement, which changes nothing.

    `recent` is how many posting times each destination's rules have to know.
    """
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        row = cursor.execute(VITALS, {"recent": recent}).fetchone()
    assert row is not None
    return Vitals(
        now=row.now,
        installed_at=row.installed_at,
        stages={name: Pulse(**_timed(one)) for name, one in (row.stages or {}).items()},
        candidates=row.candidates,
        posts=row.posts,
        held=row.held,
        lines=tuple(
            Line(**_timed(one) | {"recent": tuple(map(datetime.fromisoformat, one["recent"]))})
            for one in row.lines or ()
        ),
        spending=tuple(Spending(**one) for one in row.spending or ()),
    )


def _timed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what came as JSON with its times as such."""
    return {
        name: datetime.fromisoformat(value) if value and name in TIMES else value
        for name, value in facts.items()
    }
