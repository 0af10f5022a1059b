"""What runs were: read only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one
from botticelli.store.leases import Identity


@record
class PastRun:
    """A run.

    Args:
        state: running, done, failed or interrupted.
        seconds: How long it took, or has taken so far.
        calls, tokens, cost_usd: What it asked of models; tokens in and out, US dollars.
    """

    id: int
    stage: str
    state: str
    host: str
    pid: int
    started_at: datetime
    ended_at: datetime | None
    seconds: float
    exit_code: int | None
    error: str | None
    summary: Mapping[str, Any]
    calls: int
    tokens: int
    cost_usd: Decimal


# Who is at work holds the stage's lock: without it, a run was killed and nobody has noticed yet.
RUNS: Final = """
    SELECT r.id, r.stage, r.host, r.pid, r.started_at, r.ended_at, r.exit_code, r.summary,
           CASE WHEN r.is_dead THEN 'interrupted' ELSE r.state END AS state,
           CASE WHEN r.is_dead THEN 'killed: nothing is heard of it any more'
                ELSE r.error END AS error,
           extract(epoch FROM coalesce(r.ended_at, botticelli_now())
                              - r.started_at)::float8 AS seconds,
           a.calls, a.tokens, a.cost_usd
      FROM (SELECT *,
                   state = 'running' AND stage <> 'run' AND NOT EXISTS (
                       SELECT FROM locks AS l
                        WHERE l.run_id = runs.id
                          AND l.expires_at > botticelli_now()) AS is_dead
              FROM runs
             WHERE (%(id)s::bigint IS NULL OR id = %(id)s)
               AND (%(stage)s::text IS NULL OR stage = %(stage)s)
             ORDER BY started_at DESC, id DESC
             LIMIT %(limit)s) AS r
     CROSS JOIN LATERAL (
           SELECT count(*) AS calls,
                  coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
                               + coalesce(thought_tokens, 0)), 0)::bigint AS tokens,
                  coalesce(sum(cost_usd), 0) AS cost_usd
             FROM act_executions
            WHERE run_id = r.id) AS a
     ORDER BY r.started_at DESC, r.id DESC
"""


def past_runs(
    conn: Connection, *, run: int | None = None, stage: str | None = None, limit: int = 20
) -> Sequence[PastRun]:
    """Return the latest runs, newest first; only one of that id or stage if named."""
    values = {"id": run, "stage": stage, "limit": limit}
    return fetch_all(conn, PastRun, RUNS, values)


@record
class OwnRun:
    """How a process's own run ended, and whether the stage's breaker is open after it."""

    id: int
    state: str
    exit_code: int | None
    error: str | None
    summary: Mapping[str, Any]
    breaker_open: bool


OWN: Final = """
    SELECT r.id, r.state, r.exit_code, r.error, r.summary,
           s.circuit_opened_at IS NOT NULL AND s.circuit_opened_at >= r.started_at
               AS breaker_open
      FROM runs AS r
      LEFT JOIN actor_server_state AS s
        ON s.task_id = r.stage
     WHERE r.stage = %(stage)s
       AND (%(host)s::text IS NULL OR r.host = %(host)s AND r.pid = %(pid)s)
       AND r.id > %(after)s
     ORDER BY r.id DESC
     LIMIT 1
