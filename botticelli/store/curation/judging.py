"""Candidates before the judge: claimed in batches, scored, given back.

A scored candidate waits as 'pending' with `judged_at` set; a run killed before its choice leaves it
to the choice of the next one. Nothing is ever deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.adapters import shaped
from botticelli.store.connection import Connection, fetch_all, repeatable
from botticelli.store.curation.duplicates import NearText
from botticelli.store.queue import CANDIDATES, HASTY, Claim, settling_ours
from botticelli.text import counted

CRITERIA: Final = ("engagement", "clarity", "value", "tone", "polish")


@record
class Candidate:
    """A candidate that is claimed for judging.

    Args:
        samples: Earlier passes of the judge over it.
        near: What it may repeat.
        source_text: Title and text of what it was made of; empty: of nothing from outside.
    """

    id: int
    fence: int
    text_content: str | None
    content_type: str | None
    tags: Any
    source_narrative: str | None
    attempts: int
    samples: Sequence[Mapping[str, Any]] = ()
    near: Sequence[NearText] = ()
    source_text: str = ""

    @property
    def claim(self) -> Claim:
        """The proof that the candidate is ours."""
        return Claim(id=self.id, fence=self.fence)


# Two that claim at once would share the rows out between them: two half batches, two calls.
ONE_AT_A_TIME: Final = f"""
    SELECT pg_advisory_xact_lock(hashtextextended('botticelli candidates', 0)), {HASTY}
"""
CLAIM: Final = """
    WITH next AS MATERIALIZED (
        SELECT id
          FROM potential_discord_posts
         WHERE review_status IN ('pending', 'judging')
           AND judged_at IS NULL
           AND (lease_expires_at IS NULL
                OR lease_expires_at <= botticelli_now())
           AND id <> ALL (%(passed_over)s::bigint[])
         ORDER BY id
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE potential_discord_posts AS c
           SET review_status = 'judging',
               fence = c.fence + 1,
               lease_owner = %(owner)s,
               lease_expires_at = botticelli_now() + %(lease)s
          FROM next
         WHERE c.id = next.id
        RETURNING c.id, c.fence, c.text_content, c.content_type, c.tags, c.source_narrative,
                  c.attempts,
                  CASE WHEN c.judge_model IS NOT NULL
                        AND botticelli_is_as_approved(c.text_content, c.judging ->> 'text_hash')
                       THEN c.judging -> 'samples' END AS samples,
                  coalesce((SELECT i.title || E'\n' || i.text
                              FROM source_items AS i
                             WHERE i.id = c.source_item_id), '') AS source_text
    )
    SELECT * FROM claimed ORDER BY id
"""


@repeatable()
def claim_batch(
    conn: Connection, *, owner: str, limit: int, lease: timedelta, passed_over: Iterable[int] = ()
) -> tuple[Candidate, ...]:
    """Lease the oldest candidates that have no scores yet to `owner`; empty if there are none.

    `passed_over` are not taken: they were tried in this run. One transaction; two callers never
    get the same row, nor less than a whole batch while there are as many.
    """
    with conn.transaction(), conn.cursor(row_factory=shaped(Candidate)) as cursor:
        conn.execute(ONE_AT_A_TIME)
        return tuple(
            cursor.execute(
                CLAIM,
                {
                    "owner": owner,
                    "limit": limit,
                    "lease": lease,
                    "passed_over": sorted(passed_over),
                },
            ).fetchall()
        )


WAITING: Final = """
    SELECT id, fence, text_content, content_type, tags, source_narrative, attempts
      FROM potential_discord_posts
     WHERE review_status IN ('pending', 'judging')
       AND judged_at IS NULL
     ORDER BY id
     LIMIT %(limit)s
"""


def peek_waiting(conn: Connection, *, limit: int | None) -> tuple[Candidate, ...]:
    """Return the candidates that would be claimed next, and change nothing."""
    return tuple(fetch_all(conn, Candidate, WAITING, {"limit": limit}))


COUNT_WAITING: Final = """
    SELECT count(*)
      FROM potential_discord_posts
     WHERE review_status IN ('pending', 'judging')
       AND judged_at IS NULL
"""


@repeatable()
def count_waiting(conn: Connection) -> int:
    """Return how many candidates have no scores yet."""
    row = conn.execute(COUNT_WAITING).fetchone()
    return int(row[0]) if row else 0


HELD: Final = "SELECT count(*) FROM potential_discord_posts WHERE review_status = 'held'"


def why_idle(conn: Connection) -> str:
    """Return why nothing can be judged or chosen now. Reads only."""
    if waiting := count_waiting(conn):
        return f"another run is judging {counted(waiting, 'candidate')}"
    row = conn.execute(HELD).fetchone()
    held = f" ({row[0]} held for you: `botticelli review`)" if row and row[0] else ""
    return f"no candidate is pending{held}"


# Scores are of a text. Rows without its hash were judged before version 5.
FORGET_STALE: Final = """
    UPDATE potential_discord_posts
       SET judged_at = NULL,
           score_engagement = NULL,
           score_clarity = NULL,
           score_value = NULL,
           score_tone = NULL,
           score_polish = NULL,
           curation_score = NULL,
           curation_notes = NULL,
           judging = '{}',
           judge_model = NULL,
           decision_reason = 'its text was changed after it was judged'
     WHERE review_status = 'pending'
       AND judged_at IS NOT NULL
       AND NOT botticelli_is_as_approved(text_content, judging ->> 'text_hash')
