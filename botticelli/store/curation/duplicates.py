"""What texts are known, and candidates rejected before any judge sees them."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, repeatable
from botticelli.store.queue import CANDIDATES, Claim, settling_ours
from botticelli.text import fingerprint

CHUNK: Final = 500  # rows in memory at once


@record
class KnownText:
    """A candidate's text, or an approved post's."""

    id: int
    is_post: bool
    text: str


# Those that wait for the judge are not known yet, and what was a repeat itself adds nothing.
KNOWN: Final = """
    SELECT id, false AS is_post, text_content AS text
      FROM potential_discord_posts
     WHERE generated_at > botticelli_now() - %(window)s
       AND btrim(text_content, E' \\t\\r\\n') <> ''
       AND NOT (review_status IN ('pending', 'judging') AND judged_at IS NULL)
       AND NOT (review_status = 'rejected' AND judged_at IS NULL AND duplicate_of IS NOT NULL)
     UNION ALL
    SELECT id, true, text_content
      FROM approved_discord_posts
     WHERE coalesce(posted_at, selected_at) > botticelli_now() - %(window)s
       AND review_status <> 'withdrawn'
       AND btrim(text_content, E' \\t\\r\\n') <> ''
     ORDER BY is_post, id
"""


def list_known(conn: Connection, *, window: timedelta) -> Iterator[KnownText]:
    """Yield the texts of the window, candidates first, oldest first. Reads only, in portions."""
    with (
        conn.transaction(),
        conn.cursor("known", row_factory=class_row(KnownText)) as cursor,
    ):
        cursor.itersize = CHUNK
        cursor.execute(KNOWN, {"window": window})
        yield from cursor


POSTED_BEFORE: Final = """
    SELECT id, content_hash
      FROM potential_discord_posts
     WHERE review_status IN ('approved', 'posted')
       AND generated_at <= botticelli_now() - %(window)s
       AND content_hash IS NOT NULL
"""


@repeatable()
def list_posted_before(conn: Connection, *, window: timedelta) -> list[tuple[int, str]]:
    """Return (id, fingerprint) of what was approved from before the window. Reads only."""
    return conn.execute(POSTED_BEFORE, {"window": window}).fetchall()


@record
class Unjudged:
    """A candidate that nobody has judged or claimed."""

    id: int
    text: str


UNJUDGED: Final = """
    SELECT id, coalesce(text_content, '') AS text
      FROM potential_discord_posts
     WHERE review_status IN ('pending', 'judging')
       AND judged_at IS NULL
       AND (lease_expires_at IS NULL
            OR lease_expires_at <= botticelli_now())
       AND id > %(after)s
     ORDER BY id
     LIMIT %(limit)s
"""


@repeatable()
def list_unjudged(conn: Connection, *, after: int) -> tuple[Unjudged, ...]:
    """Return the next candidates that wait for the judge, oldest first. Reads only."""
    values = {"after": after, "limit": CHUNK}
    return tuple(fetch_all(conn, Unjudged, UNJUDGED, values))


@record
class EarlyRejection:
    """A candidate that is not worth a judge, and why.

    Args:
        duplicate_of: The candidate that it repeats; None if it repeats a post or has no text.
    """

    id: int
    note: str
    duplicate_of: int | None = None


# What came in by plain SQL has no hash yet.
SET_HASHES: Final = """
    UPDATE potential_discord_posts AS c
       SET content_hash = new.hash
      FROM unnest(%(ids)s::bigint[], %(hashes)s::text[]) AS new (id, hash)
     WHERE c.id = new.id
       AND c.content_hash IS DISTINCT FROM new.hash
"""
REJECT: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = 'rejected',
           duplicate_of = aside.first,
           curation_notes = aside.note,
           decision_reason = aside.note,
           decided_at = botticelli_now(),
           decided_by = 'auto',
           lease_owner = NULL,
           lease_expires_at = NULL
      FROM unnest(%(ids)s::bigint[], %(firsts)s::bigint[], %(notes)s::text[])
           AS aside (id, first, note)
     WHERE c.id = aside.id
       AND c.review_status IN ('pending', 'judging')
       AND c.judged_at IS NULL
       AND (%(is_claimed)s
            OR c.lease_expires_at IS NULL
            OR c.lease_expires_at <= botticelli_now())
"""


@repeatable()
def reject_unjudged(
    conn: Connection, seen: Sequence[Unjudged], aside: Sequence[EarlyRejection]
) -> int:
    """Reject some of the `seen` before judging; return how many that were. One transaction.

    What somebody has claimed, judged or decided on meanwhile stays as it is.
    """
    with conn.transaction():
        hashes = {one.id: fingerprint(one.text) for one in seen if one.text.strip()}
        conn.execute(SET_HASHES, {"ids": list(hashes), "hashes": list(hashes.values())})
        return _reject(conn, aside, is_claimed=False)


@repeatable()
def reject_claimed(
    conn: Connection, claims: Sequence[Claim], aside: Sequence[EarlyRejection]
) -> None:
    """Reject claimed candidates; those that somebody else holds stay. One transaction."""
    with settling_ours(conn, CANDIDATES, claims=claims) as held:
        ours = {claim.id for claim in held}
        _reject(conn, [one for one in aside if one.id in ours], is_claimed=True)


def _reject(conn: Connection, aside: Sequence[EarlyRejection], *, is_claimed: bool) -> int:
    values = {
        "ids": [one.id for one in aside],
        "firsts": [one.duplicate_of for one in aside],
        "notes": [one.note for one in aside],
        "is_claimed": is_claimed,
    }
    return conn.execute(REJECT, values).rowcount if aside else 0