"""


def own_run(
    conn: Connection, stage: str, *, identity: Identity | None = None, after: int = 0
) -> OwnRun | None:
    """Return the last run of a stage, by that process if one is named, with an id above `after`."""
    values = {
        "stage": stage,
        "host": identity.host if identity else None,
        "pid": identity.pid if identity else None,
        "after": after,
    }
    return fetch_one(conn, OwnRun, OWN, values)


@record
class RunStep:
    """One thing that a run did.

    Args:
        what: act, candidate, judged, set aside, approved, delivery, command or table.
        name: Of the act or command; what else it is about, with its id.
        state: How it ended, or how it stands now.
        seconds, tokens, cost_usd: None: it took none, or that is not known.
        detail: The first words of a text, a link, a model.
        error: What went wrong, or why it was decided so.
    """

    at: datetime
    what: str
    name: str
    state: str
    seconds: float | None
    tokens: int | None
    cost_usd: Decimal | None
    detail: str | None
    error: str | None


# Deliveries do not know their run, but the lock leaves one post run at a time: what was settled
# while it lasted, and by no person, was its work. The same holds for scores.
STEPS: Final = """
    WITH run AS (
        SELECT id, stage, started_at, coalesce(ended_at, 'infinity') AS ended_at
          FROM runs
         WHERE id = %(run)s
    )
    SELECT e.created_at AS at, 'act' AS what,
           concat_ws(' ', e.narrative || '.' || e.act_name, e.iteration,
                     CASE WHEN e.attempt > 1 THEN '(try ' || e.attempt || ')' END) AS name,
           e.state, e.latency_ms / 1000.0::float8 AS seconds,
           coalesce(e.input_tokens, 0) + coalesce(e.output_tokens, 0)
               + coalesce(e.thought_tokens, 0) AS tokens,
           e.cost_usd, coalesce(e.model_version, e.model) AS detail,
           coalesce(e.error, CASE WHEN e.state <> 'done' OR lower(e.finish_reason) <> 'stop'
                                  THEN e.finish_reason END) AS error
      FROM run JOIN act_executions AS e ON e.run_id = run.id
    UNION ALL
    SELECT c.generated_at, 'candidate', 'candidate ' || c.id, c.review_status,
           NULL, NULL, NULL, left(c.text_content, 200), NULL
      FROM run JOIN potential_discord_posts AS c ON c.run_id = run.id
    UNION ALL
    SELECT c.judged_at, 'judged', 'candidate ' || c.id,
           c.review_status || coalesce(', ' || trim_scale(c.curation_score) || ' of 50', ''),
           NULL, NULL, NULL, left(c.text_content, 200), NULL
      FROM run
      JOIN potential_discord_posts AS c
        ON run.stage = 'curate' AND c.judged_at BETWEEN run.started_at AND run.ended_at
    UNION ALL
    SELECT c.decided_at, 'set aside', 'candidate ' || c.id, c.review_status,
           NULL, NULL, NULL, left(c.text_content, 200), c.curation_notes
      FROM run
      JOIN potential_discord_posts AS c
        ON run.stage = 'curate' AND c.decided_at BETWEEN run.started_at AND run.ended_at
       AND c.decided_by = 'auto' AND c.judged_at IS NULL
    UNION ALL
    SELECT p.selected_at, 'approved', 'post ' || p.id, p.review_status,
           NULL, NULL, NULL, left(p.text_content, 200), NULL
      FROM run JOIN approved_discord_posts AS p ON p.run_id = run.id
    UNION ALL
    SELECT botticelli_time(h ->> 'at'), 'delivery',
           'delivery ' || d.id || ' (post ' || d.post_id || ') to ' || d.destination,
           h ->> 'event', NULL, NULL, NULL,
           CASE h ->> 'event' WHEN 'posted' THEN coalesce(d.remote_url, d.remote_id) END,
           h ->> 'note'
      FROM run
     CROSS JOIN LATERAL (
           SELECT *
             FROM deliveries
            WHERE posted_at BETWEEN run.started_at - interval '1 day' AND run.ended_at
            UNION ALL
           SELECT *
             FROM deliveries
            WHERE (attempts > 1 OR posted_at IS NULL)
              AND created_at <= run.ended_at
              AND (posted_at BETWEEN run.started_at - interval '1 day' AND run.ended_at)
                  IS NOT TRUE) AS d
     CROSS JOIN jsonb_path_query(d.history, '$[*]') AS h
     WHERE run.stage = 'post'
       AND NOT h ? 'by'
       AND botticelli_time(h ->> 'at') BETWEEN run.started_at AND run.ended_at
    UNION ALL
    SELECT a.at, 'command', a.platform || ' ' || a.command, concat_ws(', ', a.decision, a.outcome),
           extract(epoch FROM a.ended_at - a.at)::float8, NULL, NULL, a.result_id,
           coalesce(a.error, nullif(a.reason, ''))
      FROM run JOIN command_audit AS a ON a.run_id = run.id
    UNION ALL
    SELECT g.generated_at, 'table', g.table_name,
           concat_ws(', ', g.status,
                     g.row_count || CASE g.row_count WHEN 1 THEN ' row' ELSE ' rows' END),
           g.generation_duration_ms / 1000.0::float8, NULL, NULL, g.narrative_name, g.error_message
      FROM run JOIN content_generations AS g ON g.run_id = run.id
     ORDER BY 1, 2, 3
"""


def steps_of(conn: Connection, run: int) -> Sequence[RunStep]:
    """Return what a run did, in the order of time."""
    return fetch_all(conn, RunStep, STEPS, {"run": run})
