"""What `collect` has found: each source's state, and its items, once each."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, once, repeatable
from botticelli.text import storable

ITEMS: Final = "source_items"


@record
class FoundItem:
    """One thing to write about, as a source gives it.

    Args:
        guid: What it is called there, for ever; empty: its address or its text.
        url: Where it can be read; empty: nowhere.
        address: The same address however it is written; texts.address_key.
        text: Plain text.
    """

    guid: str
    url: str = ""
    address: str = ""
    title: str = ""
    text: str = ""
    published_at: datetime | None = None


@record
class SourceState:
    """What is known of a source since it was read last.

    Args:
        place: What the configuration named; another place begins anew.
        moved_to: Where its server says it is for good; empty: where it was.
        is_gone: Its server says that it is gone for good.
        due: It may be read now.
    """

    name: str
    place: str = ""
    etag: str = ""
    last_modified: str = ""
    moved_to: str = ""
    is_gone: bool = False
    failures: int = 0
    last_error: str = ""
    checked_at: datetime | None = None
    next_at: datetime | None = None
    due: bool = True


STATES: Final = """
    SELECT w.name, coalesce(s.place, w.place) AS place, coalesce(s.etag, '') AS etag,
           coalesce(s.last_modified, '') AS last_modified, coalesce(s.moved_to, '') AS moved_to,
           coalesce(s.is_gone, false) AS is_gone, coalesce(s.failures, 0) AS failures,
           coalesce(s.last_error, '') AS last_error, s.checked_at, s.next_at,
           s.name IS NULL
           OR NOT s.is_gone AND least(s.next_at, s.checked_at + interval '1 day')
                                <= botticelli_now() AS due
      FROM unnest(%(names)s::text[], %(places)s::text[]) WITH ORDINALITY AS w (name, place, number)
      LEFT JOIN sources AS s
        ON s.name = w.name
       AND s.place = w.place
     ORDER BY w.number
"""


@repeatable()
def read_states(conn: Connection, wanted: Sequence[tuple[str, str]]) -> list[SourceState]:
    """Return what is known of these (name, place), in their order."""
    values = {"names": [name for name, _ in wanted], "places": [place for _, place in wanted]}
    return fetch_all(conn, SourceState, STATES, values)


NOTE: Final = """
    INSERT INTO sources AS s (name, place, etag, last_modified, moved_to, is_gone, failures,
                              last_error, found_at, checked_at, next_at)
         VALUES (%(name)s, %(place)s, %(etag)s, %(last_modified)s, %(moved_to)s, %(is_gone)s,
                 %(failures)s, nullif(%(last_error)s, ''),
                 CASE WHEN %(is_new)s THEN botticelli_now() END, botticelli_now(),
                 botticelli_now() + %(wait)s)
    ON CONFLICT (name) DO UPDATE
            SET (place, etag, last_modified, moved_to, is_gone, failures, last_error, found_at,
                 checked_at, next_at)
              = (EXCLUDED.place, EXCLUDED.etag, EXCLUDED.last_modified, EXCLUDED.moved_to,
                 EXCLUDED.is_gone, EXCLUDED.failures, EXCLUDED.last_error,
                 coalesce(EXCLUDED.found_at, s.found_at), EXCLUDED.checked_at, EXCLUDED.next_at)
"""
# What was found before, anywhere, by its address or its text, is kept but never offered again.
KEEP: Final = """
    INSERT INTO source_items (source, key, guid, url, address, text_key, title, text, published_at,
                              reuse_after, available_at)
         SELECT %(name)s, g.key, left(g.guid, 1000), g.url, g.address, g.text_key, g.title, g.text,
                g.published_at, %(reuse_after)s,
                CASE WHEN g.published_at < botticelli_now() - %(max_age)s
                       OR EXISTS (SELECT FROM source_items AS o WHERE o.address = g.address)
                       OR EXISTS (SELECT FROM source_items AS o WHERE o.text_key = g.text_key)
                     THEN 'infinity' ELSE botticelli_now() END
           FROM jsonb_to_recordset(%(items)s)
             AS g (key text, guid text, url text, address text, text_key text, title text,
                   text text, published_at timestamptz)
    ON CONFLICT (source, key) DO NOTHING
    RETURNING available_at < 'infinity'
