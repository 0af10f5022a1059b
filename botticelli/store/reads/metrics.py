"""What `metrics` reads, mostly from the views of schema.sql. Nothing is changed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, TypeAlias

import psycopg

from botticelli.store.connection import Connection

Samples: TypeAlias = Mapping[tuple[str, ...], float]
"""The values of one metric by their labels."""

# Statement -> how many of its first columns are labels. Each further column is a metric, without
# "botticelli_" in front; where it is null, the metric has no such sample.
STATEMENTS: Final[Mapping[str, int]] = {
    """
    SELECT (SELECT max(version) FROM schema_version) AS schema_version,
           extract(epoch FROM botticelli_now()) AS metrics_timestamp_seconds,
           pg_database_size(current_database()) AS database_size_bytes,
           (SELECT count(*) FROM command_approvals
             WHERE state = 'pending' AND expires_at > botticelli_now())
               AS command_approvals_pending
    """: 0,
    """
    SELECT stage,
           is_paused::integer AS stage_paused,
           breaker_open::integer AS stage_breaker_open,
           (running_since IS NOT NULL)::integer AS stage_running,
           consecutive_failures AS stage_consecutive_failures,
           extract(epoch FROM last_run) AS stage_last_run_timestamp_seconds,
           extract(epoch FROM last_success) AS stage_last_success_timestamp_seconds,
           extract(epoch FROM last_failure) AS stage_last_failure_timestamp_seconds,
           extract(epoch FROM last_success_duration) AS stage_last_success_duration_seconds
      FROM stage_health
    """: 1,
    "SELECT stage, outcome, runs FROM run_totals": 2,
    """
    SELECT queue, state, count AS queue_depth
      FROM queue_depths
     WHERE queue IN ('candidates', 'approved')
        OR queue = 'items' AND state IN ('pending', 'running')
    """: 2,
    "SELECT destination, state, count AS deliveries FROM delivery_states": 2,
    """
    SELECT destination,
           greatest(0, extract(epoch FROM botticelli_now() - min(waiting_since)))
               AS delivery_waiting_age_seconds
      FROM delivery_states
     GROUP BY destination
    """: 1,
    """
    SELECT destination,
           greatest(0, extract(epoch FROM botticelli_now() - min(stuck_since)))
               AS delivery_stuck_age_seconds
      FROM stuck_deliveries
     GROUP BY destination
    """: 1,
    """
    SELECT name, sum(total) AS posts_published
      FROM counted_rows
     WHERE what = 'deliveries'
       AND is_posted
     GROUP BY name
    """: 1,
    """
    SELECT candidates,
           approved AS posts_approved,
           (SELECT sum(input_tokens + output_tokens + thought_tokens)
                   / nullif(sum(total) FILTER (WHERE what = 'approved'), 0)
              FROM counted_rows
             WHERE what IN ('calls', 'approved')
               AND day > (botticelli_now() AT TIME ZONE 'UTC')::date - 30)
               AS tokens_per_approved_post
      FROM post_totals
    """: 0,
    """
    SELECT provider, model, state, calls AS model_calls
      FROM call_totals
     ORDER BY provider, model
    """: 3,
    """
    SELECT c.provider, c.model, t.kind, sum(t.tokens) AS model_tokens
      FROM call_totals AS c
     CROSS JOIN LATERAL (VALUES (1, 'input', c.input_tokens - c.cached_tokens),
                                (2, 'cached', c.cached_tokens),
                                (3, 'output', c.output_tokens),
                                (4, 'thought', c.thought_tokens)) AS t (position, kind, tokens)
     GROUP BY c.provider, c.model, t.kind, t.position
     ORDER BY c.provider, c.model, t.position
    """: 3,
    """
    SELECT provider, model, sum(cost_usd) AS model_cost_usd
      FROM call_totals
     GROUP BY provider, model
     ORDER BY provider, model
    """: 2,
}


def read_samples(conn: Connection) -> dict[str, Samples]:
    """Return the samples by metric. One transaction; SELECT on all tables is enough."""
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    with conn.transaction():
        for statement, labels in STATEMENTS.items():
            cursor = conn.execute(statement)
            names = [column.name for column in cursor.description or ()]
            for row in cursor:
                for name, value in zip(names[labels:], row[labels:], strict=True):
                    if value is not None:
                        found[name][row[:labels]] = float(value)
    conn.isolation_level = conn.read_only = None
    return {**found}
