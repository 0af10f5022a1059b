"""Approved posts on their way: which destination wants which, what waits, and at what pace."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.schedule.due import Downtime, Pace
from botticelli.store.connection import Connection, fetch_one, repeatable
from botticelli.store.session import joined

# Of an approved post p: the hash of all that is sent; and whether that is what was approved.
POST_HASH: Final = (
    "botticelli_post_hash(p.text_content, p.title, p.link, p.language, p.parts, p.attached)"
)
IS_AS_APPROVED: Final = f"coalesce(p.approved_hash = {POST_HASH}, true)"
# Of its delivery d: whether a rendition is being made of what it is now.
IS_BEING_ADAPTED: Final = f"""EXISTS (SELECT
                             FROM renditions AS r
                            WHERE r.post_id = p.id
                              AND r.destination = d.destination
                              AND r.state = 'open'
                              AND r.source_hash = {POST_HASH})"""  # noqa: S608 - a constant


@record
class PostFilter:
    """Which approved posts a destination takes.

    Args:
        tags: One of them must be the post's; empty for any post.
        content_types: The post's must be among them; empty for any.
        recent: How many of its latest posting times its rules have to know.
        place: Its platform and channel; empty: unknown.
        is_practice: Whether nobody reads there: such a place may get a text again.
    """

    name: str
    place: str = ""
    tags: Sequence[str] = ()
    content_types: Sequence[str] = ()
    recent: int = 1
    is_practice: bool = False


@record
class Queued(Pace):
    """A destination's pace, and whether a delivery of it has to be reconciled or followed up."""

    name: str
    is_uncertain: bool
    has_steps: bool


# Whether a pending delivery may go out now, as far as the post's own times say.
IS_ITS_TIME: Final = """
    coalesce(d.scheduled_for, p.not_before, '-infinity') <= t.now
     AND coalesce(d.expires_at, p.expires_at, 'infinity') > t.now
"""
READ_QUEUES: Final = f"""
    SELECT w.name, t.now, q.waiting, q.retry_at, coalesce(q.retry_why, '') AS retry_why,
           q.busy_until, q.is_uncertain,
           EXISTS (SELECT
                     FROM deliveries AS d
                    WHERE d.destination = w.name
                      AND d.steps_at <= t.now) AS has_steps,
           ARRAY (SELECT d.posted_at
                    FROM deliveries AS d
                   WHERE d.destination = w.name
                     AND d.posted_at <= t.now + interval '1 minute'
                   ORDER BY d.posted_at DESC
                   LIMIT w.recent) AS recent,
           ARRAY (SELECT d.scheduled_for
                    FROM deliveries AS d
                   WHERE d.destination = w.name
                     AND d.state = 'pending'
                     AND d.scheduled_for IS NOT NULL
                   ORDER BY d.scheduled_for
                   LIMIT 20) AS pins,
           coalesce((SELECT d.is_anyway
                       FROM deliveries AS d
                      WHERE d.destination = w.name
                        AND d.state = 'pending'
                        AND d.scheduled_for IS NOT NULL
                      ORDER BY d.scheduled_for
                      LIMIT 1), false) AS is_anyway
      FROM jsonb_to_recordset(%(wanted)s) AS w (name text, recent integer)
     CROSS JOIN (SELECT botticelli_now() AS now) AS t
     CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE d.state = 'pending'
                                     AND {IS_ITS_TIME}
                                     AND NOT {IS_BEING_ADAPTED}) AS waiting,
                  max(d.retry_at) FILTER (WHERE d.state = 'pending'
                                            AND d.retry_at > t.now) AS retry_at,
                  min(d.last_error) FILTER (WHERE d.state = 'pending'
                                              AND d.retry_at > t.now
                                              AND d.refused_at IS NOT NULL) AS retry_why,
                  max(greatest(d.lease_expires_at, d.retry_at))
                  FILTER (WHERE d.state = 'sending') AS busy_until,
                  coalesce(bool_or(d.state = 'sending'
                                   AND d.lease_expires_at <= t.now
                                   AND (d.retry_at IS NULL OR d.retry_at <= t.now)),
                           false) AS is_uncertain
             FROM deliveries AS d
             JOIN approved_discord_posts AS p
               ON p.id = d.post_id
            WHERE d.destination = w.name
              AND d.state IN ('pending', 'sending')
              AND (d.state = 'sending' OR p.review_status IN ('pending', 'posting'))
           ) AS q
"""  # noqa: S608 - all parts are constants


