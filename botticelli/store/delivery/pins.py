"""Posts that a person pins to an instant, and what the calendar shows of the past."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from botticelli.errors import StaleError, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, once
from botticelli.store.delivery import posts, schedule
from botticelli.store.delivery.posts import PostFilter

# One that is held because it expired waits again.
PIN: Final = """
    UPDATE deliveries AS d
       SET scheduled_for = w.at,
           is_anyway = w.is_anyway,
           pinned_by = %(by)s,
           expires_at = coalesce(w.expires_at, CASE WHEN w.keeps THEN d.expires_at END),
           fence = d.fence + 1,
           state = CASE WHEN d.last_error LIKE 'it expired at %%' THEN 'pending' ELSE d.state END,
           last_error = CASE WHEN d.last_error LIKE 'it expired at %%' THEN NULL
                             ELSE d.last_error END,
           history = d.history || jsonb_build_object(
               'at', botticelli_now(), 'by', %(by)s::text, 'event',
               CASE WHEN w.at IS NULL THEN 'unscheduled' ELSE 'scheduled' END,
               'note', to_char(w.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
      FROM unnest(%(destination)s::text[], %(at)s::timestamptz[], %(is_anyway)s::boolean[],
                  %(expires_at)s::timestamptz[], %(keeps_expiry)s::boolean[])
               AS w (name, at, is_anyway, expires_at, keeps)
     WHERE d.post_id = %(post)s
       AND d.destination = w.name
       AND d.state IN ('pending', 'held')
       AND d.fence = coalesce(%(seen)s, d.fence)
    RETURNING d.destination
"""
PINNED: Final = ("destination", "at", "is_anyway", "expires_at", "keeps_expiry")
STATES: Final = """
    SELECT p.id, p.review_status,
           (SELECT jsonb_object_agg(d.destination, d.state)
              FROM deliveries AS d
             WHERE d.post_id = p.id) AS states
      FROM approved_discord_posts AS p
     WHERE p.id = %(id)s AND %(kind)s = 'post'
        OR p.candidate_id = %(id)s AND %(kind)s = 'candidate'
        OR p.id = (SELECT d.post_id FROM deliveries AS d WHERE d.id = %(id)s)
           AND %(kind)s = 'delivery'
       FOR UPDATE
"""


@record
class Pin:
    """When a post goes to a destination; `at` None: in its rhythm again.

    Args:
        keeps_expiry: Whether no `expires_at` leaves the one that there is.
    """

    destination: str
    at: datetime | None
    is_anyway: bool = False
    expires_at: datetime | None = None
    keeps_expiry: bool = True


def pin(
    conn: Connection,
    kind: Literal["post", "candidate", "delivery"],
    id_: int,
    pins: Sequence[Pin],
    *,
    known: Sequence[PostFilter],
    by: str,
    seen: int | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Pin a post at its destinations; return its id and where that was done. One transaction.

    Args:
        conn: Where to.
        kind: What `id_` is the id of.
        id_: The post, its candidate, or one of its deliveries.
        pins: For each destination; those that the post does not go to are passed over.
        known: All destinations of the configuration.
        by: Who does it.
        seen: Fence of the delivery when `by` saw it; None: whatever it is.

    Raises:
        StaleError: It is another delivery than was seen.
        UsageError: There is no such approved post, or nothing of it is left to be sent.
    """
    schedule.plan(conn, known)

    def write() -> tuple[int, tuple[str, ...]]:
        row = conn.execute(STATES, {"id": id_, "kind": kind}).fetchone()
        if row is None:
            hints = {"candidate": "approve it first (`botticelli approve`)"}
            hint = hints.get(kind, "see `botticelli deliveries`")
            raise UsageError(f"there is no approved post of {kind} {id_}", hint=hint)
        values = {
            "post": row[0],
            "by": by,
            "seen": seen,
            **{name: [getattr(one, name) for one in pins] for name in PINNED},
        }
        done = tuple(each[0] for each in conn.execute(PIN, values).fetchall())
        if not done:
            raise _why_not(row[0], row[1], row[2] or {}, pins)
        with posts.following(conn, row[0], by_hand=True):
            pass
        return row[0], done

    return once(conn, write)


def _why_not(post: int, status: str, states: Mapping[str, str], pins: Sequence[Pin]) -> UsageError:
    names = [one.destination for one in pins]
    found = {name: states[name] for name in names if name in states}
    if {*found.values()} & {"pending", "held"}:
        return StaleError(f"post {post} was changed meanwhile", hint="look at it again")
    if found:
        said = ", ".join(f"{name}: {state}" for name, state in found.items())
        return UsageError(f"post {post} waits for none of them any more ({said})")
    return UsageError(f"post {post} does not go there; it is {status}")


@record
class CalendarRow:
    """A delivery in the calendar.

    Args:
        at: When it was posted, or is pinned to.
    """

    delivery: int
    post: int
    destination: str
    state: str
    at: datetime
    text: str
    url: str
    note: str
    fence: int


ROWS: Final = """
    SELECT d.id AS delivery, d.post_id AS post, d.destination, d.state,
           coalesce(d.posted_at, d.scheduled_for) AS at,
           left(p.text_content, %(characters)s) AS text,
           coalesce(d.remote_url, '') AS url, coalesce(d.last_error, '') AS note,
           d.fence
      FROM deliveries AS d
      JOIN approved_discord_posts AS p
        ON p.id = d.post_id
     WHERE d.id = ANY (ARRAY (
               SELECT id FROM deliveries
                WHERE destination = ANY (%(names)s)
                  AND posted_at >= %(since)s AND posted_at < %(until)s
                UNION ALL
               SELECT id FROM deliveries
                WHERE state IN ('held', 'failed')
                  AND destination = ANY (%(names)s)
                  AND scheduled_for >= %(since)s AND scheduled_for < %(until)s))
     ORDER BY at, d.id
     LIMIT 2000
"""


def list_rows(
    conn: Connection,
    names: Sequence[str],
    *,
    since: datetime,
    until: datetime,
    characters: int = 200,
) -> list[CalendarRow]:
    """Return what was posted, and what is held of what was pinned, between two instants.

    Of each text as many characters as are asked for.
    """
    values = {"names": list(names), "since": since, "until": until, "characters": characters}
    return fetch_all(conn, CalendarRow, ROWS, values)


def list_destinations(conn: Connection) -> list[str]:
    """Return the names of all places that posts were ever planned for. Reads only."""
    found = conn.execute("SELECT DISTINCT name FROM counted_rows WHERE what = 'deliveries'")
    return sorted(row[0] for row in found)