"""


@repeatable()
def forget_stale_scores(conn: Connection) -> int:
    """Let undecided candidates be judged again whose text was changed since; return how many."""
    with conn.transaction():
        return conn.execute(FORGET_STALE).rowcount


@record
class Scored:
    """A candidate after a pass of the judge.

    Args:
        text: What was judged.
        points: 1 to 10 for each of CRITERIA: the mean of its passes, rounded.
        total: Of 50, from the means before they were rounded.
        notes: For a person.
        judging: All that the scores are made of; its list `samples` has an entry for each pass.
        is_done: No further pass is wanted.
    """

    id: int
    text: str
    points: Mapping[str, int]
    total: float
    notes: str
    judging: Mapping[str, Any]
    is_done: bool = True


STORE_SCORES: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = CASE WHEN new.is_done THEN 'pending' ELSE 'judging' END,
           score_engagement = new.engagement,
           score_clarity = new.clarity,
           score_value = new.value,
           score_tone = new.tone,
           score_polish = new.polish,
           curation_score = new.total,
           curation_notes = new.notes,
           judging = new.judging
                     || jsonb_build_object('text_hash', botticelli_text_hash(new.text)),
           judge_model = nullif(%(model)s, ''),
           judged_at = CASE WHEN new.is_done
                            THEN botticelli_now() END,
           last_error = NULL,
           decision_reason = NULL,
           lease_owner = CASE WHEN new.is_done THEN NULL ELSE c.lease_owner END,
           lease_expires_at = CASE WHEN new.is_done THEN NULL ELSE c.lease_expires_at END
      FROM unnest(%(ids)s::bigint[], %(engagement)s::integer[], %(clarity)s::integer[],
                  %(value)s::integer[], %(tone)s::integer[], %(polish)s::integer[],
                  %(totals)s::numeric[], %(notes)s::text[], %(judging)s::jsonb[],
                  %(is_done)s::boolean[], %(texts)s::text[])
           AS new (id, engagement, clarity, value, tone, polish, total, notes, judging, is_done,
                   text)
     WHERE c.id = new.id
"""


@repeatable(pressing=True)
def store_scores(
    conn: Connection, scores: Sequence[Scored], *, claims: Sequence[Claim], judge_model: str
) -> frozenset[int]:
    """Store what was paid for; give those back as judged that need no further pass.

    Returns the ids of those that are still ours; what a person or another judge has taken
    meanwhile stays as it is. One transaction.
    """
    with settling_ours(conn, CANDIDATES, claims=claims) as held:
        ours = frozenset(claim.id for claim in held)
        stored = [score for score in scores if score.id in ours]
        conn.execute(STORE_SCORES, {**_columns(stored), "model": judge_model})
    return ours


def _columns(scores: Sequence[Scored]) -> dict[str, Any]:
    return {
        **{name: [score.points[name] for score in scores] for name in CRITERIA},
        "ids": [score.id for score in scores],
        "totals": [score.total for score in scores],
        "notes": [score.notes for score in scores],
        "judging": [Jsonb(score.judging) for score in scores],
        "is_done": [score.is_done for score in scores],
        "texts": [score.text for score in scores],
    }


@record
class UnreadAnswer:
    """An answer of the judge that a killed run may have paid for and not read."""

    execution_id: int
    model: str
    prompt: str
    response: str


# A worker stores the scores of an answer before it asks again: only the last ones can be unread.
LEFTOVERS: Final = """
    SELECT e.id AS execution_id, coalesce(nullif(e.model_version, ''), e.model, '') AS model,
           coalesce(e.prompt, '') AS prompt, e.response
      FROM runs AS r
     CROSS JOIN LATERAL (
           SELECT *
             FROM act_executions
            WHERE run_id = r.id
            ORDER BY id DESC
            LIMIT %(workers)s) AS e
     WHERE r.stage = 'curate'
       AND r.state <> 'done'
       AND r.id <> %(run_id)s
       AND r.started_at > botticelli_now() - %(within)s
       AND e.act_name = %(act)s
       AND e.place = ''                                      -- but not those of a calibration
       AND e.state = 'done'
     ORDER BY e.id
"""


@repeatable()
def list_unread_answers(
    conn: Connection, *, act: str, run_id: int, workers: int, within: timedelta
) -> tuple[UnreadAnswer, ...]:
    """Return the last answers of runs that did not end well, oldest first. Reads only.

    `workers`: how many there may have been in a run.
    """
    values = {"act": act, "run_id": run_id, "workers": workers, "within": within}
    return tuple(fetch_all(conn, UnreadAnswer, LEFTOVERS, values))


REQUEUE: Final = """
    UPDATE potential_discord_posts
       SET review_status = CASE WHEN least(attempts, 1000) + 1 >= %(max_attempts)s THEN 'held'
                                ELSE 'pending' END,
           attempts = least(attempts, 1000) + 1,
           last_error = %(error)s,
           lease_owner = NULL,
           lease_expires_at = NULL
     WHERE id = ANY (%(ids)s::bigint[])
"""


@repeatable(pressing=True)
def requeue(
    conn: Connection,
    claims: Sequence[Claim],
    *,
    error: str,
    max_attempts: int,
) -> None:
    """Give candidates back that the judge gave no usable answer for; held after `max_attempts`.

    Those that somebody else holds stay as they are. One transaction.
    """
    with settling_ours(conn, CANDIDATES, claims=claims) as held:
        ids = [claim.id for claim in held]
        conn.execute(REQUEUE, {"ids": ids, "error": error, "max_attempts": max_attempts})