@repeatable()
def read_queues(conn: Connection, wanted: Sequence[PostFilter]) -> dict[str, Queued]:
    """Return each destination's queue and pace, by name. Reads only, one statement."""
    with conn.cursor(row_factory=class_row(Queued)) as cursor:
        cursor.execute(READ_QUEUES, {"wanted": _json(wanted)})
        return {queued.name: queued for queued in cursor}


HELD: Final = f"""
    SELECT (SELECT count(*)
              FROM deliveries
             WHERE destination = %(destination)s
               AND state IN ('held', 'failed')),
           (SELECT count(*)
              FROM deliveries AS d
              JOIN approved_discord_posts AS p
                ON p.id = d.post_id
             WHERE d.destination = %(destination)s
               AND d.state = 'pending'
               AND {IS_BEING_ADAPTED})
"""  # noqa: S608 - all parts are constants


def why_none(conn: Connection, destination: str) -> str:
    """Return why nothing waits for a destination. Reads only."""
    held, adapted = conn.execute(HELD, {"destination": destination}).fetchone() or (0, 0)
    whys = (
        (held, "held or failed: `botticelli deliveries held`"),
        (adapted, "to be adapted to it first: `botticelli adapt`"),
    )
    said = "; ".join(f"{count} {words}" for count, words in whys if count)
    return "no approved post is waiting" + (f" ({said})" if said else "")


# A tick at this very moment is put in, so that looking (--dry-run) finds what running would.
LAST_DOWNTIME: Final = """
    WITH ticks AS (
        SELECT started_at, lag(started_at) OVER (ORDER BY started_at) AS before
          FROM (SELECT started_at
                  FROM runs
                 WHERE stage = 'post'
                   AND started_at > botticelli_now() - interval '14 days'
                 UNION ALL
                SELECT botticelli_now()) AS t
    )
    SELECT t.before AS since,
           t.started_at AS until,
           (SELECT count(*)
              FROM deliveries AS d
              JOIN approved_discord_posts AS p
                ON p.id = d.post_id
             WHERE d.destination = %(destination)s
               AND p.selected_at < t.started_at
               AND (d.posted_at > t.started_at OR d.state IN ('pending', 'sending'))) AS backlog
      FROM ticks AS t
     WHERE t.started_at - t.before > %(longer_than)s
     ORDER BY t.started_at DESC
     LIMIT 1
"""


@repeatable()
def last_downtime(conn: Connection, destination: str, *, longer_than: timedelta) -> Downtime | None:
    """Return the last stretch of two weeks in which the post stage was not woken. Reads only."""
    values = {"destination": destination, "longer_than": longer_than}
    return fetch_one(conn, Downtime, LAST_DOWNTIME, values)


@record
class WaitingPost:
    """An approved post that a destination would be sent.

    Args:
        delivery_id, nonce, planned_at: None if not planned yet.
    """

    post_id: int
    delivery_id: int | None
    nonce: str | None
    planned_at: datetime | None
    selected_at: datetime
    scheduled_for: datetime | None
    not_before: datetime | None
    expires_at: datetime | None
    is_anyway: bool
    text: str
    fence: int


PEEK: Final = f"""
    WITH open AS MATERIALIZED (
        SELECT * FROM approved_discord_posts WHERE review_status IN ('pending', 'posting')
    )
    SELECT p.id AS post_id, d.id AS delivery_id, d.nonce, d.created_at AS planned_at, p.selected_at,
           d.scheduled_for, p.not_before, coalesce(d.expires_at, p.expires_at) AS expires_at,
           coalesce(d.is_anyway, false) AS is_anyway, left(p.text_content, 200) AS text,
           coalesce(d.fence, 0) AS fence
      FROM (SELECT botticelli_now() AS now) AS t
     CROSS JOIN (
           SELECT name, botticelli_place(name, place) AS place, tags, content_types,
                  is_practice
              FROM jsonb_to_recordset(%(wanted)s)
                   AS w (name text, place text, tags text[], content_types text[],
                         is_practice boolean)) AS w
     CROSS JOIN open AS p
      LEFT JOIN deliveries AS d
        ON d.post_id = p.id
       AND d.destination = w.name
     WHERE (%(is_pin)s::boolean IS NULL
            OR (d.scheduled_for IS NOT NULL) = %(is_pin)s AND {IS_ITS_TIME})
       AND (d.state = 'pending'
        OR d.id IS NULL
           AND p.review_status = 'pending'
           AND (SELECT count(*)  -- of NOT EXISTS within OR a hash of the whole table may be made
                  FROM deliveries AS o
                 WHERE o.post_id = p.id
                   AND o.place = w.place
                   AND (NOT w.is_practice OR o.destination <> ALL (%(names)s))
                   AND (o.state <> 'pending' OR o.destination = ANY (%(names)s))) = 0
           AND (w.tags = '{{}}' OR p.tags ?| w.tags)
           AND (w.content_types = '{{}}' OR p.content_type = ANY (w.content_types)))
     ORDER BY d.scheduled_for, d.refused_at NULLS FIRST, p.selected_at, p.id
     LIMIT %(limit)s
"""  # noqa: S608 - all parts are constants