"""


@record
class Kept:
    """How many items were new, and how many of these are offered to narratives."""

    new: int = 0
    offered: int = 0


def keep(
    conn: Connection,
    state: SourceState,
    items: Sequence[FoundItem],
    *,
    wait: timedelta,
    max_age: timedelta,
    reuse_after: timedelta | None,
) -> Kept:
    """Store what a source gave and its state. One transaction, so that nothing is found twice.

    An item is known by its guid within its source, and by its address and its text everywhere:
    what is known already, or older than `max_age`, is stored but never offered.

    Args:
        conn: Where to.
        state: Of the source, from now on.
        items: The newest first.
        wait: Until it is read again.
        max_age: How old an item may be that is offered.
        reuse_after: How long after its use an item is offered again; None: never.
    """
    rows: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    for item in items:
        text_key = _digest(" ".join(f"{item.title} {item.text}".casefold().split()))
        known = {text_key, item.address} - {""}
        row = {**vars(item), "key": _digest(item.guid or item.url or text_key)}
        row |= {"text_key": text_key, "address": item.address or None}
        if row["key"] not in rows and not known & seen:
            seen |= known
            rows[row["key"]] = {
                name: storable(value) if isinstance(value, str) else value
                for name, value in row.items()
            }
    values = {"name": state.name, "max_age": max_age, "reuse_after": reuse_after}

    def write() -> Kept:
        with conn.transaction():
            given = [
                {**row, "published_at": at.isoformat() if (at := row["published_at"]) else None}
                for row in rows.values()
            ]
            found = conn.execute(KEEP, {**values, "items": Jsonb(given)}).fetchall()
            conn.execute(NOTE, {**vars(state), "wait": wait, "is_new": bool(found)})
        return Kept(new=len(found), offered=sum(row[0] for row in found))

    return once(conn, write)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


@repeatable()
def note(conn: Connection, state: SourceState, *, wait: timedelta) -> None:
    """Store how the reading of a source ended that gave nothing. One transaction."""
    conn.execute(NOTE, {**vars(state), "wait": wait, "is_new": False})


OFFERED: Final = """
    SELECT count(*)
      FROM (SELECT
              FROM source_items AS i
             WHERE i.source = %(source)s
               AND i.available_at < 'infinity'
               AND i.available_at <= botticelli_now()
               AND NOT EXISTS (SELECT
                                 FROM row_leases AS l
                                WHERE l.table_name = 'source_items'
                                  AND l.row_key = i.id::text
                                  AND l.lease_expires_at > botticelli_now())
             LIMIT %(most)s) AS free
"""


@repeatable()
def count_offered(conn: Connection, source: str, *, most: int) -> int:
    """Return how many items of a source a narrative may take now, counted up to `most`."""
    row = conn.execute(OFFERED, {"source": source, "most": most}).fetchone()
    assert row is not None
    return int(row[0])


@record
class SourceReport:
    """A source as `sources` lists it.

    Args:
        waiting: Items that a narrative may take, counted up to 100.
        used: Items that posts were made of, counted up to 100.
        now: When this was so.
    """

    name: str
    kind: str
    place: str
    waiting: int
    used: int
    last_item: datetime | None
    checked_at: datetime | None
    next_at: datetime | None
    problem: str
    now: datetime


REPORT: Final = """
    SELECT w.name, w.kind, w.place,
           (SELECT count(*)
              FROM (SELECT FROM source_items AS i
                     WHERE i.source = w.name AND i.available_at < 'infinity'
                       AND i.available_at <= botticelli_now()
                     LIMIT 100) AS free) AS waiting,
           (SELECT count(*)
              FROM (SELECT FROM source_items AS i
                     WHERE i.source = w.name AND i.used_at IS NOT NULL
                     LIMIT 100) AS past) AS used,
           s.found_at AS last_item,
           s.checked_at, s.next_at,
           CASE WHEN s.is_gone THEN 'gone for good: remove it, or give it another address'
                ELSE coalesce(s.last_error, '') END AS problem,
           botticelli_now() AS now
      FROM unnest(%(names)s::text[], %(kinds)s::text[], %(places)s::text[]) WITH ORDINALITY
           AS w (name, kind, place, number)
      LEFT JOIN sources AS s
        ON s.name = w.name
       AND s.place = w.place
     ORDER BY w.number
"""


def report(conn: Connection, wanted: Sequence[tuple[str, str, str]]) -> list[SourceReport]:
    """Return these (name, kind, place) with what was found. Reads only."""
    keys = ("names", "kinds", "places")
    values = {key: [each[index] for each in wanted] for index, key in enumerate(keys)}
    return fetch_all(conn, SourceReport, REPORT, values)


MADE_OF: Final = """
    UPDATE potential_discord_posts AS p
       SET source_item_id = i.id,
           link = coalesce(nullif(i.url, ''), p.link)
      FROM source_items AS i
     WHERE i.id = %(item)s
       AND p.id = ANY (%(candidates)s::bigint[])
"""


def note_made_of(conn: Connection, item: int, candidates: Sequence[int]) -> None:
    """Write down what candidates were made of; it is their link. Part of a transaction."""
    conn.execute(MADE_OF, {"item": item, "candidates": list(candidates)})
