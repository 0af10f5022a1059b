"""potential_discord_posts: what a model wrote comes in once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.store.connection import Connection
from botticelli.text import fingerprint


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where new candidates come from."""

    narrative: str
    act: str
    model: str = ""
    run_id: int | None = None
    item_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Inserted:
    """What became of new rows: the ids of those stored, and the ids that the others repeat."""

    ids: tuple[int, ...]
    repeats: tuple[int, ...]


# Two workers with the same text: the second waits here and then sees the first one's row.
LOCK_TEXT: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%(hash)s, 0))"
FIND_TEXT: Final = """
    SELECT id
      FROM potential_discord_posts
     WHERE content_hash = %(hash)s
     ORDER BY id
     LIMIT 1
"""
INSERT: Final = """
    INSERT INTO potential_discord_posts
           (text_content, content_type, source, tags, rating, extra, content_hash, generated_at,
            source_narrative, source_act, generation_model, run_id, item_id)
    VALUES (%(text_content)s, %(content_type)s, %(source)s, %(tags)s, %(rating)s, %(extra)s,
            %(hash)s, coalesce(%(now)s::timestamptz, now()), %(narrative)s, %(act)s,
            nullif(%(model)s, ''), %(run_id)s, %(item_id)s)
    RETURNING id
"""


def insert(
    conn: Connection,
    rows: Iterable[Mapping[str, Any]],
    *,
    origin: Origin,
    now: datetime | None = None,
) -> Inserted:
    """Store rows that a model made, but not those whose text is there already.

    Texts are compared by `text.fingerprint`. Keys without a column are kept in `extra`. One
    transaction; inside `queue.settling` a part of that one, so that an item leaves its rows once.
    """
    ids, repeats = [], []
    with conn.transaction():
        for values in sorted(map(_columns, rows), key=lambda values: str(values["hash"])):
            if values["hash"]:
                conn.execute(LOCK_TEXT, values)
                found = conn.execute(FIND_TEXT, values).fetchone()
                if found is not None:
                    repeats.append(int(found[0]))
                    continue
            row = conn.execute(INSERT, {**values, **_origin(origin), "now": now}).fetchone()
            assert row is not None
            ids.append(int(row[0]))
    return Inserted(ids=tuple(ids), repeats=tuple(repeats))


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Sort a model's keys into columns of the right type; what does not fit goes to `extra`."""
    extra = dict(row)
    values: dict[str, Any] = {}
    for key in ("text_content", "content_type", "source"):
        values[key] = extra.pop(key) if isinstance(row.get(key), str) else None
    rating = row.get("rating")
    is_integer = isinstance(rating, int) and not isinstance(rating, bool)
    values["rating"] = extra.pop("rating") if is_integer else None
    tags = extra.pop("tags", None)
    text = values["text_content"]
    return {
        **values,
        "tags": None if tags is None else Jsonb(tags),
        "extra": Jsonb(extra),
        "hash": fingerprint(text) if text and text.strip() else None,
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "narrative": origin.narrative,
        "act": origin.act,
        "model": origin.model,
        "run_id": origin.run_id,
        "item_id": origin.item_id,
    }


RECENT: Final = """
    SELECT left(text_content, 400)
      FROM potential_discord_posts
     WHERE btrim(coalesce(text_content, ''), E' \\t\\r\\n') <> ''
       AND duplicate_of IS NULL
     ORDER BY id DESC
     LIMIT %(limit)s
"""


def list_recent(conn: Connection, *, limit: int) -> tuple[str, ...]:
    """Return how the texts of the newest candidates begin, newest first."""
    return tuple(row[0] for row in conn.execute(RECENT, {"limit": limit}).fetchall())