def peek(
    conn: Connection,
    wanted: PostFilter,
    *,
    names: Sequence[str] = (),
    is_pin: bool | None = None,
    limit: int,
) -> list[WaitingPost]:
    """Return what would be sent next, in order, planned or not. Reads only.

    `names` are those of all destinations. `is_pin`: only what is, or is not, pinned, and whose time
    has come; None: all that waits, pinned ones first.
    """
    values = {"wanted": _json([wanted]), "names": [*names, wanted.name], "limit": limit}
    values["is_pin"] = is_pin
    with conn.cursor(row_factory=class_row(WaitingPost)) as cursor:
        cursor.execute(PEEK, values)
        return cursor.fetchall()


@record
class PostContent:
    """What an approved post is for one destination.

    Args:
        text: All of it; with `parts`, these joined.
        parts: The texts of its messages where it is cut; None: it is one text.
        is_approved: Whether it is as it was approved.
        is_attached_to: Whether it has pictures.
        rendition: State of its rendition for the destination; empty: there is none of what it is
            now. A ready one is in `text` and `parts` already.
        note: What is said of the rendition.
        source: Address of what it was made of; empty: it has none; None: it was made of nothing.
    """

    post_id: int
    text: str
    parts: Sequence[str] | None = None
    title: str = ""
    link: str = ""
    language: str = ""
    model: str = ""
    is_approved: bool = True
    is_attached_to: bool = False
    rendition: str = ""
    note: str = ""
    source: str | None = None


CONTENT: Final = f"""
    SELECT p.id AS post_id, coalesce(r.ready, p.text_content, '') AS text,
           botticelli_parts(CASE WHEN r.ready IS NULL THEN p.parts ELSE r.parts END) AS parts,
           coalesce(p.title, '') AS title, coalesce(p.link, '') AS link,
           coalesce(p.language, '') AS language,
           coalesce(CASE WHEN r.ready IS NOT NULL THEN r.model END, p.generation_model, '')
               AS model,
           {IS_AS_APPROVED} AS is_approved, p.attached IS NOT NULL AS is_attached_to,
           coalesce(r.state, '') AS rendition, coalesce(r.note, '') AS note,
           (SELECT i.url
              FROM potential_discord_posts AS c
              JOIN source_items AS i
                ON i.id = c.source_item_id
             WHERE c.id = p.candidate_id) AS source
      FROM approved_discord_posts AS p
      LEFT JOIN (SELECT *, CASE WHEN state = 'ready' THEN text_content END AS ready
                   FROM renditions) AS r
        ON r.post_id = p.id
       AND r.destination = %(destination)s
       AND r.source_hash = {POST_HASH}
     WHERE p.id = %(post_id)s
"""  # noqa: S608 - all parts are constants


@repeatable()
def read_content(conn: Connection, post_id: int, destination: str) -> PostContent:
    """Return what an approved post is for a destination. Reads only, one statement."""
    values = {"post_id": post_id, "destination": destination}
    found = fetch_one(conn, PostContent, CONTENT, values)
    assert found is not None, "a delivery goes with its post"
    return found


ASK_FOR_RENDITION: Final = f"""
    INSERT INTO renditions AS r (post_id, destination, source_hash, made_at)
    SELECT p.id, %(destination)s, {POST_HASH}, botticelli_now()
      FROM approved_discord_posts AS p
     WHERE p.id = %(post_id)s
        ON CONFLICT (post_id, destination) DO UPDATE
       SET state = 'open',
           source_hash = excluded.source_hash,
           text_content = NULL,
           parts = NULL,
           note = NULL,
           model = NULL,
           execution_id = NULL,
           decided_by = NULL
     WHERE r.source_hash <> excluded.source_hash
"""  # noqa: S608 - all parts are constants


@repeatable()
def ask_for_rendition(conn: Connection, post_id: int, destination: str) -> None:
    """Have a post adapted to a destination; until then its delivery waits. One transaction."""
    with conn.transaction():
        conn.execute(ASK_FOR_RENDITION, {"post_id": post_id, "destination": destination})


# A delivery that a person has decided on is sent all the same: that is how a text goes out again
# on purpose.
FIND_DUPLICATE: Final = """
    WITH alike AS MATERIALIZED (
        SELECT *
          FROM deliveries
         WHERE hashtextextended(botticelli_text_key(text_sent), 0)
               = hashtextextended(botticelli_text_key(%(text)s), 0)
         UNION ALL
        SELECT *
          FROM deliveries
         WHERE text_sent IS NULL
           AND posted_at > botticelli_now() - %(window)s
    )
    SELECT d.id, d.posted_at
      FROM alike AS d
      JOIN approved_discord_posts AS p
        ON p.id = d.post_id
     WHERE (d.destination = %(destination)s
            OR d.place = botticelli_place(%(destination)s, %(place)s))
       AND d.state = 'posted'
       AND d.posted_at > botticelli_now() - %(window)s
       AND d.post_id IS DISTINCT FROM %(post_id)s
       AND botticelli_text_key(coalesce(d.text_sent, p.text_content))
           = botticelli_text_key(%(text)s)
       AND NOT EXISTS (SELECT
                         FROM deliveries AS mine
                        WHERE mine.post_id = %(post_id)s
                          AND mine.destination = %(destination)s
                          AND mine.decided_by IS NOT NULL)
     ORDER BY d.posted_at DESC
     LIMIT 1
"""


@record
class RecentDuplicate:
    """A delivery that has published the same text."""

    id: int
    posted_at: datetime

    def __str__(self) -> str:
        """Return a reason for a person."""
        return (
            f"delivery {self.id} said the same on {self.posted_at:%Y-%m-%d}"
            " (`deliveries retry` sends it all the same)"
        )


@repeatable()
def find_duplicate(
    conn: Connection, destination: PostFilter, *, post_id: int, text: str, window: timedelta
) -> RecentDuplicate | None:
    """Return the last delivery that published a post's text in that channel within the window.

    Reads only.
    """
    values = {
        "destination": destination.name,
        "place": destination.place,
        "post_id": post_id,
        "text": text,
        "window": window,
    }
    return fetch_one(conn, RecentDuplicate, FIND_DUPLICATE, values)


# Deliveries of one post to two destinations settle one after the other, so that the later one
# sees the earlier one's state when it decides what the post's own is.
HOLD_POST: Final = """
    SELECT
      FROM approved_discord_posts
     WHERE id = %(post_id)s
       FOR UPDATE
"""
# The post's state follows from its deliveries, its candidate's from that. What somebody has set by
# hand in SQL meanwhile stays: 'posted' typed there must keep a post from being sent.
FOLLOW: Final = """
    WITH sum AS (
        SELECT CASE WHEN bool_or(state = 'sending') THEN 'posting'
                    WHEN bool_or(state = 'pending') THEN 'pending'
                    WHEN bool_or(state = 'held')    THEN 'held'
                    WHEN bool_or(state = 'failed')  THEN 'failed'
                    WHEN bool_or(state = 'posted')  THEN 'posted'
                    ELSE 'withdrawn' END AS status,
               max(posted_at) FILTER (WHERE state = 'posted') AS posted_at
          FROM deliveries
         WHERE post_id = %(post_id)s
        HAVING count(*) > 0
    ), post AS (
        UPDATE approved_discord_posts AS p
           SET review_status = sum.status,
               posted_at = sum.posted_at
          FROM sum
         WHERE p.id = %(post_id)s
           AND (%(by_hand)s OR sum.status = 'posted' OR p.review_status IN ('pending', 'posting'))
        RETURNING p.candidate_id, p.review_status
    )
    UPDATE potential_discord_posts AS c
       SET review_status = 'posted'
      FROM post
     WHERE c.id = post.candidate_id
       AND post.review_status = 'posted'
       AND c.review_status = 'approved'
"""


@contextmanager
def following(conn: Connection, post_id: int, *, by_hand: bool = False) -> Iterator[None]:
    """Hold a post in one transaction, at whose end its state follows that of its deliveries.

    `by_hand` means that a person decided: what was set before is replaced.
    """
    with joined(conn):
        conn.execute(HOLD_POST, {"post_id": post_id})
        yield
        follow(conn, post_id, by_hand=by_hand)


def follow(conn: Connection, post_id: int, *, by_hand: bool = False) -> None:
    """Let the state of a post that is held follow that of its deliveries. See following."""
    conn.execute(FOLLOW, {"post_id": post_id, "by_hand": by_hand})


def _json(wanted: Sequence[PostFilter]) -> Jsonb:
    return Jsonb([asdict(one) for one in wanted])
